//! `session-rewards`: sessions of films, their semantic ids, and the reward models of OneRec.

use super::text_vectors::{VECTORS, vectors_of_input};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training_fields::{large_batch, rate, steps};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Input, Task, hash_file};
use crate::recipe::worlds::film_sessions::{FILE, Rewards, SessionWorld, losses, vae_entropy};
use plackett_train::Compute;

const BY_SESSION: [&str; 2] = ["loss", "floor_loss"];
const BY_SEED: [&str; 6] =
    ["entropy", "most_entropy", "plain_entropy", "vae_entropy", "size_spread", "colliding_items"];

/// The declaration.
pub static SESSION_REWARDS: StageKind = StageKind {
    name: "session-rewards",
    help: "OneRec's world and reward models: sessions are films that somebody rated 4 or 5, one after the other within a day; films have three codes of \
           balanced residual k-means over the vectors of their texts (filled in turn); two reward models learn from what each half of the people \
           rated (sessions of all ratings) how high the mean rating is and the shares of ratings of 3 and more, of 5, and of 4 and more. The last \
           session of each person is asked for and in no training. Gives, by session of the other half, `loss` (binary cross-entropy of all \
           targets) of the first model and `floor_loss` of the means of its half; and `entropy` of the first code in nats, `most_entropy` (ln of \
           the codes), `plain_entropy` (of residual k-means without balance), `vae_entropy` (of an RQ-VAE over the same vectors), `size_spread` (the greatest difference of two clusters of a \
           level) and `colliding_items` (that share their codes)",
    version: 3,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        VECTORS,
        FieldSpec::new("length", FieldKind::Whole(1, 100), Default::Whole(5), "films of a session"),
        FieldSpec::new("codes", FieldKind::Whole(2, 100_000), Default::Whole(40), "codes of a codebook"),
        FieldSpec::new(
            "tested",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(200),
            "people who are asked for, from the first",
        ),
        FieldSpec::new(
            "history",
            FieldKind::Whole(1, 10_000),
            Default::Whole(50),
            "liked films that a reward model reads, the newest",
        ),
        FieldSpec::new(
            "width",
            FieldKind::Whole(1, 4096),
            Default::Whole(32),
            "numbers of a vector of a reward model",
        ),
        FieldSpec::new(
            "hidden",
            FieldKind::Whole(1, 4096),
            Default::Whole(32),
            "numbers of the hidden layer of a tower",
        ),
        steps((1, 10_000_000), 300, "of the training of each"),
        FieldSpec::new(
            "vae_steps",
            FieldKind::Whole(1, 10_000_000),
            Default::Whole(200),
            "of the training of the RQ-VAE that codes are compared with",
        ),
        large_batch(64, "sessions of a step"),
        rate(2e-3),
        super::SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| BY_SESSION.iter().chain(&BY_SEED).map(ToString::to_string).collect(),
    outside: |values, environment| {
        let path = environment.collection(values.word("collection"))?.join(FILE);
        Ok(vec![("interactions".into(), hash_file(&path)?)])
    },
    estimate: |_| {
        Ok(Estimate {
            work: "two trainings of reward models, and one of an RQ-VAE".into(),
            seconds: Some(60.0),
            ..Estimate::default()
        })
    },
    run,
};

/// The world and the models of a stage of this kind.
pub(super) fn world_and_rewards(
    task: &Task<'_>,
    input: &Input<'_>,
) -> Result<(SessionWorld, Rewards), StageError> {
    input.check_kind("rewards", &[SESSION_REWARDS.name])?;
    let (vectors, films) = vectors_of_input(task, input.values)?;
    let folder = task.environment.collection(input.values.word("collection"))?;
    let world = SessionWorld::load(&folder, (&vectors, &films), input.values)?;
    let rewards = Rewards::open(&world, input.values, &input.folder)?;
    Ok((world, rewards))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (vectors, films) = vectors_of_input(task, task.values)?;
    let folder = task.environment.collection(task.values.word("collection"))?;
    let world = SessionWorld::load(&folder, (&vectors, &films), task.values)?;
    let rewards = Rewards::learn(task, &world)?;
    let compute = Compute::new(rayon::current_num_threads());
    let found = losses(&world, &rewards, &compute)?;
    let keys: Vec<String> = (1..=found[0].len()).map(|at| at.to_string()).collect();
    let mut numbers: Vec<Quantity> = BY_SESSION
        .iter()
        .zip(found)
        .map(|(name, values)| Quantity::by_query(*name, keys.clone(), values))
        .collect();
    let [balanced, plain] = world.catalogues.each_ref().map(|catalogue| catalogue.statistics());
    let nats = |bits: f64| bits * std::f64::consts::LN_2;
    let spread = balanced.levels.iter().map(|level| level.largest - level.smallest).max().unwrap_or_default();
    let first = |levels: &[plackett_ids::LevelUse]| levels.first().map_or(0.0, |level| nats(level.entropy));
    let by_seed = [
        first(&balanced.levels),
        (world.codes as f64).ln(),
        first(&plain.levels),
        vae_entropy(task, &world, vectors.dimension())?,
        spread as f64,
        balanced.colliding_items as f64,
    ];
    numbers.extend(BY_SEED.iter().zip(by_seed).map(|(name, value)| Quantity::of_seeds(name, vec![value])));
    let counts = [
        ("sessions", world.learned(world.length).len()),
        ("logged sessions", world.logged().len()),
        ("people asked for", world.asked.len()),
    ];
    Ok(StageOutput {
        numbers,
        warnings: world.remarks,
        facts: counts.map(|(name, count)| (name.to_string(), count.to_string())).to_vec(),
    })
}
