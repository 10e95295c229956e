//! Reading reference scores: trec_eval's four columns `qid measure mean deviation`, made from a set of earlier runs.

use super::split;
use crate::formats::error::shown;
use crate::formats::input::name_of;
use crate::formats::{DEFAULT_LINE_LIMIT, FormatError, Lines, read_all};
use std::collections::HashMap;
use std::path::Path;

/// Mean and standard deviation of measures by query, over reference runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReferenceScores {
    queries: HashMap<String, HashMap<String, (f64, f64)>>,
}

impl ReferenceScores {
    /// Mean and standard deviation of a measure, by the name it has in the file, for a query.
    pub fn get(&self, query: &str, measure: &str) -> Option<(f64, f64)> {
        self.queries.get(query)?.get(measure).copied()
    }
}

/// Reads reference scores; `-` is standard input. A file without any is an error.
pub fn read_reference_scores(path: &Path) -> Result<ReferenceScores, FormatError> {
    parse_reference_scores(&read_all(path)?, &name_of(path))
}

/// Reads reference scores from bytes. `file` is its name in messages.
pub fn parse_reference_scores(bytes: &[u8], file: &str) -> Result<ReferenceScores, FormatError> {
    let mut lines = Lines::of_bytes(bytes, file, DEFAULT_LINE_LIMIT);
    let mut scores = ReferenceScores::default();
    let mut found: HashMap<(String, String), u64> = HashMap::new();
    while let Some(line) = lines.next()? {
        let fields: Vec<String> = split(line).map(str::to_string).collect();
        if fields.is_empty() {
            continue;
        }
        let line = lines.line();
        let [query, measure, mean, deviation] = fields.as_slice() else {
            return Err(FormatError::Fields {
                file: file.into(),
                line,
                found: fields.len(),
                expected: "the four fields `qid measure mean deviation`",
                remedy: "mend the line; ids must have no blanks",
            });
        };
        let number = |text: &str, what: &'static str, remedy: &'static str, low: f64| {
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= low);
            value.ok_or_else(|| FormatError::Value {
                file: file.into(),
                line,
                what,
                found: shown(text),
                remedy,
            })
        };
        let mean = number(mean, "the mean", "it must be a number", f64::MIN)?;
        let deviation = number(deviation, "the standard deviation", "it must be a number from 0", 0.0)?;
        if let Some(&first) = found.get(&(query.clone(), measure.clone())) {
            let problem = format!(
                "line {line}: {} of query `{}` is already on line {first}; remove one",
                shown(measure),
                shown(query)
            );
            return Err(FormatError::File { file: file.into(), problem });
        }
        found.insert((query.clone(), measure.clone()), line);
        scores.queries.entry(query.clone()).or_default().insert(measure.clone(), (mean, deviation));
    }
    if found.is_empty() {
        let expected = "reference scores with lines `qid measure mean deviation`";
        return Err(FormatError::Empty { file: file.into(), expected });
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_bad_ones_named() {
        let scores = parse_reference_scores(b"1 map 0.25 0.5\n1\tP_5\t0\t0\n", "z").unwrap();
        assert_eq!(scores.get("1", "map"), Some((0.25, 0.5)));
        assert_eq!((scores.get("1", "Rprec"), scores.get("2", "map")), (None, None));
        let error = |text: &str| parse_reference_scores(text.as_bytes(), "z").unwrap_err().to_string();
        assert!(error("1 map 0.25\n").contains("line 1"));
        assert!(error("1 map 0 1\n1 map x 1\n").contains("line 2: the mean is `x`"));
        assert!(error("1 map 0 -1\n").contains("number from 0"));
        assert!(error("1 map 0 1\n1 map 0 1\n").contains("already on line 1"));
        assert!(error("\n").contains("empty"));
    }
}
