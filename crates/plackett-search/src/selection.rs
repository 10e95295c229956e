//! Searching among the documents that a filter lets through.

use crate::bm25::QueryTerms;
use crate::chunk::document_of_first;
use crate::filter::{self, Allowed, Bits, Evaluation, Facets, Field, Filter};
use crate::rm3::Rm3;
use crate::{Bm25, DenseFound, DenseSearch, Index, SearchError};
use std::sync::Arc;

/// The documents of an index that a filter lets through, or all. What is found here comes from them alone, in the order
/// and with the scores that it has among all documents: how rare a word is, is asked of the whole index.
pub struct Selection<'a> {
    index: &'a Index,
    allowed: Option<Arc<Allowed>>,
}

impl Index {
    /// The documents that a filter lets through; all without one.
    ///
    /// # Errors
    /// [`SearchError::Filter`] where no document has a field of the filter, or none of its values compares with the
    /// filter's, or the index was made before there were filters.
    pub fn select(&self, filter: Option<&Filter>) -> Result<Selection<'_>, SearchError> {
        let Some(filter) = filter else { return Ok(self.all()) };
        let allowed = self.snapshot.filters.of(filter, &self.evaluation()?)?;
        Ok(Selection { index: self, allowed: Some(allowed) })
    }

    /// All documents.
    pub(crate) fn all(&self) -> Selection<'_> {
        Selection { index: self, allowed: None }
    }

    /// The fields of the documents besides title and text, with their types, by name.
    ///
    /// # Errors
    /// As [`Index::select`] of an old index; the index cannot be read.
    pub fn fields(&self) -> Result<Vec<Field>, SearchError> {
        self.evaluation()?.fields()
    }

    /// The values of a field in some documents, by their ids or those of their passages, each document once.
    ///
    /// # Errors
    /// As [`Selection::facets`].
    pub fn facets_of<'i>(
        &self,
        field: &str,
        ids: impl IntoIterator<Item = &'i str>,
    ) -> Result<Facets, SearchError> {
        let mut within = self.none();
        for id in ids {
            let address = self.address_of_document(id)?;
            let bits = address.and_then(|at| Some((within.get_mut(at.segment_ord as usize)?, at.doc_id)));
            if let Some((bits, doc)) = bits {
                bits.insert(doc);
            }
        }
        self.count(field, &within)
    }

    fn none(&self) -> Vec<Bits> {
        self.snapshot.segments.iter().map(|segment| Bits::none(segment.ids.len() as u32)).collect()
    }

    fn count(&self, field: &str, within: &[Bits]) -> Result<Facets, SearchError> {
        self.evaluation()?.facets(field, within)
    }

    /// What filters are evaluated on, where the index can be filtered.
    fn evaluation(&self) -> Result<Evaluation<'_>, SearchError> {
        if self.settings.filters {
            let (snapshot, directory, types) = (&*self.snapshot, &*self.directory, &self.settings.types);
            return Ok(Evaluation { snapshot, directory, types });
        }
        let path = self.directory.display();
        Err(SearchError::Filter(format!(
            "{path}: the index was made by an older plackett, and does not know the fields of its documents; index the \
             collection again into a new folder"
        )))
    }
}

impl<'a> Selection<'a> {
    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.allowed.as_ref().map_or(self.index.len(), |allowed| allowed.documents)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their ids, in no particular order.
    pub fn ids(&self) -> Box<dyn Iterator<Item = &'a str> + '_> {
        let Some(allowed) = &self.allowed else { return Box::new(self.index.ids()) };
        let snapshot = &self.index.snapshot;
        let found = filter::documents_among(snapshot, allowed.segments());
        let is_whole = !self.index.has_passages();
        Box::new(snapshot.segments.iter().zip(found).flat_map(move |(segment, bits)| {
            let places: Vec<u32> = bits.iter().collect();
            let id = move |doc: u32| {
                let id = segment.ids.get(doc as usize)?;
                if is_whole { Some(id) } else { document_of_first(id) }
            };
            places.into_iter().filter_map(id)
        }))
    }

    /// As [`Index::search_bm25`].
    pub fn search_bm25(
        &self,
        query: &str,
        bm25: &Bm25,
        depth: usize,
    ) -> Result<Vec<(String, f64)>, SearchError> {
        self.search_terms(&self.index.query_terms(query), bm25, depth)
    }

    /// As [`Index::search_terms`].
    pub fn search_terms(
        &self,
        terms: &QueryTerms,
        bm25: &Bm25,
        depth: usize,
    ) -> Result<Vec<(String, f64)>, SearchError> {
        self.index.best(terms, bm25, depth, self.allowed.as_deref())
    }

    /// As [`Index::expand`]: the documents that a query is expanded from are some of these.
    pub fn expand(&self, query: &str, bm25: &Bm25, rm3: &Rm3) -> Result<QueryTerms, SearchError> {
        self.index.expand_by(query, bm25, rm3, self.allowed.as_deref())
    }

    /// As [`Index::search_vector`].
    pub fn search_vector(&self, vector: &[f32], depth: usize) -> Result<Vec<(String, f64)>, SearchError> {
        self.index.scan_checked(vector, depth, self.allowed.as_deref())
    }

    /// As [`Index::search_dense`]. The graph is used by the number of vectors that are here.
    ///
    /// # Errors
    /// As there.
    pub fn search_dense(
        &self,
        vector: &[f32],
        depth: usize,
        search: &DenseSearch,
    ) -> Result<DenseFound, SearchError> {
        self.index.nearest(vector, depth, search, self.allowed.as_deref())
    }

    /// As [`Index::uses_graph`].
    ///
    /// # Errors
    /// As there.
    pub fn uses_graph(&self, search: &DenseSearch, depth: usize) -> Result<bool, SearchError> {
        self.index.goes_through_graph(search, depth, self.allowed.as_deref())
    }

    /// The values of a field in these documents.
    ///
    /// # Errors
    /// [`SearchError::Filter`] where no document of the index has the field.
    pub fn facets(&self, field: &str) -> Result<Facets, SearchError> {
        match &self.allowed {
            Some(allowed) => {
                let within = filter::documents_among(&self.index.snapshot, allowed.segments());
                self.index.count(field, &within)
            }
            None => self.index.count(field, &filter::living(&self.index.snapshot)),
        }
    }
}
