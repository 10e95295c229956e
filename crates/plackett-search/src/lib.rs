//! Search over one index directory: texts, postings and vectors, committed together.
//!
//! ```
//! use plackett_core::Document;
//! use plackett_search::{Bm25, Index, IndexSettings};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("index");
//! let mut index = Index::create(&path, &IndexSettings::default())?;
//! let mut writer = index.writer(None)?;
//! writer.put(Document::new("d1", "ranking with language models"))?;
//! writer.put(Document::new("d2", "cooking with gas"))?;
//! writer.finish()?;
//! let found = index.search_bm25("rank models", &Bm25::default(), 10)?;
//! assert_eq!(found[0].0, "d1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod analysis;
mod bm25;
mod changes;
pub mod chunk;
mod compaction;
mod dense;
mod directory;
mod embedder;
mod error;
mod filter;
mod graph;
mod index;
mod language;
mod manifest;
mod passages;
pub mod rm3;
mod schema;
mod selection;
mod snapshot;
pub mod snippet;
mod sync_state;
mod unfinished;
mod vectors;
mod writer;

pub use analysis::{ANALYZER_VERSION, Analyzer};
pub use bm25::{Bm25, Lengths, QueryTerms, TermScore};
pub use changes::Put;
pub use chunk::Chunking;
pub use dense::{DenseFound, DenseMethod, DenseSearch, DenseUsed, HAS_HNSW};
pub use embedder::{CutText, Embedded, Embedder, EmbedderFailure};
pub use error::SearchError;
pub use filter::{Comparison, FacetValue, Facets, Field, FieldType, Filter, IsoDate, Number, Value};
pub use graph::HNSW_FROM;
pub use index::{Index, IndexStats};
pub use language::Language;
pub use manifest::{
    FORMAT_VERSION, IndexSettings, MANIFEST, ModelIdentity, VectorFormat, parse as parse_manifest,
};
pub use passages::Passage;
pub use rm3::Rm3;
pub use selection::Selection;
pub use snippet::Snippet;
pub use sync_state::{ContentHash, SyncState};
pub use unfinished::NewIndex;
pub use vectors::{VectorHeader, parse_header as parse_vector_header};
pub use writer::{Committed, IndexWriter};
