//! `film-policy`: a decoder that writes lists of titles is rewarded for what people wanted.

use super::film_lists::{FILM_LISTS, MEASURES, language_of, most_tokens, numbers, world_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::policy_summary::PolicySummary;
use crate::recipe::models::small_decoder::folder_of;
use crate::recipe::models::training_fields::{UPDATES, batch, check_updates, rate, settings_of};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::{Input, Task};
use crate::recipe::worlds::film::{FilmLanguage, FilmRewarder, FilmWorld, Measured, Policy, Talk, measure};
use plackett_train::optimizer::Schedule;
use plackett_train::rl::{
    Generation, PolicyLoss, PolicyTask, RankCredit, RatioLevel, RolloutRecord, Rollouts, Updates,
};
use plackett_train::trainer::{END_TOKEN, Hooks, LanguageModel, Settings, StepRecord, train};
use plackett_train::{Compute, Parameters, TrainError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How far a ratio may go, as the authors have it.
const CLIP: (f32, f32) = (0.06, 0.08);
/// Talks on which a policy is looked at while it learns.
const WATCHED: usize = 120;
/// Numbers by seed beside the measures.
const NUMBERS: [&str; 7] = [
    "reward_begin",
    "reward_end",
    "curve",
    "without_advantage",
    "divergence",
    "ratio_apart",
    "rollout_share",
];

/// The declaration.
pub static FILM_POLICY: StageKind = StageKind {
    name: "film-policy",
    help: "the decoders of a stage `film-lists` are rewarded for the films that people wanted: each step draws several lists for some \
           talks in the inference engine, compares their rewards, and takes a step up (with one of the `updates` a draw ratios are 1). With \
           `policy` `grpo` the reward is the list's nDCG and of all its tokens; `gspo` is the same with the ratio of the whole list (with \
           `shaping` the end has its own), which differs where there are several updates; with `rank` each item is rewarded by itself (`credit` `own`), or for itself and all after it, discounted (`following`). Gives the \
           numbers of `film-lists` and, by seed, `reward_begin` and `reward_end` (mean of the first and last tenth of the steps), `curve` \
           (mean nDCG on people to choose by, over equally spaced looks), `without_advantage` (share of talks whose lists do not differ in \
           any advantage, the shaping of lengths left aside), `divergence` (from the start, a token, at the end), `ratio_apart` (the greatest distance of an \
           importance ratio from 1 in any step) and `rollout_share` (of the time of a step)",
    version: 3,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("start", FieldKind::Stage(&[OutputKind::Model]), "a stage `film-lists`"),
        FieldSpec::new(
            "policy",
            FieldKind::Choice(&["rank", "grpo", "gspo"]),
            Default::Text("rank"),
            "what a reward is for",
        ),
        FieldSpec::new(
            "credit",
            FieldKind::Choice(&["following", "own"]),
            Default::Text("following"),
            "what a rank answers for, with `rank`",
        ),
        FieldSpec::new(
            "shaping",
            FieldKind::Switch,
            Default::Switch(true),
            "whether lists are told to have as many lines as asked for",
        ),
        FieldSpec::new("group", FieldKind::Whole(2, 1024), Default::Whole(8), "lists of a talk"),
        batch(8, "talks of a step"),
        FieldSpec::required("steps", FieldKind::Whole(1, i64::MAX), "steps"),
        UPDATES,
        rate(3e-4),
        FieldSpec::new(
            "kl",
            FieldKind::Number(0.0, 100.0),
            Default::Number(1e-3),
            "weight of the divergence from the start",
        ),
        FieldSpec::new("temperature", FieldKind::Number(0.01, 100.0), Default::Number(1.0), "of the draws"),
        FieldSpec::new(
            "looks",
            FieldKind::Whole(1, 1000),
            Default::Whole(6),
            "how often it is looked at while it learns",
        ),
    ],
    chooses: None,
    check: check_updates,
    numbers: |_, _| MEASURES.iter().chain(&NUMBERS).map(ToString::to_string).collect(),
    outside: nothing_outside,
    estimate: |task| {
        let start = start_of(task)?;
        let (steps, seeds) = (task.values.count("steps"), start.values.count("seeds"));
        let lists = task.values.count("batch") * task.values.count("group");
        let seconds = Some((seeds * steps * lists) as f64 * 0.005);
        Ok(Estimate {
            work: format!("{seeds} trainings of {steps} steps of {lists} lists"),
            seconds,
            ..Estimate::default()
        })
    },
    run,
};

/// The stage whose decoders are taken over.
fn start_of<'t>(task: &'t Task<'_>) -> Result<&'t Input<'t>, StageError> {
    task.input_of("start", &[FILM_LISTS.name])
}

/// What a training of one seed gives.
struct Learned {
    measured: Measured,
    numbers: [f64; NUMBERS.len()],
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let start = start_of(task)?;
    let world = world_of(start.values, task.environment)?;
    let mut all = Vec::new();
    for seed in 1..=start.values.count("seeds") {
        all.push(learn(task, start, &world, seed)?);
    }
    let measured: Vec<Measured> = all.iter().map(|seed| seed.measured.clone()).collect();
    let mut made = StageOutput { numbers: numbers(&world.talks[2], &measured), ..StageOutput::default() };
    for (at, name) in NUMBERS.into_iter().enumerate() {
        made.numbers.push(Quantity::of_seeds(name, all.iter().map(|seed| seed.numbers[at]).collect()));
    }
    Ok(made)
}

fn learn(task: &Task<'_>, start: &Input<'_>, world: &FilmWorld, seed: usize) -> Result<Learned, StageError> {
    let values = task.values;
    let items = start.values.count("items");
    let folder = folder_of(&start.folder, seed);
    let language = language_of(&folder)?;
    let mut parameters = Parameters::default();
    let model = LanguageModel::open(&folder, &mut parameters)?;
    let reference = parameters.clone();
    let talks = &world.talks[0];
    let prompts: Vec<Vec<u32>> = talks.iter().map(|talk| language.prompt(world, talk)).collect();
    let policy = match (values.word("policy"), values.word("credit")) {
        ("rank", "own") => Policy::Rank(RankCredit::Own),
        ("rank", _) => Policy::Rank(RankCredit::Following),
        _ => Policy::List,
    };
    let rewarder = FilmRewarder {
        world,
        language: &language,
        talks,
        count: items,
        policy,
        shaping: values.on("shaping"),
    };
    let level = if values.word("policy") == "grpo" { RatioLevel::Token } else { RatioLevel::Part };
    let number = |name| values.real(name);
    let scratch = task.folder.join(format!("policy-{seed}"));
    let policy_task = PolicyTask {
        model: &model,
        prompts: &prompts,
        generation: Generation::Sample {
            group: values.count("group"),
            temperature: number("temperature"),
            end: END_TOKEN,
            most: most_tokens(items),
        },
        rewarder: &rewarder,
        loss: PolicyLoss { level, clip: CLIP, kl: number("kl") as f32, ..PolicyLoss::default() },
        by_token: false,
        updates: Updates::new(values.count("updates")),
        reference: Some(&reference),
        folder: scratch.clone(),
        records: Mutex::default(),
    };
    let steps = values.count("steps");
    let mut looks = Looks {
        model: &model,
        world: (world, &language),
        talks: &world.talks[1][..world.talks[1].len().min(WATCHED)],
        items,
        every: (steps / values.count("looks")).max(1),
        step: 0,
        folder: scratch.join("look"),
        seen: Vec::new(),
        failed: None,
    };
    let settings = Settings {
        schedule: Schedule::Constant,
        seed: seed as u64,
        // A look at every so many steps would be missing after a resume.
        checkpoint: 0,
        ..settings_of(values)
    };
    let name = format!("{}, seed {seed}", task.name);
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(&name, record.step as u64, total as u64);
    let compute = Compute::new(rayon::current_num_threads());
    let report = train(
        &policy_task,
        &compute,
        &mut parameters,
        &settings,
        (None, ""),
        Some(&mut looks),
        &mut progress,
    )?;
    if let Some(failed) = looks.failed {
        return Err(failed);
    }
    let engine = Rollouts::open(&model, &parameters, &scratch)?;
    let measured = measure(&engine, (world, &language), &world.talks[2], (items, most_tokens(items)))?;
    let records = policy_task.records.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = report.seconds();
    remove(&scratch)?;
    Ok(Learned { measured, numbers: summed_up(&records, mean(&looks.seen), seconds) })
}

/// The numbers of [`NUMBERS`].
fn summed_up(records: &[RolloutRecord], curve: f64, seconds: f64) -> [f64; NUMBERS.len()] {
    let summary = PolicySummary::of(records, seconds);
    let [begin, end] = summary.reward;
    [
        begin,
        end,
        curve,
        summary.without_advantage,
        summary.divergence,
        summary.ratio_apart,
        summary.rollout_share,
    ]
}

fn remove(folder: &Path) -> Result<(), StageError> {
    std::fs::remove_dir_all(folder).map_err(|source| TrainError::file(folder, source).into())
}

/// Looks at the policy every so many steps.
struct Looks<'l> {
    model: &'l LanguageModel,
    world: (&'l FilmWorld, &'l FilmLanguage),
    talks: &'l [Talk],
    items: usize,
    every: usize,
    step: usize,
    folder: PathBuf,
    seen: Vec<f64>,
    failed: Option<StageError>,
}

impl Looks<'_> {
    fn look(&self, parameters: &Parameters) -> Result<f64, StageError> {
        let engine = Rollouts::open(self.model, parameters, &self.folder)?;
        let measured = measure(&engine, self.world, self.talks, (self.items, most_tokens(self.items)))?;
        Ok(mean(&measured.ndcg))
    }
}

impl Hooks for Looks<'_> {
    fn after_step(&mut self, parameters: &mut Parameters, _rate: f32) {
        self.step += 1;
        if self.step.is_multiple_of(self.every) {
            match self.look(parameters) {
                Ok(ndcg) => self.seen.push(ndcg),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn is_done(&mut self, _: &Parameters) -> bool {
        self.failed.is_some()
    }
}
