//! Reading preferences: trec_eval's five columns `qid group list docno level`, or the four of judgments, in which each
//! iteration is a judgment group with one list.

use super::{ReadOptions, nothing, split};
use crate::formats::error::shown;
use crate::formats::input::name_of;
use crate::formats::{FormatError, Lines, read_all};
use crate::{PreferenceLevel, Preferences};
use std::path::Path;

/// Which columns a file of preferences has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreferenceFormat {
    /// `qid group list docno level`: trec_eval's `prefs`.
    Lists,
    /// `qid group docno level`: trec_eval's `qrels_prefs`.
    Qrels,
}

impl PreferenceFormat {
    fn fields(self) -> usize {
        match self {
            PreferenceFormat::Lists => 5,
            PreferenceFormat::Qrels => 4,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            PreferenceFormat::Lists => "the five fields `qid group list docno level`",
            PreferenceFormat::Qrels => "the four fields `qid group docno level`",
        }
    }
}

/// Reads preferences; `-` is standard input. A file without any is an error.
pub fn read_preferences(
    path: &Path,
    format: PreferenceFormat,
    options: &ReadOptions,
) -> Result<Preferences, FormatError> {
    parse_preferences(&read_all(path)?, &name_of(path), format, options)
}

/// Reads preferences from bytes. `file` is its name in messages.
pub fn parse_preferences(
    bytes: &[u8],
    file: &str,
    format: PreferenceFormat,
    options: &ReadOptions,
) -> Result<Preferences, FormatError> {
    let mut lines = Lines::of_bytes(bytes, file, options.line_limit);
    let mut preferences = Preferences::new();
    let mut comments = 0;
    while let Some(line) = lines.next()? {
        if options.comments.is_comment(line) {
            comments += 1;
            continue;
        }
        let fields: Vec<String> = split(line).map(str::to_string).collect();
        if fields.is_empty() {
            continue;
        }
        let number = lines.line();
        let wrong = |found| FormatError::Fields {
            file: file.into(),
            line: number,
            found,
            expected: format.expected(),
            remedy: "mend the line; ids must have no blanks",
        };
        if fields.len() != format.fields() {
            return Err(wrong(fields.len()));
        }
        let list = match format {
            PreferenceFormat::Lists => fields[2].clone(),
            PreferenceFormat::Qrels => "0".to_string(),
        };
        let [.., document, level] = fields.as_slice() else { return Err(wrong(fields.len())) };
        let value = level.parse::<f64>().ok().filter(|value| value.is_finite());
        let value = value.ok_or_else(|| FormatError::Value {
            file: file.into(),
            line: number,
            what: "the level",
            found: shown(level),
            remedy: "it must be a number; only the order of levels counts, and 0 is not relevant",
        })?;
        preferences.query_mut(&fields[0]).push(PreferenceLevel {
            group: fields[1].clone(),
            list,
            document: document.clone(),
            level: value,
        });
    }
    if preferences.queries().is_empty() {
        let expected = match format {
            PreferenceFormat::Lists => "preferences with lines `qid group list docno level`",
            PreferenceFormat::Qrels => "preferences with lines `qid group docno level`",
        };
        return Err(nothing(file, expected, options.comments, comments));
    }
    if comments > 0 {
        options.remarks.add(options.comments.remark(file, comments));
    }
    Ok(preferences)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: PreferenceFormat) -> Result<Preferences, FormatError> {
        parse_preferences(text.as_bytes(), "p", format, &ReadOptions::default())
    }

    #[test]
    fn both_forms_are_read() {
        let lists =
            read("# who\n1 u1 s1 a 3.5\n1\tu1\ts2\ta\t0\n2 u1 s1 b 1", PreferenceFormat::Lists).unwrap();
        assert_eq!(lists.queries().len(), 2);
        let first = lists.query("1").unwrap().levels();
        assert_eq!((first[0].list.as_str(), first[0].level), ("s1", 3.5));
        assert_eq!((first[1].list.as_str(), first[1].level), ("s2", 0.0));
        let qrels = read("1 u1 a 2\n1 u2 a 0\n", PreferenceFormat::Qrels).unwrap();
        let groups: Vec<_> = qrels.query("1").unwrap().levels().iter().map(|l| l.group.as_str()).collect();
        assert_eq!(groups, ["u1", "u2"]);
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, line) in [("1 u1 s1 a 3\n1 u1 a 3\n", 2), ("1 u1 s1 a 3 4\n", 1)] {
            let error = read(text, PreferenceFormat::Lists).unwrap_err();
            assert!(matches!(error, FormatError::Fields { line: at, .. } if at == line), "{error}");
        }
        for level in ["high", "nan", "inf"] {
            let error = read(&format!("1 u1 s1 a {level}\n"), PreferenceFormat::Lists).unwrap_err();
            assert!(matches!(error, FormatError::Value { line: 1, .. }), "{error}");
        }
        assert!(matches!(read("\n", PreferenceFormat::Qrels), Err(FormatError::Empty { .. })));
    }
}
