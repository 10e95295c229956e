//! Work over the threads of the current pool, and buffers that outlive a call.

use crate::sizes::{MOST_BLOCK_ROWS, TILE_ROWS};
use rayon::prelude::*;
use std::sync::Mutex;

/// Buffers that are lent for a moment and come back, so that they are not mapped and cleared again for each call.
#[derive(Debug, Default)]
pub struct BufferPool<T>(Mutex<Vec<T>>);

impl<T: Default> BufferPool<T> {
    /// Lends a buffer, a new one when all are in use.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let lent = self.0.lock().map(|mut buffers| buffers.pop()).ok().flatten();
        let mut buffer = lent.unwrap_or_default();
        let result = work(&mut buffer);
        if let Ok(mut buffers) = self.0.lock() {
            buffers.push(buffer);
        }
        result
    }

    /// Frees the buffers that nobody uses.
    pub fn clear(&self) {
        self.0.lock().map(|mut buffers| buffers.clear()).ok();
    }
}

/// One item after another, or in parallel when there is more than one worker.
pub fn for_each<I: IndexedParallelIterator>(workers: usize, items: I, work: impl Fn(I::Item) + Sync + Send) {
    if workers == 1 {
        // A chunk as long as the whole keeps everything on this thread.
        let length = items.len().max(1);
        items.with_min_len(length).for_each(work);
    } else {
        items.with_max_len(1).for_each(work);
    }
}

/// Rows of a block such that all blocks are about equal and enough for all workers. One worker gets whole tiles; for
/// several, equal shares are worth more than that.
pub fn block_rows(tokens: usize, workers: usize) -> usize {
    let blocks = tokens.div_ceil(MOST_BLOCK_ROWS).next_multiple_of(workers.max(1));
    let rows = tokens.div_ceil(blocks.max(1)).max(1);
    if workers > 1 { rows } else { rows.next_multiple_of(TILE_ROWS) }
}
