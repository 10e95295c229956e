//! What written queries find.

use super::{QuerySynthesisError, WrittenQuery};
use crate::pipeline::Pipeline;
use plackett_core::{Document, Query, Ranking};
use plackett_search::Index;

/// Queries that are searched together.
const TOGETHER: usize = 64;

/// A search for written queries.
#[derive(Clone, Copy)]
pub struct QuerySearch<'p> {
    /// What is searched.
    pub index: &'p Index,
    /// How.
    pub pipeline: &'p Pipeline,
}

impl QuerySearch<'_> {
    /// Hands on what each query finds, at most so many documents; `progress` is told how many were searched.
    pub(super) fn each(
        &self,
        queries: &[WrittenQuery],
        depth: usize,
        progress: &dyn Fn(usize),
        take: &mut dyn FnMut(&WrittenQuery, &Ranking) -> Result<(), QuerySynthesisError>,
    ) -> Result<(), QuerySynthesisError> {
        for (nth, part) in queries.chunks(TOGETHER).enumerate() {
            progress(nth * TOGETHER);
            let asked: Vec<Query> =
                part.iter().map(|query| Query::new(query.id.as_str(), query.text.as_str())).collect();
            for (query, found) in part.iter().zip(self.pipeline.search(self.index, &asked, depth)) {
                take(query, &found?)?;
            }
        }
        Ok(())
    }
}

/// Whether queries find the documents that they were written for.
#[derive(Clone, Copy)]
pub struct RoundTrip<'p> {
    /// The search.
    pub search: QuerySearch<'p>,
    /// How far a document is looked for.
    pub depth: usize,
}

impl RoundTrip<'_> {
    /// Where each query finds its own document among the first [`RoundTrip::depth`], from 0; `progress` is told how many were searched.
    ///
    /// # Errors
    /// A search fails.
    pub fn places(
        &self,
        documents: &[Document],
        queries: &[WrittenQuery],
        progress: &dyn Fn(usize),
    ) -> Result<Vec<Option<usize>>, QuerySynthesisError> {
        let mut places = Vec::with_capacity(queries.len());
        self.search.each(queries, self.depth, progress, &mut |query, found| {
            let own = &documents[query.document].id;
            places.push(found.entries.iter().position(|entry| entry.id == *own));
            Ok(())
        })?;
        Ok(places)
    }
}
