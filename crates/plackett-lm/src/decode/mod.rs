//! Constrained decoding.

mod error;
mod model;
mod random;
mod trie;
mod trie_bytes;
#[cfg(test)]
mod trie_tests;

pub use error::DecodeError;
pub use model::{Branch, DecodeModel, Extended, Handle, Wanted};
pub use random::{RandomModel, RandomModelCounts};
pub use trie::{Children, TokenTrie, TrieBuilt, TrieNode};
