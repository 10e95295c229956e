//! `train-in-context`: a small decoder that learns to find a passage in a prompt of blocks (BlockRank).

use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::small_decoder::{BATCH, HEADS, LAYERS, NARROW_WIDTH, RATE, STEPS, check_width};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::settings_of;
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use plackett_train::in_context::{
    InContextPrompt, InContextReading, InContextSettings, InContextTask, read_prompts,
};
use plackett_train::nn::{Initializer, Llama, LlamaConfig};
use plackett_train::optimizer::Schedule;
use plackett_train::random::Stream;
use plackett_train::trainer::Settings;
use plackett_train::{Compute, Parameters};

const BY_PROMPT: [&str; 3] = ["attention", "decoded", "share"];
const BY_SEED: [&str; 2] = ["loss", "first_loss"];
/// The stream of random numbers of prompts that are asked.
const TESTED: u64 = 1 << 40;

/// The declaration.
pub static TRAIN_IN_CONTEXT: StageKind = StageKind {
    name: "train-in-context",
    help: "a small decoder over words, from drawn weights, learns in prompts of blocks (an instruction with the query, passages that see it and \
           themselves, the query again, the beginning of the answer) which passage has the words of the query, and to write its number. In each prompt \
           all words are drawn anew and none is in two passages. The loss is that of the answer and, by `auxiliary`, that of BlockRank on the \
           attention to passages at `layer`. Gives, by prompt that was not learned from, `attention` (1 where the right passage gets most of it at \
           that layer), `decoded` (1 where its number is the likeliest among the numbers of passages) and `share` (of attention that it gets); and \
           by seed `loss` (over the last tenth of the steps) and `first_loss`",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::new("passages", FieldKind::Whole(2, 1000), Default::Whole(8), "passages of a prompt"),
        FieldSpec::new("words", FieldKind::Whole(1, 1000), Default::Whole(2), "words of a passage"),
        FieldSpec::new("asked", FieldKind::Whole(1, 1000), Default::Whole(2), "of them, words of the query"),
        FieldSpec::new(
            "vocabulary",
            FieldKind::Whole(2, 1_000_000),
            Default::Whole(32),
            "different words; at least as many as a prompt has",
        ),
        FieldSpec { default: Default::Whole(3), ..LAYERS },
        NARROW_WIDTH,
        FieldSpec::new(
            "layer",
            FieldKind::Whole(0, 100),
            Default::Whole(0),
            "whose attention is read, from 1; 0 for the one at 60 % of the depth",
        ),
        FieldSpec::new(
            "answer",
            FieldKind::Number(0.0, 1e6),
            Default::Number(1.0),
            "weight of the loss on the answer",
        ),
        FieldSpec::new(
            "auxiliary",
            FieldKind::Number(0.0, 1e6),
            Default::Number(0.1),
            "weight of the loss on attention",
        ),
        FieldSpec::new(
            "temperature",
            FieldKind::Number(0.0001, 1e4),
            Default::Number(0.05),
            "by which shares of attention are divided in that loss",
        ),
        BATCH,
        STEPS,
        RATE,
        FieldSpec::new(
            "tested",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(500),
            "prompts that are asked, the same ones whatever the seed",
        ),
        super::SEED,
    ],
    chooses: None,
    check,
    numbers: |_, _| BY_PROMPT.iter().chain(&BY_SEED).map(ToString::to_string).collect(),
    outside: nothing_outside,
    estimate: |task| {
        let values = task.values;
        let steps = values.count("steps");
        let tokens = values.count("batch") * values.count("passages") * (values.count("words") + 6);
        let seconds = Some(5.0 + steps as f64 * tokens as f64 * 7e-5);
        Ok(Estimate { work: format!("a training of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

fn check(values: &Values, registry: &Registry) -> Result<(), RecipeError> {
    check_width(values, registry)?;
    let said = |field, problem: String| Err(values.wrong(field, 0, Problem::Said(problem)));
    let (passages, words) = (values.count("passages"), values.count("words"));
    if values.count("vocabulary") < passages * words {
        return said("vocabulary", format!("{passages} passages have {} different words", passages * words));
    }
    if values.count("asked") > words {
        return said("asked", format!("a passage has {words} words, and no more can be asked for"));
    }
    if values.count("layer") > values.count("layers") {
        return said("layer", format!("there are {} layers", values.count("layers")));
    }
    let weight = |name| values.real(name);
    if weight("answer") + weight("auxiliary") == 0.0 {
        return said("auxiliary", "without it and without `answer` there is nothing to learn".into());
    }
    Ok(())
}

/// Tokens that say what stands where; numbers of passages and words follow.
#[derive(Clone, Copy)]
enum Mark {
    Find,
    Query,
    Passages,
    Number,
    Content,
    End,
    Now,
    Answer,
    Colon,
    Open,
    Close,
}

impl Mark {
    const COUNT: u32 = 11;

    fn token(self) -> u32 {
        self as u32
    }
}

/// What prompts are made of.
#[derive(Clone, Copy)]
struct World {
    passages: usize,
    words: usize,
    asked: usize,
    vocabulary: usize,
}

impl World {
    fn new(values: &Values) -> World {
        World {
            passages: values.count("passages"),
            words: values.count("words"),
            asked: values.count("asked"),
            vocabulary: values.count("vocabulary"),
        }
    }

    fn tokens(&self) -> usize {
        Mark::COUNT as usize + self.passages + self.vocabulary
    }

    fn numbers(&self) -> Vec<u32> {
        (Mark::COUNT..).take(self.passages).collect()
    }

    /// A prompt that follows from a seed and a place.
    fn prompt(&self, seed: u64, place: u64) -> InContextPrompt {
        let drawn = Stream::new(seed, 2 * place).permutation(self.vocabulary);
        let choice = Stream::new(seed, 2 * place + 1);
        let right = choice.below(0, self.passages);
        let first_word = Mark::COUNT + self.passages as u32;
        let word = |at: usize| first_word + drawn[at] as u32;
        let asked: Vec<u32> = choice
            .permutation(self.words)
            .into_iter()
            .take(self.asked)
            .map(|at| word(right * self.words + at))
            .collect();
        let numbers = self.numbers();
        let passage = |at: usize| {
            let mut passage = vec![Mark::Number.token(), numbers[at], Mark::Content.token()];
            passage.extend((at * self.words..(at + 1) * self.words).map(word));
            passage.extend([Mark::End.token(), numbers[at]]);
            passage
        };
        let around = |before: &[Mark], after: &[Mark]| -> Vec<u32> {
            let tokens = |marks: &[Mark]| marks.iter().map(|mark| mark.token()).collect::<Vec<_>>();
            [tokens(before), asked.clone(), tokens(after)].concat()
        };
        InContextPrompt {
            instruction: around(&[Mark::Find, Mark::Query], &[Mark::Passages]),
            passages: (0..self.passages).map(passage).collect(),
            question: around(&[Mark::Now, Mark::Query], &[Mark::Answer, Mark::Colon, Mark::Open]),
            answer: vec![numbers[right], Mark::Close.token()],
            labels: (0..self.passages).map(|at| f32::from(u8::from(at == right))).collect(),
        }
    }
}

/// The layer that is read: BlockRank's is at about 60 % of the depth.
fn layer_of(values: &Values) -> usize {
    match values.count("layer") {
        0 => ((0.6 * values.count("layers") as f64).round() as usize).max(1),
        layer => layer,
    }
}

/// Numbers of matrices with the deviation 1/√inputs in the place of the usual 0.02, which is meant for wide models: in one as narrow as these
/// products of queries and keys would begin so near to 0 that hundreds of steps change nothing.
fn widen(parameters: &mut Parameters) {
    for (_, parameter) in parameters.iter_mut().filter(|(_, parameter)| !parameter.is_vector()) {
        let by = 1.0 / (0.02 * (parameter.columns as f32).sqrt());
        parameter.values_mut().iter_mut().for_each(|x| *x *= by);
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (world, seed) = (World::new(values), values.count("seed") as u64);
    let width = values.count("width");
    let config = LlamaConfig::small(world.tokens(), values.count("layers"), (width, 3 * width), HEADS);
    let config = LlamaConfig { tie_word_embeddings: true, ..config };
    let mut parameters = Parameters::default();
    let llama = Llama::load(&mut parameters, &mut Initializer::new(seed), &config)?;
    widen(&mut parameters);
    let number = |name| values.real(name) as f32;
    let settings = InContextSettings {
        answer: number("answer"),
        auxiliary: number("auxiliary"),
        temperature: number("temperature"),
        ..InContextSettings::at(layer_of(values))
    };
    let (batch, steps) = (values.count("batch"), values.count("steps"));
    // Each prompt is learned from once.
    let learned: Vec<InContextPrompt> =
        (0..(batch * steps) as u64).map(|place| world.prompt(seed, place)).collect();
    let lesson = InContextTask::new(&llama, &learned, settings)?;
    let schedule =
        Settings { batch, warmup: steps / 20, schedule: Schedule::Cosine, seed, ..settings_of(values) };
    let report = train_within(task, task.name, &lesson, &mut parameters, &schedule)?;
    let tested: Vec<InContextPrompt> =
        (0..values.count("tested") as u64).map(|place| world.prompt(0, TESTED + place)).collect();
    let compute = Compute::new(rayon::current_num_threads());
    let readings = read_prompts((&llama, &parameters, &compute), &tested, &world.numbers(), &settings)?;
    let of_seed = [f64::from(report.final_loss()), f64::from(report.first_loss())];
    let mut numbers = measured(&tested, &readings);
    let of_seed = BY_SEED.into_iter().zip(of_seed);
    numbers.extend(of_seed.map(|(name, value)| Quantity::of_seed(name, seed as usize, value)));
    Ok(StageOutput {
        numbers,
        facts: vec![
            ("layer".into(), settings.layer.to_string()),
            ("by chance".into(), format!("{:.3}", 1.0 / world.passages as f64)),
        ],
        ..StageOutput::default()
    })
}

/// The numbers by prompt.
fn measured(prompts: &[InContextPrompt], readings: &[InContextReading]) -> Vec<Quantity> {
    let keys: Vec<String> = (1..=prompts.len()).map(|at| at.to_string()).collect();
    let mut columns = [const { Vec::new() }; BY_PROMPT.len()];
    for (prompt, reading) in prompts.iter().zip(readings) {
        let is_right = |passage: usize| f64::from(u8::from(prompt.labels[passage] > 0.0));
        let share: f64 = reading
            .shares
            .iter()
            .zip(&prompt.labels)
            .filter(|(_, label)| **label > 0.0)
            .map(|(share, _)| f64::from(*share))
            .sum();
        columns[0].push(is_right(reading.attended()));
        columns[1].push(is_right(reading.written()));
        columns[2].push(share);
    }
    let numbers = BY_PROMPT.iter().zip(columns);
    numbers.map(|(name, values)| Quantity::by_query(*name, keys.clone(), values)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_asks_for_words_that_one_passage_has() {
        let world = World { passages: 3, words: 2, asked: 1, vocabulary: 6 };
        let mut places = [0; 3];
        for place in 0..60 {
            let prompt = world.prompt(7, place);
            // Marks, numbers 11 to 13, words 14 to 19.
            let right = prompt.labels.iter().position(|label| *label > 0.0).unwrap();
            places[right] += 1;
            assert_eq!(prompt.labels.iter().sum::<f32>(), 1.0);
            assert_eq!(prompt.answer, [11 + right as u32, Mark::Close.token()]);
            assert_eq!(prompt.question[..2], [Mark::Now.token(), Mark::Query.token()]);
            assert_eq!(prompt.question[3..], [Mark::Answer, Mark::Colon, Mark::Open].map(Mark::token));
            assert_eq!(prompt.instruction[2], prompt.question[2]);
            let has = |passage: &Vec<u32>| passage.contains(&prompt.question[2]);
            assert_eq!(prompt.passages.iter().position(has), Some(right));
            assert_eq!(prompt.passages.iter().filter(|passage| has(passage)).count(), 1);
            let mut words: Vec<u32> =
                prompt.passages.iter().flat_map(|passage| passage[3..5].to_vec()).collect();
            words.sort_unstable();
            assert_eq!(words, (14..20).collect::<Vec<_>>());
            assert_eq!((prompt.passages[1][1], prompt.passages[1][6]), (12, 12));
        }
        assert!(places.iter().all(|count| *count > 5), "{places:?}");
        assert_ne!(world.prompt(7, 0), world.prompt(7, 1));
    }

    #[test]
    fn what_is_right_is_counted_by_prompt() {
        let prompt = InContextPrompt { labels: vec![0.0, 1.0, 0.0], ..InContextPrompt::default() };
        let readings = [
            InContextReading { shares: vec![0.2, 0.5, 0.3], logits: vec![1.0, 0.0, 0.0] },
            InContextReading { shares: vec![0.4, 0.4, 0.2], logits: vec![1.0, 2.0, 0.0] },
        ];
        let found = measured(&[prompt.clone(), prompt], &readings);
        assert_eq!(found[0].values, [1.0, 0.0]);
        assert_eq!(found[1].values, [0.0, 1.0]);
        assert!((found[2].values[0] - 0.5).abs() < 1e-6 && (found[2].values[1] - 0.4).abs() < 1e-6);
    }
}
