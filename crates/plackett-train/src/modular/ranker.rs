//! A reranker for a pair of languages, put together when it is asked for.

use super::Module;
use super::ranking::other_kind;
use crate::TrainError;
use crate::adapter::{Attached, Stage, compose};
use crate::tape::{Compute, Parameters};
use crate::trainer::CrossEncoder;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Which languages' modules are put below the module of ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanguageSetting {
    /// None of them.
    None,
    /// That of the query's language.
    Query,
    /// That of the document's language.
    Document,
    /// Adapters: the query's tokens go through that of its language, the others through that of the document's.
    Split,
    /// Sparse differences: both are added; once where the languages are one.
    Both,
}

impl LanguageSetting {
    /// Their names, in the order of [`LanguageSetting::ALL`].
    pub const NAMES: [&'static str; 5] = ["none", "query", "document", "split", "both"];
    /// All of them.
    pub const ALL: [LanguageSetting; 5] = [
        LanguageSetting::None,
        LanguageSetting::Query,
        LanguageSetting::Document,
        LanguageSetting::Split,
        LanguageSetting::Both,
    ];

    /// The setting of a name.
    pub fn named(name: &str) -> Option<LanguageSetting> {
        Self::NAMES.iter().position(|known| *known == name).map(|at| Self::ALL[at])
    }
}

/// An encoder with a module of ranking and modules of languages.
pub struct ModularRanker {
    encoder: CrossEncoder,
    /// The encoder's weights, and those of adapters.
    start: Parameters,
    /// The same, as they are put together now.
    current: Parameters,
    ranking: Module,
    languages: BTreeMap<String, Module>,
}

impl ModularRanker {
    /// Opens an encoder, a module of ranking and modules of languages by name; nothing is put together yet but the module of ranking.
    ///
    /// # Errors
    /// A file that cannot be read, or a module of another encoder.
    pub fn open(
        base: &Path,
        ranking: &Path,
        languages: &[(String, &Path)],
        tokens: usize,
    ) -> Result<ModularRanker, TrainError> {
        let mut start = Parameters::default();
        let mut encoder = CrossEncoder::open(base, &mut start, tokens, 0)?;
        let ranking = Module::open(ranking, &mut start, &mut encoder.bert)?;
        let mut modules = BTreeMap::new();
        for (language, path) in languages {
            modules.insert(language.clone(), Module::open(path, &mut start, &mut encoder.bert)?);
        }
        let current = start.clone();
        let mut ranker = ModularRanker { encoder, start, current, ranking, languages: modules };
        ranker.assemble(LanguageSetting::None, ("", ""), true)?;
        Ok(ranker)
    }

    /// Puts the modules together for a query's and a document's language. Without `invertible` the blocks behind the embeddings, which languages'
    /// adapters were learned with, are left out.
    ///
    /// # Errors
    /// There is no module of a language, it is of another kind than that of ranking, or the setting does not go with the kind.
    pub fn assemble(
        &mut self,
        setting: LanguageSetting,
        (query, document): (&str, &str),
        invertible: bool,
    ) -> Result<(), TrainError> {
        let refused = |problem: &str| Err(TrainError::Setting(problem.into()));
        self.current = self.start.clone();
        let languages = &self.languages;
        match &self.ranking {
            Module::Adapter(ranking) => {
                let below = match setting {
                    LanguageSetting::None => None,
                    LanguageSetting::Query => Some(Stage::All(adapter(languages, query)?)),
                    LanguageSetting::Document => Some(Stage::All(adapter(languages, document)?)),
                    LanguageSetting::Split => {
                        Some(Stage::Split(adapter(languages, query)?, adapter(languages, document)?))
                    }
                    LanguageSetting::Both => {
                        return refused("`both` adds up sparse differences; adapters take `split`");
                    }
                };
                let stages: Vec<Stage<'_>> = below.into_iter().chain([Stage::All(ranking)]).collect();
                compose(&mut self.encoder.bert, &stages)?;
                if !invertible {
                    self.encoder.bert.embedding_adapters.clear();
                }
            }
            Module::Sparse(ranking) => {
                let below = match setting {
                    LanguageSetting::None => Vec::new(),
                    LanguageSetting::Query => vec![query],
                    LanguageSetting::Document => vec![document],
                    LanguageSetting::Both if query == document => vec![query],
                    LanguageSetting::Both => vec![query, document],
                    LanguageSetting::Split => {
                        return refused(
                            "`split` parts the tokens among adapters; sparse differences take `both`",
                        );
                    }
                };
                for language in below {
                    match module(languages, language)? {
                        Module::Sparse(difference) => difference.apply(&mut self.current, false)?,
                        module => {
                            return Err(other_kind(&format!("`{language}`"), module, "a sparse difference"));
                        }
                    }
                }
                ranking.apply(&mut self.current, true)?;
            }
        }
        Ok(())
    }

    /// Scores of pairs of a query and a text, as the modules are put together now.
    ///
    /// # Errors
    /// A text cannot be split into tokens.
    pub fn scores(&self, compute: &Arc<Compute>, pairs: &[(&str, &str)]) -> Result<Vec<f32>, TrainError> {
        self.encoder.scores(compute, &self.current, pairs)
    }
}

fn module<'m>(languages: &'m BTreeMap<String, Module>, language: &str) -> Result<&'m Module, TrainError> {
    languages.get(language).ok_or_else(|| {
        let known: Vec<&str> = languages.keys().map(String::as_str).collect();
        TrainError::Setting(format!(
            "there is no module of the language `{language}`; there are: {}",
            if known.is_empty() { "none".to_string() } else { known.join(", ") }
        ))
    })
}

fn adapter<'m>(languages: &'m BTreeMap<String, Module>, language: &str) -> Result<&'m Attached, TrainError> {
    match module(languages, language)? {
        Module::Adapter(adapter) => Ok(adapter),
        module => Err(other_kind(&format!("`{language}`"), module, "a bottleneck adapter")),
    }
}
