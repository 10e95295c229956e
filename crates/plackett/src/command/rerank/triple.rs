//! Requests from three files: queries, documents and the TREC run that says which belong together.

use super::{Incoming, Requests};
use crate::command::Output;
use crate::command::documents::{CollectionBar, DocumentArguments};
use crate::command::open::{read_queries_with, read_run};
use anyhow::Context;
use plackett_core::formats::{DocumentOptions, FieldUse, Remarks};
use plackett_core::{Candidate, Document, Query, RankRequest, RunQuery};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// One request per query of the run, in the run's order. Of the collection only the documents that the run names are
/// kept. A query or document that is missing makes an error in the request's place.
pub fn read(
    queries: &Path,
    documents: (&Path, &DocumentArguments),
    run: &Path,
    line_limit: usize,
    output: &Output,
) -> anyhow::Result<Requests> {
    let remarks = Remarks::default();
    let run = read_run(run, line_limit, &remarks)?;
    let queries: HashMap<String, Query> =
        read_queries_with(queries, line_limit, &remarks)?.into_iter().map(|q| (q.id.clone(), q)).collect();
    let options = DocumentOptions {
        field_use: FieldUse::Read,
        line_limit,
        remarks: remarks.clone(),
        ..DocumentOptions::default()
    };
    let texts = Arc::new(wanted_documents(documents, run.queries(), options, output)?);
    remarks.take().iter().for_each(|remark| output.warn(remark));
    let requests: Vec<(usize, RunQuery)> = run.queries().iter().cloned().enumerate().collect();
    Ok(Box::new(requests.into_iter().map(move |(place, entry)| {
        let query = queries.get(entry.id()).cloned();
        let query =
            query.with_context(|| format!("query `{}` of the run is not among the queries", entry.id()))?;
        let candidate = |(id, score): (&str, f64)| {
            let document = texts.get(id).cloned();
            let document = document.with_context(|| {
                format!("query `{}`: document `{id}` of the run is not in the collection", entry.id())
            })?;
            Ok(Candidate { document, score: Some(score) })
        };
        let candidates = entry.ranked().into_iter().map(candidate).collect::<anyhow::Result<_>>()?;
        Ok(Incoming { line: place as u64 + 1, request: RankRequest { query, candidates }, source: None })
    })))
}

fn wanted_documents(
    (path, kept): (&Path, &DocumentArguments),
    run: &[RunQuery],
    options: DocumentOptions,
    output: &Output,
) -> anyhow::Result<HashMap<String, Document>> {
    let wanted: HashSet<&str> = run.iter().flat_map(|query| query.documents().iter()).collect();
    let bar = CollectionBar::new(output, "reading documents", Some(path));
    let mut texts = HashMap::with_capacity(wanted.len());
    for document in kept.read(path, DocumentOptions { bytes_read: Some(bar.count()), ..options })? {
        let document = document?;
        bar.read();
        bar.finished(1);
        if wanted.contains(document.id.as_str()) {
            texts.insert(document.id.clone(), document);
        }
    }
    bar.end();
    Ok(texts)
}
