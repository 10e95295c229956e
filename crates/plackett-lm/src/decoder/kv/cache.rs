//! Keys and values of tokens, kept for those that follow.
//!
//! A [`KvCache`] is a list of immutable segments that it shares with other caches: continuing it adds a segment and leaves
//! it as it was. Since the segments of a list need not stem from one text, a cache can also be put together from blocks
//! that were computed apart (block attention).

use crate::adapter::id::AdapterId;
use crate::decoder::kv::segment::KvSegment;
use crate::error::LmError;
use std::sync::Arc;

/// A segment with more tokens is not moved into its child any more; the child begins a segment of its own.
pub(crate) const MOST_MOVED: usize = 256;

/// Keys and values of a sequence of tokens; cheap to clone.
#[derive(Clone, Debug)]
pub struct KvCache {
    pub(crate) segments: Vec<Arc<KvSegment>>,
    pub(crate) position: u32,
    /// Whether each token stands one position after the one before it.
    pub(crate) contiguous: bool,
    /// What its tokens were computed with.
    pub(crate) adapter: Option<AdapterId>,
}

impl Default for KvCache {
    fn default() -> KvCache {
        KvCache { segments: Vec::new(), position: 0, contiguous: true, adapter: None }
    }
}

impl KvCache {
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
    pub fn at(mut self, position: u32) -> KvCache {
        self.contiguous &= position == self.position;
        self.position = position;
        self
    }

    /// Takes back all tokens after the first `tokens`; a cache whose tokens stand one position after another.
    pub(crate) fn truncate(&mut self, tokens: usize) {
        let mut left = tokens;
        let mut kept = 0;
        for segment in &mut self.segments {
            if left == 0 {
                break;
            }
            if segment.tokens() > left {
                Arc::make_mut(segment).tokens = left;
            }
            left -= segment.tokens();
            kept += 1;
        }
        self.segments.truncate(kept);
        self.position = self.position.min(tokens as u32);
    }

    /// Moves segments of the first `tokens` tokens into the one before them, when nobody else has that and it is short.
    pub(crate) fn join(&mut self, tokens: usize) {
        let mut at = 0;
        let mut end = self.segments.first().map_or(0, |segment| segment.tokens());
        while let Some([before, next]) = self.segments.get_mut(at..at + 2) {
            let together = before.tokens() + next.tokens();
            end += next.tokens();
            if end > tokens {
                return;
            }
            let fits =
                together <= MOST_MOVED && before.dims() == next.dims() && before.format() == next.format();
            match Arc::get_mut(before).filter(|_| fits) {
                Some(own) => {
                    own.append(next);
                    self.segments.remove(at + 1);
                }
                None => at += 1,
            }
        }
    }

    /// The tokens of this cache, and then of each other what it has beyond this one: `blocks` are continuations of it.
    /// A token after the result sees all blocks, while their tokens have not seen each other.
    ///
    /// # Errors
    /// [`LmError::Argument`] when a block does not continue this cache, or was computed with another adapter.
    pub fn followed_by(&self, blocks: &[KvCache]) -> Result<KvCache, LmError> {
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
        all.contiguous &= blocks.len() < 2 && blocks.iter().all(|block| block.contiguous);
        Ok(all)
    }
}

/// An adapter, or the lack of one, in an error.
pub(crate) fn named(adapter: Option<&AdapterId>) -> String {
    adapter.map_or_else(|| "no adapter".into(), AdapterId::to_string)
}
