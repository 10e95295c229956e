//! Buffers of attention over cached segments.

use crate::memory::buffer::reserve;
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use std::ops::Range;

/// Rows of queries that share a walk over the keys.
pub const QUERY_ROWS: usize = 4 * TILE_ROWS;
/// Values that are added in one go.
pub(crate) const SUM_TOKENS: usize = 128;

/// Buffers of one worker.
#[derive(Default)]
pub struct CachedScratch {
    pub(crate) panel: Vec<f32>,
    pub(crate) values: Vec<f32>,
    pub(crate) scores: Vec<f32>,
    pub(crate) sums: Vec<f32>,
    pub(crate) totals: Vec<f32>,
    pub(crate) stride: usize,
    pub(crate) integers: Integers,
}

impl CachedScratch {
    /// Bytes for rows that see `keys` keys.
    pub fn bytes(size: usize, keys: usize, integers: bool) -> usize {
        let padded = size.next_multiple_of(TILE_COLUMNS);
        let sums = if integers { 0 } else { padded };
        let floats = QUERY_ROWS * (stride(keys) + sums + 1) + TILE_COLUMNS;
        let own = 4 * (floats + size * TILE_COLUMNS + SUM_TOKENS * padded);
        own + if integers { Integers::bytes(size, padded) } else { 0 }
    }

    /// Makes room for rows that see up to `keys` keys, so that it does not grow from block to block of a sequence.
    pub fn reserve(&mut self, rows: usize, keys: usize) {
        reserve(&mut self.scores, rows * stride(keys) + TILE_COLUMNS);
        reserve(&mut self.totals, rows);
    }

    /// Sum of the weights that row `row` of the last call gave to some of its keys; all weights of a row add to 1.
    pub fn weight_sum(&self, row: usize, keys: Range<usize>) -> f32 {
        let weights = &self.scores[row * self.stride..][keys];
        (weights.iter().map(|w| f64::from(*w)).sum::<f64>() / f64::from(self.totals[row])) as f32
    }
}

/// Buffers of one worker whose products are made in integers.
#[derive(Default)]
pub(crate) struct Integers {
    pub(crate) queries: Vec<i16>,
    pub(crate) query_scales: Vec<f32>,
    pub(crate) panel: RoundedPanel,
    /// Rows of values, and the same in pairs.
    pub(crate) values: Vec<i16>,
    pub(crate) pairs: Vec<i16>,
    pub(crate) weights: Vec<i16>,
    /// The factor of the weights of each row; before it is known, the largest scale of a value that the row sees.
    pub(crate) factors: Vec<f32>,
    pub(crate) sums: Vec<i32>,
    /// Sums that may not fit 32 bits, and the rows that have such.
    pub(crate) long_sums: Vec<i64>,
    pub(crate) long: Vec<bool>,
}

/// Keys as rows of 32 numbers, the same in pairs, and their scales.
#[derive(Default)]
pub(crate) struct RoundedPanel {
    pub(crate) rows: Vec<i16>,
    pub(crate) pairs: Vec<i16>,
    pub(crate) scales: [f32; TILE_COLUMNS],
}

impl Integers {
    /// Bytes for heads of `size` numbers.
    pub(crate) fn bytes(size: usize, padded: usize) -> usize {
        let rows = QUERY_ROWS * (2 * size + 12 * padded + 9);
        rows + 4 * size * TILE_COLUMNS + (4 * padded + 2 * TILE_ROWS) * SUM_TOKENS
    }
}

/// Numbers from one row of scores to the next: an odd number of cache lines, so that rows do not share the same few sets
/// of the cache.
pub(crate) fn stride(keys: usize) -> usize {
    (keys + 2 * TILE_COLUMNS).next_multiple_of(TILE_COLUMNS) + TILE_COLUMNS / 2
}
