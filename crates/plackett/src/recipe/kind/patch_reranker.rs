//! `patch-reranker`: candidates of a fix from edits that are frequent and from those of similar bugs, and a small network that orders them
//! (RAP-Gen, with edits in the place of a code model).

use super::fix_retriever::{FIX_RETRIEVER, Found, Neighbours, found_of};
use super::text_vectors::{VECTORS, vectors_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training::{ScorerTraining, learn_scorer};
use crate::recipe::models::training_fields::{rate, steps};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{Fix, Fixes, read_fixes};
use plackett_arena::choosing::{Applied, Edit, Hunk, apply, is_balanced};
use plackett_eval::smoothed_bleu;
use plackett_train::trainer::{VectorList, VectorScorer, score_lists};
use plackett_train::{Compute, Parameters};
use rayon::prelude::*;
use std::collections::HashMap;

/// Frequent patterns that are tried on every bug, and examples of each whose context is compared.
const FREQUENT: usize = 100;
const EXAMPLES: usize = 3;
/// Patches of a list that count for `em_5`.
const LIST: usize = 5;
const FEATURES: usize = 14;
const BY_BUG: [&str; 3] = ["em_1", "em_5", "em_any"];
const BY_SEED: [&str; 4] = ["em_1_known", "em_1_new", "bleu", "bleu_of_copy"];

/// The declaration.
pub static PATCH_RERANKER: StageKind = StageKind {
    name: "patch-reranker",
    help: "patches of bugs that are held out: the hundred most frequent edits of the codebase, and those of the pairs that a stage `fix-retriever` \
           has found, applied where the replaced tokens stand, the places with the most alike context first. A small network, learned on bugs of the codebase \
           (each without its own pair), orders them by how frequent the edit is, by the context, by the similarity of the pair, and the like. Gives by bug `em_1`, `em_5` and \
           `em_any` (1 where the first patch, one of five, or any is the fix, token by token), and in all `em_1_known` and `em_1_new` (of bugs whose edits are in the \
           codebase, and of others), `bleu` (of the first patches) and `bleu_of_copy` (of the bugs themselves, over all pairs)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        VECTORS,
        FieldSpec::new(
            "found",
            FieldKind::Stage(&[OutputKind::Numbers]),
            Default::Absent,
            "a stage `fix-retriever` of the same texts; without it there are frequent edits alone",
        ),
        FieldSpec::new(
            "oracle",
            FieldKind::Switch,
            Default::Switch(false),
            "pairs that were mended with the same edits, in the place of what is found, where there are any",
        ),
        FieldSpec::new("hidden", FieldKind::Whole(1, 4096), Default::Whole(16), "units of the layer"),
        steps((1, 1_000_000), 500, "of AdamW"),
        rate(5e-3),
        super::SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| BY_BUG.iter().chain(&BY_SEED).map(ToString::to_string).collect(),
    outside: nothing_outside,
    estimate: |task| {
        let seconds = Some(20.0 + task.values.count("steps") as f64 * 0.02);
        Ok(Estimate { work: "makes and orders patches".into(), seconds, ..Estimate::default() })
    },
    run,
};

/// The codebase by its edits.
struct Codebase<'f> {
    known: &'f [Fix],
    patterns: Vec<Vec<Hunk>>,
    /// Places of the pairs with a pattern, ascending.
    pairs: HashMap<Vec<Hunk>, Vec<usize>>,
    /// The most frequent patterns, each that occurs twice at least.
    frequent: Vec<Vec<Hunk>>,
}

impl<'f> Codebase<'f> {
    fn new(known: &'f [Fix]) -> Codebase<'f> {
        let patterns: Vec<Vec<Hunk>> = known.par_iter().map(Fix::pattern).collect();
        let mut pairs: HashMap<Vec<Hunk>, Vec<usize>> = HashMap::new();
        for (at, pattern) in patterns.iter().enumerate() {
            pairs.entry(pattern.clone()).or_default().push(at);
        }
        let mut frequent: Vec<(&Vec<Hunk>, usize)> = pairs
            .iter()
            .map(|(pattern, pairs)| (pattern, pairs.len()))
            .filter(|(_, count)| *count > 1)
            .collect();
        frequent.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let frequent = frequent.into_iter().take(FREQUENT).map(|(pattern, _)| pattern.clone()).collect();
        Codebase { known, patterns, pairs, frequent }
    }

    /// Pairs with a pattern but one.
    fn of(&self, pattern: &[Hunk], without: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        self.pairs.get(pattern).into_iter().flatten().copied().filter(move |at| Some(*at) != without)
    }

    /// What is tried on a bug: pairs with how alike they are, and their place among those that were found.
    fn tried(&self, neighbours: &Neighbours, without: Option<usize>) -> Vec<(usize, Option<(usize, f64)>)> {
        let found = neighbours.iter().enumerate().map(|(rank, (at, score))| (*at, Some((rank, *score))));
        let frequent = self.frequent.iter().flat_map(|pattern| self.of(pattern, without).take(EXAMPLES));
        found.chain(frequent.map(|at| (at, None))).collect()
    }
}

/// A patch with what is seen of it.
struct Patch {
    tokens: Vec<String>,
    features: [f32; FEATURES],
}

/// The patches of a bug, each once, in the order in which they were first made.
fn patches(
    codebase: &Codebase<'_>,
    bug: &Fix,
    neighbours: &Neighbours,
    without: Option<usize>,
) -> Vec<Patch> {
    let mut all: Vec<Patch> = Vec::new();
    let mut places: HashMap<Vec<String>, usize> = HashMap::new();
    for (at, found) in codebase.tried(neighbours, without) {
        let source = &codebase.known[at];
        let frequency = codebase.of(&codebase.patterns[at], without).count();
        for (nth, applied) in apply(&bug.buggy, &source.buggy, &source.edits).into_iter().enumerate() {
            if applied.tokens == bug.buggy {
                continue;
            }
            let features = features(&bug.buggy, (&applied, nth), &source.edits, (found, frequency));
            match places.get(&applied.tokens) {
                Some(place) => merge(&mut all[*place].features, &features),
                None => {
                    places.insert(applied.tokens.clone(), all.len());
                    all.push(Patch { tokens: applied.tokens, features });
                }
            }
        }
    }
    all
}

fn features(
    bug: &[String],
    (applied, nth): (&Applied, usize),
    edits: &[Edit],
    (found, frequency): (Option<(usize, f64)>, usize),
) -> [f32; FEATURES] {
    let removed: usize = edits.iter().map(|edit| edit.hunk.removed.len()).sum();
    let inserted: Vec<&String> = edits.iter().flat_map(|edit| &edit.hunk.inserted).collect();
    let is_name = |token: &&&String| token.chars().any(|character| character.is_ascii_digit());
    let names: Vec<&&String> = inserted.iter().filter(is_name).collect();
    let unknown = names.iter().filter(|name| !bug.contains(**name)).count() as f64;
    let broken = is_balanced(bug) && !is_balanced(&applied.tokens);
    let all = [
        if found.is_some() { 1.0 } else { 0.0 },
        found.map_or(0.0, |(_, score)| score / 3.0),
        found.map_or(0.0, |(rank, _)| 1.0 / (1.0 + rank as f64)),
        (1.0 + frequency as f64).ln() / 3.0,
        applied.left / 4.0,
        applied.right / 4.0,
        (1.0 + applied.places as f64).ln() / 3.0,
        1.0 / (1.0 + nth as f64),
        removed as f64 / 10.0,
        inserted.len() as f64 / 10.0,
        unknown / names.len().max(1) as f64,
        if broken { 1.0 } else { 0.0 },
        0.0,
        edits.len() as f64 / 3.0,
    ];
    all.map(|x| x as f32)
}

/// The same patch from another pair: the best of what each of both says for it, and one more that says so.
fn merge(features: &mut [f32; FEATURES], other: &[f32; FEATURES]) {
    for at in [0, 1, 2, 3, 4, 5, 7] {
        features[at] = features[at].max(other[at]);
    }
    features[12] += 0.3;
}

fn neighbours(task: &Task<'_>, fixes: &Fixes, codebase: &Codebase<'_>) -> Result<Found, StageError> {
    let none = |count: usize| vec![Neighbours::new(); count];
    let mut found = match task.values.text("found") {
        None => Found { learned: none(fixes.learned().len()), tested: none(fixes.tested.len()) },
        Some(stage) => {
            let input = task.input(stage)?;
            input.check_kind("found", &[FIX_RETRIEVER.name])?;
            found_of(&input.folder)?
        }
    };
    if task.values.on("oracle") {
        let same = |pattern: &[Hunk], without| -> Neighbours {
            codebase.of(pattern, without).take(EXAMPLES).map(|at| (at, 3.0)).collect()
        };
        for (own, at) in found.learned.iter_mut().zip(fixes.learned()) {
            let known = same(&codebase.patterns[at], Some(at));
            *own = if known.is_empty() { std::mem::take(own) } else { known };
        }
        for (own, bug) in found.tested.iter_mut().zip(&fixes.tested) {
            let known = same(&bug.pattern(), None);
            *own = if known.is_empty() { std::mem::take(own) } else { known };
        }
    }
    Ok(found)
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (_, file) = vectors_of(task)?;
    let fixes = read_fixes(&file)?;
    let codebase = Codebase::new(&fixes.known);
    let found = neighbours(task, &fixes, &codebase)?;
    let list = |at: usize| -> Option<VectorList> {
        let bug = &fixes.known[at];
        let all = patches(&codebase, bug, &found.learned[at], Some(at));
        let labels: Vec<f32> =
            all.iter().map(|patch| if patch.tokens == bug.fixed { 1.0 } else { 0.0 }).collect();
        let can_teach = labels.contains(&1.0) && labels.len() > 1;
        let candidates = all.iter().flat_map(|patch| patch.features).collect();
        can_teach.then(|| VectorList { name: at.to_string(), candidates, labels, ..VectorList::default() })
    };
    let lists: Vec<VectorList> = fixes.learned().into_par_iter().filter_map(list).collect();
    if lists.is_empty() {
        let problem = "no patch of a bug of the codebase is its fix; nothing can be learned".to_string();
        return Err(StageError::Field { field: "vectors", problem });
    }
    let (scorer, parameters) = learn(task, &lists)?;
    let alone = Compute::new(1);
    let ranked: Vec<Vec<Patch>> = (0..fixes.tested.len())
        .into_par_iter()
        .map(|at| {
            let all = patches(&codebase, &fixes.tested[at], &found.tested[at], None);
            if all.is_empty() {
                return all;
            }
            let candidates = all.iter().flat_map(|patch| patch.features).collect();
            let list = VectorList { candidates, labels: vec![0.0; all.len()], ..VectorList::default() };
            let scores = score_lists(&scorer, &parameters, &alone, &[list]).swap_remove(0);
            let mut scored: Vec<(f32, Patch)> = scores.into_iter().zip(all).collect();
            // A stable sort: of equal scores the one that was made first.
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            scored.into_iter().map(|(_, patch)| patch).collect()
        })
        .collect();
    let mut made = measured(task, &fixes, &codebase, &ranked);
    made.facts.push(("bugs to learn from".into(), lists.len().to_string()));
    let patches = ranked.iter().map(Vec::len).sum::<usize>() as f64 / ranked.len().max(1) as f64;
    made.facts.push(("patches of a bug".into(), format!("{patches:.1}")));
    Ok(made)
}

fn learn(task: &Task<'_>, lists: &[VectorList]) -> Result<(VectorScorer, Parameters), StageError> {
    let training = ScorerTraining {
        objective: "softmax-cross-entropy",
        width: FEATURES,
        batch: 16,
        decay: 1e-3,
        seed: task.values.count("seed") as u64,
    };
    learn_scorer(task, lists, &training)
}

fn measured(task: &Task<'_>, fixes: &Fixes, codebase: &Codebase<'_>, ranked: &[Vec<Patch>]) -> StageOutput {
    let one = |yes: bool| f64::from(u8::from(yes));
    let place = |at: usize| ranked[at].iter().position(|patch| patch.tokens == fixes.tested[at].fixed);
    let by_bug: Vec<[f64; BY_BUG.len()]> = (0..ranked.len())
        .map(|at| {
            let place = place(at);
            [one(place == Some(0)), one(place.is_some_and(|place| place < LIST)), one(place.is_some())]
        })
        .collect();
    let share = |is_known: bool| {
        let own: Vec<f64> = (0..ranked.len())
            .filter(|at| codebase.pairs.contains_key(&fixes.tested[*at].pattern()) == is_known)
            .map(|at| by_bug[at][0])
            .collect();
        mean(&own)
    };
    let first: Vec<(&[String], &[String])> = ranked
        .iter()
        .zip(&fixes.tested)
        .map(|(patches, bug)| {
            (
                patches.first().map_or(bug.buggy.as_slice(), |patch| patch.tokens.as_slice()),
                bug.fixed.as_slice(),
            )
        })
        .collect();
    let copies: Vec<(&[String], &[String])> = fixes
        .known
        .iter()
        .chain(&fixes.tested)
        .map(|fix| (fix.buggy.as_slice(), fix.fixed.as_slice()))
        .collect();
    let keys: Vec<String> = (0..ranked.len()).map(|at| at.to_string()).collect();
    let quantity = |(at, name): (usize, &&str)| {
        Quantity::by_query(*name, keys.clone(), by_bug.iter().map(|numbers| numbers[at]).collect())
    };
    let mut numbers: Vec<Quantity> = BY_BUG.iter().enumerate().map(quantity).collect();
    let all = [share(true), share(false), smoothed_bleu(&first), smoothed_bleu(&copies)];
    let seed = task.values.count("seed");
    numbers.extend(BY_SEED.iter().zip(all).map(|(name, value)| Quantity::of_seed(*name, seed, value)));
    StageOutput { numbers, ..StageOutput::default() }
}
