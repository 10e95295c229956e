//! Sampled softmax: the next item against some that are drawn.

use plackett_kernel::{axpy, dot};
use plackett_train::random::Stream;
use plackett_train::tape::{Buffer, VarRef};
use plackett_train::{Compute, Tape, Var};
use std::sync::Arc;

/// The logit of a drawn item that is the right one (the authors' code): its probability is 0.
const SAME_ITEM: f32 = -5e4;

/// Items that the right one of each row is compared with.
#[derive(Clone, Debug)]
pub struct NegativeSamples {
    /// Rows × count.
    pub items: Vec<u32>,
    /// How many a row has.
    pub count: usize,
}

impl NegativeSamples {
    /// `count` items for each of `rows`, evenly from a catalogue.
    pub fn draw(stream: Stream, (rows, count): (usize, usize), catalogue: usize) -> NegativeSamples {
        let items = (0..rows * count).map(|at| stream.below(at as u64, catalogue) as u32).collect();
        NegativeSamples { items, count }
    }
}

/// For each row −log softmax(\[u·e⁺, u·e⁻ …\] / temperature)⁺: rows × 1. `states` are rows × width, `items` catalogue × width.
///
/// # Panics
/// There is not one right item and `count` drawn ones for each row, or one is beyond the catalogue.
pub fn sampled_softmax(
    tape: &Tape,
    (states, items): (&Var, &Var),
    targets: &[u32],
    negatives: NegativeSamples,
    temperature: f32,
) -> Var {
    let (rows, width, choices) = (states.rows, states.columns, negatives.count + 1);
    assert_eq!((targets.len(), items.columns), (rows, width), "a right item for each row");
    assert_eq!(negatives.items.len(), rows * negatives.count, "drawn items for each row");
    let ids = chosen_ids(targets, &negatives);
    let compute = tape.compute();
    // Rows of logits become probabilities in place; the loss stands in the last column until it is taken out.
    let mut shares = tape.buffer(rows * (choices + 1));
    compute.rows(&mut shares, choices + 1, |row, out| {
        let state = &states.value[row * width..][..width];
        let own = &ids[row * choices..][..choices];
        let (logits, loss) = out.split_at_mut(choices);
        for (at, (logit, id)) in logits.iter_mut().zip(own).enumerate() {
            *logit = match at > 0 && *id == own[0] {
                true => SAME_ITEM,
                false => dot(compute.isa, state, &items.value[*id as usize * width..][..width]) / temperature,
            };
        }
        let right = logits[0];
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0f64;
        for logit in logits.iter_mut() {
            *logit = (*logit - most).exp();
            total += f64::from(*logit);
        }
        logits.iter_mut().for_each(|share| *share /= total as f32);
        loss[0] = (f64::from(most) + total.ln() - f64::from(right)) as f32;
    });
    let mut losses = tape.buffer(rows);
    losses.iter_mut().zip(shares.chunks(choices + 1)).for_each(|(loss, row)| *loss = row[choices]);
    let back = Back {
        states: states.into(),
        items: items.into(),
        values: [states.value.clone(), items.value.clone()],
        ids,
        choices,
        temperature,
    };
    tape.record(&[states, items], (rows, 1), losses, move |flow, gradient| {
        let compute = flow.compute.clone();
        back.to_slopes(&compute, &mut shares, &gradient);
        flow.accumulate(&back.states, |sum| back.states_gradient(&compute, &shares, sum));
        flow.accumulate(&back.items, |sum| back.items_gradient(&compute, &shares, sum));
    })
}

/// The right item of each row and those that are drawn for it: rows × (count + 1).
fn chosen_ids(targets: &[u32], negatives: &NegativeSamples) -> Vec<u32> {
    let mut ids = Vec::with_capacity(targets.len() * (negatives.count + 1));
    for (row, target) in targets.iter().enumerate() {
        ids.push(*target);
        ids.extend_from_slice(&negatives.items[row * negatives.count..][..negatives.count]);
    }
    ids
}

/// What the way back needs.
struct Back {
    states: VarRef,
    items: VarRef,
    values: [Arc<Buffer>; 2],
    ids: Vec<u32>,
    choices: usize,
    temperature: f32,
}

impl Back {
    /// Probabilities become gradients of the products.
    fn to_slopes(&self, compute: &Compute, shares: &mut [f32], gradient: &[f32]) {
        compute.rows(shares, self.choices + 1, |row, shares| {
            shares[0] -= 1.0;
            let by = gradient[row] / self.temperature;
            shares.iter_mut().for_each(|share| *share *= by);
        });
    }

    fn states_gradient(&self, compute: &Compute, slopes: &[f32], sum: &mut [f32]) {
        let (width, items) = (self.states.columns, &self.values[1]);
        compute.rows(sum, width, |row, sum| {
            let slopes = &slopes[row * (self.choices + 1)..][..self.choices];
            for (slope, id) in slopes.iter().zip(&self.ids[row * self.choices..]) {
                axpy(compute.isa, *slope, &items[*id as usize * width..][..width], sum);
            }
        });
    }

    /// Item by item, each in the order of the rows, so that sums do not depend on the number of threads.
    fn items_gradient(&self, compute: &Compute, slopes: &[f32], sum: &mut [f32]) {
        let (width, states) = (self.items.columns, &self.values[0]);
        let mut ends = vec![0usize; self.items.rows + 1];
        self.ids.iter().for_each(|id| ends[*id as usize + 1] += 1);
        (1..ends.len()).for_each(|at| ends[at] += ends[at - 1]);
        let starts = ends.clone();
        let mut places = vec![0u32; self.ids.len()];
        for (place, id) in self.ids.iter().enumerate() {
            let next = &mut ends[*id as usize];
            places[*next] = place as u32;
            *next += 1;
        }
        compute.rows(sum, width, |item, sum| {
            for place in &places[starts[item]..starts[item + 1]] {
                let (row, choice) = (*place as usize / self.choices, *place as usize % self.choices);
                let slope = slopes[row * (self.choices + 1) + choice];
                axpy(compute.isa, slope, &states[row * width..][..width], sum);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::Parameters;
    use plackett_train::tape::assert_gradients;

    #[test]
    fn the_loss_is_that_of_the_formula_and_the_right_item_is_no_negative() {
        let parameters = Parameters::default();
        let tape = Tape::new(&parameters, &Compute::new(1));
        let states = tape.constant((1, 2), &[1.0, 0.0]);
        let items = tape.constant((3, 2), &[1.0, 0.0, 0.0, 1.0, -1.0, 0.0]);
        let negatives = NegativeSamples { items: vec![1, 2, 0], count: 3 };
        let loss = sampled_softmax(&tape, (&states, &items), &[0], negatives, 0.5).value[0];
        let expected = -(2f64.exp() / (2f64.exp() + 1.0 + (-2f64).exp())).ln();
        assert!((f64::from(loss) - expected).abs() < 1e-6, "{loss} {expected}");
    }

    #[test]
    fn gradients_are_differences() {
        let numbers = |count: usize| {
            (0..count).map(|at| ((at * 37 + 11) % 29) as f32 / 30.0 - 0.5).collect::<Vec<f32>>()
        };
        let negatives = NegativeSamples { items: vec![1, 2, 0, 3, 3, 1], count: 2 };
        assert_gradients(&[((3, 4), numbers(12)), ((5, 4), numbers(20))], |tape, x| {
            tape.mean(&sampled_softmax(tape, (&x[0], &x[1]), &[0, 4, 3], negatives.clone(), 0.5))
        });
    }

    #[test]
    fn gradients_have_the_same_bits_with_any_number_of_threads() {
        let numbers = |count: usize| {
            (0..count).map(|at| ((at * 37 + 11) % 29) as f32 / 30.0 - 0.5).collect::<Vec<f32>>()
        };
        let gradient = |workers: usize| {
            let mut parameters = Parameters::default();
            let states = parameters.add("states", (300, 8), numbers(2400));
            let items = parameters.add("items", (40, 8), numbers(320));
            let tape = Tape::new(&parameters, &Compute::new(workers));
            let negatives = NegativeSamples::draw(Stream::new(1, 2), (300, 20), 40);
            let targets: Vec<u32> = (0..300).map(|at| at % 40).collect();
            let losses = sampled_softmax(
                &tape,
                (&tape.parameter(states), &tape.parameter(items)),
                &targets,
                negatives,
                0.1,
            );
            let loss = tape.mean(&losses);
            let mut gradients = plackett_train::tape::Gradients::default();
            tape.backward(&loss, &mut gradients);
            [states, items].map(|id| gradients.get(id).unwrap().to_vec())
        };
        assert_eq!(gradient(1), gradient(4));
    }
}
