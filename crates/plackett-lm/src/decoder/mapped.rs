//! Keys and values that stay in a memory-mapped file, and how a segment lies there.
//!
//! The numbers of a segment lie in the file as [`Kept`](super::kept::Kept) has them in memory, little-endian; the scales
//! of int16 and int8 follow at the next multiple of [`ALIGNMENT`] bytes.

use super::cache::CacheFormat;
use super::kept::{Kept, Sizes};
use crate::kernel::{as_f16, as_f32, as_i8, as_i16};
use half::f16;
use std::ops::Range;
use std::sync::Arc;

/// Segments begin at multiples of so many bytes: a cache line.
pub(super) const ALIGNMENT: usize = 64;

/// Numbers of a segment, wherever they lie.
pub(super) enum View<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    I16(&'a [i16], &'a [f32]),
    I8(&'a [i8], &'a [f32]),
}

/// A segment's place in a file.
#[derive(Clone, Debug)]
pub(super) struct Mapped {
    file: Arc<memmap2::Mmap>,
    format: CacheFormat,
    numbers: Range<usize>,
    scales: Range<usize>,
}

/// Bytes of a segment in a file, and where among them the scales begin; `None` where they cannot be counted.
pub(super) fn stored(sizes: Sizes, tokens: usize, format: CacheFormat) -> Option<(usize, usize)> {
    let (numbers, scales) = sizes.lengths(tokens, format)?;
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

impl Mapped {
    /// The segment that begins at a byte of the file; `None` when it does not lie in it whole and aligned.
    pub(super) fn new(
        file: &Arc<memmap2::Mmap>,
        start: usize,
        (sizes, tokens, format): (Sizes, usize, CacheFormat),
    ) -> Option<Mapped> {
        let (length, scales) = stored(sizes, tokens, format)?;
        let end = start.checked_add(length).filter(|end| *end <= file.len())?;
        let numbers = sizes.lengths(tokens, format)?.0 * number_bytes(format);
        let mapped = Mapped {
            file: file.clone(),
            format,
            numbers: start..start + numbers,
            scales: start + scales..end,
        };
        mapped.try_view().is_some().then_some(mapped)
    }

    pub(super) fn format(&self) -> CacheFormat {
        self.format
    }

    fn try_view(&self) -> Option<View<'_>> {
        let numbers = &self.file[self.numbers.clone()];
        let scales = || as_f32(&self.file[self.scales.clone()]);
        Some(match self.format {
            CacheFormat::F32 => View::F32(as_f32(numbers)?),
            CacheFormat::F16 => View::F16(as_f16(numbers)?),
            CacheFormat::Int16 => View::I16(as_i16(numbers)?, scales()?),
            CacheFormat::Int8 => View::I8(as_i8(numbers)?, scales()?),
        })
    }

    /// The numbers where they lie.
    pub(super) fn view(&self) -> View<'_> {
        // Tried when it was made.
        self.try_view().unwrap_or(View::F32(&[]))
    }
}

/// The bytes of a segment in a file.
pub(super) fn bytes_of(kept: &Kept, out: &mut Vec<u8>) {
    out.clear();
    match kept.view() {
        View::F32(numbers) => put(numbers, out, f32::to_le_bytes),
        View::F16(numbers) => put(numbers, out, f16::to_le_bytes),
        View::I16(numbers, scales) => {
            put(numbers, out, i16::to_le_bytes);
            put_scales(scales, out);
        }
        View::I8(numbers, scales) => {
            put(numbers, out, i8::to_le_bytes);
            put_scales(scales, out);
        }
    }
}

fn put_scales(scales: &[f32], out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    put(scales, out, f32::to_le_bytes);
}

fn put<T: Copy, const N: usize>(numbers: &[T], out: &mut Vec<u8>, bytes: impl Fn(T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + N * numbers.len(), 0);
    for (slot, number) in out[start..].chunks_exact_mut(N).zip(numbers) {
        slot.copy_from_slice(&bytes(*number));
    }
}
