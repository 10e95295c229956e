//! `rank-then-score`: Rank2Score over summaries whose quality people have judged.

use crate::recipe::error::{RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::rate;
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput};
use crate::recipe::simulation::standard_normal;
use crate::recipe::task::{Environment, Task, hash_file};
use plackett_core::formats::{DEFAULT_LINE_LIMIT, FormatError, read_json_lines};
use plackett_eval::correlation::spearman;
use plackett_train::rank_then_score::{
    Curriculum, Head, Knobs, LabelledItem, LevelScorer, RankThenScore, Stages,
};
use plackett_train::{Compute, Parameters};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const FILE: &str = "docs.jsonl.gz";
/// What people have judged, from 0 to 1.
const HUMAN: &str = "litepyramid_recall";
/// Parts of the articles; each is measured with what the others teach.
const FOLDS: usize = 5;
/// Items of a batch, as the paper has them.
const BATCH: usize = 8;

/// The declaration.
pub static RANK_THEN_SCORE: StageKind = StageKind {
    name: "rank-then-score",
    help: "a small scorer of summaries over their automatic scores and length, which learns what people said of them (share of facts h, as 1 + 4 h): \
           first their order, then the scale. Five folds by article. Gives `order` (rank correlation within an article, by article, mean of the \
           seeds), `error` (root mean square on the scale from 1 to 5, by seed), `floor` (`order` of the feature `floor` alone), `groups` and \
           `gap` (articles of a batch, and what labels of a pair must differ by, at the end of the first stage; by seed)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::new(
            "learns",
            FieldKind::Choice(&["order-then-scale", "order", "scale"]),
            Default::Text("order-then-scale"),
            "which stages there are",
        ),
        FieldSpec::new(
            "offset",
            FieldKind::Number(0.0, 100.0),
            Default::Number(0.0),
            "deviation of what is added to all labels of a training article, as by raters with other scales",
        ),
        FieldSpec::new(
            "groups",
            FieldKind::Whole(1, 8),
            Default::Whole(1),
            "articles of a batch at the start",
        ),
        FieldSpec::new(
            "curriculum",
            FieldKind::Switch,
            Default::Switch(false),
            "whether articles of a batch and differences of pairs go from easy to hard",
        ),
        FieldSpec::new(
            "contrast",
            FieldKind::Number(0.0, 1000.0),
            Default::Number(0.0),
            "weight of the contrastive loss",
        ),
        FieldSpec::new(
            "head",
            FieldKind::Choice(&["levels", "linear"]),
            Default::Text("levels"),
            "between five levels, or a linear function",
        ),
        FieldSpec::new("temperature", FieldKind::Number(1e-3, 100.0), Default::Number(0.1), "of the levels"),
        FieldSpec::new("hidden", FieldKind::Whole(1, 4096), Default::Whole(16), "units of a layer"),
        FieldSpec::new("rank_epochs", FieldKind::Whole(0, 1000), Default::Whole(40), "of the first stage"),
        FieldSpec::new("score_epochs", FieldKind::Whole(0, 1000), Default::Whole(10), "of the second stage"),
        rate(3e-3),
        FieldSpec::new(
            "floor",
            FieldKind::Text,
            Default::Text("rouge_1_recall"),
            "the feature that is measured alone",
        ),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(3), "how many"),
    ],
    chooses: None,
    check,
    numbers: |_, _| ["order", "error", "floor", "groups", "gap"].map(str::to_string).to_vec(),
    outside: |values, environment| Ok(vec![("summaries".into(), hash_file(&path_of(values, environment)?)?)]),
    estimate: |task| {
        let seeds = task.values.count("seeds");
        Ok(Estimate {
            work: format!("{} trainings", FOLDS * seeds),
            seconds: Some(4.0 * seeds as f64),
            ..Estimate::default()
        })
    },
    run,
};

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    use crate::recipe::error::Problem;
    let linear = values.word("head") == "linear";
    match values.given().iter().any(|(name, _)| *name == "temperature") && linear {
        true => Err(values.wrong(
            "temperature",
            0,
            Problem::Said("has no effect with head = \"linear\"; leave it out".into()),
        )),
        false => Ok(()),
    }
}

fn path_of(values: &Values, environment: &Environment) -> Result<PathBuf, StageError> {
    Ok(environment.collection(values.word("collection"))?.join(FILE))
}

#[derive(Deserialize)]
struct Article {
    id: serde_json::Value,
    candidates: Vec<Candidate>,
}

#[derive(Deserialize)]
struct Candidate {
    text: String,
    scores: BTreeMap<String, f64>,
}

/// Summaries of articles: features, labels from 1 to 5, and the values of the feature that is measured alone.
struct Summaries {
    names: Vec<String>,
    items: Vec<LabelledItem>,
    floor: Vec<f64>,
}

fn read(task: &Task<'_>) -> Result<Summaries, StageError> {
    let path = path_of(task.values, task.environment)?;
    let file = path.display().to_string();
    let mut all = Summaries { names: Vec::new(), items: Vec::new(), floor: Vec::new() };
    for (line, article) in
        read_json_lines::<Article>(&path, DEFAULT_LINE_LIMIT, "an article with candidates")?
    {
        let group = all.names.len();
        all.names.push(article.id.to_string());
        for mut candidate in article.candidates {
            let missing = |field: &str| FormatError::Missing {
                file: file.clone(),
                line,
                field: format!("score `{field}`"),
                remedy: "every candidate needs it",
            };
            let human = candidate.scores.remove(HUMAN).ok_or_else(|| missing(HUMAN))?;
            let floor = task.values.word("floor");
            all.floor.push(*candidate.scores.get(floor).ok_or_else(|| missing(floor))?);
            let length = (candidate.text.split_whitespace().count() as f64 + 1.0).ln();
            let features = candidate.scores.values().copied().chain([length]).map(|x| x as f32).collect();
            all.items.push(LabelledItem { group, features, labels: vec![Some((1.0 + 4.0 * human) as f32)] });
        }
    }
    let width = all.items.first().map_or(0, |item| item.features.len());
    if all.names.len() < FOLDS || all.items.iter().any(|item| item.features.len() != width) {
        let problem = format!(
            "has {} articles; {FOLDS} and more are needed, whose candidates have the same scores",
            all.names.len()
        );
        return Err(FormatError::File { file, problem }.into());
    }
    Ok(all)
}

/// The rank correlation; 0 where one of both is constant.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    spearman(a, b).unwrap_or(0.0)
}

/// What a training of one fold and seed gives: correlations of its articles, squared errors, and where the knobs stood at
/// the end.
struct Fold {
    orders: Vec<(usize, f64)>,
    squares: f64,
    count: usize,
    gap: f64,
    groups: usize,
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let all = read(task)?;
    let seeds = task.values.count("seeds");
    let jobs: Vec<(usize, usize)> =
        (0..seeds).flat_map(|seed| (0..FOLDS).map(move |fold| (seed, fold))).collect();
    let folds = jobs
        .par_iter()
        .map(|&(seed, fold)| train(task.values, &all, seed as u64 + 1, fold))
        .collect::<Result<Vec<_>, _>>()?;
    let mut orders = vec![0.0; all.names.len()];
    for (article, order) in folds.iter().flat_map(|fold| &fold.orders) {
        orders[*article] += order / seeds as f64;
    }
    let by_seed = |of: &dyn Fn(&[Fold]) -> f64| folds.chunks(FOLDS).map(of).collect::<Vec<f64>>();
    let keys: Vec<String> = (1..=seeds).map(|seed| seed.to_string()).collect();
    let quantity = |name: &str, values: Vec<f64>| Quantity {
        name: name.into(),
        unit: "seed".into(),
        keys: keys.clone(),
        values,
    };
    let error = |part: &[Fold]| {
        let (squares, count) = part.iter().fold((0.0, 0), |(s, c), fold| (s + fold.squares, c + fold.count));
        (squares / count.max(1) as f64).sqrt()
    };
    let floors = (0..all.names.len()).map(|article| {
        let own: Vec<usize> = (0..all.items.len()).filter(|at| all.items[*at].group == article).collect();
        correlation(
            &own.iter().map(|at| all.floor[*at]).collect::<Vec<_>>(),
            &own.iter().map(|at| label(&all.items[*at])).collect::<Vec<_>>(),
        )
    });
    Ok(StageOutput {
        numbers: vec![
            Quantity::by_query("order", all.names.clone(), orders),
            quantity("error", by_seed(&error)),
            Quantity::by_query("floor", all.names.clone(), floors.collect()),
            quantity("gap", by_seed(&|part| part.iter().map(|fold| fold.gap).sum::<f64>() / FOLDS as f64)),
            quantity(
                "groups",
                by_seed(&|part| part.iter().map(|fold| fold.groups as f64).sum::<f64>() / FOLDS as f64),
            ),
        ],
        facts: vec![
            ("articles".into(), all.names.len().to_string()),
            ("summaries".into(), all.items.len().to_string()),
        ],
        ..StageOutput::default()
    })
}

fn label(item: &LabelledItem) -> f64 {
    item.labels[0].map_or(0.0, f64::from)
}

fn train(values: &Values, all: &Summaries, seed: u64, fold: usize) -> Result<Fold, StageError> {
    let number = |name| values.real(name);
    let (mut taught, tested): (Vec<LabelledItem>, Vec<LabelledItem>) =
        all.items.iter().cloned().partition(|item| item.group % FOLDS != fold);
    let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(fold as u64));
    let offsets: Vec<f32> =
        all.names.iter().map(|_| (number("offset") * standard_normal(&mut random)) as f32).collect();
    for item in &mut taught {
        let offset = offsets[item.group];
        item.labels.iter_mut().flatten().for_each(|label| *label += offset);
    }
    let scale = Scale::of(&taught);
    taught.iter_mut().for_each(|item| scale.apply(&mut item.features));
    let curriculum = values.on("curriculum");
    let job = RankThenScore {
        stages: match values.word("learns") {
            "order" => Stages::Rank,
            "scale" => Stages::Score,
            _ => Stages::RankThenScore,
        },
        batch: BATCH,
        rank_epochs: values.count("rank_epochs"),
        score_epochs: values.count("score_epochs"),
        rate: number("rate") as f32,
        decay: 1e-4,
        margin: 0.5,
        contrast: number("contrast") as f32,
        tau: 2.0,
        curriculum: Curriculum {
            // One dimension always agrees with itself.
            knobs: Knobs { groups: curriculum, gap: curriculum, consistency: false },
            groups: values.count("groups"),
            gap: 2.5,
            patience: 0.01,
        },
        seed,
        correlation,
    };
    let head = match values.word("head") {
        "linear" => Head::Linear,
        _ => Head::Levels { count: 5, temperature: number("temperature") as f32 },
    };
    let (mut parameters, compute) = (Parameters::default(), Compute::new(1));
    let width = taught.first().map_or(0, |item| item.features.len());
    let scorer = LevelScorer::new(&mut parameters, (width, values.count("hidden"), 1), head, seed)?;
    let trained = job.run(&scorer, &mut parameters, &taught, &compute)?;
    let features: Vec<Vec<f32>> = tested
        .iter()
        .map(|item| {
            let mut features = item.features.clone();
            scale.apply(&mut features);
            features
        })
        .collect();
    let views: Vec<&[f32]> = features.iter().map(Vec::as_slice).collect();
    let scores: Vec<f64> = scorer.scores(&parameters, &compute, &views).into_iter().map(f64::from).collect();
    let mut by_article: BTreeMap<usize, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    let mut squares = 0.0;
    for (item, score) in tested.iter().zip(&scores) {
        let (ours, theirs) = by_article.entry(item.group).or_default();
        ours.push(*score);
        theirs.push(label(item));
        squares += (score - label(item)).powi(2);
    }
    let states: Vec<_> = trained.epochs.iter().filter(|epoch| epoch.ranks).map(|epoch| epoch.state).collect();
    Ok(Fold {
        orders: by_article.into_iter().map(|(article, (a, b))| (article, correlation(&a, &b))).collect(),
        squares,
        count: tested.len(),
        gap: states.last().map_or(0.0, |state| state.gap),
        groups: states.last().map_or(0, |state| state.groups),
    })
}

/// Means and deviations of features, by which they become standard.
struct Scale(Vec<(f32, f32)>);

impl Scale {
    fn of(items: &[LabelledItem]) -> Scale {
        let count = items.len().max(1) as f32;
        let width = items.first().map_or(0, |item| item.features.len());
        let of = |at: usize| {
            let mean = items.iter().map(|item| item.features[at]).sum::<f32>() / count;
            let variance = items.iter().map(|item| (item.features[at] - mean).powi(2)).sum::<f32>() / count;
            (mean, variance.sqrt().max(1e-6))
        };
        Scale((0..width).map(of).collect())
    }

    fn apply(&self, features: &mut [f32]) {
        features.iter_mut().zip(&self.0).for_each(|(x, (mean, deviation))| *x = (*x - mean) / deviation);
    }
}
