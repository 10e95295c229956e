//! `stability`: whether a scorer that is trained anew gives the same scores.

use super::SEED;
use super::vectors::{BATCH, OBJECTIVE, RATE, STEPS, check};
use crate::recipe::data::feature_lists::{dense, file, widest};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training_fields::settings_of;
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::{Task, hash_file};
use plackett_core::formats::read_features;
use plackett_core::permutation::Permutation;
use plackett_core::plackett_luce::policy::{Measure, MeasureKind, Utility};
use plackett_train::objective;
use plackett_train::trainer::{Settings, VectorList, VectorScorer, VectorTask, score_lists, train};
use plackett_train::{Compute, Parameters};

const NUMBERS: [&str; 3] = ["nDCG@10", "apart", "right_side"];

/// The declaration.
pub static STABILITY: StageKind = StageKind {
    name: "stability",
    help: "a scorer with a hidden layer over LETOR's features, trained twice from other weights and in another order. Gives nDCG@10 of each test query (of the \
           first one), apart (how far the probabilities σ(score) of a document lie apart, by query) and right_side (share of a query's test documents that one \
           threshold for all puts on the right side of `grade`)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "a folder with train.svm and test.svm (or .svm.gz)",
        ),
        FieldSpec::new("hidden", FieldKind::Whole(1, 4096), Default::Whole(16), "units"),
        FieldSpec::new("threshold", FieldKind::Number(0.0, 1.0), Default::Number(0.6), "of probabilities"),
        FieldSpec::new("grade", FieldKind::Whole(0, 100), Default::Whole(3), "that lies above it"),
        OBJECTIVE,
        RATE,
        BATCH,
        STEPS,
        SEED,
    ],
    chooses: None,
    check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |values, environment| {
        let folder = environment.collection(values.word("collection"))?;
        ["train", "test"]
            .map(|part| Ok((part.to_string(), hash_file(&file(&folder, part)?)?)))
            .into_iter()
            .collect()
    },
    estimate: |task| {
        let seconds = task.values.count("steps") as f64 / 25.0;
        Ok(Estimate { work: "trains a scorer twice".into(), seconds: Some(seconds), ..Estimate::default() })
    },
    run,
};

/// Probabilities of the documents of the test queries after a training.
fn trained(
    task: &Task<'_>,
    lists: &[VectorList],
    tested: &[VectorList],
    features: usize,
    seed: u64,
) -> Result<Vec<Vec<f64>>, StageError> {
    let values = task.values;
    let mut parameters = Parameters::default();
    let scorer = VectorScorer::hidden(&mut parameters, features, values.count("hidden"), seed);
    let objective = objective::parse_sum(values.word("objective"))
        .map_err(|error| StageError::Field { field: "objective", problem: error.to_string() })?;
    let settings = Settings {
        batch: values.count("batch").min(lists.len()),
        seed,
        checkpoint: 0,
        ..settings_of(values)
    };
    let lesson = VectorTask { scorer: scorer.clone(), lists, objective, temperature: 1.0 };
    let compute = Compute::new(1);
    train(&lesson, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {})?;
    let probability = |score: f32| 1.0 / (1.0 + f64::from(-score).exp());
    let all = score_lists(&scorer, &parameters, &compute, tested);
    Ok(all.into_iter().map(|scores| scores.into_iter().map(probability).collect()).collect())
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let folder = task.environment.collection(values.word("collection"))?;
    let (taught, tested) =
        (read_features(&file(&folder, "train")?)?, read_features(&file(&folder, "test")?)?);
    let features = widest(&taught).max(widest(&tested)).unwrap_or(1);
    let [lists, tested] = [taught, tested]
        .map(|all| all.into_iter().map(|list| dense(list, features)).collect::<Vec<VectorList>>());
    let seed = values.count("seed") as u64;
    let first = trained(task, &lists, &tested, features, seed)?;
    let second = trained(task, &lists, &tested, features, seed.wrapping_add(1_000_003))?;
    let (threshold, grade) = (values.real("threshold"), values.count("grade") as f32);
    let (mut keys, mut quality, mut apart, mut right) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((list, first), second) in tested.iter().zip(&first).zip(&second) {
        let gains = list.labels.iter().map(|grade| f64::from(*grade).exp2() - 1.0).collect();
        let Some(measure) = Measure::new(MeasureKind::Ndcg, gains, 10) else { continue };
        let count = first.len() as f64;
        keys.push(list.name.clone());
        quality.push(measure.parts(Permutation::by_descending(first).items()).iter().sum::<f64>());
        apart.push(first.iter().zip(second).map(|(a, b)| (a - b).abs()).sum::<f64>() / count);
        let sides =
            first.iter().zip(&list.labels).filter(|(f, label)| (**f >= threshold) == (**label >= grade));
        right.push(sides.count() as f64 / count);
    }
    Ok(StageOutput {
        numbers: vec![
            Quantity::by_query(NUMBERS[0], keys.clone(), quality),
            Quantity::by_query(NUMBERS[1], keys.clone(), apart),
            Quantity::by_query(NUMBERS[2], keys, right),
        ],
        ..StageOutput::default()
    })
}
