//! The functions that follow a dense layer.

use super::Isa;
use super::vector::{gelu, gelu_tanh, silu, tanh};

/// What follows a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Gelu,
    GeluTanh,
    Relu,
    Silu,
    Tanh,
}

impl Activation {
    /// The activation that `hidden_act` of a Hugging Face configuration names.
    pub(crate) fn named(name: &str) -> Option<Activation> {
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
    pub(crate) fn apply(self, isa: Isa, values: &mut [f32]) {
        match self {
            Activation::None => {}
            Activation::Gelu => gelu(isa, values),
            Activation::GeluTanh => gelu_tanh(isa, values),
            Activation::Silu => silu(isa, values),
            Activation::Tanh => tanh(isa, values),
            Activation::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
        }
    }
}
