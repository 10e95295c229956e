//! Constrained decoding: greedy, beam, diverse beam and seeded sampling under a constraint that makes every output
//! well-formed by construction.
//!
//! A [`Constraint`] says which tokens may come next; a [`DecodeModel`] continues many branches in one call and gives the
//! logits of just those tokens; [`decode`] drives any number of requests together. Constraints: [`Permutation`] (an
//! ordering of identifiers), [`TrieConstraint`] (one of millions of token sequences, in a [`TokenTrie`]), [`Choices`] (yes
//! or no), [`ScoreSheet`] (JSON scores, through [`Bytewise`]), [`FreeText`].
//!
//! ```
//! use plackett_lm::decode::*;
//! // A vocabulary of single bytes and an end token, and a model of random logits.
//! let tokenize = |text: &str| Ok(text.bytes().map(u32::from).collect());
//! let orderings = Permutation::new(&["[1]", "[2]", "[12]"], " > ", None, tokenize, Some(256))?;
//! let mut model = RandomModel::new(257, 7);
//! let request = DecodeRequest { prefix: model.root(), prompt: &[10], constraint: &orderings, index: 0 };
//! let options = DecodeOptions::new(Strategy::Beam(Beam::new(8)));
//! let decoded = decode(&mut model, &[request], &options)?.remove(0)?;
//! assert_eq!(decoded.hypotheses.len(), 6); // all orderings of three
//! let mut best = decoded.hypotheses[0].output.clone();
//! best.sort();
//! assert_eq!(best, [0, 1, 2]);
//! # Ok::<(), plackett_lm::LmError>(())
//! ```

mod bytewise;
mod candidates;
mod constraint;
mod free_text;
mod group;
mod job;
pub(crate) mod model;
mod options;
mod permutation;
mod random;
mod request;
mod score_sheet;
mod search;
mod trie;
mod trie_bytes;
mod trie_constraint;
#[cfg(test)]
mod trie_tests;

pub use crate::error::decode::DecodeError;
pub use crate::text::token_bytes::TokenBytes;
pub use bytewise::{ByteMachine, Bytewise};
pub use candidates::log_sum_exp;
pub use constraint::{Allowed, Constraint, Transition};
pub use free_text::{FreeText, Text, TextEnd, TextState};
pub use model::{Branch, BranchOutput, DecodeModel, LogitIds, PrefixId};
pub use options::{Beam, DecodeOptions, EarlyStop, LengthNorm, Normalize, Sampling, Strategy};
pub use permutation::{Permutation, PermutationState};
pub use random::{RandomModel, RandomModelCounts};
pub use request::{DecodeRequest, Decoded, Hypothesis};
pub use score_sheet::{ScoreRange, ScoreSheet, SheetOrder, SheetScore, SheetState};
pub use search::decode;
pub use trie::{Children, TokenTrie, TrieBuilt, TrieNode};
pub use trie_constraint::{Choices, TrieConstraint, TrieState};
