//! The functions that follow a dense layer.

use crate::isa::Isa;
use crate::vector::backward::{gelu_backward, silu_backward};
use crate::vector::math::{gelu, gelu_tanh, silu, tanh};

/// What follows a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x.
    None,
    /// x · Φ(x), with the error function.
    Gelu,
    /// The same, approximated by way of tanh.
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// x / (1 + e⁻ˣ).
    Silu,
    /// tanh x.
    Tanh,
}

impl Activation {
    /// The activation that `hidden_act` of a Hugging Face configuration names.
    pub fn named(name: &str) -> Option<Activation> {
        Some(match name {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            "silu" | "swish" => Activation::Silu,
            "tanh" => Activation::Tanh,
            _ => return None,
        })
    }

    /// In place.
    pub fn apply(self, isa: Isa, values: &mut [f32]) {
        match self {
            Activation::None => {}
            Activation::Gelu => gelu(isa, values),
            Activation::GeluTanh => gelu_tanh(isa, values),
            Activation::Silu => silu(isa, values),
            Activation::Tanh => tanh(isa, values),
            Activation::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
        }
    }

    /// From the gradient by what [`Activation::apply`] made of `x` to that by `x`, in place.
    ///
    /// # Panics
    /// The lengths differ.
    pub fn backward(self, isa: Isa, x: &[f32], gradient: &mut [f32]) {
        assert_eq!(x.len(), gradient.len(), "a gradient for each number");
        let slope = match self {
            Activation::None => return,
            Activation::Gelu => return gelu_backward(isa, x, gradient),
            Activation::Silu => return silu_backward(isa, x, gradient),
            Activation::GeluTanh => gelu_tanh_slope,
            Activation::Relu => |x: f32| if x > 0.0 { 1.0 } else { 0.0 },
            Activation::Tanh => |x: f32| 1.0 - x.tanh() * x.tanh(),
        };
        gradient.iter_mut().zip(x).for_each(|(gradient, x)| *gradient *= slope(*x));
    }
}

/// The derivative of x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).
fn gelu_tanh_slope(x: f32) -> f32 {
    const ROOT: f32 = 0.797_884_6;
    let tanh = (ROOT * (x + 0.044_715 * x * x * x)).tanh();
    0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * ROOT * (1.0 + 3.0 * 0.044_715 * x * x)
}
