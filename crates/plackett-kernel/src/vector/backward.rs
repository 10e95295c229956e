//! Backward passes of activations: gradients of their outputs become gradients of their inputs.

use crate::isa::Isa;
use crate::vector::math::{exp, for_each_isa, multiply_add, power_of_two};

/// The derivative of x·Φ(x): Φ(x) + x·φ(x), to 1e-7.
#[inline(always)]
fn gelu_slope<const FMA: bool>(x: f32) -> f32 {
    // Beyond 6 the slope is 0 or 1 to 4e-8, and there an infinite x has one, too.
    let a = if x.abs() > 6.0 { 6.0 } else { x.abs() };
    // Φ(−a) is 2 to a polynomial: the one of degree 7 with which it is off the least (4e-8) up to 6. That of the forward
    // pass is made for a·Φ(−a) and off by 2e-6 near 0.
    let mut y = 8.464_814e-6;
    for c in [
        -5.386_038e-5,
        -4.213_616e-4,
        7.389_429e-3,
        -5.269_118_3e-2,
        -0.459_153_15,
        -1.151_110_9,
        -0.999_999_9,
    ] {
        y = multiply_add::<FMA>(y, a, c);
    }
    let tail = power_of_two::<FMA>(y);
    // φ(a) = 2^(−a²·log₂e / 2 − log₂√(2π)).
    let density = power_of_two::<FMA>(multiply_add::<FMA>(a * a, -0.721_347_5, -1.325_748_1));
    let below = if x > 0.0 { 1.0 - tail } else { tail };
    below + (a * density).copysign(x)
}

#[inline(always)]
fn gelu_backward_body<const FMA: bool>(x: &[f32], dy_in_dx_out: &mut [f32]) {
    for (d, x) in dy_in_dx_out.iter_mut().zip(x) {
        *d *= gelu_slope::<FMA>(*x);
    }
}
for_each_isa!(
    /// `dx = dy · (Φ(x) + x·φ(x))` in place, for y = x·Φ(x) of the inputs `x`.
    pub fn gelu_backward = gelu_backward_body(x: &[f32], dy_in_dx_out: &mut [f32])
);

#[inline(always)]
fn silu_backward_body<const FMA: bool>(x: &[f32], dy_in_dx_out: &mut [f32]) {
    for (d, x) in dy_in_dx_out.iter_mut().zip(x) {
        let sigmoid = 1.0 / (1.0 + exp::<FMA>(-*x));
        *d *= sigmoid * multiply_add::<FMA>(*x, 1.0 - sigmoid, 1.0);
    }
}
for_each_isa!(
    /// `dx = dy · σ(x) · (1 + x·(1 − σ(x)))` in place, for y = x·σ(x) of the inputs `x`.
    pub fn silu_backward = silu_backward_body(x: &[f32], dy_in_dx_out: &mut [f32])
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::activation::Activation;
    use crate::vector::math::gelu_rows;

    /// Φ(x) by the series of the error function, in double precision.
    fn normal_distribution(x: f64) -> f64 {
        let z = x / 2f64.sqrt();
        let (mut term, mut sum) = (z, z);
        for n in 1..400 {
            term *= -z * z / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        0.5 + sum / std::f64::consts::PI.sqrt()
    }

    fn assert_slopes(backward: impl Fn(&[f32], &mut [f32]), function: impl Fn(f64) -> f64, what: &str) {
        // Sizes that leave a rest, and gradients other than 1.
        let x: Vec<f32> = (-501..=501).map(|i| i as f32 / 100.0).collect();
        let mut d = vec![-1.5; x.len()];
        backward(&x, &mut d);
        for (x, d) in x.iter().zip(&d) {
            let (x, step) = (f64::from(*x), 1e-4);
            let expected = -1.5 * (function(x + step) - function(x - step)) / (2.0 * step);
            let off = (f64::from(*d) - expected).abs();
            assert!(
                off < 5e-7 && (off < 1e-3 * expected.abs() || off < 1e-7),
                "{what} at {x}: {d}, {expected}"
            );
        }
    }

    #[test]
    fn slopes_are_those_of_central_differences_in_double_precision() {
        for isa in [Isa::detect(), Isa::Portable] {
            let gelu = |x: f64| x * normal_distribution(x);
            assert_slopes(|x, d| gelu_backward(isa, x, d), gelu, &format!("{isa:?} GELU"));
            let silu = |x: f64| x / (1.0 + (-x).exp());
            assert_slopes(|x, d| silu_backward(isa, x, d), silu, &format!("{isa:?} SiLU"));
        }
    }

    #[test]
    fn far_from_zero_gradients_pass_or_vanish_and_what_is_no_number_stays_so() {
        for isa in [Isa::detect(), Isa::Portable] {
            let x = [1e30, -1e30, 100.0, -100.0, f32::NAN];
            let mut d = [2.0; 5];
            gelu_backward(isa, &x, &mut d);
            let expected = [2.0, 0.0, 2.0, 0.0];
            assert!(
                d.iter().zip(expected).all(|(d, e)| (d - e).abs() < 1e-6) && d[4].is_nan(),
                "{isa:?}: {d:?}"
            );
            let mut d = [2.0; 5];
            silu_backward(isa, &x, &mut d);
            assert!(
                d.iter().zip(expected).all(|(d, e)| (d - e).abs() < 1e-6) && d[4].is_nan(),
                "{isa:?}: {d:?}"
            );
        }
    }

    #[test]
    fn gelu_of_kept_inputs_is_the_activation() {
        let x: Vec<f32> = (-50..50).map(|i| i as f32 / 7.0).collect();
        for isa in [Isa::detect(), Isa::Portable] {
            let (mut y, mut expected) = (vec![0.0; x.len()], x.clone());
            gelu_rows(isa, &x, &mut y);
            Activation::Gelu.apply(isa, &mut expected);
            assert_eq!(y, expected, "{isa:?}");
        }
    }
}
