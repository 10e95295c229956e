use super::*;
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn matrix(n: usize, mut entry: impl FnMut(usize, usize) -> f64) -> SuccessorScores {
    SuccessorScores::new(n, (0..n * n).map(|at| entry(at / n, at % n)).collect()).unwrap()
}

fn uniform(n: usize, random: &mut ChaCha8Rng) -> SuccessorScores {
    matrix(n, |_, _| random.random::<f64>())
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt()
        * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

/// The best path among all n!, the first one of equal ones.
fn brute_force(scores: &SuccessorScores) -> (Vec<usize>, f64) {
    fn go(scores: &SuccessorScores, path: &mut Vec<usize>, value: f64, best: &mut (Vec<usize>, f64)) {
        let n = scores.len();
        if path.len() == n && value > best.1 {
            *best = (path.clone(), value);
        }
        for next in 0..n {
            if !path.contains(&next) {
                let arc = path.last().map_or(0.0, |&last| scores.get(last, next));
                path.push(next);
                go(scores, path, value + arc, best);
                path.pop();
            }
        }
    }
    let mut best = (Vec::new(), f64::NEG_INFINITY);
    go(scores, &mut Vec::new(), 0.0, &mut best);
    best
}

/// The heuristic, whatever the size.
fn approximate(scores: &SuccessorScores) -> TspPath {
    heuristic(scores, &TspOptions { kicks: 20, bound_steps: 40, seed: 1 })
}

#[test]
fn the_exact_path_is_the_best_of_all_and_the_least_of_the_best() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for n in [0, 1, 2, 3, 4, 5, 6, 7] {
        for _ in 0..25 {
            // Small whole numbers have many equal paths, and sums without rounding.
            let scores = matrix(n, |_, _| f64::from(random.random_range(-2i32..3)));
            let found = solve(&scores, &TspOptions::default());
            let (path, value) = brute_force(&scores);
            assert_eq!((found.order.items(), found.value), (&path[..], value));
            assert!(found.optimal && found.gap() == 0.0);
        }
    }
    // All 40,320 and 362,880 paths of a few matrices.
    for n in [8, 9] {
        for _ in 0..(10 - n) {
            let scores = uniform(n, &mut random);
            assert!((solve(&scores, &TspOptions::default()).value - brute_force(&scores).1).abs() < 1e-12);
        }
    }
}

#[test]
fn the_heuristic_is_near_the_exact_path_and_below_its_bound() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut missed = 0;
    for round in 0..12 {
        let n = [4, 9, 11, 12][round % 4];
        let scores =
            if round % 2 == 0 { uniform(n, &mut random) } else { matrix(n, |_, _| normal(&mut random)) };
        let (exact, found) = (held_karp(&scores), approximate(&scores));
        assert!(found.value <= exact.value + 1e-9 && exact.value <= found.bound + 1e-9);
        assert!(!found.optimal || (found.value - exact.value).abs() < 1e-9);
        assert!((found.value - scores.value(found.order.items())).abs() < 1e-12);
        missed += usize::from(found.value < exact.value - 1e-9);
    }
    assert!(missed <= 1, "{missed} of 12");
}

#[test]
fn adding_scaling_and_turning_round_do_what_they_must() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for n in [6, 10] {
        let scores = uniform(n, &mut random);
        let found = held_karp(&scores);
        let shifted = held_karp(&matrix(n, |i, j| scores.get(i, j) + 7.0));
        let scaled = held_karp(&matrix(n, |i, j| 4.0 * scores.get(i, j)));
        let turned = held_karp(&matrix(n, |i, j| scores.get(j, i)));
        assert_eq!((shifted.order.items(), scaled.order.items()), (found.order.items(), found.order.items()));
        assert!((shifted.value - found.value - 7.0 * (n - 1) as f64).abs() < 1e-9);
        assert!(turned.order.items().iter().rev().eq(found.order.items()));
    }
}

#[test]
fn large_matrices_beat_the_simple_decoders_within_one_percent_of_the_bound() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for n in [30, 60] {
        let scores = uniform(n, &mut random);
        let found = solve(&scores, &TspOptions::default());
        assert!(found.value >= scores.value(greedy_chain(&scores).items()));
        assert!(found.value >= scores.value(borda_order(&scores).items()));
        assert!(found.value <= found.bound && found.gap() <= 0.01, "{n}: {}", found.gap());
        assert_eq!(found, solve(&scores, &TspOptions::default()), "the same every time");
    }
    let scores = uniform(140, &mut random);
    let quick = TspOptions { kicks: 2, bound_steps: 5, seed: 0 };
    let found = solve(&scores, &quick);
    assert!(found.value >= scores.value(greedy_chain(&scores).items()) && found.gap() < 0.01);
}

#[test]
fn matrices_without_a_best_path_are_refused() {
    assert_eq!(SuccessorScores::new(2, vec![0.0; 3]), Err(TspError::Size { len: 2, found: 3 }));
    let nan = SuccessorScores::new(2, vec![f64::NAN, f64::NAN, 0.0, f64::NAN]).unwrap_err();
    assert_eq!(nan.to_string(), "the score of item 1 right after item 0 is NaN; scores must be finite");
    // The diagonal has no meaning.
    assert_eq!(SuccessorScores::new(1, vec![f64::NAN]).unwrap().value(&[0]), 0.0);
    let equal = heuristic(&matrix(20, |_, _| 0.0), &TspOptions::default());
    assert_eq!((equal.value, equal.optimal), (0.0, true));
}

fn tau(order: &Permutation, truth: &Permutation) -> f64 {
    let pairs = (order.len() * (order.len() - 1) / 2) as f64;
    1.0 - 2.0 * order.kendall_distance(truth).unwrap() as f64 / pairs
}

/// Mean τ of the exact path, the best greedy chain and Borda over 40 orders of 9 items.
fn recovery(mut entry: impl FnMut(usize, usize, &mut ChaCha8Rng) -> f64) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for seed in 0..40 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut items: Vec<usize> = (0..9).collect();
        items.shuffle(&mut random);
        let truth = Permutation::new(items).unwrap();
        let rank = truth.inverse();
        let scores = matrix(9, |i, j| entry(rank.items()[i], rank.items()[j], &mut random));
        let found = [held_karp(&scores).order, greedy_chain(&scores), borda_order(&scores)];
        sums.iter_mut().zip(&found).for_each(|(sum, order)| *sum += tau(order, &truth) / 40.0);
    }
    sums
}

#[test]
fn the_decoder_fits_successor_scores_and_not_precedence_scores() {
    let successor =
        |sigma: f64| recovery(move |i, j, random| f64::from(u8::from(j == i + 1)) + sigma * normal(random));
    let by_noise = [0.0, 0.2, 0.3, 0.5].map(successor);
    println!("successor scores, noise 0, .2, .3, .5: tau of TSP, greedy, Borda: {by_noise:.2?}");
    assert!((by_noise[0][0] - 1.0).abs() < 1e-9);
    assert!(by_noise.is_sorted_by(|a, b| a[0] >= b[0]));
    assert!(by_noise[1][0] > 0.97 && by_noise[2][0] > 0.8);
    assert!(by_noise[1..].iter().all(|[tsp, greedy, borda]| tsp >= greedy && greedy >= borda));
    assert!(by_noise[3][0] > by_noise[3][1] + 0.1);
    let sign = |flips: f64| {
        recovery(move |i, j, random| {
            let sign = if i < j { 1.0 } else { -1.0 };
            if random.random::<f64>() < flips { -sign } else { sign }
        })
    };
    let by_flips = [0.0, 0.1, 0.2].map(sign);
    println!("precedence scores, flips 0, 10, 20 %: {by_flips:.2?}");
    assert!(by_flips[0][0] > 1.0 - 1e-9 && by_flips[0][2] > 1.0 - 1e-9);
    assert!(by_flips[1..].iter().all(|[tsp, _, borda]| borda > tsp));
}

proptest! {
    #[test]
    fn any_matrix_gives_a_permutation_under_its_bound(n in 0usize..25, spread in 0i32..4, seed in any::<u64>()) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let scores = matrix(n, |_, _| f64::from(random.random_range(-spread..=spread)) * 1e3);
        let found = if n < 2 { solve(&scores, &TspOptions::default()) } else { approximate(&scores) };
        prop_assert!(Permutation::new(found.order.items().to_vec()).is_ok() && found.order.len() == n);
        prop_assert!(found.value <= found.bound + 1e-6);
        prop_assert!(found.value >= scores.value(greedy_chain(&scores).items()) - 1e-6);
        prop_assert!(found.value >= scores.value(borda_order(&scores).items()) - 1e-6);
    }
}
