//! Requests to rank: RankLLM's lines and its relatives, as JSON lines or one JSON array.

use super::error::shown;
use super::fields::{ID, QUERY_ID, TEXT, Unfit, text_of};
use super::object::{object, rounded, texts, wrong};
use super::{DEFAULT_LINE_LIMIT, FormatError, Lines};
use crate::{Candidate, Document, Query, RankRequest, Ranking};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

/// Names of the list of candidates: RankLLM's, RankGPT's, FlashRank's and the HTTP dialects'.
const LISTS: [&str; 5] = ["candidates", "hits", "passages", "documents", "texts"];

/// A request and the JSON object it came from.
#[derive(Clone, Debug)]
pub struct SourcedRequest {
    /// The line, or the place in the array, from 1.
    pub line: u64,
    /// What is to be ranked. A query without id is named by the line, a candidate without id by its place from 1.
    pub request: RankRequest,
    /// The name and the digits of a number that is given back rounded, where there is one: JSON's numbers are doubles here.
    pub rounded: Option<(String, String)>,
    raw: Map<String, Value>,
    list: &'static str,
}

/// Requests one at a time; a bad one is an error in its place.
pub type Requests<'a> = Box<dyn Iterator<Item = Result<SourcedRequest, FormatError>> + Send + 'a>;

/// Opens a file of requests; `-` is standard input. A JSON array is read whole. `limit` is the longest line in bytes. A
/// file without any request is an error.
pub fn open_requests(path: &Path, limit: usize) -> Result<Requests<'static>, FormatError> {
    stream(Lines::open(path, limit)?)
}

/// Requests in memory.
pub fn parse_requests<'a>(bytes: &'a [u8], file: &str) -> Result<Requests<'a>, FormatError> {
    stream(Lines::of_bytes(bytes, file, DEFAULT_LINE_LIMIT))
}

/// What is expected, for messages.
const EXPECTED: &str = "a JSON object {\"query\": …, \"candidates\": […]} for each request";

fn stream(lines: Lines<'_>) -> Result<Requests<'_>, FormatError> {
    let file = lines.file().to_string();
    let mut requests = each(lines)?;
    let empty = || FormatError::Empty { file, expected: "requests, one JSON object a line" };
    let first = requests.next().ok_or_else(empty)?;
    Ok(Box::new(std::iter::once(first).chain(requests)))
}

fn each<'a>(mut lines: Lines<'a>) -> Result<Requests<'a>, FormatError> {
    let file = lines.file().to_string();
    let broken = |line, problem| FormatError::Json { file: file.clone(), line, expected: EXPECTED, problem };
    if lines.peek()? == Some(b'[') {
        let items = texts(lines.rest()?).map_err(|(line, problem)| broken(line, problem))?;
        let file = file.clone();
        return Ok(Box::new(
            items.into_iter().zip(1..).map(move |((_, text), place)| parse(&text, &file, place)),
        ));
    }
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            let text = match lines.next() {
                Ok(None) => return None,
                Ok(Some(line)) if line.trim().is_empty() => continue,
                Ok(Some(line)) => line.to_string(),
                Err(error) => return Some(Err(error)),
            };
            return Some(parse(&text, &file, lines.line()));
        }
    })))
}

/// Names whose numbers are no quantities: their digits stay as they stand. They lie up to three objects deep, as in
/// `{"candidates": [{"doc": {"id": 1}}]}`.
const EXACT: [&[&str]; 4] = [&ID, &QUERY_ID, &TEXT, &["title", "query"]];

fn parse(text: &str, file: &str, line: u64) -> Result<SourcedRequest, FormatError> {
    let missing = |field: String, remedy| FormatError::Missing { file: file.into(), line, field, remedy };
    let broken = |problem| FormatError::Json { file: file.into(), line, expected: EXPECTED, problem };
    let raw = object(text, &EXACT.concat(), 3).map_err(|problem| broken(wrong(&problem) + "; mend it"))?;
    let query = query(&raw, line).map_err(&broken)?.ok_or_else(|| {
        missing("query text".into(), "write \"query\": \"…\" or \"query\": {\"text\": …, \"qid\": …}")
    })?;
    let list =
        LISTS.into_iter().find(|name| raw.get(*name).is_some_and(Value::is_array)).ok_or_else(|| {
            missing(format!("list of candidates ({})", LISTS.join(", ")), "write \"candidates\": […]")
        })?;
    let items = raw.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut candidates = Vec::with_capacity(items.len());
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        let one = candidate(item, place + 1)
            .map_err(|problem| broken(format!("and in {list}[{place}] {problem}")))?
            .ok_or_else(|| {
                missing(
                    format!("text in {list}[{place}] ({})", TEXT.join(", ")),
                    "give every candidate a text",
                )
            })?;
        if let Some(first) = seen.insert(one.document.id.clone(), place) {
            let problem = format!(
                "and {list}[{place}] has the id `{}` of {list}[{first}]; ids must differ within a request",
                shown(&one.document.id)
            );
            return Err(broken(problem));
        }
        candidates.push(one);
    }
    let request = RankRequest { query, candidates };
    let rounded = rounded(&raw, text);
    Ok(SourcedRequest { line, request, rounded, raw, list })
}

/// The first of `names` that is there and not null; what is neither text nor number is no id, and numbering it anew would
/// change it.
fn id(object: &Map<String, Value>, names: &[&str]) -> Result<Option<String>, String> {
    match text_of(object, names) {
        Ok(found) => Ok(found.map(|(_, id)| id)),
        Err(Unfit { name, found }) => {
            Err(format!("`{name}` is {found}, neither a text nor a number; write the id as a text"))
        }
    }
}

/// The text under one of `names`, likewise.
fn words(object: &Map<String, Value>, names: &[&str]) -> Result<Option<String>, String> {
    match text_of(object, names) {
        Ok(found) => Ok(found.map(|(_, text)| text)),
        Err(Unfit { name, found }) => Err(format!("`{name}` is {found}; write it as a text")),
    }
}

fn query(raw: &Map<String, Value>, line: u64) -> Result<Option<Query>, String> {
    let and = |problem| format!("and {problem}");
    let (found, text) = match raw.get("query") {
        Some(Value::String(text)) => {
            // RankGPT keeps the query's id in each hit.
            let hit = || raw.get("hits")?.get(0)?.as_object().map(|hit| id(hit, &["qid"]));
            let own = id(raw, &["qid", "query_id"]).map_err(and)?;
            let found = match own {
                Some(own) => Some(own),
                None => hit().transpose().map_err(and)?.flatten(),
            };
            (found, text.clone())
        }
        Some(Value::Object(inner)) => {
            let names = [&["text", "query"][..], &TEXT].concat();
            let Some(text) = words(inner, &names).map_err(|problem| format!("and in query {problem}"))?
            else {
                return Ok(None);
            };
            (id(inner, &QUERY_ID).map_err(and)?, text)
        }
        _ => return Ok(None),
    };
    Ok(Some(Query { id: found.unwrap_or_else(|| line.to_string()), text }))
}

fn candidate(item: &Value, place: usize) -> Result<Option<Candidate>, String> {
    let outer = match item {
        Value::String(text) => return Ok(Some(Document::new(place.to_string(), text.clone()).into())),
        Value::Object(outer) => outer,
        _ => return Ok(None),
    };
    let inner = outer.get("doc").or_else(|| outer.get("document"));
    let fields = inner.and_then(Value::as_object);
    let text = match inner {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Object(inner)) => words(inner, &TEXT)?,
        _ => words(outer, &TEXT)?,
    };
    let title = words(fields.unwrap_or(outer), &["title"])?.unwrap_or_default();
    let Some(text) = text.or_else(|| (!title.is_empty()).then(String::new)) else { return Ok(None) };
    let found = match (id(outer, &ID)?, fields) {
        (None, Some(fields)) => id(fields, &ID)?,
        (found, _) => found,
    };
    let document =
        Document { id: found.unwrap_or_else(|| place.to_string()), title, text, ..Document::default() };
    Ok(Some(Candidate { document, score: outer.get("score").and_then(Value::as_f64) }))
}

impl SourcedRequest {
    /// The candidates as they came, objects or bare texts, in the order of those of the request.
    pub fn items(&self) -> &[Value] {
        self.raw.get(self.list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// The object as it came, its candidates in the ranking's order, each with the ranking's `score` (a bare text becomes
    /// `{"text", "score"}`). Candidates that the ranking leaves out are left out; a score that is not finite becomes
    /// `null`, since JSON has no other word for it. An id that was no candidate is an error.
    pub fn ranked(&self, ranking: &Ranking) -> Result<Value, FormatError> {
        let ids = self.request.candidates.iter().map(|c| c.document.id.as_str());
        let places: HashMap<&str, &Value> = ids.zip(self.items()).collect();
        let mut ordered = Vec::with_capacity(ranking.entries.len());
        for entry in &ranking.entries {
            let Some(item) = places.get(entry.id.as_str()) else {
                let problem =
                    format!("the ranking of line {} has `{}`, which was no candidate", self.line, entry.id);
                return Err(FormatError::File { file: "result".into(), problem });
            };
            let mut object = match item {
                Value::Object(object) => object.clone(),
                other => Map::from_iter([("text".to_string(), (*other).clone())]),
            };
            object.insert("score".into(), entry.score.into());
            ordered.push(Value::Object(object));
        }
        let mut raw = self.raw.clone();
        raw.insert(self.list.into(), ordered.into());
        Ok(Value::Object(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trace;

    fn one(text: &str) -> Result<SourcedRequest, FormatError> {
        parse_requests(text.as_bytes(), "r")?.next().unwrap()
    }

    #[test]
    fn the_shapes_of_the_field_are_read() {
        let rank_llm = one(r#"{"query": {"text": "q", "qid": 5}, "candidates": [{"docid": "a", "score": 2.5, "doc": {"contents": "x", "segment": "y", "title": "T"}}]}"#).unwrap().request;
        assert_eq!(rank_llm.query, Query::new("5", "q"));
        let c = &rank_llm.candidates[0];
        assert_eq!((c.document.text.as_str(), c.document.title.as_str(), c.score), ("y", "T", Some(2.5)));
        let gpt =
            one(r#"{"query": "q", "hits": [{"content": "x", "qid": 3, "docid": 9, "rank": 1, "score": 1}]}"#);
        let gpt = gpt.unwrap().request;
        assert_eq!((gpt.query.id.as_str(), gpt.candidates[0].document.id.as_str()), ("3", "9"));
        let direct = one(r#"[{"query": "q", "candidates": ["x", "y"]}]"#).unwrap().request;
        assert_eq!(direct.candidates[1].document, Document::new("2", "y"));
        let labelled = one(r#"{"query": "q", "candidates": [{"text": "x", "label": 2}, "y"]}"#).unwrap();
        let items = labelled.items();
        assert_eq!((items[0]["label"].as_f64(), items[1].as_str()), (Some(2.0), Some("y")));
    }

    #[test]
    fn results_keep_the_objects_and_change_order_and_score() {
        let source = one(r#"{"query": "q", "k": 1, "hits": [{"docid": "a", "text": "x", "more": 1}, {"docid": "b", "text": "y"}]}"#).unwrap();
        let scored = [("a".to_string(), 0.5), ("b".to_string(), 2.0)];
        let ranking = Ranking::from_scores("1", scored, Trace::default());
        let text = source.ranked(&ranking).unwrap().to_string();
        assert_eq!(
            text,
            r#"{"query":"q","k":1,"hits":[{"docid":"b","text":"y","score":2.0},{"docid":"a","text":"x","more":1,"score":0.5}]}"#
        );
    }

    #[test]
    fn ids_keep_their_digits_also_in_what_is_given_back() {
        let big = "18446744073709551616";
        let text = format!(
            r#"{{"query": {{"qid": {big}, "text": "q"}}, "candidates": [{{"docid": {big}, "text": "x", "score": 1.5}}, {{"doc": {{"id": 1e3, "text": "y"}}}}]}}"#
        );
        for text in [text.clone(), format!("[{text}]")] {
            let source = one(&text).unwrap();
            let ids: Vec<&str> = source.request.candidates.iter().map(|c| c.document.id.as_str()).collect();
            assert_eq!((source.request.query.id.as_str(), ids), (big, vec![big, "1e3"]));
            assert_eq!(source.request.candidates[0].score, Some(1.5));
            let ranking = Ranking::from_scores(big, [(big.to_string(), 2.0)], Trace::default());
            assert_eq!(source.ranked(&ranking).unwrap()["candidates"][0]["docid"], big);
        }
    }

    #[test]
    fn a_number_that_is_given_back_rounded_is_named() {
        let text = r#"{"query": "q", "n": 1e5, "texts": ["x"], "big": 18446744073709551617}"#;
        assert_eq!(one(text).unwrap().rounded, Some(("big".into(), "18446744073709551617".into())));
        let text = r#"{"query": "q", "n": 1e5, "candidates": [{"docid": 18446744073709551617, "text": "x", "score": 0.5}]}"#;
        assert_eq!(one(text).unwrap().rounded, None);
    }

    #[test]
    fn ids_that_are_no_ids_are_not_numbered_anew() {
        for text in [
            r#"{"query": {"qid": [1], "text": "q"}, "texts": ["x"]}"#,
            r#"{"query": "q", "candidates": [{"docid": true, "text": "x"}]}"#,
            r#"{"query": "q", "candidates": [{"doc": {"id": {}, "text": "x"}}]}"#,
        ] {
            let message = one(text).unwrap_err().to_string();
            assert!(message.contains("neither a text nor a number"), "{message}");
        }
    }

    #[test]
    fn texts_that_are_no_texts_are_named_and_not_passed_over() {
        for (text, piece) in [
            (r#"{"query": {"text": ["cat"], "query": "q"}, "texts": ["x"]}"#, "in query `text` is a list"),
            (
                r#"{"query": "q", "candidates": [{"text": {}, "body": "x"}]}"#,
                "candidates[0] `text` is an object",
            ),
            (r#"{"query": "q", "candidates": [{"text": "x", "title": ["T"]}]}"#, "`title` is a list"),
        ] {
            let message = one(text).unwrap_err().to_string();
            assert!(message.contains(piece), "{message}");
        }
    }

    #[test]
    fn a_file_without_requests_is_refused() {
        for text in ["", "\n \n", "[]", "[ ]\n"] {
            let error = parse_requests(text.as_bytes(), "r").err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains("r: expected requests")), "{error:?}");
        }
    }

    #[test]
    fn bad_requests_are_named_and_the_stream_goes_on() {
        let text = b"{\"query\": \"q\"}\n{\"query\": \"q\", \"hits\": [{\"docid\": \"a\"}]}\n{\n{\"query\": \"q\", \"texts\": []}";
        let found: Vec<_> = parse_requests(text, "r").unwrap().collect();
        assert!(matches!(found[0], Err(FormatError::Missing { line: 1, .. })));
        assert!(matches!(found[1], Err(FormatError::Missing { line: 2, .. })));
        assert!(matches!(found[2], Err(FormatError::Json { line: 3, .. })));
        assert!(found[3].is_ok());
    }
}
