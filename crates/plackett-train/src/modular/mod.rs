//! Rerankers that are put together of small modules on one frozen encoder (Litschko et al., Parameter-efficient neural reranking for
//! cross-lingual and multilingual retrieval, COLING 2022): a module of each language, learned from raw text, and one of ranking, learned from
//! judgments in one language. A module is a bottleneck adapter or a sparse difference of the weights.

mod language;
mod ranker;
mod ranking;
#[cfg(test)]
mod tests;

pub use language::{LanguageModuleJob, LanguageOutcome, train_masked_head};
pub use ranker::{LanguageSetting, ModularRanker};
pub use ranking::{RankingModuleJob, RankingOutcome};

use crate::TrainError;
use crate::adapter::{AdapterHeader, Attached, SparseDifference, open};
use crate::nn::Bert;
use crate::tape::Parameters;
use std::path::Path;

/// A module of a language or of ranking.
#[derive(Debug)]
pub(crate) enum Module {
    /// A network beside each layer.
    Adapter(Box<Attached>),
    /// What is added to the encoder's own weights.
    Sparse(SparseDifference),
}

impl Module {
    /// Opens a module's file. An adapter is put on the encoder; a difference is only read, and checked against its weights, to which nothing
    /// was added yet.
    ///
    /// # Errors
    /// The file is no module, or one of another encoder, be it of the same shapes.
    pub(crate) fn open(
        path: &Path,
        parameters: &mut Parameters,
        encoder: &mut Bert,
    ) -> Result<Module, TrainError> {
        match AdapterHeader::read(path) {
            Ok(_) => Ok(Module::Adapter(Box::new(open(path, parameters, encoder)?))),
            Err(TrainError::Form { .. }) => {
                let sparse = SparseDifference::open(path)?;
                sparse.check(parameters, false)?;
                sparse.check_base(parameters)?;
                Ok(Module::Sparse(sparse))
            }
            Err(error) => Err(error),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Module::Adapter(_) => "a bottleneck adapter",
            Module::Sparse(_) => "a sparse difference",
        }
    }
}
