//! What kinds that choose among candidates share: texts of the collections, their vectors, judges of pairs.

mod continuations;
mod fixes;
mod judge;
mod pairs;
mod sources;
mod summaries;
mod text_vectors;

pub use continuations::{Continued, continuations};
pub use fixes::{FIXES, Fix, Fixes, TokenBm25, as_read, hybrid, read_fixes, standard};
pub use judge::{Judge, PairJudge};
pub use pairs::{QuestionSet, read_questions};
pub use sources::{SOURCES, rewritten, source};
pub use summaries::{ABSTRACTS_FILE, Article, SUMMARIES, Titled, read_articles, read_titled};
pub use text_vectors::{TextVectors, cosine};

use crate::recipe::error::StageError;
use plackett_core::formats::{DEFAULT_LINE_LIMIT, FormatError, read_json_lines};
use serde::de::DeserializeOwned;
use std::path::Path;

/// The objects of a file of JSON lines, plain or packed.
///
/// # Errors
/// A file that cannot be read, or a line that is not `expected`, by its number.
pub fn read_lines<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<Vec<T>, StageError> {
    let all: Vec<T> =
        read_json_lines(path, DEFAULT_LINE_LIMIT, expected)?.into_iter().map(|(_, object)| object).collect();
    if all.is_empty() {
        let problem = format!("is empty; lines with {expected} are needed");
        return Err(FormatError::File { file: path.display().to_string(), problem }.into());
    }
    Ok(all)
}
