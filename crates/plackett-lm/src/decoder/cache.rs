//! Keys and values of tokens, kept for those that follow.
//!
//! A [`Cache`] is a list of immutable segments that it shares with other caches: continuing it adds a segment and leaves
//! it as it was. Since the segments of a list need not stem from one text, a cache can also be put together from blocks
//! that were computed apart (block attention).

use super::kept::Kept;
use crate::LmError;
use crate::adapter::AdapterId;
use std::sync::Arc;

/// Number format of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheFormat {
    /// As computed.
    F32,
    /// Half the memory; errors of about 1 in 2,000.
    F16,
    /// Half the memory: a scale for each token, head and layer; errors of about 1 in 8,000 of the largest number. Where a
    /// model's products are made in integers, its attention rounds keys and values to these numbers anyway, so that its
    /// answers are those with [`CacheFormat::F32`], bit for bit.
    Int16,
    /// A quarter of the memory: a scale for each token, head and layer; errors of about 1 in 250 of the largest number.
    Int8,
}

/// Keys and values of a sequence of tokens; cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(super) segments: Vec<Arc<Kept>>,
    pub(super) position: u32,
    pub(super) running: bool,
    /// What its tokens were computed with.
    pub(super) adapter: Option<AdapterId>,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { segments: Vec::new(), position: 0, running: true, adapter: None }
    }
}

impl Cache {
    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.segments.iter().map(|segment| segment.tokens()).sum()
    }

    /// The position of the next token: one after that of the last.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// The adapter that it was computed with, and must be continued with.
    pub fn adapter(&self) -> Option<&AdapterId> {
        self.adapter.as_ref()
    }

    /// Bytes of keys and values; segments that are shared count in each cache that has them.
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.bytes()).sum()
    }

    /// The layers that it has, `None` when it is empty.
    pub fn layers(&self) -> Option<usize> {
        self.segments.iter().map(|segment| segment.layers()).min()
    }

    /// The same keys and values, followed by a token at another position than the next (the query of block attention).
    pub fn at(mut self, position: u32) -> Cache {
        self.running &= position == self.position;
        self.position = position;
        self
    }

    /// The tokens of this cache, and then of each other what it has beyond this one: `blocks` are continuations of it.
    /// A token after the result sees all blocks, while their tokens have not seen each other.
    ///
    /// # Errors
    /// [`LmError::Argument`] when a block does not continue this cache, or was computed with another adapter.
    pub fn followed_by(&self, blocks: &[Cache]) -> Result<Cache, LmError> {
        let own = self.segments.len();
        let mut all = self.clone();
        for (index, block) in blocks.iter().enumerate() {
            let shared = block.segments.iter().zip(&self.segments).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
            if shared != own {
                return Err(LmError::Argument(format!(
                    "block {index} does not continue the cache it is to follow"
                )));
            }
            if all.segments.is_empty() {
                all.adapter = block.adapter.clone();
            } else if block.adapter != all.adapter && !block.segments.is_empty() {
                let (own, others) = (named(block.adapter()), named(all.adapter()));
                return Err(LmError::Argument(format!(
                    "block {index} was computed with {own}, what it is to follow with {others}; compute both alike"
                )));
            }
            all.segments.extend_from_slice(&block.segments[own..]);
            all.position = all.position.max(block.position);
        }
        // Two blocks begin at the same position, so places and positions are no longer the same.
        all.running &= blocks.len() < 2 && blocks.iter().all(|block| block.running);
        Ok(all)
    }
}

/// An adapter, or the lack of one, in an error.
pub(super) fn named(adapter: Option<&AdapterId>) -> String {
    adapter.map_or_else(|| "no adapter".into(), AdapterId::to_string)
}
