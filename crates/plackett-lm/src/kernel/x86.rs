//! The tiles for x86-64.
//!
//! Safety, the same for every function here: `a` points to `count ≤ 12` rows of `depth` readable numbers, `stride`
//! apart; `panel` to `depth × 32` readable weights; the processor has the instruction set of the function's name. The
//! callers in the parent module check the lengths.

use super::{TileF32, TileI32};
use std::arch::x86_64::*;

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

#[target_feature(enable = "avx512f")]
pub(super) unsafe fn tile_f32_avx512(
    a: *const f32,
    stride: usize,
    depth: usize,
    count: usize,
    panel: *const f32,
    out: &mut TileF32,
) {
    unsafe { by_rows!(count, rows_f32_avx512, a, stride, depth, panel, out) }
}

#[target_feature(enable = "avx512f")]
unsafe fn rows_f32_avx512<const R: usize>(
    a: *const f32,
    stride: usize,
    depth: usize,
    panel: *const f32,
    out: &mut TileF32,
) {
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        let mut weights = panel;
        for k in 0..depth {
            let left = _mm512_loadu_ps(weights);
            let right = _mm512_loadu_ps(weights.add(16));
            weights = weights.add(32);
            for r in 0..R {
                let value = _mm512_set1_ps(*a.add(r * stride + k));
                sums[r][0] = _mm512_fmadd_ps(value, left, sums[r][0]);
                sums[r][1] = _mm512_fmadd_ps(value, right, sums[r][1]);
            }
        }
        for r in 0..R {
            _mm512_storeu_ps(out[r].as_mut_ptr(), sums[r][0]);
            _mm512_storeu_ps(out[r].as_mut_ptr().add(16), sums[r][1]);
        }
    }
}

/// Sixteen registers hold six rows of sixteen columns, so the tile is made in four parts.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn tile_f32_avx2(
    a: *const f32,
    stride: usize,
    depth: usize,
    count: usize,
    panel: *const f32,
    out: &mut TileF32,
) {
    unsafe {
        for half in 0..2 {
            let panel = panel.add(16 * half);
            let mut first = 0;
            while first < count {
                let rows = (count - first).min(6);
                let a = a.add(first * stride);
                by_rows!(rows, rows_f32_avx2, a, stride, depth, panel, &mut out[first..], 16 * half);
                first += rows;
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn rows_f32_avx2<const R: usize>(
    a: *const f32,
    stride: usize,
    depth: usize,
    panel: *const f32,
    out: &mut [[f32; 32]],
    column: usize,
) {
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); 2]; R];
        let mut weights = panel;
        for k in 0..depth {
            let left = _mm256_loadu_ps(weights);
            let right = _mm256_loadu_ps(weights.add(8));
            weights = weights.add(32);
            for r in 0..R {
                let value = _mm256_set1_ps(*a.add(r * stride + k));
                sums[r][0] = _mm256_fmadd_ps(value, left, sums[r][0]);
                sums[r][1] = _mm256_fmadd_ps(value, right, sums[r][1]);
            }
        }
        for r in 0..R {
            _mm256_storeu_ps(out[r][column..].as_mut_ptr(), sums[r][0]);
            _mm256_storeu_ps(out[r][column + 8..].as_mut_ptr(), sums[r][1]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn tile_i8_vnni(
    a: *const u8,
    stride: usize,
    depth: usize,
    count: usize,
    panel: *const i8,
    out: &mut TileI32,
) {
    unsafe { by_rows!(count, rows_i8_vnni, a, stride, depth, panel, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn rows_i8_vnni<const R: usize>(
    a: *const u8,
    stride: usize,
    depth: usize,
    panel: *const i8,
    out: &mut TileI32,
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
        for r in 0..R {
            _mm512_storeu_si512(out[r].as_mut_ptr().cast(), sums[r][0]);
            _mm512_storeu_si512(out[r].as_mut_ptr().add(16).cast(), sums[r][1]);
        }
    }
}

/// Eight columns at a time, rows in groups of three: products are made in 16 bits, so nothing saturates.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn tile_i8_avx2(
    a: *const u8,
    stride: usize,
    depth: usize,
    count: usize,
    panel: *const i8,
    out: &mut TileI32,
) {
    unsafe {
        for part in 0..4 {
            let panel = panel.add(32 * part);
            let mut first = 0;
            while first < count {
                let rows = (count - first).min(4);
                let a = a.add(first * stride);
                by_rows!(rows, rows_i8_avx2, a, stride, depth, panel, &mut out[first..], 8 * part);
                first += rows;
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn rows_i8_avx2<const R: usize>(
    a: *const u8,
    stride: usize,
    depth: usize,
    panel: *const i8,
    out: &mut [[i32; 32]],
    column: usize,
) {
    unsafe {
        // Each register holds two partial sums for each of four columns.
        let mut sums = [[_mm256_setzero_si256(); 2]; R];
        let mut weights = panel;
        for k in 0..depth / 4 {
            let left = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.cast()));
            let right = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.add(16).cast()));
            weights = weights.add(128);
            for r in 0..R {
                let quad = a.add(r * stride + 4 * k).cast::<i32>().read_unaligned();
                let wide = _mm_cvtepu8_epi16(_mm_cvtsi32_si128(quad));
                let values = _mm256_broadcastq_epi64(wide);
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
