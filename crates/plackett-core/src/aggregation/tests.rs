use super::*;
use crate::bradley_terry::{self, Comparison, Outcome};
use crate::permutation::Permutation;
use crate::plackett_luce::FitOptions;
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn ranking(items: &[usize]) -> Permutation {
    Permutation::new(items.to_vec()).unwrap()
}

fn random_order(n: usize, random: &mut ChaCha8Rng) -> Permutation {
    let mut items: Vec<usize> = (0..n).collect();
    items.shuffle(random);
    ranking(&items)
}

/// A ranking near the identity: items by place plus noise.
fn noisy(n: usize, noise: f64, random: &mut ChaCha8Rng) -> Permutation {
    let scores: Vec<f64> = (0..n).map(|item| -(item as f64) + noise * random.random::<f64>()).collect();
    Permutation::by_descending(&scores)
}

#[test]
fn three_voters_by_hand() {
    // Two say 0 1 2, one says 1 2 0.
    let rankings = [ranking(&[0, 1, 2]), ranking(&[0, 1, 2]), ranking(&[1, 2, 0])];
    let preferences = Preferences::from_rankings(&rankings).unwrap();
    assert_eq!(
        (preferences.weight(0, 1), preferences.weight(1, 0), preferences.margin(1, 2)),
        (2.0, 1.0, 3.0)
    );
    assert_eq!(borda(&preferences), [4.0, 4.0, 1.0]);
    assert_eq!(copeland(&preferences), [2.0, 1.0, 0.0]);
    assert_eq!(greedy(&preferences).items(), [0, 1, 2], "potentials 2, 2 and −4");
    let central = kemeny(&preferences);
    assert_eq!((central.order.items(), central.disagreement), (&[0, 1, 2][..], 2.0));
    assert!(central.optimal && central.bound == 2.0);
    for seed in 0..5 {
        assert_eq!(kwiksort(&preferences, seed).items(), [0, 1, 2]);
    }
}

#[test]
fn wrong_input_is_refused() {
    let lengths = Preferences::from_rankings(&[ranking(&[0, 1]), ranking(&[0])]);
    assert_eq!(lengths, Err(AggregationError::Length { ranking: 1, wanted: 2, found: 1 }));
    let mut preferences = Preferences::new(2);
    assert!(preferences.add(0, 2, 1.0).is_err() && preferences.add(0, 1, -1.0).is_err());
    assert!(preferences.add(0, 1, f64::NAN).is_err() && preferences.add(1, 1, 1.0).is_ok());
    assert_eq!(preferences, Preferences::new(2));
    assert!(self_consistency(&[ranking(&[0, 1])], &[]).is_err());
    assert!(self_consistency(&[ranking(&[0, 1])], &[ranking(&[0])]).is_err());
    let mut scores = GroupScores::new(2);
    assert!(scores.add(2, 1.0).is_err() && scores.add(0, f64::INFINITY).is_err());
    assert!(scores.fused(&[1.0], 0.4).is_err() && scores.fused(&[1.0, 2.0], 1.1).is_err());
    assert!(kemeny(&Preferences::new(0)).order.is_empty());
}

#[test]
fn comparisons_and_bradley_terry_agree_on_clear_cases() {
    let seen = |first, second, outcome| Comparison { first, second, outcome, weight: 1.0 };
    let mut all = Vec::new();
    for _ in 0..3 {
        all.extend([seen(2, 0, Outcome::First), seen(1, 0, Outcome::Second), seen(1, 2, Outcome::Tie)]);
    }
    all.extend([seen(0, 2, Outcome::First), seen(1, 0, Outcome::First), seen(2, 1, Outcome::First)]);
    let preferences = Preferences::from_comparisons(3, &all).unwrap();
    assert_eq!(borda(&preferences), [4.0, 2.5, 5.5]);
    let fit = bradley_terry::fit(3, &all, &FitOptions::default()).unwrap();
    assert_eq!(Permutation::by_descending(&fit.scores).items(), [2, 0, 1]);
    assert_eq!(kemeny(&preferences).order.items(), [2, 0, 1]);
}

#[test]
fn a_rotation_is_a_draw_for_all_and_kemeny_breaks_its_weakest_link() {
    let mut rotation = Preferences::new(3);
    for (before, after, weight) in [(0, 1, 3.0), (1, 2, 2.0), (2, 0, 1.0)] {
        rotation.add(before, after, weight).unwrap();
    }
    assert_eq!(copeland(&rotation), [1.0; 3]);
    let central = kemeny(&rotation);
    assert_eq!((central.order.items(), central.disagreement, central.optimal), (&[0, 1, 2][..], 1.0, true));
}

#[test]
fn large_lists_come_within_a_said_bound() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    // Answers with some sense: majorities split the list, and the result is known to be best.
    let near: Vec<Permutation> = (0..7).map(|_| noisy(100, 12.0, &mut random)).collect();
    let central = kemeny(&Preferences::from_rankings(&near).unwrap());
    println!(
        "100 items, 7 rankings near the truth: {} against a bound of {}, optimal: {}",
        central.disagreement, central.bound, central.optimal
    );
    assert!(central.disagreement <= 1.01 * central.bound);
    for one in &near {
        let alone = Preferences::from_rankings(&near).unwrap().disagreement(one.items());
        assert!(central.disagreement <= alone);
    }
    // Pure noise: one large component, where only the bound is known.
    let noise: Vec<Permutation> = (0..5).map(|_| random_order(40, &mut random)).collect();
    let preferences = Preferences::from_rankings(&noise).unwrap();
    let central = kemeny(&preferences);
    assert!(central.bound <= central.disagreement);
    for other in
        [greedy(&preferences), kwiksort(&preferences, 1), Permutation::by_descending(&borda(&preferences))]
    {
        assert!(central.disagreement <= preferences.disagreement(other.items()));
    }
}

#[test]
fn taus_are_of_each_two_orders() {
    let orders = [ranking(&[0, 1, 2]), ranking(&[2, 1, 0]), ranking(&[0, 2, 1])];
    // The last one turns one of three pairs of the first, and two of the second.
    assert_eq!(kendall_taus(&orders), [-1.0, 1.0 - 2.0 / 3.0, 1.0 - 4.0 / 3.0]);
    assert_eq!(kendall_taus(&[ranking(&[0]), ranking(&[0])]), [1.0]);
    assert!(kendall_taus(&orders[..1]).is_empty());
    assert!(kendall_taus(&[ranking(&[0]), ranking(&[0, 1])]).is_empty());
}

#[test]
fn self_consistency_cancels_a_position_bias() {
    // The model prefers what stands early: the score of a candidate is its quality minus a penalty for its place.
    let (n, mut better) = (20, 0);
    for seed in 0..20 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let truth = random_order(n, &mut random);
        let quality = truth.inverse();
        let mut answer = |shown: &Permutation| {
            let score = |(place, &item): (usize, &usize)| {
                -(quality.items()[item] as f64) - 0.7 * place as f64 + 4.0 * random.random::<f64>()
            };
            Permutation::by_descending(&shown.items().iter().enumerate().map(score).collect::<Vec<_>>())
        };
        let shown = shuffles(n, 20, seed);
        let answers: Vec<Permutation> = shown.iter().map(&mut answer).collect();
        let central = self_consistency(&shown, &answers).unwrap().order;
        let single = shown[0].compose(&answers[0]).unwrap();
        let far = |order: &Permutation| order.kendall_distance(&truth).unwrap();
        better += usize::from(far(&central) < far(&single));
    }
    assert!(better >= 18, "{better} of 20");
    assert_eq!(shuffles(5, 2, 1)[0], Permutation::identity(5));
}

#[test]
fn groups_are_random_disjoint_and_as_many_as_said() {
    for (items, size, repeats) in [(100, 20, 6), (95, 20, 2), (7, 1, 1), (7, 7, 3), (0, 5, 2), (3, 0, 1)] {
        let groups = Grouping::Random { seed: 4 }.groups(items, size, repeats);
        let calls: usize = groups.iter().map(Vec::len).sum();
        assert_eq!(calls, repeats * items.div_ceil(size.max(1)));
        for repeat in &groups {
            let mut all: Vec<usize> = repeat.concat();
            all.sort_unstable();
            assert_eq!(all, (0..items).collect::<Vec<_>>());
        }
    }
    assert_ne!(
        Grouping::Random { seed: 4 }.groups(30, 10, 2)[0],
        Grouping::Random { seed: 4 }.groups(30, 10, 2)[1]
    );
    assert_eq!(Grouping::Sorted.groups(5, 2, 1), [[vec![0, 1], vec![2, 3], vec![4]]]);
}

#[test]
fn scores_are_means_and_the_unscored_keep_the_first_stage_order() {
    let mut scores = GroupScores::new(5);
    for (item, score) in [(0, 0.2), (0, 0.4), (2, 0.9), (3, 0.3)] {
        scores.add(item, score).unwrap();
    }
    assert_eq!(scores.means()[1..], [None, Some(0.9), Some(0.3), None]);
    assert_eq!((scores.order().items().to_vec(), scores.unscored()), (vec![2, 0, 3, 1, 4], 2));
    // .6 · .3 + .4 · 0 = .18 for 0, .6 · .9 + .4 · 0 = .54 for 2, .6 · .3 + .4 · 1 = .58 for 3.
    let fused = scores.fused(&[0.0, 0.1, 0.0, 1.0, 0.8], 0.4).unwrap();
    for (found, wanted) in fused.into_iter().zip([Some(0.18), None, Some(0.54), Some(0.58), None]) {
        assert_eq!(found.is_some(), wanted.is_some());
        assert!(found.zip(wanted).is_none_or(|(found, wanted)| (found - wanted).abs() < 1e-12), "{found:?}");
    }
}

/// NDCG@10 with gains 2^g − 1.
fn ndcg(order: &Permutation, grades: &[f64]) -> f64 {
    let gain = |grade: f64| 2f64.powf(grade) - 1.0;
    let dcg = |items: &[usize]| -> f64 {
        let top = items.iter().take(10).enumerate();
        top.map(|(place, &item)| gain(grades[item]) / (place as f64 + 2.0).log2()).sum()
    };
    dcg(order.items()) / dcg(Permutation::by_descending(grades).items())
}

#[test]
fn repeats_help_and_random_groups_beat_sorted_ones() {
    // The scorer spreads the candidates of a group over 0 to 10 by their rank in it, with noise: what it says is
    // relative.
    let quality = |grouping: fn(u64) -> Grouping, repeats: usize| -> f64 {
        let one = |seed: u64| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let grades: Vec<f64> = (0..100)
                .map(|item| {
                    (3.0 - item as f64 / 30.0 + 2.0 * random.random::<f64>() - 1.0).clamp(0.0, 3.0).round()
                })
                .collect();
            let mut scores = GroupScores::new(100);
            for group in grouping(seed).groups(100, 10, repeats).concat() {
                let seen: Vec<f64> =
                    group.iter().map(|&item| grades[item] + 2.0 * random.random::<f64>()).collect();
                for (rank, &place) in Permutation::by_descending(&seen).items().iter().enumerate() {
                    scores.add(group[place], (10.0 - rank as f64 * 10.0 / 9.0).round()).unwrap();
                }
            }
            ndcg(&scores.order(), &grades)
        };
        (0..30).map(one).sum::<f64>() / 30.0
    };
    let random = |seed| Grouping::Random { seed };
    let curve = [1, 2, 4, 8, 16].map(|repeats| quality(random, repeats));
    let sorted = quality(|_| Grouping::Sorted, 4);
    println!("NDCG@10 by repeats 1, 2, 4, 8, 16: {curve:.3?}; sorted groups, 4 repeats: {sorted:.3}");
    assert!(curve.is_sorted(), "{curve:?}");
    assert!(curve[4] - curve[3] < curve[1] - curve[0], "it flattens: {curve:?}");
    assert!(curve[2] > sorted);
}

#[test]
fn two_teachers_make_labels() {
    // Ranks (2, 3) and (3, 2) both give −ln 6 / 2; ranks (1, 2) −ln 2 / 2; the first by both 0.
    let labels = log_rank_fusion(&ranking(&[0, 1, 2]), &ranking(&[0, 2, 1]), 0.5).unwrap();
    assert_eq!(labels[0], 0.0);
    assert!((2.0 * labels[1] + 1.7918).abs() < 1e-4 && (labels[1] - labels[2]).abs() < 1e-12);
    let labels = log_rank_fusion(&ranking(&[0, 1]), &ranking(&[1, 0]), 0.5).unwrap();
    assert!((2.0 * labels[0] + 2f64.ln()).abs() < 1e-4);
    // (2, 8) and (4, 4) have the same product.
    let first = ranking(&[2, 0, 3, 1, 4, 5, 6, 7]);
    let second = ranking(&[2, 3, 4, 1, 5, 6, 7, 0]);
    let labels = log_rank_fusion(&first, &second, 0.5).unwrap();
    assert!((labels[0] - labels[1]).abs() < 1e-12);
    assert!(log_rank_fusion(&first, &ranking(&[0]), 0.5).is_err());
    assert!(log_rank_fusion(&first, &second, 1.5).is_err());
}

proptest! {
    #[test]
    fn kemeny_is_the_best_of_all_orders(n in 1usize..7, voters in 1usize..6, seed in any::<u64>()) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let rankings: Vec<Permutation> = (0..voters).map(|_| random_order(n, &mut random)).collect();
        let preferences = Preferences::from_rankings(&rankings).unwrap();
        let central = kemeny(&preferences);
        let count: u128 = (1..=n as u128).product();
        let best = (0..count)
            .map(|number| preferences.disagreement(Permutation::from_rank(n, number).unwrap().items()))
            .fold(f64::INFINITY, f64::min);
        prop_assert!(central.optimal);
        prop_assert_eq!(central.disagreement, best);
        let distances: u64 = rankings.iter().map(|one| one.kendall_distance(&central.order).unwrap()).sum();
        prop_assert_eq!(distances as f64, best);
        let half = preferences.disagreement(greedy(&preferences).items());
        let total = (voters * n * (n - 1) / 2) as f64;
        prop_assert!(total - half >= (total - best) / 2.0);
    }
}
