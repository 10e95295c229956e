//! What happens to a finished tile of products before the next one is made: bias, or the way back from integers, and
//! the place in the output. The tile is in the first-level cache all the time.

use crate::isa::Isa;
use crate::sizes::TILE_COLUMNS;
use crate::vector::math::for_each_isa;

/// What brings one panel's integer products back to numbers, per column.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    /// Scale of each output's weights.
    pub scales: &'a [f32; TILE_COLUMNS],
    /// Sum of each output's rounded weights: what a row's zero point adds, per step.
    pub sums: &'a [i32; TILE_COLUMNS],
    /// Bias of each output.
    pub bias: &'a [f32; TILE_COLUMNS],
}

impl<'a> Columns<'a> {
    /// Those of panel `index`.
    pub(crate) fn of(
        scales: &'a [f32],
        sums: &'a [i32],
        bias: &'a [f32; TILE_COLUMNS],
        index: usize,
    ) -> Columns<'a> {
        Columns { scales: &scales.as_chunks().0[index], sums: &sums.as_chunks().0[index], bias }
    }
}

#[inline(always)]
fn dequantize_body<const FMA: bool>(
    products: &[[i32; TILE_COLUMNS]],
    rows: &[(f32, i32)],
    columns: Columns,
    y: &mut [f32],
    stride: usize,
) {
    for ((products, (scale, zero)), out) in products.iter().zip(rows).zip(y.chunks_mut(stride)) {
        let Some(out) = out.first_chunk_mut::<TILE_COLUMNS>() else { continue };
        for j in 0..TILE_COLUMNS {
            let product = (products[j] - zero * columns.sums[j]) as f32 * scale;
            let weight = columns.scales[j];
            out[j] = if FMA {
                product.mul_add(weight, columns.bias[j])
            } else {
                product * weight + columns.bias[j]
            };
        }
    }
}
for_each_isa!(
    /// Numbers from the integer products of some rows, each with its scale and zero point, to rows `stride` apart.
    pub(crate) fn dequantize = dequantize_body(
        products: &[[i32; TILE_COLUMNS]], rows: &[(f32, i32)], columns: Columns, y: &mut [f32], stride: usize
    )
);

#[inline(always)]
fn store_body<const FMA: bool>(tile: &[[f32; TILE_COLUMNS]], y: &mut [f32], stride: usize, width: usize) {
    for (values, out) in tile.iter().zip(y.chunks_mut(stride)) {
        // A constant length becomes two or four registers; a variable one a call.
        match out.first_chunk_mut() {
            Some(out) if width == TILE_COLUMNS => *out = *values,
            _ => out[..width].copy_from_slice(&values[..width]),
        }
    }
}
for_each_isa!(
    /// Writes the first `width` columns of a tile to rows that lie `stride` apart.
    pub(crate) fn store = store_body(tile: &[[f32; TILE_COLUMNS]], y: &mut [f32], stride: usize, width: usize)
);
