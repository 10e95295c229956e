//! Files of JSON lines, each an object of one form.

use super::{FormatError, Lines, json_problem};
use serde::de::DeserializeOwned;
use std::path::Path;

/// The objects of a file with the numbers of their lines, from 1; lines without anything are left out.
///
/// # Errors
/// The file cannot be read, a line is longer than `limit` bytes, or it is not `expected`; the message says which.
pub fn read_json_lines<T: DeserializeOwned>(
    path: &Path,
    limit: usize,
    expected: &'static str,
) -> Result<Vec<(u64, T)>, FormatError> {
    let mut lines = Lines::open(path, limit)?;
    let mut all = Vec::new();
    while let Some(text) = lines.next()? {
        if text.trim().is_empty() {
            continue;
        }
        let parsed = serde_json::from_str(text).map_err(|error| json_problem(text, &error));
        let line = lines.line();
        match parsed {
            Ok(object) => all.push((line, object)),
            Err(problem) => {
                let file = lines.file().to_string();
                return Err(FormatError::Json { file, line, expected, problem });
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, PartialEq, Debug)]
    struct Named {
        name: String,
    }

    #[test]
    fn objects_come_with_their_lines_and_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.jsonl");
        std::fs::write(&path, "{\"name\": \"a\"}\n\n{\"name\": \"b\", \"more\": 1}\n").unwrap();
        let read = read_json_lines::<Named>(&path, 100, "a name").unwrap();
        assert_eq!(read, [(1, Named { name: "a".into() }), (3, Named { name: "b".into() })]);
        std::fs::write(&path, "{\"name\": \"a\"}\n{\"name\": 7}\n").unwrap();
        let error = read_json_lines::<Named>(&path, 100, "a name").unwrap_err().to_string();
        assert!(error.contains("names.jsonl, line 2: expected a name"), "{error}");
        assert!(read_json_lines::<Named>(&path, 5, "a name").is_err());
    }
}
