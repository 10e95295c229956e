//! `diverse-sample`: a few documents that stand for an index, and how well they do.

use super::{SEED, dataset_of, index};
use crate::query_synthesis::with_vectors;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use plackett_core::clustering::{k_means, knee, squared_distance};
use plackett_search::Index;
use plackett_train::synth::DiverseSample;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::HashMap;

const NUMBERS: [&str; 5] = ["distance", "random_distance", "reached", "random_reached", "knee"];

/// Clusters that are tried for the knee of the curve.
const CURVE: [usize; 6] = [5, 10, 50, 100, 500, 1000];

/// The declaration.
pub static DIVERSE_SAMPLE: StageKind = StageKind {
    name: "diverse-sample",
    help: "documents sampled from clusters of an index's vectors (DUQGen), and as many drawn at random, for several seeds. Gives distance and \
           random_distance (mean distance of a document to the nearest sampled one), reached and random_reached (share of the documents relevant to \
           some query whose cluster has a sampled document), and knee (clusters at the knee of Σ (1 − cosine with the centroid)², of the first seed)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("index", FieldKind::Stage(&[OutputKind::Index]), "whose vectors"),
        FieldSpec::new("clusters", FieldKind::Whole(1, 100_000), Default::Whole(100), "how many"),
        FieldSpec::new("documents", FieldKind::Whole(1, 1_000_000), Default::Whole(100), "how many in all"),
        FieldSpec::new(
            "temperature",
            FieldKind::Number(1e-6, 1e6),
            Default::Number(1.0),
            "of draws by closeness to the middle",
        ),
        FieldSpec::new(
            "lambda",
            FieldKind::Number(0.0, 1.0),
            Default::Number(1.0),
            "weight of likeness to the central document against unlikeness to others",
        ),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(5), "how many"),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let seconds = 3.0 * task.values.count("seeds") as f64 + 10.0;
        Ok(Estimate {
            work: "clusters the vectors of an index".into(),
            seconds: Some(seconds),
            ..Estimate::default()
        })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let stage = values.word("index");
    let index = Index::open(task.input(stage)?.folder.join(index::FOLDER))?;
    let (ids, vectors) = with_vectors(&index)?;
    let places: HashMap<String, usize> = ids.into_iter().enumerate().map(|(at, id)| (id, at)).collect();
    let dataset = dataset_of(task, stage)?;
    let relevant: Vec<usize> = dataset
        .queries
        .iter()
        .flat_map(|query| dataset.qrels.relevant(&query.id))
        .filter_map(|judgment| places.get(judgment.document).copied())
        .collect();
    let seeds: Vec<u64> =
        (0..values.count("seeds") as u64).map(|at| values.count("seed") as u64 + at).collect();
    let mut columns: [Vec<f64>; 4] = std::array::from_fn(|_| Vec::new());
    for (nth, &seed) in seeds.iter().enumerate() {
        (task.progress)(task.name, nth as u64, seeds.len() as u64);
        let options = DiverseSample {
            clusters: values.count("clusters"),
            documents: values.count("documents"),
            temperature: values.real("temperature"),
            lambda: values.real("lambda"),
            seed,
            ..DiverseSample::default()
        };
        let (sampled, clusters) = options.run(&vectors)?;
        let drawn = sample(&mut ChaCha8Rng::seed_from_u64(seed), vectors.len(), sampled.len()).into_vec();
        let reached = |chosen: &[usize]| {
            let mut has = vec![false; clusters.centroids.len()];
            chosen.iter().for_each(|at| has[clusters.assignments[*at]] = true);
            let inside = relevant.iter().filter(|at| has[clusters.assignments[**at]]).count();
            inside as f64 / relevant.len().max(1) as f64
        };
        let found =
            [distance(&vectors, &sampled), distance(&vectors, &drawn), reached(&sampled), reached(&drawn)];
        columns.iter_mut().zip(found).for_each(|(column, value)| column.push(value));
    }
    let keys: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let mut numbers: Vec<Quantity> = NUMBERS
        .iter()
        .zip(columns)
        .map(|(name, values)| Quantity {
            name: (*name).into(),
            unit: "seed".into(),
            keys: keys.clone(),
            values,
        })
        .collect();
    numbers.push(Quantity::of_seed(
        NUMBERS[4],
        seeds.first().copied().unwrap_or(1) as usize,
        curve(&vectors, seeds[0]),
    ));
    Ok(StageOutput {
        numbers,
        facts: vec![("documents with a vector".into(), vectors.len().to_string())],
        ..StageOutput::default()
    })
}

/// Mean distance of all vectors to the nearest chosen one.
fn distance(vectors: &[Vec<f64>], chosen: &[usize]) -> f64 {
    let nearest = |vector: &Vec<f64>| {
        chosen.iter().map(|at| squared_distance(vector, &vectors[*at])).fold(f64::INFINITY, f64::min).sqrt()
    };
    let all: Vec<f64> = vectors.par_iter().map(nearest).collect();
    all.iter().sum::<f64>() / all.len().max(1) as f64
}

/// The number of clusters at the knee of the sum of squared distances to centroids; 0 without one.
fn curve(vectors: &[Vec<f64>], seed: u64) -> f64 {
    let counts: Vec<usize> = CURVE.into_iter().filter(|count| *count <= vectors.len()).collect();
    let cosine = |a: &[f64], b: &[f64]| {
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        product(a, b) / (product(a, a) * product(b, b)).sqrt().max(f64::MIN_POSITIVE)
    };
    // Ten rounds show the curve.
    let error = |&count: &usize| {
        let clusters = k_means(vectors, count, 10, seed);
        let parts = vectors.iter().zip(&clusters.assignments);
        parts.map(|(vector, at)| (1.0 - cosine(vector, &clusters.centroids[*at])).powi(2)).sum::<f64>()
    };
    let errors: Vec<f64> = counts.iter().map(error).collect();
    let x: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
    knee(&x, &errors).map_or(0.0, |at| x[at])
}
