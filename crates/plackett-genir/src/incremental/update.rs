//! A retriever that gets to know documents which came later, without a training: each new docid of one token gets a row of the output matrix
//! that is optimised beside the others, over vectors of a model that stays as it is (IncDSI; Kishore et al., ICML 2023).

use super::{AtomicRows, NewRow, Representative};
use crate::learning::items_of;
use crate::representation::{PairSource, PseudoQueries, TextPair, chunks, first_words};
use crate::{DocidLanguage, GenirError, RetrieverFiles, writes_paths};
use plackett_core::Document;
use plackett_ids::Catalogue;
use plackett_train::engine::Engine;
use plackett_train::nn::TokenBatch;
use plackett_train::trainer::{LanguageModel, words_of};
use plackett_train::{Compute, Parameters, Tape};
use std::path::Path;
use std::sync::Arc;

/// Texts that go through the model together.
const TOGETHER: usize = 64;
/// The matrices with a row for each token; a model whose output matrix is that of the embeddings has the first one alone.
const TABLES: [&str; 2] = ["model.embed_tokens.weight", "lm_head.weight"];

/// The texts that stand for documents, as in a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateTexts {
    /// First words of each document; 0 for none.
    pub first: usize,
    /// Chunks of each document, and their words.
    pub chunks: (usize, usize),
    /// Pseudo queries of each document.
    pub queries: usize,
    /// From which draws follow.
    pub seed: u64,
}

impl UpdateTexts {
    /// First words and chunks, and pseudo queries; of a document without words there are none.
    pub fn of(&self, documents: &[Document]) -> [PairSource; 2] {
        let mut of_texts = PairSource::default();
        if self.first > 0 {
            of_texts.pairs.extend(first_words(documents, self.first).pairs);
        }
        let (count, words) = self.chunks;
        if count > 0 {
            of_texts.pairs.extend(chunks(documents, count, words, self.seed).pairs);
        }
        let pseudo = PseudoQueries { count: self.queries, seed: self.seed, ..PseudoQueries::default() };
        let mut sources = [of_texts, pseudo.of(documents)];
        sources
            .iter_mut()
            .for_each(|source| source.pairs.retain(|pair| words_of(&pair.text).next().is_some()));
        sources
    }
}

/// A retriever with docids of one token.
pub struct RetrieverUpdate {
    files: RetrieverFiles,
    model: LanguageModel,
    parameters: Parameters,
}

/// The same with other documents, not yet written.
pub struct UpdatedRetriever {
    /// Language and catalogue.
    pub files: RetrieverFiles,
    /// The decoder.
    pub model: LanguageModel,
    /// Its weights.
    pub parameters: Parameters,
}

impl UpdatedRetriever {
    /// Writes the folder that [`crate::GenerativeRetriever::open`] reads.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), GenirError> {
        self.files.save(folder, &self.model, &self.parameters)
    }
}

impl RetrieverUpdate {
    /// Opens the folder of a retriever.
    ///
    /// # Errors
    /// As [`RetrieverFiles::open`]; its docids have several tokens or come after category paths, or the model has another vocabulary.
    pub fn open(folder: &Path) -> Result<RetrieverUpdate, GenirError> {
        let files = RetrieverFiles::open(folder)?;
        let refused = |problem: String| GenirError::Form { path: folder.into(), line: None, problem };
        let anew = "documents are added to docids of one token alone (`--scheme atomic`); learn the index anew with `plackett ids learn`";
        if writes_paths(folder) {
            return Err(refused(format!("it writes category paths before docids, and {anew}")));
        }
        if files.catalogue.items().iter().any(|item| item.codes.len() != 1) {
            let scheme = files.catalogue.scheme();
            return Err(refused(format!("docids of the scheme `{scheme}` have several tokens, and {anew}")));
        }
        let mut parameters = Parameters::default();
        let model = LanguageModel::open(folder, &mut parameters)?;
        let (own, of_model) = (files.language.vocabulary().len(), model.llama.config.vocab_size);
        if own != of_model || files.language.vocabulary().codes() == 0 {
            return Err(refused(format!(
                "the vocabulary has {own} tokens and the model {of_model}; they are not of one training"
            )));
        }
        Ok(RetrieverUpdate { files, model, parameters })
    }

    /// The documents that it knows, and its language.
    pub fn files(&self) -> &RetrieverFiles {
        &self.files
    }

    /// The retriever of these documents: first those that it knows, then new ones. `texts` stand for them; of the text of a known document that is
    /// nearest to being lost its row is kept apart from each new one ([`Representative::Lowest`]), and a new document stands for itself, once it
    /// is there, with the mean of its texts. Every weight that was there stays; margins are of logits.
    ///
    /// # Errors
    /// A known document after a new one, a new one without a text, or a text of none of them.
    pub fn with_documents(
        &self,
        documents: &[Document],
        texts: &[TextPair],
        options: &NewRow,
        compute: &Arc<Compute>,
    ) -> Result<UpdatedRetriever, GenirError> {
        let catalogue = self.files.catalogue.updated(&items_of(documents))?;
        let new = self.new_rows(&catalogue, texts, options, compute)?;
        let old = &self.files.language;
        let known = self.files.catalogue.tokens().len();
        let added = catalogue.tokens().len() - known;
        // Behind the codes of docids stands the one that scores in ranking steps.
        let border = old.score_token();
        let language = DocidLanguage::of(old.vocabulary().with_more_codes(added), old.most_words());
        let tokens = language.docid_tokens(catalogue.tokens())?;
        if tokens[known..].iter().zip(border..).any(|(token, expected)| *token != expected) {
            let why = match self.files.title_separator() {
                Some(_) => "the model writes lists of docids, whose separator lies where new ones would",
                None => "the vocabulary has codes that no docid has",
            };
            let problem = format!("{why}; learn the index anew with `plackett ids learn`");
            return Err(GenirError::Setting(problem));
        }
        let files = RetrieverFiles { language, catalogue, decoder: self.files.decoder };
        let (model, parameters) = self.grown(&files.language, border as usize, &new)?;
        Ok(UpdatedRetriever { files, model, parameters })
    }

    /// The rows of the new documents of a catalogue, one after the other.
    fn new_rows(
        &self,
        catalogue: &Catalogue,
        texts: &[TextPair],
        options: &NewRow,
        compute: &Arc<Compute>,
    ) -> Result<Vec<f32>, GenirError> {
        let said = |problem: &str| GenirError::Setting(problem.into());
        let of_old: Vec<Option<usize>> =
            catalogue.items().iter().map(|item| self.files.catalogue.place(&item.id)).collect();
        let old: Vec<usize> = of_old.iter().map_while(|place| *place).collect();
        if of_old[old.len()..].iter().any(Option::is_some) {
            return Err(said("documents that the retriever knows are expected before new ones"));
        }
        let mut states: Vec<Vec<Vec<f32>>> = vec![Vec::new(); catalogue.len()];
        let read = self.states(texts, compute);
        let length = mean_length(&read);
        for (pair, state) in texts.iter().zip(read) {
            let own = states.get_mut(pair.document).ok_or_else(|| said("a text of no document"))?;
            own.push(state.iter().map(|x| x / length).collect());
        }
        let mut new = catalogue.items().iter().zip(&states).skip(old.len());
        if let Some((item, _)) = new.find(|(_, texts)| texts.is_empty()) {
            return Err(GenirError::Setting(format!(
                "no text stands for the new document `{}`; ask for first words, chunks or pseudo queries, or give queries that it \
                 answers",
                item.id
            )));
        }
        let mut rows = AtomicRows::new(self.scaled_rows(&old, length)?);
        let width = self.model.llama.config.hidden_size;
        let stands = |document: usize| match states[document].is_empty() {
            // Nothing is asked of it: no product with such a vector is too great.
            true => Ok(vec![0.0; width]),
            false => rows.representative(document, &states[document], Representative::Lowest),
        };
        let mut representatives = (0..old.len()).map(stands).collect::<Result<Vec<_>, _>>()?;
        for document in old.len()..catalogue.len() {
            rows.add(&states[document], &representatives, options)?;
            let own = rows.representative(document, &states[document], Representative::Mean)?;
            representatives.push(own);
        }
        let new = (old.len()..catalogue.len()).filter_map(|document| rows.row(document)).flatten();
        Ok(new.map(|x| x / length).collect())
    }

    /// The rows of the docids of some documents, for vectors that were divided by `length`.
    fn scaled_rows(&self, documents: &[usize], length: f32) -> Result<Vec<Vec<f32>>, GenirError> {
        let (docids, width) = (self.files.docids()?, self.model.llama.config.hidden_size);
        let head = &self.parameters[self.model.llama.head].value;
        let row = |document: &usize| -> Vec<f32> {
            let from = docids[*document][0] as usize * width;
            head[from..from + width].iter().map(|x| x * length).collect()
        };
        Ok(documents.iter().map(row).collect())
    }

    /// What the output matrix reads after each text.
    fn states(&self, texts: &[TextPair], compute: &Arc<Compute>) -> Vec<Vec<f32>> {
        let llama = &self.model.llama;
        let mut states = Vec::with_capacity(texts.len());
        for texts in texts.chunks(TOGETHER) {
            let prompts: Vec<Vec<u32>> =
                texts.iter().map(|pair| self.files.language.prompt(&pair.text)).collect();
            let batch = TokenBatch::new(prompts.iter().map(Vec::as_slice));
            let last: Vec<usize> = batch.sequences.iter().map(|sequence| sequence.end - 1).collect();
            let tape = Tape::inference(&self.parameters, compute);
            let hidden = llama.hidden(&tape, &batch);
            let read = llama.normalized(&tape, &tape.select_rows(&hidden, &last));
            states.extend(read.value.chunks(read.columns.max(1)).map(<[f32]>::to_vec));
        }
        states
    }

    /// The model with rows for new tokens from `border` on; all others keep their weights.
    fn grown(
        &self,
        language: &DocidLanguage,
        border: usize,
        new: &[f32],
    ) -> Result<(LanguageModel, Parameters), GenirError> {
        let config = &self.model.llama.config;
        let mut parameters = Parameters::default();
        let context = self.model.context();
        let model = LanguageModel::of_words(language.vocabulary(), config, context, 0, &mut parameters)?;
        for (_, parameter) in parameters.iter_mut() {
            let old = self.parameters.find(&parameter.name).map(|id| &self.parameters[id].value[..]);
            let old = old.unwrap_or_default();
            let values = match TABLES.contains(&parameter.name.as_str()) {
                true => {
                    let (before, after) = old.split_at(old.len().min(border * config.hidden_size));
                    [before, new, after].concat()
                }
                false => old.to_vec(),
            };
            if values.len() != parameter.value.len() {
                return Err(GenirError::Setting(format!(
                    "the weights `{}` have another shape than is expected; learn the index anew with `plackett ids learn`",
                    parameter.name
                )));
            }
            parameter.values_mut().copy_from_slice(&values);
        }
        Ok((model, parameters))
    }
}

/// The mean length of vectors; 1 where there is none that has one.
fn mean_length(vectors: &[Vec<f32>]) -> f32 {
    let length = |vector: &Vec<f32>| vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let mean = vectors.iter().map(length).sum::<f64>() / vectors.len().max(1) as f64;
    if mean > 0.0 { mean as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::tests::tiny;
    use crate::learning::{LearningData, RetrieverTraining, catalogue_of};
    use crate::{Decoding, GenerativeRetriever};
    use plackett_ids::scheme::parse;

    const TEXTS: UpdateTexts = UpdateTexts { first: 5, chunks: (2, 3), queries: 2, seed: 1 };

    fn documents(texts: &[&str]) -> Vec<Document> {
        texts.iter().enumerate().map(|(at, text)| Document::new(format!("d{at}"), *text)).collect()
    }

    fn known() -> Vec<Document> {
        documents(&["red foxes run in woods", "old ships sail at sea", "a full moon is bright"])
    }

    /// A small retriever of three documents in a folder.
    fn learned(folder: &Path, scheme: &str) {
        let training = RetrieverTraining { queries: 2, ..tiny() };
        let (documents, similar) = (known(), |_: &str, _: usize| Ok(Vec::new()));
        let none = PairSource::default();
        let data = LearningData { documents: &documents, labelled: &none, similar: &similar, paths: None };
        let catalogue = catalogue_of(&parse(scheme).unwrap(), &documents, None, 1).unwrap();
        let learned = training.learn(&data, catalogue, &Compute::new(1), None, &mut |_, _, _| {}).unwrap();
        learned.save(folder).unwrap();
    }

    fn pairs(documents: &[Document]) -> Vec<TextPair> {
        TEXTS.of(documents).into_iter().flat_map(|source| source.pairs).collect()
    }

    #[test]
    fn new_documents_are_found_and_no_weight_that_was_there_changes() {
        let folder = tempfile::tempdir().unwrap();
        learned(folder.path(), "atomic");
        let update = RetrieverUpdate::open(folder.path()).unwrap();
        let mut all = known();
        all.push(Document::new("later", "ships run at full moon"));
        let options = NewRow { margin_new: 1.0, margin_old: 1.0, ..NewRow::default() };
        let grown = update.with_documents(&all, &pairs(&all), &options, &Compute::new(1)).unwrap();
        let (border, width) = (update.files().language.score_token() as usize, 16);
        for (_, parameter) in grown.parameters.iter() {
            let before = &update.parameters[update.parameters.find(&parameter.name).unwrap()].value;
            let mut values = parameter.value.to_vec();
            if TABLES.contains(&parameter.name.as_str()) {
                values.drain(border * width..(border + 1) * width);
            }
            assert_eq!(values, before.to_vec(), "{}", parameter.name);
        }
        let (old, new) = (&update.files().language, &grown.files.language);
        assert_eq!(new.score_token(), old.score_token() + 1);
        assert_eq!(grown.files.docids().unwrap()[..3], update.files().docids().unwrap()[..]);
        assert_eq!(grown.files.docids().unwrap()[3][0], old.score_token());
        let to = tempfile::tempdir().unwrap();
        grown.save(to.path()).unwrap();
        let retriever = GenerativeRetriever::open(to.path(), true).unwrap();
        for (place, document) in all.iter().enumerate() {
            let asked = [document.text.as_str()];
            let found = retriever.search(&asked, &Decoding::Beams { width: 4 }, 0).unwrap();
            let order: Vec<usize> = found[0].documents.iter().map(|(document, _)| *document).collect();
            assert_eq!(order.len(), 4, "all have a docid");
            assert!(order[..2].contains(&place), "{place}: {order:?}");
        }
    }

    #[test]
    fn documents_that_are_gone_leave_the_catalogue_and_their_weights_stay() {
        let folder = tempfile::tempdir().unwrap();
        learned(folder.path(), "atomic");
        let update = RetrieverUpdate::open(folder.path()).unwrap();
        let left = [known().remove(2), known().remove(0)];
        let less = update.with_documents(&left, &pairs(&left), &NewRow::default(), &Compute::new(1)).unwrap();
        let docids = update.files().docids().unwrap();
        assert_eq!(less.files.docids().unwrap(), [docids[2].clone(), docids[0].clone()]);
        for (one, other) in less.parameters.iter().zip(update.parameters.iter()) {
            assert_eq!((&one.1.name, one.1.value.to_vec()), (&other.1.name, other.1.value.to_vec()));
        }
    }

    #[test]
    fn what_cannot_be_added_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        learned(folder.path(), "naive-string");
        let error = RetrieverUpdate::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("docids of the scheme `naive-string"), "{error}");
        assert!(error.contains("have several tokens"), "{error}");
        learned(folder.path(), "atomic");
        let update = RetrieverUpdate::open(folder.path()).unwrap();
        let refused = |documents: &[Document], texts: &[TextPair]| {
            let made = update.with_documents(documents, texts, &NewRow::default(), &Compute::new(1));
            made.err().unwrap().to_string()
        };
        let mut all = known();
        all.insert(0, Document::new("later", "ships at full moon"));
        assert!(refused(&all, &pairs(&all)).contains("before new ones"));
        all.rotate_left(1);
        let said = refused(&all, &pairs(&known()));
        assert!(said.contains("no text stands for the new document `later`"), "{said}");
        let text = TextPair { text: "moon".into(), document: 4 };
        assert!(refused(&all, &[text]).contains("a text of no document"));
    }
}
