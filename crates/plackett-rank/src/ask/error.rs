//! Why a question has no answer.

use crate::model::CallError;
use crate::prompt::TemplateError;
use crate::ranker::RankError;
use plackett_core::diversity::DiversityError;
use plackett_lm::LmError;

/// Why a question has no answer, or its candidates no order.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is nothing to answer.
    #[error("the question is empty; write what is to be answered")]
    NoQuestion,
    /// A model that cannot write.
    #[error("the model {model} cannot answer questions: {reason}")]
    WrongModel {
        /// The model's name.
        model: String,
        /// What it lacks, and which model would do.
        reason: String,
    },
    /// Long texts are to be read in pieces.
    #[error(
        "passages stand together in one prompt and are cut to fit it or refused, not read in pieces; use truncate or refuse"
    )]
    Pieces,
    /// A prompt that cannot be used.
    #[error(transparent)]
    Prompt(#[from] TemplateError),
    /// The model gave no answer to a prompt.
    #[error("{step}: {source}")]
    Call {
        /// What was asked for.
        step: &'static str,
        /// Why there is none.
        source: CallError,
    },
    /// A ranker has not got what it needs.
    #[error("the ranker `{ranker}` needs {needs}")]
    Lacking {
        /// The ranker.
        ranker: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// The model's list cannot be had.
    #[error(transparent)]
    Rank(#[from] RankError),
    /// Numbers that have no diverse order.
    #[error(transparent)]
    Diversity(#[from] DiversityError),
    /// Vectors that cannot be had.
    #[error(transparent)]
    Vectors(#[from] LmError),
}

impl AskError {
    /// Whether the model or a server failed, and not what it was given.
    pub fn is_outside(&self) -> bool {
        match self {
            AskError::Call { source, .. } => matches!(source, CallError::Model(_)),
            AskError::Rank(RankError::Call { source, .. }) => matches!(**source, CallError::Model(_)),
            AskError::Rank(RankError::Model { .. } | RankError::Service { .. }) | AskError::Vectors(_) => {
                true
            }
            _ => false,
        }
    }
}

/// A list of aspects that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AspectFileError {
    /// A line that is wrong.
    #[error("line {line}: {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong and what to do.
        problem: String,
    },
    /// There is no aspect in it.
    #[error("there is no aspect in it; write one a line")]
    Empty,
}
