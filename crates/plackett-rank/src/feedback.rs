//! Relevance feedback from a reranker into the first stage: the dense vector of the query is moved until its dot products
//! with the reranked passages say what the reranker said, so that a second retrieval finds more like the good ones (Reddy et
//! al., FIRST, 2024, relevance feedback).

use plackett_core::losses::log_softmax;
use plackett_core::permutation::Permutation;

/// What a reranker said about the passages.
#[derive(Clone, Copy, Debug, Default)]
pub struct FeedbackTarget<'a> {
    /// A score for each passage, on any scale: those of a cross-encoder, or logits of labels. Their softmax is what the
    /// dot products are drawn to first.
    pub scores: Option<&'a [f64]>,
    /// All passages, best first: the order of a listwise reranker. What the dot products are drawn to then.
    pub order: Option<&'a Permutation>,
}

/// How far the vector is moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedbackOptions {
    /// Steps and learning rate towards the scores.
    pub scores: (usize, f64),
    /// Steps and learning rate towards the order.
    pub order: (usize, f64),
}

impl Default for FeedbackOptions {
    /// 100 steps of .005, then 20 of .001.
    fn default() -> Self {
        FeedbackOptions { scores: (100, 0.005), order: (20, 0.001) }
    }
}

/// A vector after feedback.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The new vector of the query.
    pub query: Vec<f32>,
    /// What half of it the dot products were multiplied by: the range of the target's scores over that of the first dot
    /// products. 2 where one of the ranges is 0 or there are no scores, so that dot products stand as they are.
    pub scaler: f64,
    /// Kullback–Leibler divergence from the target's softmax to that of the dot products before and after its steps.
    pub divergence: Option<[f64; 2]>,
    /// Weighted RankNet loss of the order before and after its steps.
    pub ranking_loss: Option<[f64; 2]>,
}

/// Input that gives no feedback.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FeedbackError {
    /// Nothing to learn from.
    #[error("there is neither a score nor an order to learn from; give at least one of them")]
    NoTarget,
    /// A target about another number of passages.
    #[error("the {what} is about {found} passages, and there are vectors of {wanted}")]
    Length {
        /// Scores or order.
        what: &'static str,
        /// Passages of the target.
        found: usize,
        /// Vectors.
        wanted: usize,
    },
    /// A vector of another length than the query's.
    #[error(
        "the vector of passage {passage} has {found} numbers, that of the query {wanted}; both must be of one model"
    )]
    Dimension {
        /// Which, from 0.
        passage: usize,
        /// Its length.
        found: usize,
        /// That of the query.
        wanted: usize,
    },
    /// A number that is none.
    #[error("{what} holds a number that is not finite")]
    NotFinite {
        /// Where.
        what: String,
    },
}

/// Moves a copy of the query's vector by gradient descent (Adam), first to the target's scores, then to its order; a step that
/// has no target is left out. Dot products are multiplied by half of [`Feedback::scaler`]. Fewer than two passages teach
/// nothing, and the vector stays as it is.
///
/// # Errors
/// [`FeedbackError`].
pub fn relevance_feedback(
    query: &[f32],
    passages: &[&[f32]],
    target: FeedbackTarget<'_>,
    options: &FeedbackOptions,
) -> Result<Feedback, FeedbackError> {
    check(query, passages, target)?;
    let mut vector: Vec<f64> = query.iter().map(|&value| f64::from(value)).collect();
    let passages: Vec<Vec<f64>> =
        passages.iter().map(|passage| passage.iter().map(|&value| f64::from(value)).collect()).collect();
    let scaler = target.scores.map_or(2.0, |scores| scaler(scores, &scores_of(&vector, &passages, 1.0)));
    let scale = scaler / 2.0;
    let divergence = target.scores.map(|scores| {
        let wanted = log_softmax(scores.iter().copied());
        let loss = |scores: &[f64]| divergence(&wanted, scores);
        descend(&mut vector, &passages, scale, options.scores, &loss)
    });
    let ranking_loss = target.order.map(|order| {
        let loss = |scores: &[f64]| weighted_ranknet(order, scores);
        descend(&mut vector, &passages, scale, options.order, &loss)
    });
    let query = vector.iter().map(|&value| value as f32).collect();
    Ok(Feedback { query, scaler, divergence, ranking_loss })
}

fn check(query: &[f32], passages: &[&[f32]], target: FeedbackTarget<'_>) -> Result<(), FeedbackError> {
    if target.scores.is_none() && target.order.is_none() {
        return Err(FeedbackError::NoTarget);
    }
    let lengths =
        [("score list", target.scores.map(<[f64]>::len)), ("order", target.order.map(Permutation::len))];
    for (what, found) in lengths {
        if let Some(found) = found.filter(|found| *found != passages.len()) {
            return Err(FeedbackError::Length { what, found, wanted: passages.len() });
        }
    }
    for (passage, vector) in passages.iter().enumerate() {
        if vector.len() != query.len() {
            return Err(FeedbackError::Dimension { passage, found: vector.len(), wanted: query.len() });
        }
        if !vector.iter().all(|value| value.is_finite()) {
            return Err(FeedbackError::NotFinite { what: format!("the vector of passage {passage}") });
        }
    }
    let scores = target.scores.unwrap_or_default();
    for (what, finite) in [
        ("the vector of the query", query.iter().all(|value| value.is_finite())),
        ("the target's scores", scores.iter().all(|score| score.is_finite())),
    ] {
        if !finite {
            return Err(FeedbackError::NotFinite { what: what.into() });
        }
    }
    Ok(())
}

fn range(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    most - least
}

fn scaler(target: &[f64], products: &[f64]) -> f64 {
    let scaler = range(target) / range(products);
    if scaler.is_finite() && scaler > 0.0 { scaler } else { 2.0 }
}

fn scores_of(query: &[f64], passages: &[Vec<f64>], scale: f64) -> Vec<f64> {
    let product = |passage: &Vec<f64>| query.iter().zip(passage).map(|(q, d)| q * d).sum::<f64>();
    passages.iter().map(|passage| scale * product(passage)).collect()
}

/// KL(target ‖ softmax(scores)) and its gradient by the scores: softmax(scores) − target.
fn divergence(wanted: &[f64], scores: &[f64]) -> (f64, Vec<f64>) {
    let found = log_softmax(scores.iter().copied());
    let loss = wanted.iter().zip(&found).map(|(p, q)| p.exp() * (p - q)).sum();
    (loss, wanted.iter().zip(&found).map(|(p, q)| q.exp() - p.exp()).collect())
}

/// Mean over pairs (i before j) of ln(1 + e^(s_j − s_i)) / (r_i + r_j), ranks from 1, and its gradient by the scores.
fn weighted_ranknet(order: &Permutation, scores: &[f64]) -> (f64, Vec<f64>) {
    let (mut loss, mut gradient) = (0.0, vec![0.0; scores.len()]);
    let items = order.items();
    let pairs = (items.len() * items.len().saturating_sub(1) / 2).max(1) as f64;
    for (rank, &better) in items.iter().enumerate() {
        for (behind, &worse) in items.iter().enumerate().skip(rank + 1) {
            let weight = 1.0 / ((rank + behind + 2) as f64 * pairs);
            let gap = scores[worse] - scores[better];
            // ln(1 + e^gap) without overflow.
            loss += weight * (gap.max(0.0) + (-gap.abs()).exp().ln_1p());
            let slope = weight / (1.0 + (-gap).exp());
            gradient[worse] += slope;
            gradient[better] -= slope;
        }
    }
    (loss, gradient)
}

/// A loss of scores, and its derivative by each.
type Loss<'a> = dyn Fn(&[f64]) -> (f64, Vec<f64>) + 'a;

/// Adam with its usual moments (Kingma and Ba 2015). Returns the loss before and after.
fn descend(
    query: &mut [f64],
    passages: &[Vec<f64>],
    scale: f64,
    (steps, rate): (usize, f64),
    loss: &Loss<'_>,
) -> [f64; 2] {
    const BETA: [f64; 2] = [0.9, 0.999];
    const EPSILON: f64 = 1e-8;
    let before = loss(&scores_of(query, passages, scale)).0;
    if passages.len() < 2 {
        return [before, before];
    }
    let mut moments = vec![[0.0; 2]; query.len()];
    for step in 1..=steps {
        let (_, by_score) = loss(&scores_of(query, passages, scale));
        let correction = BETA.map(|beta| 1.0 - beta.powf(step as f64));
        for (place, (value, moment)) in query.iter_mut().zip(&mut moments).enumerate() {
            let slope: f64 =
                by_score.iter().zip(passages).map(|(slope, passage)| scale * slope * passage[place]).sum();
            moment[0] = BETA[0] * moment[0] + (1.0 - BETA[0]) * slope;
            moment[1] = BETA[1] * moment[1] + (1.0 - BETA[1]) * slope * slope;
            *value -= rate * (moment[0] / correction[0]) / ((moment[1] / correction[1]).sqrt() + EPSILON);
        }
    }
    [before, loss(&scores_of(query, passages, scale)).0]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGES: [&[f32]; 3] = [&[1.0, 0.0, 0.2], &[0.0, 1.0, 0.1], &[0.6, 0.6, 0.0]];

    #[test]
    fn losses_are_those_worked_out_by_hand() {
        // softmax(0, 0) = (½, ½); target softmax(ln 3, 0) = (¾, ¼): ¾ ln 1.5 + ¼ ln ½.
        let (loss, gradient) = divergence(&log_softmax([3f64.ln(), 0.0].into_iter()), &[0.0, 0.0]);
        assert!((loss - (0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln())).abs() < 1e-12);
        assert!((gradient[0] + 0.25).abs() < 1e-12 && (gradient[1] - 0.25).abs() < 1e-12);
        // Equal scores: each pair loses ln 2, weighted 1/3, 1/4 and 1/5 and divided by three pairs.
        let order = Permutation::new(vec![2, 0, 1]).unwrap();
        let (loss, gradient) = weighted_ranknet(&order, &[0.0; 3]);
        assert!((loss - 2f64.ln() * (1.0 / 3.0 + 0.25 + 0.2) / 3.0).abs() < 1e-12);
        assert!((gradient[2] + (1.0 / 3.0 + 0.25) / 6.0).abs() < 1e-12, "{gradient:?}");
        assert!(gradient.iter().sum::<f64>().abs() < 1e-12);
    }

    #[test]
    fn gradients_are_differences_of_losses() {
        let order = Permutation::new(vec![1, 2, 0]).unwrap();
        let wanted = log_softmax([0.3, 2.0, -1.0].into_iter());
        let losses: [&Loss<'_>; 2] =
            [&|scores| divergence(&wanted, scores), &|scores| weighted_ranknet(&order, scores)];
        for loss in losses {
            let at = [0.5, -0.7, 1.1];
            for place in 0..3 {
                let moved = |by: f64| {
                    let mut scores = at;
                    scores[place] += by;
                    loss(&scores).0
                };
                let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((loss(&at).1[place] - numeric).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn the_vector_moves_to_what_the_reranker_prefers() {
        let query = [1.0f32, 0.2, 0.0];
        // Dot products 1, .2, .72: range .8; the reranker prefers the second.
        let scores = [0.0, 4.0, 1.0];
        let order = Permutation::new(vec![1, 2, 0]).unwrap();
        let target = FeedbackTarget { scores: Some(&scores), order: Some(&order) };
        let found = relevance_feedback(&query, &PASSAGES, target, &FeedbackOptions::default()).unwrap();
        assert!((found.scaler - 5.0).abs() < 1e-5);
        let ([before, after], [first, last]) = (found.divergence.unwrap(), found.ranking_loss.unwrap());
        assert!(after < before / 2.0 && last < first, "{found:?}");
        let product =
            |vector: &[f32], n: usize| -> f32 { vector.iter().zip(PASSAGES[n]).map(|(q, d)| q * d).sum() };
        assert!(product(&query, 0) > product(&query, 1));
        assert!(product(&found.query, 1) > product(&found.query, 0), "{:?}", found.query);
        // Each step of Adam moves a number by about the rate at most.
        let moved = found.query.iter().zip(query).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(moved <= 0.6, "{moved}");
    }

    #[test]
    fn a_first_step_is_the_rate_against_the_gradients_sign() {
        let order = Permutation::new(vec![1, 0]).unwrap();
        let target = FeedbackTarget { scores: None, order: Some(&order) };
        let options = FeedbackOptions { order: (1, 0.001), ..FeedbackOptions::default() };
        let found = relevance_feedback(&[1.0, 0.0], &[&[1.0, 0.0], &[0.0, 1.0]], target, &options).unwrap();
        assert!((found.query[0] - 0.999).abs() < 1e-6 && (found.query[1] - 0.001).abs() < 1e-6);
        assert_eq!((found.scaler, found.divergence), (2.0, None));
    }

    #[test]
    fn a_target_that_says_what_the_vector_says_moves_nothing() {
        let target = FeedbackTarget { scores: Some(&[7.0, 7.0]), order: None };
        let vectors: [&[f32]; 2] = [&[1.0, 1.0], &[1.0, 1.0]];
        let found = relevance_feedback(&[0.5, -0.5], &vectors, target, &FeedbackOptions::default()).unwrap();
        assert_eq!(found.query, [0.5, -0.5]);
        assert_eq!(found.scaler, 2.0);
        let one = FeedbackTarget { scores: Some(&[1.0]), order: None };
        let found = relevance_feedback(&[0.5], &[&[2.0]], one, &FeedbackOptions::default()).unwrap();
        assert_eq!(found.query, [0.5]);
    }

    #[test]
    fn wrong_input_is_named() {
        let options = FeedbackOptions::default();
        let give = |query: &[f32], passages: &[&[f32]], scores: Option<&[f64]>| {
            let target = FeedbackTarget { scores, order: None };
            relevance_feedback(query, passages, target, &options).unwrap_err().to_string()
        };
        assert!(give(&[1.0], &[&[1.0]], None).contains("neither a score nor an order"));
        assert!(give(&[1.0], &[&[1.0]], Some(&[1.0, 2.0])).contains("about 2 passages"));
        assert!(give(&[1.0], &[&[1.0, 2.0]], Some(&[1.0])).contains("passage 0 has 2 numbers"));
        assert!(give(&[f32::NAN], &[&[1.0]], Some(&[1.0])).contains("the query holds"));
        assert!(give(&[1.0], &[&[1.0]], Some(&[f64::INFINITY])).contains("the target's scores"));
    }
}
