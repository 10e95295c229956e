//! `content-planner`: a small network that picks clauses of an abstract one after another, and the plans that a beam search finds with it
//! (EDU-Sum's planner).

use super::SEED;
use super::text_vectors::{VECTORS, vectors_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training::{ScorerTraining, learn_scorer};
use crate::recipe::models::training_fields::{batch, rate, steps};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{TextVectors, Titled, cosine, read_titled};
use plackett_arena::choosing::{PlanSearch, content_plan, overlap};
use plackett_train::trainer::{Settings, VectorList, VectorScorer, score_lists};
use plackett_train::{Compute, Parameters};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;

/// Plans that a search finds.
const PLANS: usize = 16;
/// Units of a plan at most: titles are short.
const LONGEST: usize = 5;
/// Every how many abstracts one is held out.
const HELD_OUT: usize = 4;
/// Numbers that the network sees of a choice.
const FEATURES: usize = 11;
const NUMBERS: [&str; 8] = [
    "distinct",
    "ascending",
    "overlap/oracle",
    "overlap/random",
    "overlap/1",
    "overlap/4",
    "overlap/8",
    "overlap/16",
];

/// The declaration.
pub static CONTENT_PLANNER: StageKind = StageKind {
    name: "content-planner",
    help: "a network of one hidden layer learns which clause of an abstract its title is about first, next, and when to stop, from the bundled \
           encoder's vectors of the clauses (cosines with the whole abstract and with the clause before), their places, their lengths and \
           what is picked already. A beam search finds 16 plans. Gives by abstract that is held out `distinct` (share of the plans that are \
           different), `ascending` (1 where all are in the order of the abstract), and the F1 of words with the title of the plan that the title itself gives \
           (`overlap/oracle`), of a random one as long as the search's first (`overlap/random`), and of the search's first, fourth, eighth and sixteenth (the last \
           one where there are fewer)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        VECTORS,
        FieldSpec::new("hidden", FieldKind::Whole(1, 4096), Default::Whole(24), "units of the layer"),
        batch(32, "choices in a step"),
        steps((1, 1_000_000), 800, "of AdamW"),
        rate(3e-3),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let seconds = Some(10.0 + task.values.count("steps") as f64 * 0.02);
        Ok(Estimate { work: "trains a planner".into(), seconds, ..Estimate::default() })
    },
    run,
};

/// An abstract with what the network sees of it.
struct Source<'s> {
    titled: &'s Titled,
    vectors: Vec<&'s [f32]>,
    middle: Vec<f32>,
}

impl<'s> Source<'s> {
    fn new(titled: &'s Titled, vectors: &'s TextVectors) -> Result<Source<'s>, StageError> {
        let of: Vec<&[f32]> = titled.units.iter().map(|unit| vectors.get(unit)).collect::<Result<_, _>>()?;
        let count = of.len().max(1) as f32;
        let middle = (0..vectors.dimension())
            .map(|at| of.iter().map(|vector| vector[at]).sum::<f32>() / count)
            .collect();
        Ok(Source { titled, vectors: of, middle })
    }

    /// The plan that the title gives.
    fn oracle(&self) -> Vec<usize> {
        content_plan(&self.views(), &self.titled.title, &[&self.titled.title])
    }

    fn views(&self) -> Vec<&str> {
        self.titled.units.iter().map(String::as_str).collect()
    }

    fn overlap(&self, plan: &[usize]) -> f64 {
        let joined = plan.iter().map(|at| self.titled.units[*at].as_str()).collect::<Vec<_>>().join(" ");
        overlap(&joined, &self.titled.title).one
    }

    /// What is seen of a unit, or of the stop, after a plan.
    fn features(&self, plan: &[usize], choice: Option<usize>) -> [f32; FEATURES] {
        let count = self.vectors.len() as f32;
        let last = plan.last().copied();
        let picked = plan.len() as f32 / LONGEST as f32;
        let Some(at) = choice else {
            let left = (count - last.map_or(0.0, |last| last as f32 + 1.0)) / count;
            return [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, picked, left];
        };
        let length = self.titled.units[at].split_whitespace().count() as f32;
        let gap = at as f32 - last.map_or(-1.0, |last| last as f32);
        [
            3.0 * cosine(self.vectors[at], &self.middle) as f32,
            last.map_or(0.0, |last| cosine(self.vectors[at], self.vectors[last]) as f32),
            at as f32 / count,
            if at == 0 { 1.0 } else { 0.0 },
            gap / count,
            (length + 1.0).ln() - 2.5,
            if at + 1 == self.vectors.len() { 1.0 } else { 0.0 },
            picked,
            0.0,
            0.0,
            0.0,
        ]
    }

    /// The choices that follow a plan: units behind it, and the stop.
    fn choices(&self, plan: &[usize]) -> Vec<Option<usize>> {
        let first = plan.last().map_or(0, |last| last + 1);
        (first..self.vectors.len()).map(Some).chain([None]).collect()
    }

    /// A list for each choice of the oracle's plan.
    fn lists(&self) -> Vec<VectorList> {
        let mut oracle = self.oracle();
        oracle.truncate(LONGEST);
        let one = |at: usize| {
            let wanted = oracle.get(at).copied();
            let mut list = VectorList { name: self.titled.title.clone(), ..VectorList::default() };
            for choice in self.choices(&oracle[..at]) {
                list.candidates.extend(self.features(&oracle[..at], choice));
                list.labels.push(if choice == wanted { 1.0 } else { 0.0 });
            }
            list
        };
        match oracle.is_empty() {
            true => Vec::new(),
            false => (0..=oracle.len()).map(one).collect(),
        }
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (vectors, file) = vectors_of(task)?;
    let all = read_titled(&file)?;
    let sources: Vec<Source<'_>> =
        all.iter().map(|titled| Source::new(titled, &vectors)).collect::<Result<_, _>>()?;
    let is_held = |at: &usize| at.is_multiple_of(HELD_OUT);
    let lists: Vec<VectorList> = (0..sources.len())
        .into_par_iter()
        .filter(|at| !is_held(at))
        .flat_map_iter(|at| sources[at].lists())
        .collect();
    if lists.is_empty() {
        let problem = "no title has a word of its abstract; nothing can be learned".to_string();
        return Err(StageError::Field { field: "vectors", problem });
    }
    let seed = values.count("seed") as u64;
    let training = ScorerTraining {
        objective: "softmax-cross-entropy",
        width: FEATURES,
        batch: values.count("batch"),
        decay: Settings::default().decay,
        seed,
    };
    let (scorer, parameters) = learn_scorer(task, &lists, &training)?;
    let held: Vec<usize> = (0..sources.len()).filter(is_held).collect();
    // One thread for each abstract; the network is small.
    let alone = Compute::new(1);
    let numbers: Vec<[f64; NUMBERS.len()]> = held
        .par_iter()
        .map(|at| measured(&sources[*at], (&scorer, &parameters, &alone), *at as u64))
        .collect();
    let keys: Vec<String> = held.iter().map(ToString::to_string).collect();
    let quantity = |(at, name): (usize, &&str)| {
        Quantity::by_query(*name, keys.clone(), numbers.iter().map(|numbers| numbers[at]).collect())
    };
    Ok(StageOutput {
        numbers: NUMBERS.iter().enumerate().map(quantity).collect(),
        facts: vec![
            ("choices to learn from".into(), lists.len().to_string()),
            ("units of an abstract".into(), {
                let units: Vec<f64> = all.iter().map(|titled| titled.units.len() as f64).collect();
                format!("{:.1}", mean(&units))
            }),
        ],
        ..StageOutput::default()
    })
}

fn measured(
    source: &Source<'_>,
    (scorer, parameters, compute): (&VectorScorer, &Parameters, &Arc<Compute>),
    seed: u64,
) -> [f64; NUMBERS.len()] {
    let count = source.vectors.len();
    let scores = |plan: &[usize]| {
        let choices = source.choices(plan);
        let candidates = choices.iter().flat_map(|choice| source.features(plan, *choice)).collect();
        let list = VectorList { candidates, labels: vec![0.0; choices.len()], ..VectorList::default() };
        let given = score_lists(scorer, parameters, compute, &[list]).swap_remove(0);
        // Units before the plan's end have no number of their own: they may not come next.
        let mut all = vec![0.0; count + 1];
        choices.iter().zip(given).for_each(|(choice, score)| all[choice.unwrap_or(count)] = f64::from(score));
        all
    };
    let search = PlanSearch { width: PLANS, shortest: 1, longest: LONGEST, length_penalty: 1.0 };
    let plans: Vec<Vec<usize>> = search.run(count, scores).into_iter().map(|(plan, _)| plan).collect();
    let different: HashSet<&Vec<usize>> = plans.iter().collect();
    let ascending = plans.iter().all(|plan| plan.windows(2).all(|pair| pair[0] < pair[1]));
    let nth = |at: usize| plans.get(at).or(plans.last()).map_or(0.0, |plan| source.overlap(plan));
    let length = plans.first().map_or(0, Vec::len).min(count);
    let mut random = sample(&mut ChaCha8Rng::seed_from_u64(seed), count, length).into_vec();
    random.sort_unstable();
    [
        different.len() as f64 / PLANS as f64,
        if ascending { 1.0 } else { 0.0 },
        source.overlap(&source.oracle()),
        source.overlap(&random),
        nth(0),
        nth(3),
        nth(7),
        nth(15),
    ]
}
