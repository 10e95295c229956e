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
