//! The room of the keys and values of one layer and head: where its numbers lie, and how they are written.

use super::cache::CacheFormat;
use super::kept::Sizes;
use crate::kernel::{Isa, MOST_OF_VALUE, TILE_COLUMNS, most_of_key, round_row};
use half::f16;

/// The room of one layer and head.
pub(crate) enum Room<'a> {
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
pub(super) struct Layout {
    capacity: usize,
    size: usize,
    padded: usize,
    pub paired: bool,
}

/// Tokens of a panel of keys.
pub(super) fn width(capacity: usize) -> usize {
    capacity.min(TILE_COLUMNS)
}

impl Layout {
    pub(super) fn of(sizes: Sizes, capacity: usize, format: CacheFormat) -> Layout {
        let Sizes { size, .. } = sizes;
        let whole = capacity > 0 && capacity.is_multiple_of(TILE_COLUMNS) && size.is_multiple_of(2);
        Layout { capacity, size, padded: sizes.padded(), paired: whole && format == CacheFormat::Int16 }
    }

    /// Where the numbers of a token's key lie.
    pub(super) fn key(self, token: usize) -> Places {
        let width = width(self.capacity);
        let (panel, column) = (token / width * width * self.size, token % width);
        if self.paired {
            Places { start: panel + 2 * column, together: 2, step: 2 * width }
        } else {
            Places { start: panel + column, together: 1, step: width }
        }
    }

    /// Where those of its value lie.
    pub(super) fn value(self, token: usize) -> Places {
        let values = self.capacity * self.size;
        if self.paired {
            Places { start: values + token / 2 * 2 * self.padded + token % 2, together: 1, step: 2 }
        } else {
            Places { start: values + token * self.padded, together: 1, step: 1 }
        }
    }
}

/// Places of the numbers of a row: so many side by side every few places.
#[derive(Clone, Copy)]
pub(super) struct Places {
    start: usize,
    together: usize,
    step: usize,
}

impl Places {
    /// Where number `i` is.
    pub(super) fn at(self, i: usize) -> usize {
        self.start + i / self.together * self.step + i % self.together
    }

    fn put<T: Copy, R>(self, room: &mut [R], row: &[T], number: impl Fn(T) -> R) {
        let room = &mut room[self.start..];
        match (self.together, self.step) {
            (1, 1) => room.iter_mut().zip(row).for_each(|(slot, x)| *slot = number(*x)),
            (1, step) => room.iter_mut().step_by(step).zip(row).for_each(|(slot, x)| *slot = number(*x)),
            (together, step) => {
                for (slots, own) in room.chunks_mut(step).zip(row.chunks(together)) {
                    slots.iter_mut().zip(own).for_each(|(slot, x)| *slot = number(*x));
                }
            }
        }
    }
}

impl Room<'_> {
    /// Writes keys and values of tokens from number `at`. `rows` hold a key at `key` and a value at `value`, `stride`
    /// apart.
    pub(crate) fn write(
        &mut self,
        isa: Isa,
        (sizes, at): (Sizes, usize),
        rows: &[f32],
        stride: usize,
        (key, value): (usize, usize),
    ) {
        let size = sizes.size;
        let layout = |numbers: usize, format| Layout::of(sizes, numbers / (size + sizes.padded()), format);
        let tokens = (at..).zip(rows.chunks_exact(stride));
        let tokens = tokens.map(|(token, row)| (token, &row[key..key + size], &row[value..value + size]));
        match self {
            Room::F32(room) => {
                let layout = layout(room.len(), CacheFormat::F32);
                for (token, key, value) in tokens {
                    layout.key(token).put(room, key, |x| x);
                    layout.value(token).put(room, value, |x| x);
                }
            }
            Room::F16(room) => {
                let layout = layout(room.len(), CacheFormat::F16);
                for (token, key, value) in tokens {
                    layout.key(token).put(room, key, f16::from_f32);
                    layout.value(token).put(room, value, f16::from_f32);
                }
            }
            Room::I16(room, scales) => {
                let layout = layout(room.len(), CacheFormat::Int16);
                let (keys, values) = scales.split_at_mut(layout.capacity);
                let (most, mut rounded) = (most_of_key(size), vec![0; size]);
                for (token, key, value) in tokens {
                    keys[token] = round_row(isa, key, most, &mut rounded);
                    layout.key(token).put(room, &rounded, |q| q);
                    values[token] = round_row(isa, value, MOST_OF_VALUE, &mut rounded);
                    layout.value(token).put(room, &rounded, |q| q);
                }
            }
            Room::I8(room, scales) => {
                let layout = layout(room.len(), CacheFormat::Int8);
                let (keys, values) = scales.split_at_mut(layout.capacity);
                for (token, key, value) in tokens {
                    let (k, v) = (scale(key), scale(value));
                    (keys[token], values[token]) = (k, v);
                    layout.key(token).put(room, key, |x| (x / k).round() as i8);
                    layout.value(token).put(room, value, |x| (x / v).round() as i8);
                }
            }
        }
    }
}

fn scale(row: &[f32]) -> f32 {
    (row.iter().fold(0.0f32, |m, x| m.max(x.abs())) / 127.0).max(f32::MIN_POSITIVE)
}
