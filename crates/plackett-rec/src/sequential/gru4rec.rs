//! GRU4Rec: gated recurrent units over the items of a history (Hidasi et al. 2016).

use super::sas_rec::{check_saved, take_over};
use super::settings::{LEARNING_OPTIONS, LearningSettings, check_size};
use super::{SequenceBatch, SequenceModel, SequenceRecommender, place_key};
use crate::{RecError, RecommenderSpec};
use plackett_core::declaration::OptionValues;
use plackett_train::nn::{Mode, init};
use plackett_train::random::Stream;
use plackett_train::{Compute, Engine, ParameterId, Parameters, Tape, Var};

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "gru4rec",
    aliases: &["gru"],
    summary: "Gated recurrent units over the items of a history; loss, negatives and optimiser are those of the other models of sequences.",
    paper: "Hidasi et al., Session-based recommendations with recurrent neural networks, ICLR 2016; loss as in arXiv 2402.17152",
    options: &LEARNING_OPTIONS,
    draws: true,
    reads_time: |_| false,
    check: check_sizes,
    fit: |options, data, fitting| {
        let learning = LearningSettings::of(options, fitting.seed);
        let mut parameters = Parameters::default();
        let model = Gru4Rec::new(options, data.catalogue, &mut parameters, fitting.seed)?;
        Ok(Box::new(SequenceRecommender::fit(model, parameters, &learning, data, fitting)?))
    },
    restore: |options, catalogue, saved| {
        check_saved(saved, catalogue, options.count("width"))?;
        let mut parameters = Parameters::default();
        let model = Gru4Rec::new(options, catalogue, &mut parameters, 0)?;
        take_over(&mut parameters, saved)?;
        let compute = Compute::new(rayon::current_num_threads());
        Ok(Box::new(SequenceRecommender::new(model, parameters, compute)))
    },
};

/// Refuses a model that would be too large.
fn check_sizes(options: &OptionValues, catalogue: usize) -> Result<(), RecError> {
    let width = options.count("width");
    check_size(width, catalogue, options.count("blocks"), 6 * (width as u128).pow(2))
}

/// Weight and bias of what goes in, and of the state; reset, update and new state after each other in the rows.
struct Layer {
    input: (ParameterId, ParameterId),
    state: (ParameterId, ParameterId),
}

/// The model. Its state is as wide as the vectors of items, and a dense layer stands between the two.
pub struct Gru4Rec {
    width: usize,
    max_length: usize,
    items: ParameterId,
    layers: Vec<Layer>,
    output: (ParameterId, ParameterId),
}

impl Gru4Rec {
    fn new(
        options: &OptionValues,
        catalogue: usize,
        parameters: &mut Parameters,
        seed: u64,
    ) -> Result<Gru4Rec, RecError> {
        check_sizes(options, catalogue)?;
        let (width, layers) = (options.count("width"), options.count("blocks"));
        let mut drawn = 0u64;
        let mut next = || {
            drawn += 1;
            Stream::new(seed, drawn)
        };
        let items = init::truncated_normal(next(), catalogue * width, 0.02);
        let items = parameters.add("items.weight", (catalogue, width), items);
        let mut linear = |parameters: &mut Parameters, name: String, rows: usize| {
            let weight = init::xavier_uniform(next(), (rows, width));
            let weight = parameters.add(format!("{name}.weight"), (rows, width), weight);
            (weight, parameters.add(format!("{name}.bias"), (1, rows), vec![0.0; rows]))
        };
        let layers = (0..layers)
            .map(|at| Layer {
                input: linear(parameters, format!("layers.{at}.input"), 3 * width),
                state: linear(parameters, format!("layers.{at}.state"), 3 * width),
            })
            .collect();
        let output = linear(parameters, "output".into(), width);
        Ok(Gru4Rec { width, max_length: options.count("max-length"), items, layers, output })
    }

    /// The states after each event: r and u are gates, h' = (1 − u) · n + u · h with n = tanh(Wx + r · Vh).
    fn layer(&self, tape: &Tape, layer: &Layer, x: &Var, batch: &SequenceBatch) -> Var {
        let linear = |x: &Var, (weight, bias): (ParameterId, ParameterId)| {
            tape.linear(x, &tape.parameter(weight), Some(&tape.parameter(bias)), None)
        };
        let part = |x: &Var, at: usize| tape.columns(x, at * self.width..(at + 1) * self.width);
        let inputs = linear(x, layer.input);
        // The longest first: those that still have an event are then the first rows of the state.
        let mut order: Vec<usize> =
            (0..batch.sequences.len()).filter(|at| !batch.sequences[*at].is_empty()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(batch.sequences[*at].len()));
        let mut state = tape.constant((order.len(), self.width), &vec![0.0; order.len() * self.width]);
        let longest = order.first().map_or(0, |at| batch.sequences[*at].len());
        let mut states = Vec::with_capacity(longest);
        let mut place_of = vec![0usize; x.rows];
        let mut written = 0;
        for step in 0..longest {
            let rows: Vec<usize> = order
                .iter()
                .map(|at| &batch.sequences[*at])
                .filter(|rows| rows.len() > step)
                .map(|rows| rows.start + step)
                .collect();
            for (at, row) in rows.iter().enumerate() {
                place_of[*row] = written + at;
            }
            written += rows.len();
            if rows.len() < state.rows {
                state = tape.select_rows(&state, &(0..rows.len()).collect::<Vec<_>>());
            }
            let input = tape.select_rows(&inputs, &rows);
            let of_state = linear(&state, layer.state);
            let gate = |at: usize| tape.sigmoid(&tape.plus(&part(&input, at), &part(&of_state, at)));
            let (reset, update) = (gate(0), gate(1));
            let kept = tape.times(&reset, &part(&of_state, 2));
            let new = tape.tanh(&tape.plus(&part(&input, 2), &kept));
            // n + u · (h − n)
            state = tape.plus(&new, &tape.times(&update, &tape.minus(&state, &new)));
            states.push(state.clone());
        }
        let all: Vec<&Var> = states.iter().collect();
        tape.select_rows(&tape.stack(&all), &place_of)
    }
}

impl SequenceModel for Gru4Rec {
    fn items(&self) -> ParameterId {
        self.items
    }

    fn max_length(&self) -> usize {
        self.max_length
    }

    fn forward(&self, tape: &Tape, batch: &SequenceBatch, mode: Mode) -> Var {
        let x = tape.embedding(&[(tape.parameter(self.items), &batch.items[..])]);
        let mut x = tape.dropout(&x, mode.dropout, place_key(mode, 1));
        if x.rows == 0 {
            return x;
        }
        for layer in &self.layers {
            x = self.layer(tape, layer, &x, batch);
        }
        let (weight, bias) = self.output;
        tape.linear(&x, &tape.parameter(weight), Some(&tape.parameter(bias)), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, parse};
    use plackett_train::tape::assert_parameter_gradients;

    fn model(parameters: &mut Parameters) -> Gru4Rec {
        let configured = parse("gru4rec(width=4, blocks=2, max-length=5)").unwrap();
        let model = Gru4Rec::new(&configured.options, 6, parameters, 1).unwrap();
        for (_, parameter) in parameters.iter_mut() {
            let by = if parameter.name == "items.weight" { 25.0 } else { 1.0 };
            let is_bias = parameter.name.ends_with("bias");
            for (at, x) in parameter.values_mut().iter_mut().enumerate() {
                *x = if is_bias { 0.1 * (at as f32).sin() } else { *x * by };
            }
        }
        model
    }

    fn event(item: u32) -> Event {
        Event { item, rating: 1.0, time: 0 }
    }

    #[test]
    fn states_are_those_of_the_formula_by_hand() {
        let mut parameters = Parameters::default();
        let model = model(&mut parameters);
        let value = |name: &str| parameters[parameters.find(name).unwrap()].value.to_vec();
        let product = |name: &str, x: &[f32]| -> Vec<f32> {
            let (weight, bias) = (value(&format!("{name}.weight")), value(&format!("{name}.bias")));
            weight
                .chunks(4)
                .zip(bias)
                .map(|(row, bias)| row.iter().zip(x).map(|(a, b)| a * b).sum::<f32>() + bias)
                .collect()
        };
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let items = [2u32, 5, 1];
        let table = value("items.weight");
        let mut xs: Vec<Vec<f32>> =
            items.iter().map(|item| table[*item as usize * 4..][..4].to_vec()).collect();
        for layer in 0..2 {
            let mut h = vec![0.0f32; 4];
            for x in &mut xs {
                let i = product(&format!("layers.{layer}.input"), x);
                let s = product(&format!("layers.{layer}.state"), &h);
                let next = |at: usize| {
                    let (r, u) = (sigmoid(i[at] + s[at]), sigmoid(i[4 + at] + s[4 + at]));
                    let n = (i[8 + at] + r * s[8 + at]).tanh();
                    (1.0 - u) * n + u * h[at]
                };
                h = (0..4).map(next).collect();
                *x = h.clone();
            }
        }
        let expected: Vec<f32> = xs.iter().flat_map(|x| product("output", x)).collect();
        let compute = Compute::new(1);
        let tape = Tape::inference(&parameters, &compute);
        let (events, other) = (items.map(event), [event(3)]);
        // Beside a shorter one and an empty one.
        let batch = SequenceBatch::new([(&other[..], 0), (&events[..], 0), (&[], 0)]);
        let found = model.forward(&tape, &batch, Mode::default());
        for (found, expected) in found.value[4..].iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} and not {expected}");
        }
    }

    #[test]
    fn gradients_are_differences() {
        let mut parameters = Parameters::default();
        let model = model(&mut parameters);
        let (one, other) = ([event(0), event(3), event(5)], [event(0), event(1)]);
        let checked: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
        assert_parameter_gradients(&mut parameters, &checked, 3, |tape| {
            let batch = SequenceBatch::new([(&other[..], 0), (&one[..], 0)]);
            tape.mean(&tape.square(&model.forward(tape, &batch, Mode::default())))
        });
    }
}
