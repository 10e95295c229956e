//! What a system that writes items is asked, put to a recommender that writes nothing.

use crate::recipe::error::StageError;
use crate::recipe::quantity::{Quantity, mean};
use plackett_rec::{Event, Recommender, Request, target_rank};

/// Where recall is measured,
const RECALL_CUTS: [usize; 4] = [1, 5, 10, 16];
/// and nDCG.
const NDCG_CUTS: [usize; 2] = [5, 10];
/// Requests whose scores are held at once.
const TOGETHER: usize = 64;

/// Somebody who is asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct FloorCase {
    /// The key that the system's own numbers have.
    pub key: String,
    /// What is known of somebody, the oldest first.
    pub history: Vec<u32>,
    /// What is asked for; one item or several.
    pub targets: Vec<u32>,
}

/// The cases of a system, and what it has learned from.
#[derive(Clone, Debug, PartialEq)]
pub struct FloorCases {
    /// How many items there are.
    pub catalogue: usize,
    /// The sequences that the system has learned from.
    pub learned: Vec<Vec<u32>>,
    /// Who is asked about.
    pub cases: Vec<FloorCase>,
    /// Whether the system leaves out what is in the history.
    pub exclude_seen: bool,
}

/// Items as events, one after the other.
pub fn events_of(items: &[u32]) -> Vec<Event> {
    let event = |(at, item): (usize, &u32)| Event { item: *item, rating: 1.0, time: at as i64 };
    items.iter().enumerate().map(event).collect()
}

impl FloorCases {
    /// The ranks of the targets of each case; of equal scores the middle.
    ///
    /// # Errors
    /// A history has an item that the recommender does not know, or a score is no number.
    pub fn ranks(&self, recommender: &dyn Recommender) -> Result<Vec<Vec<usize>>, StageError> {
        let mut ranks = Vec::with_capacity(self.cases.len());
        for cases in self.cases.chunks(TOGETHER) {
            let histories: Vec<Vec<Event>> = cases.iter().map(|case| events_of(&case.history)).collect();
            let requests: Vec<Request<'_>> =
                histories.iter().map(|history| Request { history, now: history.len() as i64 }).collect();
            let scores = recommender.finite_scores(&requests)?;
            for (case, scores) in cases.iter().zip(scores.chunks(self.catalogue.max(1))) {
                ranks.push(self.ranks_of(case, scores.to_vec()));
            }
        }
        Ok(ranks)
    }

    fn ranks_of(&self, case: &FloorCase, mut scores: Vec<f32>) -> Vec<usize> {
        if self.exclude_seen {
            let seen = case.history.iter().filter(|item| !case.targets.contains(item));
            seen.for_each(|item| scores[*item as usize] = f32::NEG_INFINITY);
        }
        case.targets.iter().map(|target| target_rank(&scores, *target as usize).rank).collect()
    }

    /// The numbers of [`floor_names`] from the ranks of each seed: means of the seeds, by case.
    pub fn numbers(&self, seeds: &[Vec<Vec<usize>>]) -> Vec<Quantity> {
        let keys: Vec<String> = self.cases.iter().map(|case| case.key.clone()).collect();
        let by_case = |name: String, of: &dyn Fn(&[usize]) -> f64| {
            let value = |case: usize| mean(&seeds.iter().map(|ranks| of(&ranks[case])).collect::<Vec<_>>());
            Quantity::by_query(name, keys.clone(), (0..keys.len()).map(value).collect())
        };
        let recalls = RECALL_CUTS.map(|cut| by_case(format!("recall@{cut}"), &|ranks| recall(ranks, cut)));
        let ndcgs = NDCG_CUTS.map(|cut| by_case(format!("ndcg@{cut}"), &|ranks| ndcg(ranks, cut)));
        recalls.into_iter().chain(ndcgs).collect()
    }
}

/// Names of what [`FloorCases::numbers`] gives.
pub fn floor_names() -> Vec<String> {
    let recalls = RECALL_CUTS.iter().map(|cut| format!("recall@{cut}"));
    recalls.chain(NDCG_CUTS.iter().map(|cut| format!("ndcg@{cut}"))).collect()
}

/// The share of the targets among the first `cut`; of one target its hit.
fn recall(ranks: &[usize], cut: usize) -> f64 {
    ranks.iter().filter(|rank| **rank <= cut).count() as f64 / ranks.len().max(1) as f64
}

/// The gains of the targets among the first `cut`, over those of a list that begins with them.
fn ndcg(ranks: &[usize], cut: usize) -> f64 {
    let gain = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
    let found: f64 = ranks.iter().filter(|rank| **rank <= cut).map(|rank| gain(*rank)).sum();
    let best: f64 = (1..=ranks.len().min(cut)).map(gain).sum();
    if best > 0.0 { found / best } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_rec::RecError;
    use plackett_train::Parameters;

    struct Fixed(Vec<f32>);

    impl Recommender for Fixed {
        fn catalogue(&self) -> usize {
            self.0.len()
        }

        fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
            Ok(requests.iter().flat_map(|_| self.0.clone()).collect())
        }

        fn parameters(&self) -> Parameters {
            Parameters::default()
        }
    }

    fn cases(exclude_seen: bool) -> FloorCases {
        let case = |history: &[u32], targets: &[u32]| FloorCase {
            key: format!("{history:?}"),
            history: history.to_vec(),
            targets: targets.to_vec(),
        };
        let cases = vec![case(&[0], &[2]), case(&[], &[1, 3]), case(&[2], &[2])];
        FloorCases { catalogue: 4, learned: Vec::new(), cases, exclude_seen }
    }

    #[test]
    fn targets_have_the_ranks_of_the_whole_catalogue() {
        let model = Fixed(vec![0.9, 0.8, 0.5, 0.1]);
        // Without what is known, except where it is asked for.
        assert_eq!(cases(true).ranks(&model).unwrap(), [vec![2], vec![2, 4], vec![3]]);
        assert_eq!(cases(false).ranks(&model).unwrap(), [vec![3], vec![2, 4], vec![3]]);
        // Nothing is better than chance: the middle of four places, rounded up.
        assert_eq!(cases(false).ranks(&Fixed(vec![0.0; 4])).unwrap()[0], [3]);
    }

    #[test]
    fn measures_are_those_of_the_formulas_and_means_of_seeds() {
        assert_eq!((recall(&[2, 4], 1), recall(&[2, 4], 3), recall(&[2, 4], 5)), (0.0, 0.5, 1.0));
        let gain = |rank: f64| 1.0 / (rank + 1.0).log2();
        assert!((ndcg(&[2, 4], 5) - (gain(2.0) + gain(4.0)) / (gain(1.0) + gain(2.0))).abs() < 1e-12);
        assert_eq!((ndcg(&[1], 5), ndcg(&[6], 5), ndcg(&[], 5)), (1.0, 0.0, 0.0));
        let seeds = [vec![vec![1], vec![1, 2], vec![9]], vec![vec![7], vec![1, 2], vec![1]]];
        let numbers = cases(false).numbers(&seeds);
        let names: Vec<&str> = numbers.iter().map(|number| number.name.as_str()).collect();
        assert_eq!(names, floor_names());
        assert_eq!(numbers[1].values, [0.5, 1.0, 0.5]);
        assert_eq!(numbers[1].keys[0], "[0]");
    }
}
