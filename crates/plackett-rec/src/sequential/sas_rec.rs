//! SASRec: a causal transformer over items (Kang and McAuley 2018).

use super::settings::{HEADS, LEARNING_OPTIONS, LearningSettings, check_heads, check_size, joined};
use super::{SequenceBatch, SequenceModel, SequenceRecommender, place_key};
use crate::recommender::matrix;
use crate::{RecError, RecommenderSpec};
use plackett_core::declaration::{OptionSpec, OptionValues};
use plackett_kernel::Activation;
use plackett_train::engine::Attention;
use plackett_train::nn::{Mode, init};
use plackett_train::random::Stream;
use plackett_train::{Compute, Engine, ParameterId, Parameters, Tape, Var};

const EPSILON: f32 = 1e-8;

/// Options of all models of sequences, and the heads of attention.
const OPTIONS: [OptionSpec; LEARNING_OPTIONS.len() + HEADS.len()] = joined(LEARNING_OPTIONS, HEADS);

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "sasrec",
    aliases: &["sas-rec"],
    summary: "A causal transformer over the items of a history; loss, negatives and optimiser are those of HSTU, so that only the model differs.",
    paper: "Kang and McAuley, Self-attentive sequential recommendation, ICDM 2018; loss as in arXiv 2402.17152",
    options: &OPTIONS,
    draws: true,
    reads_time: |_| false,
    check: |options, catalogue| Shape::of(options, catalogue).map(drop),
    fit: |options, data, fitting| {
        let learning = LearningSettings::of(options, fitting.seed);
        let mut parameters = Parameters::default();
        let model = SasRec::new(Shape::of(options, data.catalogue)?, &mut parameters, fitting.seed);
        Ok(Box::new(SequenceRecommender::fit(model, parameters, &learning, data, fitting)?))
    },
    restore: |options, catalogue, saved| {
        check_saved(saved, catalogue, options.count("width"))?;
        let mut parameters = Parameters::default();
        let model = SasRec::new(Shape::of(options, catalogue)?, &mut parameters, 0);
        take_over(&mut parameters, saved)?;
        let compute = Compute::new(workers());
        Ok(Box::new(SequenceRecommender::new(model, parameters, compute)))
    },
};

/// Threads of the current pool.
pub(crate) fn workers() -> usize {
    rayon::current_num_threads()
}

/// Refuses saved weights of other items before a model of the size that is told is made.
///
/// # Errors
/// The vectors of items are missing or have another shape.
pub(crate) fn check_saved(saved: &Parameters, catalogue: usize, width: usize) -> Result<(), RecError> {
    matrix(saved, "items.weight", (catalogue, width)).map(|_| ())
}

/// Puts what was fitted in the place of drawn weights.
///
/// # Errors
/// A matrix is missing or has another shape.
pub(crate) fn take_over(parameters: &mut Parameters, saved: &Parameters) -> Result<(), RecError> {
    for (_, parameter) in parameters.iter_mut() {
        let values = matrix(saved, &parameter.name, (parameter.rows, parameter.columns))?;
        parameter.values_mut().copy_from_slice(&values);
    }
    Ok(())
}

/// Sizes of a model.
#[derive(Clone, Copy, Debug)]
struct Shape {
    catalogue: usize,
    width: usize,
    blocks: usize,
    heads: usize,
    max_length: usize,
}

impl Shape {
    /// # Errors
    /// The heads do not divide the width, or the model would be too large.
    fn of(options: &OptionValues, catalogue: usize) -> Result<Shape, RecError> {
        check_heads(options)?;
        let (width, blocks, max_length) =
            (options.count("width"), options.count("blocks"), options.count("max-length"));
        check_size(width, catalogue + max_length, blocks, 6 * (width as u128).pow(2))?;
        Ok(Shape { catalogue, width, blocks, heads: options.count("heads"), max_length })
    }
}

/// A weight and a bias.
type WithBias = (ParameterId, ParameterId);

struct Block {
    attention_norm: WithBias,
    /// Queries, keys, values, output.
    projections: [WithBias; 4],
    forward_norm: WithBias,
    forward: [WithBias; 2],
}

/// The model: in each block the normalised rows ask the rows as they are, and the normalised ones are the residual, as in
/// the authors' code; a feed-forward of the model's width with ReLU.
pub struct SasRec {
    shape: Shape,
    items: ParameterId,
    positions: ParameterId,
    blocks: Vec<Block>,
}

impl SasRec {
    fn new(shape: Shape, parameters: &mut Parameters, seed: u64) -> SasRec {
        let width = shape.width;
        let mut drawn = 0u64;
        let mut next = || {
            drawn += 1;
            Stream::new(seed, drawn)
        };
        let items = init::truncated_normal(next(), shape.catalogue * width, 0.02);
        let items = parameters.add("items.weight", (shape.catalogue, width), items);
        let positions = init::truncated_normal(next(), shape.max_length * width, (1.0 / width as f32).sqrt());
        let positions = parameters.add("positions.weight", (shape.max_length, width), positions);
        let mut blocks = Vec::new();
        for at in 0..shape.blocks {
            let norm = |name: &str, parameters: &mut Parameters| -> WithBias {
                let weight =
                    parameters.add(format!("blocks.{at}.{name}.weight"), (1, width), vec![1.0; width]);
                (weight, parameters.add(format!("blocks.{at}.{name}.bias"), (1, width), vec![0.0; width]))
            };
            let (attention_norm, forward_norm) =
                (norm("attention_norm", parameters), norm("forward_norm", parameters));
            let mut linear = |name: &str| -> WithBias {
                let weight = init::xavier_uniform(next(), (width, width));
                let weight = parameters.add(format!("blocks.{at}.{name}.weight"), (width, width), weight);
                (weight, parameters.add(format!("blocks.{at}.{name}.bias"), (1, width), vec![0.0; width]))
            };
            let projections = ["query", "key", "value", "output"].map(&mut linear);
            let forward = ["forward.0", "forward.1"].map(&mut linear);
            blocks.push(Block { attention_norm, projections, forward_norm, forward });
        }
        SasRec { shape, items, positions, blocks }
    }

    fn block(
        &self,
        tape: &Tape,
        block: &Block,
        x: &Var,
        batch: &SequenceBatch,
        (mode, place): (Mode, u64),
    ) -> Var {
        let parameter = |(weight, bias): WithBias| [tape.parameter(weight), tape.parameter(bias)];
        let norm = |x: &Var, norm: WithBias| {
            let [weight, bias] = parameter(norm);
            tape.layer_norm(x, &weight, &bias, EPSILON)
        };
        let linear = |x: &Var, layer: WithBias, residual: Option<&Var>| {
            let [weight, bias] = parameter(layer);
            tape.linear(x, &weight, Some(&bias), residual)
        };
        let [query, key, value, output] = block.projections;
        let normal = norm(x, block.attention_norm);
        let heads = self.shape.heads;
        let attention = Attention {
            sequences: batch.sequences.clone(),
            key_sequences: None,
            heads,
            key_heads: heads,
            causal: true,
            hidden: None,
            scale: 1.0 / ((self.shape.width / heads) as f32).sqrt(),
        };
        let (query, key, value) =
            (linear(&normal, query, None), linear(x, key, None), linear(x, value, None));
        let attended = tape.attention(&query, &key, &value, None, &attention);
        let x = linear(&attended, output, Some(&normal));
        let normal = norm(&x, block.forward_norm);
        let inner = tape.activation(&linear(&normal, block.forward[0], None), Activation::Relu);
        let inner = tape.dropout(&inner, mode.dropout, place_key(mode, place));
        let outer = linear(&inner, block.forward[1], None);
        tape.add(&normal, &tape.dropout(&outer, mode.dropout, place_key(mode, place + 1)))
    }
}

impl SequenceModel for SasRec {
    fn items(&self) -> ParameterId {
        self.items
    }

    fn max_length(&self) -> usize {
        self.shape.max_length
    }

    fn forward(&self, tape: &Tape, batch: &SequenceBatch, mode: Mode) -> Var {
        let items = tape.scale(&tape.parameter(self.items), (self.shape.width as f32).sqrt());
        let tables = [(items, &batch.items[..]), (tape.parameter(self.positions), &batch.positions[..])];
        let x = tape.embedding(&tables);
        let mut x = tape.dropout(&x, mode.dropout, place_key(mode, 1));
        for (at, block) in self.blocks.iter().enumerate() {
            x = self.block(tape, block, &x, batch, (mode, 2 + 2 * at as u64));
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use plackett_train::tape::assert_parameter_gradients;

    #[test]
    fn later_events_change_nothing_before_and_gradients_are_differences() {
        let shape = Shape { catalogue: 6, width: 4, blocks: 2, heads: 2, max_length: 5 };
        let mut parameters = Parameters::default();
        let model = SasRec::new(shape, &mut parameters, 1);
        let event = |item: u32| Event { item, rating: 1.0, time: 0 };
        let (one, other) = ([event(0), event(3), event(5)], [event(0), event(3), event(1)]);
        let compute = Compute::new(1);
        let states = |events: &[Event]| {
            let tape = Tape::inference(&parameters, &compute);
            model.forward(&tape, &SequenceBatch::new([(events, 0)]), Mode::default()).value.to_vec()
        };
        assert_eq!(states(&one)[..8], states(&other)[..8]);
        assert_ne!(states(&one)[8..], states(&other)[8..]);
        // Numbers of about 1, beside which the steps of the differences are small, and no kink of ReLU within them.
        for (_, parameter) in parameters.iter_mut() {
            let (by, more) = match parameter.name.as_str() {
                "items.weight" => (25.0, 0.0),
                name if name.ends_with("forward.0.bias") => (1.0, 4.0),
                _ => (1.0, 0.0),
            };
            parameter.values_mut().iter_mut().for_each(|x| *x = *x * by + more);
        }
        let checked: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
        assert_parameter_gradients(&mut parameters, &checked, 3, |tape| {
            let batch = SequenceBatch::new([(&one[..], 0), (&other[..2], 0)]);
            tape.mean(&tape.square(&model.forward(tape, &batch, Mode::default())))
        });
    }
}
