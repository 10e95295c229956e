//! A feed-forward network of experts, of which each row goes through a few: out = Σ g_i · FFN_i(x) over the experts with the greatest shares g of a
//! softmax over all of them (equation 4 of the paper; shares are not made to sum to one). Only the experts that a row goes through are computed.

use plackett_kernel::Activation;
use plackett_train::nn::init;
use plackett_train::random::Stream;
use plackett_train::{Engine, ParameterId, Parameters, Tape, Var};

/// Experts and the gate that chooses among them.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Experts × width.
    gate: ParameterId,
    /// Of each expert inner × width and width × inner.
    experts: Vec<[ParameterId; 2]>,
    active: usize,
}

/// What rows become, and which way they went.
pub struct Routed {
    /// Rows × width.
    pub y: Var,
    /// Rows × experts.
    pub shares: Var,
    /// How many rows each expert was computed for.
    pub loads: Vec<usize>,
}

impl Mixture {
    /// `experts` networks of `inner` numbers, of which `active` are computed for a row.
    pub fn new(
        parameters: &mut Parameters,
        name: &str,
        (width, inner): (usize, usize),
        (experts, active): (usize, usize),
        seed: u64,
    ) -> Mixture {
        let mut drawn = 0;
        let mut matrix = |part: String, shape: (usize, usize)| {
            drawn += 1;
            parameters.add(
                format!("{name}.{part}.weight"),
                shape,
                init::xavier_uniform(Stream::new(seed, drawn), shape),
            )
        };
        let gate = matrix("gate".into(), (experts, width));
        let expert = |at: usize| {
            [
                matrix(format!("experts.{at}.in"), (inner, width)),
                matrix(format!("experts.{at}.out"), (width, inner)),
            ]
        };
        Mixture { gate, experts: (0..experts).map(expert).collect(), active: active.clamp(1, experts.max(1)) }
    }

    /// The rows `x` through the experts of each, without a residual.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Routed {
        let logits = Engine::linear(tape, x, &tape.parameter(self.gate), None, None);
        let shares = tape.exp(&tape.log_softmax(&logits));
        let chosen: Vec<Vec<usize>> =
            shares.value.chunks(self.experts.len()).map(|shares| self.greatest(shares)).collect();
        let mut outputs = Vec::new();
        // For each row the places of its outputs among all of them, expert after expert.
        let mut places: Vec<Vec<u32>> = vec![Vec::new(); x.rows];
        let (mut loads, mut count) = (Vec::new(), 0);
        for (expert, weights) in self.experts.iter().enumerate() {
            let rows: Vec<usize> = (0..x.rows).filter(|row| chosen[*row].contains(&expert)).collect();
            loads.push(rows.len());
            if rows.is_empty() {
                continue;
            }
            for row in &rows {
                places[*row].push(count);
                count += 1;
            }
            let [inner, outer] = weights.map(|weight| tape.parameter(weight));
            let inner = Engine::linear(tape, &Engine::select_rows(tape, x, &rows), &inner, None, None);
            let y =
                Engine::linear(tape, &Engine::activation(tape, &inner, Activation::Relu), &outer, None, None);
            let own: Vec<usize> = rows.iter().map(|row| row * self.experts.len() + expert).collect();
            outputs.push(tape.times(&y, &tape.gather(&shares, &own, (rows.len(), 1))));
        }
        let all = tape.stack(&outputs.iter().collect::<Vec<_>>());
        let columns: Vec<Vec<u32>> =
            (0..self.active).map(|at| places.iter().map(|places| places[at]).collect()).collect();
        let tables: Vec<(Var, &[u32])> = columns.iter().map(|column| (all.clone(), &column[..])).collect();
        Routed { y: Engine::embedding(tape, &tables), shares, loads }
    }

    /// The experts with the greatest shares, of equal ones the first.
    fn greatest(&self, shares: &[f32]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]).then(a.cmp(b)));
        order.truncate(self.active);
        order
    }
}

impl Routed {
    /// experts · Σ_i (rows of expert i / all) · (mean share of i): 1 where all experts are used alike, greater otherwise (Fedus et al., Switch
    /// Transformers, 2022, equation 4). The authors of OneRec do not say whether they have such a loss.
    pub fn balance(&self, tape: &Tape) -> Var {
        let (rows, experts) = (self.shares.rows.max(1), self.loads.len());
        let total = self.loads.iter().sum::<usize>().max(1) as f32;
        let by: Vec<f32> =
            self.loads.iter().map(|load| *load as f32 / total * experts as f32 / rows as f32).collect();
        tape.sum(&tape.times(&self.shares, &tape.constant((1, experts), &by)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::Compute;
    use plackett_train::tape::assert_parameter_gradients;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 37 + 11) % 29) as f32 / 13.0 - 1.1).collect()
    }

    #[test]
    fn rows_are_the_weighted_sum_of_their_two_experts() {
        let mut parameters = Parameters::default();
        let mixture = Mixture::new(&mut parameters, "m", (4, 6), (5, 2), 3);
        let compute = Compute::new(1);
        let tape = Tape::inference(&parameters, &compute);
        let x = tape.constant((7, 4), &numbers(28));
        let routed = mixture.forward(&tape, &x);
        assert_eq!(routed.loads.iter().sum::<usize>(), 14);
        for row in 0..7 {
            let own = &x.value[row * 4..][..4];
            let product = |id: ParameterId, x: &[f32]| -> Vec<f32> {
                let weight = &parameters[id];
                weight
                    .value
                    .chunks(weight.columns)
                    .map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum())
                    .collect()
            };
            let logits: Vec<f32> = product(mixture.gate, own).iter().map(|x| x.exp()).collect();
            let total: f32 = logits.iter().sum();
            let mut order: Vec<usize> = (0..5).collect();
            order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
            let mut expected = [0.0f32; 4];
            for expert in &order[..2] {
                let inner: Vec<f32> =
                    product(mixture.experts[*expert][0], own).iter().map(|x| x.max(0.0)).collect();
                let y = product(mixture.experts[*expert][1], &inner);
                expected.iter_mut().zip(y).for_each(|(sum, y)| *sum += logits[*expert] / total * y);
            }
            for (found, expected) in routed.y.value[row * 4..][..4].iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
        // One expert for everything, and its share nearly 1, is the worst balance: as many as there are experts.
        let all = Routed {
            y: x.clone(),
            shares: tape.constant((2, 3), &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]),
            loads: vec![2, 0, 0],
        };
        assert!((all.balance(&tape).item() - 3.0).abs() < 1e-6);
        let even = Routed { shares: tape.constant((2, 3), &[1.0 / 3.0; 6]), loads: vec![2, 2, 2], ..all };
        assert!((even.balance(&tape).item() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_differences() {
        let mut parameters = Parameters::default();
        let mixture = Mixture::new(&mut parameters, "m", (4, 3), (3, 2), 3);
        let checked: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
        assert_parameter_gradients(&mut parameters, &checked, 4, |tape| {
            let routed = mixture.forward(tape, &tape.constant((4, 4), &numbers(16)));
            let weights = tape.constant((4, 4), &numbers(40)[24..]);
            tape.plus(&tape.sum(&tape.times(&routed.y, &weights)), &routed.balance(tape))
        });
    }
}
