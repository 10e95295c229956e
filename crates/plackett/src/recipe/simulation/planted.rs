//! `planted-update`: an adapter learns a change of a weight that is known.

use super::{Simulated, Simulation};
use crate::recipe::error::Problem;
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use plackett_train::adapter::{self, Targets};
use plackett_train::nn::{Initializer, Linear, Mode};
use plackett_train::random::Stream;
use plackett_train::trainer::{Hooks, Settings, StepLoss, Task, train};
use plackett_train::{Compute, Parameters, Tape, TrainError};

/// Rows of inputs in a step.
const ROWS: usize = 64;

/// The declaration.
pub static PLANTED_UPDATE: Simulation = Simulation {
    name: "planted-update",
    help: "a linear layer whose weight a teacher has changed by a known matrix, from Gaussian inputs, with an adapter; gives explained \
           (the share of the matrix's squares that the adapter has learned), loss (over the last tenth of the steps), ranks (the rank \
           that is left, of adapters that have such) and trainable (numbers that were trained)",
    version: 1,
    fields: &[
        FieldSpec::required(
            "adapter",
            FieldKind::Text,
            "the adapter with its options, as docs/adapters.md has them",
        ),
        FieldSpec::new("outputs", FieldKind::Whole(2, 1024), Default::Whole(64), "of the layer"),
        FieldSpec::new("inputs", FieldKind::Whole(2, 1024), Default::Whole(64), "of the layer"),
        FieldSpec::new(
            "planted",
            FieldKind::Choice(&["low-rank", "orthogonal", "gaussian"]),
            Default::Text("low-rank"),
            "what the teacher adds",
        ),
        FieldSpec::new("rank", FieldKind::Whole(1, 1024), Default::Whole(3), "of a change of low rank"),
        FieldSpec::new("steps", FieldKind::Whole(1, 100_000), Default::Whole(1000), "of AdamW"),
        FieldSpec::new("rate", FieldKind::Number(0.0, 10.0), Default::Number(0.01), "the learning rate"),
    ],
    check: |values| match adapter::parse(values.word("adapter"))
        .and_then(|adapter| adapter.check_begins_alone())
    {
        Ok(()) => Ok(()),
        Err(error) => Err(values.wrong("adapter", 0, Problem::Said(error.to_string()))),
    },
    numbers: |_: &Values| ["explained", "loss", "ranks", "trainable"].map(str::to_string).to_vec(),
    run: |simulated| run(simulated).map_err(|error| error.to_string()),
};

/// Inputs and what the teacher makes of them.
struct PlantedTask<'l> {
    linear: &'l Linear,
    /// The teacher's weight: outputs × inputs.
    teacher: &'l [f32],
    seed: u64,
    /// Each has inputs of its own.
    steps: usize,
}

impl Task for PlantedTask<'_> {
    fn count(&self) -> usize {
        self.steps
    }

    fn loss(&self, tape: &Tape, examples: &[usize], _mode: Mode) -> Result<StepLoss, TrainError> {
        let (inputs, outputs) = (self.linear.inputs, self.linear.outputs);
        let stream = Stream::new(self.seed, 1000 + examples[0] as u64);
        let x: Vec<f32> = (0..ROWS * inputs).map(|at| stream.normal(at as u64)).collect();
        let x = tape.constant((ROWS, inputs), &x);
        let teacher = tape.constant((outputs, inputs), self.teacher);
        let wanted = plackett_train::Engine::linear(tape, &x, &teacher, None, None);
        let y = self.linear.forward(tape, &x, None);
        let value = tape.mean(&tape.square(&tape.minus(&y, &wanted)));
        Ok(StepLoss { value, tokens: ROWS, used: ROWS, skipped: 0 })
    }
}

fn run(simulated: &Simulated<'_>) -> Result<Vec<f64>, TrainError> {
    let values = simulated.values;
    let shape = (values.count("outputs"), values.count("inputs"));
    let mut parameters = Parameters::default();
    let mut drawn = Initializer::new(simulated.seed);
    let linear = Linear::load(&mut parameters, &mut drawn, "layer", shape, false)?;
    let base = parameters[linear.weight].value.to_vec();
    let change = planted(values, shape, simulated.seed);
    let teacher: Vec<f32> = base.iter().zip(&change).map(|(base, change)| base + change).collect();
    let mut model = vec![linear];
    let adapter = adapter::parse(values.word("adapter"))?;
    let mut attached =
        adapter.attach(&mut parameters, &mut model, &Targets::All, simulated.seed, |_| false)?;
    let trainable = parameters.trainable_count();
    let settings = Settings {
        batch: 1,
        steps: values.count("steps"),
        rate: values.real("rate") as f32,
        clip: 0.0,
        seed: simulated.seed,
        checkpoint: 0,
        ..Settings::default()
    };
    let task =
        PlantedTask { linear: &model[0], teacher: &teacher, seed: simulated.seed, steps: settings.steps };
    let hooks: &mut dyn Hooks = &mut attached;
    let report =
        train(&task, &Compute::new(1), &mut parameters, &settings, (None, ""), Some(hooks), &mut |_, _| {})?;
    let learned = match &model[0].adapter {
        Some(adapter) => adapter.weight_change(&parameters),
        None => parameters[model[0].weight].value.iter().zip(&base).map(|(now, base)| now - base).collect(),
    };
    let squares = |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| f64::from(x * x)).sum::<f64>();
    let missed = squares(&mut change.iter().zip(&learned).map(|(change, learned)| change - learned));
    let explained = 1.0 - missed / squares(&mut change.iter().copied());
    let ranks: usize = attached.ranks(&parameters).iter().map(|(_, rank)| rank).sum();
    Ok(vec![explained, f64::from(report.final_loss()), ranks as f64, trainable as f64])
}

/// What the teacher adds, outputs × inputs, with about as much energy as the layer's own outputs.
fn planted(values: &Values, (outputs, inputs): (usize, usize), seed: u64) -> Vec<f32> {
    let mut drawn = Initializer::new(seed ^ 0x51);
    let rank = match values.word("planted") {
        "low-rank" => values.count("rank"),
        _ => return whole(values.word("planted") == "orthogonal", (outputs, inputs), &mut drawn),
    };
    let size = (1.0 / (rank * inputs) as f32).sqrt();
    let (left, right) = (drawn.normal(outputs * rank, 1.0), drawn.normal(rank * inputs, size));
    let number = |at: usize| {
        let (row, column) = (at / inputs, at % inputs);
        (0..rank).map(|k| left[row * rank + k] * right[k * inputs + column]).sum()
    };
    (0..outputs * inputs).map(number).collect()
}

/// A matrix of full rank: Gaussian, or with orthonormal rows (columns, where there are fewer of them) by Gram and Schmidt.
fn whole(orthogonal: bool, (outputs, inputs): (usize, usize), drawn: &mut Initializer) -> Vec<f32> {
    let mut matrix = drawn.normal(outputs * inputs, (1.0 / inputs as f32).sqrt());
    if !orthogonal {
        return matrix;
    }
    let (count, length) = (outputs.min(inputs), outputs.max(inputs));
    let place = |vector: usize, at: usize| match outputs <= inputs {
        true => vector * inputs + at,
        false => at * inputs + vector,
    };
    for vector in 0..count {
        for other in 0..vector {
            let along: f32 = (0..length).map(|at| matrix[place(vector, at)] * matrix[place(other, at)]).sum();
            (0..length).for_each(|at| matrix[place(vector, at)] -= along * matrix[place(other, at)]);
        }
        let norm = (0..length).map(|at| matrix[place(vector, at)].powi(2)).sum::<f32>().sqrt();
        (0..length).for_each(|at| matrix[place(vector, at)] /= norm);
    }
    matrix
}
