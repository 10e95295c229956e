//! Labelled queries of a command line: two files, and the documents that are known.

use crate::command::open::{read_qrels, read_queries};
use crate::command::{Global, Output};
use anyhow::bail;
use plackett_core::{Qrels, QueryQrels, counted};
use plackett_genir::representation::{PairSource, TextPair};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A query, and the places of the documents that answer it, as often as they are judged.
pub(super) struct Answered {
    pub(super) text: String,
    pub(super) documents: Vec<usize>,
}

/// The queries of a file that have an answer, with what was passed over said; the flags are those that name the files.
pub(super) fn answered(
    (queries, qrels): (&Path, &Path),
    [queries_flag, qrels_flag]: [&str; 2],
    places: &HashMap<&str, usize>,
    global: &Global,
    output: &Output,
) -> anyhow::Result<Vec<Answered>> {
    let (queries, qrels) = (read_queries(queries, global.max_line_bytes)?, read_qrels(qrels)?);
    let (there, mut unknown) = (queries.len(), 0);
    let mut answered = Vec::new();
    for query in queries {
        let mut documents = Vec::new();
        for judgment in qrels.relevant(&query.id) {
            match places.get(judgment.document) {
                Some(document) => documents.push(*document),
                None => unknown += 1,
            }
        }
        if !documents.is_empty() {
            answered.push(Answered { text: query.text, documents });
        }
    }
    if unknown > 0 {
        let judgments = counted(unknown, "judgment is of a document", "judgments are of documents");
        output.warn(&format!("{qrels_flag}: {judgments} that the index does not have"));
    }
    let unanswered = there - answered.len();
    if unanswered > 0 {
        output.warn(&format!(
            "{queries_flag}: {unanswered} of {there} have no answer in the index and are left out"
        ));
    }
    if answered.is_empty() {
        bail!("{queries_flag}: no query has an answer in the index; check that {qrels_flag} belongs to it");
    }
    Ok(answered)
}

/// Says that lists are made of all answers of a query, where the judgments name several sets of them.
fn remark_on_sets(qrels: &Qrels, output: &Output) {
    let several = |query: &&QueryQrels| {
        let mut sets = query.relevant().map(|judgment| judgment.iteration);
        let first = sets.next();
        sets.any(|set| Some(set) != first)
    };
    let count = qrels.queries().iter().filter(several).count();
    if count > 0 {
        output.warn(&format!(
            "--titles: the second column of --qrels names several sets of answers for {}; a list may have documents of more than one",
            counted(count, "query", "queries")
        ));
    }
}

/// Labelled queries as texts to learn from; none without the files. For lists of docids what their answers do not tell is said.
pub(super) fn labelled(
    (queries, qrels): (Option<&PathBuf>, Option<&PathBuf>),
    lists: bool,
    places: &HashMap<&str, usize>,
    global: &Global,
    output: &Output,
) -> anyhow::Result<PairSource> {
    let (Some(queries), Some(qrels)) = (queries, qrels) else {
        return Ok(PairSource::default());
    };
    let files = (queries.as_path(), qrels.as_path());
    let answered = answered(files, ["--queries", "--qrels"], places, global, output)?;
    if lists {
        remark_on_sets(&read_qrels(qrels)?, output);
    }
    let mut pairs = Vec::new();
    for Answered { text, documents } in answered {
        let pair = |document| TextPair { text: text.clone(), document };
        pairs.extend(documents.into_iter().map(pair));
    }
    Ok(PairSource::new(pairs))
}
