//! Losses of listwise rerankers, on scores alone: what a trainer lowers, and what a recipe checks without training.

use crate::permutation::Permutation;
use crate::plackett_luce::log_sum_exp;

/// Input of which there is no loss.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LossError {
    /// An order or target of another length than the scores, or fewer than two of them.
    #[error("there are {scores} scores and {others} {what}; as many are needed, at least two")]
    Length {
        /// Scores.
        scores: usize,
        /// What they are compared with.
        others: usize,
        /// Its name.
        what: &'static str,
    },
    /// A temperature that is not above 0.
    #[error("the temperature is {0}; a number above 0 is needed")]
    Temperature(f64),
    /// Vectors of different lengths, or one of length 0.
    #[error("anchors must be vectors of one dimension, none of them zero")]
    Anchors,
}

fn check(scores: usize, others: usize, what: &'static str, temperature: f64) -> Result<(), LossError> {
    if scores != others || scores < 2 {
        return Err(LossError::Length { scores, others, what });
    }
    if temperature.is_nan() || temperature <= 0.0 {
        return Err(LossError::Temperature(temperature));
    }
    Ok(())
}

/// ln softmax: scores less the logarithm of the sum of their exponentials.
pub fn log_softmax(scores: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let sum = log_sum_exp(scores.clone());
    scores.map(|score| score - sum).collect()
}

/// RankNet over all pairs of a teacher's order, as E2Rank's second stage takes it: the mean of
/// ln(1 + exp((s_worse − s_better) / temperature)). Equal scores have ln 2.
///
/// # Errors
/// [`LossError`].
pub fn ranknet(scores: &[f64], order: &Permutation, temperature: f64) -> Result<f64, LossError> {
    check(scores.len(), order.len(), "places of the order", temperature)?;
    let items = order.items();
    let mut sum = 0.0;
    for (rank, &better) in items.iter().enumerate() {
        for &worse in &items[rank + 1..] {
            let gap = (scores[worse] - scores[better]) / temperature;
            // ln(1 + e^gap) without overflow.
            sum += gap.max(0.0) + (-gap.abs()).exp().ln_1p();
        }
    }
    Ok(sum / ranknet_pairs(scores.len()) as f64)
}

/// Pairs of [`ranknet`].
pub fn ranknet_pairs(items: usize) -> usize {
    items * items.saturating_sub(1) / 2
}

/// Soft targets of a list from a teacher's ranks (1 is the best): the softmax of 1 / (rank · temperature), as MVP is trained
/// with.
///
/// # Errors
/// [`LossError`].
pub fn inverse_rank_targets(ranks: &[usize], temperature: f64) -> Result<Vec<f64>, LossError> {
    let counted = ranks.iter().filter(|&&rank| rank > 0).count();
    check(ranks.len(), counted, "ranks from 1", temperature)?;
    let inputs = ranks.iter().map(|&rank| 1.0 / (rank as f64 * temperature));
    Ok(log_softmax(inputs).into_iter().map(f64::exp).collect())
}

/// ListNet with soft targets: −Σ target · ln softmax(score / temperature). With `double`, the softmax goes through a second
/// one, as in MVP's published code; its gradients vanish early.
///
/// # Errors
/// [`LossError`].
pub fn list_net(scores: &[f64], targets: &[f64], temperature: f64, double: bool) -> Result<f64, LossError> {
    check(scores.len(), targets.len(), "targets", temperature)?;
    let mut found = log_softmax(scores.iter().map(|score| score / temperature));
    if double {
        found = log_softmax(found.iter().map(|log| log.exp()));
    }
    Ok(-targets.iter().zip(&found).map(|(target, log)| target * log).sum::<f64>())
}

/// How far anchors are from being orthogonal: Σ (cosine − identity)² over all ordered pairs (MVP's second loss). 0 for an
/// orthonormal set, m (m − 1) for m equal ones.
///
/// # Errors
/// [`LossError::Anchors`].
pub fn orthogonality(anchors: &[&[f64]]) -> Result<f64, LossError> {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let dimension = anchors.first().map_or(0, |anchor| anchor.len());
    if anchors.iter().any(|anchor| anchor.len() != dimension || product(anchor, anchor) <= 0.0) {
        return Err(LossError::Anchors);
    }
    let mut sum = 0.0;
    for (a, first) in anchors.iter().enumerate() {
        for (b, second) in anchors.iter().enumerate() {
            let cosine = product(first, second) / (product(first, first) * product(second, second)).sqrt();
            sum += (cosine - f64::from(u8::from(a == b))).powi(2);
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 5e-4, "{found} {wanted}");
    }

    #[test]
    fn ranknet_of_sixteen_has_120_pairs_and_begins_at_ln_2() {
        let order = Permutation::by_descending(&(0..16).map(|n| f64::from(n * 7 % 16)).collect::<Vec<f64>>());
        assert_eq!(ranknet_pairs(16), 120);
        let mut scores = vec![0.3; 16];
        let equal = ranknet(&scores, &order, 0.1).unwrap();
        assert!((equal - 2f64.ln()).abs() < 1e-12);
        scores[order.items()[0]] += 0.1;
        let raised = ranknet(&scores, &order, 0.1).unwrap();
        // 15 pairs have ln(1 + 1/e) in the place of ln 2.
        assert!((raised - (105.0 * 2f64.ln() + 15.0 * (-1f64).exp().ln_1p()) / 120.0).abs() < 1e-12);
        scores[order.items()[0]] -= 0.2;
        assert!(ranknet(&scores, &order, 0.1).unwrap() > equal);
        // Scores far apart stay finite.
        assert!((ranknet(&[0.0, 900.0], &Permutation::identity(2), 0.1).unwrap() - 9000.0).abs() < 1e-9);
    }

    #[test]
    fn targets_of_five_are_those_of_the_specification() {
        let targets = inverse_rank_targets(&[1, 2, 3, 4, 5], 0.8).unwrap();
        for (found, wanted) in targets.iter().zip([0.366, 0.196, 0.159, 0.143, 0.135]) {
            near(*found, wanted);
        }
        let moved = inverse_rank_targets(&[5, 1, 2, 3, 4], 0.8).unwrap();
        near(moved[1], 0.366);
    }

    #[test]
    fn list_net_is_least_where_scores_say_what_the_targets_say() {
        let targets = inverse_rank_targets(&[1, 2, 3, 4, 5], 0.8).unwrap();
        let right: Vec<f64> = (1..6).map(|rank| 1.0 / f64::from(rank)).collect();
        let entropy: f64 = -targets.iter().map(|target| target * target.ln()).sum::<f64>();
        let found = list_net(&right, &targets, 0.8, false).unwrap();
        assert!((found - entropy).abs() < 1e-12);
        let equal = list_net(&[0.0; 5], &targets, 0.8, false).unwrap();
        assert!((equal - 5f64.ln()).abs() < 1e-12 && equal > found);
        // A second softmax of values in [0, 1] gives one of five at most e / (e + 4).
        let certain = list_net(&[100.0, 0.0, 0.0, 0.0, 0.0], &[1.0, 0.0, 0.0, 0.0, 0.0], 0.8, true).unwrap();
        let e = 1f64.exp();
        assert!((certain + (e / (e + 4.0)).ln()).abs() < 1e-12);
        near((-certain).exp(), 0.405);
    }

    #[test]
    fn anchors_that_are_orthogonal_lose_nothing_and_equal_ones_all() {
        let unit: Vec<Vec<f64>> =
            (0..4).map(|n| (0..5).map(|at| if at == n { 3.0 } else { 0.0 }).collect()).collect();
        let unit: Vec<&[f64]> = unit.iter().map(Vec::as_slice).collect();
        assert_eq!(orthogonality(&unit), Ok(0.0));
        let equal: [&[f64]; 4] = [&[1.0, -2.0]; 4];
        assert!((orthogonality(&equal).unwrap() - 12.0).abs() < 1e-12);
        // Two at 60 degrees: twice a quarter.
        let half: [&[f64]; 2] = [&[1.0, 0.0], &[0.5, 0.75f64.sqrt()]];
        assert!((orthogonality(&half).unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn input_without_a_loss_is_named() {
        let order = Permutation::identity(3);
        assert!(ranknet(&[1.0, 2.0], &order, 0.1).unwrap_err().to_string().contains("2 scores and 3 places"));
        assert_eq!(ranknet(&[1.0; 3], &order, 0.0), Err(LossError::Temperature(0.0)));
        assert!(inverse_rank_targets(&[0, 1], 0.8).is_err());
        assert_eq!(orthogonality(&[&[0.0, 0.0]]), Err(LossError::Anchors));
        assert_eq!(orthogonality(&[&[1.0], &[1.0, 0.0]]), Err(LossError::Anchors));
    }
}
