//! The keys and values of one layer and head: where the numbers lie, and how they are written.

use crate::decoder::kv::format::CacheFormat;
use crate::decoder::kv::format::KvDims;
use half::f16;
use plackett_kernel::{Isa, MOST_OF_VALUE, TILE_COLUMNS, most_of_key, round_row};

/// What is written of one layer and head; with scales of keys and of values, a token each.
pub(crate) enum HeadBuffer<'a> {
    F32(&'a mut [f32]),
    F16(&'a mut [f16]),
    I16(&'a mut [i16], &'a mut [f32]),
    I8(&'a mut [i8], &'a mut [f32]),
}

/// Keys in panels `[size][width]`, then values in rows of the size rounded up to whole panels of 32.
///
/// In whole panels of int16, numbers that are multiplied together lie side by side: panels are `[size / 2][32][2]`, and
/// values `[tokens / 2][rounded size][2]`.
#[derive(Clone, Copy)]
pub(crate) struct HeadLayout {
    capacity: usize,
    size: usize,
    padded: usize,
    pub paired: bool,
}

/// Tokens of a panel of keys.
pub(crate) fn width(capacity: usize) -> usize {
    capacity.min(TILE_COLUMNS)
}

impl HeadLayout {
    pub(crate) fn of(dims: KvDims, capacity: usize, format: CacheFormat) -> HeadLayout {
        let KvDims { size, .. } = dims;
        let whole = capacity > 0 && capacity.is_multiple_of(TILE_COLUMNS) && size.is_multiple_of(2);
        HeadLayout { capacity, size, padded: dims.padded(), paired: whole && format == CacheFormat::Int16 }
    }

    /// Where the numbers of a token's key lie.
    pub(crate) fn key(self, token: usize) -> Strides {
        let width = width(self.capacity);
        let (panel, column) = (token / width * width * self.size, token % width);
        if self.paired {
            Strides { start: panel + 2 * column, together: 2, step: 2 * width }
        } else {
            Strides { start: panel + column, together: 1, step: width }
        }
    }

    /// Where those of its value lie.
    pub(crate) fn value(self, token: usize) -> Strides {
        let values = self.capacity * self.size;
        if self.paired {
            Strides { start: values + token / 2 * 2 * self.padded + token % 2, together: 1, step: 2 }
        } else {
            Strides { start: values + token * self.padded, together: 1, step: 1 }
        }
    }
}

/// Places of the numbers of a row: so many side by side every few places.
#[derive(Clone, Copy)]
pub(crate) struct Strides {
    start: usize,
    together: usize,
    step: usize,
}

impl Strides {
    /// Where number `i` is.
    pub(crate) fn at(self, i: usize) -> usize {
        self.start + i / self.together * self.step + i % self.together
    }

    fn scatter<T: Copy, R>(self, numbers: &mut [R], row: &[T], convert: impl Fn(T) -> R) {
        let numbers = &mut numbers[self.start..];
        match (self.together, self.step) {
            (1, 1) => numbers.iter_mut().zip(row).for_each(|(slot, x)| *slot = convert(*x)),
            (1, step) => numbers.iter_mut().step_by(step).zip(row).for_each(|(slot, x)| *slot = convert(*x)),
            (together, step) => {
                for (slots, own) in numbers.chunks_mut(step).zip(row.chunks(together)) {
                    slots.iter_mut().zip(own).for_each(|(slot, x)| *slot = convert(*x));
                }
            }
        }
    }
}

impl HeadBuffer<'_> {
    /// Writes keys and values of tokens from number `at`. `rows` hold a key at `key` and a value at `value`, `stride`
    /// apart.
    pub(crate) fn write(
        &mut self,
        isa: Isa,
        (dims, at): (KvDims, usize),
        rows: &[f32],
        stride: usize,
        (key, value): (usize, usize),
    ) {
        let size = dims.size;
        let layout = |length: usize, format| HeadLayout::of(dims, length / (size + dims.padded()), format);
        let tokens = (at..).zip(rows.chunks_exact(stride));
        let tokens = tokens.map(|(token, row)| (token, &row[key..key + size], &row[value..value + size]));
        match self {
            HeadBuffer::F32(numbers) => {
                let layout = layout(numbers.len(), CacheFormat::F32);
                for (token, key, value) in tokens {
                    layout.key(token).scatter(numbers, key, |x| x);
                    layout.value(token).scatter(numbers, value, |x| x);
                }
            }
            HeadBuffer::F16(numbers) => {
                let layout = layout(numbers.len(), CacheFormat::F16);
                for (token, key, value) in tokens {
                    layout.key(token).scatter(numbers, key, f16::from_f32);
                    layout.value(token).scatter(numbers, value, f16::from_f32);
                }
            }
            HeadBuffer::I16(numbers, scales) => {
                let layout = layout(numbers.len(), CacheFormat::Int16);
                let (keys, values) = scales.split_at_mut(layout.capacity);
                let (most, mut rounded) = (most_of_key(size), vec![0; size]);
                for (token, key, value) in tokens {
                    keys[token] = round_row(isa, key, most, &mut rounded);
                    layout.key(token).scatter(numbers, &rounded, |q| q);
                    values[token] = round_row(isa, value, MOST_OF_VALUE, &mut rounded);
                    layout.value(token).scatter(numbers, &rounded, |q| q);
                }
            }
            HeadBuffer::I8(numbers, scales) => {
                let layout = layout(numbers.len(), CacheFormat::Int8);
                let (keys, values) = scales.split_at_mut(layout.capacity);
                for (token, key, value) in tokens {
                    let (k, v) = (scale(key), scale(value));
                    (keys[token], values[token]) = (k, v);
                    layout.key(token).scatter(numbers, key, |x| (x / k).round() as i8);
                    layout.value(token).scatter(numbers, value, |x| (x / v).round() as i8);
                }
            }
        }
    }
}

fn scale(row: &[f32]) -> f32 {
    (row.iter().fold(0.0f32, |m, x| m.max(x.abs())) / 127.0).max(f32::MIN_POSITIVE)
}
