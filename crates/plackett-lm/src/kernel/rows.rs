//! Row-wise mathematics of decoders: RMS normalisation, rotary positions, gated activations.

use super::Isa;
use super::vector::{exponentials, for_each_isa};

const LANES: usize = 16;

#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

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
    pub(crate) fn rms_norm = rms_norm_body(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32])
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
    pub(crate) fn rotate_halves = rotate_halves_body(heads: &mut [f32], size: usize, cosines: &[f32], sines: &[f32])
);

#[inline(always)]
fn multiply_body<const FMA: bool>(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x *= y;
    }
}
for_each_isa!(
    /// `x ← x · y`, number by number.
    pub(crate) fn multiply = multiply_body(x: &mut [f32], y: &[f32])
);

#[inline(always)]
fn add_body<const FMA: bool>(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
for_each_isa!(
    /// `x ← x + y`, number by number.
    pub(crate) fn add = add_body(x: &mut [f32], y: &[f32])
);

#[inline(always)]
fn widen_body<const FMA: bool>(values: &[impl Into<f32> + Copy], scale: f32, out: &mut [f32]) {
    for (x, q) in out.iter_mut().zip(values) {
        *x = (*q).into() * scale;
    }
}
for_each_isa!(
    /// int8 to numbers, with one scale.
    pub(super) fn widen = widen_body(values: &[i8], scale: f32, out: &mut [f32])
);
for_each_isa!(
    /// The same of int16.
    pub(super) fn widen_i16 = widen_body(values: &[i16], scale: f32, out: &mut [f32])
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
    pub(super) fn widen_columns = widen_columns_body(values: &[i8], scales: &[f32], out: &mut [f32])
);
for_each_isa!(
    /// The same of int16.
    pub(super) fn widen_columns_i16 = widen_columns_body(values: &[i16], scales: &[f32], out: &mut [f32])
);

/// ln Σ exp(x): exponentials in f32, their sum in f64.
pub(crate) fn log_sum_exp(isa: Isa, values: &[f32]) -> f64 {
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
    fn a_quarter_turn_swaps_the_halves() {
        for isa in [Isa::detect(), Isa::Portable] {
            let mut head = [1.0, 2.0, 3.0, 4.0, 5.0];
            rotate_halves(isa, &mut head, 5, &[0.0, 0.0], &[1.0, 1.0]);
            assert_eq!(head, [-3.0, -4.0, 1.0, 2.0, 5.0]);
        }
    }
}
