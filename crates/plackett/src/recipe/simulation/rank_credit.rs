//! `rank-credit`: what rewards of lists and of beams give to whom.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_train::rl::{
    BeamReward, RankCredit, Shares, beam_rewards, group_advantages, rank_advantages, rank_rewards,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static RANK_CREDIT: Simulation = Simulation {
    name: "rank-credit",
    help: "`first_following` and `third_following` are rewards of ranks 1 and 3 of a list whose items 2 and 4 of four are right, each \
           rank answering for itself and what follows. In groups of drawn lists of which the first is right at rank 1 alone and the \
           others nowhere, `later_by_rank` and `later_by_list` are the mean advantage of its later ranks with rewards by rank and with one \
           for the list. Of beams with the target at place 3 of four, `wrong_1`, `wrong_2` and `wrong_4` are rewards of the wrong ones, \
           and `no_target` their sum where the target is none of them; with it at the first place `first_wrong_sum` is the sum of the wrong ones and \
           `first_wrong_greatest` the greatest of them. In groups of beams with the target at a drawn place, or in none, \
           `silent_rule` and `silent_rank` are the shares of groups without an advantage, rewarded by right and wrong and by rank besides, \
           and `spread_rule` and `spread_rank` the mean standard deviation of rewards where the target is among them",
    version: 2,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(2, 1000), Default::Whole(10), "ranks of a list"),
        FieldSpec::new("group", FieldKind::Whole(2, 1000), Default::Whole(16), "lists or beams of a group"),
        FieldSpec::new("groups", FieldKind::Whole(1, 100_000), Default::Whole(200), "groups that are drawn"),
    ],
    check: |_| Ok(()),
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run: |given| Ok(numbers(given)),
};

const NUMBERS: [&str; 14] = [
    "first_following",
    "third_following",
    "later_by_rank",
    "later_by_list",
    "wrong_1",
    "wrong_2",
    "wrong_4",
    "no_target",
    "first_wrong_sum",
    "first_wrong_greatest",
    "silent_rule",
    "silent_rank",
    "spread_rule",
    "spread_rank",
];

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0usize);
    for value in values {
        sum += value;
        count += 1;
    }
    sum / count.max(1) as f64
}

fn numbers(given: &Simulated<'_>) -> Vec<f64> {
    let following = rank_rewards(&[0.0, 1.0, 0.0, 1.0], RankCredit::Following);
    let beams = |target| beam_rewards(4, target, BeamReward::RuleAndRank, Shares::All);
    let golden = beams(Some(2));
    let [by_rank, by_list] = later_ranks(given);
    let mut all = vec![following[0], following[2], by_rank, by_list, golden[0], golden[1], golden[3]];
    all.push(beams(None).iter().sum());
    let first = beams(Some(0));
    all.push(first[1..].iter().sum());
    all.push(first[1..].iter().copied().fold(f64::NEG_INFINITY, f64::max));
    all.extend(drawn_beams(given));
    all
}

/// The mean advantage of the ranks after a first that is right, by rank and by list.
fn later_ranks(given: &Simulated<'_>) -> [f64; 2] {
    let (items, group) = (given.values.count("items"), given.values.count("group"));
    let mut lists = vec![vec![0.0; items]; group];
    lists[0][0] = 1.0;
    let rewards: Vec<Vec<f64>> = lists.iter().map(|list| rank_rewards(list, RankCredit::Following)).collect();
    let by_rank = &rank_advantages(&rewards)[0][1..];
    let of_lists: Vec<f64> = rewards.iter().map(|list| list[0]).collect();
    [mean(by_rank.iter().copied()), group_advantages(&of_lists)[0]]
}

/// Shares of groups that teach nothing, and spreads of rewards where the target is found.
fn drawn_beams(given: &Simulated<'_>) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let group = given.values.count("group");
    // Half of the groups lack their target.
    let targets: Vec<Option<usize>> = (0..given.values.count("groups"))
        .map(|_| Some(random.random_range(0..2 * group)).filter(|place| *place < group))
        .collect();
    let rewards = |target: &Option<usize>, reward| beam_rewards(group, *target, reward, Shares::All);
    let kinds = [BeamReward::Rule, BeamReward::RuleAndRank];
    let silent = kinds.map(|reward| {
        mean(targets.iter().map(|target| {
            let advantages = group_advantages(&rewards(target, reward));
            f64::from(u8::from(advantages.iter().all(|advantage| *advantage == 0.0)))
        }))
    });
    let spread = kinds.map(|reward| {
        mean(
            targets
                .iter()
                .filter(|target| target.is_some())
                .map(|target| deviation(&rewards(target, reward))),
        )
    });
    [silent, spread].concat()
}

fn deviation(values: &[f64]) -> f64 {
    let centre = mean(values.iter().copied());
    mean(values.iter().map(|value| (value - centre).powi(2))).sqrt()
}
