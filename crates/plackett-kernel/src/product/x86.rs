//! The tiles for x86-64.
//!
//! Safety: as of [`crate::product::tile::add_products`]; `left` points to `count` rows, twelve or fewer, of as many numbers
//! as the panel has rows.

use crate::product::panels::PanelRow;
use crate::product::tile::{Ahead, LeftPtr};
use crate::tile::operands::{StridedPtr, TileOutput};
use crate::tile::x86::{begin_avx2, begin_avx512, by_rows, end_avx2, end_avx512, groups};
use std::arch::x86_64::*;

#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn tile_avx512(
    left: impl LeftPtr,
    count: usize,
    panel: &[PanelRow],
    ahead: Ahead,
    start: StridedPtr,
    out: TileOutput,
) {
    unsafe { by_rows!(count, rows_avx512, left, panel, ahead, start, out) }
}

#[target_feature(enable = "avx512f")]
unsafe fn rows_avx512<const R: usize>(
    left: impl LeftPtr,
    panel: &[PanelRow],
    ahead: Ahead,
    start: StridedPtr,
    out: TileOutput,
) {
    unsafe {
        let mut sums = begin_avx512::<R>(start, out);
        for (step, weights) in panel.iter().enumerate() {
            let weights: *const f32 = weights.0.as_ptr();
            let near = _mm512_load_ps(weights);
            let far = _mm512_load_ps(weights.add(16));
            _mm_prefetch::<_MM_HINT_T1>(ahead.at.wrapping_add(step * ahead.step).cast());
            for r in 0..R {
                let value = _mm512_set1_ps(left.number(r, step));
                sums[r][0] = _mm512_fmadd_ps(value, near, sums[r][0]);
                sums[r][1] = _mm512_fmadd_ps(value, far, sums[r][1]);
            }
        }
        end_avx512(sums, out);
    }
}

/// Parts in which a tile of sixteen registers is made, six rows of sixteen columns each; so many steps of one fetch a line.
const PARTS: usize = 4;

/// The tile in parts, each of which fetches its share of the lines ahead.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn tile_avx2(
    left: impl LeftPtr,
    count: usize,
    panel: &[PanelRow],
    ahead: Ahead,
    start: StridedPtr,
    out: TileOutput,
) {
    for (group, rows) in groups(count).enumerate() {
        for half in 0..2 {
            unsafe {
                let (first, column) = (rows.start, 16 * half);
                let left = left.after(first);
                let start = StridedPtr { at: start.at.add(first * start.stride + column), ..start };
                let out = TileOutput { y: out.y.add(first * out.stride + column), ..out };
                let line = ahead.at.wrapping_add((2 * group + half) * ahead.step);
                let ahead = Ahead { at: line, step: PARTS * ahead.step };
                by_rows!(rows.len(), rows_avx2, left, panel, ahead, column, start, out);
            }
        }
    }
}

// A function of its own with one loop, as `rows_f32_avx2`: else sums go through memory.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn rows_avx2<const R: usize>(
    left: impl LeftPtr,
    panel: &[PanelRow],
    ahead: Ahead,
    column: usize,
    start: StridedPtr,
    out: TileOutput,
) {
    unsafe {
        let mut sums = begin_avx2::<R>(start);
        let mut line = ahead.at;
        for (step, weights) in panel.iter().enumerate() {
            if step % PARTS == 0 {
                _mm_prefetch::<_MM_HINT_T1>(line.cast());
                line = line.wrapping_add(ahead.step);
            }
            let weights = weights.0.as_ptr().add(column);
            let near = _mm256_load_ps(weights);
            let far = _mm256_load_ps(weights.add(8));
            for r in 0..R {
                let value = _mm256_set1_ps(left.number(r, step));
                sums[r][0] = _mm256_fmadd_ps(value, near, sums[r][0]);
                sums[r][1] = _mm256_fmadd_ps(value, far, sums[r][1]);
            }
        }
        end_avx2(sums, out);
    }
}
