//! What a teacher says of the candidates of a list, as a student learns it: for `plackett synth labels`, and for stages of recipes that
//! have a teacher.
//!
//! One answer gives its scores. Several answers about the same list, whose candidates stood in another order each time, give what they
//! have in common, so that a liking for some places of a prompt cancels out (permutation self-consistency; Tang et al., Found in the
//! Middle, 2023): the means of the scores of methods that have scores, else the central order of theirs.

use plackett_core::aggregation::{AggregationError, Preferences, kemeny, kendall_taus, shuffles};
use plackett_core::permutation::{Permutation, PermutationError};
use plackett_core::{RankRequest, Ranking};
use std::collections::HashMap;

/// Why answers label no list.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TeacherError {
    /// A candidate without a score.
    #[error("the teacher has no score of the candidate `{document}`, or one that is no number")]
    Score {
        /// The candidate.
        document: String,
    },
    /// A score of something else.
    #[error("the teacher has scored `{document}`, which is no candidate")]
    Foreign {
        /// What it has scored.
        document: String,
    },
    /// There is no answer.
    #[error("the teacher has not answered")]
    Silent,
    /// An answer that names a candidate twice.
    #[error("the teacher's answer is no order of the candidates: {0}")]
    Order(#[from] PermutationError),
    /// Answers that cannot be joined.
    #[error("the teacher's answers cannot be joined: {0}")]
    Joined(#[from] AggregationError),
}

/// The scores of a ranking by document, in the precision in which a student learns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaughtScores(HashMap<String, f32>);

impl TaughtScores {
    /// Those of a ranking, each multiplied with `scale`.
    pub fn of(ranking: &Ranking, scale: f64) -> TaughtScores {
        let scored = ranking.entries.iter();
        TaughtScores(scored.map(|entry| (entry.id.clone(), (scale * entry.score) as f32)).collect())
    }

    /// The score of a document; `None` where it has none, or one that is no number.
    pub fn get(&self, document: &str) -> Option<f32> {
        self.0.get(document).copied().filter(|score| score.is_finite())
    }
}

/// The labels of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherLabels {
    /// A score for each candidate, in the order of the request; a greater one is better.
    pub scores: Vec<f32>,
    /// How far the answers agree: the mean of Kendall's tau of each two of them, from −1 to 1; `None` of a single answer.
    pub agreement: Option<f64>,
}

impl TeacherLabels {
    /// Joins a teacher's answers about a request. `has_scores` says that its scores are its own; where they only count places,
    /// several answers become the order nearest to all of them in Kendall distance, whose scores count down from the number of
    /// candidates.
    ///
    /// # Errors
    /// There is no answer, or one that is not about each of the candidates.
    pub fn join(
        request: &RankRequest,
        answers: &[Ranking],
        has_scores: bool,
    ) -> Result<TeacherLabels, TeacherError> {
        let scores: Vec<Vec<f32>> =
            answers.iter().map(|answer| scores_of(request, answer)).collect::<Result<_, _>>()?;
        let first = scores.first().ok_or(TeacherError::Silent)?;
        if scores.len() == 1 {
            return Ok(TeacherLabels { scores: first.clone(), agreement: None });
        }
        let orders: Vec<Permutation> =
            answers.iter().map(|answer| order_of(request, answer)).collect::<Result<_, _>>()?;
        let taus = kendall_taus(&orders);
        let agreement = Some(taus.iter().sum::<f64>() / taus.len() as f64);
        let scores = if has_scores { means(&scores, first.len()) } else { central(&orders)? };
        Ok(TeacherLabels { scores, agreement })
    }

    /// Whether all candidates have the same score, so that no order can be learned of them.
    pub fn are_equal(&self) -> bool {
        self.scores.iter().all(|score| Some(score) == self.scores.first())
    }
}

/// The request, and then with its candidates in other orders, which follow from a seed: so many in all.
pub fn in_several_orders(request: &RankRequest, count: usize, seed: u64) -> Vec<RankRequest> {
    let shown = shuffles(request.candidates.len(), count, seed);
    let with = |order: Permutation| {
        let candidates = order.items().iter().map(|&place| request.candidates[place].clone()).collect();
        RankRequest { query: request.query.clone(), candidates }
    };
    shown.into_iter().map(with).collect()
}

/// The score of each candidate.
fn scores_of(request: &RankRequest, answer: &Ranking) -> Result<Vec<f32>, TeacherError> {
    let scores = TaughtScores::of(answer, 1.0);
    let of = |document: &str| {
        scores.get(document).ok_or_else(|| TeacherError::Score { document: document.to_string() })
    };
    request.candidates.iter().map(|candidate| of(&candidate.document.id)).collect()
}

/// The places of the candidates in a request, in the order of an answer.
fn order_of(request: &RankRequest, answer: &Ranking) -> Result<Permutation, TeacherError> {
    let ids = request.candidates.iter().map(|candidate| candidate.document.id.as_str());
    let places: HashMap<&str, usize> = ids.zip(0..).collect();
    let place = |id: &String| {
        places.get(id.as_str()).copied().ok_or_else(|| TeacherError::Foreign { document: id.clone() })
    };
    let items = answer.entries.iter().map(|entry| place(&entry.id)).collect::<Result<Vec<usize>, _>>()?;
    Ok(Permutation::new(items)?)
}

/// The mean score of each candidate.
fn means(scores: &[Vec<f32>], candidates: usize) -> Vec<f32> {
    let mean = |place: usize| {
        let sum: f64 = scores.iter().map(|answer| f64::from(answer[place])).sum();
        (sum / scores.len() as f64) as f32
    };
    (0..candidates).map(mean).collect()
}

/// For each candidate, how many it stands before in the central order, and itself.
fn central(orders: &[Permutation]) -> Result<Vec<f32>, TeacherError> {
    let places = kemeny(&Preferences::from_rankings(orders)?).order.inverse();
    Ok(places.items().iter().map(|place| (places.len() - place) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::{Document, Query, Trace};

    fn request(ids: &[&str]) -> RankRequest {
        RankRequest::new(Query::new("q", "x"), ids.iter().map(|id| Document::new(*id, "text")))
    }

    fn answer(scored: &[(&str, f64)]) -> Ranking {
        let scored = scored.iter().map(|(id, score)| (id.to_string(), *score));
        Ranking::from_scores("q", scored, Trace::default())
    }

    /// An answer that counts places.
    fn order(ids: &[&str]) -> Ranking {
        let scored: Vec<(&str, f64)> =
            ids.iter().enumerate().map(|(at, id)| (*id, (ids.len() - at) as f64)).collect();
        answer(&scored)
    }

    #[test]
    fn one_answer_gives_its_scores_in_the_order_of_the_request() {
        let labels = TeacherLabels::join(&request(&["a", "b"]), &[answer(&[("b", 2.5), ("a", -1.0)])], true);
        assert_eq!(labels, Ok(TeacherLabels { scores: vec![-1.0, 2.5], agreement: None }));
    }

    #[test]
    fn scores_of_several_answers_are_means_and_orders_become_the_central_one() {
        let request = request(&["a", "b", "c"]);
        let answers =
            [answer(&[("a", 3.0), ("b", 2.0), ("c", 1.0)]), answer(&[("a", 1.0), ("b", 2.0), ("c", 0.0)])];
        let labels = TeacherLabels::join(&request, &answers, true).unwrap();
        assert_eq!(labels.scores, [2.0, 2.0, 0.5]);
        // One of three pairs stands the other way round.
        assert_eq!(labels.agreement, Some(1.0 - 2.0 / 3.0));
        // Two say a b c and one b c a: two voices put a before b and before c, and all b before c.
        let answers = [order(&["a", "b", "c"]), order(&["a", "b", "c"]), order(&["b", "c", "a"])];
        let labels = TeacherLabels::join(&request, &answers, false).unwrap();
        assert_eq!(labels.scores, [3.0, 2.0, 1.0]);
        // The taus are 1 and twice 1 − 2 · 2/3.
        let mean = (1.0 + 2.0 * (1.0 - 4.0 / 3.0)) / 3.0;
        assert!((labels.agreement.unwrap() - mean).abs() < 1e-12, "{labels:?}");
        assert!(!labels.are_equal());
    }

    #[test]
    fn answers_about_other_candidates_are_refused() {
        let request = request(&["a", "b"]);
        let join = |answers: &[Ranking]| TeacherLabels::join(&request, answers, false);
        assert_eq!(join(&[]), Err(TeacherError::Silent));
        for short in [&[("a", 1.0)][..], &[("a", 1.0), ("b", f64::NAN)]] {
            assert_eq!(join(&[answer(short)]), Err(TeacherError::Score { document: "b".into() }));
        }
        let foreign = join(&[order(&["a", "b"]), order(&["a", "b", "c"])]);
        assert_eq!(foreign, Err(TeacherError::Foreign { document: "c".into() }));
        let equal = join(&[answer(&[("a", 1.0), ("b", 1.0)])]).unwrap();
        assert!(equal.are_equal());
    }

    #[test]
    fn the_first_order_is_the_one_that_came_and_all_have_every_candidate() {
        let request = request(&["a", "b", "c", "d", "e"]);
        let shown = in_several_orders(&request, 4, 1);
        assert_eq!((shown.len(), &shown[0]), (4, &request));
        assert!(shown[1..].iter().any(|other| *other != request));
        for other in &shown {
            let mut ids: Vec<&str> = other.candidates.iter().map(|one| one.document.id.as_str()).collect();
            ids.sort_unstable();
            assert_eq!(ids, ["a", "b", "c", "d", "e"]);
        }
        assert_eq!(in_several_orders(&request, 4, 1), shown);
    }
}
