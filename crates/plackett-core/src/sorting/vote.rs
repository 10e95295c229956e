//! Votes on one question that was asked several times.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The choice that most votes name (Rank-R1's permutation voting); equal ones are drawn with `seed`. Unusable votes
/// (`None`) do not count; `None` when there is no other.
pub fn majority_vote(votes: &[Option<usize>], seed: u64) -> Option<usize> {
    let mut named: Vec<usize> = votes.iter().flatten().copied().collect();
    named.sort_unstable();
    let counts: Vec<(usize, usize)> =
        named.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect();
    let most = counts.iter().map(|(_, count)| *count).max()?;
    let best: Vec<usize> = counts.iter().filter(|(_, count)| *count == most).map(|(item, _)| *item).collect();
    Some(best[ChaCha8Rng::seed_from_u64(seed).random_range(0..best.len())])
}
