//! The tiles in plain Rust: the definition that the SIMD kernels are tested against.

use super::{TILE_COLUMNS, TileF32, TileI32};

pub(super) fn tile_f32(
    a: &[f32],
    stride: usize,
    depth: usize,
    count: usize,
    panel: &[f32],
    out: &mut TileF32,
) {
    for (row, sums) in out.iter_mut().enumerate().take(count) {
        *sums = [0.0; TILE_COLUMNS];
        let values = &a[row * stride..row * stride + depth];
        for (value, weights) in values.iter().zip(panel.chunks_exact(TILE_COLUMNS)) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }
}

pub(super) fn tile_i8(a: &[u8], stride: usize, depth: usize, count: usize, panel: &[i8], out: &mut TileI32) {
    for (row, sums) in out.iter_mut().enumerate().take(count) {
        *sums = [0; TILE_COLUMNS];
        let values = &a[row * stride..row * stride + depth];
        for (quad, weights) in values.chunks_exact(4).zip(panel.chunks_exact(4 * TILE_COLUMNS)) {
            for (sum, weight) in sums.iter_mut().zip(weights.chunks_exact(4)) {
                for i in 0..4 {
                    *sum += quad[i] as i32 * weight[i] as i32;
                }
            }
        }
    }
}
