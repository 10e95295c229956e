//! What kinds that choose among candidates share: texts of the collections, their vectors, judges of pairs.

mod continuations;
mod fixes;
mod judge;
mod pairs;
mod sources;
mod summaries;
mod text_vectors;

pub use continuations::{Continued, continuations};
pub use fixes::{FIXES, Fix, Fixes, TokenBm25, as_read, greatest, hybrid, read_fixes, standard};
pub use judge::{Judge, PairJudge};
pub use pairs::{QuestionSet, read_questions};
pub use sources::{SOURCES, rewritten, source};
pub use summaries::{ABSTRACTS_FILE, Article, SUMMARIES, Titled, read_articles, read_titled};
pub use text_vectors::{TextVectors, cosine};

use super::error::StageError;
use plackett_core::formats::{DEFAULT_LINE_LIMIT, FormatError, Lines, json_problem};
use serde::de::DeserializeOwned;
use std::path::Path;

/// The objects of a file of JSON lines, plain or packed.
///
/// # Errors
/// A file that cannot be read, or a line that is not `expected`, by its number.
pub fn read_lines<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<Vec<T>, StageError> {
    let mut lines = Lines::open(path, DEFAULT_LINE_LIMIT)?;
    let mut all = Vec::new();
    while let Some(text) = lines.next()? {
        let text = text.to_string();
        let of_json = |error: serde_json::Error| FormatError::Json {
            file: path.display().to_string(),
            line: lines.line(),
            expected,
            problem: json_problem(&text, &error),
        };
        all.push(serde_json::from_str(&text).map_err(of_json)?);
    }
    if all.is_empty() {
        let problem = format!("is empty; lines with {expected} are needed");
        return Err(FormatError::File { file: path.display().to_string(), problem }.into());
    }
    Ok(all)
}
