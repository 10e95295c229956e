//! Rewards of lists by rank, and of the beams of a constrained search: the registry of what beams may be rewarded for.

/// What a rank of a list answers for (Rank-GRPO, 2025).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankCredit {
    /// Its own relevance alone (`exp_inf`).
    Own,
    /// Its own and that of all ranks after it, each over log2(rank + 1): the part of the discounted gain that it can still
    /// change (`log-decay`).
    Following,
}

/// The reward of each rank of a list, from the relevance of its items, best rank first.
pub fn rank_rewards(relevance: &[f64], credit: RankCredit) -> Vec<f64> {
    if credit == RankCredit::Own {
        return relevance.to_vec();
    }
    let mut rewards = vec![0.0; relevance.len()];
    let mut following = 0.0;
    for (place, relevant) in relevance.iter().enumerate().rev() {
        following += relevant / (place as f64 + 2.0).log2();
        rewards[place] = following;
    }
    rewards
}

/// What a beam is rewarded for (ReRe and MiniOneRec, 2025).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeamReward {
    /// 1 for the target, 0 for all others.
    Rule,
    /// That, less a share for wrong beams that grows with how likely the model finds them; nothing is taken off in a group
    /// without the target.
    RuleAndRank,
}

/// Over which beams the shares of [`BeamReward::RuleAndRank`] sum to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shares {
    /// All, before that of the target is left out, as the authors' code has it.
    All,
    /// The wrong ones, as the paper writes it.
    Wrong,
}

/// By what the beams for the next item of a catalogue are rewarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemReward {
    /// By where the right one stands among them.
    Places(BeamReward),
    /// By the cosine of the vectors of their texts with that of the right one's.
    Semantic,
    /// By the score that a recommender gives them after the same history.
    Collaborative,
}

/// A reward of beams under its name.
#[derive(Clone, Copy, Debug)]
pub struct ItemRewardSpec {
    /// The name in settings and recipes.
    pub name: &'static str,
    /// What is rewarded.
    pub reward: ItemReward,
    /// The same in a sentence.
    pub summary: &'static str,
}

/// Every reward of beams (ReRe, 2025, and MiniOneRec, 2025, their settings `ranking`, `rule`, `semantic` and `sasrec`). A new one is a line in
/// its array.
pub static ITEM_REWARDS: &[ItemRewardSpec] = &REWARDS;

/// Those of [`ITEM_REWARDS`].
const REWARDS: [ItemRewardSpec; 4] = [
    ItemRewardSpec {
        name: "rule-and-rank",
        reward: ItemReward::Places(BeamReward::RuleAndRank),
        summary: "1 for the right item; wrong ones lose the more the likelier the model finds them, where the right one is among the beams",
    },
    ItemRewardSpec {
        name: "rule",
        reward: ItemReward::Places(BeamReward::Rule),
        summary: "1 for the right item, 0 for all others",
    },
    ItemRewardSpec {
        name: "semantic",
        reward: ItemReward::Semantic,
        summary: "the cosine of the vectors of an item's text and of the right one's",
    },
    ItemRewardSpec {
        name: "collaborative",
        reward: ItemReward::Collaborative,
        summary: "the score that a recommender gives an item after the same history; the right one counts for nothing",
    },
];

impl ItemReward {
    /// The names of [`ITEM_REWARDS`]; the first is what the papers use.
    pub const NAMES: &'static [&'static str] = &names(&REWARDS);

    /// The reward of a name.
    pub fn named(name: &str) -> Option<ItemReward> {
        ITEM_REWARDS.iter().find(|spec| spec.name == name).map(|spec| spec.reward)
    }
}

/// The names of rewards, in their order.
const fn names<const N: usize>(rewards: &[ItemRewardSpec; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = rewards[at].name;
        at += 1;
    }
    names
}

/// The reward of each of `count` beams, the most probable first, of which `target` is the right one: 1/log2(place + 2) is the
/// weight of a place, counted from 0.
pub fn beam_rewards(count: usize, target: Option<usize>, reward: BeamReward, shares: Shares) -> Vec<f64> {
    let Some(target) = target.filter(|target| *target < count) else { return vec![0.0; count] };
    let weight = |place: usize| 1.0 / (place as f64 + 2.0).log2();
    let counts = |place: &usize| shares == Shares::All || *place != target;
    let sum: f64 = (0..count).filter(counts).map(weight).sum();
    (0..count)
        .map(|place| match (place == target, reward) {
            (true, _) => 1.0,
            (false, BeamReward::Rule) => 0.0,
            (false, BeamReward::RuleAndRank) => -weight(place) / sum,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &[f64], expected: &[f64]) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 5e-5)
    }

    /// The golden vectors of Rank-GRPO.
    #[test]
    fn a_rank_answers_for_itself_or_for_what_follows() {
        let relevance = [0.0, 1.0, 0.0, 1.0];
        assert!(near(&rank_rewards(&relevance, RankCredit::Following), &[1.0616, 1.0616, 0.4307, 0.4307]));
        assert_eq!(rank_rewards(&relevance, RankCredit::Own), relevance);
        // What was right at the first rank is nothing to those after it.
        assert_eq!(rank_rewards(&[1.0, 0.0, 0.0], RankCredit::Following), [1.0, 0.0, 0.0]);
    }

    /// The golden vector of ReRe.
    #[test]
    fn likely_wrong_beams_are_punished_most() {
        let found = beam_rewards(4, Some(2), BeamReward::RuleAndRank, Shares::All);
        assert!(near(&found, &[-0.3904, -0.2463, 1.0, -0.1681]), "{found:?}");
        let wrong = beam_rewards(4, Some(2), BeamReward::RuleAndRank, Shares::Wrong);
        assert!((wrong.iter().sum::<f64>()).abs() < 1e-12, "the wrong ones share −1");
        assert_eq!(beam_rewards(3, Some(0), BeamReward::Rule, Shares::All), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn names_are_those_of_the_rewards() {
        assert_eq!(ItemReward::NAMES, ["rule-and-rank", "rule", "semantic", "collaborative"]);
        assert_eq!(ItemReward::named("semantic"), Some(ItemReward::Semantic));
        assert_eq!(ItemReward::named("sasrec"), None);
    }

    /// MiniOneRec: with the target first the others sum to −(1 − w₀), and without a target nobody is rewarded.
    #[test]
    fn penalties_are_shares_of_the_group() {
        let found = beam_rewards(16, Some(0), BeamReward::RuleAndRank, Shares::All);
        let weights: Vec<f64> = (0..16).map(|place| 1.0 / f64::from(place + 2).log2()).collect();
        let first = weights[0] / weights.iter().sum::<f64>();
        assert!((found[1..].iter().sum::<f64>() + 1.0 - first).abs() < 1e-12);
        assert!(found[1..].iter().all(|reward| *reward < 0.0));
        assert_eq!(beam_rewards(16, None, BeamReward::RuleAndRank, Shares::All), [0.0; 16]);
    }
}
