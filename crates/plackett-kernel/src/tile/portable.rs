//! The tiles in plain Rust: the definition that the SIMD kernels are tested against.

use crate::sizes::TILE_COLUMNS;
use crate::tile::operands::Panel;

pub(crate) fn tile_f32(
    a: &[f32],
    stride: usize,
    depth: usize,
    count: usize,
    panel: Panel<f32>,
    start: &[f32; TILE_COLUMNS],
    y: &mut [f32],
    y_stride: usize,
) {
    for row in 0..count {
        let mut sums = *start;
        let values = &a[row * stride..row * stride + depth];
        for (sums, strip) in sums.chunks_exact_mut(panel.width).zip(panel.strips(depth)) {
            for (value, weights) in values.iter().zip(strip.chunks_exact(panel.width)) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += value * weight;
                }
            }
        }
        y[row * y_stride..row * y_stride + TILE_COLUMNS].copy_from_slice(&sums);
    }
}

pub(crate) fn add_tile_f32(
    a: &[f32],
    stride: usize,
    depth: usize,
    count: usize,
    (values, step): (&[f32], usize),
    (y, y_stride): (&mut [f32], usize),
) {
    for row in 0..count {
        let sums = &mut y[row * y_stride..][..TILE_COLUMNS];
        for (value, weights) in a[row * stride..][..depth].iter().zip(values.chunks(step)) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }
}

pub(crate) fn tile_i8(
    a: &[u8],
    stride: usize,
    depth: usize,
    panel: Panel<i8>,
    out: &mut [[i32; TILE_COLUMNS]],
) {
    for (row, sums) in out.iter_mut().enumerate() {
        *sums = [0; TILE_COLUMNS];
        let values = &a[row * stride..row * stride + depth];
        for (sums, strip) in sums.chunks_exact_mut(panel.width).zip(panel.strips(depth)) {
            for (quad, weights) in values.chunks_exact(4).zip(strip.chunks_exact(4 * panel.width)) {
                for (sum, weight) in sums.iter_mut().zip(weights.chunks_exact(4)) {
                    for i in 0..4 {
                        *sum += quad[i] as i32 * weight[i] as i32;
                    }
                }
            }
        }
    }
}
