//! One immutable segment of keys and values, all layers and heads in one allocation for each kind of number.

use crate::decoder::kv::format::{CacheFormat, KvDims, rounded};
use crate::decoder::kv::layout::{HeadBuffer, HeadLayout, width};
use crate::decoder::kv::mapped::{MappedSegment, SegmentView};
use half::f16;
use plackett_kernel::{Int16, Numbers, Segment};

/// Keys and values of some tokens.
///
/// For each layer and head the numbers lie as a [`HeadLayout`] says.
#[derive(Clone, Debug)]
pub(crate) struct KvSegment {
    pub(crate) dims: KvDims,
    pub(crate) tokens: usize,
    pub(crate) capacity: usize,
    pub(crate) store: SegmentStore,
}

#[derive(Clone, Debug)]
pub(crate) enum SegmentStore {
    F32(Vec<f32>),
    F16(Vec<f16>),
    /// Numbers, and scales of keys and of values, a token each.
    I16(Vec<i16>, Vec<f32>),
    /// The same.
    I8(Vec<i8>, Vec<f32>),
    /// In a file of blocks, and only read.
    Mapped(MappedSegment),
}

impl KvSegment {
    /// Room for `tokens` tokens, filled with zeros.
    pub(crate) fn new(dims: KvDims, tokens: usize, format: CacheFormat) -> KvSegment {
        let mut segment = KvSegment { dims, tokens: 0, capacity: 0, store: SegmentStore::F32(Vec::new()) };
        segment.reset(dims, tokens, format);
        segment
    }

    /// The same buffers for other tokens. What was in them stays, but nobody sees it before it is overwritten.
    pub(crate) fn reset(&mut self, dims: KvDims, tokens: usize, format: CacheFormat) {
        let capacity = rounded(tokens);
        let numbers = dims.layers * dims.heads * dims.head_len(capacity);
        let scales = 2 * dims.layers * dims.heads * capacity;
        match (&mut self.store, format) {
            (SegmentStore::F32(data), CacheFormat::F32) if data.capacity() > 0 => data.resize(numbers, 0.0),
            (SegmentStore::I16(data, own), CacheFormat::Int16) if data.capacity() > 0 => {
                data.resize(numbers, 0);
                own.resize(scales, 0.0);
            }
            // Zeros that come from the system cost nothing until they are written to, which is when workers do it.
            (_, CacheFormat::F32) => self.store = SegmentStore::F32(vec![0.0; numbers]),
            (_, CacheFormat::F16) => self.store = SegmentStore::F16(vec![f16::ZERO; numbers]),
            (_, CacheFormat::Int16) => self.store = SegmentStore::I16(vec![0; numbers], vec![0.0; scales]),
            (_, CacheFormat::Int8) => self.store = SegmentStore::I8(vec![0; numbers], vec![0.0; scales]),
        }
        (self.dims, self.tokens, self.capacity) = (dims, tokens, capacity);
    }

    /// Tokens of a file of blocks, read where they lie.
    pub(crate) fn mapped(dims: KvDims, tokens: usize, mapped: MappedSegment) -> KvSegment {
        KvSegment { dims, tokens, capacity: rounded(tokens), store: SegmentStore::Mapped(mapped) }
    }

    /// Numbers, wherever they lie.
    pub(crate) fn view(&self) -> SegmentView<'_> {
        match &self.store {
            SegmentStore::F32(data) => SegmentView::F32(data),
            SegmentStore::F16(data) => SegmentView::F16(data),
            SegmentStore::I16(data, scales) => SegmentView::I16(data, scales),
            SegmentStore::I8(data, scales) => SegmentView::I8(data, scales),
            SegmentStore::Mapped(mapped) => mapped.view(),
        }
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(crate) fn layers(&self) -> usize {
        self.dims.layers
    }

    pub(crate) fn dims(&self) -> KvDims {
        self.dims
    }

    pub(crate) fn format(&self) -> CacheFormat {
        match &self.store {
            SegmentStore::F32(_) => CacheFormat::F32,
            SegmentStore::F16(_) => CacheFormat::F16,
            SegmentStore::I16(..) => CacheFormat::Int16,
            SegmentStore::I8(..) => CacheFormat::Int8,
            SegmentStore::Mapped(mapped) => mapped.format(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self.view() {
            SegmentView::F32(data) => 4 * data.len(),
            SegmentView::F16(data) => 2 * data.len(),
            SegmentView::I16(data, scales) => 2 * data.len() + 4 * scales.len(),
            SegmentView::I8(data, scales) => data.len() + 4 * scales.len(),
        }
    }

    /// Bytes that the process holds: those of a mapped file are the system's, which can drop and read them again.
    pub(crate) fn held_bytes(&self) -> usize {
        if matches!(self.store, SegmentStore::Mapped(_)) { 0 } else { self.bytes() }
    }

    /// What attention reads of a layer and head.
    pub(crate) fn segment(&self, layer: usize, head: usize) -> Segment<'_> {
        let length = self.dims.head_len(self.capacity);
        let index = layer * self.dims.heads + head;
        let start = index * length;
        let middle = start + self.capacity * self.dims.size;
        let (keys, values) = match self.view() {
            SegmentView::F32(data) => {
                (Numbers::F32(&data[start..middle]), Numbers::F32(&data[middle..start + length]))
            }
            SegmentView::F16(data) => {
                (Numbers::F16(&data[start..middle]), Numbers::F16(&data[middle..start + length]))
            }
            SegmentView::I16(data, scales) => {
                let (k, v) = scales_of(scales, index, self.capacity);
                let paired = HeadLayout::of(self.dims, self.capacity, CacheFormat::Int16).paired;
                let number = |numbers, scales| Numbers::I16(Int16 { numbers, scales, paired });
                (number(&data[start..middle], k), number(&data[middle..start + length], v))
            }
            SegmentView::I8(data, scales) => {
                let (k, v) = scales_of(scales, index, self.capacity);
                (Numbers::I8(&data[start..middle], k), Numbers::I8(&data[middle..start + length], v))
            }
        };
        Segment { keys, values, tokens: self.tokens, width: width(self.capacity) }
    }

    /// What is written of a layer, head by head.
    pub(crate) fn heads_mut(&mut self, layer: usize) -> Vec<HeadBuffer<'_>> {
        let (heads, capacity) = (self.dims.heads, self.capacity);
        let length = self.dims.head_len(capacity);
        let start = layer * heads * length;
        let all = start..start + heads * length;
        if length == 0 {
            return Vec::new();
        }
        match &mut self.store {
            SegmentStore::F32(data) => data[all].chunks_exact_mut(length).map(HeadBuffer::F32).collect(),
            SegmentStore::F16(data) => data[all].chunks_exact_mut(length).map(HeadBuffer::F16).collect(),
            SegmentStore::I16(data, scales) => {
                let scales = scales[2 * layer * heads * capacity..].chunks_exact_mut(2 * capacity);
                let heads = data[all].chunks_exact_mut(length).zip(scales);
                heads.map(|(data, own)| HeadBuffer::I16(data, own)).collect()
            }
            SegmentStore::I8(data, scales) => {
                let scales = scales[2 * layer * heads * capacity..].chunks_exact_mut(2 * capacity);
                let heads = data[all].chunks_exact_mut(length).zip(scales);
                heads.map(|(data, own)| HeadBuffer::I8(data, own)).collect()
            }
            SegmentStore::Mapped(_) => unreachable!("new tokens are never put into a file"),
        }
    }
}

/// Scales of the keys and of the values of a layer and head.
fn scales_of(scales: &[f32], data: usize, capacity: usize) -> (&[f32], &[f32]) {
    scales[2 * data * capacity..][..2 * capacity].split_at(capacity)
}
