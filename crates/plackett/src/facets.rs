//! Candidates for all sides of a question: one search with the question and one for each of its aspects, joined (Wang et
//! al., RichRAG, 2024, "multi-faceted retriever").

use crate::pipeline::{Pipeline, QueryError, REMARK};
use plackett_core::{Document, Query, Trace};
use plackett_rank::ask::{Aspect, Pool};
use plackett_search::Index;

/// How candidates are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FacetOptions {
    /// Documents that each search gives.
    pub depth: usize,
    /// Most candidates (270 and 293 in RichRAG).
    pub most: usize,
}

impl Default for FacetOptions {
    fn default() -> FacetOptions {
        FacetOptions { depth: 10, most: 300 }
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct FacetCandidates {
    /// The searches: the question, then the question with each aspect.
    pub queries: Vec<Query>,
    /// The candidates, and which search found them.
    pub pool: Pool,
    /// Their texts, in the order of the pool.
    pub documents: Vec<Document>,
    /// What has to be known of the searches, in sentences.
    pub remarks: Vec<String>,
    /// What they cost.
    pub trace: Trace,
}

/// The words with which a side is searched.
pub fn side_text(question: &str, side: &Aspect) -> String {
    format!("{question} {}", side.text)
}

/// Searches an index with a question and, for each aspect, with the question and the aspect. Documents without a word are
/// left out and told: no reader could use them.
///
/// # Errors
/// A search that fails.
pub fn candidates(
    pipeline: &Pipeline,
    index: &Index,
    question: &str,
    aspects: &[Aspect],
    options: &FacetOptions,
) -> Result<FacetCandidates, QueryError> {
    let with =
        |(n, aspect): (usize, &Aspect)| Query::new(format!("aspect {}", n + 1), side_text(question, aspect));
    let queries: Vec<Query> = std::iter::once(Query::new("question", question))
        .chain(aspects.iter().enumerate().map(with))
        .collect();
    let mut trace = Trace::default();
    let (mut lists, mut remarks) = (Vec::with_capacity(queries.len()), Vec::new());
    for ranking in pipeline.search(index, &queries, options.depth) {
        let ranking = ranking?;
        let told = ranking.trace.facts.iter().filter(|(name, _)| name.starts_with(REMARK));
        remarks.extend(told.map(|(_, text)| format!("{}: {text}", ranking.query_id)));
        lists.push(ranking.entries.into_iter().map(|entry| entry.id).collect::<Vec<String>>());
        trace = trace.then(Trace { facts: Vec::new(), ..ranking.trace });
    }
    trace.facts.push(("pipeline".into(), pipeline.to_string()));
    trace.facts.push(("searches".into(), queries.len().to_string()));
    trace.facts.push(("depth of each search".into(), options.depth.to_string()));
    let pool = Pool::join(&lists, options.most);
    if pool.dropped > 0 {
        remarks.push(format!(
            "{} of {} documents that were found are beyond the most candidates ({}) and were dropped",
            pool.dropped,
            pool.dropped + pool.len(),
            options.most
        ));
    }
    let mut documents = Vec::with_capacity(pool.len());
    let mut wordless = Vec::new();
    for (position, entry) in pool.entries.iter().enumerate() {
        let failed = |source| QueryError::Search { query: "question".into(), source: Box::new(source) };
        match index.document(&entry.id).map_err(failed)? {
            Some(document) if document.model_text().chars().any(char::is_alphanumeric) => {
                documents.push(document);
            }
            _ => wordless.push(position),
        }
    }
    if !wordless.is_empty() {
        let names: Vec<String> =
            wordless.iter().map(|position| format!("`{}`", pool.entries[*position].id)).collect();
        remarks.push(format!("documents without a word were left out: {}", names.join(", ")));
    }
    let pool = pool.without(&wordless);
    Ok(FacetCandidates { queries, pool, documents, remarks, trace })
}
