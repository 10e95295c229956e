//! `fix-retriever`: the bugs of a codebase most like a bug, by words, by vectors, or by both (RAP-Gen's retriever).

use super::text_vectors::{VECTORS, vectors_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{rate, settings_of, steps};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{
    Fix, Fixes, TextVectors, TokenBm25, as_read, cosine, hybrid, read_fixes, standard,
};
use plackett_arena::choosing::{Hunk, apply};
use plackett_core::remap::greatest_places;
use plackett_train::objective::parse_sum;
use plackett_train::trainer::{Against, DualProjection, DualTask, Pairing, Settings, Side};
use plackett_train::{Compute, Parameters};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The file of neighbours.
const FILE: &str = "neighbours.json";
/// Pairs that are found for a bug.
const FOUND: usize = 10;
const BATCH: usize = 64;
const NUMBERS: [&str; 5] = ["same_1", "same_10", "chance", "own_fix", "applied"];

/// The declaration.
pub static FIX_RETRIEVER: StageKind = StageKind {
    name: "fix-retriever",
    help: "for bugs that are held out, and for some of the codebase (whose own pair is left out), the ten most similar bugs of the codebase: by \
           BM25 over whole tokens, by the bundled encoder's vectors after a map that has learned which fix is a bug's own, by both, or by \
           chance. Gives by bug `same_1` and `same_10` (1 where the first, or one of ten, was mended with the same edits), `chance` (share of the codebase \
           that was), `own_fix` (1 where its own fix is first among those of all bugs held out), `applied` (1 where the first one's edits, applied where their \
           context is, give the fix), and `itself`, the share of bugs of the codebase that find themselves first where they are not left out",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        VECTORS,
        FieldSpec::new(
            "by",
            FieldKind::Choice(&["hybrid", "dense", "bm25", "random"]),
            Default::Text("hybrid"),
            "what makes bugs alike",
        ),
        FieldSpec::new(
            "lambda",
            FieldKind::Number(0.0, 1e9),
            Default::Number(1.0),
            "weight of BM25 beside vectors, after both are standardised",
        ),
        steps((0, 1_000_000), 300, "of the map's training"),
        rate(5e-4),
        super::SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.iter().chain(&["itself"]).map(ToString::to_string).collect(),
    outside: nothing_outside,
    estimate: |task| {
        let seconds = Some(10.0 + task.values.count("steps") as f64 * 0.03);
        Ok(Estimate { work: "searches a codebase".into(), seconds, ..Estimate::default() })
    },
    run,
};

/// Pairs of the codebase that are like a bug, the most alike first, with standardised scores.
pub(super) type Neighbours = Vec<(usize, f64)>;

/// The neighbours of bugs of the codebase from which is learned, and of those that are held out.
#[derive(Serialize, Deserialize)]
pub(super) struct Found {
    pub learned: Vec<Neighbours>,
    pub tested: Vec<Neighbours>,
}

/// What a stage of this kind has left.
pub(super) fn found_of(folder: &Path) -> Result<Found, StageError> {
    let path = folder.join(FILE);
    let bytes = std::fs::read(&path).map_err(StageError::cache(&path))?;
    serde_json::from_slice(&bytes).map_err(|error| StageError::Damaged { path, problem: error.to_string() })
}

/// What makes bugs alike.
struct Retriever<'t> {
    by: &'t str,
    lambda: f64,
    seed: u64,
    index: TokenBm25,
    /// Vectors of the codebase's bugs and of those held out, after the map.
    known: Vec<Vec<f32>>,
    tested: Vec<Vec<f32>>,
}

impl Retriever<'_> {
    /// The scores of the codebase for a bug with its vector and its number.
    fn scores(&self, bug: &Fix, vector: &[f32], number: u64) -> Vec<f64> {
        let dense = || self.known.iter().map(|known| cosine(vector, known)).collect::<Vec<f64>>();
        let lexical = || self.index.scores(&bug.buggy);
        match self.by {
            "bm25" => lexical(),
            "dense" => dense(),
            "random" => {
                let mut random =
                    ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(1 << 20).wrapping_add(number));
                (0..self.known.len()).map(|_| random.random::<f64>()).collect()
            }
            _ => hybrid(&dense(), &lexical(), self.lambda),
        }
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (vectors, file) = vectors_of(task)?;
    let fixes = read_fixes(&file)?;
    let seed = values.count("seed") as u64;
    let (projection, parameters) = learn(task, &fixes, &vectors)?;
    let compute = Compute::new(rayon::current_num_threads());
    let mapped = |texts: &mut dyn Iterator<Item = &Vec<String>>| -> Result<Vec<Vec<f32>>, StageError> {
        let rows: Vec<&[f32]> =
            texts.map(|tokens| vectors.get(&as_read(tokens))).collect::<Result<_, _>>()?;
        Ok(projection.project(&parameters, &compute, &rows, Side::Query))
    };
    let bugs: Vec<&[String]> = fixes.known.iter().map(|fix| fix.buggy.as_slice()).collect();
    let retriever = Retriever {
        by: values.word("by"),
        lambda: values.real("lambda"),
        seed,
        index: TokenBm25::new(&bugs),
        known: mapped(&mut fixes.known.iter().map(|fix| &fix.buggy))?,
        tested: mapped(&mut fixes.tested.iter().map(|fix| &fix.buggy))?,
    };
    let own_fixes = mapped(&mut fixes.tested.iter().map(|fix| &fix.fixed))?;
    let found = search(&retriever, &fixes);
    let path = task.folder.join(FILE);
    let json = serde_json::to_vec(&found)
        .map_err(|error| StageError::Damaged { path: path.clone(), problem: error.to_string() })?;
    std::fs::write(&path, json).map_err(StageError::cache(&path))?;
    let itself = |at: usize| {
        let scores = retriever.scores(&fixes.known[at], &retriever.known[at], at as u64);
        if greatest_places(&scores, &[], 1) == [at] { 1.0 } else { 0.0 }
    };
    let itself: Vec<f64> = fixes.learned().into_par_iter().step_by(10).map(itself).collect();
    let numbers = measured(&retriever, &fixes, &found, &own_fixes);
    let keys: Vec<String> = (0..numbers.len()).map(|at| at.to_string()).collect();
    let quantity = |(at, name): (usize, &&str)| {
        Quantity::by_query(*name, keys.clone(), numbers.iter().map(|numbers| numbers[at]).collect())
    };
    let mut numbers: Vec<Quantity> = NUMBERS.iter().enumerate().map(quantity).collect();
    numbers.push(Quantity::of_seed("itself", values.count("seed"), mean(&itself)));
    Ok(StageOutput {
        numbers,
        facts: vec![("codebase".into(), fixes.known.len().to_string())],
        ..StageOutput::default()
    })
}

/// A map by which a bug and its own fix are near each other.
fn learn(
    task: &Task<'_>,
    fixes: &Fixes,
    vectors: &TextVectors,
) -> Result<(DualProjection, Parameters), StageError> {
    let values = task.values;
    let mut parameters = Parameters::default();
    let projection = DualProjection::new(&mut parameters, vectors.dimension(), (true, true));
    let steps = if matches!(values.word("by"), "bm25" | "random") { 0 } else { values.count("steps") };
    if steps == 0 {
        return Ok((projection, parameters));
    }
    let learned = &fixes.known[fixes.learned()];
    let of = |side: fn(&Fix) -> &Vec<String>| -> Result<Vec<&[f32]>, StageError> {
        learned.iter().map(|fix| vectors.get(&as_read(side(fix)))).collect()
    };
    let (bugs, own) = (of(|fix| &fix.buggy)?, of(|fix| &fix.fixed)?);
    let seed = values.count("seed") as u64;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..learned.len()).collect();
    let mut groups: Vec<Vec<Pairing>> = Vec::new();
    while groups.len() < steps {
        order.shuffle(&mut random);
        let row = |at: &usize| Pairing { query: *at, documents: vec![*at], teacher: Vec::new() };
        groups.extend(order.chunks_exact(BATCH.min(order.len())).map(|part| part.iter().map(row).collect()));
    }
    groups.truncate(steps);
    let objective = parse_sum("info-nce(temperature=0.05)")
        .map_err(|error| StageError::Field { field: "vectors", problem: error.to_string() })?;
    let lesson = DualTask {
        projection: projection.clone(),
        queries: &bugs,
        documents: &own,
        groups: &groups,
        against: Against::Batch,
        objective,
    };
    let settings = Settings { batch: 1, seed, ..settings_of(values) };
    train_within(task, task.name, &lesson, &mut parameters, &settings)?;
    Ok((projection, parameters))
}

fn search(retriever: &Retriever<'_>, fixes: &Fixes) -> Found {
    let best = |scores: Vec<f64>, without: Option<usize>| -> Neighbours {
        let standard = standard(&scores);
        let places = greatest_places(&scores, without.as_slice(), FOUND);
        places.into_iter().map(|at| (at, standard[at])).collect()
    };
    let learned = fixes
        .learned()
        .into_par_iter()
        .map(|at| best(retriever.scores(&fixes.known[at], &retriever.known[at], at as u64), Some(at)));
    let tested = (0..fixes.tested.len()).into_par_iter().map(|at| {
        let number = (fixes.known.len() + at) as u64;
        best(retriever.scores(&fixes.tested[at], &retriever.tested[at], number), None)
    });
    Found { learned: learned.collect(), tested: tested.collect() }
}

fn measured(
    retriever: &Retriever<'_>,
    fixes: &Fixes,
    found: &Found,
    own_fixes: &[Vec<f32>],
) -> Vec<[f64; NUMBERS.len()]> {
    let patterns: Vec<Vec<Hunk>> = fixes.known.par_iter().map(Fix::pattern).collect();
    let mut counts: HashMap<&Vec<Hunk>, usize> = HashMap::new();
    patterns.iter().for_each(|pattern| *counts.entry(pattern).or_default() += 1);
    let fixed: Vec<&[String]> = fixes.tested.iter().map(|fix| fix.fixed.as_slice()).collect();
    let fixed = TokenBm25::new(&fixed);
    let one = |yes: bool| f64::from(u8::from(yes));
    let of = |at: usize| {
        let bug = &fixes.tested[at];
        let pattern = bug.pattern();
        let same: Vec<bool> = found.tested[at].iter().map(|(other, _)| patterns[*other] == pattern).collect();
        let own = match retriever.by {
            "bm25" => fixed.scores(&bug.buggy),
            _ => own_fixes.iter().map(|own| cosine(&retriever.tested[at], own)).collect(),
        };
        let applied = found.tested[at].first().is_some_and(|(other, _)| {
            let source = &fixes.known[*other];
            apply(&bug.buggy, &source.buggy, &source.edits).first().is_some_and(|own| own.tokens == bug.fixed)
        });
        [
            one(same.first() == Some(&true)),
            one(same.contains(&true)),
            counts.get(&pattern).copied().unwrap_or(0) as f64 / fixes.known.len() as f64,
            one(greatest_places(&own, &[], 1) == [at]),
            one(applied),
        ]
    };
    (0..fixes.tested.len()).into_par_iter().map(of).collect()
}
