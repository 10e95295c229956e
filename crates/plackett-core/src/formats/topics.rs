//! Queries: `id<TAB>text`, JSON lines, or TREC `<top>` records.

use super::fields::{QUERY_ID, TEXT, first};
use super::{DEFAULT_LINE_LIMIT, FormatError, Lines};
use crate::Query;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

/// Reads queries; the form is told by the first character (`{`, `<` or other). An id that stands twice is an error, and
/// so is a file without any query.
pub fn read_topics(path: &Path) -> Result<Vec<Query>, FormatError> {
    parse(Lines::open(path, DEFAULT_LINE_LIMIT)?)
}

/// Reads queries from bytes.
pub fn parse_topics(bytes: &[u8], file: &str) -> Result<Vec<Query>, FormatError> {
    parse(Lines::of_bytes(bytes, file, DEFAULT_LINE_LIMIT))
}

fn parse(mut lines: Lines<'_>) -> Result<Vec<Query>, FormatError> {
    let file = lines.file().to_string();
    let found = match lines.peek()? {
        Some(b'<') => tops(&mut lines)?,
        head => {
            let mut found = Vec::new();
            while let Some(line) = lines.next()?.map(str::to_string) {
                if !line.trim().is_empty() {
                    let number = lines.line();
                    let query = if head == Some(b'{') {
                        json(&line, &file, number)
                    } else {
                        tab(&line, &file, number)
                    };
                    found.push((number, query?));
                }
            }
            found
        }
    };
    if found.is_empty() {
        return Err(FormatError::Empty {
            file,
            expected: "queries with lines `id<TAB>text`, as JSON lines or as <top>",
        });
    }
    let mut seen: HashMap<String, u64> = HashMap::new();
    for (line, query) in &found {
        if let Some(first) = seen.insert(query.id.clone(), *line) {
            return Err(FormatError::Duplicate {
                file,
                line: *line,
                first,
                what: format!("query `{}`", query.id),
            });
        }
    }
    Ok(found.into_iter().map(|(_, query)| query).collect())
}

/// A query of a JSON line: id as string or number, text under `text`, `query`, `title` or a document's text names.
pub(super) fn json(text: &str, file: &str, line: u64) -> Result<Query, FormatError> {
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|e| FormatError::Json {
        file: file.into(),
        line,
        problem: e.to_string(),
    })?;
    let missing =
        |field: &str, remedy| FormatError::Missing { file: file.into(), line, field: field.into(), remedy };
    let (_, id) = first(&object, &QUERY_ID)
        .filter(|(_, id)| !id.is_empty())
        .ok_or_else(|| missing("query id (_id, qid, query_id, id)", "give every query an id"))?;
    let (_, text) = first(&object, &["text", "query", "title"])
        .or_else(|| first(&object, &TEXT))
        .ok_or_else(|| missing("query text (text, query, title)", "give every query a text"))?;
    Ok(Query { id, text })
}

fn tab(line: &str, file: &str, number: u64) -> Result<Query, FormatError> {
    match line.split_once('\t') {
        Some((id, text)) if !id.trim().is_empty() => Ok(Query::new(id.trim(), text.trim())),
        _ => Err(FormatError::Fields {
            file: file.into(),
            line: number,
            expected: "`id<TAB>text`",
            found: 1,
            remedy: "put a tab between id and text",
        }),
    }
}

/// The records `<top> <num> Number: 1 <title> words …`; closing tags may be missing, as in the old collections.
fn tops(lines: &mut Lines<'_>) -> Result<Vec<(u64, Query)>, FormatError> {
    let file = lines.file().to_string();
    let mut found = Vec::new();
    let mut record: Option<(u64, String)> = None;
    while let Some(line) = lines.next()?.map(str::to_string) {
        let number = lines.line();
        let lower = line.to_ascii_lowercase();
        if lower.trim_start().starts_with("<top>") {
            if let Some((start, text)) = record.take() {
                found.push((start, top(&text, &file, start)?));
            }
            record = Some((number, String::new()));
        }
        if let Some((_, text)) = &mut record {
            text.push_str(&line);
            text.push('\n');
        }
        if lower.contains("</top>")
            && let Some((start, text)) = record.take()
        {
            found.push((start, top(&text, &file, start)?));
        }
    }
    if let Some((start, text)) = record {
        found.push((start, top(&text, &file, start)?));
    }
    Ok(found)
}

fn top(text: &str, file: &str, line: u64) -> Result<Query, FormatError> {
    let part = |name: &str, label: &str| {
        // ASCII lower case keeps every byte in its place, so that offsets fit the original.
        let at = text.to_ascii_lowercase().find(&format!("<{name}>"))? + name.len() + 2;
        let value = text.get(at..)?.split('<').next()?.trim();
        let bare = value.get(..label.len()).filter(|head| head.eq_ignore_ascii_case(label));
        let value = if bare.is_some() { value.get(label.len()..)? } else { value };
        let words: Vec<&str> = value.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    let missing = |field: &str| {
        let remedy = "write `<num> Number: 1` and `<title> words` in every <top>";
        FormatError::Missing { file: file.into(), line, field: field.into(), remedy }
    };
    let id = part("num", "Number:").ok_or_else(|| missing("<num>"))?;
    let text = part("title", "Topic:").ok_or_else(|| missing("<title>"))?;
    Ok(Query { id, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_agree() {
        let tab = parse_topics(b"1\tone two\r\n2\tthree\n", "t").unwrap();
        assert_eq!(tab, [Query::new("1", "one two"), Query::new("2", "three")]);
        let json = b"{\"_id\": 1, \"text\": \"one two\"}\n{\"qid\": \"2\", \"query\": \"three\"}";
        assert_eq!(parse_topics(json, "t").unwrap(), tab);
        let tops = b"<top>\n<num> Number: 1\n<title> one\n two\n<desc> Description:\nx\n</top>\n\n<top>\n<num> 2 </num><title>Topic: three</title>\n</top>";
        assert_eq!(parse_topics(tops, "t").unwrap(), tab);
    }

    #[test]
    fn bad_queries_are_named() {
        assert!(matches!(parse_topics(b"1\ta\nno tab", "t"), Err(FormatError::Fields { line: 2, .. })));
        assert!(matches!(
            parse_topics(b"1\ta\n1\tb", "t"),
            Err(FormatError::Duplicate { first: 1, line: 2, .. })
        ));
        assert!(matches!(
            parse_topics(b"<top>\n<title> x\n", "t"),
            Err(FormatError::Missing { line: 1, .. })
        ));
    }

    #[test]
    fn an_empty_id_is_none() {
        let empty = parse_topics(br#"{"_id": "", "text": "a"}"#, "t");
        assert!(matches!(empty, Err(FormatError::Missing { line: 1, .. })));
    }
}
