//! `write-sessions`: OneRec learns to write sessions of films.

use super::session_rewards::world_and_rewards;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{large_batch, rate, settings_of, steps};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::{Input, Task};
use crate::recipe::worlds::film_sessions::{Measure, keep, measured_loads, writer_of};
use crate::recipe::worlds::recommending::floor_cases::{FloorCase, FloorCases};
use plackett_rec::onerec::{Session, SessionTask};
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;
use plackett_train::{Compute, Parameters};
use std::time::Instant;

/// The file of the model.
pub(super) const MODEL: &str = "model";
/// Numbers by person.
const BY_USER: [(&str, Measure); 6] = [
    ("loss", |own| own.loss),
    ("duplicates", |own| own.duplicates),
    ("recall", |own| own.recall),
    ("reward", |own| own.reward),
    ("ltr", |own| own.ltr),
    ("best_reward", |own| own.best_reward),
];
const BY_SEED: [&str; 3] = ["least_load", "greatest_load", "seconds"];

/// How sessions are written and measured.
pub(super) const REWARDS: FieldSpec =
    FieldSpec::required("rewards", FieldKind::Stage(&[OutputKind::Model]), "a stage `session-rewards`");

/// The declaration.
pub static WRITE_SESSIONS: StageKind = StageKind {
    name: "write-sessions",
    help: "an encoder–decoder from drawn weights reads the codes of what somebody liked and learns to write the next session, or (`writes` = `next`) the \
           next film, which is written again and again and read as liked until a session is there; feed-forward networks of the decoder are \
           mixtures of experts. Gives, by person: `loss` (mean −ln p over the tokens of the held-out session, or its first film), and of the \
           likeliest session `duplicates` (share of films that are in it twice), `recall` (share of the held-out films in it), `reward` (mean of all \
           targets, as the reward model foretells it that never chooses) and `ltr` (its likes), and `best_reward` (the same of the one that the other reward model \
           chooses among `candidates` drawn ones); and `least_load` and `greatest_load` of an expert (1 where all are used alike) and `seconds` of \
           the training",
    version: 3,
    gives: OutputKind::Model,
    fields: &[
        REWARDS,
        FieldSpec::new(
            "writes",
            FieldKind::Choice(&["session", "next"]),
            Default::Text("session"),
            "what is written in one go",
        ),
        FieldSpec::new(
            "experts",
            FieldKind::Whole(0, 4096),
            Default::Whole(24),
            "experts of a layer; 0 for a dense network of the active ones' size",
        ),
        FieldSpec::new(
            "active",
            FieldKind::Whole(1, 4096),
            Default::Whole(2),
            "experts that a token goes through",
        ),
        FieldSpec::new(
            "balance",
            FieldKind::Number(0.0, 1e6),
            Default::Number(0.0),
            "weight of the loss that balances experts",
        ),
        FieldSpec::new("width", FieldKind::Whole(1, 4096), Default::Whole(64), "numbers of a token"),
        FieldSpec::new(
            "blocks",
            FieldKind::Whole(1, 100),
            Default::Whole(2),
            "layers of the encoder, and of the decoder",
        ),
        FieldSpec::new(
            "heads",
            FieldKind::Whole(1, 1024),
            Default::Whole(4),
            "heads of attention, a divisor of the width",
        ),
        FieldSpec::new(
            "inner",
            FieldKind::Whole(1, 65_536),
            Default::Whole(64),
            "numbers between the matrices of an expert",
        ),
        FieldSpec::new(
            "history",
            FieldKind::Whole(1, 10_000),
            Default::Whole(20),
            "liked films that are read, the newest",
        ),
        steps((1, 10_000_000), 400, "of the training"),
        large_batch(32, "sessions of a step"),
        rate(2e-3),
        FieldSpec::new(
            "dropout",
            FieldKind::Number(0.0, 0.99),
            Default::Number(0.1),
            "share of numbers set to zero in training",
        ),
        FieldSpec::new(
            "candidates",
            FieldKind::Whole(1, 4096),
            Default::Whole(16),
            "drawn sessions of which the best is chosen",
        ),
        FieldSpec::new(
            "temperature",
            FieldKind::Number(0.01, 100.0),
            Default::Number(1.0),
            "of what is drawn",
        ),
        super::SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| {
        BY_USER.iter().map(|(name, _)| name.to_string()).chain(BY_SEED.map(str::to_string)).collect()
    },
    outside: nothing_outside,
    estimate: |task| {
        let steps = task.values.count("steps");
        let seconds = Some(40.0 + 0.3 * steps as f64);
        Ok(Estimate { work: format!("a training of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (world, rewards) = world_and_rewards(task, task.input(values.word("rewards"))?)?;
    let number = |name: &str| values.real(name) as f32;
    let mut parameters = Parameters::default();
    let writer = writer_of(&world, values, &mut parameters)?;
    let sessions = world.learned(writer.length);
    let steps = values.count("steps");
    let settings = Settings { warmup: steps / 50, schedule: Schedule::Cosine, ..settings_of(values) };
    let lesson = SessionTask::new(&writer.model, &world.tokens, &sessions).balanced(number("balance"));
    let begun = Instant::now();
    train_within(task, task.name, &lesson, &mut parameters, &settings)?;
    let seconds = begun.elapsed().as_secs_f64();
    keep(&parameters, &task.folder.join(MODEL))?;
    let compute = Compute::new(rayon::current_num_threads());
    let drawn = (values.count("candidates"), number("temperature"));
    let measured = writer.measure(&world, (&parameters, &compute), &rewards, drawn)?;
    let keys: Vec<String> = world.asked.iter().map(|(user, _)| user.clone()).collect();
    let mut numbers: Vec<Quantity> = BY_USER
        .iter()
        .map(|(name, of)| Quantity::by_query(*name, keys.clone(), measured.iter().map(of).collect()))
        .collect();
    let [least, greatest] = measured_loads(&world, &writer, (&parameters, &compute))?;
    numbers.extend(
        BY_SEED
            .iter()
            .zip([least, greatest, seconds])
            .map(|(name, value)| Quantity::of_seeds(name, vec![value])),
    );
    Ok(StageOutput {
        numbers,
        warnings: Vec::new(),
        facts: vec![
            ("sessions to learn from".into(), sessions.len().to_string()),
            ("parameters".into(), parameters.count().to_string()),
        ],
    })
}

/// The liked films of everybody before what is asked for, and the sessions that are asked for.
pub(super) fn floor_cases(task: &Task<'_>, input: &Input<'_>) -> Result<FloorCases, StageError> {
    let (world, _) = world_and_rewards(task, task.input(input.values.word("rewards"))?)?;
    let case = |(user, session): &(String, Session)| FloorCase {
        key: user.clone(),
        history: session.history.clone(),
        targets: session.items.clone(),
    };
    Ok(FloorCases {
        catalogue: world.films(),
        learned: world.liked(),
        cases: world.asked.iter().map(case).collect(),
        exclude_seen: false,
    })
}
