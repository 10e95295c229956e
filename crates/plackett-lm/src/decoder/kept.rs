//! One immutable segment of keys and values, all layers and heads in one allocation for each kind of number.

use super::cache::CacheFormat;
use super::mapped::{Mapped, View};
use super::room::{Layout, Room, width};
use crate::kernel::{Int16, Numbers, Segment, TILE_COLUMNS};
use half::f16;

/// Sizes of the keys and values of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub layers: usize,
    /// Heads of keys.
    pub heads: usize,
    /// Numbers per head.
    pub size: usize,
}

/// Keys and values of some tokens.
///
/// For each layer and head a room, which a [`Layout`] describes.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(super) sizes: Sizes,
    pub(super) tokens: usize,
    pub(super) capacity: usize,
    pub(super) store: Store,
}

#[derive(Clone, Debug)]
pub(super) enum Store {
    F32(Vec<f32>),
    F16(Vec<f16>),
    /// Numbers, and scales of keys and of values, a token each.
    I16(Vec<i16>, Vec<f32>),
    /// The same.
    I8(Vec<i8>, Vec<f32>),
    /// In a file of blocks, and only read.
    Mapped(Mapped),
}

impl Sizes {
    pub(super) fn padded(&self) -> usize {
        self.size.next_multiple_of(TILE_COLUMNS)
    }

    /// Numbers of one layer and head.
    pub(super) fn room(&self, capacity: usize) -> usize {
        capacity * (self.size + self.padded())
    }

    /// Numbers and scales of a segment of that many tokens; `None` where they cannot be counted.
    pub(super) fn lengths(&self, tokens: usize, format: CacheFormat) -> Option<(usize, usize)> {
        let capacity = rounded_checked(tokens)?;
        let rooms = self.layers.checked_mul(self.heads)?;
        let head = self.size.checked_next_multiple_of(TILE_COLUMNS)?.checked_add(self.size)?;
        let numbers = rooms.checked_mul(capacity)?.checked_mul(head)?;
        let scales = match format {
            CacheFormat::Int16 | CacheFormat::Int8 => rooms.checked_mul(capacity)?.checked_mul(2)?,
            CacheFormat::F32 | CacheFormat::F16 => 0,
        };
        Some((numbers, scales))
    }

    /// Bytes of a segment of that many tokens.
    pub(crate) fn bytes(&self, tokens: usize, format: CacheFormat) -> usize {
        let capacity = rounded(tokens);
        let numbers = self.layers * self.heads * self.room(capacity);
        let scales = 8 * self.layers * self.heads * capacity;
        match format {
            CacheFormat::F32 => 4 * numbers,
            CacheFormat::F16 => 2 * numbers,
            CacheFormat::Int16 => 2 * numbers + scales,
            CacheFormat::Int8 => numbers + scales,
        }
    }
}

/// Whole panels, or one narrower panel.
pub(super) fn rounded(tokens: usize) -> usize {
    if tokens <= TILE_COLUMNS { tokens } else { tokens.next_multiple_of(TILE_COLUMNS) }
}

fn rounded_checked(tokens: usize) -> Option<usize> {
    if tokens <= TILE_COLUMNS { Some(tokens) } else { tokens.checked_next_multiple_of(TILE_COLUMNS) }
}

impl Kept {
    /// Room for `tokens` tokens, filled with zeros.
    pub(crate) fn new(sizes: Sizes, tokens: usize, format: CacheFormat) -> Kept {
        let mut kept = Kept { sizes, tokens: 0, capacity: 0, store: Store::F32(Vec::new()) };
        kept.renew(sizes, tokens, format);
        kept
    }

    /// The same room for other tokens. What was in it stays, but nobody sees it before it is overwritten.
    pub(crate) fn renew(&mut self, sizes: Sizes, tokens: usize, format: CacheFormat) {
        let capacity = rounded(tokens);
        let numbers = sizes.layers * sizes.heads * sizes.room(capacity);
        let scales = 2 * sizes.layers * sizes.heads * capacity;
        match (&mut self.store, format) {
            (Store::F32(room), CacheFormat::F32) if room.capacity() > 0 => room.resize(numbers, 0.0),
            (Store::I16(room, own), CacheFormat::Int16) if room.capacity() > 0 => {
                room.resize(numbers, 0);
                own.resize(scales, 0.0);
            }
            // Zeros that come from the system cost nothing until they are written to, which is when workers do it.
            (_, CacheFormat::F32) => self.store = Store::F32(vec![0.0; numbers]),
            (_, CacheFormat::F16) => self.store = Store::F16(vec![f16::ZERO; numbers]),
            (_, CacheFormat::Int16) => self.store = Store::I16(vec![0; numbers], vec![0.0; scales]),
            (_, CacheFormat::Int8) => self.store = Store::I8(vec![0; numbers], vec![0.0; scales]),
        }
        (self.sizes, self.tokens, self.capacity) = (sizes, tokens, capacity);
    }

    /// Tokens of a file of blocks, read where they lie.
    pub(super) fn mapped(sizes: Sizes, tokens: usize, mapped: Mapped) -> Kept {
        Kept { sizes, tokens, capacity: rounded(tokens), store: Store::Mapped(mapped) }
    }

    /// Numbers, wherever they lie.
    pub(super) fn view(&self) -> View<'_> {
        match &self.store {
            Store::F32(room) => View::F32(room),
            Store::F16(room) => View::F16(room),
            Store::I16(room, scales) => View::I16(room, scales),
            Store::I8(room, scales) => View::I8(room, scales),
            Store::Mapped(mapped) => mapped.view(),
        }
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(crate) fn layers(&self) -> usize {
        self.sizes.layers
    }

    pub(crate) fn sizes(&self) -> Sizes {
        self.sizes
    }

    pub(crate) fn format(&self) -> CacheFormat {
        match &self.store {
            Store::F32(_) => CacheFormat::F32,
            Store::F16(_) => CacheFormat::F16,
            Store::I16(..) => CacheFormat::Int16,
            Store::I8(..) => CacheFormat::Int8,
            Store::Mapped(mapped) => mapped.format(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self.view() {
            View::F32(room) => 4 * room.len(),
            View::F16(room) => 2 * room.len(),
            View::I16(room, scales) => 2 * room.len() + 4 * scales.len(),
            View::I8(room, scales) => room.len() + 4 * scales.len(),
        }
    }

    /// Bytes that the process holds: those of a mapped file are the system's, which can drop and read them again.
    pub(crate) fn held_bytes(&self) -> usize {
        if matches!(self.store, Store::Mapped(_)) { 0 } else { self.bytes() }
    }

    /// What attention reads of a layer and head.
    pub(crate) fn segment(&self, layer: usize, head: usize) -> Segment<'_> {
        let length = self.sizes.room(self.capacity);
        let index = layer * self.sizes.heads + head;
        let start = index * length;
        let middle = start + self.capacity * self.sizes.size;
        let (keys, values) = match self.view() {
            View::F32(room) => {
                (Numbers::F32(&room[start..middle]), Numbers::F32(&room[middle..start + length]))
            }
            View::F16(room) => {
                (Numbers::F16(&room[start..middle]), Numbers::F16(&room[middle..start + length]))
            }
            View::I16(room, scales) => {
                let (k, v) = scales_of(scales, index, self.capacity);
                let paired = Layout::of(self.sizes, self.capacity, CacheFormat::Int16).paired;
                let number = |numbers, scales| Numbers::I16(Int16 { numbers, scales, paired });
                (number(&room[start..middle], k), number(&room[middle..start + length], v))
            }
            View::I8(room, scales) => {
                let (k, v) = scales_of(scales, index, self.capacity);
                (Numbers::I8(&room[start..middle], k), Numbers::I8(&room[middle..start + length], v))
            }
        };
        Segment { keys, values, tokens: self.tokens, width: width(self.capacity) }
    }

    /// The rooms of a layer, head by head.
    pub(crate) fn rooms(&mut self, layer: usize) -> Vec<Room<'_>> {
        let (heads, capacity) = (self.sizes.heads, self.capacity);
        let length = self.sizes.room(capacity);
        let start = layer * heads * length;
        let all = start..start + heads * length;
        if length == 0 {
            return Vec::new();
        }
        match &mut self.store {
            Store::F32(room) => room[all].chunks_exact_mut(length).map(Room::F32).collect(),
            Store::F16(room) => room[all].chunks_exact_mut(length).map(Room::F16).collect(),
            Store::I16(room, scales) => {
                let scales = scales[2 * layer * heads * capacity..].chunks_exact_mut(2 * capacity);
                let rooms = room[all].chunks_exact_mut(length).zip(scales);
                rooms.map(|(room, own)| Room::I16(room, own)).collect()
            }
            Store::I8(room, scales) => {
                let scales = scales[2 * layer * heads * capacity..].chunks_exact_mut(2 * capacity);
                let rooms = room[all].chunks_exact_mut(length).zip(scales);
                rooms.map(|(room, own)| Room::I8(room, own)).collect()
            }
            Store::Mapped(_) => unreachable!("new tokens are never put into a file"),
        }
    }
}

/// Scales of the keys and of the values of a room.
fn scales_of(scales: &[f32], room: usize, capacity: usize) -> (&[f32], &[f32]) {
    scales[2 * room * capacity..][..2 * capacity].split_at(capacity)
}
