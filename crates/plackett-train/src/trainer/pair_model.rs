//! What a training on lists of candidates asks of the model that scores them.

use crate::TrainError;
use crate::adapter::Adaptable;
use crate::nn::Mode;
use crate::tape::{Parameters, Tape, Var};
use std::path::Path;

/// A pair of a query and a text as tokens.
#[derive(Clone, Debug)]
pub struct EncodedPair {
    /// All of them, in one sequence.
    pub tokens: Vec<u32>,
    /// How many of them are in the first segment, of models that have such.
    pub first: usize,
    /// Whether the texts had more.
    pub is_cut: bool,
}

/// A model with one score for a query and a text that it reads together.
pub trait PairModel: Send + Sync {
    /// A pair as it is read, cut to [`PairModel::most_tokens`].
    ///
    /// # Errors
    /// It cannot be split into tokens.
    fn encode(&self, query: &str, text: &str) -> Result<EncodedPair, TrainError>;

    /// A score for each pair, as a column, and how many tokens were read.
    fn scores_of(&self, tape: &Tape, pairs: &[&EncodedPair], mode: Mode) -> (Var, usize);

    /// Whether a parameter is part of what the base did not have, or gives the score.
    fn is_head(&self, name: &str) -> bool;

    /// Most tokens of a pair; what is more is cut.
    fn most_tokens(&self) -> usize;

    /// The part that adapters are added to.
    fn adaptable(&mut self) -> &mut dyn Adaptable;

    /// Writes a directory that the inference engine and Hugging Face's libraries read, with adapters merged.
    ///
    /// # Errors
    /// A file cannot be written.
    fn save(&mut self, folder: &Path, parameters: &Parameters) -> Result<(), TrainError>;
}
