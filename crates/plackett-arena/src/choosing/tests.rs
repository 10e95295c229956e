//! Schedules, draws and clusters by hand; toys whose best way is known.

use super::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn schedules_are_checked() {
    let good = Schedule::tts_var(1, 10.0);
    assert!(good.check(13).is_ok() && Schedule::best_of(8, 13).check(13).is_ok());
    assert_eq!(good.entering().collect::<Vec<_>>(), [8, 8, 8, 6, 6, 6, 4, 2, 2, 2, 1, 1, 1]);
    // Tokens of Infinity's scales: the wide start adds little to one plain sample.
    let sides = [1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64];
    let tokens = |stage: usize| f64::from(sides[stage] * sides[stage]);
    let ratio = good.cost(tokens) / Schedule::best_of(1, 13).cost(tokens);
    assert!((1.2..1.6).contains(&ratio), "{ratio}");
    assert_eq!(good.cost(|_| 1.0), 54.0 + 1.0);
    let wrong = |change: &dyn Fn(&mut Schedule)| {
        let mut schedule = good.clone();
        change(&mut schedule);
        schedule.check(13).unwrap_err().to_string()
    };
    assert!(wrong(&|s| s.survivors[3] = 9).contains("stage 3 of the schedule has more"));
    assert!(wrong(&|s| s.survivors[1] = 7).contains("nothing says by what"));
    assert!(wrong(&|s| s.thinnings.push((0, Thinning::Random))).contains("their number stays"));
    assert!(wrong(&|s| s.survivors[12] = 0).contains("leaves no candidate"));
    assert!(wrong(&|s| s.thinnings.push((20, Thinning::Random))).contains("lists stage 20"));
    assert!(wrong(&|s| s.survivors.truncate(12)).contains("12 stages"));
}

#[test]
fn potentials_follow_their_names_and_weights_do_not_overflow() {
    let rewards = [1.0, 3.0, 2.0];
    for (potential, expected) in [
        (Potential::Value, 2.0),
        (Potential::Difference, -1.0),
        (Potential::Greatest, 3.0),
        (Potential::Sum, 6.0),
    ] {
        assert_eq!(potential.of(&rewards), expected);
    }
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
    // A constant added to all rewards changes nothing, however large.
    assert!(close(&potential_weights(&[1.0, 2.0], 10.0), &potential_weights(&[901.0, 902.0], 10.0)));
    assert_eq!(potential_weights(&[5.0, -3.0], 0.0), [1.0, 1.0]);
    assert_eq!(potential_weights(&[f64::NAN, 1.0], 10.0), [0.0, 1.0]);
    assert_eq!(potential_weights(&[f64::NAN, f64::NAN], 10.0), [1.0, 1.0]);
    assert_eq!(potential_weights(&[f64::INFINITY, 1.0], 10.0), [1.0, 0.0]);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    assert_eq!(draw_by_potential(&[0.0, 1.0, 0.5], 1e6, 4, &mut random), [1; 4]);
    let uniform = draw_by_potential(&[0.0, 9.0, 5.0], 0.0, 3000, &mut random);
    for place in 0..3 {
        let count = uniform.iter().filter(|other| **other == place).count();
        assert!((850..1150).contains(&count), "{count}");
    }
}

#[test]
fn clusters_give_one_member_each() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut features = Vec::new();
    for group in 0..4 {
        for _ in 0..5 {
            features.push(vec![10.0 * f64::from(group) + random.random::<f64>(), random.random::<f64>()]);
        }
    }
    for seed in 0..20 {
        let places = one_of_each_cluster(&features, 4, seed);
        let groups: Vec<usize> = places.iter().map(|place| place / 5).collect();
        assert_eq!(groups, [0, 1, 2, 3]);
        assert_eq!(places, one_of_each_cluster(&features, 4, seed));
    }
    // Features that coincide: still different places.
    let same = vec![vec![1.0]; 6];
    let places = one_of_each_cluster(&same, 4, 1);
    assert_eq!(places.len(), 4);
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(one_of_each_cluster(&same, 9, 1).len(), 6);
}

#[test]
fn the_principal_projection_has_the_variance_and_a_sign() {
    let tokens: Vec<Vec<f64>> =
        [-2.0, -1.0, 0.0, 4.0].iter().map(|x| vec![1.0 + 3.0 * x, 5.0 - 4.0 * x, 2.0]).collect();
    let projected = principal_projection(&tokens);
    // Along (3, −4) / 5, with mean 0.25 taken off; the skew is positive.
    let expected: Vec<f64> = [-2.0, -1.0, 0.0, 4.0].iter().map(|x| 5.0 * (x - 0.25)).collect();
    assert!(projected.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{projected:?}");
    let turned: Vec<Vec<f64>> = tokens.iter().map(|token| token.iter().map(|x| -x).collect()).collect();
    let other = principal_projection(&turned);
    assert!(other.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9));
    assert_eq!(principal_projection(&[vec![1.0], vec![1.0]]), [0.0, 0.0]);
    // The longest token lies across the direction of the most variance.
    let mut tokens = vec![vec![2.0, 0.0]; 10];
    tokens.extend(vec![vec![-2.0, 0.0]; 10]);
    tokens.extend([vec![0.0, 3.0], vec![0.0, -3.0]]);
    assert!(principal_projection(&tokens)[..20].iter().all(|x| (x.abs() - 2.0).abs() < 1e-9));
}

/// A walk whose steps are drawn; states remember the path.
struct Walk;

impl StagedSampler for Walk {
    type State = Vec<u32>;

    fn stages(&self) -> usize {
        13
    }

    fn fresh(&self) -> Vec<u32> {
        Vec::new()
    }

    fn step(&self, state: &mut Vec<u32>, stage: usize, random: &mut ChaCha8Rng) {
        assert_eq!(state.len(), stage, "every candidate goes through every stage once");
        state.push(random.random_range(0..1000));
    }

    fn features(&self, state: &Vec<u32>, _stage: usize) -> Vec<f64> {
        state.iter().map(|x| f64::from(*x)).collect()
    }

    fn reward(&self, state: &Vec<u32>, _stage: usize, _random: &mut ChaCha8Rng) -> f64 {
        state.iter().map(|x| f64::from(*x)).sum::<f64>() / 1000.0
    }
}

#[test]
fn a_search_counts_what_it_computes_and_thinning_helps() {
    let run = |schedule: &Schedule, seed| StagedSearch { schedule, seed }.run(&Walk).unwrap();
    let mean = |schedule: &Schedule| (0..200).map(|seed| run(schedule, seed).reward).sum::<f64>() / 200.0;
    let found = run(&Schedule::tts_var(2, 10.0), 1);
    assert_eq!((found.candidate_stages, found.best.len()), (110, 13));
    // Rewards behind 6 and 9, and at the end.
    assert_eq!(found.rewards, 8 + 4 + 2);
    assert_eq!(run(&Schedule::tts_var(2, 10.0), 1).best, found.best);
    let all = Thinning::Potential(Potential::Greatest, 10.0);
    assert_eq!(run(&Schedule::tts_var(2, 10.0).with(&[6, 9], all), 1).rewards, 104 + 2);
    let plain = mean(&Schedule::best_of(1, 13));
    let searched =
        mean(&Schedule::tts_var(1, 10.0).with(&[2, 5], Thinning::Potential(Potential::Value, 10.0)));
    assert!(searched > plain + 0.5, "{searched} {plain}");
}

/// Words are the numbers of the target that were said.
type Words = Vec<(usize, f64)>;

struct Oracle;

impl Generator<Words> for Oracle {
    fn generate(&self, query: &Words, _seed: u64) -> Vec<f64> {
        let mut item = vec![0.5; 4];
        query.iter().for_each(|(at, x)| item[*at] = *x);
        item
    }
}

impl Feedback<Words> for Oracle {
    fn start(&self, _target: &[f64]) -> Words {
        Vec::new()
    }

    fn refine(&self, target: &[f64], query: &Words, shown: Option<&[f64]>, _seed: u64) -> Words {
        let Some(shown) = shown else { return query.clone() };
        let off = |at: &usize| (target[*at] - shown[*at]).abs();
        let left = (0..target.len()).filter(|at| !query.iter().any(|(said, _)| said == at));
        let next = left.max_by(|a, b| off(a).total_cmp(&off(b)));
        query.iter().copied().chain(next.map(|at| (at, target[at]))).collect()
    }
}

#[derive(Debug)]
struct Nothing;

impl WordVector<Words> for Nothing {
    fn vector(&self, _query: &Words) -> Vec<f64> {
        vec![0.5; 4]
    }
}

#[test]
fn a_loop_shows_corrects_and_finds() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let collection =
        Collection { items: (0..200).map(|_| (0..4).map(|_| random.random()).collect()).collect() };
    let run = |shown, repeat, target| {
        let rounds = FeedbackLoop { shown, query_by: QueryBy::Item, refinements: 4, repeat, seed: 1 };
        rounds.run(&collection, target, &Oracle, &Oracle)
    };
    for target in [0, 17, 199] {
        let rounds = run(Shown::Generated, false, target);
        assert_eq!(rounds.last().unwrap().rank, 0, "all four words are the item itself");
        assert_eq!(rounds[1].query.len(), 1);
        let told = hits(&rounds, 1);
        assert!(told[4] == (true, true) && told.windows(2).all(|pair| pair[1].1 || !pair[0].1));
        // Nothing is shown, or nothing is said: the rank stays.
        for rounds in [run(Shown::Nothing, false, target), run(Shown::Generated, true, target)] {
            assert!(rounds.iter().all(|round| round.rank == rounds[0].rank));
        }
        let words = FeedbackLoop {
            shown: Shown::TopRetrieved,
            query_by: QueryBy::Words(&Nothing),
            refinements: 2,
            repeat: false,
            seed: 1,
        };
        let rounds = words.run(&collection, target, &Oracle, &Oracle);
        assert_eq!(rounds[2].rank, rounds[0].rank, "the words' vector never changes");
    }
}
