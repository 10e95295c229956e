//! A segment as the bytes that a file holds.

use crate::decoder::kv::mapped::{ALIGNMENT, SegmentView};
use crate::decoder::kv::segment::KvSegment;
use half::f16;

/// The bytes of a segment in a file.
pub(crate) fn bytes_of(segment: &KvSegment, out: &mut Vec<u8>) {
    out.clear();
    match segment.view() {
        SegmentView::F32(numbers) => write_numbers(numbers, out, f32::to_le_bytes),
        SegmentView::F16(numbers) => write_numbers(numbers, out, f16::to_le_bytes),
        SegmentView::I16(numbers, scales) => {
            write_numbers(numbers, out, i16::to_le_bytes);
            write_scales(scales, out);
        }
        SegmentView::I8(numbers, scales) => {
            write_numbers(numbers, out, i8::to_le_bytes);
            write_scales(scales, out);
        }
    }
}

fn write_scales(scales: &[f32], out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    write_numbers(scales, out, f32::to_le_bytes);
}

fn write_numbers<T: Copy, const N: usize>(numbers: &[T], out: &mut Vec<u8>, bytes: impl Fn(T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + N * numbers.len(), 0);
    for (slot, number) in out[start..].chunks_exact_mut(N).zip(numbers) {
        slot.copy_from_slice(&bytes(*number));
    }
}
