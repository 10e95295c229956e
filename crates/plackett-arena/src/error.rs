//! Why votes, ratings and routes cannot be had.

use plackett_core::declaration::OptionError;
use plackett_core::formats::FormatError;

/// Why votes, ratings and routes cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FormatError),
    /// Options of a policy that cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// There is nothing to fit.
    #[error("no votes between two different models are left{0}")]
    NoVotes(String),
    /// Ratings without a finite best value: without a penalty someone who never loses is infinitely good.
    #[error(
        "{}; without a penalty their ratings have no finite value: leave --penalty at 1, or fit the groups apart",
        unbeaten(.0)
    )]
    Unbeaten(Vec<String>),
    /// A name that no model has.
    #[error("there is no model `{name}` in the votes{suggestion}")]
    UnknownModel {
        /// What was given.
        name: String,
        /// What was probably meant, as the end of the sentence.
        suggestion: String,
    },
    /// A setting or number that cannot be.
    #[error("{0}")]
    Setting(String),
    /// A state of a route that does not fit what is asked.
    #[error("{file}, line {line}: {problem}")]
    State {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong and what to do.
        problem: String,
    },
}

fn unbeaten(models: &[String]) -> String {
    let shown: Vec<&str> = models.iter().take(5).map(String::as_str).collect();
    let more = if models.len() > 5 { format!(" and {} others", models.len() - 5) } else { String::new() };
    match models.len() {
        1 => format!("`{}` never lost against any other model", shown[0]),
        _ => format!("`{}`{more} never lost against any model outside this group", shown.join("`, `")),
    }
}
