//! What can go wrong with what comes from outside.

use plackett_core::declaration::OptionError;
use plackett_core::formats::{FormatError, plain};
use std::path::{Path, PathBuf};

/// A training that cannot be done or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file cannot be read or written.
    #[error("{}: {}", .path.display(), plain(.source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what is expected.
    #[error("{}: {problem}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// A file of examples cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A record of the data is not one that can be trained on.
    #[error("{}, record {record}: {problem}", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        record: usize,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// The model cannot be used so.
    #[error("{0}")]
    Model(String),
    /// A setting of the training is not possible.
    #[error("{0}")]
    Setting(String),
    /// A step that the model or its objective cannot do.
    #[error(
        "step {step}: {problem} (examples: {examples}; the same command goes on from {})",
        last(.checkpoint)
    )]
    Step {
        /// The step.
        step: usize,
        /// What is wrong and what to do.
        problem: String,
        /// The batch's examples.
        examples: String,
        /// The last step that was saved.
        checkpoint: Option<usize>,
    },
    /// The loss or its gradients are no numbers any more.
    #[error(
        "step {step}: {what} is {value} (examples: {examples}), and would be again from {}: lower the learning rate or clip \
         gradients, and train into another folder",
        last(.checkpoint)
    )]
    Diverged {
        /// The step.
        step: usize,
        /// What is no number.
        what: &'static str,
        /// What it is.
        value: f64,
        /// The batch's examples.
        examples: String,
        /// The last step that was saved.
        checkpoint: Option<usize>,
    },
    /// A reward of what was written, or what it is compared as, is no number.
    #[error("{}answer {answer} to prompt {prompt} is worth {reward}, which is no number; correct what rewards it", at(.step))]
    Reward {
        /// The step, once it is known.
        step: Option<usize>,
        /// The prompt, from 1.
        prompt: usize,
        /// Its answer, from 1.
        answer: usize,
        /// The reward; the advantage where that is the one without a value.
        reward: f64,
    },
}

impl TrainError {
    /// A file that cannot be read or written.
    pub fn file(path: &Path, source: std::io::Error) -> TrainError {
        TrainError::File { path: path.into(), source }
    }

    /// The same with the step in which it happened, where what has failed could not know it.
    pub fn at_step(self, at: usize) -> TrainError {
        match self {
            TrainError::Reward { step: None, prompt, answer, reward } => {
                TrainError::Reward { step: Some(at), prompt, answer, reward }
            }
            other => other,
        }
    }
}

impl From<OptionError> for TrainError {
    fn from(error: OptionError) -> TrainError {
        TrainError::Setting(error.to_string())
    }
}

/// The step at the beginning of a message.
fn at(step: &Option<usize>) -> String {
    step.map_or_else(String::new, |step| format!("step {step}: "))
}

/// Where a training would go on.
fn last(checkpoint: &Option<usize>) -> String {
    match checkpoint {
        Some(step) => format!("the last checkpoint, of step {step}"),
        None => "the beginning, since there is no checkpoint yet".into(),
    }
}
