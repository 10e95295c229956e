//! The invertible block behind the embeddings of a language's adapter (Dinh et al., NICE: Non-linear independent components
//! estimation, 2015, additive coupling).

use super::Thin;
use crate::adapter::attached::Shared;
use crate::nn::{EmbeddingAdapter, Initializer};
use crate::tape::{Parameters, Tape, Var};
use std::sync::Arc;

/// y₁ = e₁ + F(e₂), y₂ = e₂ + G(y₁) for the halves e₁ and e₂ of each row; F and G have one hidden layer of a quarter of the width.
#[derive(Debug)]
pub struct Nice {
    f: [Thin; 2],
    g: [Thin; 2],
    shared: Arc<Shared>,
}

impl Nice {
    /// Its numbers for rows of this width.
    pub fn count(width: usize) -> usize {
        let (half, quarter) = (width / 2, width / 4);
        2 * (half * quarter + quarter + quarter * half + half)
    }

    pub(super) fn new(
        parameters: &mut Parameters,
        source: &mut Initializer,
        width: usize,
        shared: Arc<Shared>,
    ) -> Nice {
        let (half, quarter) = (width / 2, width / 4);
        let mut network = |name: &str| {
            let mut thin = |at: usize, shape| {
                Thin::new(parameters, source, &format!("invertible_adapter.{name}.{at}"), shape)
            };
            [thin(0, (quarter, half)), thin(2, (half, quarter))]
        };
        Nice { f: network("F"), g: network("G"), shared }
    }

    fn network(tape: &Tape, layers: &[Thin; 2], x: &Var, residual: Option<&Var>) -> Var {
        layers[1].forward(tape, &tape.relu(&layers[0].forward(tape, x, None)), residual)
    }

    /// The block over rows of the width.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Var {
        if !self.shared.is_active() {
            return x.clone();
        }
        let half = x.columns / 2;
        let (first, second) = (tape.columns(x, 0..half), tape.columns(x, half..x.columns));
        let first = Nice::network(tape, &self.f, &second, Some(&first));
        let second = Nice::network(tape, &self.g, &first, Some(&second));
        tape.beside(&first, &second)
    }

    /// What the block was given for these outputs: e₂ = y₂ − G(y₁), e₁ = y₁ − F(e₂). It stands between the last hidden states and
    /// the output embeddings when a language is learned by predicting masked tokens, and nowhere in a ranker.
    pub fn inverse(&self, tape: &Tape, y: &Var) -> Var {
        if !self.shared.is_active() {
            return y.clone();
        }
        let half = y.columns / 2;
        let (first, second) = (tape.columns(y, 0..half), tape.columns(y, half..y.columns));
        let second = tape.minus(&second, &Nice::network(tape, &self.g, &first, None));
        let first = tape.minus(&first, &Nice::network(tape, &self.f, &second, None));
        tape.beside(&first, &second)
    }
}

impl EmbeddingAdapter for Nice {
    fn forward(&self, tape: &Tape, x: &Var, _segments: &[u32]) -> Var {
        Nice::forward(self, tape, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Compute;

    #[test]
    fn the_inverse_gives_the_inputs_back() {
        let mut parameters = Parameters::default();
        let mut source = Initializer::new(1);
        let nice = Nice::new(&mut parameters, &mut source, 16, Arc::default());
        for (_, parameter) in parameters.iter_mut() {
            let values = Initializer::new(parameter.value.len() as u64).normal(parameter.value.len(), 0.5);
            parameter.values_mut().copy_from_slice(&values);
        }
        assert_eq!(parameters.count(), Nice::count(16));
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let x = tape.constant((5, 16), &source.normal(80, 1.0));
        let y = nice.forward(&tape, &x);
        assert!(y.value.iter().zip(x.value.iter()).any(|(y, x)| (y - x).abs() > 0.1));
        let back = nice.inverse(&tape, &y);
        assert!(back.value.iter().zip(x.value.iter()).all(|(back, x)| (back - x).abs() < 1e-5));
    }
}
