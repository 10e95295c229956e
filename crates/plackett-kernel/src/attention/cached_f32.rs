//! Attention over cached segments in f32.

use crate::attention::cached::{CachedQueries, KeyPanels, Numbers, Run, Segment, walk_keys};
use crate::attention::scratch::{CachedScratch, SUM_TOKENS};
use crate::memory::buffer::fit;
use crate::sizes::TILE_COLUMNS;
use crate::tile::operands::{Panel, Rows};
use crate::tile::{add_tile_f32, tile_f32};
use std::ops::Range;

const ZEROS: [f32; TILE_COLUMNS] = [0.0; TILE_COLUMNS];

impl CachedQueries<'_> {
    pub(crate) fn attend_f32(&self, runs: &[Run], out: &mut [f32], scratch: &mut CachedScratch) {
        let rows = self.seen.len();
        let padded = self.size.next_multiple_of(TILE_COLUMNS);
        scratch.sums.clear();
        fit(&mut scratch.sums, rows * padded);
        for run in runs {
            let CachedScratch { panel, scores, stride, .. } = scratch;
            let seen = self.union(run.rows.clone());
            let rows = run.rows.clone();
            let mut panels = PackedMatrix { queries: self, rows, room: panel, scores, stride: *stride };
            walk_keys(run, self.size, &seen, &mut panels);
        }
        self.soften(|_| self.scale, scratch);
        for run in runs {
            self.sum(run, padded, scratch);
        }
        for (row, out) in out.chunks_exact_mut(self.size).take(rows).enumerate() {
            let inverse = 1.0 / scratch.totals[row];
            for (y, sum) in out.iter_mut().zip(&scratch.sums[row * padded..]) {
                *y = sum * inverse;
            }
        }
    }

    /// Adds the weighted values of a run to the sums of its rows.
    fn sum(&self, run: &Run, padded: usize, scratch: &mut CachedScratch) {
        let CachedScratch { values: unpacked, scores, sums, stride, .. } = scratch;
        let mut at = run.offset;
        let all = self.union(run.rows.clone());
        for segment in &run.segments {
            for first in (0..segment.tokens).step_by(SUM_TOKENS) {
                let tokens = SUM_TOKENS.min(segment.tokens - first);
                let start = at + first;
                if start >= all.end || start + tokens <= all.start {
                    continue;
                }
                let values = segment.values.rows(first..first + tokens, padded);
                let values = values.as_rows(self.isa, padded, unpacked);
                for (rows, keys) in self.tiles(run.rows.clone(), start..start + tokens) {
                    let weights = &scores[rows.start * *stride + keys.start..];
                    let weights = Rows::new(weights, rows.len(), *stride, keys.len());
                    let values = &values[(keys.start - start) * padded..(keys.end - start) * padded];
                    for column in (0..padded).step_by(TILE_COLUMNS) {
                        let sums = &mut sums[rows.start * padded + column..];
                        let values = (&values[column..], padded);
                        add_tile_f32(self.isa, weights, rows.len(), values, (sums, padded));
                    }
                }
            }
            at += segment.tokens;
        }
    }
}

/// Products of the queries with panels of keys. A tile may write beyond its keys: what comes later overwrites it, and what
/// nobody sees is cleared.
struct PackedMatrix<'a> {
    queries: &'a CachedQueries<'a>,
    rows: Range<usize>,
    /// A panel that is unpacked, or that is filled with keys of short segments.
    room: &'a mut Vec<f32>,
    scores: &'a mut [f32],
    stride: usize,
}

impl PackedMatrix<'_> {
    fn products(&mut self, keys: Option<Numbers>, at: usize, tokens: usize) {
        let PackedMatrix { queries, rows, room, scores, stride } = self;
        let panel = match keys {
            Some(keys) => keys.as_panel(queries.isa, room),
            None => room,
        };
        let all = Rows::new(queries.queries, queries.seen.len(), queries.size, queries.size);
        for (rows, _) in queries.tiles(rows.clone(), at..at + tokens) {
            let place = &mut scores[rows.start * *stride + at..];
            let panel = Panel::whole(panel);
            tile_f32(queries.isa, all, (rows.start, rows.len()), panel, &ZEROS, (place, *stride));
        }
    }
}

impl KeyPanels for PackedMatrix<'_> {
    fn panel(&mut self, keys: Numbers, at: usize, tokens: usize) {
        self.products(Some(keys), at, tokens);
    }

    fn gather(&mut self, segment: &Segment, token: usize, column: usize) {
        let size = self.queries.size;
        self.room.resize(size * TILE_COLUMNS, 0.0);
        let slots = self.room[column..].iter_mut().step_by(TILE_COLUMNS);
        slots.zip(segment.key(token, size)).for_each(|(slot, x)| *slot = x);
    }

    fn gathered(&mut self, at: usize, tokens: usize) {
        self.products(None, at, tokens);
    }
}
