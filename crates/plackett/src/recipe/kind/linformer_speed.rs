//! `linformer-speed`: what a layer costs with attention to mixed positions, beside plain attention.

use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::repeated_measures::{ROUNDS, SEEDS, of_each_seed};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use plackett_train::engine::{Activation, Attention, Engine};
use plackett_train::nn::PositionMix;
use plackett_train::random::Stream;
use plackett_train::{Compute, ParameterId, Parameters, Tape, TrainError, Var};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const NUMBERS: [&str; 2] = ["plain_seconds", "linformer_seconds"];

/// The declaration.
pub static LINFORMER_SPEED: StageKind = StageKind {
    name: "linformer-speed",
    help: "a layer of an encoder with drawn weights (attention, and a feed-forward network of four times the width) reads one sequence in the \
           training engine, with plain attention and with Linformer's to a fixed number of mixed positions. Both in turn. Gives by seed, as the \
           least of several rounds, `plain_seconds` and `linformer_seconds`",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("tokens", FieldKind::Whole(1, 1_000_000), "of the sequence"),
        FieldSpec::new("mixtures", FieldKind::Whole(1, 100_000), Default::Whole(256), "of positions"),
        FieldSpec::new("width", FieldKind::Whole(1, 65_536), Default::Whole(384), "numbers of a token"),
        FieldSpec::new("heads", FieldKind::Whole(1, 1024), Default::Whole(6), "of attention"),
        ROUNDS,
        SEEDS,
    ],
    chooses: None,
    check: |values, _| {
        let (width, heads) = (values.count("width"), values.count("heads"));
        match width.is_multiple_of(heads) {
            true => Ok(()),
            false => {
                let problem = format!("{heads} heads do not cut a width of {width} into equal parts");
                Err(values.wrong("heads", 0, Problem::Said(problem)))
            }
        }
    },
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let values = task.values;
        let (tokens, width) = (values.count("tokens") as f64, values.count("width") as f64);
        let operations = 40.0 * width * width * tokens + 4.0 * tokens * tokens * width;
        let rounds = (values.count("rounds") + 1) * values.count("seeds");
        let seconds = Some(1.0 + rounds as f64 * operations / 3e10);
        Ok(Estimate { work: format!("{rounds} rounds of two passes"), seconds, ..Estimate::default() })
    },
    run,
};

/// A layer, without norms: they cost both the same.
struct Layer {
    /// Queries, keys, values, output: width × width.
    projections: [ParameterId; 4],
    forward: [ParameterId; 2],
    mix: PositionMix,
    attention: Attention,
}

impl Layer {
    fn new(
        parameters: &mut Parameters,
        (tokens, width): (usize, usize),
        task: &Task<'_>,
        seed: u64,
    ) -> Layer {
        let heads = task.values.count("heads");
        let mut drawn = 10;
        let mut matrix = |outputs: usize, inputs: usize| {
            drawn += 1;
            let mut numbers = vec![0.0; outputs * inputs];
            Stream::new(seed, drawn).fill_uniform(0, &mut numbers);
            numbers.iter_mut().for_each(|x| *x *= (3.0 / inputs as f32).sqrt());
            parameters.add(format!("matrix {drawn}"), (outputs, inputs), numbers)
        };
        let projections = [(); 4].map(|()| matrix(width, width));
        let forward = [matrix(4 * width, width), matrix(width, 4 * width)];
        let mix = PositionMix::new(parameters, "layer", (task.values.count("mixtures"), tokens), seed);
        let attention = Attention {
            sequences: std::iter::once(0..tokens).collect(),
            key_sequences: None,
            heads,
            key_heads: heads,
            causal: false,
            hidden: None,
            scale: 1.0 / ((width / heads) as f32).sqrt(),
        };
        Layer { projections, forward, mix, attention }
    }

    fn pass(&self, tape: &Tape, x: &Var, is_mixed: bool) -> Result<Var, TrainError> {
        let linear = |x: &Var, weight: ParameterId, residual: Option<&Var>| {
            tape.linear(x, &tape.parameter(weight), None, residual)
        };
        let [query, key, value] = [0, 1, 2].map(|at| linear(x, self.projections[at], None));
        let attended = match is_mixed {
            true => self.mix.attend(tape, [&query, &key, &value], &self.attention)?,
            false => tape.attention(&query, &key, &value, None, &self.attention),
        };
        let x = linear(&attended, self.projections[3], Some(x));
        let inner = tape.activation(&linear(&x, self.forward[0], None), Activation::Gelu);
        Ok(linear(&inner, self.forward[1], Some(&x)))
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let compute = Compute::new(rayon::current_num_threads());
    let numbers = of_each_seed(task, NUMBERS, |seed| measure(task, &compute, seed))?;
    Ok(StageOutput { numbers, ..StageOutput::default() })
}

/// The least seconds of a pass of both.
fn measure(task: &Task<'_>, compute: &Arc<Compute>, seed: u64) -> Result<[f64; 2], StageError> {
    let values = task.values;
    let (tokens, width) = (values.count("tokens"), values.count("width"));
    let mut parameters = Parameters::default();
    let layer = Layer::new(&mut parameters, (tokens, width), task, seed);
    let mut input = vec![0.0; tokens * width];
    Stream::new(seed, 1).fill_uniform(0, &mut input);
    let mut least = [f64::INFINITY; 2];
    // The first round only warms caches and buffers.
    for round in 0..=values.count("rounds") {
        for (at, least) in least.iter_mut().enumerate() {
            let tape = Tape::inference(&parameters, compute);
            let x = tape.constant((tokens, width), &input);
            let begun = Instant::now();
            black_box(layer.pass(&tape, &x, at == 1)?);
            if round > 0 {
                *least = least.min(begun.elapsed().as_secs_f64());
            }
        }
    }
    Ok(least)
}
