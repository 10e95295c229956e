//! One committed state of an index, in memory as far as searching needs it.

use crate::SearchError;
use crate::bm25::PreparedCache;
use crate::chunk::document_of_first;
use crate::compaction::Locator;
use crate::filter::{Bits, FilterCache};
use crate::graph::{Approximate, Graph, NoGraph, Owners};
use crate::schema::Fields;
use crate::vectors::VectorFile;
use plackett_core::IdList;
use std::path::Path;
use std::sync::Arc;
use tantivy::{InvertedIndexReader, Searcher, SegmentReader};

/// No vector belongs to a document.
pub(crate) const NO_VECTOR: u64 = u64::MAX;

/// The searchable parts of one segment of the inverted index.
pub(crate) struct Segment {
    /// Identifiers of all documents, deleted ones too.
    pub ids: IdList,
    /// Terms of each document, per field.
    pub lengths: Vec<Vec<u32>>,
    /// Where the vector of each document that is not deleted is: file in the upper, row in the lower 32 bits.
    pub rows: Vec<u64>,
    /// The postings of each searched field.
    pub inverted: Vec<Arc<InvertedIndexReader>>,
    /// The terms of the metadata, where it can be filtered by.
    pub metadata: Option<Arc<InvertedIndexReader>>,
    /// The first passage of each document; `None` where documents are whole.
    pub first_passages: Option<Bits>,
}

/// A committed state.
pub(crate) struct Snapshot {
    pub searcher: Searcher,
    pub segments: Vec<Segment>,
    pub vectors: Arc<Vec<VectorFile>>,
    /// What leads to near vectors without looking at all.
    pub approximate: Result<Approximate, NoGraph>,
    /// Passages that are not deleted: documents, where those are whole.
    pub passages: usize,
    /// Documents that are not deleted.
    pub documents: usize,
    /// Those of them that have a vector.
    pub with_vector: usize,
    /// Mean number of terms per passage, per field.
    pub mean_lengths: Vec<f64>,
    /// What searches by words computed and can use again.
    pub prepared: PreparedCache,
    /// What filters let through.
    pub filters: FilterCache,
}

impl Snapshot {
    pub(crate) fn load(
        searcher: Searcher,
        fields: &Fields,
        vectors: Arc<Vec<VectorFile>>,
        graph: Result<Graph, NoGraph>,
        compacted: u64,
        directory: &Path,
    ) -> Result<Snapshot, SearchError> {
        let failed = || SearchError::from_tantivy(directory);
        let mut segments = Vec::new();
        let mut totals = vec![0u64; fields.searched.len()];
        let (mut passages, mut documents, mut with_vector) = (0, 0, 0);
        for reader in searcher.segment_readers() {
            let mut segment = Segment::load(reader, fields).map_err(failed())?;
            let mut locator = Locator::new(&vectors, compacted);
            for doc in reader.doc_ids_alive() {
                passages += 1;
                let is_document =
                    segment.first_passages.as_ref().is_none_or(|first_passages| first_passages.contains(doc));
                documents += usize::from(is_document);
                for (total, lengths) in totals.iter_mut().zip(&segment.lengths) {
                    *total += u64::from(lengths[doc as usize]);
                }
                let row = &mut segment.rows[doc as usize];
                if *row == NO_VECTOR {
                    continue;
                }
                with_vector += 1;
                *row = locator.find(*row).ok_or_else(|| {
                    let problem = "a document's vector is missing".to_string();
                    SearchError::Corrupt { path: directory.into(), problem }
                })?;
            }
            segments.push(segment);
        }
        let mean = |total: u64| if passages == 0 { 0.0 } else { total as f64 / passages as f64 };
        let approximate = graph.map(|graph| {
            let owners = Owners::of(&searcher, &segments, &vectors);
            let living = owners.living(0..graph.files()).count();
            Approximate { graph, owners, living }
        });
        Ok(Snapshot {
            searcher,
            segments,
            vectors,
            approximate,
            passages,
            documents,
            with_vector,
            mean_lengths: totals.into_iter().map(mean).collect(),
            prepared: PreparedCache::default(),
            filters: FilterCache::default(),
        })
    }

    /// The documents of all vectors.
    #[cfg(feature = "usearch")]
    pub(crate) fn owners(&self) -> Owners {
        Owners::of(&self.searcher, &self.segments, &self.vectors)
    }
}

impl Segment {
    fn load(reader: &SegmentReader, fields: &Fields) -> tantivy::Result<Segment> {
        let count = reader.max_doc();
        let columns = reader.fast_fields();
        let ids = read_ids(reader)?;
        let mut lengths = Vec::new();
        for name in &fields.length_names {
            let column = columns.u64(name)?;
            lengths.push((0..count).map(|doc| column.first(doc).unwrap_or(0) as u32).collect());
        }
        let column = columns.u64(crate::schema::VECTOR)?;
        let rows = (0..count).map(|doc| column.first(doc).unwrap_or(NO_VECTOR)).collect();
        let inverted = fields.searched.iter().map(|field| reader.inverted_index(*field));
        let metadata = fields.metadata.map(|field| reader.inverted_index(field)).transpose()?;
        let first_passages = fields.passage.map(|_| {
            let mut first_passages = Bits::none(count);
            let is_first =
                |doc: &u32| ids.get(*doc as usize).is_some_and(|id| document_of_first(id).is_some());
            (0..count).filter(is_first).for_each(|doc| first_passages.insert(doc));
            first_passages
        });
        let inverted = inverted.collect::<tantivy::Result<_>>()?;
        Ok(Segment { ids, lengths, rows, inverted, metadata, first_passages })
    }
}

/// The identifiers of a segment by document. The dictionary is read once from end to end: looking up one identifier costs
/// a search in it.
fn read_ids(reader: &SegmentReader) -> tantivy::Result<IdList> {
    let full = |e: plackett_core::IdListFull| tantivy::TantivyError::InvalidArgument(e.to_string());
    let mut ids = IdList::new();
    let Some(column) = reader.fast_fields().str(crate::schema::ID)? else {
        (0..reader.max_doc()).try_for_each(|_| ids.push("").map_err(full))?;
        return Ok(ids);
    };
    let mut sorted = IdList::with_capacity(column.num_terms(), 0);
    let mut stream = column.dictionary().stream()?;
    while stream.advance() {
        let id = std::str::from_utf8(stream.key());
        let problem = |_| tantivy::TantivyError::InvalidArgument("an identifier is not UTF-8".into());
        sorted.push(id.map_err(problem)?).map_err(full)?;
    }
    for doc in 0..reader.max_doc() {
        let id = column.term_ords(doc).next().and_then(|ord| sorted.get(ord as usize));
        ids.push(id.unwrap_or_default()).map_err(full)?;
    }
    Ok(ids)
}
