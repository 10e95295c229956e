//! From documents to a retriever: the texts that stand for them, their docids, and a small decoder from drawn weights that learns the one
//! after the other.

use crate::category_paths::{CategoryHierarchy, ExampleTargets, PathExamples, PathLanguage};
use crate::prefix_aware::{check_prefixes, head_config};
use crate::representation::{PairSource, PseudoQueries, SourceWeights, TextPair, chunks, first_words, mixed};
use crate::title_lists::{AnswerLists, TITLE_SEPARATOR};
use crate::{
    Decoding, DocidDecoder, DocidLanguage, GenerativeRetriever, GenirError, PathDecoding, PathRetriever,
    PrefixAware, Reranking, RerankingGroup, RetrieverFiles, RetrieverTask,
};
use plackett_core::{Document, field_named};
use plackett_ids::scheme::{Scheme, Source};
use plackett_ids::{Catalogue, Item, QuantizerTrainer, VectorTable};
use plackett_train::nn::{LlamaConfig, PrefixHead, PrefixHeadConfig};
use plackett_train::optimizer::Schedule;
use plackett_train::random::Stream;
use plackett_train::trainer::{Checkpointing, LanguageModel, Settings, StepRecord, train, words_of};
use plackett_train::{Compute, Parameters};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Heads of attention; the width of each is even.
pub(crate) const HEADS: usize = 4;
/// Documents of a group of a ranking step, as in the authors' code of ZeroGR.
const GROUP: usize = 8;
/// The most numbers of the layers: with gradients and moments they take 16 GB.
const MOST_PARAMETERS: u128 = 1_000_000_000;
/// Words of a document in a ranking step.
const RANKED_WORDS: usize = 40;
/// Groups that are made for ranking steps.
const GROUPS: usize = 400;
/// Texts that are asked together when it is measured what is known by heart.
const TOGETHER: usize = 64;

/// What is learned from, and how.
#[derive(Clone, Debug, Serialize)]
pub struct RetrieverTraining {
    /// First words of each document as a text to learn from (FirstP); 0 for none.
    pub first: usize,
    /// Chunks of each document (DaQ); 0 for none.
    pub chunks: usize,
    /// Words of a chunk.
    pub chunk_words: usize,
    /// Pseudo queries of each document (D2Q); 0 for none.
    pub queries: usize,
    /// Whether labelled queries are learned from.
    pub labelled: bool,
    /// Shares of the kinds of texts in what is trained on; `None` for as many of each as there are.
    pub weights: Option<SourceWeights>,
    /// Whether kinds of texts come one after the other in equal parts of the steps, and not mixed.
    pub curriculum: bool,
    /// Steps from one RankNet step to the next; 0 for none.
    pub rank_every: usize,
    /// Layers of the decoder.
    pub layers: usize,
    /// Numbers of a token; a multiple of 8.
    pub width: usize,
    /// Words of a query that are read.
    pub words: usize,
    /// Texts in a step.
    pub batch: usize,
    /// Steps of all parts together.
    pub steps: usize,
    /// The learning rate.
    pub rate: f32,
    /// From which everything that is drawn follows.
    pub seed: u64,
    /// What writes docids.
    #[serde(skip_serializing_if = "DocidDecoder::is_plain")]
    pub decoder: DocidDecoder,
    /// Docids at most that are written one after another for a labelled query with several answers; `None` for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub titles: Option<usize>,
}

/// Finds places of documents that are like a text, the most alike first, and so many at most.
pub type Similar<'s> = dyn Fn(&str, usize) -> Result<Vec<usize>, GenirError> + 's;

/// The documents, and what is known of them.
pub struct LearningData<'d> {
    /// The documents, in the order of the catalogue.
    pub documents: &'d [Document],
    /// Labelled queries with the documents that answer them.
    pub labelled: &'d PairSource,
    /// Finds the other documents of a ranking step.
    pub similar: &'d Similar<'d>,
    /// Category paths that are written before docids, where there are such.
    pub paths: Option<PathExamples<'d>>,
}

/// A retriever that has been trained and not yet been written.
pub struct LearnedRetriever {
    /// Language and catalogue.
    pub files: RetrieverFiles,
    /// The decoder.
    pub model: LanguageModel,
    /// Its weights.
    pub parameters: Parameters,
    /// The mean loss at the end of the last part.
    pub loss: f64,
    /// Steps of an earlier run that this one went on from.
    pub resumed: usize,
    /// What was learned from, in the order of a curriculum.
    pub sources: Vec<PairSource>,
    /// The hierarchy whose paths are written before docids, and of the documents with several paths the share whose texts have different
    /// ones.
    pub paths: Option<(CategoryHierarchy, f64)>,
}

impl LearnedRetriever {
    /// Writes the folder that [`GenerativeRetriever::open`] reads, or with paths [`crate::PathRetriever::open`].
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), GenirError> {
        let hierarchy = self.paths.as_ref().map(|(hierarchy, _)| hierarchy);
        self.files.save_with(folder, &self.model, &self.parameters, hierarchy)
    }

    /// The share of texts that were learned from whose docid is the first one written, over `most` drawn ones of each kind, by the retriever
    /// of the folder that this one was saved in; with paths after the likeliest one of the hierarchy.
    ///
    /// # Errors
    /// The folder cannot be opened, or what the engine says.
    pub fn known_by_heart(&self, folder: &Path, most: usize) -> Result<f64, GenirError> {
        let docids = self.files.docids()?;
        if self.paths.is_none() {
            return recalled(&GenerativeRetriever::open(folder, true)?, &docids, &self.sources, most);
        }
        let retriever = PathRetriever::open(folder, true)?;
        let decoding = PathDecoding { paths: 1, width: 1, constrained: true, ..PathDecoding::default() };
        let first = |texts: &[&str]| {
            let found = retriever.search(texts, &decoding)?;
            Ok(found.iter().map(|found| found.hits.first().map(|hit| hit.document)).collect())
        };
        recalled_by(&first, &docids, &self.sources, most)
    }
}

/// Told the number of the part, from 1, of how many parts, and of each step.
pub type PartProgress<'p> = dyn FnMut((usize, usize), &StepRecord, usize) + 'p;

/// Documents as items, of which schemes make docids; the URL is the field `url`.
pub fn items_of(documents: &[Document]) -> Vec<Item> {
    let item = |document: &Document| Item {
        title: document.title.clone(),
        text: document.text.clone(),
        url: field_named(&document.metadata, "url").and_then(|url| url.as_str()).unwrap_or_default().into(),
        ..Item::new(&document.id)
    };
    documents.iter().map(item).collect()
}

/// The docids of documents by a scheme; `vectors`, one a document, are for schemes that read some, with who trains quantisers of them.
///
/// # Errors
/// The scheme needs what is not there, or no docids can be made of the documents.
pub fn catalogue_of(
    scheme: &Scheme,
    documents: &[Document],
    vectors: Option<(&VectorTable, &dyn QuantizerTrainer)>,
    seed: u64,
) -> Result<Catalogue, GenirError> {
    let items = items_of(documents);
    let (vectors, trainer) = vectors.unzip();
    Ok(scheme.catalogue(&Source { vectors, trainer, ..Source::of_items(&items, seed) })?)
}

impl RetrieverTraining {
    /// Refuses numbers that cannot be.
    ///
    /// # Errors
    /// There is nothing to learn from, weights that do not fit the texts, or a width that cannot be cut into even heads.
    pub fn check(&self) -> Result<(), GenirError> {
        let said = |problem: String| Err(GenirError::Setting(problem));
        if self.first + self.chunks + self.queries == 0 && !self.labelled {
            return said(
                "there is nothing to learn from: ask for first words, chunks, pseudo queries or labelled queries"
                    .into(),
            );
        }
        self.check_weights()?;
        if self.width == 0 || !self.width.is_multiple_of(2 * HEADS) {
            return said(format!(
                "a width of {} is not possible; give a multiple of {}",
                self.width,
                2 * HEADS
            ));
        }
        // Four matrices of attention and three of a feed-forward that is three times as wide.
        let numbers = self.layers as u128 * 13 * (self.width as u128).pow(2);
        if numbers > MOST_PARAMETERS {
            return said(format!(
                "{} layers of width {} have {numbers} numbers, and {MOST_PARAMETERS} are the most; give fewer or narrower ones",
                self.layers, self.width
            ));
        }
        Ok(())
    }

    /// Refuses lists of docids for which there is nothing to learn from.
    ///
    /// # Errors
    /// [`GenirError::Setting`] where no labelled query has several answers with docids of their own, and for a prefix-aware decoder.
    pub fn check_titles(&self, labelled: &PairSource, catalogue: &Catalogue) -> Result<(), GenirError> {
        if self.titles.is_none() {
            return Ok(());
        }
        let said = |problem: &str| Err(GenirError::Setting(format!("titles: {problem}")));
        if !self.decoder.is_plain() {
            return said("lists of docids go with the decoder `plain` alone; leave one of them out");
        }
        let codes = |document: usize| catalogue.items().get(document).map(|item| &item.codes);
        let mut first: HashMap<&str, usize> = HashMap::new();
        let has_several = self.labelled
            && labelled.pairs.iter().filter(|pair| words_of(&pair.text).next().is_some()).any(|pair| {
                let before = *first.entry(&pair.text).or_insert(pair.document);
                codes(before) != codes(pair.document)
            });
        match has_several {
            true => Ok(()),
            false => said("no labelled query has several answers to write in a list; leave it out"),
        }
    }

    /// Refuses weights that do not fit the kinds of texts that are learned from.
    ///
    /// # Errors
    /// A kind that is learned from has none, another one has some, or kinds come one after the other.
    pub fn check_weights(&self) -> Result<(), GenirError> {
        let Some(weights) = self.weights else { return Ok(()) };
        let said = |problem: String| Err(GenirError::Setting(format!("weights: {problem}")));
        if self.curriculum {
            return said(
                "in a curriculum each kind of texts has its own part of the steps; leave them out".into(),
            );
        }
        let is_learned = [self.first + self.chunks > 0, self.queries > 0, self.labelled];
        for ((name, weight), is_learned) in weights.named().into_iter().zip(is_learned) {
            match (is_learned, weight > 0.0) {
                (true, false) => {
                    return said(format!(
                        "{name} are learned from and have 0; give them more, or leave {name} out"
                    ));
                }
                (false, true) => {
                    return said(format!(
                        "{name} are not learned from and have {weight}; give them 0, or ask for them"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses a prefix-aware decoder that would change nothing with the docids of a catalogue, or would be too large.
    ///
    /// # Errors
    /// [`GenirError::Setting`] for it, and [`GenirError::Docid`] for docids that no tree can be made of.
    pub fn check_docids(&self, catalogue: &Catalogue) -> Result<(), GenirError> {
        let DocidDecoder::PrefixAware(options) = self.decoder else { return Ok(()) };
        // Codes, and an end that is none of them.
        let end = catalogue.tokens().len() as u32;
        let items = catalogue.items().iter();
        let docids: Vec<Vec<u32>> = items.map(|item| [&item.codes[..], &[end]].concat()).collect();
        self.checked_head(&docids, catalogue.scheme(), &options).map(drop)
    }

    /// The head of a prefix-aware decoder over docids of a scheme, each with its end.
    fn checked_head(
        &self,
        docids: &[Vec<u32>],
        scheme: &str,
        options: &PrefixAware,
    ) -> Result<PrefixHeadConfig, GenirError> {
        check_prefixes(docids, scheme)?;
        let config = head_config(docids, self.width, options);
        if config.numbers() > MOST_PARAMETERS {
            return Err(GenirError::Setting(format!(
                "decoder: a prefix-aware one of width {} over {} tokens at their places has {} numbers, and {MOST_PARAMETERS} are the most; give \
                 a smaller width, or a scheme with fewer tokens",
                self.width,
                config.tokens(),
                config.numbers()
            )));
        }
        Ok(config)
    }

    /// Trains a decoder to write the docids of a catalogue, whose items are the documents in their order. With `checkpointing` a training that was
    /// killed goes on from its last checkpoint, to the same numbers.
    ///
    /// # Errors
    /// Settings that cannot be or change nothing with these docids, no text to learn from, a loss that is no number, or checkpoints that are
    /// of another training.
    pub fn learn(
        &self,
        data: &LearningData<'_>,
        catalogue: Catalogue,
        compute: &Arc<Compute>,
        checkpointing: Option<&Checkpointing<'_>>,
        progress: &mut PartProgress<'_>,
    ) -> Result<LearnedRetriever, GenirError> {
        self.check()?;
        self.check_titles(data.labelled, &catalogue)?;
        let sources = self.sources(data);
        if sources.is_empty() {
            return Err(GenirError::Setting(
                "the documents have no text to learn from, and there are no labelled queries".into(),
            ));
        }
        let language = self.language(data, &sources, &catalogue);
        let files = RetrieverFiles { language, catalogue, decoder: self.decoder };
        let docids = files.docids()?;
        let targets = ExampleTargets::new(&files, &docids, data.paths.as_ref(), &sources)?;
        let lists = self.answer_lists(&files, data)?;
        let longest = lists.as_ref().map_or(targets.longest(), AnswerLists::longest);
        let context = self.words + 1 + longest.max(RANKED_WORDS);
        let vocabulary = files.language.vocabulary();
        let config = LlamaConfig::small(vocabulary.len(), self.layers, (self.width, 3 * self.width), HEADS);
        let config = LlamaConfig { tie_word_embeddings: true, ..config };
        let mut parameters = Parameters::default();
        let model = LanguageModel::of_words(vocabulary, &config, context, self.seed, &mut parameters)?;
        let head = self.prefix_head(&docids, (&files, data.paths.is_some()), &mut parameters)?;
        let groups = self.ranking_groups(data, &files.language, &sources)?;
        let parts: Vec<&[PairSource]> = match self.curriculum {
            true => sources.chunks(1).collect(),
            false => vec![&sources],
        };
        let (mut loss, mut resumed) = (0.0, 0);
        for (at, part) in parts.iter().enumerate() {
            let steps = (self.steps / parts.len()).max(1);
            let mut settings = settings((self.batch, steps), self.rate, self.seed);
            let folder = checkpointing
                .map(|checkpointing| checkpointing.begin(&format!("part-{}", at + 1), &mut settings))
                .transpose()?;
            let kept = (folder.as_deref(), checkpointing.map_or("", |checkpointing| checkpointing.identity));
            let written =
                |pair: &TextPair| lists.as_ref().map_or_else(|| targets.of(pair), |lists| lists.of(pair));
            let pair = |pair: TextPair| (files.language.prompt(&pair.text), written(&pair));
            let pairs = mixed(part, self.seed).into_iter().map(pair).collect();
            let reranking = (!groups.is_empty()).then(|| Reranking {
                groups: &groups,
                every: self.rank_every,
                weight: 1.0,
                score_token: files.language.score_token(),
            });
            let task = match (&head, self.decoder) {
                (Some(head), DocidDecoder::PrefixAware(options)) => {
                    RetrieverTask::prefix_aware(&model, (head, options), pairs, &settings, reranking)?
                }
                _ => RetrieverTask::new(&model, pairs, &settings, reranking)?,
            };
            let place = (at + 1, parts.len());
            let mut told = |record: &StepRecord, total: usize| progress(place, record, total);
            let report = train(&task, compute, &mut parameters, &settings, kept, None, &mut told)?;
            resumed += report.resumed;
            loss = f64::from(report.final_loss());
        }
        let hierarchy = data.paths.as_ref().map(|paths| paths.hierarchy.clone());
        let paths = hierarchy.zip(targets.diversity(data.paths.as_ref()));
        drop(targets);
        Ok(LearnedRetriever { files, model, parameters, loss, resumed, sources, paths })
    }

    /// The head of a prefix-aware decoder, whose weights are drawn; `None` for a plain one.
    fn prefix_head(
        &self,
        docids: &[Vec<u32>],
        (files, with_paths): (&RetrieverFiles, bool),
        parameters: &mut Parameters,
    ) -> Result<Option<PrefixHead>, GenirError> {
        let DocidDecoder::PrefixAware(options) = self.decoder else { return Ok(None) };
        if with_paths {
            files.check_plain("category paths before docids")?;
        }
        let config = self.checked_head(docids, files.catalogue.scheme(), &options)?;
        Ok(Some(PrefixHead::drawn(parameters, &config, self.seed)?))
    }

    /// What lists are learned from, where some are.
    fn answer_lists(
        &self,
        files: &RetrieverFiles,
        data: &LearningData<'_>,
    ) -> Result<Option<AnswerLists>, GenirError> {
        let Some(most) = self.titles else { return Ok(None) };
        if data.paths.is_some() {
            let problem = "titles: lists of docids have no category paths before them; leave one of them out";
            return Err(GenirError::Setting(problem.into()));
        }
        AnswerLists::new(files, data.labelled, most).map(Some)
    }

    /// What is read and written: words of documents and of what is learned from, tokens of docids and of paths.
    fn language(
        &self,
        data: &LearningData<'_>,
        sources: &[PairSource],
        catalogue: &Catalogue,
    ) -> DocidLanguage {
        let own = data.documents.iter().flat_map(|document| [&document.title[..], &document.text]);
        let texts =
            own.chain(sources.iter().flat_map(|source| source.pairs.iter().map(|pair| &pair.text[..])));
        let of_paths = data.paths.as_ref().map(|paths| PathLanguage::vocabulary(paths.hierarchy));
        let separator = self.titles.map(|_| TITLE_SEPARATOR.to_string());
        let of_docids = catalogue.tokens().iter().cloned();
        let written: Vec<String> = of_docids.chain(separator).chain(of_paths.into_iter().flatten()).collect();
        DocidLanguage::new(texts, &written, (2, self.words))
    }

    /// What is learned from, in the order of a curriculum: first words and chunks, pseudo queries, labelled queries.
    fn sources(&self, data: &LearningData<'_>) -> Vec<PairSource> {
        let mut of_texts = PairSource::default();
        if self.first > 0 {
            of_texts.pairs.extend(first_words(data.documents, self.first).pairs);
        }
        if self.chunks > 0 {
            let cut = chunks(data.documents, self.chunks, self.chunk_words, self.seed);
            of_texts.pairs.extend(cut.pairs);
        }
        let pseudo = PseudoQueries { count: self.queries, seed: self.seed, ..PseudoQueries::default() };
        let labelled = if self.labelled { data.labelled.clone() } else { PairSource::default() };
        let mut all = [of_texts, pseudo.of(data.documents), labelled];
        if let Some(weights) = self.weights {
            let shares = weights.named().into_iter();
            all.iter_mut().zip(shares).for_each(|(source, (_, share))| source.weight = Some(share));
        }
        // A text without words says nothing of its document.
        all.iter_mut().for_each(|source| source.pairs.retain(|pair| words_of(&pair.text).next().is_some()));
        all.into_iter().filter(|source| !source.pairs.is_empty()).collect()
    }

    /// Groups of one right document and such as are like the same text; of labelled queries alone, where they are learned from.
    fn ranking_groups(
        &self,
        data: &LearningData<'_>,
        language: &DocidLanguage,
        sources: &[PairSource],
    ) -> Result<Vec<RerankingGroup>, GenirError> {
        if self.rank_every == 0 {
            return Ok(Vec::new());
        }
        let all = match self.labelled {
            true => mixed(std::slice::from_ref(data.labelled), self.seed),
            false => mixed(sources, self.seed),
        };
        let order = Stream::new(self.seed, 9 << 40).permutation(all.len());
        let mut groups = Vec::new();
        for pair in order.into_iter().take(GROUPS).map(|at| &all[at]) {
            let found = (data.similar)(&pair.text, 2 * GROUP)?;
            let others = found.into_iter().filter(|at| *at != pair.document);
            let documents: Vec<usize> = [pair.document].into_iter().chain(others.take(GROUP - 1)).collect();
            let sequence = |at: &usize| {
                let mut tokens = language.prompt(&pair.text);
                tokens.extend(language.words(&data.documents[*at].model_text(), RANKED_WORDS));
                tokens
            };
            let labels = documents.iter().map(|at| f32::from(u8::from(*at == pair.document))).collect();
            groups.push(RerankingGroup { sequences: documents.iter().map(sequence).collect(), labels });
        }
        Ok(groups)
    }
}

/// The settings of a training of so many texts a step and steps: the rate rises over a twentieth of them and falls as a cosine. Nothing is
/// kept on the way.
pub fn settings((batch, steps): (usize, usize), rate: f32, seed: u64) -> Settings {
    Settings {
        batch,
        steps,
        rate,
        warmup: steps / 20,
        schedule: Schedule::Cosine,
        seed,
        checkpoint: 0,
        ..Settings::default()
    }
}

/// The share of texts that were learned from whose docid is the first one written, over `most` drawn ones of each kind.
///
/// # Errors
/// What the engine says.
pub fn recalled(
    retriever: &GenerativeRetriever,
    docids: &[Vec<u32>],
    sources: &[PairSource],
    most: usize,
) -> Result<f64, GenirError> {
    let first = |texts: &[&str]| {
        let found = retriever.search(texts, &Decoding::Beams { width: 1 }, 0)?;
        Ok(found.iter().map(|found| found.documents.first().map(|(document, _)| *document)).collect())
    };
    recalled_by(&first, docids, sources, most)
}

/// The first document for each of some texts.
pub type FirstDocuments<'f> = dyn Fn(&[&str]) -> Result<Vec<Option<usize>>, GenirError> + 'f;

/// The same of any retriever.
///
/// # Errors
/// What it says.
pub fn recalled_by(
    first: &FirstDocuments<'_>,
    docids: &[Vec<u32>],
    sources: &[PairSource],
    most: usize,
) -> Result<f64, GenirError> {
    let (mut right, mut count) = (0usize, 0usize);
    for source in sources {
        let order = Stream::new(1, 8 << 40).permutation(source.pairs.len());
        let pairs: Vec<&TextPair> = order.into_iter().take(most).map(|at| &source.pairs[at]).collect();
        for pairs in pairs.chunks(TOGETHER) {
            let texts: Vec<&str> = pairs.iter().map(|pair| &pair.text[..]).collect();
            for (pair, document) in pairs.iter().zip(first(&texts)?) {
                let found = document.map(|document| &docids[document]);
                right += usize::from(found == Some(&docids[pair.document]));
                count += 1;
            }
        }
    }
    Ok(right as f64 / count.max(1) as f64)
}

#[cfg(test)]
pub(crate) mod tests;
