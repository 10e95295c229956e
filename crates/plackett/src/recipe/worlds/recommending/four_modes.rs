//! One model asked in four ways: for the whole catalogue and for candidates, behind a history alone and with the query of a search.

use super::catalogue_index::CatalogueIndex;
use crate::recipe::error::StageError;
use crate::recipe::quantity::{Quantity, mean};
use plackett_eval::calibration::Reliability;
use plackett_rec::synergen::{ContextCache, Occurrence, SynerGenInference};
use plackett_rec::{RecError, TargetRank, target_rank};
use plackett_train::random::Stream;
use rayon::prelude::*;
use std::collections::HashSet;
use std::time::Instant;

/// Where lists are cut.
const CUT: usize = 10;
/// Candidates that the target is to be told from.
const OTHERS: usize = 50;
/// Users whose answers are asked for again in other ways.
const AGAIN: usize = 50;
/// Seconds of a year.
const YEAR: i64 = 365 * 86_400;
/// The ways in which is asked.
pub const MODES: [&str; 2] = ["recommend", "search"];
/// By user, of each of [`MODES`].
pub const BY_USER: [&str; 7] =
    ["recall@10", "ndcg@10", "cascade_ndcg@10", "auc", "cold_recall@10", "shuffled_ndcg@10", "shuffled_auc"];
/// By seed.
pub const BY_SEED: [&str; 8] = [
    "shift",
    "permuted",
    "uncached",
    "calibration_error",
    "brier",
    "read_seconds",
    "retrieve_seconds",
    "rank_seconds",
];

/// By seed, where an index is asked.
pub const BY_INDEX: [&str; 2] = ["index_recall", "index_seconds"];

/// Somebody whose last event is asked for.
pub struct AskedUser {
    /// The name.
    pub user: String,
    /// What happened before.
    pub history: Vec<Occurrence>,
    /// The item and the time.
    pub target: (u32, Option<i64>),
    /// A search that leads to it; `None` where there is none.
    pub query: Option<u32>,
    /// Whether hardly anybody's training has it.
    pub is_cold: bool,
}

/// What one way of asking gives for a user.
#[derive(Clone)]
struct Answer {
    /// The target's rank among all items that are not in the history,
    rank: TargetRank,
    /// and when the first of them are ranked again.
    cascade: TargetRank,
    /// Share of the others that the target is put before.
    auc: f64,
}

/// By mode, of each user; nothing where there is no query for a search.
type Modes = [Vec<Option<Answer>>; 2];

/// What one training gives.
pub struct Answers {
    modes: Modes,
    /// The same when times are shuffled among the events of a history.
    shuffled: Modes,
    by_seed: [f64; BY_SEED.len()],
    /// What an index over the catalogue finds, and how it was searched.
    by_index: Option<([f64; BY_INDEX.len()], String)>,
}

impl Answers {
    /// How the index was searched, where there is one.
    pub fn index_used(&self) -> Option<&str> {
        self.by_index.as_ref().map(|(_, used)| &used[..])
    }
}

/// Asks a model.
pub struct FourModes<'a> {
    /// The model.
    pub inference: SynerGenInference<'a>,
    /// Who is asked about.
    pub users: &'a [AskedUser],
    /// How many items there are.
    pub items: usize,
    /// How many of the first items are ranked again.
    pub depth: usize,
    /// An index over the model's vectors of all items.
    pub index: Option<&'a CatalogueIndex>,
    /// From which candidates follow.
    pub seed: u64,
}

impl FourModes<'_> {
    /// All answers.
    ///
    /// # Errors
    /// The model does not have an item or query.
    pub fn ask(&self) -> Result<Answers, StageError> {
        let (modes, labelled) = self.all(false)?;
        let by_index = self.index.map(|index| self.by_index(index)).transpose()?;
        Ok(Answers { modes, shuffled: self.all(true)?.0, by_seed: self.by_seed(&labelled)?, by_index })
    }

    /// The answers of all users in both modes, and the probabilities of their targets and others.
    fn all(&self, is_shuffled: bool) -> Result<(Modes, Vec<(f64, bool)>), RecError> {
        let of_user = |at: usize| -> Result<_, RecError> {
            let user = &self.users[at];
            let history = if is_shuffled { self.shuffled(at) } else { user.history.clone() };
            let context = self.inference.read(&history)?;
            let (plain, mut labelled) = self.answer(at, &context, None)?;
            let Some(query) = user.query else { return Ok(([Some(plain), None], labelled)) };
            let (searched, more) = self.answer(at, &context, Some(query))?;
            labelled.extend(more);
            Ok(([Some(plain), Some(searched)], labelled))
        };
        let found: Result<Vec<_>, RecError> = (0..self.users.len()).into_par_iter().map(of_user).collect();
        let (mut modes, mut all) = (Modes::default(), Vec::new());
        for (user, labelled) in found? {
            modes.iter_mut().zip(user).for_each(|(mode, answer)| mode.push(answer));
            all.extend(labelled);
        }
        Ok((modes, all))
    }

    /// The history of a user, its times in a drawn order.
    fn shuffled(&self, at: usize) -> Vec<Occurrence> {
        let history = &self.users[at].history;
        let order = Stream::new(self.seed, (1 << 33) + at as u64).permutation(history.len());
        history
            .iter()
            .zip(order)
            .map(|(event, from)| Occurrence { time: history[from].time, ..*event })
            .collect()
    }

    /// Items that the target is to be told from: drawn evenly, not in the history.
    fn others(&self, at: usize) -> Vec<u32> {
        let (user, stream) = (&self.users[at], Stream::new(self.seed, (1 << 34) + at as u64));
        let drawn = (0..).map(|place| stream.below(place, self.items) as u32);
        let is_new =
            |item: &u32| *item != user.target.0 && user.history.iter().all(|event| event.item != *item);
        // Of a user who has nearly everything there may be fewer.
        drawn.take(20 * OTHERS).filter(is_new).take(OTHERS).collect()
    }

    /// The answer of a mode, and the probabilities of target and others.
    fn answer(
        &self,
        at: usize,
        context: &ContextCache,
        query: Option<u32>,
    ) -> Result<(Answer, Vec<(f64, bool)>), RecError> {
        let user = &self.users[at];
        let (target, now) = user.target;
        let mut scores = self.inference.retrieve(context, query, now)?;
        for event in user.history.iter().filter(|event| event.item != target) {
            scores[event.item as usize] = f32::NEG_INFINITY;
        }
        let rank = target_rank(&scores, target as usize);
        let first = plackett_rec::best(&scores, self.depth);
        let cascade = match first.iter().position(|item| *item == target) {
            Some(place) => target_rank(&self.inference.rank(context, query, now, &first)?, place),
            None => rank.clone(),
        };
        let mut candidates = vec![target];
        candidates.extend(self.others(at));
        let probabilities = self.inference.rank(context, query, now, &candidates)?;
        let count = (probabilities.len() - 1).max(1) as f64;
        let is_below = |other: &f32| {
            let (own, other) = (probabilities[0], *other);
            if own > other { 1.0 } else { f64::from(u8::from(own == other)) / 2.0 }
        };
        let auc = probabilities[1..].iter().map(is_below).sum::<f64>() / count;
        let labelled = probabilities.iter().enumerate().map(|(at, p)| (f64::from(*p), at == 0)).collect();
        Ok((Answer { rank, cascade, auc }, labelled))
    }

    /// What is asked for again in other ways, how far probabilities can be believed, and times.
    fn by_seed(&self, labelled: &[(f64, bool)]) -> Result<[f64; BY_SEED.len()], StageError> {
        let (mut shift, mut permuted, mut uncached) = (0f64, 0f64, 0f64);
        let mut seconds = [0.0; 3];
        let tested = self.users.len().min(AGAIN);
        for (at, user) in self.users.iter().enumerate().take(tested) {
            let (query, now) = (user.query, user.target.1);
            let begun = Instant::now();
            let context = self.inference.read(&user.history)?;
            seconds[0] += begun.elapsed().as_secs_f64();
            let begun = Instant::now();
            let scores = self.inference.retrieve(&context, query, now)?;
            seconds[1] += begun.elapsed().as_secs_f64();
            let mut candidates = self.others(at);
            let begun = Instant::now();
            let ranked = self.inference.rank(&context, query, now, &candidates)?;
            seconds[2] += begun.elapsed().as_secs_f64();
            let later =
                |event: &Occurrence| Occurrence { time: event.time.map(|time| time + YEAR), ..*event };
            let moved: Vec<Occurrence> = user.history.iter().map(later).collect();
            let (moved, now_moved) = (self.inference.read(&moved)?, now.map(|now| now + YEAR));
            shift = shift.max(apart(&scores, &self.inference.retrieve(&moved, query, now_moved)?));
            shift = shift.max(apart(&ranked, &self.inference.rank(&moved, query, now_moved, &candidates)?));
            let whole = self.inference.rank_whole(&user.history, query, now, &candidates)?;
            uncached = uncached.max(apart(&ranked, &whole));
            candidates.reverse();
            let mut turned = self.inference.rank(&context, query, now, &candidates)?;
            turned.reverse();
            permuted = permuted.max(apart(&ranked, &turned));
        }
        let reliability = Reliability::of(labelled);
        let [read, retrieve, rank] = seconds.map(|seconds| seconds / tested.max(1) as f64);
        Ok([
            shift,
            permuted,
            uncached,
            reliability.calibration_error,
            reliability.brier,
            read,
            retrieve,
            rank,
        ])
    }

    /// The share of the first `depth` items of the catalogue that an index finds, seconds of a user, and how it was searched.
    fn by_index(&self, index: &CatalogueIndex) -> Result<([f64; BY_INDEX.len()], String), StageError> {
        let (mut recall, mut seconds, mut used) = (0.0, 0.0, String::new());
        let tested = self.users.len().min(AGAIN);
        let depth = self.depth.min(self.items);
        for user in &self.users[..tested] {
            let (query, now) = (user.query, user.target.1);
            let context = self.inference.read(&user.history)?;
            let scores = self.inference.retrieve(&context, query, now)?;
            let exact: HashSet<u32> = plackett_rec::best(&scores, depth).into_iter().collect();
            let begun = Instant::now();
            let vector = self.inference.question_vector(&context, query, now)?;
            let (found, how) = index.nearest(&vector, depth)?;
            seconds += begun.elapsed().as_secs_f64();
            recall += found.iter().filter(|item| exact.contains(*item)).count() as f64 / depth.max(1) as f64;
            used = how.to_string();
        }
        let count = tested.max(1) as f64;
        Ok(([recall / count, seconds / count], used))
    }
}

/// The greatest difference of two lists of scores; infinite where they have no numbers to compare.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let differences = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs()));
    let differences = differences.map(|apart| if apart.is_nan() { f64::INFINITY } else { apart });
    differences.fold(if a.len() == b.len() { 0.0 } else { f64::INFINITY }, f64::max)
}

/// The names of what [`quantities`] gives, with or without an index.
pub fn names(has_index: bool) -> Vec<String> {
    let by_user = MODES.iter().flat_map(|mode| BY_USER.iter().map(move |name| format!("{mode}/{name}")));
    let by_index = BY_INDEX.iter().filter(|_| has_index);
    by_user.chain(BY_SEED.iter().chain(by_index).map(ToString::to_string)).collect()
}

/// The numbers of all seeds: of users the mean over seeds.
pub fn quantities(users: &[AskedUser], seeds: &[Answers]) -> Vec<Quantity> {
    let mut numbers = Vec::new();
    for (mode, mode_name) in MODES.iter().enumerate() {
        for name in BY_USER {
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            for (at, user) in users.iter().enumerate() {
                let wanted = !name.starts_with("cold_") || user.is_cold;
                let value = |seed: &Answers| {
                    let from = if name.starts_with("shuffled_") { &seed.shuffled } else { &seed.modes };
                    from[mode][at].as_ref().map(|answer| match name.trim_start_matches("shuffled_") {
                        "ndcg@10" => answer.rank.ndcg(CUT),
                        "cascade_ndcg@10" => answer.cascade.ndcg(CUT),
                        "auc" => answer.auc,
                        _ => answer.rank.hit(CUT),
                    })
                };
                let found: Vec<f64> = seeds.iter().filter_map(value).collect();
                if wanted && !found.is_empty() {
                    keys.push(user.user.clone());
                    values.push(mean(&found));
                }
            }
            numbers.push(Quantity::by_query(format!("{mode_name}/{name}"), keys, values));
        }
    }
    let of_seed = |(at, name): (usize, &&str)| {
        Quantity::of_seeds(name, seeds.iter().map(|seed| seed.by_seed[at]).collect())
    };
    numbers.extend(BY_SEED.iter().enumerate().map(of_seed));
    let indexed: Vec<&[f64; BY_INDEX.len()]> =
        seeds.iter().filter_map(|seed| seed.by_index.as_ref().map(|(numbers, _)| numbers)).collect();
    if !indexed.is_empty() {
        let of_index = |(at, name): (usize, &&str)| {
            Quantity::of_seeds(name, indexed.iter().map(|own| own[at]).collect())
        };
        numbers.extend(BY_INDEX.iter().enumerate().map(of_index));
    }
    numbers
}
