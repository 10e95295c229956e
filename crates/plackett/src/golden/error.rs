//! Why golden outputs cannot be had.

use super::Kind;
use plackett_core::formats::FormatError;
use plackett_lm::LmError;
use std::path::PathBuf;

/// Golden outputs that cannot be read, or that say nothing about a model.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not what `docs/golden.md` describes.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        problem: String,
    },
    /// The outputs are of another kind than the model's.
    #[error("the golden outputs are {golden}, and {model} gives {given}; take those of this model")]
    Kind {
        /// The model.
        model: String,
        /// What the file has.
        golden: Kind,
        /// What the model has.
        given: Kind,
    },
    /// The model has no outputs that can be compared.
    #[error("{model} gives one vector per token and no text vectors or scores; nothing of it is compared")]
    Nothing {
        /// The model.
        model: String,
    },
    /// A case for which the model cannot be run.
    #[error("golden output {case}: {source}")]
    Case {
        /// Its number, from 1.
        case: usize,
        /// What the model says.
        source: Box<LmError>,
    },
    /// An output that is no number.
    #[error("golden output {case}: the model gives what is no number; check its weights")]
    NotANumber {
        /// Its number, from 1.
        case: usize,
    },
    /// Scores by which a model with rounded weights cannot be judged.
    #[error(
        "three or more pairs with different scores are needed to compare a model with rounded weights; take more texts"
    )]
    TooFewScores,
    /// Outputs of another size than the model's.
    #[error("golden output {case}: {problem}; take those of this model")]
    Size {
        /// Its number, from 1.
        case: usize,
        /// What differs.
        problem: String,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] FormatError),
}
