//! `rate-votes`: ratings from real votes, and how far they hold.

use super::SEED;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{StageKind, StageOutput, a_moment, nothing_to_check};
use crate::recipe::task::{Environment, Task, hash_file};
use plackett_arena::rating::{EloOptions, PairTable, RatingOptions, elo, fit};
use plackett_arena::{Vote, VoteOptions, Votes, read_votes};
use plackett_eval::correlation::spearman;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;

/// What it gives of itself.
const OWN: [&str; 9] = [
    "models",
    "votes",
    "tied",
    "mean",
    "shuffled",
    "elo_shuffled",
    "elo_shuffled_order",
    "halves",
    "elo_halves",
];

/// The declaration.
pub static RATE_VOTES: StageKind = StageKind {
    name: "rate-votes",
    help: "Bradley–Terry and Elo (K = 4) from a file of votes, as `plackett arena fit` makes them. `models`, `votes`, `tied` count; `mean` is that of the \
           ratings; `shuffled` and `elo_shuffled` how far a rating moves most when votes come in another order, and `elo_shuffled_order` the rank \
           correlation of both orders; `halves` and `elo_halves` the rank correlation of ratings from even and odd votes; `rating/MODEL` the rating of \
           models that are named; with `against` also `common`, models that both files have, and `agreement`, their rank correlation",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "a folder's name in PLACKETT_DATA, or a path that begins with . or /",
        ),
        FieldSpec::required("file", FieldKind::Text, "the votes, in that folder"),
        FieldSpec::new(
            "against",
            FieldKind::Text,
            Default::Absent,
            "other votes of that folder, to compare with",
        ),
        FieldSpec::new("models", FieldKind::Texts, Default::Absent, "whose ratings are given"),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |values, _| {
        let mut names: Vec<String> = OWN.map(str::to_string).to_vec();
        names.extend(values.texts("models").iter().map(|model| format!("rating/{model}")));
        if values.has("against") {
            names.extend(["common".to_string(), "agreement".to_string()]);
        }
        names
    },
    outside: |values, environment| {
        let named = ["file", "against"].into_iter().filter(|field| values.has(field));
        named
            .map(|field| {
                Ok((values.word(field).to_string(), hash_file(&path_of(values, environment, field)?)?))
            })
            .collect()
    },
    estimate: a_moment,
    run,
};

fn path_of(values: &Values, environment: &Environment, field: &str) -> Result<PathBuf, StageError> {
    Ok(environment.collection(values.word("collection"))?.join(values.word(field)))
}

fn read(task: &Task<'_>, field: &str) -> Result<Votes, StageError> {
    let path = path_of(task.values, task.environment, field)?;
    Ok(read_votes(&path, &VoteOptions::default())?)
}

fn rated(models: usize, votes: &[Vote]) -> Result<Vec<f64>, StageError> {
    Ok(fit(&PairTable::of(models, votes), &RatingOptions::default(), None)?.ratings())
}

fn greatest(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let votes = read(task, "file")?;
    let seed = task.values.count("seed");
    let (models, all) = (votes.models.len(), &votes.all);
    let ratings = rated(models, all)?;
    let followed = |votes: &[Vote]| elo(models, votes, &EloOptions { k: 4.0 });
    let mut shuffled = all.clone();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed as u64));
    let half = |odd: usize| {
        all.iter().enumerate().filter(|(at, _)| at % 2 == odd).map(|(_, vote)| *vote).collect::<Vec<_>>()
    };
    let (even, odd) = (half(0), half(1));
    let alike = |a: &[f64], b: &[f64]| spearman(a, b).map_err(|error| StageError::Work(error.to_string()));
    let (in_order, in_another) = (followed(all), followed(&shuffled));
    let own = [
        models as f64,
        all.len() as f64,
        all.iter().filter(|vote| vote.verdict.points() == 0.5).count() as f64,
        ratings.iter().sum::<f64>() / models as f64,
        greatest(&ratings, &rated(models, &shuffled)?),
        greatest(&in_order, &in_another),
        alike(&in_order, &in_another)?,
        alike(&rated(models, &even)?, &rated(models, &odd)?)?,
        alike(&followed(&even), &followed(&odd))?,
    ];
    let mut made = StageOutput::default();
    let mut enter = |name: &str, value: f64| made.numbers.push(Quantity::of_seed(name, seed, value));
    OWN.iter().zip(own).for_each(|(name, value)| enter(name, value));
    for model in task.values.texts("models") {
        let place = votes.model(model).ok_or_else(|| StageError::Field {
            field: "models",
            problem: format!("`{model}` has no vote; there are: {}", votes.models.join(", ")),
        })?;
        enter(&format!("rating/{model}"), ratings[place]);
    }
    if task.values.has("against") {
        let other = read(task, "against")?;
        let theirs = rated(other.models.len(), &other.all)?;
        let common: Vec<(f64, f64)> = votes
            .models
            .iter()
            .zip(&ratings)
            .filter_map(|(name, rating)| Some((*rating, theirs[other.model(name)?])))
            .collect();
        let (ours, theirs): (Vec<f64>, Vec<f64>) = common.iter().copied().unzip();
        enter("common", common.len() as f64);
        enter("agreement", alike(&ours, &theirs)?);
    }
    Ok(made)
}
