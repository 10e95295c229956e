//! Rounding to integers of 16 bits: a scale for each query, key or value of a head.

use crate::isa::Isa;
use crate::sizes::TILE_COLUMNS;
use crate::vector::math::for_each_isa;

/// Adding it rounds to the nearest integer and leaves that in the low bits.
const ROUND: f32 = 12_582_912.0;
/// The smallest scale: its inverse, times what the scales are multiplied with, is finite.
pub(crate) const SMALLEST_SCALE: f32 = 1e-30;
/// The largest magnitude of a number of a value.
pub const MOST_OF_VALUE: f32 = 4095.0;

const LANES: usize = 16;

/// The largest magnitude of a number of a query or key: the sum of `size` products fits 32 bits.
pub fn most_of_key(size: usize) -> f32 {
    (f64::from(i32::MAX) / size.max(1) as f64).sqrt().floor().min(f64::from(i16::MAX)) as f32
}

#[inline(always)]
fn larger(x: f32, y: f32) -> f32 {
    if x > y { x } else { y }
}

#[inline(always)]
fn scale_of_row_body<const FMA: bool>(row: &[f32], most: f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = larger(chunk[i].abs(), lanes[i]);
        }
    }
    let largest = lanes.iter().copied().chain(rest.iter().map(|x| x.abs())).fold(0.0, f32::max);
    (largest / most).max(SMALLEST_SCALE)
}
for_each_isa!(
    /// The scale with which the largest magnitude of a row becomes `most`.
    pub(crate) fn scale_of_row = scale_of_row_body(row: &[f32], most: f32) -> f32
);

#[inline(always)]
fn round_row_body<const FMA: bool>(row: &[f32], most: f32, out: &mut [i16]) -> f32 {
    let scale = scale_of_row_body::<FMA>(row, most);
    let inverse = 1.0 / scale;
    for (q, x) in out.iter_mut().zip(row) {
        *q = (x * inverse + ROUND).to_bits() as i16;
    }
    scale
}
for_each_isa!(
    /// Rounds a row so that its largest magnitude becomes `most`, and gives the scale: x ≈ scale · q.
    pub fn round_row = round_row_body(row: &[f32], most: f32, out: &mut [i16]) -> f32
);

#[inline(always)]
fn round_columns_body<const FMA: bool>(
    panel: &[f32],
    most: f32,
    out: &mut [i16],
    scales: &mut [f32; TILE_COLUMNS],
) {
    let rows = panel.as_chunks::<TILE_COLUMNS>().0;
    let mut inverses = [0.0f32; TILE_COLUMNS];
    for row in rows {
        for i in 0..TILE_COLUMNS {
            inverses[i] = larger(row[i].abs(), inverses[i]);
        }
    }
    for i in 0..TILE_COLUMNS {
        scales[i] = larger(inverses[i] / most, SMALLEST_SCALE);
        inverses[i] = 1.0 / scales[i];
    }
    for (row, out) in rows.iter().zip(out.as_chunks_mut::<TILE_COLUMNS>().0) {
        for i in 0..TILE_COLUMNS {
            out[i] = (row[i] * inverses[i] + ROUND).to_bits() as i16;
        }
    }
}
for_each_isa!(
    /// The same of the 32 columns of a panel, with a scale each.
    pub(crate) fn round_columns = round_columns_body(
        panel: &[f32], most: f32, out: &mut [i16], scales: &mut [f32; TILE_COLUMNS]
    )
);

#[inline(always)]
fn round_weights_body<const FMA: bool>(weights: &[f32], scales: &[f32], factor: f32, out: &mut [i16]) {
    for ((q, weight), scale) in out.iter_mut().zip(weights).zip(scales) {
        *q = (weight * scale * factor + ROUND).to_bits() as i16;
    }
}
for_each_isa!(
    /// Weights times the scales of their values and a factor, rounded.
    pub(crate) fn round_weights = round_weights_body(
        weights: &[f32], scales: &[f32], factor: f32, out: &mut [i16]
    )
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rounded_row_is_off_by_at_most_half_a_step_and_as_a_column_the_same() {
        let row: Vec<f32> = (0..40).map(|i| ((i * 37) % 53) as f32 / 7.0 - 2.0).collect();
        for isa in [Isa::detect(), Isa::Portable] {
            for most in [most_of_key(64), MOST_OF_VALUE, most_of_key(1)] {
                let mut q = vec![0; 40];
                let scale = round_row(isa, &row, most, &mut q);
                assert_eq!(q.iter().map(|q| i32::from(*q).abs()).max(), Some(most as i32));
                for (x, q) in row.iter().zip(&q) {
                    assert!((x - scale * f32::from(*q)).abs() <= 0.501 * scale, "{isa:?} {most}: {x}");
                }
                let panel: Vec<f32> =
                    row.iter().flat_map(|x| (0..TILE_COLUMNS).map(move |c| x * (c as f32 + 1.0))).collect();
                let (mut columns, mut scales) = (vec![0; panel.len()], [0.0; TILE_COLUMNS]);
                round_columns(isa, &panel, most, &mut columns, &mut scales);
                let first: Vec<i16> = columns.iter().step_by(TILE_COLUMNS).copied().collect();
                assert!(first == q && scales[0] == scale && (scales[3] / scale - 4.0).abs() < 1e-5);
            }
            let mut zeros = [3; 5];
            assert_eq!(round_row(isa, &[0.0; 5], MOST_OF_VALUE, &mut zeros), SMALLEST_SCALE);
            assert_eq!(zeros, [0; 5]);
        }
    }
}
