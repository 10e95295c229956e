//! Why a model gave no answer to a prompt.

use super::Need;
use plackett_lm::LmError;
use plackett_remote::RemoteError;
use std::sync::Arc;

/// What a model or server said when it failed, shared by all prompts of the call.
pub type ModelFailure = Arc<dyn std::error::Error + Send + Sync>;

/// Why one prompt has no answer. Cheap to clone, because a failed call fails all of its prompts.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// A label that the model cannot write as one token after that prompt.
    #[error("the label {label:?} cannot be read from the next token: {problem}")]
    Label {
        /// The label.
        label: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The prompt and the longest answer are more than the model reads.
    #[error(
        "the prompt has {tokens} tokens and the answer up to {answer}, the model reads {limit} together; shorten the \
         query or the passages, or ask for fewer candidates at once"
    )]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of the answer at most.
        answer: usize,
        /// Tokens that the model reads.
        limit: usize,
    },
    /// The query and the words around it leave no room for a single passage.
    #[error(
        "the query and the instructions have {tokens} tokens without any passage and the answer up to {answer}, the model \
         reads {limit} together; shorten the query"
    )]
    QueryTooLong {
        /// Tokens of the prompt with empty passages.
        tokens: usize,
        /// Tokens of the answer at most.
        answer: usize,
        /// Tokens that the model reads.
        limit: usize,
    },
    /// A passage that does not fit, where long texts are refused.
    #[error("{0}")]
    Refused(String),
    /// Something the model cannot do.
    #[error("the model {model} cannot give {need}: {reason}")]
    Unable {
        /// The model's name.
        model: String,
        /// What was asked for.
        need: Need,
        /// Why not, and what could.
        reason: String,
    },
    /// A prompt or a request that makes no sense.
    #[error("{0}")]
    Argument(String),
    /// An answer from which no order can be read, where the method has no rule for it.
    #[error("no order can be read from the model's answer {answer:?}: {problem}")]
    Answer {
        /// The beginning of the answer.
        answer: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The model itself failed.
    #[error("{0}")]
    Model(ModelFailure),
}

impl CallError {
    /// A failure of the model or server.
    pub fn model(error: impl std::error::Error + Send + Sync + 'static) -> CallError {
        CallError::Model(Arc::new(error))
    }

    /// Whether a server failed and not the prompt: the same prompt may well be answered another time.
    pub fn is_outage(&self) -> bool {
        let CallError::Model(failure) = self else { return false };
        let remote = failure.downcast_ref::<RemoteError>();
        let remote = remote.or_else(|| failure.downcast_ref::<LmError>().and_then(RemoteError::of));
        remote.is_some_and(RemoteError::is_outage)
    }
}

impl From<LmError> for CallError {
    fn from(error: LmError) -> CallError {
        CallError::model(error)
    }
}
