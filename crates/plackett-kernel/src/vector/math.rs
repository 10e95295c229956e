//! Row-wise mathematics. Each body is plain Rust that the compiler vectorises, compiled once per instruction set; sums
//! run in sixteen lanes, so that they vectorise and have one fixed order.

use crate::isa::Isa;
use std::f32::consts::{LN_2, LOG2_E};

/// Compiles `$body::<FMA>` for each instruction set and makes the function that chooses.
macro_rules! for_each_isa {
    ($(#[$doc:meta])* $visibility:vis fn $name:ident = $body:ident ($($argument:ident : $type:ty),*) $(-> $result:ty)?) => {
        $(#[$doc])*
        $visibility fn $name(isa: Isa, $($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($argument: $type),*) $(-> $result)? { $body::<true>($($argument),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $result)? { $body::<true>($($argument),*) }
            match isa {
                // SAFETY: `Isa::detect` found these instruction sets on this machine.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Vnni | Isa::Avx512 => unsafe { avx512($($argument),*) },
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2($($argument),*) },
                _ => $body::<false>($($argument),*),
            }
        }
    };
}
pub(crate) use for_each_isa;

const LANES: usize = 16;

#[inline(always)]
pub(crate) fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// eˣ with a relative error below 2e-7; arguments below −87 give a value below 1e-37.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to an integer and leaves that integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = multiply_add::<FMA>(x, LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add::<FMA>(n, -0.693_359_4, x);
    let r = multiply_add::<FMA>(n, 2.121_944_4e-4, r);
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = multiply_add::<FMA>(p, r, c);
    }
    let power = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32).wrapping_add(127) << 23;
    p * f32::from_bits(power as u32)
}

/// 2ʸ for y ≤ 0 with a relative error below 1e-7, and 0 below −125. Fewer products than [`exp`] has, which is what the
/// exponentials of a long attention wait for.
#[inline(always)]
pub(crate) fn power_of_two<const FMA: bool>(y: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let shifted = y + ROUND;
    let r = y - (shifted - ROUND);
    // The polynomial of degree 6 with the least relative error (1.9e-9) for −½ ≤ r ≤ ½; 2⁰ is kept exact.
    let mut p = 1.534_581_2e-4;
    for c in [1.339_993e-3, 9.618_489e-3, 5.550_328_6e-2, 0.240_226_46, LN_2, 1.0] {
        p = multiply_add::<FMA>(p, r, c);
    }
    // The low bits of `shifted` are the integer; moved up they are added to the exponent of the polynomial.
    let power = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    // Not `y >= -125.0`: what is no number has to stay so.
    if y < -125.0 { 0.0 } else { power }
}

#[inline(always)]
fn tanh_one<const FMA: bool>(x: f32) -> f32 {
    let e = exp::<FMA>(-2.0 * x.abs());
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

#[inline(always)]
fn gelu_one<const FMA: bool>(x: f32) -> f32 {
    // With a = |x| it is max(x, 0) − a·Φ(−a), and Φ(−a) is 2 to a polynomial: the one of degree 6 for which a·Φ(−a) is off
    // the least (5e-8) up to 6, beyond which it is below 6e-9.
    let a = if x.abs() > 6.0 { 6.0 } else { x.abs() };
    let mut y = 3.309_466e-5;
    for c in [-7.692_33e-4, 8.080_752e-3, -5.341_214_6e-2, -0.458_770_93, -1.151_201_7, -0.999_993_1] {
        y = multiply_add::<FMA>(y, a, c);
    }
    let positive = if x > 0.0 { x } else { 0.0 };
    positive - a * power_of_two::<FMA>(y)
}

#[inline(always)]
fn gelu_body<const FMA: bool>(values: &mut [f32]) {
    for x in values {
        *x = gelu_one::<FMA>(*x);
    }
}
for_each_isa!(
    /// x·Φ(x), the exact form, to 1e-7.
    pub(crate) fn gelu = gelu_body(values: &mut [f32])
);

#[inline(always)]
fn gelu_rows_body<const FMA: bool>(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = gelu_one::<FMA>(*x);
    }
}
for_each_isa!(
    /// `y ← x·Φ(x)`, number by number: the bits of [`Activation::Gelu`](crate::Activation::Gelu), with x kept.
    pub fn gelu_rows = gelu_rows_body(x: &[f32], y: &mut [f32])
);

#[inline(always)]
fn gelu_tanh_body<const FMA: bool>(values: &mut [f32]) {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    for x in values {
        let inner = SQRT_2_OVER_PI * (*x + 0.044715 * *x * *x * *x);
        *x = 0.5 * *x * (1.0 + tanh_one::<FMA>(inner));
    }
}
for_each_isa!(
    /// The tanh approximation of GELU.
    pub(crate) fn gelu_tanh = gelu_tanh_body(values: &mut [f32])
);

#[inline(always)]
fn silu_body<const FMA: bool>(values: &mut [f32]) {
    for x in values {
        *x /= 1.0 + exp::<FMA>(-*x);
    }
}
for_each_isa!(
    /// x·σ(x).
    pub(crate) fn silu = silu_body(values: &mut [f32])
);

#[inline(always)]
fn tanh_body<const FMA: bool>(values: &mut [f32]) {
    for x in values {
        *x = tanh_one::<FMA>(*x);
    }
}
for_each_isa!(
    /// Hyperbolic tangent in place.
    pub(crate) fn tanh = tanh_body(values: &mut [f32])
);

/// One number of all lanes, in one fixed order.
#[inline(always)]
fn fold_lanes(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    fold_lanes(lanes, |x, y| x + y)
}

#[inline(always)]
fn sum_of<const FMA: bool>(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for i in 0..LANES {
            lanes[i] += term(chunk[i]);
        }
    }
    let rest: f32 = chunks.remainder().iter().map(|&x| term(x)).sum();
    sum_lanes(lanes) + rest
}

#[inline(always)]
fn dot_body<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (x, y) in (&mut left).zip(&mut right) {
        for i in 0..LANES {
            lanes[i] = multiply_add::<FMA>(x[i], y[i], lanes[i]);
        }
    }
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    sum_lanes(lanes) + rest
}
for_each_isa!(
    /// Σ a·b of two rows of one length, in sixteen partial sums.
    pub fn dot = dot_body(a: &[f32], b: &[f32]) -> f32
);

/// Mean 0 and variance 1 along a row, then `weight` and `bias` (an empty bias is none).
#[inline(always)]
fn layer_norm_body<const FMA: bool>(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let n = row.len() as f32;
    let mean = sum_of::<FMA>(row, |x| x) / n;
    let variance = sum_of::<FMA>(row, |x| (x - mean) * (x - mean)) / n;
    let inverse = 1.0 / (variance + epsilon).sqrt();
    if bias.is_empty() {
        for (x, w) in row.iter_mut().zip(weight) {
            *x = (*x - mean) * inverse * w;
        }
    } else {
        for ((x, w), b) in row.iter_mut().zip(weight).zip(bias) {
            *x = multiply_add::<FMA>((*x - mean) * inverse, *w, *b);
        }
    }
}
for_each_isa!(
    /// Layer normalisation of one row in place; an empty `bias` is none.
    pub fn layer_norm = layer_norm_body(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32)
);

#[inline(always)]
fn add_layer_norm_body<const FMA: bool>(
    row: &mut [f32],
    residual: &[f32],
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
) {
    for (x, r) in row.iter_mut().zip(residual) {
        *x += r;
    }
    layer_norm_body::<FMA>(row, weight, bias, epsilon);
}
for_each_isa!(
    /// `row ← norm(row + residual)`.
    pub fn add_layer_norm = add_layer_norm_body(
        row: &mut [f32], residual: &[f32], weight: &[f32], bias: &[f32], epsilon: f32
    )
);

#[inline(always)]
fn normalize_body<const FMA: bool>(row: &mut [f32]) {
    // The floor is torch.nn.functional.normalize's.
    let length = dot_body::<FMA>(row, row).sqrt().max(1e-12);
    for x in row {
        *x /= length;
    }
}
for_each_isa!(
    /// Scales a vector to length 1; a zero vector stays zero.
    pub fn normalize = normalize_body(row: &mut [f32])
);

/// The numbers after the last full sixteen, and −∞ where there are none.
#[inline(always)]
fn padded_lanes(rest: &[f32]) -> [f32; LANES] {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}

#[inline(always)]
fn largest_body<const FMA: bool>(values: &[f32]) -> f32 {
    let larger = |x: f32, y: f32| if x > y { x } else { y };
    let chunks = values.chunks_exact(LANES);
    let mut lanes = padded_lanes(chunks.remainder());
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = larger(chunk[i], lanes[i]);
        }
    }
    fold_lanes(lanes, larger)
}

#[inline(always)]
fn exponentials_body<const FMA: bool>(values: &mut [f32], scale: f32, floor: f32) -> (f32, f32) {
    let largest = largest_body::<FMA>(values).max(floor);
    let scale = scale * LOG2_E;
    let mut chunks = values.chunks_exact_mut(LANES);
    let mut sums = [0.0f32; LANES];
    for chunk in &mut chunks {
        for i in 0..LANES {
            chunk[i] = power_of_two::<FMA>((chunk[i] - largest) * scale);
            sums[i] += chunk[i];
        }
    }
    let rest = chunks.into_remainder();
    let mut last = padded_lanes(rest);
    for i in 0..LANES {
        last[i] = power_of_two::<FMA>((last[i] - largest) * scale);
        sums[i] += last[i];
    }
    rest.copy_from_slice(&last[..rest.len()]);
    (largest, sum_lanes(sums))
}
for_each_isa!(
    /// Replaces scores x by exp(scale·(x − m)), m the largest of them and of `floor`; what is below 2⁻¹²⁵, as of −∞, becomes 0.
    /// Returns m and the sum. The scale is not negative.
    pub(crate) fn exponentials = exponentials_body(values: &mut [f32], scale: f32, floor: f32) -> (f32, f32)
);

/// Rounds a row to u8: x ≈ scale · (q − zero). The range always contains 0, so that zero is exact.
#[inline(always)]
fn quantize_row_body<const FMA: bool>(row: &[f32], out: &mut [u8]) -> (f32, i32) {
    let mut low = [0.0f32; LANES];
    let mut high = [0.0f32; LANES];
    let mut chunks = row.chunks_exact(LANES);
    for chunk in &mut chunks {
        for i in 0..LANES {
            low[i] = if chunk[i] < low[i] { chunk[i] } else { low[i] };
            high[i] = if chunk[i] > high[i] { chunk[i] } else { high[i] };
        }
    }
    let low = chunks.remainder().iter().chain(&low).copied().fold(0.0, f32::min);
    let high = chunks.remainder().iter().chain(&high).copied().fold(0.0, f32::max);
    let scale = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
    let inverse = 1.0 / scale;
    let zero = (-low * inverse).round().clamp(0.0, 255.0);
    for (q, x) in out.iter_mut().zip(row) {
        // Adding 2²³ rounds to the nearest integer and leaves it in the low bits.
        let level = multiply_add::<FMA>(*x, inverse, zero).clamp(0.0, 255.0);
        *q = (level + 8_388_608.0).to_bits() as u8;
    }
    (scale, zero as i32)
}
for_each_isa!(
    /// Rounds one row of activations to u8 with its own scale and zero point.
    pub(crate) fn quantize_row = quantize_row_body(row: &[f32], out: &mut [u8]) -> (f32, i32)
);

#[cfg(test)]
mod tests {
    use super::*;

    fn isas() -> [Isa; 2] {
        [Isa::detect(), Isa::Portable]
    }

    #[test]
    fn exp_and_gelu_are_close_to_double_precision() {
        for isa in isas() {
            let xs: Vec<f32> = (-800..=800).map(|i| i as f32 / 100.0).collect();
            let mut ys = xs.clone();
            gelu(isa, &mut ys);
            for (x, y) in xs.iter().zip(&ys) {
                let expected = 0.5 * *x as f64 * (1.0 + erf_by_series(*x as f64 / 2f64.sqrt()));
                assert!(
                    (expected - *y as f64).abs() < 1e-7 * (1.0 + x.abs() as f64),
                    "{isa:?} gelu({x}) = {y}, expected {expected}"
                );
            }
            let mut es = xs.clone();
            let (largest, sum) = exponentials(isa, &mut es, 1.0, f32::NEG_INFINITY);
            assert_eq!(largest, 8.0);
            let expected: f64 = xs.iter().map(|x| (*x as f64 - 8.0).exp()).sum();
            assert!((sum as f64 - expected).abs() / expected < 1e-6);
            for (x, e) in xs.iter().zip(&es) {
                let expected = (*x as f64 - 8.0).exp();
                // The exponent itself is rounded: its error grows with it.
                assert!((expected - *e as f64).abs() / expected < 2e-6, "{isa:?} exp({x} - 8) = {e}");
            }
            let mut edges = [3.0, f32::NEG_INFINITY, -1e30, -120.0, 2.0, f32::NAN];
            let (_, sum) = exponentials(isa, &mut edges, 1.0, -1e30);
            assert_eq!((edges[0], &edges[1..4]), (1.0, &[0.0; 3][..]), "{isa:?}");
            assert!(edges[5].is_nan() && sum.is_nan(), "{isa:?}: what is no number does not become one");
        }
    }

    /// The error function by its Maclaurin series in double precision, beyond 4 it is 1 to 2e-8.
    fn erf_by_series(x: f64) -> f64 {
        if x.abs() > 4.0 {
            return x.signum();
        }
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn layer_norm_gives_mean_zero_and_variance_one() {
        for isa in isas() {
            let mut row: Vec<f32> = (0..37).map(|i| (i * i % 17) as f32).collect();
            layer_norm(isa, &mut row, &[1.0; 37], &[0.5; 37], 1e-12);
            let mean = row.iter().sum::<f32>() / 37.0;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 37.0;
            assert!((mean - 0.5).abs() < 1e-5 && (variance - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn a_quantised_row_is_off_by_at_most_half_a_step() {
        for isa in isas() {
            let row: Vec<f32> = (0..53).map(|i| ((i * 37) % 53) as f32 / 7.0 - 2.0).collect();
            let mut q = vec![0u8; 53];
            let (scale, zero) = quantize_row(isa, &row, &mut q);
            for (x, q) in row.iter().zip(&q) {
                let back = scale * (*q as i32 - zero) as f32;
                assert!((x - back).abs() <= scale * 0.51, "{x} became {back} with step {scale}");
            }
            assert_eq!(quantize_row(isa, &[0.0; 5], &mut q).1, 0);
        }
    }
}
