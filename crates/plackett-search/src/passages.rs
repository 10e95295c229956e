//! From passages to their documents and back.

use crate::SearchError;
use crate::chunk::{document_of, passage_id};
use crate::index::Index;
use crate::schema::{END, START};
use plackett_core::{Document, Metadata};
use std::ops::Range;
use tantivy::DocAddress;

/// Where a passage comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The document's id.
    pub document: String,
    /// Bytes of the document's text.
    pub range: Range<usize>,
}

impl Index {
    /// Whether documents are cut into passages.
    pub fn has_passages(&self) -> bool {
        self.fields.passage.is_some()
    }

    /// Where a passage comes from; `None` where there is no such passage, or documents are whole.
    ///
    /// # Errors
    /// The postings cannot be read.
    pub fn passage(&self, id: &str) -> Result<Option<Passage>, SearchError> {
        let Some(document) = document_of(id).filter(|_| self.has_passages()) else { return Ok(None) };
        let Some(address) = self.address(id)? else { return Ok(None) };
        Ok(Some(Passage { document: document.into(), range: self.range(address)? }))
    }

    /// Where a document stands in the inverted index, by its id or that of a passage: of passages the first one.
    pub(crate) fn address_of_document(&self, id: &str) -> Result<Option<DocAddress>, SearchError> {
        match self.has_passages() {
            true => self.address(&passage_id(document_of(id).unwrap_or(id), 1)),
            false => self.address(id),
        }
    }

    /// The metadata of a passage's document, which its first passage keeps.
    pub(crate) fn metadata_of(&self, passage: &str) -> Result<Metadata, SearchError> {
        let first = self.address_of_document(passage)?;
        Ok(first.map(|address| self.stored(address, passage)).transpose()?.unwrap_or_default().metadata)
    }

    /// A document as it was before it was cut: passages cover it without a gap.
    pub(crate) fn whole_document(&self, id: &str) -> Result<Option<Document>, SearchError> {
        let mut parts = Vec::new();
        for address in self.addresses(&self.fields.of_document(id))? {
            parts.push((self.range(address)?, self.stored(address, id)?));
        }
        parts.sort_by_key(|(range, _)| range.start);
        let missing = || SearchError::Corrupt {
            path: self.directory.join("text"),
            problem: format!("a passage of the document `{id}` is missing"),
        };
        let mut whole: Option<Document> = None;
        for (range, part) in parts {
            let whole =
                whole.get_or_insert_with(|| Document { id: id.into(), text: String::new(), ..part.clone() });
            let known = whole.text.len();
            if range.end > known {
                let new = known.checked_sub(range.start).and_then(|shared| part.text.get(shared..));
                whole.text.push_str(new.ok_or_else(missing)?);
            }
        }
        Ok(whole)
    }

    /// The bytes of the document's text that the passage at a place of the inverted index has.
    fn range(&self, address: DocAddress) -> Result<Range<usize>, SearchError> {
        let column = |name: &str| {
            let reader = self.snapshot.searcher.segment_reader(address.segment_ord);
            let column = reader.fast_fields().u64(name);
            let column = column.map_err(SearchError::from_tantivy(&self.directory))?;
            Ok(column.first(address.doc_id).unwrap_or(0) as usize)
        };
        Ok(column(START)?..column(END)?)
    }
}
