//! Attention over cached segments in integers of 16 bits, for models whose dense products are made in integers too: the
//! processor does about twice as many of their multiply-adds as of those in f32.
//!
//! A query and a key are rounded to 12 or 13 bits with a scale each, so that their product fits 32 bits. A value is
//! rounded to 12 bits with a scale of its own. The weights of a row, times the scales of their values, are rounded to as
//! many as 15 bits, as long as the sum of all weighted values fits 32 bits; where attention is spread over so many keys
//! that they would be left fewer than 12, they have 12, and sums of 128 keys are added in 64 bits. All sums are exact: like
//! those in f32, the numbers do not depend on how the keys are cut into segments, nor on which queries are computed
//! together; nor do they depend on the format of the cache, as long as that holds what was computed (f32, or these
//! integers themselves).

use crate::attention::cached::{CachedQueries, Int16, KeyPanels, Numbers, Run, Segment, walk_keys};
use crate::attention::pairs::{self, Pairs, interleave};
use crate::attention::scratch::{CachedScratch, Integers, RoundedPanel, SUM_TOKENS};
use crate::memory::buffer::{fit, reserve};
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use crate::tile::operands::Rows;
use crate::vector::round::{
    MOST_OF_VALUE, SMALLEST_SCALE, most_of_key, round_columns, round_row, round_weights, scale_of_row,
};
use std::ops::Range;

/// The largest rounded weight.
const MOST_OF_WEIGHT: f32 = i16::MAX as f32;
/// The same where sums of [`SUM_TOKENS`] keys are added in 64 bits.
const MOST_OF_SPREAD: f32 = 4095.0;
const _: () = assert!(SUM_TOKENS as i64 * MOST_OF_SPREAD as i64 * MOST_OF_VALUE as i64 <= i32::MAX as i64);

/// The largest sum of rounded weights with which a sum of `keys` weighted values fits 32 bits, whichever way each weight
/// was rounded: up by a half at most, and what becomes 1 was at least a half.
fn most_of_weights(keys: usize) -> f32 {
    let most = f64::from(i32::MAX) / f64::from(MOST_OF_VALUE);
    // A hundredth is left for the rounding of the sum in f32.
    (0.99 * (most - keys as f64 / 2.0).max(most / 2.0)) as f32
}

impl CachedQueries<'_> {
    pub(crate) fn attend_i16(&self, runs: &[Run], out: &mut [f32], scratch: &mut CachedScratch) {
        let padded = self.size.next_multiple_of(TILE_COLUMNS);
        let mut own = std::mem::take(&mut scratch.integers);
        self.round_queries(&mut own);
        for run in runs {
            let seen = self.union(run.rows.clone());
            let CachedScratch { panel, scores, stride, .. } = scratch;
            let (rows, stride) = (run.rows.clone(), *stride);
            let Integers { queries: rounded, panel: keys, .. } = &mut own;
            let mut panels =
                PackedMatrix { queries: self, rounded, rows, unpacked: panel, keys, scores, stride };
            walk_keys(run, self.size, &seen, &mut panels);
        }
        self.soften(|row| self.scale * own.query_scales[row], scratch);
        own.factors.clear();
        fit(&mut own.factors, self.seen.len());
        for run in runs {
            self.largest_scales(run, padded, &mut own, &mut scratch.values);
        }
        fit(&mut own.long, self.seen.len());
        let rows = own.factors.iter_mut().zip(&mut own.long).zip(self.seen).zip(&scratch.totals);
        for (((factor, long), seen), total) in rows {
            let most = most_of_weights(seen.len()) / total;
            *long = most < MOST_OF_SPREAD || most.is_nan();
            *factor = if *long { MOST_OF_SPREAD } else { most.min(MOST_OF_WEIGHT) } / *factor;
        }
        own.sums.clear();
        fit(&mut own.sums, self.seen.len() * padded);
        own.long_sums.clear();
        fit(&mut own.long_sums, self.seen.len() * padded);
        for run in runs {
            self.sum_run(run, padded, &mut own, scratch);
        }
        for (row, out) in out.chunks_exact_mut(self.size).take(self.seen.len()).enumerate() {
            let inverse = 1.0 / (own.factors[row] * scratch.totals[row]);
            let sums = own.sums[row * padded..].iter().zip(&own.long_sums[row * padded..]);
            for (y, (sum, long)) in out.iter_mut().zip(sums) {
                *y = (i64::from(*sum) + long) as f32 * inverse;
            }
        }
        scratch.integers = own;
    }

    fn round_queries(&self, own: &mut Integers) {
        fit(&mut own.queries, self.seen.len() * self.size);
        own.query_scales.clear();
        reserve(&mut own.query_scales, self.seen.len());
        let most = most_of_key(self.size);
        let rows = self.queries.chunks_exact(self.size).zip(own.queries.chunks_exact_mut(self.size));
        own.query_scales.extend(rows.map(|(row, out)| round_row(self.isa, row, most, out)));
    }

    /// The largest scale of the values that each row sees of a run.
    fn largest_scales(&self, run: &Run, padded: usize, own: &mut Integers, unpacked: &mut Vec<f32>) {
        let all = self.union(run.rows.clone());
        let mut at = run.offset;
        for segment in &run.segments {
            for first in (0..segment.tokens).step_by(SUM_TOKENS) {
                let tokens = SUM_TOKENS.min(segment.tokens - first);
                let here = at + first..at + first + tokens;
                if here.start >= all.end || here.end <= all.start {
                    continue;
                }
                let mut room = [0.0; SUM_TOKENS];
                let scales = match segment.values.rows(first..first + tokens, padded) {
                    Numbers::I16(values) => values.scales,
                    other => {
                        let rows = other.as_rows(self.isa, padded, unpacked).chunks_exact(padded);
                        for (scale, row) in room.iter_mut().zip(rows) {
                            *scale = scale_of_row(self.isa, &row[..self.size], MOST_OF_VALUE);
                        }
                        &room[..tokens]
                    }
                };
                self.raise(run.rows.clone(), here, scales, &mut own.factors);
            }
            at += segment.tokens;
        }
    }

    /// The largest of the scales of some keys, for each row that sees any of them.
    fn raise(&self, rows: Range<usize>, keys: Range<usize>, scales: &[f32], largest: &mut [f32]) {
        let part = |range: Range<usize>| {
            let (from, to) = (range.start.max(keys.start), range.end.min(keys.end));
            let part = if from < to { &scales[from - keys.start..to - keys.start] } else { &[] };
            part.iter().fold(SMALLEST_SCALE, |m, scale| if *scale > m { *scale } else { m })
        };
        // What all rows see is looked at once.
        let start = rows.clone().map(|row| self.seen[row].start).max().unwrap_or(0);
        let end = rows.clone().map(|row| self.seen[row].end).min().unwrap_or(0).max(start);
        let common = part(start..end);
        for row in rows {
            let seen = &self.seen[row];
            let rest = if start < end {
                part(seen.start..start).max(part(end..seen.end))
            } else {
                part(seen.clone())
            };
            largest[row] = largest[row].max(rest).max(common);
        }
    }

    /// Adds the weighted values of a run to the sums of its rows.
    fn sum_run(&self, run: &Run, padded: usize, own: &mut Integers, scratch: &mut CachedScratch) {
        let all = self.union(run.rows.clone());
        let mut rows = std::mem::take(&mut own.values);
        fit(&mut rows, SUM_TOKENS * padded);
        let mut scales = [0.0; SUM_TOKENS];
        // Values that are not in pairs yet are gathered.
        let (mut at, mut filled) = (run.offset, 0);
        for segment in &run.segments {
            let paired = matches!(segment.values, Numbers::I16(Int16 { paired: true, .. }));
            if paired && filled > 0 {
                self.sum_rows(run, &rows[..filled * padded], &scales[..filled], at - filled, own, scratch);
                filled = 0;
            }
            let mut first = 0;
            while first < segment.tokens {
                let tokens = (SUM_TOKENS - filled).min(segment.tokens - first);
                let part = segment.values.rows(first..first + tokens, padded);
                let unseen = at >= all.end || at + tokens <= all.start;
                match part {
                    _ if unseen && filled == 0 => {}
                    Numbers::I16(values) if paired => {
                        self.sum_pairs(run, values.numbers, values.scales, at, own, scratch);
                    }
                    other => {
                        let places = rows[filled * padded..].chunks_exact_mut(padded);
                        self.round_values(other, places, &mut scales[filled..], &mut scratch.values);
                        filled += tokens;
                    }
                }
                (first, at) = (first + tokens, at + tokens);
                if filled == SUM_TOKENS {
                    self.sum_rows(run, &rows, &scales, at - filled, own, scratch);
                    filled = 0;
                }
            }
        }
        if filled > 0 {
            self.sum_rows(run, &rows[..filled * padded], &scales[..filled], at - filled, own, scratch);
        }
        own.values = rows;
    }

    /// Puts rows of values as they are, or rounded, with their scales.
    fn round_values<'a>(
        &self,
        values: Numbers,
        places: impl Iterator<Item = &'a mut [i16]>,
        scales: &mut [f32],
        unpacked: &mut Vec<f32>,
    ) {
        let padded = self.size.next_multiple_of(TILE_COLUMNS);
        if let Numbers::I16(own) = values {
            scales[..own.scales.len()].copy_from_slice(own.scales);
            places.zip(own.numbers.chunks_exact(padded)).for_each(|(place, row)| place.copy_from_slice(row));
            return;
        }
        let rows = values.as_rows(self.isa, padded, unpacked).chunks_exact(padded);
        for ((place, scale), row) in places.zip(scales).zip(rows) {
            *scale = round_row(self.isa, &row[..self.size], MOST_OF_VALUE, place);
        }
    }

    fn sum_rows(
        &self,
        run: &Run,
        values: &[i16],
        scales: &[f32],
        at: usize,
        own: &mut Integers,
        scratch: &mut CachedScratch,
    ) {
        let padded = self.size.next_multiple_of(TILE_COLUMNS);
        let mut pairs = std::mem::take(&mut own.pairs);
        fit(&mut pairs, SUM_TOKENS * padded);
        interleave(self.isa, values, padded, &mut pairs);
        self.sum_pairs(run, &pairs, scales, at, own, scratch);
        own.pairs = pairs;
    }

    /// Adds some weighted values in pairs, the first of them at a place of the rows' keys.
    fn sum_pairs(
        &self,
        run: &Run,
        pairs: &[i16],
        scales: &[f32],
        at: usize,
        own: &mut Integers,
        scratch: &mut CachedScratch,
    ) {
        let padded = self.size.next_multiple_of(TILE_COLUMNS);
        let Integers { weights, factors, sums, long_sums, long, .. } = own;
        let CachedScratch { scores, stride, .. } = scratch;
        fit(weights, SUM_TOKENS * TILE_ROWS);
        // The scale of a partner that is not there is 0, and so is its weight.
        let mut paired = [0.0; SUM_TOKENS];
        paired[..scales.len()].copy_from_slice(scales);
        for (rows, keys) in self.tiles(run.rows.clone(), at..at + scales.len()) {
            let from = (keys.start - at) & !1;
            let to = (keys.end - at).next_multiple_of(2);
            for (row, out) in rows.clone().zip(weights.chunks_exact_mut(SUM_TOKENS)) {
                let weights = &scores[row * *stride + at..][from..to];
                round_weights(self.isa, weights, &paired[from..to], factors[row], out);
            }
            let weights = Rows::new(weights, rows.len(), SUM_TOKENS, to - from);
            for column in (0..padded).step_by(TILE_COLUMNS) {
                let numbers = &pairs[from * padded + 2 * column..];
                let sums = &mut sums[rows.start * padded + column..];
                pairs::add(
                    self.isa,
                    weights,
                    rows.len(),
                    Pairs { numbers, step: 2 * padded },
                    (sums, padded),
                );
            }
            for row in rows.filter(|row| long[*row]) {
                let own = row * padded..(row + 1) * padded;
                for (long, sum) in long_sums[own.clone()].iter_mut().zip(&mut sums[own]) {
                    *long += i64::from(std::mem::take(sum));
                }
            }
        }
    }
}

/// Products of rounded queries with panels of keys, which are rounded where they are not yet.
struct PackedMatrix<'a> {
    queries: &'a CachedQueries<'a>,
    rounded: &'a [i16],
    rows: Range<usize>,
    unpacked: &'a mut Vec<f32>,
    keys: &'a mut RoundedPanel,
    scores: &'a mut [f32],
    stride: usize,
}

impl PackedMatrix<'_> {
    /// With a panel in pairs whose scales are put, or with the one whose rows are.
    fn products(&mut self, paired: Option<&[i16]>, at: usize, tokens: usize) {
        let PackedMatrix { queries, rounded, rows, keys, scores, stride, .. } = self;
        let (isa, size, stride) = (queries.isa, queries.size, *stride);
        let RoundedPanel { rows: own, pairs, scales } = &mut **keys;
        let numbers = paired.unwrap_or_else(|| {
            fit(pairs, size * TILE_COLUMNS);
            interleave(isa, own, TILE_COLUMNS, pairs);
            pairs
        });
        let panel = Pairs { numbers, step: 2 * TILE_COLUMNS };
        for (rows, _) in queries.tiles(rows.clone(), at..at + tokens) {
            let place = &mut scores[rows.start * stride + at..];
            let own = Rows::new(&rounded[rows.start * size..], rows.len(), size, size);
            pairs::score(isa, own, rows.len(), panel, scales, (place, stride));
        }
    }
}

impl KeyPanels for PackedMatrix<'_> {
    fn panel(&mut self, keys: Numbers, at: usize, tokens: usize) {
        let (isa, size) = (self.queries.isa, self.queries.size);
        if let Numbers::I16(Int16 { numbers, scales, paired: true }) = keys {
            self.keys.scales.copy_from_slice(scales);
            return self.products(Some(numbers), at, tokens);
        }
        let panel = keys.as_panel(isa, self.unpacked);
        fit(&mut self.keys.rows, size * TILE_COLUMNS);
        round_columns(isa, panel, most_of_key(size), &mut self.keys.rows, &mut self.keys.scales);
        self.products(None, at, tokens);
    }

    fn gather(&mut self, segment: &Segment, token: usize, column: usize) {
        let (isa, size) = (self.queries.isa, self.queries.size);
        let RoundedPanel { rows, pairs, scales } = &mut *self.keys;
        fit(rows, size * TILE_COLUMNS);
        let slots = rows[column..].iter_mut().step_by(TILE_COLUMNS);
        if let Numbers::I16(keys) = segment.keys {
            scales[column] = keys.scales[token];
            return slots
                .zip(segment.places(token, size))
                .for_each(|(slot, place)| *slot = keys.numbers[place]);
        }
        self.unpacked.clear();
        self.unpacked.extend(segment.key(token, size));
        fit(pairs, size * TILE_COLUMNS);
        scales[column] = round_row(isa, self.unpacked, most_of_key(size), &mut pairs[..size]);
        slots.zip(&pairs[..size]).for_each(|(slot, q)| *slot = *q);
    }

    fn gathered(&mut self, at: usize, tokens: usize) {
        self.products(None, at, tokens);
    }
}

#[cfg(test)]
#[path = "cached_tests.rs"]
mod tests;
