//! The tiles for x86-64.
//!
//! Safety, the same for every tile here: `a` points to `count` rows (12 or fewer, where nothing else is said) of `depth`
//! readable numbers, `stride` apart; `panel` to `depth` rows of 32 readable weights; `start` to 32 readable numbers for
//! every row; `out` to `count` rows of 32 writable numbers; the processor has the instruction set of the function's name.
//! The callers in the parent module check the lengths.

use super::epilogue::Columns;
use super::{Far, Output, TILE_COLUMNS};
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
pub(super) use by_rows;

#[target_feature(enable = "avx512f")]
pub(super) unsafe fn tile_f32_avx512(
    a: *const f32,
    stride: usize,
    depth: usize,
    count: usize,
    panel: Far,
    start: Far,
    out: Output,
) {
    unsafe { by_rows!(count, rows_f32_avx512, a, stride, depth, panel, start, out) }
}

#[target_feature(enable = "avx512f")]
unsafe fn rows_f32_avx512<const R: usize>(
    a: *const f32,
    stride: usize,
    depth: usize,
    panel: Far,
    start: Far,
    out: Output,
) {
    unsafe {
        let begin = |r: usize| start.at.add(r * start.stride);
        let mut sums: [_; R] =
            std::array::from_fn(|r| [_mm512_loadu_ps(begin(r)), _mm512_loadu_ps(begin(r).add(16))]);
        // The rows to be written come into the first-level cache meanwhile; else their stores would hold up what follows.
        for r in 0..R {
            let y = out.y.wrapping_add(r * out.stride);
            _mm_prefetch::<_MM_HINT_T0>(y.cast());
            _mm_prefetch::<_MM_HINT_T0>(y.wrapping_add(16).cast());
        }
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
        for r in 0..R {
            let y = out.y.add(r * out.stride);
            _mm512_storeu_ps(y, sums[r][0]);
            _mm512_storeu_ps(y.add(16), sums[r][1]);
        }
    }
}

/// Steps of a kernel of sixteen registers that fetch one cache line of what the kernel reads after this strip. A whole strip
/// is fetched during a few passes over this one; the processor's own prefetcher stops at the end of a page.
const AHEAD: usize = 8;

/// Rows in groups of six or, so that no group is small, a little fewer: the f32 kernel of sixteen registers does six rows at
/// once, and one or two in hardly less time than four. (int8 does better with full groups and a rest.)
pub(super) fn groups(count: usize) -> impl Iterator<Item = Range<usize>> {
    let groups = count.div_ceil(6);
    (0..groups).map(move |group| count * group / groups..count * (group + 1) / groups)
}

/// Any number of rows. Sixteen registers hold six rows of sixteen columns, so the tile is made in parts; the sixteen
/// columns stay in the cache for all rows.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn tile_f32_avx2(
    a: *const f32,
    stride: usize,
    depth: usize,
    count: usize,
    halves: [Far; 2],
    start: Far,
    out: Output,
) {
    unsafe {
        for (half, panel) in halves.into_iter().enumerate() {
            let start = start.add(16 * half);
            let mut next = panel.at.wrapping_add(depth * panel.stride);
            for rows in groups(count) {
                let first = rows.start;
                let a = a.add(first * stride);
                let start = start.add(first * start.stride);
                let out = Output { y: out.y.add(first * out.stride + 16 * half), stride: out.stride };
                by_rows!(rows.len(), rows_f32_avx2, a, stride, depth, panel, start, out, next);
                next = next.wrapping_add(depth / AHEAD * 16);
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn rows_f32_avx2<const R: usize>(
    a: *const f32,
    stride: usize,
    depth: usize,
    panel: Far,
    start: Far,
    out: Output,
    next: *const f32,
) {
    unsafe {
        let begin = |r: usize| start.at.add(r * start.stride);
        let mut sums: [_; R] =
            std::array::from_fn(|r| [_mm256_loadu_ps(begin(r)), _mm256_loadu_ps(begin(r).add(8))]);
        let (mut a, mut weights, mut next) = (a, panel.at, next);
        for steps in (0..depth).step_by(AHEAD).map(|k| AHEAD.min(depth - k)) {
            _mm_prefetch::<_MM_HINT_T1>(next.cast());
            next = next.wrapping_add(16);
            for k in 0..steps {
                let left = _mm256_loadu_ps(weights);
                let right = _mm256_loadu_ps(weights.add(8));
                weights = weights.wrapping_add(panel.stride);
                for r in 0..R {
                    let value = _mm256_set1_ps(*a.add(r * stride + k));
                    sums[r][0] = _mm256_fmadd_ps(value, left, sums[r][0]);
                    sums[r][1] = _mm256_fmadd_ps(value, right, sums[r][1]);
                }
            }
            a = a.wrapping_add(steps);
        }
        for r in 0..R {
            let y = out.y.add(r * out.stride);
            _mm256_storeu_ps(y, sums[r][0]);
            _mm256_storeu_ps(y.add(8), sums[r][1]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn tile_i8_vnni(
    a: *const u8,
    stride: usize,
    depth: usize,
    panel: *const i8,
    rows: &[(f32, i32)],
    columns: Columns,
    out: Output,
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
    out: Output,
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
pub(super) unsafe fn tile_i8_avx2(
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

/// `HADAMARD_SIGNS[s]`: +1 in the lanes whose number has no bit `s`, else −1.
const HADAMARD_SIGNS: [[f32; 16]; 4] = {
    let mut signs = [[1.0; 16]; 4];
    let mut i = 0;
    while i < 64 {
        let (stage, lane) = (i / 16, i % 16);
        if lane >> stage & 1 == 1 {
            signs[stage][lane] = -1.0;
        }
        i += 1;
    }
    signs
};

/// The unnormalised Walsh–Hadamard transform of sixteen numbers: four stages of a shuffle and a multiply-add with ±1.
///
/// # Safety
/// The processor has AVX-512 F.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) unsafe fn hadamard_16_avx512(numbers: &mut [f32; 16]) {
    unsafe {
        let sign = |stage: usize| _mm512_loadu_ps(HADAMARD_SIGNS[stage].as_ptr());
        let x = _mm512_loadu_ps(numbers.as_ptr());
        let x = _mm512_fmadd_ps(x, sign(0), _mm512_permute_ps::<0b10_11_00_01>(x));
        let x = _mm512_fmadd_ps(x, sign(1), _mm512_permute_ps::<0b01_00_11_10>(x));
        let x = _mm512_fmadd_ps(x, sign(2), _mm512_shuffle_f32x4::<0b10_11_00_01>(x, x));
        let x = _mm512_fmadd_ps(x, sign(3), _mm512_shuffle_f32x4::<0b01_00_11_10>(x, x));
        _mm512_storeu_ps(numbers.as_mut_ptr(), x);
    }
}

/// The same on two registers of eight.
///
/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub(super) unsafe fn hadamard_16_avx2(numbers: &mut [f32; 16]) {
    unsafe {
        let eight = |x: __m256| {
            let sign = |stage: usize| _mm256_loadu_ps(HADAMARD_SIGNS[stage].as_ptr());
            let x = _mm256_fmadd_ps(x, sign(0), _mm256_permute_ps::<0b10_11_00_01>(x));
            let x = _mm256_fmadd_ps(x, sign(1), _mm256_permute_ps::<0b01_00_11_10>(x));
            _mm256_fmadd_ps(x, sign(2), _mm256_permute2f128_ps::<1>(x, x))
        };
        let low = eight(_mm256_loadu_ps(numbers.as_ptr()));
        let high = eight(_mm256_loadu_ps(numbers.as_ptr().add(8)));
        _mm256_storeu_ps(numbers.as_mut_ptr(), _mm256_add_ps(low, high));
        _mm256_storeu_ps(numbers.as_mut_ptr().add(8), _mm256_sub_ps(low, high));
    }
}
