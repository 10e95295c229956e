//! Attention to fewer keys than there are tokens (Linformer; Wang and others, 2020): learned matrices mix the positions of keys and of values
//! down to a fixed number, so that time and memory grow with the tokens and not with their square.

use super::init;
use crate::TrainError;
use crate::engine::{Attention, Engine, product};
use crate::random::Stream;
use crate::tape::{ParameterId, Parameters, Tape, Var, VarRef};
use plackett_kernel::{Start, multiply_transposed};
use std::ops::Range;
use std::sync::Arc;

/// The two matrices of a layer, which all heads share.
#[derive(Clone, Debug)]
pub struct PositionMix {
    /// Mixtures × positions, of keys.
    keys: ParameterId,
    /// The same of values.
    values: ParameterId,
    /// Mixtures.
    pub mixtures: usize,
    /// Positions, and so the most tokens of a sequence.
    pub positions: usize,
}

impl PositionMix {
    /// Matrices whose numbers are drawn evenly from ±1/√mixtures.
    pub fn new(
        parameters: &mut Parameters,
        name: &str,
        (mixtures, positions): (usize, usize),
        seed: u64,
    ) -> PositionMix {
        let mut matrix = |part: &str, stream: u64| {
            let bound = 1.0 / (mixtures.max(1) as f32).sqrt();
            let numbers = init::uniform(Stream::new(seed, stream), mixtures * positions, bound);
            parameters.add(format!("{name}.{part}.weight"), (mixtures, positions), numbers)
        };
        PositionMix { keys: matrix("key_mix", 1), values: matrix("value_mix", 2), mixtures, positions }
    }

    /// softmax(scale · q · (E k)ᵀ) · (F v) for each head of each sequence. Shorter sequences have the first columns of E and F: positions that
    /// they lack are as good as zero.
    ///
    /// # Errors
    /// Causal attention, attention to other sequences, or a sequence with more tokens than positions.
    pub fn attend(
        &self,
        tape: &Tape,
        [query, key, value]: [&Var; 3],
        attention: &Attention,
    ) -> Result<Var, TrainError> {
        if attention.causal || attention.key_sequences.is_some() {
            return Err(TrainError::Model(
                "mixed positions are of a whole sequence: they have no order, so that attention can be neither causal nor to another one".into(),
            ));
        }
        if let Some(long) = attention.sequences.iter().find(|sequence| sequence.len() > self.positions) {
            return Err(TrainError::Model(format!(
                "a sequence has {} tokens, and positions are mixed for {} at most",
                long.len(),
                self.positions
            )));
        }
        let [keys, values] = [(self.keys, key), (self.values, value)]
            .map(|(mix, side)| self.mixed_sequences(tape, &tape.parameter(mix), side, &attention.sequences));
        let ends = 0..attention.sequences.len();
        let key_sequences: Arc<[Range<usize>]> =
            ends.map(|at| at * self.mixtures..(at + 1) * self.mixtures).collect();
        let attention = Attention { key_sequences: Some(key_sequences), ..attention.clone() };
        Ok(tape.attention(query, &keys, &values, None, &attention))
    }

    fn mixed_sequences(&self, tape: &Tape, mix: &Var, side: &Var, sequences: &[Range<usize>]) -> Var {
        let of_sequence = |rows: &Range<usize>| {
            let whole = rows.len() == side.rows;
            let own =
                if whole { side.clone() } else { tape.select_rows(side, &rows.clone().collect::<Vec<_>>()) };
            let fits = rows.len() == self.positions;
            let mix = if fits { mix.clone() } else { tape.columns(mix, 0..rows.len()) };
            mixed(tape, &mix, &own)
        };
        let parts: Vec<Var> = sequences.iter().map(of_sequence).collect();
        match &parts[..] {
            [one] => one.clone(),
            parts => tape.stack(&parts.iter().collect::<Vec<_>>()),
        }
    }
}

/// mix · x: mixtures × columns.
fn mixed(tape: &Tape, mix: &Var, x: &Var) -> Var {
    let (mixtures, positions, columns) = (mix.rows, x.rows, x.columns);
    let mut y = tape.buffer(mixtures * columns);
    product(
        tape.compute(),
        (&mix.value, mixtures),
        (&x.value, positions, columns, false),
        &mut y,
        Start::Zero,
    );
    let (of_mix, of_x) = (VarRef::from(mix), VarRef::from(x));
    let (mix_value, x_value) = (mix.value.clone(), x.value.clone());
    tape.record(&[mix, x], (mixtures, columns), y, move |flow, gradient| {
        let compute = flow.compute.clone();
        flow.write_or_accumulate(&of_mix, |sum, is_new| {
            let start = if is_new { Start::Zero } else { Start::Output };
            product(&compute, (&gradient, mixtures), (&x_value, columns, positions, true), sum, start);
        });
        flow.accumulate(&of_x, |sum| {
            let sizes = (mixtures, positions, columns);
            multiply_transposed(compute.isa, compute.workers, &mix_value, &gradient, sizes, sum, None);
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Compute, assert_gradients, assert_parameter_gradients};

    fn numbers(stream: u64, count: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; count];
        Stream::new(13, stream).fill_uniform(0, &mut numbers);
        numbers
    }

    fn attention(sequences: Arc<[Range<usize>]>) -> Attention {
        Attention {
            sequences,
            key_sequences: None,
            heads: 2,
            key_heads: 2,
            causal: false,
            hidden: None,
            scale: 0.7,
        }
    }

    #[test]
    fn a_mixture_is_a_product_with_its_gradients() {
        let parameters = Parameters::default();
        let tape = Tape::new(&parameters, &Compute::new(1));
        let (mix, x) = (tape.constant((1, 2), &[1.0, 10.0]), tape.constant((2, 2), &[1.0, 2.0, 3.0, 4.0]));
        assert_eq!(mixed(&tape, &mix, &x).value[..], [31.0, 42.0]);
        let inputs = [((2, 3), numbers(1, 6)), ((3, 4), numbers(2, 12))];
        assert_gradients(&inputs, |tape, x| {
            let weights = tape.constant((2, 4), &numbers(3, 8));
            tape.sum(&tape.times(&mixed(tape, &x[0], &x[1]), &weights))
        });
    }

    #[test]
    fn attention_to_mixtures_has_its_gradients_and_as_many_keys() {
        let mut parameters = Parameters::default();
        let mix = PositionMix::new(&mut parameters, "layer", (2, 4), 1);
        let sides: Vec<ParameterId> =
            (0..3).map(|side| parameters.add(format!("side {side}"), (7, 4), numbers(side, 28))).collect();
        let checked: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
        let attention = attention([0..3, 3..7].into());
        assert_parameter_gradients(&mut parameters, &checked, 8, |tape| {
            let [query, key, value] = [0, 1, 2].map(|at| tape.parameter(sides[at]));
            let y = mix.attend(tape, [&query, &key, &value], &attention).unwrap();
            tape.sum(&tape.times(&y, &tape.constant((7, 4), &numbers(9, 28))))
        });
    }

    #[test]
    fn with_the_identity_it_is_plain_attention() {
        let mut parameters = Parameters::default();
        let mix = PositionMix::new(&mut parameters, "layer", (3, 3), 1);
        for id in [mix.keys, mix.values] {
            parameters[id].values_mut().copy_from_slice(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        }
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let [query, key, value] = [1, 2, 3].map(|stream| tape.constant((3, 4), &numbers(stream, 12)));
        let attention = attention(std::iter::once(0..3).collect());
        let plain = tape.attention(&query, &key, &value, None, &attention);
        let found = mix.attend(&tape, [&query, &key, &value], &attention).unwrap();
        assert!(found.value.iter().zip(plain.value.iter()).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn what_has_an_order_or_is_too_long_is_refused() {
        let mut parameters = Parameters::default();
        let mix = PositionMix::new(&mut parameters, "layer", (2, 2), 1);
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let x = tape.constant((3, 4), &numbers(1, 12));
        let attention = attention(std::iter::once(0..3).collect());
        let refused =
            |attention: &Attention| mix.attend(&tape, [&x, &x, &x], attention).err().unwrap().to_string();
        assert!(refused(&attention).contains("3 tokens"));
        assert!(refused(&Attention { causal: true, ..attention.clone() }).contains("no order"));
    }
}
