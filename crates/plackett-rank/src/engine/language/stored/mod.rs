//! The block index: keys and values of the documents of an index, as a folder beside its postings and vectors.
//!
//! A document's block is what a decoder computes of it behind an instruction that has no query, up to the layer that
//! BlockRank reads. It is found by the SHA-256 of the text of its block (id, title and text as they stand in the prompt, cut
//! as the prompt says): a document that was replaced has another text, so that an old block can never stand for it, whatever
//! was interrupted meanwhile. What is found is bit for bit what would be computed.
//!
//! The folder holds files of blocks (`plackett_lm::decoder::BlockStore`) and `blocks.json`, which names them together with the
//! model and the prompt. Files are written first, then the record is replaced; what it does not name is what an
//! interrupted writer left, and the next one removes it.

mod error;
mod manifest;
mod open;
mod writer;

pub use error::BlockIndexError;
pub use manifest::{Agreement, BlockIndexInfo, BlocksOf};
pub(crate) use open::StoredBlocks;
pub use writer::{BlockIndexWriter, BlockProgress, BlockUpdate};

#[cfg(test)]
mod tests;
