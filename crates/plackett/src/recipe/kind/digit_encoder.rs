//! `digit-encoder`: an encoder that reads pictures of digits pixel by pixel, with whole layers or thin products.

use crate::recipe::data::digits::{self, PIXELS, Picture};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::small_decoder::{BATCH, HEADS, LAYERS, NARROW_WIDTH, STEPS};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{rate, settings_of};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::{Task, hash_file};
use plackett_train::engine::{Engine, Pooling};
use plackett_train::nn::{Bert, BertConfig, Initializer, LowRankInitializer, Mode, TokenBatch, WeightSource};
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::{Settings, StepLoss, Task as Lesson};
use plackett_train::{Compute, ParameterId, Parameters, Tape, TrainError, Var};

/// Pictures that are learned from, the first ones; the others are asked for.
const LEARNED_FROM: usize = 1400;
/// Grey values of a pixel, and so the tokens.
const GREYS: usize = 17;
/// Pictures that are read together when they are asked for.
const TOGETHER: usize = 64;
const DIGITS: usize = 10;
const BY_SEED: [&str; 4] = ["parameters", "loss", "first_loss", "step_seconds"];

/// The declaration.
pub static DIGIT_ENCODER: StageKind = StageKind {
    name: "digit-encoder",
    help: "an encoder from drawn weights reads pictures of handwritten digits, each of the 64 pixels as a token, and learns which digit it is \
           from the first 1,400; with `rank` every linear layer of it is a product of two thin matrices from the start. Gives, by picture of the \
           others, `right` (1 where the digit is); and by seed `parameters` (numbers of the layers' matrices, as a share of those of whole ones), \
           `loss` (over the last tenth of the steps), `first_loss` and `step_seconds` (the median)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::new(
            "collection",
            FieldKind::Text,
            Default::Text("digits"),
            "a folder's name in PLACKETT_DATA, or a path",
        ),
        FieldSpec::new(
            "rank",
            FieldKind::Whole(0, 4096),
            Default::Whole(0),
            "of the products, below half of `width`; 0 for whole layers",
        ),
        LAYERS,
        NARROW_WIDTH,
        BATCH,
        STEPS,
        rate(2e-3),
        super::SEED,
    ],
    chooses: None,
    check: |values, _| {
        let (rank, width) = (values.count("rank"), values.count("width"));
        if !width.is_multiple_of(HEADS) {
            return Err(values.wrong(
                "width",
                0,
                Problem::Said(format!("a multiple of {HEADS} is expected")),
            ));
        }
        match 2 * rank < width {
            true => Ok(()),
            false => {
                let problem = format!("from {} on nothing is saved in a square layer", width / 2);
                Err(values.wrong("rank", 0, Problem::Said(problem)))
            }
        }
    },
    numbers: |_, _| ["right"].iter().chain(&BY_SEED).map(ToString::to_string).collect(),
    outside: |values, environment| {
        Ok(vec![("pictures".into(), hash_file(&digits::file(environment, values.word("collection"))?)?)])
    },
    estimate: |task| {
        let values = task.values;
        let steps = values.count("steps");
        let numbers = values.count("layers") * 12 * values.count("width").pow(2);
        let seconds = steps as f64 * (values.count("batch") * PIXELS * numbers) as f64 * 2e-10;
        Ok(Estimate {
            work: format!("a training of {steps} steps"),
            seconds: Some(5.0 + seconds),
            ..Estimate::default()
        })
    },
    run,
};

/// The encoder, and what says digits of the mean of its vectors.
struct Model {
    encoder: Bert,
    /// Digits × width, and one number a digit.
    head: (ParameterId, ParameterId),
}

impl Model {
    fn new(
        config: &BertConfig,
        source: &mut dyn WeightSource,
        parameters: &mut Parameters,
    ) -> Result<Model, TrainError> {
        let width = config.hidden_size;
        let encoder = Bert::load(parameters, source, config, "", false)?;
        let weight = parameters.add(
            "classifier.weight",
            (DIGITS, width),
            source.take("classifier.weight", (DIGITS, width))?,
        );
        let bias = parameters.add("classifier.bias", (1, DIGITS), vec![0.0; DIGITS]);
        Ok(Model { encoder, head: (weight, bias) })
    }

    /// Logits of digits: pictures × 10.
    fn logits(&self, tape: &Tape, pictures: &[&Picture], mode: Mode) -> Var {
        let tokens: Vec<Vec<u32>> =
            pictures.iter().map(|picture| picture.grey.iter().map(|grey| *grey as u32).collect()).collect();
        let batch = TokenBatch::new(tokens.iter().map(Vec::as_slice));
        let hidden = self.encoder.forward(tape, &batch, mode);
        let pooled = tape.pool(&hidden, &batch.sequences, Pooling::Mean);
        let (weight, bias) = self.head;
        tape.linear(&pooled, &tape.parameter(weight), Some(&tape.parameter(bias)), None)
    }
}

/// Pictures and their digits.
struct DigitLesson<'m> {
    model: &'m Model,
    pictures: &'m [Picture],
}

impl Lesson for DigitLesson<'_> {
    fn count(&self) -> usize {
        self.pictures.len()
    }

    /// The mean of −ln p of the digits.
    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let pictures: Vec<&Picture> = examples.iter().map(|at| &self.pictures[*at]).collect();
        let logs = tape.log_softmax(&self.model.logits(tape, &pictures, mode));
        let places: Vec<usize> =
            pictures.iter().enumerate().map(|(at, picture)| at * DIGITS + picture.digit).collect();
        let count = pictures.len();
        let value = tape.scale(&tape.mean(&tape.gather(&logs, &places, (count, 1))), -1.0);
        Ok(StepLoss { value, tokens: count * PIXELS, used: count, skipped: 0 })
    }
}

fn config(width: usize, layers: usize) -> BertConfig {
    BertConfig {
        vocab_size: GREYS,
        hidden_size: width,
        num_hidden_layers: layers,
        num_attention_heads: HEADS,
        intermediate_size: 4 * width,
        max_position_embeddings: PIXELS,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        hidden_act: "gelu".into(),
    }
}

/// Numbers of the layers' matrices, as a share of those of whole layers.
fn share(model: &mut Model, parameters: &Parameters) -> f64 {
    let (mut own, mut whole) = (0, 0);
    for linear in model.encoder.linears_mut() {
        let count = |id: ParameterId| parameters[id].value.len();
        own += count(linear.weight) + linear.down.map_or(0, count);
        whole += linear.outputs * linear.inputs;
    }
    own as f64 / whole.max(1) as f64
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let pictures = digits::read(task.environment, values.word("collection"), LEARNED_FROM)?;
    let (learned, asked) = pictures.split_at(LEARNED_FROM);
    let seed = values.count("seed");
    let config = config(values.count("width"), values.count("layers"));
    let mut source: Box<dyn WeightSource> = match values.count("rank") {
        0 => Box::new(Initializer::new(seed as u64)),
        rank => Box::new(LowRankInitializer::new(seed as u64, rank)),
    };
    let mut parameters = Parameters::default();
    let mut model = Model::new(&config, &mut *source, &mut parameters)?;
    let share = share(&mut model, &parameters);
    let steps = values.count("steps");
    let settings = Settings {
        batch: values.count("batch").min(learned.len()),
        warmup: steps / 20,
        schedule: Schedule::Cosine,
        seed: seed as u64,
        ..settings_of(values)
    };
    let lesson = DigitLesson { model: &model, pictures: learned };
    let report = train_within(task, task.name, &lesson, &mut parameters, &settings)?;
    let compute = Compute::new(rayon::current_num_threads());
    let mut right = Vec::with_capacity(asked.len());
    for pictures in asked.chunks(TOGETHER) {
        let tape = Tape::inference(&parameters, &compute);
        let logits = model.logits(&tape, &pictures.iter().collect::<Vec<_>>(), Mode::default());
        for (picture, logits) in pictures.iter().zip(logits.value.chunks(DIGITS)) {
            let found = (1..DIGITS).fold(0, |best, at| if logits[at] > logits[best] { at } else { best });
            right.push(f64::from(u8::from(found == picture.digit)));
        }
    }
    let by_seed =
        [share, f64::from(report.final_loss()), f64::from(report.first_loss()), report.median_seconds()];
    let keys = (1..=right.len()).map(|at| at.to_string()).collect();
    let mut numbers = vec![Quantity::by_query("right", keys, right)];
    numbers.extend(BY_SEED.iter().zip(by_seed).map(|(name, value)| Quantity::of_seed(*name, seed, value)));
    Ok(StageOutput {
        numbers,
        facts: vec![(
            "pictures".into(),
            format!("{} learned from, {} asked for", learned.len(), asked.len()),
        )],
        ..StageOutput::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_the_share_of_the_specification_and_learn() {
        let picture = |at: usize| Picture {
            grey: (0..PIXELS).map(|pixel| if pixel / 32 == at % 2 { 16.0 } else { 0.0 }).collect(),
            digit: at % 2,
        };
        let pictures: Vec<Picture> = (0..8).map(picture).collect();
        let mut parameters = Parameters::default();
        // At 3/8 of the width: 4 square matrices with 2 · 6 · 16 of 256 numbers, two with 6 · 80 of 1024.
        let mut source = LowRankInitializer::new(1, 6);
        let mut model = Model::new(&config(16, 1), &mut source, &mut parameters).unwrap();
        assert!((share(&mut model, &parameters) - 0.5625).abs() < 1e-12);
        let lesson = DigitLesson { model: &model, pictures: &pictures };
        let settings = Settings { batch: 8, steps: 60, rate: 1e-2, checkpoint: 0, ..Settings::default() };
        let compute = Compute::new(1);
        let report = plackett_train::trainer::train(
            &lesson,
            &compute,
            &mut parameters,
            &settings,
            (None, ""),
            None,
            &mut |_, _| {},
        )
        .unwrap();
        assert!(report.final_loss() < 0.5 * report.steps[0].loss, "{}", report.final_loss());
    }
}
