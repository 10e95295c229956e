//! Attention of a few or many queries over lists of cached segments of keys and values.
//!
//! A segment keeps keys in panels `[size][width]` and values in rows, for one layer and one head of keys. Scores of a
//! block of rows against all their keys exist at once (a row for each query, never a square); so the largest score, the
//! sum of the exponentials and the weighted sum of the values are taken over all keys in their order, and the numbers do
//! not depend on how the keys are cut into segments, nor on which queries are computed together.

use super::buffer::reserve;
use super::rows::{widen, widen_columns};
use super::vector::exponentials;
use super::{Isa, Panel, Rows, TILE_COLUMNS, TILE_ROWS, add_tile_f32, tile_f32};
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::ops::Range;

/// Rows of queries that share a walk over the keys.
pub(crate) const QUERY_ROWS: usize = 4 * TILE_ROWS;
/// Values that are added in one go.
const SUM_TOKENS: usize = 128;
const ZEROS: [f32; TILE_COLUMNS] = [0.0; TILE_COLUMNS];

/// Numbers of a cache.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    /// With a scale for each token.
    I8(&'a [i8], &'a [f32]),
}

/// Keys and values of some tokens, in one layer, of one head.
#[derive(Clone, Copy)]
pub(crate) struct Segment<'a> {
    /// Panels `[size][width]`.
    pub keys: Numbers<'a>,
    /// Rows of the size rounded up to whole panels of 32.
    pub values: Numbers<'a>,
    /// Tokens.
    pub tokens: usize,
    /// Tokens of a panel of keys, 32 or less.
    pub width: usize,
}

/// Rows of queries of one head of keys: `count` of them, contiguous.
pub(crate) struct CachedQueries<'a> {
    pub isa: Isa,
    /// Numbers per head.
    pub size: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// `rows × size`.
    pub queries: &'a [f32],
    /// The keys that each row sees: places in its own list of segments, end to end.
    pub seen: &'a [Range<usize>],
}

/// Segments that some rows see, and the place of the first key among the rows' keys.
pub(crate) struct Run<'a> {
    pub rows: Range<usize>,
    pub offset: usize,
    pub segments: Vec<Segment<'a>>,
}

/// Buffers of one worker.
#[derive(Default)]
pub(crate) struct CachedScratch {
    panel: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    sums: Vec<f32>,
    totals: Vec<f32>,
    stride: usize,
}

impl CachedScratch {
    /// Bytes for rows that see `keys` keys.
    pub(crate) fn bytes(size: usize, keys: usize) -> usize {
        let padded = size.next_multiple_of(TILE_COLUMNS);
        4 * (QUERY_ROWS * (keys + 4 * TILE_COLUMNS + padded + 1) + size * TILE_COLUMNS + SUM_TOKENS * padded)
    }

    /// Makes room for rows that see up to `keys` keys, so that it does not grow from block to block of a sequence.
    pub(crate) fn reserve(&mut self, size: usize, rows: usize, keys: usize) {
        let padded = size.next_multiple_of(TILE_COLUMNS);
        reserve(&mut self.scores, rows * stride(keys) + TILE_COLUMNS);
        reserve(&mut self.sums, rows * padded);
        reserve(&mut self.totals, rows);
    }

    /// Sum of the weights that row `row` of the last call gave to some of its keys; all weights of a row add to 1.
    pub(crate) fn mass(&self, row: usize, keys: Range<usize>) -> f32 {
        let weights = &self.scores[row * self.stride..][keys];
        (weights.iter().map(|w| f64::from(*w)).sum::<f64>() / f64::from(self.totals[row])) as f32
    }
}

impl CachedQueries<'_> {
    /// Contexts of all rows to `out`, `rows × size`. Runs are in the order of keys; each row's runs, end to end, hold all
    /// the keys it sees.
    pub(crate) fn attend(&self, runs: &[Run], out: &mut [f32], scratch: &mut CachedScratch) {
        let rows = self.seen.len();
        let padded = self.size.next_multiple_of(TILE_COLUMNS);
        let most = self.seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        let stride = stride(most);
        scratch.stride = stride;
        scratch.scores.resize((rows * stride + TILE_COLUMNS).max(scratch.scores.len()), 0.0);
        scratch.sums.clear();
        scratch.sums.resize(rows * padded, 0.0);
        scratch.totals.clear();
        for run in runs {
            self.score(run, stride, scratch);
        }
        for (row, seen) in self.seen.iter().enumerate() {
            let scores = &mut scratch.scores[row * stride..][..stride];
            let (_, total) = exponentials(self.isa, &mut scores[seen.clone()], self.scale, -1e30);
            scores[..seen.start].fill(0.0);
            scores[seen.end..].fill(0.0);
            scratch.totals.push(total);
        }
        for run in runs {
            self.sum(run, stride, padded, scratch);
        }
        for (row, out) in out.chunks_exact_mut(self.size).take(rows).enumerate() {
            let inverse = 1.0 / scratch.totals[row];
            for (y, sum) in out.iter_mut().zip(&scratch.sums[row * padded..]) {
                *y = sum * inverse;
            }
        }
    }

    /// The keys that any of these rows sees.
    fn union(&self, rows: Range<usize>) -> Range<usize> {
        let seen = &self.seen[rows];
        let start = seen.iter().map(|seen| seen.start).min().unwrap_or(0);
        start..seen.iter().map(|seen| seen.end).max().unwrap_or(0)
    }

    /// Products of the rows with the keys of a run. A tile may write beyond its keys: what comes later overwrites it, and
    /// what nobody sees is cleared.
    fn score(&self, run: &Run, stride: usize, scratch: &mut CachedScratch) {
        let queries = Rows::new(self.queries, self.seen.len(), self.size, self.size);
        let tile = |panel: &[f32], at: usize, tokens: usize, scores: &mut [f32]| {
            for first in run.rows.clone().step_by(TILE_ROWS) {
                let count = TILE_ROWS.min(run.rows.end - first);
                let seen = self.union(first..first + count);
                if at < seen.end && at + tokens > seen.start {
                    let place = &mut scores[first * stride + at..];
                    let panel = Panel::whole(panel);
                    tile_f32(self.isa, queries, (first, count), panel, &ZEROS, (place, stride));
                }
            }
        };
        let CachedScratch { panel, scores, .. } = scratch;
        panel.resize(self.size * TILE_COLUMNS, 0.0);
        let mut at = run.offset;
        // Keys of short segments, gathered until they fill a panel.
        let mut gathered = 0;
        for segment in &run.segments {
            if segment.width == TILE_COLUMNS {
                if gathered > 0 {
                    tile(panel, at - gathered, gathered, scores);
                    gathered = 0;
                }
                for first in (0..segment.tokens).step_by(TILE_COLUMNS) {
                    let tokens = TILE_COLUMNS.min(segment.tokens - first);
                    match segment.keys {
                        Numbers::F32(keys) => {
                            tile(
                                &keys[first * self.size..][..self.size * TILE_COLUMNS],
                                at + first,
                                tokens,
                                scores,
                            );
                        }
                        other => {
                            unpack_panel(self.isa, other, first, self.size, panel);
                            tile(panel, at + first, tokens, scores);
                        }
                    }
                }
                at += segment.tokens;
                continue;
            }
            for token in 0..segment.tokens {
                let start = token / segment.width * segment.width * self.size + token % segment.width;
                let key = |i: usize| start + i * segment.width;
                for (i, slot) in
                    panel[gathered..].iter_mut().step_by(TILE_COLUMNS).take(self.size).enumerate()
                {
                    *slot = match segment.keys {
                        Numbers::F32(keys) => keys[key(i)],
                        Numbers::F16(keys) => keys[key(i)].to_f32(),
                        Numbers::I8(keys, scales) => f32::from(keys[key(i)]) * scales[token],
                    };
                }
                gathered += 1;
                at += 1;
                if gathered == TILE_COLUMNS {
                    tile(panel, at - gathered, gathered, scores);
                    gathered = 0;
                }
            }
        }
        if gathered > 0 {
            tile(panel, at - gathered, gathered, scores);
        }
    }

    /// Adds the weighted values of a run to the sums of its rows.
    fn sum(&self, run: &Run, stride: usize, padded: usize, scratch: &mut CachedScratch) {
        let CachedScratch { values: unpacked, scores, sums, .. } = scratch;
        let mut at = run.offset;
        let all = self.union(run.rows.clone());
        for segment in &run.segments {
            for first in (0..segment.tokens).step_by(SUM_TOKENS) {
                let tokens = SUM_TOKENS.min(segment.tokens - first);
                let start = at + first;
                if start >= all.end || start + tokens <= all.start {
                    continue;
                }
                let values = match segment.values {
                    Numbers::F32(values) => &values[first * padded..][..tokens * padded],
                    other => {
                        unpacked.resize(SUM_TOKENS * padded, 0.0);
                        unpack_rows(self.isa, other, first, padded, &mut unpacked[..tokens * padded]);
                        &unpacked[..tokens * padded]
                    }
                };
                for row in run.rows.clone().step_by(TILE_ROWS) {
                    let count = TILE_ROWS.min(run.rows.end - row);
                    let seen = self.union(row..row + count);
                    let from = seen.start.max(start);
                    let to = seen.end.min(start + tokens);
                    if from < to {
                        let weights = Rows::new(&scores[row * stride + from..], count, stride, to - from);
                        let values = &values[(from - start) * padded..(to - start) * padded];
                        for column in (0..padded).step_by(TILE_COLUMNS) {
                            let sums = &mut sums[row * padded + column..];
                            add_tile_f32(
                                self.isa,
                                weights,
                                count,
                                (&values[column..], padded),
                                (sums, padded),
                            );
                        }
                    }
                }
            }
            at += segment.tokens;
        }
    }
}

/// Numbers from one row of scores to the next: an odd number of cache lines, so that rows do not share the same few sets
/// of the cache.
fn stride(keys: usize) -> usize {
    (keys + 2 * TILE_COLUMNS).next_multiple_of(TILE_COLUMNS) + TILE_COLUMNS / 2
}

/// A panel of 32 keys as numbers.
fn unpack_panel(isa: Isa, keys: Numbers, first: usize, size: usize, out: &mut [f32]) {
    match keys {
        Numbers::F32(keys) => out.copy_from_slice(&keys[first * size..][..size * TILE_COLUMNS]),
        Numbers::F16(keys) => keys[first * size..][..size * TILE_COLUMNS].convert_to_f32_slice(out),
        Numbers::I8(keys, scales) => {
            let keys = &keys[first * size..][..size * TILE_COLUMNS];
            widen_columns(isa, keys, &scales[first..first + TILE_COLUMNS], out);
        }
    }
}

/// Rows of values as numbers.
fn unpack_rows(isa: Isa, values: Numbers, first: usize, padded: usize, out: &mut [f32]) {
    match values {
        Numbers::F32(values) => out.copy_from_slice(&values[first * padded..][..out.len()]),
        Numbers::F16(values) => values[first * padded..][..out.len()].convert_to_f32_slice(out),
        Numbers::I8(values, scales) => {
            let rows = values[first * padded..].chunks_exact(padded).zip(&scales[first..]);
            for (out, (row, scale)) in out.chunks_exact_mut(padded).zip(rows) {
                widen(isa, row, *scale, out);
            }
        }
    }
}
