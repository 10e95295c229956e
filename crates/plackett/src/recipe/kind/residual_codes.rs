//! `residual-codes`: semantic ids of products by a residual quantiser with an autoencoder (RQ-VAE).

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::small_decoder::{SEEDS, STEPS};
use crate::recipe::models::training_fields::{large_batch, rate};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Task, hash_file};
use crate::recipe::worlds::product::{FILES, item_texts};
use crate::text_vectors::text_vectors;
use plackett_genir::AutoencoderTrainer;
use plackett_ids::scheme::{Source, parse};
use plackett_ids::{AutoencoderSettings, Item, TrainedQuantizer, VectorTable, collision_rate, separate};
use plackett_lm::LmError;
use plackett_lm::store::BUNDLED;
use plackett_train::Compute;
use std::collections::{BTreeMap, BTreeSet};

const NUMBERS: [&str; 7] =
    ["collisions_before", "collisions", "largest", "used", "loss", "first_loss", "size_spread"];

/// The declaration.
pub static RESIDUAL_CODES: StageKind = StageKind {
    name: "residual-codes",
    help: "semantic ids of products: an autoencoder learns to bring back the vectors of their texts (title and description, read by the bundled \
           encoder) through codebooks, each of what the one before has left; codebooks begin with k-means. Then products that share all codes are \
           dealt out anew on the last level by Sinkhorn's algorithm, in several rounds. Gives by seed `collisions_before` and `collisions` (the \
           share of products that are more than there are different ids, before and after the rounds), `largest` (products of one id, at most, \
           after them), `used` (codes of the first level that some product has), `loss` (over the last tenth of the steps) and `first_loss`, and \
           `size_spread`, the greatest difference of two clusters of a level when balanced residual k-means makes the codes instead",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::new("words", FieldKind::Whole(1, 10_000), Default::Whole(64), "of a text, at most"),
        FieldSpec::new("levels", FieldKind::Whole(1, 16), Default::Whole(3), "codebooks"),
        FieldSpec::new("codes", FieldKind::Whole(1, 65_536), Default::Whole(256), "vectors of each"),
        FieldSpec::new("width", FieldKind::Whole(1, 4096), Default::Whole(32), "numbers of such a vector"),
        large_batch(1024, "products in a step"),
        STEPS,
        rate(1e-3),
        FieldSpec::new("rounds", FieldKind::Whole(0, 10_000), Default::Whole(20), "at most, of Sinkhorn's"),
        FieldSpec { default: Default::Whole(1), ..SEEDS },
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |values, environment| {
        let file = environment.collection(values.word("collection"))?.join(FILES[0]);
        Ok(vec![
            (FILES[0].to_string(), hash_file(&file)?),
            ("model".into(), environment.fingerprint(BUNDLED)?),
        ])
    },
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let step = task.values.count("batch") as f64 * 6e-5;
        let seconds = Some(60.0 + seeds as f64 * (5.0 + steps as f64 * step));
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

/// The vectors of texts, one after another, each number with a variance of about 1, with how many numbers each has, and how many texts the
/// encoder has not read whole.
fn vectors(task: &Task<'_>, texts: &[String]) -> Result<((Vec<f32>, usize), usize), StageError> {
    let model = task.environment.models(Some(BUNDLED)).open(None)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut progress = |done: usize| (task.progress)("embedding", done as u64, texts.len() as u64);
    let failed = |error: LmError| StageError::Field { field: "collection", problem: error.to_string() };
    let (vectors, cut) = text_vectors(&model, &texts, &mut progress).map_err(failed)?;
    let width = vectors.len() / texts.len().max(1);
    Ok(((vectors, width), cut))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let file = task.environment.collection(values.word("collection"))?.join(FILES[0]);
    let (texts, cut) = item_texts(&file, values.count("words"))?;
    let ((vectors, width), unread) = vectors(task, &texts)?;
    let different: BTreeSet<&String> = texts.iter().collect();
    let spread = size_spread(task, (&vectors, width))?;
    let mut columns = NUMBERS.map(|_| Vec::new());
    let seeds: Vec<usize> = (1..=values.count("seeds")).collect();
    for seed in &seeds {
        let measured = measure(task, (&vectors, width), *seed)?.into_iter().chain([spread]);
        columns.iter_mut().zip(measured).for_each(|(column, value)| column.push(value));
    }
    let numbers =
        NUMBERS.iter().zip(columns).map(|(name, values)| Quantity::of_seeds(name, values)).collect();
    let mut made = StageOutput { numbers, ..StageOutput::default() };
    made.facts.push(("products".into(), texts.len().to_string()));
    made.facts.push(("different texts".into(), different.len().to_string()));
    if cut > 0 {
        made.warnings.push(format!("{cut} texts are cut to {} words", values.count("words")));
    }
    if unread > 0 {
        made.warnings.push(format!("{unread} texts are longer than the encoder reads, and are cut"));
    }
    Ok(made)
}

/// The greatest difference of two clusters of a level of balanced residual k-means, with as many levels and codes.
fn size_spread(task: &Task<'_>, (vectors, width): (&[f32], usize)) -> Result<f64, StageError> {
    let values = task.values;
    let rows: Vec<Vec<f64>> =
        vectors.chunks(width.max(1)).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect();
    let items: Vec<Item> = (0..rows.len()).map(|at| Item::new(at.to_string())).collect();
    let table = VectorTable::of_rows(&items, &rows)?;
    let source = Source { vectors: Some(&table), ..Source::of_items(&items, 1) };
    let scheme = format!(
        "balanced-rq(levels={}, codes={}, duplicates=keep, fill=turn)",
        values.count("levels"),
        values.count("codes")
    );
    let statistics = parse(&scheme)?.catalogue(&source)?.statistics();
    let spreads = statistics.levels.iter().map(|level| level.largest - level.smallest);
    Ok(spreads.max().unwrap_or_default() as f64)
}

fn measure(
    task: &Task<'_>,
    (vectors, inputs): (&[f32], usize),
    seed: usize,
) -> Result<[f64; NUMBERS.len() - 1], StageError> {
    let values = task.values;
    let levels = values.count("levels");
    let settings = AutoencoderSettings {
        levels,
        codes: values.count("codes"),
        width: values.count("width"),
        steps: values.count("steps"),
        batch: values.count("batch"),
        rate: values.real("rate") as f32,
        seed: seed as u64,
    };
    let name = format!("{}, seed {seed}", task.name);
    let told = |step: usize, of: usize| (task.progress)(&name, step as u64, of as u64);
    let compute = Compute::new(rayon::current_num_threads());
    let trained = AutoencoderTrainer::new(&compute, &told).fit(vectors, inputs, &settings)?;
    let (mut codes, left) = trained.encode(vectors);
    let used: BTreeSet<u32> = codes.iter().step_by(levels).copied().collect();
    let before = collision_rate(&codes, levels);
    separate(&mut codes, levels, (&left, trained.last_book()), values.count("rounds"));
    let mut groups: BTreeMap<&[u32], usize> = BTreeMap::new();
    codes.chunks_exact(levels).for_each(|codes| *groups.entry(codes).or_default() += 1);
    Ok([
        before,
        collision_rate(&codes, levels),
        groups.values().copied().max().unwrap_or_default() as f64,
        used.len() as f64,
        f64::from(trained.final_loss),
        f64::from(trained.first_loss),
    ])
}
