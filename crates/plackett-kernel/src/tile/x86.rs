//! The tiles for x86-64.
//!
//! Safety, the same for every tile here: `a` points to `count` rows (12 or fewer, where nothing else is said) of `depth`
//! readable numbers, `stride` apart; `panel` to `depth` rows of 32 readable weights; `start` to 32 readable numbers for
//! every row; `out` to `count` rows of 32 writable numbers; the processor has the instruction set of the function's name.
//! The callers in the parent module check the lengths.

use crate::sizes::TILE_COLUMNS;
use crate::tile::epilogue::Columns;
use crate::tile::operands::{StridedPtr, TileOutput};
use std::arch::x86_64::*;
use std::ops::Range;

/// Calls a kernel with the number of rows as a constant, so that its accumulators are registers.
macro_rules! by_rows {
    ($count:expr, $kernel:ident, $($argument:expr),*) => {
        match $count {
            1 => $kernel::<1>($($argument),*), 2 => $kernel::<2>($($argument),*), 3 => $kernel::<3>($($argument),*),
            4 => $kernel::<4>($($argument),*), 5 => $kernel::<5>($($argument),*), 6 => $kernel::<6>($($argument),*),
            7 => $kernel::<7>($($argument),*), 8 => $kernel::<8>($($argument),*), 9 => $kernel::<9>($($argument),*),
            10 => $kernel::<10>($($argument),*), 11 => $kernel::<11>($($argument),*),
            12 => $kernel::<12>($($argument),*),
            _ => {}
        }
    };
}
pub(crate) use by_rows;

/// The sums of a tile of 32 columns as they begin.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn begin_avx512<const R: usize>(start: StridedPtr, out: TileOutput) -> [[__m512; 2]; R] {
    unsafe {
        let begin = |r: usize| start.at.add(r * start.stride);
        let sums = std::array::from_fn(|r| [_mm512_loadu_ps(begin(r)), _mm512_loadu_ps(begin(r).add(16))]);
        // The rows to be written come into the first-level cache meanwhile; else their stores would hold up what follows.
        for r in 0..R {
            let y = out.y.wrapping_add(r * out.stride);
            _mm_prefetch::<_MM_HINT_T0>(y.cast());
            _mm_prefetch::<_MM_HINT_T0>(y.wrapping_add(16).cast());
        }
        sums
    }
}

/// Writes the sums of a tile of 32 columns.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn end_avx512<const R: usize>(sums: [[__m512; 2]; R], out: TileOutput) {
    for (r, [near, far]) in sums.into_iter().enumerate() {
        unsafe {
            let y = out.y.add(r * out.stride);
            _mm512_storeu_ps(y, near);
            _mm512_storeu_ps(y.add(16), far);
        }
    }
}

/// The sums of a tile of sixteen columns as they begin.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn begin_avx2<const R: usize>(start: StridedPtr) -> [[__m256; 2]; R] {
    let begin = |r: usize| unsafe { start.at.add(r * start.stride) };
    std::array::from_fn(|r| unsafe { [_mm256_loadu_ps(begin(r)), _mm256_loadu_ps(begin(r).add(8))] })
}

/// Writes the sums of a tile of sixteen columns.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn end_avx2<const R: usize>(sums: [[__m256; 2]; R], out: TileOutput) {
    for (r, [near, far]) in sums.into_iter().enumerate() {
        unsafe {
            let y = out.y.add(r * out.stride);
            _mm256_storeu_ps(y, near);
            _mm256_storeu_ps(y.add(8), far);
        }
    }
}

#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn tile_f32_avx512(
    a: *const f32,
    stride: usize,
    depth: usize,
    count: usize,
    panel: StridedPtr,
    start: StridedPtr,
    out: TileOutput,
) {
    unsafe { by_rows!(count, rows_f32_avx512, a, stride, depth, panel, start, out) }
}

#[target_feature(enable = "avx512f")]
unsafe fn rows_f32_avx512<const R: usize>(
    a: *const f32,
    stride: usize,
    depth: usize,
    panel: StridedPtr,
    start: StridedPtr,
    out: TileOutput,
) {
    unsafe {
        let mut sums = begin_avx512::<R>(start, out);
        let mut weights = panel.at;
        for k in 0..depth {
            let left = _mm512_loadu_ps(weights);
            let right = _mm512_loadu_ps(weights.add(16));
            // The panel after this one, which the next tile reads: the processor's own prefetcher stops at the end of a
            // page and loses some 6 %. Behind the last panel the address is outside, where a prefetch does nothing.
            let next = weights.wrapping_add(depth * panel.stride);
            _mm_prefetch::<_MM_HINT_T1>(next.cast());
            _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(16).cast());
            weights = weights.wrapping_add(panel.stride);
            for r in 0..R {
                let value = _mm512_set1_ps(*a.add(r * stride + k));
                sums[r][0] = _mm512_fmadd_ps(value, left, sums[r][0]);
                sums[r][1] = _mm512_fmadd_ps(value, right, sums[r][1]);
            }
        }
        end_avx512(sums, out);
    }
}

/// Steps of a kernel of sixteen registers that fetch one cache line of what the kernel reads after this strip. A whole strip
/// is fetched during a few passes over this one; the processor's own prefetcher stops at the end of a page.
const AHEAD: usize = 8;

/// Rows in groups of six or, so that no group is small, a little fewer: the f32 kernel of sixteen registers does six rows at
/// once, and one or two in hardly less time than four. (int8 does better with full groups and a rest.)
pub(crate) fn groups(count: usize) -> impl Iterator<Item = Range<usize>> {
    let groups = count.div_ceil(6);
    (0..groups).map(move |group| count * group / groups..count * (group + 1) / groups)
}

/// Any number of rows. Sixteen registers hold six rows of sixteen columns, so the tile is made in parts; the sixteen
/// columns stay in the cache for all rows.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn tile_f32_avx2(
    a: *const f32,
    stride: usize,
    depth: usize,
    count: usize,
    halves: [StridedPtr; 2],
    start: StridedPtr,
    out: TileOutput,
) {
    unsafe {
        for (half, panel) in halves.into_iter().enumerate() {
            let start = start.add(16 * half);
            let mut next = panel.at.wrapping_add(depth * panel.stride);
            for rows in groups(count) {
                let first = rows.start;
                let a = a.add(first * stride);
                let start = start.add(first * start.stride);
                let out = TileOutput { y: out.y.add(first * out.stride + 16 * half), stride: out.stride };
                by_rows!(rows.len(), rows_f32_avx2, a, stride, depth, panel, start, out, next);
                next = next.wrapping_add(depth / AHEAD * 16);
            }
        }
    }
}

// A function of its own for each number of rows, with one loop: merged into their caller, or with a loop in a loop, one of the twelve
// sums went through memory in every step, which halves the speed where loads wait for stores (Zen 2).
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn rows_f32_avx2<const R: usize>(
    a: *const f32,
    stride: usize,
    depth: usize,
    panel: StridedPtr,
    start: StridedPtr,
    out: TileOutput,
    next: *const f32,
) {
    unsafe {
        let mut sums = begin_avx2::<R>(start);
        let (mut weights, mut next) = (panel.at, next);
        for k in 0..depth {
            if k % AHEAD == 0 {
                _mm_prefetch::<_MM_HINT_T1>(next.cast());
                next = next.wrapping_add(16);
            }
            let left = _mm256_loadu_ps(weights);
            let right = _mm256_loadu_ps(weights.add(8));
            weights = weights.wrapping_add(panel.stride);
            for r in 0..R {
                let value = _mm256_set1_ps(*a.add(r * stride + k));
                sums[r][0] = _mm256_fmadd_ps(value, left, sums[r][0]);
                sums[r][1] = _mm256_fmadd_ps(value, right, sums[r][1]);
            }
        }
        end_avx2(sums, out);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn tile_i8_vnni(
    a: *const u8,
    stride: usize,
    depth: usize,
    panel: *const i8,
    rows: &[(f32, i32)],
    columns: Columns,
    out: TileOutput,
) {
    unsafe { by_rows!(rows.len(), rows_i8_vnni, a, stride, depth, panel, rows, columns, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn rows_i8_vnni<const R: usize>(
    a: *const u8,
    stride: usize,
    depth: usize,
    panel: *const i8,
    rows: &[(f32, i32)],
    columns: Columns,
    out: TileOutput,
) {
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); 2]; R];
        let mut weights = panel;
        for k in 0..depth / 4 {
            let left = _mm512_loadu_si512(weights.cast());
            let right = _mm512_loadu_si512(weights.add(64).cast());
            weights = weights.add(128);
            for r in 0..R {
                let values = _mm512_set1_epi32(a.add(r * stride + 4 * k).cast::<i32>().read_unaligned());
                sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], values, left);
                sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], values, right);
            }
        }
        // The way back to numbers, while the products are in registers: see `epilogue::dequantize`.
        for half in 0..2 {
            let weights = _mm512_loadu_ps(columns.scales.as_ptr().add(16 * half));
            let totals = _mm512_loadu_si512(columns.sums.as_ptr().add(16 * half).cast());
            let bias = _mm512_loadu_ps(columns.bias.as_ptr().add(16 * half));
            for r in 0..R {
                let (scale, zero) = rows[r];
                let shift = _mm512_mullo_epi32(totals, _mm512_set1_epi32(zero));
                let product = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[r][half], shift));
                let product = _mm512_mul_ps(product, _mm512_set1_ps(scale));
                let y = out.y.add(r * out.stride + 16 * half);
                _mm512_storeu_ps(y, _mm512_fmadd_ps(product, weights, bias));
            }
        }
    }
}

/// Any number of rows of u8 widened to 16 bits, so that nothing saturates; six rows of eight columns at a time. The panel
/// consists of strips of `width` columns.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn tile_i8_avx2(
    a: *const i16,
    stride: usize,
    depth: usize,
    panel: *const i8,
    width: usize,
    out: &mut [[i32; TILE_COLUMNS]],
) {
    for column in (0..TILE_COLUMNS).step_by(8) {
        let strip = panel.wrapping_add(column / width * width * depth + 4 * (column % width));
        for (group, out) in out.chunks_mut(6).enumerate() {
            unsafe {
                let a = a.add(6 * group * stride);
                by_rows!(out.len(), rows_i8_avx2, a, stride, depth, strip, 4 * width, out, column);
            }
        }
    }
}

#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn rows_i8_avx2<const R: usize>(
    a: *const i16,
    stride: usize,
    depth: usize,
    strip: *const i8,
    step: usize,
    out: &mut [[i32; TILE_COLUMNS]],
    column: usize,
) {
    unsafe {
        // Each register holds two partial sums for each of four columns.
        let mut sums = [[_mm256_setzero_si256(); 2]; R];
        let mut weights = strip;
        for k in 0..depth / 4 {
            let left = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.cast()));
            let right = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.add(16).cast()));
            weights = weights.wrapping_add(step);
            for r in 0..R {
                let values = _mm256_set1_epi64x(a.add(r * stride + 4 * k).cast::<i64>().read_unaligned());
                sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(values, left));
                sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(values, right));
            }
        }
        for r in 0..R {
            let pairs = _mm256_hadd_epi32(sums[r][0], sums[r][1]);
            let in_order = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
            _mm256_storeu_si256(out[r][column..].as_mut_ptr().cast(), in_order);
        }
    }
}
