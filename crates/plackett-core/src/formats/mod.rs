//! The files of the field: TREC runs and judgments, BEIR folders, rerank requests, topics and document collections.
//!
//! Every reader takes plain, gzip or zstd input (recognised by its first bytes) and `-` for standard input, has an entry
//! on bytes in memory, and reports errors with file and line. Writers replace a file only when it is complete.

mod atomic;
mod beir;
mod documents;
mod error;
mod input;
mod requests;
mod topics;
pub mod trec;

pub use atomic::AtomicFile;
pub use beir::BeirFolder;
pub use documents::{
    DocumentFormat, DocumentOptions, Documents, document_from_json, open_documents, parse_documents,
};
pub use error::FormatError;
pub use input::{LINE_LIMIT, Lines, open_input, read_input};
pub use requests::{RequestShape, Requests, SourceRequest, open_requests, parse_requests};
pub use topics::{parse_topics, read_topics};
