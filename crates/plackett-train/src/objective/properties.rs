//! What holds for objectives on lists, whatever the numbers.

use super::testing::Case;
use proptest::prelude::*;

/// Objectives on lists with labels 0 … 3, a teacher and a reference.
const ALL: &[&str] = &[
    "mse",
    "ordinal",
    "ranknet",
    "ranknet(target=labels)",
    "ranknet(target=teacher)",
    "weighted-ranknet",
    "hinge",
    "bpr",
    "softmax-cross-entropy",
    "listnet",
    "listnet(target=reciprocal-rank)",
    "listnet(double_softmax=true)",
    "listmle",
    "p-listmle",
    "lambda-loss",
    "lambda-loss(weights=ndcg-loss1)",
    "lambda-loss(weights=ndcg-loss2, k=2)",
    "lambda-loss(weights=ndcg-loss2++)",
    "lambda-loss(weights=arp-loss1)",
    "lambda-loss(weights=arp-loss2)",
    "approx-ndcg",
    "neural-ndcg",
    "neural-ndcg(sinkhorn=0, k=2)",
    "blockrank-auxiliary",
    "margin-mse",
    "kl-distillation",
    "s-dpo",
];

/// Those that see differences of scores alone.
fn is_shift_invariant(text: &str) -> bool {
    !["mse", "ordinal"].contains(&text)
}

/// Those that can be below 0: a measure whose matrix is not doubly stochastic is no measure any more.
fn can_be_negative(text: &str) -> bool {
    text.starts_with("neural-ndcg")
}

/// One list in some order of its candidates.
fn case(text: &str, candidates: &[(f32, f32, f32)], order: &[usize], shift: f32) -> Case {
    let pick =
        |of: fn(&(f32, f32, f32)) -> f32| order.iter().map(|at| of(&candidates[*at])).collect::<Vec<_>>();
    let scores: Vec<f32> = pick(|candidate| candidate.0).iter().map(|score| score + shift).collect();
    let teacher = pick(|candidate| candidate.2);
    Case::new(text, &[&scores], &[&pick(|candidate| candidate.1)]).teacher(&teacher).reference(&teacher)
}

/// Scores that no two candidates share, labels and teacher scores.
fn candidates() -> impl Strategy<Value = (Vec<(f32, f32, f32)>, Vec<usize>)> {
    (2usize..7).prop_flat_map(|count| {
        let scores = Just((0..count).map(|at| at as f32).collect::<Vec<_>>()).prop_shuffle();
        let noise = proptest::collection::vec((-0.3f32..0.3, 0u8..4, -2.0f32..2.0), count);
        let all = (scores, noise).prop_map(|(scores, noise)| {
            let one = |(score, (noise, label, teacher)): (f32, (f32, u8, f32))| {
                (0.7 * score + noise - 1.5, label.into(), teacher)
            };
            scores.into_iter().zip(noise).map(one).collect::<Vec<_>>()
        });
        (all, Just((0..count).collect::<Vec<_>>()).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_candidates_does_not_matter((candidates, order) in candidates()) {
        let given: Vec<usize> = (0..candidates.len()).collect();
        for text in ALL {
            let (one, used, _) = case(text, &candidates, &given, 0.0).loss().unwrap();
            let (other, also, _) = case(text, &candidates, &order, 0.0).loss().unwrap();
            prop_assert_eq!(used, also);
            prop_assert!((one - other).abs() <= 1e-4 * one.abs().max(1.0), "{}: {} and {}", text, one, other);
        }
    }

    #[test]
    fn a_level_of_scores_does_not_matter((candidates, order) in candidates(), shift in -5.0f32..5.0) {
        for text in ALL.iter().filter(|text| is_shift_invariant(text)) {
            let one = case(text, &candidates, &order, 0.0).value();
            let other = case(text, &candidates, &order, shift).value();
            prop_assert!((one - other).abs() <= 1e-3 * one.abs().max(1.0), "{}: {} and {}", text, one, other);
        }
    }

    #[test]
    fn losses_are_not_negative((candidates, order) in candidates()) {
        for text in ALL.iter().filter(|text| !can_be_negative(text)) {
            let value = case(text, &candidates, &order, 0.0).value();
            prop_assert!(value >= -1e-5, "{}: {}", text, value);
        }
    }

    #[test]
    fn far_scores_in_the_right_order_cost_nothing(order in Just([0usize, 1, 2, 3]).prop_shuffle()) {
        let candidates = [0.0, 1.0, 2.0, 3.0].map(|at: f32| (30.0 * at, at, 30.0 * at));
        for text in [
            "ranknet",
            "weighted-ranknet",
            "hinge",
            "bpr",
            "listmle",
            "p-listmle",
            "lambda-loss",
            "lambda-loss(weights=ndcg-loss2++)",
            "approx-ndcg",
            "neural-ndcg(temperature=0.1)",
            "margin-mse",
            "kl-distillation",
            "blockrank-auxiliary",
        ] {
            let value = case(text, &candidates, &order, 0.0).value();
            prop_assert!(value.abs() < 1e-4, "{}: {}", text, value);
        }
    }

    #[test]
    fn gradients_sum_to_nothing_where_a_level_does_not_matter((candidates, order) in candidates()) {
        for text in ALL.iter().filter(|text| is_shift_invariant(text)) {
            let gradient = case(text, &candidates, &order, 0.0).gradient();
            let (sum, size) = (gradient.iter().sum::<f32>(), gradient.iter().map(|g| g.abs()).sum::<f32>());
            prop_assert!(sum.abs() <= 1e-4 * size.max(1.0), "{}: {:?}", text, gradient);
        }
    }

    #[test]
    fn far_scores_overflow_nothing((candidates, order) in candidates(), far in 1.0f32..1e4) {
        let far: Vec<(f32, f32, f32)> = candidates.iter().map(|(s, y, t)| (s * far, *y, t * far)).collect();
        for text in ALL {
            let case = case(text, &far, &order, 0.0);
            prop_assert!(case.value().is_finite(), "{}", text);
            prop_assert!(case.gradient().iter().all(|g| g.is_finite()), "{}", text);
        }
    }
}
