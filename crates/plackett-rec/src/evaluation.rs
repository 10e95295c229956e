//! Where the next item stands in the ranking of the whole catalogue.

use crate::{Event, RecError, Recommender, Request, TestCase};

/// Requests whose scores are held at once: catalogue × this many numbers.
const TOGETHER: usize = 64;

/// How rankings are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationOptions {
    /// Whether items of the history stay out of the ranking (the target never does).
    pub exclude_seen: bool,
    /// Items of each list that are kept; 0 for none.
    pub keep: usize,
}

impl Default for EvaluationOptions {
    fn default() -> EvaluationOptions {
        EvaluationOptions { exclude_seen: true, keep: 0 }
    }
}

/// Where the target of a case stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetRank {
    /// From 1. Where others have the target's score it is the middle of the places they share, rounded up, so that a model
    /// without an opinion ranks by chance and not by the order of the catalogue.
    pub rank: usize,
    /// How many others have its score.
    pub tied: usize,
    /// The first items, the best first; equal scores in the order of the catalogue.
    pub list: Vec<u32>,
}

impl TargetRank {
    /// 1 where the target is among the first `k`: hit rate, and recall with one target.
    pub fn hit(&self, k: usize) -> f64 {
        f64::from(u8::from(self.rank <= k))
    }

    /// 1 / log₂(rank + 1) among the first `k`.
    pub fn ndcg(&self, k: usize) -> f64 {
        if self.rank <= k { 1.0 / (self.rank as f64 + 1.0).log2() } else { 0.0 }
    }

    /// 1 / rank among the first `k`, 0 behind them.
    pub fn reciprocal(&self, k: usize) -> f64 {
        if self.rank <= k { self.reciprocal_rank() } else { 0.0 }
    }

    /// 1 / rank, wherever it stands.
    pub fn reciprocal_rank(&self) -> f64 {
        1.0 / self.rank as f64
    }
}

/// Ranks the whole catalogue for each case. What one case gives does not depend on which others there are. The recommender is
/// told the time of the target, as it would know the time at which it is asked.
///
/// # Errors
/// A history or target has an item that the recommender does not know, or a score is no number.
pub fn evaluate(
    recommender: &dyn Recommender,
    cases: &[TestCase<'_>],
    options: EvaluationOptions,
) -> Result<Vec<TargetRank>, RecError> {
    let catalogue = recommender.catalogue();
    let mut ranks = Vec::with_capacity(cases.len());
    for cases in cases.chunks(TOGETHER) {
        for case in cases {
            check_items(case.history.iter().chain([&case.target]), catalogue)?;
        }
        let requests: Vec<Request<'_>> =
            cases.iter().map(|case| Request { history: case.history, now: case.target.time }).collect();
        let scores = recommender.finite_scores(&requests)?;
        for (case, scores) in cases.iter().zip(scores.chunks(catalogue)) {
            ranks.push(rank_of(case, scores.to_vec(), options));
        }
    }
    Ok(ranks)
}

/// Refuses items that the catalogue does not have.
pub(crate) fn check_items<'e>(
    mut events: impl Iterator<Item = &'e Event>,
    catalogue: usize,
) -> Result<(), RecError> {
    match events.find(|event| event.item as usize >= catalogue) {
        Some(event) => Err(RecError::UnknownItem { item: event.item, catalogue }),
        None => Ok(()),
    }
}

fn rank_of(case: &TestCase<'_>, mut scores: Vec<f32>, options: EvaluationOptions) -> TargetRank {
    let target = case.target.item as usize;
    if options.exclude_seen {
        for event in case.history.iter().filter(|event| event.item as usize != target) {
            scores[event.item as usize] = f32::NEG_INFINITY;
        }
    }
    let list = match options.keep {
        0 => Vec::new(),
        keep => best(&scores, keep),
    };
    TargetRank { list, ..target_rank(&scores, target) }
}

/// The rank of a place among scores, without a list. What is no number is behind every number where it is the target's own, and before the
/// target where it is another's, so that a broken model never looks good.
pub fn target_rank(scores: &[f32], target: usize) -> TargetRank {
    let own = scores[target];
    let others = || scores.iter().enumerate().filter(|(at, _)| *at != target).map(|(_, score)| *score);
    let is_behind = |score: f32| score <= own;
    let better = others().filter(|score| !is_behind(*score)).count();
    let tied = others().filter(|score| *score == own).count();
    TargetRank { rank: 1 + better + tied.div_ceil(2), tied, list: Vec::new() }
}

/// The places of the greatest scores, the greatest first, equal ones in their order. What has no score above −∞ is left out.
pub fn best(scores: &[f32], keep: usize) -> Vec<u32> {
    let mut order: Vec<u32> =
        (0..scores.len() as u32).filter(|at| scores[*at as usize] > f32::NEG_INFINITY).collect();
    let compare = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
    if keep < order.len() {
        order.select_nth_unstable_by(keep, compare);
        order.truncate(keep);
    }
    order.sort_by(compare);
    order
}

/// What lists are like as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ListStatistics {
    /// Share of the catalogue that is in some list.
    pub coverage: f64,
    /// Gini coefficient of how often items are in lists: 0 where all are equally often, near 1 where a few have all places.
    pub gini: f64,
    /// Mean share of the training events that a recommended item has.
    pub popularity: f64,
}

/// Coverage, concentration and popularity of some lists; `counts` are the events of each item in the training.
pub fn list_statistics<'l>(lists: impl Iterator<Item = &'l [u32]>, counts: &[usize]) -> ListStatistics {
    let mut shown = vec![0usize; counts.len()];
    lists.flatten().for_each(|item| shown[*item as usize] += 1);
    let total: usize = shown.iter().sum();
    let events: usize = counts.iter().sum();
    if total == 0 || events == 0 {
        return ListStatistics::default();
    }
    let popular: f64 = shown.iter().zip(counts).map(|(shown, count)| *shown as f64 * *count as f64).sum();
    let coverage = shown.iter().filter(|shown| **shown > 0).count() as f64 / counts.len() as f64;
    shown.sort_unstable();
    let count = shown.len() as f64;
    let weighted: f64 = shown
        .iter()
        .enumerate()
        .map(|(at, shown)| (2.0 * (at as f64 + 1.0) - count - 1.0) * *shown as f64)
        .sum();
    ListStatistics {
        coverage,
        gini: weighted / (count * total as f64),
        popularity: popular / (total as f64 * events as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::{Qrels, Run};

    struct Fixed(Vec<f32>);

    impl Recommender for Fixed {
        fn catalogue(&self) -> usize {
            self.0.len()
        }

        fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
            Ok(requests.iter().flat_map(|_| self.0.clone()).collect())
        }

        fn parameters(&self) -> plackett_train::Parameters {
            plackett_train::Parameters::default()
        }
    }

    fn events(items: &[u32]) -> Vec<Event> {
        items.iter().map(|item| Event { item: *item, rating: 1.0, time: 0 }).collect()
    }

    fn case(history: &[Event], target: u32) -> TestCase<'_> {
        TestCase { user: 0, history, target: Event { item: target, rating: 1.0, time: 0 } }
    }

    #[test]
    fn what_was_seen_is_left_out_and_ties_are_shared() {
        let model = Fixed(vec![0.9, 0.8, 0.5, 0.5, 0.5, 0.1]);
        let ranks = |history: &[u32], target, exclude_seen| {
            let options = EvaluationOptions { exclude_seen, keep: 3 };
            evaluate(&model, &[case(&events(history), target)], options).unwrap().remove(0)
        };
        assert_eq!(ranks(&[0], 1, true), TargetRank { rank: 1, tied: 0, list: vec![1, 2, 3] });
        assert_eq!(ranks(&[0], 1, false), TargetRank { rank: 2, tied: 0, list: vec![0, 1, 2] });
        assert_eq!(ranks(&[0], 3, true).rank, 3);
        // A target that was seen is still a target.
        assert_eq!(ranks(&[1, 0], 1, true).rank, 1);
        let constant =
            evaluate(&Fixed(vec![0.0; 9]), &[case(&[], 0), case(&[], 8)], EvaluationOptions::default());
        assert_eq!(
            constant.unwrap().iter().map(|rank| (rank.rank, rank.tied)).collect::<Vec<_>>(),
            [(5, 8), (5, 8)]
        );
        for score in [f32::NAN, f32::INFINITY] {
            let broken = evaluate(&Fixed(vec![0.5, score]), &[case(&[], 0)], EvaluationOptions::default());
            assert!(broken.unwrap_err().to_string().contains("an item has the score"));
        }
        assert_eq!((target_rank(&[f32::NAN; 5], 2).rank, target_rank(&[0.5, f32::NAN, 0.1], 0).rank), (5, 2));
        let unknown = evaluate(&model, &[case(&events(&[17]), 0)], EvaluationOptions::default()).unwrap_err();
        assert!(unknown.to_string().contains("no item 17"));
    }

    #[test]
    fn measures_are_those_of_the_evaluation_crate() {
        let model = Fixed(vec![0.1, 0.7, 0.9, 0.3, 0.2]);
        for target in 0..5 {
            let rank =
                evaluate(&model, &[case(&[], target)], EvaluationOptions::default()).unwrap().remove(0);
            let (mut run, mut qrels) = (Run::new("x"), Qrels::new());
            for (item, score) in model.0.iter().enumerate() {
                run.query_mut("q").push(&item.to_string(), f64::from(*score)).unwrap();
            }
            qrels.query_mut("q").push("0", &target.to_string(), 1).unwrap();
            let measures = ["nDCG@3", "Success@3", "RR@3", "RR"].map(|name| name.parse().unwrap());
            let found =
                plackett_eval::evaluate(&qrels, &run, &measures, &plackett_eval::Policy::default()).unwrap();
            let ours = [rank.ndcg(3), rank.hit(3), rank.reciprocal(3), rank.reciprocal_rank()];
            for (measure, ours) in measures.iter().zip(ours) {
                let theirs = found.measured(measure).unwrap().mean;
                assert!((theirs - ours).abs() < 1e-12, "{measure} of {target}: {theirs} {ours}");
            }
        }
    }

    #[test]
    fn lists_of_one_item_cover_little_and_are_concentrated() {
        let counts = [8, 1, 1, 0];
        let same: Vec<&[u32]> = vec![&[0], &[0], &[0]];
        let found = list_statistics(same.into_iter(), &counts);
        assert_eq!((found.coverage, found.gini, found.popularity), (0.25, 0.75, 0.8));
        let spread: Vec<&[u32]> = vec![&[0, 1], &[2, 3]];
        let found = list_statistics(spread.into_iter(), &counts);
        assert_eq!((found.coverage, found.gini, found.popularity), (1.0, 0.0, 0.25));
        assert_eq!(list_statistics(std::iter::empty(), &counts), ListStatistics::default());
    }
}
