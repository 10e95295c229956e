//! `clicks`: grades from a simulated click log, and what a ranker learns from them.

use super::SEED;
use crate::recipe::data::feature_lists::{dense, file, widest};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training_fields::{settings_of, steps};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Task, hash_file};
use plackett_core::formats::read_features;
use plackett_core::permutation::Permutation;
use plackett_core::plackett_luce::policy::{Measure, MeasureKind, Utility};
use plackett_eval::concordance::Concordance;
use plackett_eval::correlation::spearman;
use plackett_train::objective;
use plackett_train::synth::{ClickFeatures, ClickModel, GradeTree, TreeOptions, aggregate, simulate};
use plackett_train::trainer::{Settings, VectorList, VectorScorer, VectorTask, score_lists, train};
use plackett_train::{Compute, Parameters};

const NUMBERS: [&str; 4] = ["agreement", "baited_error", "nDCG@10", "concordance"];

/// Share of the training queries whose grades teach the tree.
const GRADED: usize = 10;
/// Grades there are.
const LEVELS: usize = 5;

/// The declaration.
pub static CLICKS: StageKind = StageKind {
    name: "clicks",
    help: "users that click on the documents of LETOR's training queries (rank r is looked at with probability 1/r, some documents promise more than they \
           hold), and labels from what they did: the click rate, a tree's grade or expected grade, learned from a tenth of the queries, or the true grades. \
           Gives agreement (rank correlation of label and true grade over the other queries; baited_error, how far the label is from the true grade on \
           average over documents that promise more than they hold: not for the click rate, which is no grade), and of a scorer that learns from these labels nDCG@10 of each test query and concordance (concordant over discordant pairs, at most 99)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "a folder with train.svm and test.svm (or .svm.gz)",
        ),
        FieldSpec::required(
            "labels",
            FieldKind::Choice(&["rate", "grade", "expected", "true"]),
            "what a scorer learns from",
        ),
        FieldSpec::new(
            "dwell",
            FieldKind::Switch,
            Default::Switch(true),
            "whether the tree sees how long users stayed",
        ),
        FieldSpec::new("sessions", FieldKind::Whole(1, 1_000_000), Default::Whole(200), "of each query"),
        steps((1, 1_000_000), 600, "of the scorer"),
        FieldSpec::new("rate", FieldKind::Number(0.0, 10.0), Default::Number(0.02), "its learning rate"),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |values, environment| {
        let folder = environment.collection(values.word("collection"))?;
        ["train", "test"]
            .map(|part| Ok((part.to_string(), hash_file(&file(&folder, part)?)?)))
            .into_iter()
            .collect()
    },
    estimate: |task| {
        let seconds = task.values.count("steps") as f64 / 100.0;
        Ok(Estimate {
            work: "simulates users and learns from them".into(),
            seconds: Some(seconds),
            ..Estimate::default()
        })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let folder = task.environment.collection(values.word("collection"))?;
    let (taught, tested) =
        (read_features(&file(&folder, "train")?)?, read_features(&file(&folder, "test")?)?);
    let features = widest(&taught).max(widest(&tested)).unwrap_or(1);
    let mut lists: Vec<VectorList> = taught.into_iter().map(|list| dense(list, features)).collect();
    let tested: Vec<VectorList> = tested.into_iter().map(|list| dense(list, features)).collect();
    let seed = values.count("seed") as u64;
    let queries: Vec<Vec<f32>> = lists.iter().map(|list| list.labels.clone()).collect();
    let model = ClickModel { sessions: values.count("sessions"), ..ClickModel::default() };
    let (sessions, baited) = simulate(&queries, &model, seed);
    let log = aggregate(&sessions, &queries.iter().map(Vec::len).collect::<Vec<_>>());
    let graded = lists.len().div_ceil(GRADED);
    let tree = tree_of(&log[..graded], &queries[..graded], values.on("dwell"))?;
    let label = |clicks: &ClickFeatures, truth: f32| match values.word("labels") {
        "rate" => clicks.rate(),
        "grade" => tree.grade(&clicks.row(values.on("dwell"))) as f64,
        "expected" => tree.expected(&clicks.row(values.on("dwell"))),
        _ => f64::from(truth),
    };
    let mut pairs: Vec<(f64, f64, bool)> = Vec::new();
    for (query, list) in lists.iter_mut().enumerate() {
        for (document, clicks) in log[query].iter().enumerate() {
            let truth = list.labels[document];
            let made = label(clicks, truth);
            list.labels[document] = made as f32;
            if query >= graded {
                pairs.push((made, f64::from(truth), baited[query][document]));
            }
        }
    }
    let mut made = StageOutput::default();
    let [all, of_baited] = agreements(&pairs);
    made.numbers.push(Quantity::of_seed(NUMBERS[0], seed as usize, all));
    made.numbers.push(Quantity::of_seed(NUMBERS[1], seed as usize, of_baited));
    // Queries whose grades taught the tree teach no ranker.
    learned(task, &lists[graded..], &tested, features, &mut made)?;
    made.facts.push(("queries whose grades were known".into(), graded.to_string()));
    made.facts.push(("rules".into(), tree.rules(&ClickFeatures::NAMES).lines().count().to_string()));
    Ok(made)
}

fn tree_of(log: &[Vec<ClickFeatures>], grades: &[Vec<f32>], dwell: bool) -> Result<GradeTree, StageError> {
    let rows: Vec<Vec<f64>> = log.iter().flatten().map(|clicks| clicks.row(dwell)).collect();
    let is_grade = |grade: &f32| grade.fract() == 0.0 && (0.0..LEVELS as f32).contains(grade);
    let grades: Vec<usize> = match grades.iter().flatten().all(is_grade) {
        true => grades.iter().flatten().map(|grade| *grade as usize).collect(),
        false => Vec::new(),
    };
    GradeTree::fit(&rows, &grades, LEVELS, TreeOptions::default()).ok_or_else(|| {
        let problem = format!("grades from 0 to {} are needed, of one query at least", LEVELS - 1);
        StageError::Field { field: "collection", problem }
    })
}

/// The rank correlation of labels and true grades, and the mean distance of both over baited documents.
fn agreements(pairs: &[(f64, f64, bool)]) -> [f64; 2] {
    let (made, truth): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(made, truth, _)| (*made, *truth)).unzip();
    let off: Vec<f64> =
        pairs.iter().filter(|(.., baited)| *baited).map(|(made, truth, _)| (made - truth).abs()).collect();
    [spearman(&made, &truth).unwrap_or(0.0), off.iter().sum::<f64>() / off.len().max(1) as f64]
}

/// Trains a linear scorer with a margin loss over pairs, and measures it.
fn learned(
    task: &Task<'_>,
    lists: &[VectorList],
    tested: &[VectorList],
    features: usize,
    made: &mut StageOutput,
) -> Result<(), StageError> {
    let mut parameters = Parameters::default();
    let scorer = VectorScorer::linear(&mut parameters, features);
    let text = "human-anchored(weight=0, margin=0.1)";
    let objective = objective::parse_sum(text)
        .map_err(|error| StageError::Field { field: "labels", problem: error.to_string() })?;
    let settings = Settings { batch: 32.min(lists.len()), checkpoint: 0, ..settings_of(task.values) };
    let lesson = VectorTask { scorer: scorer.clone(), lists, objective, temperature: 1.0 };
    let compute = Compute::new(1);
    train(&lesson, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {})?;
    let scores = score_lists(&scorer, &parameters, &compute, tested);
    let (mut keys, mut quality, mut pairs) = (Vec::new(), Vec::new(), Concordance::default());
    for (list, scores) in tested.iter().zip(scores) {
        let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
        let grades: Vec<f64> = list.labels.iter().map(|grade| f64::from(*grade)).collect();
        pairs = pairs.and(Concordance::new(&scores, &grades));
        let gains = grades.iter().map(|grade| grade.exp2() - 1.0).collect();
        if let Some(measure) = Measure::new(MeasureKind::Ndcg, gains, 10) {
            keys.push(list.name.clone());
            quality.push(measure.parts(Permutation::by_descending(&scores).items()).iter().sum::<f64>());
        }
    }
    made.numbers.push(Quantity::by_query(NUMBERS[2], keys, quality));
    let ratio = pairs.ratio(99.0).unwrap_or(0.0);
    made.numbers.push(Quantity::of_seed(NUMBERS[3], task.values.count("seed"), ratio));
    Ok(())
}
