//! Queries: `id<TAB>text`, JSON lines, or TREC `<top>` records.

use super::error::shown;
use super::fields::{QUERY_ID, TEXT, Unfit, text_of};
use super::object::{object, texts, wrong};
use super::{DEFAULT_LINE_LIMIT, FormatError, Lines, Remarks};
use crate::Query;
use std::collections::HashMap;
use std::path::Path;

/// Reads queries; the form is told by the first character (`{` or `[`, `<` or other). An id that stands twice is an error,
/// and so is a file without any query. `limit` is the longest line in bytes.
pub fn read_topics(path: &Path, limit: usize) -> Result<Vec<Query>, FormatError> {
    read_topics_with(path, limit, &Remarks::default())
}

/// The same; the remarks take what may be read otherwise than it was meant.
pub fn read_topics_with(path: &Path, limit: usize, remarks: &Remarks) -> Result<Vec<Query>, FormatError> {
    parse(Lines::open(path, limit)?, remarks)
}

/// Reads queries from bytes.
pub fn parse_topics(bytes: &[u8], file: &str) -> Result<Vec<Query>, FormatError> {
    parse(Lines::of_bytes(bytes, file, DEFAULT_LINE_LIMIT), &Remarks::default())
}

fn parse(mut lines: Lines<'_>, remarks: &Remarks) -> Result<Vec<Query>, FormatError> {
    let file = lines.file().to_string();
    let found = match lines.peek()? {
        Some(b'<') => tops(&mut lines)?,
        Some(b'[') => array(&mut lines)?,
        head => {
            let (mut found, mut begun) = (Vec::new(), false);
            while let Some(line) = lines.next()?.map(str::to_string) {
                if line.trim().is_empty() {
                    continue;
                }
                let number = lines.line();
                if head == Some(b'{') {
                    found.push((number, json(&line, &file, number)?));
                } else if std::mem::replace(&mut begun, true) || !is_header(&line) {
                    found.push((number, tab(&line, &file, number)?));
                }
            }
            if let (Some(remark), true) = (header_remark(&found), head != Some(b'{')) {
                remarks.add(format!("{file}: {remark}"));
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
                what: format!("query `{}`", shown(&query.id)),
                remedy: "remove one of them",
            });
        }
    }
    Ok(found.into_iter().map(|(_, query)| query).collect())
}

/// What is expected of JSON, for messages.
const EXPECTED: &str = "a JSON object {\"_id\": …, \"text\": …} for each query";

/// Queries of a JSON array.
fn array(lines: &mut Lines<'_>) -> Result<Vec<(u64, Query)>, FormatError> {
    let file = lines.file().to_string();
    let wrong = |line, problem| FormatError::Json { file: file.clone(), line, expected: EXPECTED, problem };
    let items = texts(lines.rest()?).map_err(|(line, problem)| wrong(line, problem))?;
    items.into_iter().map(|(line, text)| Ok((line, json(&text, &file, line)?))).collect()
}

/// A query of a JSON object: id as string or number, text under `text`, `query`, `title` or a document's text names.
pub(super) fn json(text: &str, file: &str, line: u64) -> Result<Query, FormatError> {
    let exact = [&QUERY_ID[..], &WORDS, &TEXT].concat();
    let object = object(text, &exact, 0).map_err(|problem| FormatError::Json {
        file: file.into(),
        line,
        expected: EXPECTED,
        problem: wrong(&problem) + "; mend it",
    })?;
    let missing = |field: &str, remedy| {
        let names: Vec<String> = object.keys().take(30).map(|name| format!("`{name}`")).collect();
        let field = format!("{field}; the fields are {}", names.join(", "));
        FormatError::Missing { file: file.into(), line, field, remedy }
    };
    let unfit = |what: &str, Unfit { name, found }: Unfit<'_>, remedy| {
        let field = format!("query {what} in `{name}`, which is {found}");
        FormatError::Missing { file: file.into(), line, field, remedy }
    };
    let id = match text_of(&object, &QUERY_ID).map_err(|found| unfit("id", found, GIVE_ID))? {
        Some((name, id)) if id.is_empty() => {
            return Err(unfit("id", Unfit { name, found: "empty" }, GIVE_ID));
        }
        Some((_, id)) => id,
        None => return Err(missing("query id (_id, qid, query_id, id)", GIVE_ID)),
    };
    let text = text_of(&object, &[&WORDS[..], &TEXT].concat());
    let text = text.map_err(|found| unfit("text", found, "write the text as a string"))?;
    let (_, text) =
        text.ok_or_else(|| missing("query text (text, query, title)", "give every query a text"))?;
    Ok(Query { id, text })
}

const GIVE_ID: &str = "give every query an id, a string or a number";

/// Names of a query's text, in order of preference.
const WORDS: [&str; 3] = ["text", "query", "title"];

/// Whether the first line of a table names its columns.
fn is_header(line: &str) -> bool {
    let names: Vec<String> = line.split('\t').map(|name| name.trim().to_ascii_lowercase()).collect();
    matches!(&names[..], [id, text] if QUERY_ID.contains(&id.as_str()) && WORDS.contains(&text.as_str()))
}

/// What is said of a first line that may have been meant to name the columns: words, where all other lines have numbers.
fn header_remark(found: &[(u64, Query)]) -> Option<String> {
    let ((line, first), others) = found.split_first()?;
    let is_word = |text: &str| text.chars().all(|c| c.is_alphabetic() || c == '_' || c == '-');
    let numbered = !others.is_empty() && others.iter().all(|(_, query)| query.id.contains(char::is_numeric));
    (numbered && is_word(&first.id) && is_word(&first.text)).then(|| {
        format!(
            "line {line} (`{}`, `{}`) is read as a query; if it names the columns, take it out, or call them `qid` and `query`",
            shown(&first.id),
            shown(&first.text)
        )
    })
}

fn tab(line: &str, file: &str, number: u64) -> Result<Query, FormatError> {
    let found = line.split('\t').count();
    match line.split_once('\t') {
        Some((id, text)) if !id.trim().is_empty() && found == 2 => Ok(Query::new(id.trim(), text.trim())),
        _ => Err(FormatError::Fields {
            file: file.into(),
            line: number,
            expected: "`id<TAB>text`",
            found,
            remedy: match found {
                1 if line.contains(',') => {
                    "put one tab between id and text, as TSV has it; CSV is not read as queries, JSON lines are"
                }
                0 | 1 => "put a tab between id and text",
                2 => "the id is empty: give every query one",
                _ => "take the tabs out of the text, or write JSON lines",
            },
        }),
    }
}

/// The records `<top> <num> Number: 1 <title> words …`; closing tags may be missing, as in the old collections.
fn tops(lines: &mut Lines<'_>) -> Result<Vec<(u64, Query)>, FormatError> {
    let file = lines.file().to_string();
    let mut found = Vec::new();
    let mut record: Option<(u64, String)> = None;
    let mut stray = None;
    while let Some(line) = lines.next()?.map(str::to_string) {
        let number = lines.line();
        let lower = line.to_ascii_lowercase();
        if lower.trim_start().starts_with("<top>") {
            if let Some((start, text)) = record.take() {
                found.push((start, top(&text, &file, start)?));
            }
            record = Some((number, String::new()));
        }
        match &mut record {
            Some((_, text)) => {
                text.push_str(&line);
                text.push('\n');
            }
            // Tags around the records, such as <topics>, hold no words.
            None if line.trim().is_empty() || is_tags(&line) => {}
            None => stray = stray.or_else(|| Some((number, shown(line.trim())))),
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
    if found.is_empty() {
        let problem = "has no <top> record, which is the one form of queries that begins with `<`; write the queries as \
                       JSON lines or as `id<TAB>text`";
        return Err(FormatError::File { file, problem: problem.into() });
    }
    if let Some((number, text)) = stray {
        let problem = format!(
            "line {number}: `{text}` stands outside of every <top> record; move it into one, or take it out"
        );
        return Err(FormatError::File { file, problem });
    }
    Ok(found)
}

/// Whether a line has nothing but tags.
fn is_tags(line: &str) -> bool {
    let mut inside = false;
    line.chars().all(|c| {
        let was = inside;
        inside = (was || c == '<') && c != '>';
        was || inside || c.is_whitespace()
    })
}

fn top(text: &str, file: &str, line: u64) -> Result<Query, FormatError> {
    let lower = text.to_ascii_lowercase();
    if let Some(tag) = ["<num>", "<title>"].into_iter().find(|tag| lower.matches(tag).count() > 1) {
        let problem = format!(
            "line {line}: the <top> record that begins here has two {tag}; end it with </top>, or take one out"
        );
        return Err(FormatError::File { file: file.into(), problem });
    }
    let part = |name: &str, label: &str| {
        // ASCII lower case keeps every byte in its place, so that offsets fit the original.
        let at = lower.find(&format!("<{name}>"))? + name.len() + 2;
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
    fn ids_keep_their_digits_and_arrays_are_read() {
        let text = br#"[{"_id": 18446744073709551616, "text": "a"}, {"qid": 1.0, "query": "b"}]"#;
        let found = parse_topics(text, "t").unwrap();
        assert_eq!(found, [Query::new("18446744073709551616", "a"), Query::new("1.0", "b")]);
    }

    #[test]
    fn more_fields_than_two_and_other_formats_are_refused_and_a_header_is_none() {
        let refused = |text: &str| parse_topics(text.as_bytes(), "t").unwrap_err().to_string();
        let message = refused("1\ta\n2\tb\tc\n");
        assert!(message.contains("t, line 2") && message.contains("found 3 fields"), "{message}");
        assert!(refused("id,text\n1,a\n").contains("CSV"), "{}", refused("id,text\n1,a\n"));
        assert!(refused("<topics>\n<topic>a</topic>\n</topics>").contains("no <top> record"));
        assert!(refused("{\"_id\": 1, \"words\": \"a\"}").contains("the fields are `_id`, `words`"));
        for (text, piece) in [
            ("{\"_id\": true, \"text\": \"a\"}", "no query id in `_id`, which is true or false"),
            ("{\"_id\": \"\", \"text\": \"a\"}", "no query id in `_id`, which is empty"),
            ("{\"_id\": [1], \"id\": 2, \"text\": \"a\"}", "no query id in `_id`, which is a list"),
            ("{\"_id\": 1, \"text\": [\"cat\"]}", "no query text in `text`, which is a list"),
            ("{\"_id\": 1, \"text\": {}, \"query\": \"a\"}", "no query text in `text`, which is an object"),
        ] {
            assert!(refused(text).contains(piece), "{}", refused(text));
        }
        assert_eq!(parse_topics(b"\xef\xbb\xbfqid\tquery\n1\ta\n", "t").unwrap(), [Query::new("1", "a")]);
    }

    #[test]
    fn records_with_two_numbers_and_words_between_records_are_refused() {
        let refused = |text: &str| parse_topics(text.as_bytes(), "t").unwrap_err().to_string();
        let two = "<top>\n<num> 1\n<title> a\n<num> 2\n<title> b\n</top>\n";
        assert!(refused(two).contains("t: line 1: the <top> record that begins here has two <num>"));
        let titles = "<top>\n<num> 1\n<title> a\n</top>\n<top><num> 2<title> b <title> c</top>";
        assert!(refused(titles).contains("line 5"), "{}", refused(titles));
        let junk = "<top>\n<num> 1\n<title> a\n</top>\nlost words\n<top>\n<num> 2\n<title> b\n</top>\n";
        assert!(refused(junk).contains("line 5: `lost words` stands outside"), "{}", refused(junk));
        let framed = "<topics>\n<top>\n<num> 1\n<title> a\n</top>\n</topics>\n";
        assert_eq!(parse_topics(framed.as_bytes(), "t").unwrap(), [Query::new("1", "a")]);
    }

    #[test]
    fn a_first_line_that_may_name_the_columns_is_told_of() {
        let remarks = |text: &str| {
            let remarks = Remarks::default();
            parse(Lines::of_bytes(text.as_bytes(), "t", 100), &remarks).unwrap();
            remarks.take()
        };
        let told = remarks("nummer\tinhalt\n1\tcats\n2\tdogs\n");
        assert!(matches!(&told[..], [one] if one.contains("t: line 1 (`nummer`, `inhalt`)")), "{told:?}");
        for quiet in ["qid\tquery\n1\tcats\n", "a\tcats\nb\tdogs\n", "1\tcats\n2\tdogs\n", "q\tcats\n"] {
            assert_eq!(remarks(quiet), [""; 0], "{quiet}");
        }
    }

    #[test]
    fn an_empty_id_is_none() {
        let empty = parse_topics(br#"{"_id": "", "text": "a"}"#, "t");
        assert!(matches!(empty, Err(FormatError::Missing { line: 1, .. })));
    }
}
