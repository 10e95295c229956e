//! `reward-reasoning`: decoders that reason and answer are rewarded for what their answers are worth.

use super::imitate_reasoning::{IMITATE_REASONING, MEASURES, Reasoning, remove};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::policy_summary::{PolicySummary, constant_warning};
use crate::recipe::models::small_decoder::folder_of;
use crate::recipe::models::training::train_kept;
use crate::recipe::models::training_fields::{UPDATES, batch, check_updates, rate, settings_of};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::{Input, Task};
use crate::recipe::worlds::reasoner::{Format, JudgedList, Measured, ReasonRewarder, Showing};
use plackett_core::formats::atomic;
use plackett_train::Parameters;
use plackett_train::optimizer::Schedule;
use plackett_train::rl::{
    Generation, KeptRecords, PolicyLoss, PolicyTask, RatioLevel, RolloutRecord, Rollouts, Updates,
    constant_steps,
};
use plackett_train::trainer::{END_TOKEN, LanguageModel, Settings};
use std::sync::{Arc, Mutex, PoisonError};

/// How far a ratio may go; in the first step of each rollout none goes anywhere.
const CLIP: (f32, f32) = (0.2, 0.2);
/// Numbers by seed beside the measures and `well_formed`.
const NUMBERS: [&str; 9] = [
    "reward_begin",
    "reward_end",
    "variance_begin",
    "variance_end",
    "divergence",
    "drawn_well_formed",
    "without_advantage",
    "constant_steps",
    "rollout_share",
];

/// The declaration.
pub static REWARD_REASONING: StageKind = StageKind {
    name: "reward-reasoning",
    help: "the decoders of a stage `imitate-reasoning` draw several answers about some lists, are rewarded for them and take a step up (GRPO; \
           with one of the `updates` a draw ratios are 1): `setwise` 1 for the right label in the right form (Rank-R1), `groups` nDCG, recall and the \
           likeness of the distributions of grades (GroupRank), `listwise` nDCG, recall and rank-biased overlap with the teacher's order \
           (ReasonRank), `pointwise` the rank of a grade among all grades of a list's documents (ERank; advantages are within the answers about \
           one document). With `constrained` answers are drawn among the tokens of the form, and those without a choice have no part in the loss (of a free answer all have), while loss \
           and divergence have probabilities over all tokens, which is biased: the gradient also moves probability between the tokens of the form and all others, and the \
           divergence is estimated from answers that the free decoder would not draw as often; the bias is small where it keeps to the form by itself. \
           Gives the numbers of that stage and, by seed, `reward_begin`, \
           `reward_end`, `variance_begin` and `variance_end` (of the drawn answers, in the first and last tenth of the steps), `divergence` (from the start, a token, \
           at the end), `drawn_well_formed` (share of the drawn answers), `without_advantage` (share of the prompts whose answers are worth the same), \
           `constant_steps` (share of the steps in which that is so of all prompts; they are named in a warning) and `rollout_share` (of the time of a step). \
           A line a step is in `rollouts-SEED.jsonl`. A run that was killed goes on from its last checkpoint to the same weights",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("start", FieldKind::Stage(&[OutputKind::Model]), "a stage `imitate-reasoning`"),
        FieldSpec::new("group", FieldKind::Whole(2, 1024), Default::Whole(8), "answers to a prompt"),
        batch(16, "prompts of a step; with `pointwise`, lists, of which every document is a prompt"),
        FieldSpec::required("steps", FieldKind::Whole(1, i64::MAX), "steps"),
        UPDATES,
        rate(5e-4),
        FieldSpec::new(
            "kl",
            FieldKind::Number(0.0, 100.0),
            Default::Number(1e-3),
            "weight of the divergence from the start",
        ),
        FieldSpec::new("temperature", FieldKind::Number(0.01, 100.0), Default::Number(1.0), "of the draws"),
        FieldSpec::new(
            "constrained",
            FieldKind::Switch,
            Default::Switch(true),
            "whether answers are held to their form while they are written",
        ),
    ],
    chooses: None,
    check: check_updates,
    numbers: |_, _| {
        MEASURES.iter().chain(&["well_formed"]).chain(&NUMBERS).map(ToString::to_string).collect()
    },
    outside: nothing_outside,
    estimate: |task| {
        let start = start_of(task)?;
        let (steps, seeds) = (task.values.count("steps"), start.values.count("seeds"));
        let answers = task.values.count("batch") * task.values.count("group");
        let seconds = Some((seeds * steps * answers) as f64 * 0.004);
        Ok(Estimate {
            work: format!("{seeds} trainings of {steps} steps of {answers} answers and more"),
            seconds,
            ..Estimate::default()
        })
    },
    run,
};

/// The stage whose decoders are taken over.
fn start_of<'t>(task: &'t Task<'_>) -> Result<&'t Input<'t>, StageError> {
    task.input_of("start", &[IMITATE_REASONING.name])
}

/// What a training of one seed gives.
struct Learned {
    measured: Measured,
    records: Vec<RolloutRecord>,
    /// Of all steps.
    seconds: f64,
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let start = start_of(task)?;
    let reasoning = Reasoning::of(start.values)?;
    let mut all = Vec::new();
    for seed in 1..=start.values.count("seeds") {
        let learned = learn(task, start, &reasoning, seed)?;
        write_records(task, seed, &learned.records)?;
        all.push(learned);
    }
    for seed in 1..=all.len() {
        remove(task, &part_of(seed))?;
    }
    let measured: Vec<Measured> = all.iter().map(|seed| seed.measured.clone()).collect();
    let mut made = StageOutput { numbers: reasoning.numbers(&measured), ..StageOutput::default() };
    let numbers: Vec<[f64; NUMBERS.len()]> = all.iter().map(summed_up).collect();
    for (at, name) in NUMBERS.into_iter().enumerate() {
        made.numbers.push(Quantity::of_seeds(name, numbers.iter().map(|seed| seed[at]).collect()));
    }
    let share = mean(&numbers.iter().map(|seed| seed[NUMBERS.len() - 1]).collect::<Vec<_>>());
    made.facts.push(("rollouts".into(), format!("{:.0} % of the time of the steps", 100.0 * share)));
    for (at, learned) in all.iter().enumerate() {
        made.warnings.extend(constant_warning(at + 1, &learned.records));
    }
    Ok(made)
}

/// The folder of log, checkpoints and weights of a seed.
fn part_of(seed: usize) -> String {
    format!("policy-{seed}")
}

/// One line for each step.
fn write_records(task: &Task<'_>, seed: usize, records: &[RolloutRecord]) -> Result<(), StageError> {
    let path = task.folder.join(format!("rollouts-{seed}.jsonl"));
    let line = |record: &RolloutRecord| serde_json::to_string(record).unwrap_or_default() + "\n";
    let text: String = records.iter().map(line).collect();
    Ok(atomic::write(&path, |out| out.write_all(text.as_bytes()))?)
}

/// The numbers of [`NUMBERS`].
fn summed_up(learned: &Learned) -> [f64; NUMBERS.len()] {
    let records = &learned.records[..];
    let summary = PolicySummary::of(records, learned.seconds);
    let ([reward_begin, reward_end], [variance_begin, variance_end]) = (summary.reward, summary.variance);
    [
        reward_begin,
        reward_end,
        variance_begin,
        variance_end,
        summary.divergence,
        summary.well_formed,
        summary.without_advantage,
        constant_steps(records).len() as f64 / records.len().max(1) as f64,
        summary.rollout_share,
    ]
}

fn learn(
    task: &Task<'_>,
    start: &Input<'_>,
    reasoning: &Reasoning,
    seed: usize,
) -> Result<Learned, StageError> {
    let values = task.values;
    let folder = folder_of(&start.folder, seed);
    let mut parameters = Parameters::default();
    let model = LanguageModel::open(&folder, &mut parameters)?;
    let before = parameters.clone();
    // As many lists as are looked at once, or all there are.
    let (mut lists, _) = reasoning.lists(start.values, seed)?;
    lists.truncate(values.count("steps") * values.count("batch"));
    let showings = reasoning.shape.showings(&lists, seed as u64);
    let asked = reasoning.asked((&lists, &showings), values.on("constrained"));
    let prompts = asked.prompts();
    let scratch = task.folder.join(part_of(seed)).join("weights");
    let reference = match (reasoning.shape.format, start.values.count("steps")) {
        (Format::Pointwise, 0) => taught_grades(reasoning, &lists, &showings),
        (Format::Pointwise, _) => {
            let engine = Rollouts::open(&model, &parameters, &scratch)?;
            asked.grades(&asked.answers(&engine, &prompts)?)
        }
        _ => Vec::new(),
    };
    let rewarder = ReasonRewarder {
        shape: &reasoning.shape,
        language: &reasoning.language,
        form: &reasoning.form,
        constrained: values.on("constrained"),
        lists: &lists,
        showings: &showings,
        teacher: reasoning.teacher,
        depth: start.values.count("depth"),
        reference: &reference,
    };
    let number = |name| values.real(name);
    let (group, temperature) = (values.count("group"), number("temperature"));
    let policy = PolicyTask {
        model: &model,
        prompts: &prompts,
        generation: match values.on("constrained") {
            true => Generation::Form { form: Arc::new(reasoning.form.clone()), group, temperature },
            false => Generation::Sample { group, temperature, end: END_TOKEN, most: asked.most() },
        },
        rewarder: &rewarder,
        loss: PolicyLoss {
            level: RatioLevel::Token,
            clip: CLIP,
            kl: number("kl") as f32,
            ..PolicyLoss::default()
        },
        by_token: false,
        updates: Updates::new(values.count("updates")),
        reference: Some(&before),
        folder: scratch.clone(),
        records: Mutex::default(),
    };
    let seconds = climb(task, &policy, seed, &mut parameters)?;
    let engine = Rollouts::open(&model, &parameters, &scratch)?;
    let measured = reasoning.measure(&engine, (&model, &parameters), values.on("constrained"))?;
    let records = policy.records.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Learned { measured, records, seconds })
}

/// All steps of a policy; gives their seconds.
fn climb(
    task: &Task<'_>,
    policy: &PolicyTask<'_>,
    seed: usize,
    parameters: &mut Parameters,
) -> Result<f64, StageError> {
    let values = task.values;
    let settings = Settings { schedule: Schedule::Constant, seed: seed as u64, ..settings_of(values) };
    let label = || {
        let last = policy.records.lock().unwrap_or_else(PoisonError::into_inner).last().copied();
        let last = last.unwrap_or_default();
        format!(
            "{}, seed {seed}: reward {:.3} (variance {:.3}), divergence {:.4}",
            task.name, last.reward, last.variance, last.divergence
        )
    };
    let mut kept = KeptRecords::of(policy);
    let report = train_kept(task, (&part_of(seed), &label), policy, parameters, &settings, Some(&mut kept))?;
    Ok(report.seconds())
}

/// For a decoder that has imitated nobody: the teacher's grades.
fn taught_grades(reasoning: &Reasoning, lists: &[JudgedList], showings: &[Showing]) -> Vec<f64> {
    let grade = |showing: &Showing| {
        let (list, at) = (&lists[showing.list], showing.documents[0]);
        reasoning.teacher.grade(list, at, reasoning.teacher.level(list, at)) as f64
    };
    showings.iter().map(grade).collect()
}
