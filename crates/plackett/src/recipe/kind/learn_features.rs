//! `learn-features`: a scorer of feature vectors, as learning to rank has them.

use super::{SEED, vectors};
use crate::recipe::data::feature_lists::{dense, file, widest};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::{Task, hash_file};
use plackett_core::formats::{FeatureList, read_features};
use plackett_core::permutation::Permutation;
use plackett_core::plackett_luce::policy::{Measure, MeasureKind, Utility};
use plackett_train::trainer::{VectorList, VectorScorer, score_lists};
use plackett_train::{Compute, Parameters};

/// Of the best order by scores: name, what, and down to which rank.
const MEASURES: [(&str, MeasureKind, usize); 2] =
    [("nDCG@10", MeasureKind::Ndcg, 10), ("RR@10", MeasureKind::ReciprocalRank, 10)];

/// The declaration.
pub static LEARN_FEATURES: StageKind = StageKind {
    name: "learn-features",
    help: "a linear scorer, or one with a hidden layer, over the features of LETOR's files; gives nDCG@10 (exponential gain) and RR@10 of \
           each test query, train_nDCG@10 and train_RR@10 (means over training queries), loss_1 to loss_4 (mean loss of each quarter of \
           the steps), loss (of the last tenth), skipped (the share of lists that could not teach), step_seconds, flat_begin and flat_end (before and \
           after, the share of lists of which all orders that `pg-rank` draws are worth the same, so that they teach nothing)",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "a folder with train.svm and test.svm (or .svm.gz), by its name in PLACKETT_DATA or a path that begins with . or /",
        ),
        FieldSpec::new(
            "hidden",
            FieldKind::Whole(0, 4096),
            Default::Whole(0),
            "width of a hidden layer; 0 for a linear scorer",
        ),
        vectors::OBJECTIVE,
        vectors::TEMPERATURE,
        vectors::RATE,
        vectors::BATCH,
        vectors::STEPS,
        SEED,
    ],
    chooses: None,
    check: vectors::check,
    numbers: |_, _| {
        let measures = MEASURES.iter().flat_map(|(name, ..)| [name.to_string(), format!("train_{name}")]);
        measures.chain(vectors::NUMBERS.map(str::to_string)).collect()
    },
    outside: |values, environment| {
        let folder = environment.collection(values.word("collection"))?;
        ["train", "test"]
            .map(|part| Ok((part.to_string(), hash_file(&file(&folder, part)?)?)))
            .into_iter()
            .collect()
    },
    estimate: |task| {
        Ok(Estimate {
            work: format!("learns from the features of {}", task.values.word("collection")),
            seconds: Some(task.values.count("steps") as f64 / 50.0),
            ..Estimate::default()
        })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let folder = task.environment.collection(task.values.word("collection"))?;
    let read = |part| Ok::<_, StageError>(read_features(&file(&folder, part)?)?);
    let (train, test) = (read("train")?, read("test")?);
    let features = widest(&train).max(widest(&test)).unwrap_or(1);
    let dense =
        |lists: Vec<FeatureList>| lists.into_iter().map(|list| dense(list, features)).collect::<Vec<_>>();
    let (train, test) = (dense(train), dense(test));
    let mut parameters = Parameters::default();
    let scorer = match task.values.count("hidden") {
        0 => VectorScorer::linear(&mut parameters, features),
        hidden => VectorScorer::hidden(&mut parameters, features, hidden, task.values.count("seed") as u64),
    };
    let mut made = StageOutput::default();
    vectors::learn(task, &scorer, &mut parameters, &train, &mut made)?;
    let compute = Compute::new(rayon::current_num_threads());
    for (name, kind, cutoff) in MEASURES {
        let of = |lists: &[VectorList]| measured(&scorer, &parameters, &compute, lists, (kind, cutoff));
        let (keys, values) = of(&test);
        made.numbers.push(Quantity::by_query(name, keys, values));
        let (_, of_train) = of(&train);
        let mean = of_train.iter().sum::<f64>() / of_train.len().max(1) as f64;
        made.numbers.push(Quantity::of_seed(format!("train_{name}"), task.values.count("seed"), mean));
    }
    let without = test.iter().filter(|list| !list.labels.iter().any(|label| *label > 0.0)).count();
    if without > 0 {
        made.warnings.push(format!("{without} test queries have nothing relevant and are left out"));
    }
    made.facts.push(("features".into(), features.to_string()));
    made.facts.push(("queries".into(), format!("{} to learn from, {} to test", train.len(), test.len())));
    Ok(made)
}

/// Queries with something relevant, and the measure of each.
fn measured(
    scorer: &VectorScorer,
    parameters: &Parameters,
    compute: &std::sync::Arc<Compute>,
    lists: &[VectorList],
    (kind, cutoff): (MeasureKind, usize),
) -> (Vec<String>, Vec<f64>) {
    let scores = score_lists(scorer, parameters, compute, lists);
    let of = |(list, scores): (&VectorList, Vec<f32>)| {
        let gains = list.labels.iter().map(|grade| f64::from(*grade).exp2() - 1.0).collect();
        let measure = Measure::new(kind, gains, cutoff)?;
        let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
        let order = Permutation::by_descending(&scores);
        Some((list.name.clone(), measure.parts(order.items()).iter().sum::<f64>()))
    };
    lists.iter().zip(scores).filter_map(of).unzip()
}
