//! Losses by hand and by differences, the range of the head, and a training that must order and then scale.

use super::*;
use crate::tape::{Compute, Parameters};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn labelled(values: &[f32]) -> Vec<Vec<Option<f32>>> {
    values.iter().map(|value| vec![Some(*value)]).collect()
}

fn views(labels: &[Vec<Option<f32>>]) -> Vec<&[Option<f32>]> {
    labels.iter().map(Vec::as_slice).collect()
}

#[test]
fn the_margin_loss_is_that_of_the_formula() {
    let labels = labelled(&[1.0, 2.0, 2.0]);
    let all = |_: usize, _: usize| true;
    // Pairs (0,1) and (0,2); 0.5 + 0.3 − … : items 1 and 2 must be ahead by 0.5.
    let (loss, gradient, pairs) = margin_rank(&[0.3, 0.0, 1.0], &views(&labels), 0.5, &all);
    assert_eq!(pairs, 2);
    assert!((loss - 0.4).abs() < 1e-6, "{loss}");
    assert_eq!(gradient, [0.5, -0.5, 0.0]);
    let (loss, gradient, _) = margin_rank(&[0.0, 1.0, 0.6], &views(&labels), 0.5, &all);
    assert_eq!((loss, gradient), (0.0, vec![0.0; 3]));
    // A constant added to the labels changes nothing, and what has no label has no gradient.
    let shifted = labelled(&[8.0, 9.0, 9.0]);
    assert_eq!(margin_rank(&[0.3, 0.0, 1.0], &views(&shifted), 0.5, &all).0, 0.4);
    let masked = vec![vec![Some(1.0), None], vec![Some(2.0), Some(1.0)]];
    let (_, gradient, pairs) = margin_rank(&[1.0, 5.0, 0.0, -5.0], &views(&masked), 0.5, &all);
    assert_eq!((pairs, gradient), (1, vec![1.0, 0.0, -1.0, 0.0]));
    assert_eq!(margin_rank(&[1.0, 0.0, 0.0], &views(&labels), 0.5, &|_, _| false), (0.0, vec![0.0; 3], 0));
}

#[test]
fn the_contrastive_loss_wants_features_in_the_order_of_labels() {
    let labels = [Some(0.0), Some(1.0), Some(2.0)];
    let loss = |features: [f32; 3]| contrastive_regression(&features, 1, &labels, 2.0).0;
    let right = loss([0.0, 1.0, 2.0]);
    assert!((right - loss([2.0, 1.0, 0.0])).abs() < 1e-6, "the mirror image ties");
    for other in [[0.0, 2.0, 1.0], [1.0, 0.0, 2.0], [1.0, 2.0, 0.0], [2.0, 0.0, 1.0]] {
        assert!(right < loss(other) - 1e-4, "{other:?}");
    }
    // By hand: anchor 0: j = 1 is against both, j = 2 alone; anchor 1: both equally far, each against both; anchor 2 as 0.
    let edge = (1.0f64 + (-0.5f64).exp()).ln();
    let expected = (edge + 0.0 + 2.0 * 2.0f64.ln() + edge + 0.0) / 6.0;
    assert!((f64::from(right) - expected).abs() < 1e-6, "{right} {expected}");
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let features: Vec<f32> = (0..12).map(|_| random.random::<f32>() * 3.0).collect();
    let labels = [Some(1.0), None, Some(2.5), Some(2.5), Some(4.0), Some(0.5)];
    let (_, gradient) = contrastive_regression(&features, 2, &labels, 2.0);
    for at in 0..features.len() {
        let moved = |by: f32| {
            let mut features = features.clone();
            features[at] += by;
            f64::from(contrastive_regression(&features, 2, &labels, 2.0).0)
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((slope - f64::from(gradient[at])).abs() < 1e-3, "{at}: {slope} {}", gradient[at]);
    }
    assert_eq!(&gradient[2..4], [0.0, 0.0], "an item without a label has no gradient");
    assert_eq!(contrastive_regression(&features[..4], 2, &labels[..2], 2.0), (0.0, vec![0.0; 4]));
}

#[test]
fn dimensions_agree_or_not() {
    let some = |values: &[f32]| values.iter().map(|x| Some(*x)).collect::<Vec<_>>();
    assert_eq!(consistency(&some(&[1.0, 2.0, 3.0]), &some(&[2.0, 3.0, 3.0])), 1.0);
    assert_eq!(consistency(&some(&[1.0, 4.0]), &some(&[2.0, 3.0])), 0.0);
    assert_eq!(consistency(&[Some(1.0), None], &some(&[2.0, 3.0])), 1.0);
    assert_eq!(consistency(&some(&[1.0]), &some(&[1.0])), 0.0);
}

#[test]
fn five_levels_with_a_temperature_of_one_cannot_reach_five() {
    // All of the cosines that there can be: 1 with one level, −1 with all others.
    let reach = |temperature: f64| {
        let (up, down) = ((1.0 / temperature).exp(), (-1.0 / temperature).exp());
        let all = up + 4.0 * down;
        (up + down * (2.0 + 3.0 + 4.0 + 5.0)) / all..(5.0 * up + down * (1.0 + 2.0 + 3.0 + 4.0)) / all
    };
    let range = reach(1.0);
    assert!((range.start - 1.878).abs() < 5e-4 && (range.end - 4.122).abs() < 5e-4, "{range:?}");
    assert!(reach(0.1).end > 4.99);
    let mut parameters = Parameters::default();
    let head = Head::Levels { count: 5, temperature: 1.0 };
    let scorer = LevelScorer::new(&mut parameters, (3, 4, 2), head, 1).unwrap();
    let scores = scorer.scores(&parameters, &Compute::new(1), &[&[9.0, -3.0, 1.0], &[0.0, 0.0, 0.1]]);
    assert!(scores.len() == 4 && scores.iter().all(|score| (1.87..4.13).contains(score)), "{scores:?}");
    assert!(LevelScorer::new(&mut parameters, (0, 4, 1), Head::Linear, 1).is_err());
    // The scorer itself, with a vector that is one level's and the opposite of all others'.
    for (temperature, expected) in [(1.0, 4.122), (0.1, 5.0)] {
        let mut parameters = Parameters::default();
        let head = Head::Levels { count: 5, temperature };
        let scorer = LevelScorer::new(&mut parameters, (1, 2, 1), head, 1).unwrap();
        for (name, values) in [
            ("scorer.2.weight", vec![0.0; 4]),
            ("scorer.2.bias", vec![1.0, 0.0]),
            ("levels.0.weight", vec![-1.0, 0.0, -1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0, 0.0]),
        ] {
            let id = parameters.find(name).unwrap();
            parameters[id].values_mut().copy_from_slice(&values);
        }
        let score = scorer.scores(&parameters, &Compute::new(1), &[&[0.3]])[0];
        assert!((score - expected).abs() < 1e-3, "{temperature}: {score}");
    }
}

/// Groups of items whose label is a function of the first feature, with an offset for each group if asked.
fn items(offset: f32) -> Vec<LabelledItem> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut items = Vec::new();
    for group in 0..20 {
        let shift = offset * (random.random::<f32>() - 0.5);
        for _ in 0..8 {
            let features: Vec<f32> = (0..3).map(|_| random.random::<f32>() * 2.0 - 1.0).collect();
            let label = 3.0 + 1.5 * features[0] - 0.4 * features[1];
            items.push(LabelledItem { group, features, labels: vec![Some(label + shift)] });
        }
    }
    items
}

fn order(a: &[f64], b: &[f64]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for i in 0..a.len() {
        for j in 0..i {
            sum += ((a[i] - a[j]) * (b[i] - b[j])).signum();
            count += 1.0;
        }
    }
    sum / count
}

fn job(stages: Stages, knobs: bool) -> RankThenScore {
    let knobs = Knobs { groups: knobs, gap: knobs, consistency: knobs };
    RankThenScore {
        stages,
        batch: 8,
        rank_epochs: 15,
        score_epochs: 10,
        rate: 1e-2,
        decay: 1e-4,
        margin: 0.5,
        contrast: 0.5,
        tau: 2.0,
        curriculum: Curriculum { knobs, groups: 1, gap: 2.5, patience: 0.01 },
        seed: 3,
        correlation: order,
    }
}

#[test]
fn order_comes_first_and_scale_second() {
    let compute = Compute::new(1);
    for head in [Head::Linear, Head::Levels { count: 5, temperature: 0.1 }] {
        let measured = |stages: Stages| {
            let mut parameters = Parameters::default();
            let scorer = LevelScorer::new(&mut parameters, (3, 16, 1), head, 5).unwrap();
            let all = items(0.0);
            let trained = job(stages, false).run(&scorer, &mut parameters, &all, &compute).unwrap();
            let features: Vec<&[f32]> = all.iter().map(|item| item.features.as_slice()).collect();
            let scores = scorer.scores(&parameters, &compute, &features);
            let labels: Vec<f64> = all.iter().map(|item| f64::from(item.labels[0].unwrap())).collect();
            let scores: Vec<f64> = scores.iter().map(|x| f64::from(*x)).collect();
            let error =
                scores.iter().zip(&labels).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / labels.len() as f64;
            (order(&scores, &labels), error.sqrt(), trained)
        };
        let (ranked, rank_error, _) = measured(Stages::Rank);
        let (both, both_error, trained) = measured(Stages::RankThenScore);
        assert!(ranked > 0.85 && both > 0.85, "{head:?}: {ranked} {both}");
        assert!(both_error < 0.6 * rank_error && both_error < 0.35, "{head:?}: {rank_error} {both_error}");
        assert_eq!(trained.epochs.len(), 25);
        assert!(trained.epochs[..15].iter().all(|epoch| epoch.ranks) && !trained.epochs[15].ranks);
    }
}

#[test]
fn knobs_only_turn_one_way() {
    let mut parameters = Parameters::default();
    let scorer = LevelScorer::new(&mut parameters, (3, 8, 1), Head::Linear, 5).unwrap();
    let trained =
        job(Stages::Rank, true).run(&scorer, &mut parameters, &items(1.0), &Compute::new(1)).unwrap();
    let states: Vec<CurriculumState> = trained.epochs.iter().map(|epoch| epoch.state).collect();
    assert_eq!((states[0].groups, states[0].gap, states[0].consistency), (1, 2.5, 0.5));
    assert!(states.windows(2).all(|pair| pair[1].groups >= pair[0].groups && pair[1].gap <= pair[0].gap));
    let last = states.last().unwrap();
    assert!(last.groups > 1 && last.gap < 2.5);
    // θ = 0.5 − 0.5 · epoch / epochs.
    for (epoch, state) in states.iter().enumerate() {
        assert!((state.consistency - (0.5 - 0.5 * epoch as f64 / 15.0)).abs() < 1e-12);
    }
    // A gap that no pair has: none counts.
    let mut far = job(Stages::Rank, true);
    far.curriculum.gap = 50.0;
    far.rank_epochs = 1;
    let trained = far.run(&scorer, &mut parameters, &items(0.0), &Compute::new(1)).unwrap();
    assert_eq!(trained.epochs[0].pairs, 0);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let by_group = vec![vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9], vec![10, 11, 12, 13, 14], vec![15, 16, 17, 18]];
    let state = states[0].of_all_groups(2);
    for _ in 0..20 {
        let batch = state.batch(&by_group, 8, &mut random);
        let mut groups: Vec<usize> =
            batch.iter().map(|at| usize::from(*at > 9) + usize::from(*at > 14)).collect();
        groups.dedup();
        assert!(batch.len() == 8 && groups.len() == 2, "{batch:?}");
    }
}

#[test]
fn dimensions_with_missing_labels_learn_from_what_they_have() {
    let compute = Compute::new(1);
    let mut all = items(0.0);
    for (at, item) in all.iter_mut().enumerate() {
        // The second dimension is the opposite of the first, and only every third item has it.
        let opposite = item.labels[0].map(|label| 6.0 - label).filter(|_| at % 3 == 0);
        item.labels.push(opposite);
    }
    let mut parameters = Parameters::default();
    let scorer = LevelScorer::new(&mut parameters, (3, 16, 2), Head::Linear, 5).unwrap();
    job(Stages::RankThenScore, false).run(&scorer, &mut parameters, &all, &compute).unwrap();
    let features: Vec<&[f32]> = all.iter().map(|item| item.features.as_slice()).collect();
    let scores = scorer.scores(&parameters, &compute, &features);
    let labels: Vec<f64> = all.iter().map(|item| f64::from(item.labels[0].unwrap())).collect();
    let column = |d: usize| scores.iter().skip(d).step_by(2).map(|x| f64::from(*x)).collect::<Vec<_>>();
    assert!(order(&column(0), &labels) > 0.8 && order(&column(1), &labels) < -0.7);
    let short = LabelledItem { group: 0, features: vec![1.0], labels: vec![None, None] };
    let error = job(Stages::Rank, false).run(&scorer, &mut parameters, &[short], &compute).unwrap_err();
    assert!(error.to_string().contains("1 features"), "{error}");
}
