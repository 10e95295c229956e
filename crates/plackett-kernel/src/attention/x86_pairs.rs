//! Products of rows of int16 with pairs of int16, for x86-64.
//!
//! Safety, the same for every tile here: `a` points to `count` rows (12 or fewer for AVX-512) of `2 · pairs` readable
//! numbers, `stride` apart; `panel` to `pairs` rows of 32 readable pairs, `step` numbers apart; `scales` to 32 readable
//! numbers; `y` to `count` rows of 32 numbers that can be read and written, `y_stride` apart; the processor has the
//! instruction set of the function's name. The callers in `pairs` check the lengths.

use crate::tile::x86::{by_rows, groups};
use std::arch::x86_64::*;

/// Rows of 16-bit numbers, and the panel of pairs that they meet.
#[derive(Clone, Copy)]
pub(crate) struct Factors {
    pub a: *const i16,
    pub stride: usize,
    pub pairs: usize,
    pub panel: *const i16,
    pub step: usize,
}

impl Factors {
    /// From another row and column.
    #[inline(always)]
    fn at(self, row: usize, column: usize) -> Factors {
        Factors {
            a: self.a.wrapping_add(row * self.stride),
            panel: self.panel.wrapping_add(2 * column),
            ..self
        }
    }
}

/// Products times the scales of their columns.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn score_avx2(
    factors: Factors,
    count: usize,
    scales: *const f32,
    y: *mut f32,
    y_stride: usize,
) {
    for column in [0, 16] {
        for rows in groups(count) {
            unsafe {
                let y = y.add(rows.start * y_stride + column);
                let factors = factors.at(rows.start, column);
                by_rows!(rows.len(), score_rows_avx2, factors, scales.add(column), y, y_stride);
            }
        }
    }
}

// Of its own, so that its sums stay in registers.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn score_rows_avx2<const R: usize>(
    factors: Factors,
    scales: *const f32,
    y: *mut f32,
    y_stride: usize,
) {
    unsafe {
        let sums = sum_avx2::<R>(factors, [[_mm256_setzero_si256(); 2]; R]);
        for half in 0..2 {
            let scales = _mm256_loadu_ps(scales.add(8 * half));
            for r in 0..R {
                let score = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[r][half]), scales);
                _mm256_storeu_ps(y.add(r * y_stride + 8 * half), score);
            }
        }
    }
}

/// Adds the products to what is there.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn add_avx2(factors: Factors, count: usize, y: *mut i32, y_stride: usize) {
    for column in [0, 16] {
        for rows in groups(count) {
            unsafe {
                let y = y.add(rows.start * y_stride + column);
                by_rows!(rows.len(), add_rows_avx2, factors.at(rows.start, column), y, y_stride);
            }
        }
    }
}

// Of its own, so that its sums stay in registers.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn add_rows_avx2<const R: usize>(factors: Factors, y: *mut i32, y_stride: usize) {
    unsafe {
        let place = |r: usize, half: usize| y.add(r * y_stride + 8 * half).cast::<__m256i>();
        let start = std::array::from_fn(|r| [0, 1].map(|half| _mm256_loadu_si256(place(r, half))));
        let sums = sum_avx2::<R>(factors, start);
        for r in 0..R {
            _mm256_storeu_si256(place(r, 0), sums[r][0]);
            _mm256_storeu_si256(place(r, 1), sums[r][1]);
        }
    }
}

/// Sixteen columns.
#[inline(always)]
unsafe fn sum_avx2<const R: usize>(factors: Factors, start: [[__m256i; 2]; R]) -> [[__m256i; 2]; R] {
    unsafe {
        let Factors { a, stride, pairs, mut panel, step } = factors;
        let mut sums = start;
        for k in 0..pairs {
            let left = _mm256_loadu_si256(panel.cast());
            let right = _mm256_loadu_si256(panel.add(16).cast());
            panel = panel.wrapping_add(step);
            for r in 0..R {
                let pair = _mm256_set1_epi32(a.add(r * stride + 2 * k).cast::<i32>().read_unaligned());
                sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(pair, left));
                sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(pair, right));
            }
        }
        sums
    }
}

/// As [`score_avx2`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn score_vnni(
    factors: Factors,
    count: usize,
    scales: *const f32,
    y: *mut f32,
    y_stride: usize,
) {
    unsafe { by_rows!(count, score_rows_vnni, factors, scales, y, y_stride) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn score_rows_vnni<const R: usize>(
    factors: Factors,
    scales: *const f32,
    y: *mut f32,
    y_stride: usize,
) {
    unsafe {
        let sums = sum_vnni::<R>(factors, [[_mm512_setzero_si512(); 2]; R]);
        for half in 0..2 {
            let scales = _mm512_loadu_ps(scales.add(16 * half));
            for r in 0..R {
                let score = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][half]), scales);
                _mm512_storeu_ps(y.add(r * y_stride + 16 * half), score);
            }
        }
    }
}

/// As [`add_avx2`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn add_vnni(factors: Factors, count: usize, y: *mut i32, y_stride: usize) {
    unsafe { by_rows!(count, add_rows_vnni, factors, y, y_stride) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn add_rows_vnni<const R: usize>(factors: Factors, y: *mut i32, y_stride: usize) {
    unsafe {
        let place = |r: usize, half: usize| y.add(r * y_stride + 16 * half).cast::<__m512i>();
        let start = std::array::from_fn(|r| [0, 1].map(|half| _mm512_loadu_si512(place(r, half))));
        let sums = sum_vnni::<R>(factors, start);
        for r in 0..R {
            _mm512_storeu_si512(place(r, 0), sums[r][0]);
            _mm512_storeu_si512(place(r, 1), sums[r][1]);
        }
    }
}

/// Thirty-two columns.
#[inline(always)]
unsafe fn sum_vnni<const R: usize>(factors: Factors, start: [[__m512i; 2]; R]) -> [[__m512i; 2]; R] {
    unsafe {
        let Factors { a, stride, pairs, mut panel, step } = factors;
        let mut sums = start;
        for k in 0..pairs {
            let left = _mm512_loadu_si512(panel.cast());
            let right = _mm512_loadu_si512(panel.add(32).cast());
            panel = panel.wrapping_add(step);
            for r in 0..R {
                let pair = _mm512_set1_epi32(a.add(r * stride + 2 * k).cast::<i32>().read_unaligned());
                sums[r][0] = _mm512_dpwssd_epi32(sums[r][0], pair, left);
                sums[r][1] = _mm512_dpwssd_epi32(sums[r][1], pair, right);
            }
        }
        sums
    }
}
