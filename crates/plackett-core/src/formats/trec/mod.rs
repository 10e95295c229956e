//! TREC runs and judgments and their relatives: MS MARCO runs, BEIR judgments, ranx JSON.
//!
//! Infinite scores are accepted (their order is defined); NaN is an error unless [`Nan::Keep`] is asked for.

mod nested;
mod preferences;
mod qrels;
mod qrels_header;
mod reference;
mod run;
mod write;

pub use preferences::{PreferenceFormat, parse_preferences, read_preferences};
pub use qrels::{parse_qrels, read_qrels};
pub use reference::{ReferenceScores, parse_reference_scores, read_reference_scores};
pub use run::{parse_run, read_run};
pub(super) use write::{check, check_start};
pub use write::{check_run_line, write_qrels, write_qrels_to, write_run, write_run_to};

use super::remarks::counted;
use super::{DEFAULT_LINE_LIMIT, FormatError, Remarks};

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
    /// JSON (`{"query": {"document": score}}`) when the file begins with `{`, MS MARCO's columns when its first line has
    /// three fields, otherwise TREC.
    #[default]
    Auto,
    /// `qid Q0 docno rank score tag`.
    Trec,
    /// `qid docid rank`. The score becomes minus the rank, since the file has none.
    MsMarco,
}

/// Which lines are no data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comments {
    /// None, as trec_eval 9 has it.
    None,
    /// Those that begin with `#` and a blank, or are nothing but `#`: an identifier may begin with `#`.
    #[default]
    HashBlank,
    /// All that begin with `#`, as trec_eval 10 has it.
    Hash,
}

impl Comments {
    fn is_comment(self, line: &str) -> bool {
        match self {
            Comments::None => false,
            Comments::HashBlank => {
                line.strip_prefix('#').is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
            }
            Comments::Hash => line.trim_start().starts_with('#'),
        }
    }

    /// The remark on so many lines that were passed over.
    fn remark(self, file: &str, lines: u64) -> String {
        let begin = if lines == 1 { "begins" } else { "begin" };
        let beginning = self.beginning();
        format!("{file}: {} that {begin} with {beginning} passed over as comments", counted(lines, "line"))
    }

    /// What comments begin with.
    fn beginning(self) -> &'static str {
        if self == Comments::Hash { "`#`" } else { "`#` and a blank" }
    }
}

/// The error of a file in which nothing was found: it is empty, or has nothing but so many comments.
fn nothing(file: &str, expected: &'static str, comments: Comments, lines: u64) -> FormatError {
    if lines == 0 {
        return FormatError::Empty { file: file.into(), expected };
    }
    let (verb, begin) = if lines == 1 { ("is a comment", "begins") } else { ("are comments", "begin") };
    let problem = format!(
        "expected {expected}, found none: its {} {verb}, since {} {begin} with {}",
        counted(lines, "line"),
        if lines == 1 { "it" } else { "they" },
        comments.beginning()
    );
    FormatError::File { file: file.into(), problem }
}

/// How to read runs and judgments.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Documents twice under one query.
    pub duplicates: Duplicates,
    /// Scores that are not numbers.
    pub nan: Nan,
    /// Columns of runs; judgments are told apart by themselves.
    pub run_format: RunFormat,
    /// Which lines are comments. The remarks have their number.
    pub comments: Comments,
    /// Whether fields behind the sixth of a run's line are ignored, as trec_eval does; otherwise they are an error. The
    /// remarks have the number of such lines.
    pub extra_fields: bool,
    /// Whether a grade such as `1.7` is read as 1, as trec_eval does; otherwise it is an error. `1.0` is always 1.
    pub truncate_grades: bool,
    /// Longest line in bytes.
    pub line_limit: usize,
    /// Takes what is passed over.
    pub remarks: Remarks,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            duplicates: Duplicates::Error,
            nan: Nan::Error,
            run_format: RunFormat::Auto,
            comments: Comments::HashBlank,
            extra_fields: false,
            truncate_grades: false,
            line_limit: DEFAULT_LINE_LIMIT,
            remarks: Remarks::default(),
        }
    }
}

/// What to do about a document that is there twice.
const DUPLICATE: &str = "remove one, or let --duplicates first or last of eval and compare say which counts";

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
