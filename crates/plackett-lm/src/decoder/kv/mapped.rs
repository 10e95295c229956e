//! Keys and values that stay in a memory-mapped file, and how a segment lies there.
//!
//! The numbers of a segment lie in the file as [`KvSegment`](crate::decoder::kv::segment::KvSegment) has them in memory, little-endian; the scales
//! of int16 and int8 follow at the next multiple of [`ALIGNMENT`] bytes.

use crate::decoder::kv::format::CacheFormat;
use crate::decoder::kv::format::KvDims;
use half::f16;
use plackett_kernel::{as_f16, as_f32, as_i8, as_i16};
use std::ops::Range;
use std::sync::Arc;

/// Segments begin at multiples of so many bytes: a cache line.
pub(crate) const ALIGNMENT: usize = 64;

/// Numbers of a segment, wherever they lie.
pub(crate) enum SegmentView<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    I16(&'a [i16], &'a [f32]),
    I8(&'a [i8], &'a [f32]),
}

/// A segment's place in a file.
#[derive(Clone, Debug)]
pub(crate) struct MappedSegment {
    file: Arc<memmap2::Mmap>,
    format: CacheFormat,
    numbers: Range<usize>,
    scales: Range<usize>,
}

/// Bytes of a segment in a file, and where among them the scales begin; `None` where they cannot be counted.
pub(crate) fn stored(dims: KvDims, tokens: usize, format: CacheFormat) -> Option<(usize, usize)> {
    let (numbers, scales) = dims.lengths(tokens, format)?;
    let numbers = numbers.checked_mul(number_bytes(format))?;
    if scales == 0 {
        return Some((numbers, numbers));
    }
    let start = numbers.checked_next_multiple_of(ALIGNMENT)?;
    Some((start.checked_add(scales.checked_mul(4)?)?, start))
}

fn number_bytes(format: CacheFormat) -> usize {
    match format {
        CacheFormat::F32 => 4,
        CacheFormat::F16 | CacheFormat::Int16 => 2,
        CacheFormat::Int8 => 1,
    }
}

impl MappedSegment {
    /// The segment that begins at a byte of the file; `None` when it does not lie in it whole and aligned.
    pub(crate) fn new(
        file: &Arc<memmap2::Mmap>,
        start: usize,
        (dims, tokens, format): (KvDims, usize, CacheFormat),
    ) -> Option<MappedSegment> {
        let (length, scales) = stored(dims, tokens, format)?;
        let end = start.checked_add(length).filter(|end| *end <= file.len())?;
        let numbers = dims.lengths(tokens, format)?.0 * number_bytes(format);
        let mapped = MappedSegment {
            file: file.clone(),
            format,
            numbers: start..start + numbers,
            scales: start + scales..end,
        };
        mapped.try_view().is_some().then_some(mapped)
    }

    pub(crate) fn format(&self) -> CacheFormat {
        self.format
    }

    fn try_view(&self) -> Option<SegmentView<'_>> {
        let numbers = &self.file[self.numbers.clone()];
        let scales = || as_f32(&self.file[self.scales.clone()]);
        Some(match self.format {
            CacheFormat::F32 => SegmentView::F32(as_f32(numbers)?),
            CacheFormat::F16 => SegmentView::F16(as_f16(numbers)?),
            CacheFormat::Int16 => SegmentView::I16(as_i16(numbers)?, scales()?),
            CacheFormat::Int8 => SegmentView::I8(as_i8(numbers)?, scales()?),
        })
    }

    /// The numbers where they lie.
    pub(crate) fn view(&self) -> SegmentView<'_> {
        // Tried when it was made.
        self.try_view().unwrap_or(SegmentView::F32(&[]))
    }
}
