//! AdamW (Loshchilov and Hutter, Decoupled weight decay regularization, 2019), as PyTorch has it.

use crate::tape::{Compute, Gradients, Parameter, ParameterId, Parameters};
use plackett_kernel::for_each;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Numbers that one worker takes at a time.
const PIECE: usize = 16 * 1024;

/// The optimiser with its state.
#[derive(Clone, Debug)]
pub struct AdamW {
    /// How much of the mean of gradients stays.
    pub beta1: f32,
    /// How much of the mean of their squares stays.
    pub beta2: f32,
    /// Added to roots.
    pub epsilon: f32,
    /// Weight decay, times the learning rate; vectors (biases and norms) have none.
    pub decay: f32,
    /// Steps taken.
    pub steps: u64,
    moments: BTreeMap<ParameterId, [Vec<f32>; 2]>,
}

impl Default for AdamW {
    fn default() -> AdamW {
        AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0, steps: 0, moments: BTreeMap::new() }
    }
}

impl AdamW {
    /// Changes what is trainable and has a gradient. `rate` gives the learning rate of a parameter.
    pub fn step(
        &mut self,
        compute: &Compute,
        parameters: &mut Parameters,
        gradients: &Gradients,
        rate: impl Fn(&Parameter) -> f32,
    ) {
        self.steps += 1;
        let power = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let bias = [self.beta1, self.beta2].map(|beta| (1.0 - f64::from(beta).powi(power)) as f32);
        for (id, parameter) in parameters.iter_mut().filter(|(_, parameter)| parameter.trainable) {
            let Some(gradient) = gradients.get(id) else { continue };
            let rate = rate(parameter);
            let decay = if parameter.is_vector() { 0.0 } else { self.decay };
            let length = parameter.value.len();
            let [first, second] =
                self.moments.entry(id).or_insert_with(|| [vec![0.0; length], vec![0.0; length]]);
            let (beta1, beta2, epsilon) = (self.beta1, self.beta2, self.epsilon);
            let (size, root, keep) = (rate / bias[0], 1.0 / bias[1].sqrt(), 1.0 - rate * decay);
            let moments = first.par_chunks_mut(PIECE).zip(second.par_chunks_mut(PIECE));
            let values = parameter.values_mut().par_chunks_mut(PIECE).zip(gradient.par_chunks(PIECE));
            for_each(compute.workers, values.zip(moments), |((values, gradient), (first, second))| {
                for at in 0..values.len() {
                    let slope = gradient[at];
                    first[at] = beta1 * first[at] + (1.0 - beta1) * slope;
                    second[at] = beta2 * second[at] + (1.0 - beta2) * slope * slope;
                    values[at] = values[at] * keep - size * first[at] / (second[at].sqrt() * root + epsilon);
                }
            });
        }
    }

    /// Means of the gradients and of their squares, of each parameter that has had a step.
    pub fn moments(&self) -> impl Iterator<Item = (ParameterId, &[Vec<f32>; 2])> {
        self.moments.iter().map(|(id, moments)| (*id, moments))
    }

    /// Puts back what [`AdamW::moments`] gave.
    pub fn set_moments(&mut self, id: ParameterId, moments: [Vec<f32>; 2]) {
        self.moments.insert(id, moments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_are_those_of_the_formula() {
        let mut parameters = Parameters::default();
        let id = parameters.add("w", (2, 1), vec![1.0, -2.0]);
        let mut gradients = Gradients::default();
        let mut optimizer = AdamW { decay: 0.1, ..AdamW::default() };
        // By hand, with a rate of 0.01: the first step is the sign of the gradient, after the decay.
        gradients.insert(id, vec![0.5, -4.0]);
        optimizer.step(&Compute::new(1), &mut parameters, &gradients, |_| 0.01);
        let expected = [1.0 * 0.999 - 0.01, -2.0 * 0.999 + 0.01];
        assert!((parameters[id].value[0] - expected[0]).abs() < 1e-6);
        assert!((parameters[id].value[1] - expected[1]).abs() < 1e-6);
        // Second: m = 0.9·0.05 + 0.1·(−1) = −0.055, over 0.19; v = 0.999·0.00025 + 0.001 = 0.00124975, over 0.001999.
        gradients.insert(id, vec![-1.0, 0.0]);
        optimizer.step(&Compute::new(1), &mut parameters, &gradients, |_| 0.01);
        let step = 0.01 * (-0.055 / 0.19) / (0.001_249_75f32 / 0.001_999).sqrt();
        let expected = expected[0] * 0.999 - step;
        assert!((parameters[id].value[0] - expected).abs() < 1e-5, "{} {expected}", parameters[id].value[0]);
    }
}
