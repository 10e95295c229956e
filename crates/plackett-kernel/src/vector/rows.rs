//! Row-wise mathematics of decoders: RMS normalisation, rotary positions, gated activations.

use crate::isa::Isa;
use crate::vector::math::{exponentials, for_each_isa, multiply_add};

const LANES: usize = 16;

#[inline(always)]
fn rms_norm_body<const FMA: bool>(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = multiply_add::<FMA>(chunk[i], chunk[i], lanes[i]);
        }
    }
    let mut sum = 0.0;
    for x in rest {
        sum += x * x;
    }
    for lane in lanes {
        sum += lane;
    }
    let inverse = 1.0 / (sum / x.len() as f32 + epsilon).sqrt();
    for ((y, x), w) in out.iter_mut().zip(x).zip(weight) {
        *y = x * inverse * w;
    }
}
for_each_isa!(
    /// `out ← weight · x / √(mean(x²) + ε)` for one row (Zhang and Sennrich 2019).
    pub fn rms_norm = rms_norm_body(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32])
);

#[inline(always)]
fn rotate_halves_body<const FMA: bool>(heads: &mut [f32], size: usize, cosines: &[f32], sines: &[f32]) {
    let half = cosines.len();
    for head in heads.chunks_exact_mut(size) {
        let (low, rest) = head.split_at_mut(half);
        let pairs = low.iter_mut().zip(rest.iter_mut());
        for ((x, y), (c, s)) in pairs.zip(cosines.iter().zip(sines)) {
            let (a, b) = (*x, *y);
            *x = a * c - b * s;
            *y = b * c + a * s;
        }
    }
}
for_each_isa!(
    /// Turns dimension i with dimension i + n of each head by angle i of n (Su et al. 2021); later dimensions stay.
    pub fn rotate_halves = rotate_halves_body(heads: &mut [f32], size: usize, cosines: &[f32], sines: &[f32])
);

#[inline(always)]
fn multiply_body<const FMA: bool>(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x *= y;
    }
}
for_each_isa!(
    /// `x ← x · y`, number by number.
    pub fn multiply = multiply_body(x: &mut [f32], y: &[f32])
);

#[inline(always)]
fn add_body<const FMA: bool>(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
for_each_isa!(
    /// `x ← x + y`, number by number.
    pub fn add = add_body(x: &mut [f32], y: &[f32])
);

#[inline(always)]
fn axpy_body<const FMA: bool>(alpha: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = multiply_add::<FMA>(alpha, *x, *y);
    }
}
for_each_isa!(
    /// `y ← α·x + y`, number by number.
    pub fn axpy = axpy_body(alpha: f32, x: &[f32], y: &mut [f32])
);

#[inline(always)]
fn widen_body<const FMA: bool>(values: &[impl Into<f32> + Copy], scale: f32, out: &mut [f32]) {
    for (x, q) in out.iter_mut().zip(values) {
        *x = (*q).into() * scale;
    }
}
for_each_isa!(
    /// int8 to numbers, with one scale.
    pub(crate) fn widen = widen_body(values: &[i8], scale: f32, out: &mut [f32])
);
for_each_isa!(
    /// The same of int16.
    pub(crate) fn widen_i16 = widen_body(values: &[i16], scale: f32, out: &mut [f32])
);

#[inline(always)]
fn widen_columns_body<const FMA: bool>(values: &[impl Into<f32> + Copy], scales: &[f32], out: &mut [f32]) {
    let width = scales.len();
    for (out, row) in out.chunks_exact_mut(width).zip(values.chunks_exact(width)) {
        for ((x, q), scale) in out.iter_mut().zip(row).zip(scales) {
            *x = (*q).into() * scale;
        }
    }
}
for_each_isa!(
    /// int8 to numbers, with one scale for each column.
    pub(crate) fn widen_columns = widen_columns_body(values: &[i8], scales: &[f32], out: &mut [f32])
);
for_each_isa!(
    /// The same of int16.
    pub(crate) fn widen_columns_i16 = widen_columns_body(values: &[i16], scales: &[f32], out: &mut [f32])
);

/// `x ← exp(x) / Σ exp(x)` along a row. What is −∞ becomes 0, also in a row that has nothing else.
pub fn softmax_row(isa: Isa, row: &mut [f32]) {
    // The least number instead of −∞, from which no distance would be a number.
    let (_, sum) = exponentials(isa, row, 1.0, f32::MIN);
    if sum != 0.0 {
        let inverse = 1.0 / sum;
        row.iter_mut().for_each(|x| *x *= inverse);
    }
}

/// ln Σ exp(x): exponentials in f32, their sum in f64.
pub fn log_sum_exp(isa: Isa, values: &[f32]) -> f64 {
    const CHUNK: usize = 1024;
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !largest.is_finite() {
        return f64::from(largest);
    }
    let mut copy = [0.0; CHUNK];
    let mut total = 0.0;
    for chunk in values.chunks(CHUNK) {
        let copy = &mut copy[..chunk.len()];
        copy.copy_from_slice(chunk);
        total += f64::from(exponentials(isa, copy, 1.0, largest).1);
    }
    f64::from(largest) + total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::math::dot;

    #[test]
    fn rms_norm_by_hand() {
        let x = [3.0, -4.0];
        for isa in [Isa::detect(), Isa::Portable] {
            let mut y = [0.0; 2];
            rms_norm(isa, &x, &[1.0, 2.0], 0.0, &mut y);
            // The mean square is 12.5.
            assert!((y[0] - 3.0 / 12.5f32.sqrt()).abs() < 1e-6 && (y[1] + 8.0 / 12.5f32.sqrt()).abs() < 1e-6);
        }
    }

    #[test]
    fn a_softmax_adds_to_one_and_masked_scores_get_nothing() {
        for isa in [Isa::detect(), Isa::Portable] {
            let mut row: Vec<f32> = (0..37).map(|i| (i * 7 % 11) as f32).collect();
            row[5] = f32::NEG_INFINITY;
            let exponentials: Vec<f64> = row.iter().map(|x| f64::from(*x).exp()).collect();
            let total: f64 = exponentials.iter().sum();
            softmax_row(isa, &mut row);
            for (x, e) in row.iter().zip(&exponentials) {
                assert!((f64::from(*x) - e / total).abs() < 1e-6, "{isa:?}: {x} for {}", e / total);
            }
            assert_eq!(row[5], 0.0);
            let mut masked = [f32::NEG_INFINITY; 3];
            softmax_row(isa, &mut masked);
            assert_eq!(masked, [0.0; 3], "{isa:?}");
            softmax_row(isa, &mut []);
        }
    }

    #[test]
    fn a_dot_product_and_a_sum_of_a_multiple_by_hand() {
        for isa in [Isa::detect(), Isa::Portable] {
            let x: Vec<f32> = (0..35).map(|i| i as f32).collect();
            let mut y = vec![2.0; 35];
            assert_eq!(dot(isa, &x, &y), 35.0 * 34.0);
            axpy(isa, -0.5, &x, &mut y);
            assert!(y.iter().enumerate().all(|(i, y)| *y == 2.0 - 0.5 * i as f32), "{isa:?}: {y:?}");
        }
    }

    #[test]
    fn a_quarter_turn_swaps_the_halves() {
        for isa in [Isa::detect(), Isa::Portable] {
            let mut head = [1.0, 2.0, 3.0, 4.0, 5.0];
            rotate_halves(isa, &mut head, 5, &[0.0, 0.0], &[1.0, 1.0]);
            assert_eq!(head, [-3.0, -4.0, 1.0, 2.0, 5.0]);
        }
    }
}
