//! `align-pointer-ranker`: a list ranker is aligned to a reader by preferences between its own lists.

use super::SEED;
use super::facets::{MEASURES, measured};
use super::pointer_checks::Ranker;
use super::pointer_ranker::{LIST, POINTER_RANKER, facts, found, learned_lists, lessons_of, rewards};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{batch, rate, settings_of, steps};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::{Input, Task};
use crate::recipe::worlds::several_sides::list_ranker_examples::{QuestionExample, QuestionExamples};
use plackett_train::list_ranker::{Draw, ListPair, ListQuestion, ListRanker, PreferenceTask};
use plackett_train::objective::parse_sum;
use plackett_train::random::Stream;
use plackett_train::trainer::Settings;
use plackett_train::{Compute, Parameters};
use rayon::prelude::*;
use std::sync::Arc;

/// Lists whose rewards differ by less teach nothing.
const LEAST: f64 = 0.01;

/// The declaration.
pub static ALIGN_POINTER_RANKER: StageKind = StageKind {
    name: "align-pointer-ranker",
    help: "the list ranker of a stage `pointer-ranker` is aligned to a reader by direct preference optimisation: of several lists that it draws for a \
           question, the one whose reader says most of what answers the sides is preferred to the one whose reader says least. The reader copies the first words \
           of a list (the field `words` of that stage). Gives by question, of the same questions as that stage, list/alpha_nDCG, list/StRecall, list/div, list/coverage and \
           reward; margin (how much more than at the beginning it prefers the better of two lists, as a difference of logarithms, of the questions whose \
           lists differ); and by seed gap (mean difference of rewards of the pairs that it learned from) and loss",
    version: 1,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("start", FieldKind::Stage(&[OutputKind::Model]), "a stage `pointer-ranker`"),
        FieldSpec::new(
            "questions",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(400),
            "questions to learn from, at most as many as that stage has",
        ),
        FieldSpec::new(
            "lists",
            FieldKind::Whole(2, 1000),
            Default::Whole(8),
            "lists that are drawn for each",
        ),
        FieldSpec::new(
            "temperature",
            FieldKind::Number(0.01, 100.0),
            Default::Number(1.5),
            "of the draws, beside the ranker's own",
        ),
        FieldSpec::new("beta", FieldKind::Number(1e-6, 100.0), Default::Number(0.1), "slope of the loss"),
        batch(16, "pairs in a step"),
        steps((1, 1_000_000), 100, "of AdamW"),
        rate(2e-4),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| {
        let measures = MEASURES.iter().map(|measure| format!("{LIST}/{measure}"));
        measures.chain(["reward", "margin", "gap", "loss"].map(str::to_string)).collect()
    },
    outside: nothing_outside,
    estimate: |task| {
        let (steps, batch) = (task.values.count("steps"), task.values.count("batch"));
        let drawn = task.values.count("questions") * task.values.count("lists");
        Ok(Estimate {
            work: format!("draws {drawn} lists; a training of {steps} steps of {batch} pairs"),
            seconds: Some(12.0 + drawn as f64 * 0.005 + (steps * batch) as f64 * 0.01),
            ..Estimate::default()
        })
    },
    run,
};

fn start_of<'t>(task: &'t Task<'_>) -> Result<&'t Input<'t>, StageError> {
    task.input_of("start", &[POINTER_RANKER.name])
}

/// How pairs are made.
struct Pairing<'p> {
    start: Ranker<'p>,
    k: usize,
    words: usize,
    lists: usize,
    temperature: f32,
    seed: u64,
}

/// Pairs of lists, and how far the rewards of each are apart.
type Pairs = (Vec<ListPair>, Vec<f64>);

impl Pairing<'_> {
    /// The best and the worst of the lists that are drawn for each question; those that are as good as equal make no pair.
    fn pairs(
        &self,
        lessons: &QuestionExamples,
        asked: &[QuestionExample],
        part: u64,
    ) -> Result<Pairs, StageError> {
        let questions: Vec<&ListQuestion> = asked.iter().map(|lesson| &lesson.example.question).collect();
        let one = |nth: usize| self.pair(lessons, (&asked[nth], nth), &questions, part);
        let found = (0..asked.len()).into_par_iter().map(one).collect::<Result<Vec<_>, StageError>>()?;
        Ok(found.into_iter().flatten().unzip())
    }

    fn pair(
        &self,
        lessons: &QuestionExamples,
        (lesson, nth): (&QuestionExample, usize),
        questions: &[&ListQuestion],
        part: u64,
    ) -> Result<Option<(ListPair, f64)>, StageError> {
        let (ranker, parameters, compute) = self.start;
        let stream = Stream::new(self.seed, part << 32 | nth as u64);
        let draw = Some(Draw { stream, temperature: self.temperature });
        let empty = vec![Vec::new(); self.lists];
        let lists = ranker.go_on(parameters, compute, questions[nth], empty, self.k, draw)?;
        let rewards: Vec<f64> = lists.iter().map(|list| lessons.reward(lesson, list, self.words)).collect();
        let extreme = |is_better: fn(f64, f64) -> bool| {
            (1..lists.len()).fold(0, |kept, at| if is_better(rewards[at], rewards[kept]) { at } else { kept })
        };
        let (best, worst) = (extreme(|a, b| a > b), extreme(|a, b| a < b));
        let gap = rewards[best] - rewards[worst];
        if gap < LEAST {
            return Ok(None);
        }
        let both = [lists[best].clone(), lists[worst].clone()];
        Ok(Some((ListPair::new(self.start, questions, nth, both)?, gap)))
    }
}

fn align(
    task: &Task<'_>,
    ranker: &ListRanker,
    parameters: &mut Parameters,
    (questions, pairs): (&[&ListQuestion], &[ListPair]),
) -> Result<f32, StageError> {
    let values = task.values;
    let number = |name| values.real(name);
    let objective = parse_sum(&format!("dpo(beta={})", number("beta")))
        .map_err(|error| StageError::Field { field: "beta", problem: error.to_string() })?;
    let lesson = PreferenceTask { ranker: ranker.clone(), questions, pairs, objective };
    let settings = Settings {
        batch: values.count("batch").min(pairs.len()),
        warmup: values.count("steps") / 20,
        ..settings_of(values)
    };
    Ok(train_within(task, task.name, &lesson, parameters, &settings)?.final_loss())
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let input = start_of(task)?;
    let (values, first): (&Values, &Values) = (task.values, input.values);
    let lessons = lessons_of(task, first)?;
    let mut parameters = Parameters::default();
    let ranker = ListRanker::open(&input.folder, &mut parameters)?;
    let begun = parameters.clone();
    // Questions are drawn for side by side; each alone is too small to be parted.
    let alone: Arc<Compute> = Compute::new(1);
    let pairing = Pairing {
        start: (&ranker, &begun, &alone),
        k: first.count("k"),
        words: first.count("words"),
        lists: values.count("lists"),
        temperature: values.real("temperature") as f32,
        seed: values.count("seed") as u64,
    };
    let asked = &lessons.learned[..values.count("questions").min(lessons.learned.len())];
    (task.progress)(task.name, 0, values.count("steps") as u64);
    let (pairs, gaps) = pairing.pairs(&lessons, asked, 11)?;
    let (held_out, _) = pairing.pairs(&lessons, &lessons.tested, 12)?;
    if pairs.is_empty() {
        let problem = "no two lists of a question have different rewards; raise it".into();
        return Err(StageError::Field { field: "temperature", problem });
    }
    let questions: Vec<&ListQuestion> = asked.iter().map(|lesson| &lesson.example.question).collect();
    let loss = align(task, &ranker, &mut parameters, (&questions, &pairs))?;
    ranker.save(&parameters, task.folder)?;
    let compute = Compute::new(rayon::current_num_threads());
    let aligned: Ranker<'_> = (&ranker, &parameters, &compute);
    let found = found(&lessons, aligned, first.count("k"))?;
    let mut made = measured(first.count("k"), &lessons.faceted, &[learned_lists(&lessons, &found)?])?;
    made.numbers.push(rewards(&lessons, &found, first.count("words")));
    made.numbers.push(margins(&lessons, &held_out, aligned)?);
    let seed = values.count("seed");
    let gap = gaps.iter().sum::<f64>() / gaps.len().max(1) as f64;
    made.numbers.push(Quantity::of_seed("gap", seed, gap));
    made.numbers.push(Quantity::of_seed("loss", seed, f64::from(loss)));
    made.facts.extend(facts(&lessons, &parameters));
    let told = format!(
        "{} of {} questions to learn from, {} of {} to test with",
        pairs.len(),
        asked.len(),
        held_out.len(),
        lessons.tested.len()
    );
    made.facts.push(("questions with lists of different rewards".into(), told));
    Ok(made)
}

/// The margin of each pair of a question to test with.
fn margins(
    lessons: &QuestionExamples,
    pairs: &[ListPair],
    ranker: Ranker<'_>,
) -> Result<Quantity, StageError> {
    let questions: Vec<&ListQuestion> =
        lessons.tested.iter().map(|lesson| &lesson.example.question).collect();
    let keys = pairs.iter().map(|pair| lessons.tested[pair.question].question.id.clone()).collect();
    let values = pairs.iter().map(|pair| pair.margin(ranker, &questions)).collect::<Result<_, _>>()?;
    Ok(Quantity::by_query("margin", keys, values))
}
