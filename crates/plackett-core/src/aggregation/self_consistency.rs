//! Permutation self-consistency: one model, the same candidates in several orders, one central ranking.

use super::{AggregationError, Kemeny, Preferences, kemeny};
use crate::permutation::Permutation;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// `count` orders in which to show `items` candidates; the first is the initial one.
pub fn shuffles(items: usize, count: usize, seed: u64) -> Vec<Permutation> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shuffled = |number| {
        let mut order: Vec<usize> = (0..items).collect();
        if number > 0 {
            order.shuffle(&mut random);
        }
        Permutation::from_unique(order)
    };
    (0..count).map(shuffled).collect()
}

/// The ranking closest to all answers in Kendall distance (Tang et al. 2023, "Found in the middle"). `shown[i]` is
/// the order in which the candidates were shown, `answers[i]` the model's ranking of the places shown. Places of
/// the answers are turned back into candidates, so that a preference for some places of the prompt cancels out.
pub fn self_consistency(shown: &[Permutation], answers: &[Permutation]) -> Result<Kemeny, AggregationError> {
    let wanted = shown.first().map_or(0, Permutation::len);
    if shown.len() != answers.len() {
        let (ranking, found) = (answers.len().min(shown.len()), 0);
        return Err(AggregationError::Length { ranking, wanted, found });
    }
    let turned: Vec<Permutation> = shown
        .iter()
        .zip(answers)
        .enumerate()
        .map(|(ranking, (shown, answer))| {
            let found = answer.len();
            shown.compose(answer).map_err(|_| AggregationError::Length { ranking, wanted, found })
        })
        .collect::<Result<_, _>>()?;
    Ok(kemeny(&Preferences::from_rankings(&turned)?))
}

/// Kendall's tau of each two of some orders of the same items: 1 where they are the same, −1 where one is the other turned round.
/// Orders of less than two items have no pairs that could stand otherwise, and the tau 1. Orders of different sizes are passed over.
pub fn kendall_taus(orders: &[Permutation]) -> Vec<f64> {
    let mut taus = Vec::new();
    for (place, one) in orders.iter().enumerate() {
        for other in &orders[place + 1..] {
            let Ok(distance) = one.kendall_distance(other) else { continue };
            let most = one.len() * one.len().saturating_sub(1) / 2;
            taus.push(1.0 - 2.0 * distance as f64 / most.max(1) as f64);
        }
    }
    taus
}
