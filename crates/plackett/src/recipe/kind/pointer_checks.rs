//! What a list ranker is held to beside its lists: how it goes on after beginnings that are not its own, that its lists are lists, and
//! what they cost.

use crate::pipeline::ModelError;
use crate::recipe::error::StageError;
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::task::Task;
use crate::recipe::worlds::several_sides::list_ranker_examples::{QuestionExample, QuestionExamples};
use plackett_core::Document;
use plackett_lm::EmbedOptions;
use plackett_lm::store::BUNDLED;
use plackett_train::list_ranker::{ListQuestion, ListRanker};
use plackett_train::random::Stream;
use plackett_train::{Compute, Parameters};
use std::sync::Arc;
use std::time::Instant;

/// Candidates of random beginnings.
const BEGINNINGS: [usize; 2] = [1, 3];
/// Beginnings of a question.
const DRAWS: u64 = 8;
/// Questions whose lists are looked at closely.
const LOOKED_AT: usize = 10;
/// Candidates of which all lists of two are counted.
const FEW: usize = 5;
/// Candidates of a list whose time is taken.
const TIMED: usize = 10;

/// The names of the numbers.
pub fn names(timed: usize) -> Vec<String> {
    let beginnings = BEGINNINGS.map(|count| format!("after_{count}"));
    let times: &[&str] = if timed > 0 { &["encode_seconds", "list_seconds"] } else { &[] };
    let others = ["repeats", "moved", "probability"].iter().chain(times).map(ToString::to_string);
    beginnings.into_iter().chain(others).collect()
}

/// A ranker with its weights.
pub type Ranker<'r> = (&'r ListRanker, &'r Parameters, &'r Arc<Compute>);

/// The numbers of [`names`].
///
/// # Errors
/// Vectors that do not fit, or an encoder that cannot be run.
pub fn measured(
    task: &Task<'_>,
    lessons: &QuestionExamples,
    ranker: Ranker<'_>,
) -> Result<Vec<Quantity>, StageError> {
    let (k, seed) = (task.values.count("k"), task.values.count("seed") as u64);
    let by_question = |name: String, lessons: &[QuestionExample], values: Vec<f64>| {
        Quantity::by_query(name, lessons.iter().map(|lesson| lesson.question.id.clone()).collect(), values)
    };
    let mut numbers = Vec::new();
    for count in BEGINNINGS {
        let of = |(nth, lesson): (usize, &QuestionExample)| {
            after(lesson, ranker, (count, k), Stream::new(seed, 7 << 32 | nth as u64))
        };
        let values = lessons.tested.iter().enumerate().map(of).collect::<Result<_, StageError>>()?;
        numbers.push(by_question(format!("after_{count}"), &lessons.tested, values));
    }
    let looked_at = &lessons.tested[..LOOKED_AT.min(lessons.tested.len())];
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    for lesson in looked_at {
        let question = &lesson.example.question;
        let values = [repeats(question, ranker)?, moved(question, ranker)?, probability(question, ranker)?];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    for (name, column) in ["repeats", "moved", "probability"].into_iter().zip(columns) {
        numbers.push(by_question(name.into(), looked_at, column));
    }
    let timed = &lessons.tested[..task.values.count("timed").min(lessons.tested.len())];
    if !timed.is_empty() {
        let times: Vec<[f64; 2]> =
            timed.iter().map(|lesson| seconds(task, lessons, lesson, ranker)).collect::<Result<_, _>>()?;
        for (at, name) in ["encode_seconds", "list_seconds"].into_iter().enumerate() {
            numbers.push(by_question(name.into(), timed, times.iter().map(|pair| pair[at]).collect()));
        }
    }
    Ok(numbers)
}

/// How well it goes on after random beginnings of so many candidates, on average.
fn after(
    lesson: &QuestionExample,
    (ranker, parameters, compute): Ranker<'_>,
    (begun, k): (usize, usize),
    stream: Stream,
) -> Result<f64, StageError> {
    let question = &lesson.example.question;
    let beginning = |draw: u64| {
        let mut drawn = Stream::new(stream.word(0).into(), draw).permutation(question.count());
        drawn.truncate(begun);
        drawn
    };
    let beginnings = (0..DRAWS).map(beginning).collect();
    let lists = ranker.go_on(parameters, compute, question, beginnings, k, None)?;
    let values: Vec<f64> =
        lists.iter().map(|list| lesson.continued(list, begun)).collect::<Result<_, StageError>>()?;
    Ok(mean(&values))
}

/// Candidates that stand twice or not at all in a list of all.
fn repeats(question: &ListQuestion, (ranker, parameters, compute): Ranker<'_>) -> Result<f64, StageError> {
    let list = ranker.best(parameters, compute, question, question.count())?;
    let mut times = vec![0usize; question.count()];
    list.iter().for_each(|at| times[*at] += 1);
    Ok(times.iter().filter(|times| **times != 1).count() as f64)
}

/// The share of the first places that change when candidates come in the opposite order.
fn moved(question: &ListQuestion, (ranker, parameters, compute): Ranker<'_>) -> Result<f64, StageError> {
    let count = question.count();
    let turned = |values: &[f32]| -> Vec<f32> {
        values.chunks((values.len() / count).max(1)).rev().flatten().copied().collect()
    };
    let other = ListQuestion {
        candidates: turned(&question.candidates),
        extra: turned(&question.extra),
        ..question.clone()
    };
    let most = TIMED.min(count);
    let list = ranker.best(parameters, compute, question, most)?;
    let turned = ranker.best(parameters, compute, &other, most)?;
    let changed = list.iter().zip(&turned).filter(|(at, turned)| **at != count - 1 - **turned).count();
    Ok(changed as f64 / most.max(1) as f64)
}

/// The sum of the probabilities of all lists of two of the first few candidates.
fn probability(
    question: &ListQuestion,
    (ranker, parameters, compute): Ranker<'_>,
) -> Result<f64, StageError> {
    let (count, dimension) = (question.count(), question.question.len());
    let few = FEW.min(count);
    let shortened = ListQuestion {
        candidates: question.candidates[..few * dimension].to_vec(),
        extra: question.extra[..few * (question.extra.len() / count)].to_vec(),
        ..question.clone()
    };
    let lists: Vec<[usize; 2]> =
        (0..few).flat_map(|a| (0..few).filter(move |b| *b != a).map(move |b| [a, b])).collect();
    let views: Vec<&[usize]> = lists.iter().map(|list| &list[..]).collect();
    let logs = ranker.log_probabilities_of(parameters, compute, &shortened, &views)?;
    Ok(logs.into_iter().map(|log| f64::from(log).exp()).sum())
}

/// Seconds in which the encoder reads all candidates of a question, and in which the list is written once it has.
fn seconds(
    task: &Task<'_>,
    lessons: &QuestionExamples,
    lesson: &QuestionExample,
    (ranker, parameters, compute): Ranker<'_>,
) -> Result<[f64; 2], StageError> {
    let model = task.environment.models(Some(BUNDLED)).open(None)?;
    let all: Vec<usize> = (0..lesson.places.len()).collect();
    let texts: Vec<_> = lessons.documents(lesson, &all).map(Document::model_text).collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let begun = Instant::now();
    model.embed(&texts, &EmbedOptions::default()).map_err(ModelError::from)?;
    let encoding = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    ranker.best(parameters, compute, &lesson.example.question, TIMED)?;
    Ok([encoding, begun.elapsed().as_secs_f64()])
}
