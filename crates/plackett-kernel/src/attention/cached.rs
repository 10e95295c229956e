//! Attention of a few or many queries over lists of cached segments of keys and values.
//!
//! A segment keeps keys in panels `[size][width]` and values in rows, for one layer and one head of keys. Scores of a
//! block of rows against all their keys exist at once (a row for each query, never a square); so the largest score, the
//! sum of the exponentials and the weighted sum of the values are taken over all keys in their order, and the numbers do
//! not depend on how the keys are cut into segments, nor on which queries are computed together.
//!
//! Products are made in f32 (`cached_f32`) or in integers of 16 bits (`cached_i16`).

use crate::attention::scratch::{CachedScratch, stride};
use crate::isa::Isa;
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use crate::vector::math::exponentials;
use crate::vector::rows::{widen, widen_columns, widen_columns_i16, widen_i16};
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::ops::Range;

/// Numbers of a cache.
#[derive(Clone, Copy)]
pub enum Numbers<'a> {
    /// f32.
    F32(&'a [f32]),
    /// f16.
    F16(&'a [f16]),
    /// Integers of 16 bits.
    I16(Int16<'a>),
    /// With a scale for each token.
    I8(&'a [i8], &'a [f32]),
}

/// Integers of 16 bits with a scale for each token.
#[derive(Clone, Copy)]
pub struct Int16<'a> {
    /// The integers.
    pub numbers: &'a [i16],
    /// A scale for each token.
    pub scales: &'a [f32],
    /// Whether two numbers that follow each other lie side by side: those of a key, of one dimension of two values.
    pub paired: bool,
}

/// Keys and values of some tokens, in one layer, of one head.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    /// PackedMatrix `[size][width]`, or `[size / 2][width][2]` in pairs.
    pub keys: Numbers<'a>,
    /// Rows of the size rounded up to whole panels of 32; or, in pairs, `[tokens / 2][rounded size][2]`.
    pub values: Numbers<'a>,
    /// Tokens.
    pub tokens: usize,
    /// Tokens of a panel of keys, 32 or less.
    pub width: usize,
}

/// Rows of queries of one head of keys: `count` of them, contiguous.
pub struct CachedQueries<'a> {
    /// Instruction set.
    pub isa: Isa,
    /// Numbers per head.
    pub size: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Whether products are made in integers of 16 bits.
    pub integers: bool,
    /// `rows × size`.
    pub queries: &'a [f32],
    /// The keys that each row sees: places in its own list of segments, end to end.
    pub seen: &'a [Range<usize>],
}

/// Segments that some rows see, and the place of the first key among the rows' keys.
pub struct Run<'a> {
    /// The rows, from the first of the call.
    pub rows: Range<usize>,
    /// Place of the first key among the keys of these rows.
    pub offset: usize,
    /// The segments, in the order of keys.
    pub segments: Vec<Segment<'a>>,
}

impl CachedQueries<'_> {
    /// Contexts of all rows to `out`, `rows × size`. Runs are in the order of keys; each row's runs, end to end, hold all
    /// the keys it sees.
    pub fn attend(&self, runs: &[Run], out: &mut [f32], scratch: &mut CachedScratch) {
        let rows = self.seen.len();
        let most = self.seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        scratch.stride = stride(most);
        scratch.scores.resize((rows * scratch.stride + TILE_COLUMNS).max(scratch.scores.len()), 0.0);
        scratch.totals.clear();
        if self.integers {
            self.attend_i16(runs, out, scratch);
        } else {
            self.attend_f32(runs, out, scratch);
        }
    }

    /// Turns scores, times the factor of their row, into weights, and what nobody sees into zeros.
    pub(crate) fn soften(&self, factor: impl Fn(usize) -> f32, scratch: &mut CachedScratch) {
        for (row, seen) in self.seen.iter().enumerate() {
            let scores = &mut scratch.scores[row * scratch.stride..][..scratch.stride];
            let (_, total) = exponentials(self.isa, &mut scores[seen.clone()], factor(row), -1e30);
            scores[..seen.start].fill(0.0);
            scores[seen.end..].fill(0.0);
            scratch.totals.push(total);
        }
    }

    /// The keys that any of these rows sees.
    pub(crate) fn union(&self, rows: Range<usize>) -> Range<usize> {
        let seen = &self.seen[rows];
        let start = seen.iter().map(|seen| seen.start).min().unwrap_or(0);
        start..seen.iter().map(|seen| seen.end).max().unwrap_or(0)
    }

    /// The tiles of some rows that see any of some keys, with those of the keys that they see.
    pub(crate) fn tiles(
        &self,
        rows: Range<usize>,
        keys: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        rows.clone().step_by(TILE_ROWS).filter_map(move |first| {
            let rows = first..rows.end.min(first + TILE_ROWS);
            let seen = self.union(rows.clone());
            let keys = seen.start.max(keys.start)..seen.end.min(keys.end);
            (!keys.is_empty()).then_some((rows, keys))
        })
    }
}

/// What is done with the keys of a run, panel by panel.
pub(crate) trait KeyPanels {
    /// Takes 32 keys, the first of them at a place of the rows' keys.
    fn panel(&mut self, keys: Numbers, at: usize, tokens: usize);

    /// Puts a key of a short segment into a column of a panel that is filled with such.
    fn gather(&mut self, segment: &Segment, token: usize, column: usize);

    /// Takes the keys that were gathered.
    fn gathered(&mut self, at: usize, tokens: usize);
}

/// Walks over the keys of a run, as far as they are among `seen`.
pub(crate) fn walk_keys(run: &Run, size: usize, seen: &Range<usize>, panels: &mut impl KeyPanels) {
    let mut at = run.offset;
    // Keys of short segments, gathered until they fill a panel.
    let mut gathered = 0;
    for segment in &run.segments {
        if segment.width == TILE_COLUMNS {
            if gathered > 0 {
                panels.gathered(at - gathered, gathered);
                gathered = 0;
            }
            for first in (0..segment.tokens).step_by(TILE_COLUMNS) {
                let tokens = TILE_COLUMNS.min(segment.tokens - first);
                if at + first < seen.end && at + first + tokens > seen.start {
                    panels.panel(segment.keys.panel(first, size), at + first, tokens);
                }
            }
            at += segment.tokens;
            continue;
        }
        for token in 0..segment.tokens {
            panels.gather(segment, token, gathered);
            gathered += 1;
            at += 1;
            if gathered == TILE_COLUMNS {
                panels.gathered(at - gathered, gathered);
                gathered = 0;
            }
        }
    }
    if gathered > 0 {
        panels.gathered(at - gathered, gathered);
    }
}

impl<'a> Numbers<'a> {
    /// The panel of 32 keys from a token.
    fn panel(self, first: usize, size: usize) -> Numbers<'a> {
        let tokens = first..first + TILE_COLUMNS;
        self.part(first * size..tokens.end * size, tokens)
    }

    /// The rows of some values, the first of which has an even number.
    pub(crate) fn rows(self, tokens: Range<usize>, padded: usize) -> Numbers<'a> {
        let paired = matches!(self, Numbers::I16(Int16 { paired: true, .. }));
        let end = if paired { tokens.end.next_multiple_of(2) } else { tokens.end };
        self.part(tokens.start * padded..end * padded, tokens)
    }

    fn part(self, numbers: Range<usize>, tokens: Range<usize>) -> Numbers<'a> {
        match self {
            Numbers::F32(all) => Numbers::F32(&all[numbers]),
            Numbers::F16(all) => Numbers::F16(&all[numbers]),
            Numbers::I16(all) => {
                Numbers::I16(Int16 { numbers: &all.numbers[numbers], scales: &all.scales[tokens], ..all })
            }
            Numbers::I8(all, scales) => Numbers::I8(&all[numbers], &scales[tokens]),
        }
    }

    /// One panel of keys in f32: where it lies, or unpacked to `room`.
    pub(crate) fn as_panel<'b>(self, isa: Isa, room: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        match self {
            Numbers::F32(keys) => return keys,
            Numbers::F16(keys) => unpack_f16(keys, room),
            Numbers::I16(Int16 { numbers, scales, paired }) => {
                room.resize(numbers.len(), 0.0);
                if paired {
                    let rows = room.chunks_exact_mut(2 * TILE_COLUMNS);
                    for (pairs, out) in numbers.chunks_exact(2 * TILE_COLUMNS).zip(rows) {
                        for (i, q) in pairs.iter().enumerate() {
                            out[i % 2 * TILE_COLUMNS + i / 2] = f32::from(*q) * scales[i / 2];
                        }
                    }
                } else {
                    widen_columns_i16(isa, numbers, scales, room);
                }
            }
            Numbers::I8(keys, scales) => {
                room.resize(keys.len(), 0.0);
                widen_columns(isa, keys, scales, room);
            }
        }
        room
    }

    /// Rows of values in f32: where they lie, or unpacked to `room`.
    pub(crate) fn as_rows<'b>(self, isa: Isa, padded: usize, room: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        match self {
            Numbers::F32(values) => return values,
            Numbers::F16(values) => unpack_f16(values, room),
            Numbers::I16(Int16 { numbers, scales, paired }) => {
                room.resize(scales.len() * padded, 0.0);
                let rows = room.chunks_exact_mut(padded).zip(scales).enumerate();
                if paired {
                    for (token, (out, scale)) in rows {
                        let row = numbers[token / 2 * 2 * padded..].iter().skip(token % 2).step_by(2);
                        out.iter_mut().zip(row).for_each(|(x, q)| *x = f32::from(*q) * scale);
                    }
                } else {
                    let rows = rows.zip(numbers.chunks_exact(padded));
                    rows.for_each(|((_, (out, scale)), row)| widen_i16(isa, row, *scale, out));
                }
            }
            Numbers::I8(values, scales) => {
                room.resize(values.len(), 0.0);
                let rows = values.chunks_exact(padded).zip(scales).zip(room.chunks_exact_mut(padded));
                rows.for_each(|((row, scale), out)| widen(isa, row, *scale, out));
            }
        }
        room
    }
}

fn unpack_f16(numbers: &[f16], room: &mut Vec<f32>) {
    room.resize(numbers.len(), 0.0);
    numbers.convert_to_f32_slice(room);
}

impl Segment<'_> {
    /// One key of a short segment, number by number.
    pub(crate) fn key(&self, token: usize, size: usize) -> impl Iterator<Item = f32> {
        self.places(token, size).map(move |place| match self.keys {
            Numbers::F32(keys) => keys[place],
            Numbers::F16(keys) => keys[place].to_f32(),
            Numbers::I16(keys) => f32::from(keys.numbers[place]) * keys.scales[token],
            Numbers::I8(keys, scales) => f32::from(keys[place]) * scales[token],
        })
    }

    /// Where the numbers of a key of a short segment are.
    pub(crate) fn places(&self, token: usize, size: usize) -> impl Iterator<Item = usize> + use<> {
        let width = self.width;
        (0..size).map(move |i| token + i * width)
    }
}
