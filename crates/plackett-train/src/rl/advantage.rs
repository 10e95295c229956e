//! Advantages: rewards of a group of answers to one prompt, compared with each other.

/// What is added to standard deviations, as the published trainers have it.
pub const EPSILON: f64 = 1e-4;

/// Rewards less their mean, over their sample standard deviation plus [`EPSILON`] (GRPO: Shao and others, DeepSeekMath, 2024, section
/// 4.1.2). All 0 where no reward differs, and for a group of one.
pub fn group_advantages(rewards: &[f64]) -> Vec<f64> {
    let count = rewards.len();
    if count < 2 || rewards.iter().all(|reward| *reward == rewards[0]) {
        return vec![0.0; count];
    }
    let mean = rewards.iter().sum::<f64>() / count as f64;
    let squares: f64 = rewards.iter().map(|reward| (reward - mean).powi(2)).sum();
    let deviation = (squares / (count - 1) as f64).sqrt();
    rewards.iter().map(|reward| (reward - mean) / (deviation + EPSILON)).collect()
}

/// For lists of rewards by rank, the advantage of each rank over the same rank of the other lists (Rank-GRPO, 2025). A list that
/// ends before a rank has the reward 0 there in the mean of the others, and no advantage of its own.
pub fn rank_advantages(rewards: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let ranks = rewards.iter().map(Vec::len).max().unwrap_or(0);
    let mut advantages: Vec<Vec<f64>> = rewards.iter().map(|list| vec![0.0; list.len()]).collect();
    for rank in 0..ranks {
        let column: Vec<f64> =
            rewards.iter().map(|list| list.get(rank).copied().unwrap_or_default()).collect();
        for (list, advantage) in advantages.iter_mut().zip(group_advantages(&column)) {
            if let Some(place) = list.get_mut(rank) {
                *place = advantage;
            }
        }
    }
    advantages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_compared_within_their_group() {
        // Mean 0.5, sample deviation √(1/3).
        let found = group_advantages(&[1.0, 0.0, 0.0, 1.0]);
        let expected = 0.5 / ((1.0f64 / 3.0).sqrt() + EPSILON);
        assert_eq!(found, [expected, -expected, -expected, expected]);
        assert_eq!(group_advantages(&[0.3; 5]), [0.0; 5]);
        assert_eq!(group_advantages(&[2.0]), [0.0]);
        assert!(group_advantages(&[]).is_empty());
    }

    #[test]
    fn a_rank_is_compared_with_the_same_rank_of_the_others() {
        let found = rank_advantages(&[vec![1.0, 0.0, 0.0], vec![0.0, 0.0], vec![0.0, 1.0, 0.0]]);
        assert!(found[0][0] > 0.0 && (found[0][0] + 2.0 * found[1][0]).abs() < 1e-12);
        assert!(found[2][1] > 0.0 && found[0][1] < 0.0);
        // At the third rank nobody gains, and the list that ends has no entry.
        assert_eq!((found[0][2], found[1].len()), (0.0, 2));
    }
}
