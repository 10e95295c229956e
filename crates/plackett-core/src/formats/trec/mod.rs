//! TREC runs and judgments and their relatives: MS MARCO runs, BEIR judgments, ranx JSON.
//!
//! Infinite scores are accepted (their order is defined); NaN is an error unless [`Nan::Keep`] is asked for.

mod nested;
mod qrels;
mod run;
mod write;

pub use qrels::{parse_qrels, read_qrels};
pub use run::{parse_run, read_run};
pub(super) use write::{check, check_start};
pub use write::{write_qrels, write_qrels_to, write_run, write_run_to};

use super::DEFAULT_LINE_LIMIT;

/// What happens to a document that stands twice under one query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// An error that names both lines.
    #[default]
    Error,
    /// The first counts.
    KeepFirst,
    /// The last counts, in the place of the first.
    KeepLast,
    /// The highest score or grade counts, in the place of the first.
    KeepMax,
    /// All stay.
    KeepAll,
}

/// What happens to a score that is not a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nan {
    /// An error that names the line.
    #[default]
    Error,
    /// It stays, and ranks below every number.
    Keep,
}

/// Which columns a run has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunFormat {
    /// JSON (`{"query": {"document": score}}`) when the file begins with `{`, otherwise TREC.
    #[default]
    Auto,
    /// `qid Q0 docno rank score tag`; further fields are ignored.
    Trec,
    /// `qid docid rank`. The score becomes minus the rank, since the file has none.
    MsMarco,
}

/// How to read runs and judgments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Documents twice under one query.
    pub duplicates: Duplicates,
    /// Scores that are not numbers.
    pub nan: Nan,
    /// Columns of runs; judgments are told apart by themselves.
    pub run_format: RunFormat,
    /// Whether lines that begin with `#` are skipped, as trec_eval 10 does; otherwise they are data.
    pub comments: bool,
    /// Whether a grade such as `1.7` is read as 1, as trec_eval does; otherwise it is an error. `1.0` is always 1.
    pub truncate_grades: bool,
    /// Longest line in bytes.
    pub line_limit: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            duplicates: Duplicates::Error,
            nan: Nan::Error,
            run_format: RunFormat::Auto,
            comments: true,
            truncate_grades: false,
            line_limit: DEFAULT_LINE_LIMIT,
        }
    }
}

/// The fields of a line, between blanks of any kind (C's `isspace`, as trec_eval splits). Looks at bytes, which is much
/// faster than at characters: a run of a million lines spends most of its time here.
fn split(line: &str) -> impl Iterator<Item = &str> {
    let is_blank = |byte: u8| byte == b' ' || (9..=13).contains(&byte);
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.bytes().position(|byte| !is_blank(byte))?;
        let field = rest.get(start..)?;
        let end = field.bytes().position(is_blank).unwrap_or(field.len());
        let (field, after) = field.split_at(end);
        rest = after;
        Some(field)
    })
}

#[cfg(test)]
mod tests;
