//! A trained retriever: a decoder, its language, and the docids of a corpus in one folder.

use crate::beam_options::by_sum;
use crate::category_paths::CategoryHierarchy;
use crate::path_retriever::{HIERARCHY_FILE, save_hierarchy};
use crate::prefix_aware::{HEAD_FILE, PrefixAwareSession, ServedHead, save_head};
use crate::reverse_annealing::{DrawRequest, ReverseAnnealing, draw};
use crate::{DocidDecoder, DocidLanguage, DocidTrie, GenirError};
use plackett_ids::{CATALOGUE_FILE, Catalogue};
use plackett_lm::Precision;
use plackett_lm::decode::{DecodeModel, DecodeRequest, Decoded, Normalize, TrieConstraint, decode};
use plackett_lm::decoder::{DecoderModel, DecoderOptions};
use plackett_lm::sha256;
use plackett_train::Parameters;
use plackett_train::files::write_whole;
use plackett_train::trainer::{LanguageModel, VOCABULARY_FILE, WordVocabulary};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Says what the folder of a retriever holds; written last, so that a folder with it is whole.
pub const RETRIEVER_FILE: &str = "retriever.json";
/// The weights.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RetrieverSettings {
    /// Words of a query that are read.
    query_words: usize,
    /// SHA-256 of the catalogue, as hexadecimal digits.
    catalogue_sha256: String,
    /// Those of the weights and of the vocabulary.
    weights_sha256: String,
    vocabulary_sha256: String,
    /// What writes docids, and the SHA-256 of its own weights, where it has some.
    #[serde(default, skip_serializing_if = "DocidDecoder::is_plain")]
    decoder: DocidDecoder,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head_sha256: Option<String>,
}

/// The SHA-256 of a file, as hexadecimal digits.
fn sha256_of(path: &Path) -> Result<String, GenirError> {
    sha256::file_hex_digest(path).map_err(|source| GenirError::file(path, source))
}

/// What a retriever is beside its weights.
#[derive(Clone, Debug)]
pub struct RetrieverFiles {
    /// What it reads and writes.
    pub language: DocidLanguage,
    /// The documents, in the order of the corpus, with their docids and titles.
    pub catalogue: Catalogue,
    /// What writes docids.
    pub decoder: DocidDecoder,
}

impl RetrieverFiles {
    /// The docid of each document as tokens, with its end.
    ///
    /// # Errors
    /// The vocabulary was made for other docids.
    pub fn docids(&self) -> Result<Vec<Vec<u32>>, GenirError> {
        let codes: Vec<&[u32]> = self.catalogue.items().iter().map(|item| &item.codes[..]).collect();
        self.language.docids(self.catalogue.tokens(), &codes)
    }

    /// Refuses a prefix-aware decoder where docids are written by the output matrix of the model alone; `what` does so.
    ///
    /// # Errors
    /// [`GenirError::Setting`] for it.
    pub fn check_plain(&self, what: &str) -> Result<(), GenirError> {
        match self.decoder {
            DocidDecoder::Plain => Ok(()),
            DocidDecoder::PrefixAware(_) => Err(GenirError::Setting(format!(
                "{what} cannot be had of a retriever with a prefix-aware decoder; learn its docids with the decoder `plain`"
            ))),
        }
    }

    /// Writes weights, tokenizer, vocabulary and catalogue into a folder; of a prefix-aware decoder also its head, which is among `parameters`.
    ///
    /// # Errors
    /// A file cannot be written, or the head is missing.
    pub fn save(
        &self,
        folder: &Path,
        model: &LanguageModel,
        parameters: &Parameters,
    ) -> Result<(), GenirError> {
        self.save_with(folder, model, parameters, None)
    }

    /// The same of a retriever that writes the paths of a hierarchy before docids, where there is one: it lies in the folder before
    /// [`RETRIEVER_FILE`] does.
    ///
    /// # Errors
    /// As [`RetrieverFiles::save`].
    pub(crate) fn save_with(
        &self,
        folder: &Path,
        model: &LanguageModel,
        parameters: &Parameters,
        hierarchy: Option<&CategoryHierarchy>,
    ) -> Result<(), GenirError> {
        let path = folder.join(RETRIEVER_FILE);
        // A head or a hierarchy of an earlier retriever would be none of this one.
        for old in [&path, &folder.join(HEAD_FILE), &folder.join(HIERARCHY_FILE)] {
            match std::fs::remove_file(old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(GenirError::file(old, error));
                }
                _ => {}
            }
        }
        model.clone().save(folder, parameters)?;
        if !self.decoder.is_plain() {
            save_head(folder, parameters)?;
        }
        self.language.vocabulary().save(folder)?;
        self.catalogue.save(&folder.join(CATALOGUE_FILE))?;
        if let Some(hierarchy) = hierarchy {
            save_hierarchy(folder, self, hierarchy)?;
        }
        let settings = RetrieverSettings {
            query_words: self.language.most_words(),
            catalogue_sha256: self.catalogue.sha256().to_string(),
            weights_sha256: sha256_of(&folder.join(WEIGHTS_FILE))?,
            vocabulary_sha256: sha256_of(&folder.join(VOCABULARY_FILE))?,
            decoder: self.decoder,
            head_sha256: match self.decoder {
                DocidDecoder::Plain => None,
                DocidDecoder::PrefixAware(_) => Some(sha256_of(&folder.join(HEAD_FILE))?),
            },
        };
        let settings = serde_json::to_string_pretty(&settings).unwrap_or_default();
        Ok(write_whole(&path, settings.as_bytes())?)
    }

    /// Reads what [`RetrieverFiles::save`] has written.
    ///
    /// # Errors
    /// A file cannot be read or is damaged, or the catalogue is not that of the model.
    pub fn open(folder: &Path) -> Result<RetrieverFiles, GenirError> {
        let path = folder.join(RETRIEVER_FILE);
        if !path.is_file() {
            let problem = format!("holds no retriever (no {RETRIEVER_FILE}); `plackett ids learn` makes one");
            return Err(GenirError::Form { path: folder.into(), line: None, problem });
        }
        let text = std::fs::read_to_string(&path).map_err(|source| GenirError::file(&path, source))?;
        let settings: RetrieverSettings = serde_json::from_str(&text).map_err(|error| GenirError::Form {
            path,
            line: Some(error.line()),
            problem: format!("{error}; make the retriever anew"),
        })?;
        let catalogue = Catalogue::open(&folder.join(CATALOGUE_FILE))?;
        if catalogue.sha256() != settings.catalogue_sha256 {
            let problem =
                "it is not the catalogue that the model was trained with; take the one that was saved with it".into();
            return Err(GenirError::Form { path: folder.join(CATALOGUE_FILE), line: None, problem });
        }
        let mut told =
            vec![(WEIGHTS_FILE, &settings.weights_sha256), (VOCABULARY_FILE, &settings.vocabulary_sha256)];
        told.extend(settings.head_sha256.as_ref().map(|head| (HEAD_FILE, head)));
        for (name, told) in told {
            let path = folder.join(name);
            if sha256_of(&path)? != *told {
                let problem = format!(
                    "it is not the file that {RETRIEVER_FILE} was written with; make the retriever anew"
                );
                return Err(GenirError::Form { path, line: None, problem });
            }
        }
        let language = DocidLanguage::of(WordVocabulary::open(folder)?, settings.query_words);
        Ok(RetrieverFiles { language, catalogue, decoder: settings.decoder })
    }
}

/// How docids are looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decoding {
    /// Beam search inside the tree of docids, with probabilities among the tokens that may come next.
    Beams {
        /// Beams, and most docids of a query.
        width: usize,
    },
    /// Draws without replacement at a rising temperature.
    ReverseAnnealing {
        /// How many, and how the temperature rises.
        annealing: ReverseAnnealing,
        /// From which draws follow.
        seed: u64,
    },
}

/// What was found for a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retrieved {
    /// Documents, the best first, as places in the corpus, with their scores: log-probabilities of docids for beams, 1/rank of the
    /// draw for draws. Documents of one docid have one score and stand in the order of the corpus.
    pub documents: Vec<(usize, f64)>,
    /// Ranks of the docids in the tree, in the same order, each once.
    pub docids: Vec<usize>,
    /// Sequences that went through the model.
    pub branches: usize,
}

/// A retriever that answers.
pub struct GenerativeRetriever {
    engine: DecoderModel,
    /// The head of a prefix-aware decoder.
    head: Option<ServedHead>,
    files: RetrieverFiles,
    docids: DocidTrie,
}

impl GenerativeRetriever {
    /// Opens the folder of a retriever; with `shortened` docids end where they are unique.
    ///
    /// # Errors
    /// As [`RetrieverFiles::open`]; the model cannot be opened, or has another vocabulary; docids that no tree can be made of.
    pub fn open(folder: &Path, shortened: bool) -> Result<GenerativeRetriever, GenirError> {
        let files = RetrieverFiles::open(folder)?;
        let options = DecoderOptions { precision: Precision::F32, ..DecoderOptions::default() };
        let engine = DecoderModel::open(folder, &options)?;
        let (own, of_model) = (files.language.vocabulary().len(), engine.info().vocabulary);
        if own != of_model {
            let problem = format!(
                "the vocabulary has {own} tokens and the model {of_model}; they are not of one training"
            );
            return Err(GenirError::Form { path: folder.into(), line: None, problem });
        }
        let docids = files.docids()?;
        let head = match &files.decoder {
            DocidDecoder::Plain => None,
            DocidDecoder::PrefixAware(options) => {
                let shape = (of_model, engine.info().hidden);
                Some(ServedHead::open(folder, &docids, options, shape, engine.info().threads)?)
            }
        };
        let docids = DocidTrie::new(&docids)?;
        let docids = if shortened { docids.shortened() } else { docids };
        Ok(GenerativeRetriever { engine, head, files, docids })
    }

    /// A place for prefixes of docids that its decoder writes.
    pub(crate) fn session(&self) -> Box<dyn DecodeModel + '_> {
        match &self.head {
            None => Box::new(self.engine.session()),
            Some(head) => Box::new(PrefixAwareSession::new(&self.engine, head)),
        }
    }

    /// The model, whose own output matrix writes the docids of a plain decoder alone.
    pub(crate) fn engine(&self) -> &DecoderModel {
        &self.engine
    }

    /// The catalogue and the language.
    pub fn files(&self) -> &RetrieverFiles {
        &self.files
    }

    /// The tree of docids.
    pub fn docids(&self) -> &DocidTrie {
        &self.docids
    }

    /// Documents for each query. `first` is the number of the first query, from which draws follow.
    ///
    /// # Errors
    /// A search that cannot be, or what the engine says.
    pub fn search(
        &self,
        queries: &[&str],
        decoding: &Decoding,
        first: u64,
    ) -> Result<Vec<Retrieved>, GenirError> {
        let prompts: Vec<Vec<u32>> = queries.iter().map(|query| self.files.language.prompt(query)).collect();
        match decoding {
            Decoding::Beams { width } => self.beams(&prompts, *width),
            Decoding::ReverseAnnealing { annealing, seed } => {
                let requests: Vec<DrawRequest<'_>> = prompts
                    .iter()
                    .zip(first..)
                    .map(|(prompt, index)| DrawRequest { prompt, index })
                    .collect();
                let draws = draw(&mut *self.session(), &requests, &self.docids, annealing, *seed)?;
                let found = draws.into_iter().map(|draws| {
                    let scores = (1..=draws.ranks.len()).map(|rank| 1.0 / rank as f64);
                    self.retrieved(draws.ranks.iter().copied().zip(scores), draws.branches)
                });
                Ok(found.collect())
            }
        }
    }

    fn beams(&self, prompts: &[Vec<u32>], width: usize) -> Result<Vec<Retrieved>, GenirError> {
        let retrieved = |found: Decoded<usize>| {
            let docids = found.hypotheses.iter().map(|one| (one.output, one.score));
            self.retrieved(docids, found.branches)
        };
        Ok(self.hypotheses(prompts, width)?.into_iter().map(retrieved).collect())
    }

    /// Docids by beams, as they were written, with their ranks in the tree.
    fn hypotheses(&self, prompts: &[Vec<u32>], width: usize) -> Result<Vec<Decoded<usize>>, GenirError> {
        let constraint = TrieConstraint::new(self.docids.trie(), None).map_err(plackett_lm::LmError::from)?;
        let mut session = self.session();
        let prefix = session.root();
        let requests: Vec<DecodeRequest<'_, _>> = prompts
            .iter()
            .zip(0..)
            .map(|(prompt, index)| DecodeRequest { prefix, prompt, constraint: &constraint, index })
            .collect();
        let found = decode(&mut *session, &requests, &by_sum(width, Normalize::Allowed))?.into_iter();
        found.map(|found| found.map_err(|error| plackett_lm::LmError::from(error).into())).collect()
    }

    /// The documents of docids with their scores.
    fn retrieved(&self, docids: impl Iterator<Item = (usize, f64)>, branches: usize) -> Retrieved {
        let mut retrieved = Retrieved { branches, ..Retrieved::default() };
        for (rank, score) in docids {
            retrieved.docids.push(rank);
            let documents = self.docids.documents(rank).iter();
            retrieved.documents.extend(documents.map(|document| (*document, score)));
        }
        retrieved
    }
}

#[cfg(test)]
mod tests;
