//! Fused attention: twelve queries against blocks of keys, with a running softmax. Never more than a tile of scores
//! exists, whatever the length of the text.

use crate::attention::relative::Relative;
use crate::isa::Isa;
use crate::memory::buffer::fit;
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use crate::tile::operands::{Panel, Rows};
use crate::tile::tile_f32;
use crate::vector::math::exponentials;

/// Keys in one block of scores.
const BLOCK: usize = 512;
/// Numbers between two rows of scores: rows a power of two apart would share the same few sets of the cache.
const STRIDE: usize = BLOCK + TILE_COLUMNS;
const ZEROS: [f32; TILE_COLUMNS] = [0.0; TILE_COLUMNS];

/// Where queries, keys and values of all heads lie: one row per token, `stride` apart; head h starts `h · size` after
/// each of the three offsets.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Number of heads.
    pub count: usize,
    /// Numbers per head.
    pub size: usize,
    /// Numbers between two tokens.
    pub stride: usize,
    /// Offset of the first head's queries, keys and values in a row.
    pub offsets: [usize; 3],
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// All of its sequence.
    All,
    /// Those at most this far on either side.
    Near(usize),
}

/// Buffers of one worker.
#[derive(Default)]
pub struct AttentionScratch {
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    sums: Vec<f32>,
}

impl AttentionScratch {
    /// Bytes for sequences of `tokens` tokens.
    pub fn bytes(heads: &Heads, tokens: usize) -> usize {
        let keys = tokens.next_multiple_of(TILE_COLUMNS) * heads.size;
        let values = tokens * heads.size.next_multiple_of(TILE_COLUMNS);
        4 * (keys + values + TILE_ROWS * (STRIDE + heads.size.next_multiple_of(TILE_COLUMNS)))
    }
}

/// Running softmax of one tile of queries.
struct Running {
    largest: [f32; TILE_ROWS],
    total: [f32; TILE_ROWS],
}

/// Attention of the queries `queries` of one sequence whose packed rows are `qkv` to its first `tokens` tokens; writes
/// their contexts, all heads side by side, to rows of `out`. With a window, `queries.start` is a multiple of the tile, so
/// that any split gives the same numbers. With biases by distance, scores are not scaled.
pub fn attend(
    isa: Isa,
    qkv: &[f32],
    heads: &Heads,
    tokens: usize,
    queries: std::ops::Range<usize>,
    window: Window,
    relative: Option<&Relative>,
    out: &mut [f32],
    scratch: &mut AttentionScratch,
) {
    assert!(window == Window::All || queries.start.is_multiple_of(TILE_ROWS));
    let width = heads.count * heads.size;
    let scale = if relative.is_some() { 1.0 } else { 1.0 / (heads.size as f32).sqrt() };
    for head in 0..heads.count {
        scratch.pack(qkv, heads, head, tokens);
        for first in queries.clone().step_by(TILE_ROWS) {
            let count = TILE_ROWS.min(queries.end - first);
            let own = &mut out[(first - queries.start) * width..][..count * width];
            let tile = QueryTile { isa, qkv, heads, head, first, count, scale, relative };
            tile.attend(tokens, window, own, scratch);
        }
    }
}

impl AttentionScratch {
    /// Keys as panels `[size][32 keys]`, values as panels `[tokens][32 numbers]`.
    fn pack(&mut self, qkv: &[f32], heads: &Heads, head: usize, tokens: usize) {
        let size = heads.size;
        let padded = size.next_multiple_of(TILE_COLUMNS);
        fit(&mut self.keys, tokens.next_multiple_of(TILE_COLUMNS) * size);
        fit(&mut self.values, tokens * padded);
        let key_offset = heads.offsets[1] + head * size;
        for (panel, keys) in self.keys.chunks_exact_mut(TILE_COLUMNS * size).enumerate() {
            let first = panel * TILE_COLUMNS;
            for token in first..tokens.min(first + TILE_COLUMNS) {
                let key = &qkv[token * heads.stride + key_offset..][..size];
                for (slot, value) in keys[token - first..].iter_mut().step_by(TILE_COLUMNS).zip(key) {
                    *slot = *value;
                }
            }
        }
        let value_offset = heads.offsets[2] + head * size;
        for (panel, values) in self.values.chunks_exact_mut(tokens * TILE_COLUMNS).enumerate() {
            let start = panel * TILE_COLUMNS;
            let width = TILE_COLUMNS.min(size - start);
            for (token, slot) in values.chunks_exact_mut(TILE_COLUMNS).enumerate() {
                let value = &qkv[token * heads.stride + value_offset + start..][..width];
                slot[..width].copy_from_slice(value);
                slot[width..].fill(0.0);
            }
        }
    }
}

/// Up to twelve queries of one head.
struct QueryTile<'a> {
    isa: Isa,
    qkv: &'a [f32],
    heads: &'a Heads,
    head: usize,
    first: usize,
    count: usize,
    scale: f32,
    relative: Option<&'a Relative>,
}

impl QueryTile<'_> {
    fn attend(&self, tokens: usize, window: Window, out: &mut [f32], scratch: &mut AttentionScratch) {
        let size = self.heads.size;
        let padded = size.next_multiple_of(TILE_COLUMNS);
        let keys = match window {
            Window::All => 0..tokens,
            Window::Near(reach) => {
                self.first.saturating_sub(reach).min(tokens)..tokens.min(self.first + self.count + reach)
            }
        };
        let mut running = Running { largest: [f32::NEG_INFINITY; TILE_ROWS], total: [0.0; TILE_ROWS] };
        scratch.sums.clear();
        scratch.sums.resize(TILE_ROWS * padded, 0.0);
        scratch.scores.resize(TILE_ROWS * STRIDE, 0.0);
        let mut start = keys.start / TILE_COLUMNS * TILE_COLUMNS;
        let mut first = true;
        while start < keys.end {
            let end = keys.end.min(start + BLOCK);
            self.score(start..end, &keys, window, scratch);
            let shrink = self.soften(end - start, &mut running, &mut scratch.scores);
            self.add_values(start..end, tokens, first, &shrink, scratch);
            first = false;
            start = end;
        }
        let width = self.heads.count * size;
        for row in 0..self.count {
            let slot = &mut out[row * width + self.head * size..][..size];
            let inverse = 1.0 / running.total[row];
            for (y, sum) in slot.iter_mut().zip(&scratch.sums[row * padded..]) {
                *y = sum * inverse;
            }
        }
    }

    /// Products of the queries with the keys of a block; keys outside the window score −∞.
    fn score(
        &self,
        block: std::ops::Range<usize>,
        keys: &std::ops::Range<usize>,
        window: Window,
        scratch: &mut AttentionScratch,
    ) {
        let size = self.heads.size;
        let offset = self.heads.offsets[0] + self.head * size;
        let queries = &self.qkv[self.first * self.heads.stride + offset..];
        let queries = Rows::new(queries, self.count, self.heads.stride, size);
        for panel_start in block.clone().step_by(TILE_COLUMNS) {
            let panel = Panel::whole(&scratch.keys[panel_start * size..][..TILE_COLUMNS * size]);
            // The last panel may be wider than the block: a row has room for it, and nobody reads it.
            let scores = &mut scratch.scores[panel_start - block.start..];
            tile_f32(self.isa, queries, (0, self.count), panel, &ZEROS, (scores, STRIDE));
        }
        for row in 0..self.count {
            let query = self.first + row;
            let seen = match window {
                Window::All => keys.clone(),
                Window::Near(reach) => query.saturating_sub(reach)..query + reach + 1,
            };
            let scores = &mut scratch.scores[row * STRIDE..][..block.len()];
            if let Some(relative) = self.relative {
                relative.add(self.head, query, block.start, scores);
            }
            let visible_from = seen.start.saturating_sub(block.start).min(block.len());
            let visible_to = seen.end.saturating_sub(block.start).min(block.len());
            scores[..visible_from].fill(f32::NEG_INFINITY);
            scores[visible_to..].fill(f32::NEG_INFINITY);
        }
    }

    /// Turns the block's scores into weights and returns by how much what was summed before must shrink.
    fn soften(&self, width: usize, running: &mut Running, scores: &mut [f32]) -> [f32; TILE_ROWS] {
        let mut shrink = [0.0; TILE_ROWS];
        for row in 0..self.count {
            let before = running.largest[row];
            let weights = &mut scores[row * STRIDE..][..width];
            // While nothing was visible the floor is a finite number, so that −∞ − (−∞) never arises.
            let (largest, sum) = exponentials(self.isa, weights, self.scale, before.max(-1e30));
            shrink[row] =
                if before == f32::NEG_INFINITY { 0.0 } else { ((before - largest) * self.scale).exp() };
            if largest > -1e30 {
                running.largest[row] = largest;
            }
            running.total[row] = running.total[row] * shrink[row] + sum;
        }
        shrink
    }

    fn add_values(
        &self,
        block: std::ops::Range<usize>,
        tokens: usize,
        first: bool,
        shrink: &[f32; TILE_ROWS],
        scratch: &mut AttentionScratch,
    ) {
        let padded = self.heads.size.next_multiple_of(TILE_COLUMNS);
        let weights = Rows::new(&scratch.scores, self.count, STRIDE, block.len());
        let mut tile = [[0.0; TILE_COLUMNS]; TILE_ROWS];
        for (index, panel) in scratch.values.chunks_exact(tokens * TILE_COLUMNS).enumerate() {
            let panel = Panel::whole(&panel[block.start * TILE_COLUMNS..]);
            if first {
                let sums = &mut scratch.sums[index * TILE_COLUMNS..];
                tile_f32(self.isa, weights, (0, self.count), panel, &ZEROS, (sums, padded));
                continue;
            }
            let out = (tile.as_flattened_mut(), TILE_COLUMNS);
            tile_f32(self.isa, weights, (0, self.count), panel, &ZEROS, out);
            for (row, products) in tile[..self.count].iter().enumerate() {
                let sums = &mut scratch.sums[row * padded + index * TILE_COLUMNS..][..TILE_COLUMNS];
                for (sum, product) in sums.iter_mut().zip(products) {
                    *sum = *sum * shrink[row] + product;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook formula with all scores at once, in double precision.
    fn by_hand(qkv: &[f32], heads: &Heads, tokens: usize, window: Window) -> Vec<f64> {
        let width = heads.count * heads.size;
        let mut out = vec![0.0; tokens * width];
        let at = |token: usize, part: usize, head: usize, i: usize| {
            qkv[token * heads.stride + heads.offsets[part] + head * heads.size + i] as f64
        };
        for head in 0..heads.count {
            for q in 0..tokens {
                let seen = |k: usize| match window {
                    Window::All => true,
                    Window::Near(reach) => q.abs_diff(k) <= reach,
                };
                let weights: Vec<f64> = (0..tokens)
                    .map(|k| {
                        let s: f64 = (0..heads.size).map(|i| at(q, 0, head, i) * at(k, 1, head, i)).sum();
                        if seen(k) { (s / (heads.size as f64).sqrt()).exp() } else { 0.0 }
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for i in 0..heads.size {
                    let sum: f64 = (0..tokens).map(|k| weights[k] * at(k, 2, head, i)).sum();
                    out[q * width + head * heads.size + i] = sum / total;
                }
            }
        }
        out
    }

    #[test]
    fn tiles_and_blocks_give_the_textbook_formula_for_any_split() {
        for (tokens, size, window) in [
            (1, 8, Window::All),
            (37, 32, Window::All),
            (37, 8, Window::Near(3)),
            (600, 16, Window::Near(100)),
            (1300, 40, Window::All),
        ] {
            let heads = Heads { count: 2, size, stride: 6 * size, offsets: [0, 2 * size, 4 * size] };
            let qkv: Vec<f32> =
                (0..tokens * heads.stride).map(|i| ((i * 7919) % 1000) as f32 / 250.0 - 2.0).collect();
            let width = 2 * size;
            let expected = by_hand(&qkv, &heads, tokens, window);
            for isa in [Isa::detect(), Isa::Portable] {
                let scratch = &mut AttentionScratch::default();
                let mut whole = vec![0.0; tokens * width];
                attend(isa, &qkv, &heads, tokens, 0..tokens, window, None, &mut whole, scratch);
                for (y, e) in whole.iter().zip(&expected) {
                    assert!((*y as f64 - e).abs() < 1e-4, "{isa:?} {tokens} {window:?}: {y} for {e}");
                }
                let mut parts = vec![0.0; tokens * width];
                let cut = tokens.min(24);
                attend(isa, &qkv, &heads, tokens, 0..cut, window, None, &mut parts[..cut * width], scratch);
                attend(
                    isa,
                    &qkv,
                    &heads,
                    tokens,
                    cut / 12 * 12..tokens,
                    window,
                    None,
                    &mut parts[cut / 12 * 12 * width..],
                    scratch,
                );
                assert_eq!(whole, parts);
            }
        }
    }
}
