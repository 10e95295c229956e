//! Requests to rank: RankLLM's lines and its relatives, as JSON lines or one JSON array.

use super::error::shown;
use super::fields::{ID, QUERY_ID, TEXT, as_text, first};
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
    raw: Map<String, Value>,
    list: &'static str,
}

/// Requests one at a time; a bad one is an error in its place.
pub type Requests<'a> = Box<dyn Iterator<Item = Result<SourcedRequest, FormatError>> + Send + 'a>;

/// Opens a file of requests; `-` is standard input. A JSON array is read whole.
pub fn open_requests(path: &Path) -> Result<Requests<'static>, FormatError> {
    stream(Lines::open(path, DEFAULT_LINE_LIMIT)?)
}

/// Requests in memory.
pub fn parse_requests<'a>(bytes: &'a [u8], file: &str) -> Result<Requests<'a>, FormatError> {
    stream(Lines::of_bytes(bytes, file, DEFAULT_LINE_LIMIT))
}

fn stream<'a>(mut lines: Lines<'a>) -> Result<Requests<'a>, FormatError> {
    let file = lines.file().to_string();
    if lines.peek()? == Some(b'[') {
        let bytes = lines.rest()?;
        let values: Vec<Value> = serde_json::from_slice(&bytes).map_err(|e| FormatError::Json {
            file: file.clone(),
            line: e.line() as u64,
            problem: e.to_string(),
        })?;
        return Ok(Box::new(
            values.into_iter().zip(1..).map(move |(value, place)| parse(value, &file, place)),
        ));
    }
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            let parsed = match lines.next() {
                Ok(None) => return None,
                Ok(Some(line)) if line.trim().is_empty() => continue,
                Ok(Some(line)) => serde_json::from_str::<Value>(line),
                Err(error) => return Some(Err(error)),
            };
            let line = lines.line();
            return Some(match parsed {
                Ok(value) => parse(value, &file, line),
                Err(e) => Err(FormatError::Json { file: file.clone(), line, problem: e.to_string() }),
            });
        }
    })))
}

fn parse(value: Value, file: &str, line: u64) -> Result<SourcedRequest, FormatError> {
    let missing = |field: String, remedy| FormatError::Missing { file: file.into(), line, field, remedy };
    let Value::Object(raw) = value else {
        return Err(missing("JSON object".into(), "write {\"query\": …, \"candidates\": […]}"));
    };
    let query = query(&raw, line).ok_or_else(|| {
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
        let one = candidate(item, place + 1).ok_or_else(|| {
            missing(format!("text in {list}[{place}] ({})", TEXT.join(", ")), "give every candidate a text")
        })?;
        if let Some(first) = seen.insert(one.document.id.clone(), place) {
            let problem = format!(
                "{list}[{place}] has the id `{}` of {list}[{first}]; ids must differ within a request",
                shown(&one.document.id)
            );
            return Err(FormatError::Json { file: file.into(), line, problem });
        }
        candidates.push(one);
    }
    let request = RankRequest { query, candidates };
    Ok(SourcedRequest { line, request, raw, list })
}

fn query(raw: &Map<String, Value>, line: u64) -> Option<Query> {
    let numbered = |found: Option<(&str, String)>| found.map_or_else(|| line.to_string(), |(_, id)| id);
    match raw.get("query")? {
        Value::String(text) => {
            // RankGPT keeps the query's id in each hit.
            let hit = || raw.get("hits")?.get(0)?.as_object().and_then(|hit| first(hit, &["qid"]));
            let id = first(raw, &["qid", "query_id"]).or_else(hit);
            Some(Query { id: numbered(id), text: text.clone() })
        }
        Value::Object(inner) => {
            let (_, text) = first(inner, &["text", "query"]).or_else(|| first(inner, &TEXT))?;
            Some(Query { id: numbered(first(inner, &QUERY_ID)), text })
        }
        _ => None,
    }
}

fn candidate(item: &Value, place: usize) -> Option<Candidate> {
    let outer = match item {
        Value::String(text) => return Some(Document::new(place.to_string(), text.clone()).into()),
        Value::Object(outer) => outer,
        _ => return None,
    };
    let inner = outer.get("doc").or_else(|| outer.get("document"));
    let text_of = |object: &Map<String, Value>| first(object, &TEXT).map(|(_, text)| text);
    let fields = inner.and_then(Value::as_object);
    let text = match inner {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Object(inner)) => text_of(inner),
        _ => text_of(outer),
    };
    let title = fields.unwrap_or(outer).get("title").and_then(as_text).unwrap_or_default();
    let text = text.or_else(|| (!title.is_empty()).then(String::new))?;
    let id =
        first(outer, &ID).or_else(|| first(fields?, &ID)).map_or_else(|| place.to_string(), |(_, id)| id);
    let document = Document { id, title, text, metadata: Map::new() };
    Some(Candidate { document, score: outer.get("score").and_then(Value::as_f64) })
}

impl SourcedRequest {
    /// The object as it came, its candidates in the ranking's order, each with the ranking's `score` (a bare text becomes
    /// `{"text", "score"}`). Candidates that the ranking leaves out are left out; a score that is not finite becomes
    /// `null`, since JSON has no other word for it. An id that was no candidate is an error.
    pub fn ranked(&self, ranking: &Ranking) -> Result<Value, FormatError> {
        let items = self.raw.get(self.list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let places: HashMap<&str, &Value> =
            self.request.candidates.iter().map(|c| c.document.id.as_str()).zip(items).collect();
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

/// Writes results as JSON lines; see [`super::atomic::write`].
pub fn write_results(path: &Path, results: impl IntoIterator<Item = Value>) -> Result<(), FormatError> {
    super::atomic::write(path, |out| {
        for result in results {
            serde_json::to_writer(&mut *out, &result)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
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
    fn bad_requests_are_named_and_the_stream_goes_on() {
        let text = b"{\"query\": \"q\"}\n{\"query\": \"q\", \"hits\": [{\"docid\": \"a\"}]}\n{\n{\"query\": \"q\", \"texts\": []}";
        let found: Vec<_> = parse_requests(text, "r").unwrap().collect();
        assert!(matches!(found[0], Err(FormatError::Missing { line: 1, .. })));
        assert!(matches!(found[1], Err(FormatError::Missing { line: 2, .. })));
        assert!(matches!(found[2], Err(FormatError::Json { line: 3, .. })));
        assert!(found[3].is_ok());
    }
}
