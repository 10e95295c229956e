//! `next-policy`: a decoder that writes what somebody chose next is rewarded among its own beams.

use super::film_lists::{language_of, world_of};
use super::next_code::{NEXT_CODE, world_and_items};
use super::next_reward::{EMBEDDER, REWARD, RewardSource, SCORER, check_reward, has_scale, missing, outside};
use super::next_title::NEXT_TITLE;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::policy_summary::{PolicySummary, constant_warning};
use crate::recipe::models::small_decoder::folder_of;
use crate::recipe::models::training::train_watched;
use crate::recipe::models::training_fields::{UPDATES, batch, check_updates, rate, settings_of};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::{Input, Task};
use crate::recipe::worlds::recommending::next_item::{
    BEAMS, MEASURES, NextItem, NextItems, NextMeasured, measured,
};
use plackett_train::optimizer::Schedule;
use plackett_train::rl::{
    Generation, ItemRewarder, PolicyLoss, PolicyTask, RolloutRecord, Rollouts, Updates,
};
use plackett_train::trainer::{Hooks, LanguageModel, Settings};
use plackett_train::{Parameters, TrainError};
use std::sync::{Mutex, PoisonError};

/// Numbers by seed beside the measures.
const NUMBERS: [&str; 7] = [
    "train_hit_begin",
    "train_hit_end",
    "train_ndcg_begin",
    "train_ndcg_end",
    "misses",
    "without_advantage",
    "divergence",
];
/// Numbers by seed of rewards that are no places.
const REWARDS: [&str; 2] = ["reward_begin", "reward_end"];

/// The declaration.
pub static NEXT_POLICY: StageKind = StageKind {
    name: "next-policy",
    help: "the decoders of a stage `next-title` or `next-code` search 16 sequences for each of some prompts that they have learned from, are rewarded for \
           the right one (`rule`) and besides told off for wrong ones by how likely they find them (`rule-and-rank`), or rewarded for each by its text \
           (`semantic`) or by a recommender (`collaborative`), and take a step up, \
           with the loss of GRPO, of DAPO (each token counts alike, and ratios may go further up) or of GSPO (the ratio of the whole sequence, \
           which differs from GRPO where there are several `updates` for a search). Gives the numbers `ndcg`, `hit`, `hit10`, `hit16` and `item_hit10` of \
           that stage and, by seed, `train_hit_begin`, `train_hit_end`, `train_ndcg_begin` and `train_ndcg_end` (the same on the prompts \
           that are rewarded, before and after), `misses` and `without_advantage` (share of the groups without the right one, and without \
           an advantage) and `divergence` (from the start, a token, in the last tenth of the steps); with `looks` also `train_hit_1` and so on, after equal \
           parts of the first time through the prompts; with the rewards `semantic` and `collaborative` also `reward_begin` and `reward_end` (mean of the \
           first and last tenth of the steps)",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "start",
            FieldKind::Stage(&[OutputKind::Model]),
            "a stage `next-title` or `next-code`",
        ),
        REWARD,
        EMBEDDER,
        SCORER,
        FieldSpec::new(
            "loss",
            FieldKind::Choice(PolicyLoss::NAMES),
            Default::Text("grpo"),
            "of the log-probabilities",
        ),
        FieldSpec::new(
            "prompts",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(240),
            "items that are rewarded",
        ),
        batch(8, "prompts of a step"),
        FieldSpec::required("steps", FieldKind::Whole(1, i64::MAX), "steps"),
        UPDATES,
        rate(1e-4),
        FieldSpec::new(
            "kl",
            FieldKind::Number(0.0, 100.0),
            Default::Number(1e-3),
            "weight of the divergence from the start",
        ),
        FieldSpec::new(
            "looks",
            FieldKind::Whole(0, 1000),
            Default::Whole(0),
            "how often the rewarded prompts are looked at while they are gone through for the first time",
        ),
    ],
    chooses: None,
    check: |values, registry| {
        check_updates(values, registry)?;
        check_reward(values)
    },
    numbers: |values, _| {
        let names = MEASURES.iter().chain(&NUMBERS).map(ToString::to_string);
        let names = names.chain((1..=values.count("looks")).map(look_name));
        let rewards: &[&str] = if has_scale(values) { &REWARDS } else { &[] };
        names.chain(rewards.iter().map(ToString::to_string)).collect()
    },
    outside,
    estimate: |task| {
        let start = start_of(task)?;
        let (steps, seeds) = (task.values.count("steps"), start.values.count("seeds"));
        let seconds = Some((seeds * steps * task.values.count("batch")) as f64 * 0.12);
        let (work, missing) = (format!("{seeds} trainings of {steps} steps"), missing(task)?);
        Ok(Estimate { work, seconds, missing, ..Estimate::default() })
    },
    run,
};

/// The name of what a look gives.
fn look_name(look: usize) -> String {
    format!("train_hit_{look}")
}

/// The stage whose decoders are taken over.
fn start_of<'t>(task: &'t Task<'_>) -> Result<&'t Input<'t>, StageError> {
    task.input_of("start", &[NEXT_TITLE.name, NEXT_CODE.name])
}

/// What the decoder of a seed has learned from, and what it is tested on.
fn items_of(start: &Input<'_>, task: &Task<'_>, seed: usize) -> Result<NextItems, StageError> {
    if start.kind.name == NEXT_CODE.name {
        let (world, codes, tasks) = world_and_items(start.values, task.environment)?;
        return Ok(world.next_items(codes, tasks, seed as u64)?.0);
    }
    let world = world_of(start.values, task.environment)?;
    language_of(&folder_of(&start.folder, seed))?.next_films(&world, seed as u64)
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let start = start_of(task)?;
    let (source, said) = RewardSource::of(task, start)?;
    let (mut all, mut tested, mut warnings) = (Vec::new(), Vec::new(), Vec::from_iter(said));
    for seed in 1..=start.values.count("seeds") {
        let items = items_of(start, task, seed)?;
        tested = items.tested.iter().take(start.values.count("tested")).cloned().collect();
        let learned = learn(task, start, (&items, &tested), (&source, seed))?;
        warnings.extend(constant_warning(seed, &learned.records));
        all.push(learned);
    }
    let of_tested: Vec<NextMeasured> = all.iter().map(|seed| seed.measured.clone()).collect();
    let mut made = StageOutput { numbers: measured(&tested, &of_tested), warnings, ..StageOutput::default() };
    let by_seed = |of: &dyn Fn(&Learned) -> f64| all.iter().map(of).collect::<Vec<f64>>();
    for (at, name) in NUMBERS.into_iter().enumerate() {
        made.numbers.push(Quantity::of_seeds(name, by_seed(&|seed| seed.numbers[at])));
    }
    for look in 1..=task.values.count("looks") {
        let hits = all.iter().filter_map(|seed| seed.looks.get(look - 1).copied()).collect();
        made.numbers.push(Quantity::of_seeds(&look_name(look), hits));
    }
    for (at, name) in REWARDS.into_iter().enumerate().filter(|_| has_scale(task.values)) {
        made.numbers.push(Quantity::of_seeds(name, by_seed(&|seed| seed.rewards[at])));
    }
    Ok(made)
}

/// What a training of one seed gives.
struct Learned {
    measured: NextMeasured,
    numbers: [f64; NUMBERS.len()],
    /// How often the right one was first, look by look.
    looks: Vec<f64>,
    /// The numbers of [`REWARDS`].
    rewards: [f64; REWARDS.len()],
    records: Vec<RolloutRecord>,
}

/// After which steps is looked at so many prompts while they are gone through for the first time, which takes as many steps as there
/// are updates for each batch; where the training is shorter, its end is the last look.
fn looks_at(values: &Values, prompts: usize) -> Vec<usize> {
    let epoch = prompts.div_ceil(values.count("batch").max(1)) * values.count("updates");
    let count = values.count("looks");
    (1..=count).map(|part| (epoch * part).div_ceil(count).min(values.count("steps"))).collect()
}

/// Looks at a policy after some steps.
struct Looks<'l> {
    look: &'l dyn Fn(&Parameters) -> Result<f64, StageError>,
    /// After which steps, rising.
    at: Vec<usize>,
    step: usize,
    seen: Vec<f64>,
    failed: Option<StageError>,
}

impl Hooks for Looks<'_> {
    fn after_step(&mut self, parameters: &mut Parameters, _rate: f32) {
        self.step += 1;
        for _ in self.at.iter().filter(|at| **at == self.step) {
            match (self.look)(parameters) {
                Ok(hit) => self.seen.push(hit),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn is_done(&mut self, _: &Parameters) -> bool {
        self.failed.is_some()
    }
}

fn learn(
    task: &Task<'_>,
    start: &Input<'_>,
    (items, tested): (&NextItems, &[NextItem]),
    (source, seed): (&RewardSource, usize),
) -> Result<Learned, StageError> {
    let values = task.values;
    let mut parameters = Parameters::default();
    let model = LanguageModel::open(&folder_of(&start.folder, seed), &mut parameters)?;
    let reference = parameters.clone();
    let rewarded = &items.learned[..items.learned.len().min(values.count("prompts"))];
    let prompts: Vec<Vec<u32>> = rewarded.iter().map(|item| item.prompt.clone()).collect();
    let (trie, sharing) = (&items.trie, &items.sharing[..]);
    let targets = rewarded.iter().map(|item| item.target).collect();
    let rewarder = ItemRewarder::new(trie, targets, source.worth(task, items, seed)?);
    let scratch = task.folder.join(format!("policy-{seed}"));
    let loss = values.word("loss");
    let named = PolicyLoss::named(loss, values.real("kl") as f32);
    let (loss, by_token) = named.ok_or_else(|| StageError::Work(format!("there is no loss `{loss}`")))?;
    let policy = PolicyTask {
        model: &model,
        prompts: &prompts,
        generation: Generation::Beams { trie: trie.clone(), width: BEAMS },
        rewarder: &rewarder,
        loss,
        by_token,
        updates: Updates::new(values.count("updates")),
        reference: Some(&reference),
        folder: scratch.clone(),
        records: Mutex::default(),
    };
    let look = |parameters: &Parameters, items: &[NextItem]| {
        let engine = Rollouts::open(&model, parameters, &scratch.join("look"))?;
        NextMeasured::of(&engine, (trie, sharing), items, BEAMS)
    };
    let before = look(&parameters, rewarded)?;
    let hit =
        |parameters: &Parameters| -> Result<f64, StageError> { Ok(mean(&look(parameters, rewarded)?.hit)) };
    let mut looks =
        Looks { look: &hit, at: looks_at(values, rewarded.len()), step: 0, seen: Vec::new(), failed: None };
    let settings = Settings { schedule: Schedule::Constant, seed: seed as u64, ..settings_of(values) };
    let name = format!("{}, seed {seed}", task.name);
    let report = train_watched(task, &name, &policy, (&mut parameters, &settings), Some(&mut looks));
    if let Some(failure) = rewarder.failure() {
        return Err(failure.into());
    }
    let report = report?;
    if let Some(failed) = looks.failed {
        return Err(failed);
    }
    let (after, measured) = (look(&parameters, rewarded)?, look(&parameters, tested)?);
    let records = policy.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
    std::fs::remove_dir_all(&scratch).map_err(|source| TrainError::file(&scratch, source))?;
    let summary = PolicySummary::of(&records, report.seconds());
    let numbers = [
        mean(&before.hit),
        mean(&after.hit),
        mean(&before.ndcg),
        mean(&after.ndcg),
        summary.misses,
        summary.without_advantage,
        summary.divergence,
    ];
    Ok(Learned { measured, numbers, looks: looks.seen, rewards: summary.reward, records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::field::{Reader, Scale};
    use crate::recipe::reading::source::Source;
    use toml::de::DeTable;

    #[test]
    fn looks_are_spread_over_the_first_time_through_the_prompts() {
        let at = |text: &str, prompts: usize| {
            let text = format!("start = \"made\"\nlooks = 2\n{text}");
            let source = Source::of_text("test", &text);
            let table = DeTable::parse(&source.text).unwrap();
            let reader = Reader { source: &source, scale: Scale::Quick };
            let values = reader.fields(table.get_ref(), 0..0, NEXT_POLICY.fields, &[], "a stage").unwrap();
            looks_at(&values, prompts)
        };
        // 20 prompts in batches of 8 are three steps, or three rollouts of four steps each.
        assert_eq!(at("steps = 100", 20), [2, 3]);
        assert_eq!(at("steps = 100\nupdates = 4", 20), [6, 12]);
        assert_eq!(at("steps = 9\nupdates = 4", 20), [6, 9]);
    }
}
