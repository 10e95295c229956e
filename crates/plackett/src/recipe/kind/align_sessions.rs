//! `align-sessions`: OneRec's iterative preference alignment.

use super::session_rewards::world_and_rewards;
use super::write_sessions::{MODEL, WRITE_SESSIONS};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{large_batch, rate, settings_of, steps};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use crate::recipe::worlds::film_sessions::{Measure, Measured, restore, writer_of};
use plackett_rec::onerec::{AlignmentSettings, AlignmentTask, SessionSearch, SessionTask};
use plackett_train::objective::parse;
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;
use plackett_train::{Compute, Parameters};
use std::time::Instant;

const MEASURES: [(&str, Measure); 3] =
    [("reward", |own| own.reward), ("ltr", |own| own.ltr), ("loss", |own| own.loss)];

/// The declaration.
pub static ALIGN_SESSIONS: StageKind = StageKind {
    name: "align-sessions",
    help: "rounds of preference alignment: for a share of the requests of a training the model as it was before the round writes sessions; the reward model \
           that chooses says which is best, and which worst of the likelier half, and the model learns to prefer the one (`objective`) beside \
           writing what was logged. Gives, by person, `reward_N`, `ltr_N` and `loss_N` of the likeliest sessions after N rounds (0: before), as the other \
           reward model reports them, and `gain` (of the reward, in all rounds); and `pairs`, how many preferences there were, `ties` (requests \
           all of whose sessions had one reward) and `seconds` of the rounds",
    version: 3,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("start", FieldKind::Stage(&[OutputKind::Model]), "a stage `write-sessions`"),
        FieldSpec::new("rounds", FieldKind::Whole(1, 100), Default::Whole(3), "rounds"),
        steps((1, 10_000_000), 60, "of a round"),
        large_batch(32, "requests of a step"),
        FieldSpec::new(
            "share",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.01),
            "of the requests that preferences are made for",
        ),
        FieldSpec::new(
            "search",
            FieldKind::Choice(&["beam", "sample"]),
            Default::Text("beam"),
            "how sessions are written for them",
        ),
        FieldSpec::new("candidates", FieldKind::Whole(2, 4096), Default::Whole(128), "sessions of a request"),
        FieldSpec::new(
            "temperature",
            FieldKind::Number(0.01, 100.0),
            Default::Number(1.0),
            "of sessions that are drawn",
        ),
        FieldSpec::new(
            "reference",
            FieldKind::Choice(&["previous", "initial"]),
            Default::Text("previous"),
            "what the model is compared with: itself before the round, or before all rounds",
        ),
        FieldSpec::new(
            "objective",
            FieldKind::Text,
            Default::Text("dpo(beta=0.1)"),
            "an objective over pairs of a chosen and a rejected sequence",
        ),
        FieldSpec::new("lambda", FieldKind::Number(0.0, 1e6), Default::Number(1.0), "its weight"),
        rate(2e-4),
        super::SEED,
    ],
    chooses: None,
    check,
    numbers: |values, _| {
        let rounds = values.count("rounds");
        let measures =
            MEASURES.iter().flat_map(|(name, _)| (0..=rounds).map(move |round| format!("{name}_{round}")));
        measures.chain(["gain", "pairs", "ties", "seconds"].map(str::to_string)).collect()
    },
    outside: nothing_outside,
    estimate: |task| {
        let (rounds, steps) = (task.values.count("rounds"), task.values.count("steps"));
        let seconds = Some(rounds as f64 * (10.0 + 0.4 * steps as f64));
        Ok(Estimate { work: format!("{rounds} rounds of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

/// Refuses an objective that is none before anything runs.
fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    let refused = |problem: String| values.wrong("objective", 0, Problem::Said(problem));
    parse(values.word("objective")).map(|_| ()).map_err(|error| refused(error.to_string()))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let start = task.input_of("start", &[WRITE_SESSIONS.name])?;
    let (world, rewards) = world_and_rewards(task, task.input(start.values.word("rewards"))?)?;
    let mut parameters = Parameters::default();
    let writer = writer_of(&world, start.values, &mut parameters)?;
    restore(&mut parameters, &start.folder.join(MODEL))?;
    let initial = parameters.clone();
    let sessions = world.learned(writer.length);
    let compute = Compute::new(rayon::current_num_threads());
    let measure =
        |parameters: &Parameters| writer.measure(&world, (parameters, &compute), &rewards, (0, 1.0));
    let mut measured = vec![measure(&parameters)?];
    let (mut counts, mut seconds) = ([0, 0], 0.0);
    for round in 1..=values.count("rounds") {
        let previous = parameters.clone();
        let reference = if values.word("reference") == "initial" { &initial } else { &previous };
        let lesson = SessionTask::new(&writer.model, &world.tokens, &sessions);
        let settings = alignment(values, round)?;
        let lesson =
            AlignmentTask::new(lesson, [&previous, reference], rewards.half(0), compute.clone(), settings)?;
        let begun = Instant::now();
        let name = format!("{}, round {round}", task.name);
        train_within(task, &name, &lesson, &mut parameters, &training(values, round))?;
        seconds += begun.elapsed().as_secs_f64();
        counts.iter_mut().zip(lesson.counts()).for_each(|(sum, count)| *sum += count);
        measured.push(measure(&parameters)?);
    }
    let keys: Vec<String> = world.asked.iter().map(|(user, _)| user.clone()).collect();
    Ok(StageOutput { numbers: quantities(&keys, &measured, counts, seconds), ..StageOutput::default() })
}

/// How preferences of a round are made.
fn alignment(values: &Values, round: usize) -> Result<AlignmentSettings, StageError> {
    let number = |name: &str| values.real(name);
    let (count, seed) = (values.count("candidates"), (1000 * values.count("seed") + round) as u64);
    let search = match values.word("search") {
        "sample" => SessionSearch::Sample { count, temperature: number("temperature") as f32, seed },
        _ => SessionSearch::Beam(count),
    };
    let objective = parse(values.word("objective"))
        .map_err(|error| StageError::Field { field: "objective", problem: error.to_string() })?;
    Ok(AlignmentSettings { share: number("share"), search, lambda: number("lambda") as f32, objective, seed })
}

fn training(values: &Values, round: usize) -> Settings {
    Settings {
        schedule: Schedule::Constant,
        seed: (1000 * values.count("seed") + round) as u64,
        ..settings_of(values)
    }
}

fn quantities(
    keys: &[String],
    measured: &[Vec<Measured>],
    counts: [usize; 2],
    seconds: f64,
) -> Vec<Quantity> {
    let mut numbers = Vec::new();
    for (name, of) in MEASURES {
        for (round, measured) in measured.iter().enumerate() {
            let values = measured.iter().map(of).collect();
            numbers.push(Quantity::by_query(format!("{name}_{round}"), keys.to_vec(), values));
        }
    }
    let (first, last) = (&measured[0], &measured[measured.len() - 1]);
    let gains = first.iter().zip(last).map(|(first, last)| last.reward - first.reward).collect();
    numbers.push(Quantity::by_query("gain", keys.to_vec(), gains));
    numbers.push(Quantity::of_seeds("pairs", vec![counts[0] as f64]));
    numbers.push(Quantity::of_seeds("ties", vec![counts[1] as f64]));
    numbers.push(Quantity::of_seeds("seconds", vec![seconds]));
    numbers
}
