//! Why a template cannot be used.

/// A template that cannot be read or does not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// A file that cannot be read.
    #[error("prompt {0}")]
    Unreadable(String),
    /// A name of no file and of no prompt that comes with what asks for it.
    #[error(
        "prompt `{asked}` is neither a file nor one that is known here ({known}); give the path of a file"
    )]
    Unknown {
        /// What was written.
        asked: String,
        /// Those that come with it.
        known: String,
    },
    /// A file that is no template.
    #[error("prompt {origin}, line {line}: {problem}")]
    Line {
        /// The file, or the name of an embedded one.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A template that lacks something.
    #[error("prompt {origin}: {problem}")]
    Lacking {
        /// The file, or the name of an embedded one.
        origin: String,
        /// What is missing and what to do.
        problem: String,
    },
    /// More passages than there are labels.
    #[error(
        "prompt {origin}: {asked} passages stand in one prompt, and it has {known} labels; give fewer passages at once, or \
         a prompt with more labels"
    )]
    Labels {
        /// The file, or the name of an embedded one.
        origin: String,
        /// Passages.
        asked: usize,
        /// Labels.
        known: usize,
    },
}
