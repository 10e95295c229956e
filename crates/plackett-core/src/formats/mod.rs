//! The files of the field: TREC runs and judgments, BEIR folders, rerank requests, topics and document collections.
//!
//! Every reader takes plain, gzip or zstd input (recognised by its first bytes) and `-` for standard input, has an entry
//! on bytes in memory, and reports errors with file and line. Writers replace a file only when it is complete.

pub mod atomic;
mod beir;
pub mod documents;
mod error;
mod features;
mod fields;
mod foreign;
mod input;
mod json_lines;
mod npy;
mod object;
mod remarks;
pub mod requests;
mod seekable;
mod topics;
pub mod trec;
mod vector_table;

pub use atomic::AtomicFile;
pub use beir::{BeirFolder, BeirWriter};
pub use documents::{
    DocumentFormat, DocumentOptions, Documents, FieldUse, FileCheck, LARGEST_SINGLE, SingleKind, TableRows,
    document_bytes, names_records, open_documents, parquet_rows,
};
pub use error::{FormatError, plain};
pub use features::{FeatureList, parse_features, read_features};
pub use input::{
    BytesRead, DEFAULT_LINE_LIMIT, Input, Lines, open, open_bytes, read_all, read_text, unmarked,
};
pub use json_lines::read_json_lines;
pub use npy::{NpyRows, NpyWriter};
pub use object::{in_plain_words as serde_problem, problem as json_problem};
pub use remarks::Remarks;
pub use topics::{parse_topics, read_topics, read_topics_with};
pub use vector_table::{VectorRow, VectorTable, VectorTableWriter};
