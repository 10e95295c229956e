//! Requests as they come, one at a time and in groups.

use super::arguments::{Arguments, Format};
use super::triple;
use crate::command::results::trace_json;
use crate::command::{Global, Output};
use anyhow::Context;
use plackett_core::formats::requests::{SourcedRequest, open_requests};
use plackett_core::{RankRequest, Ranking};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Bytes of text that go through the model together, more or less: what bounds the memory.
const TOGETHER_BYTES: usize = 8 << 20;

/// Names of the list of candidates, as the reader knows them.
const LISTS: [&str; 5] = ["candidates", "hits", "passages", "documents", "texts"];

/// A request and, when it came as JSON, the object it came from.
pub(super) struct Incoming {
    /// The line it stands on, or the query's place in a run, from 1.
    pub line: u64,
    pub request: RankRequest,
    pub source: Option<SourcedRequest>,
}

/// Requests one at a time; a bad one is an error in its place.
pub(super) type Requests = Box<dyn Iterator<Item = anyhow::Result<Incoming>>>;

/// Opens the requests that the arguments name.
pub(super) fn open(
    arguments: &Arguments,
    format: Format,
    global: &Global,
    output: &Output,
) -> anyhow::Result<Requests> {
    match (&arguments.file, &arguments.run, &arguments.queries, &arguments.documents) {
        (Some(file), ..) => {
            Ok(Box::new(open_requests(file, global.max_line_bytes)?.map(|found| Ok(Incoming::from(found?)))))
        }
        (None, Some(_), ..) if format == Format::Requests => {
            anyhow::bail!("a run has no requests to give back; use --format trec, json or jsonl")
        }
        (None, Some(run), Some(queries), Some(documents)) => {
            triple::read(queries, (documents.as_path(), &arguments.kept), run, global.max_line_bytes, output)
        }
        _ => anyhow::bail!("name a file of requests, or --queries, --documents and --run"),
    }
}

impl From<SourcedRequest> for Incoming {
    fn from(mut source: SourcedRequest) -> Self {
        // The texts are wanted once; the JSON object keeps its own copy.
        let request = std::mem::take(&mut source.request.candidates);
        let query = source.request.query.clone();
        let request = RankRequest { query, candidates: request };
        Incoming { line: source.line, request, source: Some(source) }
    }
}

impl Incoming {
    /// The object that came, with its candidates in the new order and with the model's scores. The score that a candidate
    /// came with stays as `first_stage_score`.
    pub fn reordered(mut self, ranking: &Ranking) -> anyhow::Result<Value> {
        let mut source = self.source.take().context("the request did not come as JSON")?;
        source.request = self.request;
        let before: HashMap<&str, f64> = source
            .request
            .candidates
            .iter()
            .filter_map(|c| Some((c.document.id.as_str(), c.score?)))
            .collect();
        let mut value = source.ranked(ranking)?;
        if let Some(items) = LISTS.iter().find_map(|list| value.get(*list)?.as_array().map(|_| *list)) {
            let items = value.get_mut(items).and_then(Value::as_array_mut).into_iter().flatten();
            for ((item, entry), nth) in items.zip(&ranking.entries).zip(0..) {
                if let Some(activated) = ranking.trace.activated.get::<usize>(nth) {
                    item["activated"] = json!(activated);
                }
                if let Some(score) = before.get(entry.id.as_str()) {
                    item["first_stage_score"] = json!(score);
                }
                item["rank"] = json!(entry.rank);
            }
        }
        value["invocations_history"] = json!([]);
        value["trace"] = trace_json(ranking);
        Ok(value)
    }
}

/// Requests in groups of bounded size, in order. A bad request is a group member like any other. Where groups begin depends
/// on the requests alone.
pub(super) struct Groups {
    pub requests: Requests,
    /// Requests of a group at most.
    pub most: usize,
}

impl Iterator for Groups {
    type Item = Vec<anyhow::Result<Incoming>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut group = Vec::new();
        let mut bytes = 0;
        while group.len() < self.most && bytes < TOGETHER_BYTES {
            let Some(request) = self.requests.next() else { break };
            if let Ok(incoming) = &request {
                bytes += incoming.request.candidates.iter().map(|c| c.document.text.len()).sum::<usize>();
            }
            group.push(request);
        }
        (!group.is_empty()).then_some(group)
    }
}
