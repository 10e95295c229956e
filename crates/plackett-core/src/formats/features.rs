//! Lists of candidates as feature vectors: the svmlight lines of LETOR, `label qid:ID feature:value … # remark`.

use super::error::shown;
use super::{FormatError, Lines};
use std::collections::HashMap;
use std::path::Path;

/// The candidates of a query, by their features.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureList {
    /// The id of the query.
    pub query: String,
    /// A grade for each candidate.
    pub labels: Vec<f32>,
    /// For each candidate the features that are not 0: numbers from 1, rising, and values.
    pub rows: Vec<Vec<(usize, f32)>>,
}

/// The greatest number of a feature: dense vectors are made of them.
const MOST_FEATURES: usize = 1 << 20;

/// Reads a file; gzip and zstd are undone. Queries and candidates keep their order; what comes after `#` is left out.
///
/// # Errors
/// A file that cannot be read, without any candidate, or with a line that is not of this form; a query that goes on after
/// another one's candidates.
pub fn read_features(path: &Path) -> Result<Vec<FeatureList>, FormatError> {
    collect(Lines::open(path, super::DEFAULT_LINE_LIMIT)?)
}

/// The same of bytes; `file` is their name in messages.
///
/// # Errors
/// As [`read_features`].
pub fn parse_features(bytes: &[u8], file: &str) -> Result<Vec<FeatureList>, FormatError> {
    collect(Lines::of_bytes(bytes, file, super::DEFAULT_LINE_LIMIT))
}

fn collect(mut lines: Lines<'_>) -> Result<Vec<FeatureList>, FormatError> {
    let file = lines.file().to_string();
    let mut lists: Vec<FeatureList> = Vec::new();
    let mut seen: HashMap<String, u64> = HashMap::new();
    while let Some(text) = lines.next()? {
        let text = text.split('#').next().unwrap_or_default().trim().to_string();
        let line = lines.line();
        if text.is_empty() {
            continue;
        }
        let (label, query, row) = Line { file: &file, line }.parse(&text)?;
        match lists.last_mut() {
            Some(list) if list.query == query => {
                list.labels.push(label);
                list.rows.push(row);
            }
            _ => {
                if let Some(first) = seen.insert(query.clone(), line) {
                    let remedy = "put all candidates of a query one after another, for example by sorting the lines by qid";
                    return Err(FormatError::Duplicate {
                        file,
                        line,
                        first,
                        what: format!("query `{query}`"),
                        remedy,
                    });
                }
                lists.push(FeatureList { query, labels: vec![label], rows: vec![row] });
            }
        }
    }
    if lists.is_empty() {
        let (field, remedy) = ("candidate".to_string(), "expected lines `label qid:ID feature:value …`");
        return Err(FormatError::Missing { file, line: lines.line(), field, remedy });
    }
    Ok(lists)
}

/// Where a line is, for messages.
struct Line<'f> {
    file: &'f str,
    line: u64,
}

/// Label, query and features of a line.
type Parsed = (f32, String, Vec<(usize, f32)>);

impl Line<'_> {
    fn parse(&self, text: &str) -> Result<Parsed, FormatError> {
        let mut fields = text.split_whitespace();
        let label = fields.next().unwrap_or_default();
        let label = number(label).ok_or_else(|| self.wrong("the label", label, "a number is expected"))?;
        let query = fields.next().unwrap_or_default();
        let id = query.strip_prefix("qid:").filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| self.wrong("the second field", query, "qid:ID is expected"))?;
        let mut row: Vec<(usize, f32)> = Vec::new();
        for field in fields {
            let (name, value) = field.split_once(':').unwrap_or((field, ""));
            let name: usize =
                name.parse().ok().filter(|name| (1..=MOST_FEATURES).contains(name)).ok_or_else(|| {
                    self.wrong("a feature", field, "number:value is expected, numbers from 1 to 1048576")
                })?;
            let value = number(value)
                .ok_or_else(|| self.wrong("a feature", field, "its value is not a finite number"))?;
            if row.last().is_some_and(|(before, _)| *before >= name) {
                return Err(self.wrong("a feature", field, "numbers of features must rise, each once"));
            }
            row.push((name, value));
        }
        Ok((label, id.to_string(), row))
    }

    fn wrong(&self, what: &'static str, found: &str, remedy: &'static str) -> FormatError {
        FormatError::Value { file: self.file.to_string(), line: self.line, what, found: shown(found), remedy }
    }
}

fn number(text: &str) -> Option<f32> {
    text.parse::<f32>().ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<FeatureList>, String> {
        parse_features(text.as_bytes(), "f").map_err(|error| error.to_string())
    }

    #[test]
    fn lines_become_lists() {
        let lists = parse("2 qid:a 1:0.5 3:-1 # GX1\n\n0 qid:a\n# a remark\n1 qid:b 2:1e-1\n").unwrap();
        assert_eq!(lists.len(), 2);
        assert_eq!(lists[0].query, "a");
        assert_eq!(lists[0].labels, [2.0, 0.0]);
        assert_eq!(lists[0].rows, [vec![(1, 0.5), (3, -1.0)], vec![]]);
        assert_eq!(lists[1].rows, [vec![(2, 0.1)]]);
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, expected) in [
            ("x qid:1 1:2", "f, line 1: the label is `x`"),
            ("1 1:2", "the second field is `1:2`"),
            ("1 qid: 1:2", "the second field is `qid:`"),
            ("1 qid:1 0:2", "a feature is `0:2`"),
            ("1 qid:1 2:nan", "its value is not a finite number"),
            ("1 qid:1 2:1 2:1", "numbers of features must rise"),
            ("1 qid:1 2", "its value is not a finite number"),
            ("1 qid:1\n1 qid:2\n1 qid:1", "f, line 3: query `1` is already on line 1"),
            ("# nothing", "no candidate"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
