//! Ratings against values by hand, against simulated truths and against each other.

use super::fit::Covariance;
use super::*;
use crate::{Verdict, Vote, Votes};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn votes(models: usize, all: Vec<Vote>) -> Votes {
    Votes { models: (0..models).map(|at| format!("m{at}")).collect(), all, ..Votes::default() }
}

fn vote(left: usize, right: usize, verdict: Verdict) -> Vote {
    Vote { left, right, verdict, voter: None, category: None, named: false, time: None }
}

fn repeated(left: usize, right: usize, counts: [usize; 3]) -> Vec<Vote> {
    let verdicts = [Verdict::Left, Verdict::Right, Verdict::Tie];
    let some = |(verdict, count): (&Verdict, usize)| vec![vote(left, right, *verdict); count];
    verdicts.iter().zip(counts).flat_map(some).collect()
}

/// Votes drawn from a model of ties at given strengths.
fn drawn(strengths: &[f64], count: usize, (model, tie): (TieModel, f64), seed: u64) -> Votes {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let all = (0..count).map(|_| {
        let left = random.random_range(0..strengths.len());
        let right = (left + random.random_range(1..strengths.len())) % strengths.len();
        let p = model.log_probabilities(strengths[left] - strengths[right], tie).map(f64::exp);
        let u = random.random::<f64>();
        let verdict = match (u < p[0], u < p[0] + p[1]) {
            (true, _) => Verdict::Left,
            (_, true) => Verdict::Right,
            _ => Verdict::Tie,
        };
        vote(left, right, verdict)
    });
    votes(strengths.len(), all.collect())
}

fn ratings(votes: &Votes, options: &RatingOptions) -> Vec<f64> {
    fit(&PairTable::new(votes), options, None).unwrap().ratings()
}

#[test]
fn two_models_by_hand() {
    // Without a penalty the gap is 400·log10(w / (n − w)), ties counted halves.
    let free = RatingOptions { penalty: 0.0, ..RatingOptions::default() };
    let few = votes(2, repeated(0, 1, [6, 2, 2]));
    let gap = |votes: &Votes, options: &RatingOptions| {
        let ratings = ratings(votes, options);
        assert!((ratings[0] + ratings[1] - 2000.0).abs() < 1e-8);
        ratings[0] - ratings[1]
    };
    let wanted = 400.0 * (7.0f64 / 3.0).log10();
    assert!((gap(&few, &free) - wanted).abs() < 1e-7);
    // The penalty of leaderboards draws ten votes visibly, ten thousand hardly.
    let drawn = wanted - gap(&few, &RatingOptions::default());
    assert!((1.0..20.0).contains(&drawn), "{drawn}");
    let many = votes(2, repeated(0, 1, [6000, 2000, 2000]));
    let drawn = wanted - gap(&many, &RatingOptions::default());
    assert!((1e-4..0.05).contains(&drawn), "{drawn}");
    // ½·β² − Σ over two rows a vote: the stationary point of scikit-learn's objective for β = θ / ln 10.
    let fit = fit(&PairTable::new(&few), &RatingOptions::default(), None).unwrap();
    let ln10 = std::f64::consts::LN_10;
    let (beta, p) = (fit.strengths[0] / ln10, 1.0 / (1.0 + (-2.0 * fit.strengths[0]).exp()));
    let slope = beta - 2.0 * ln10 * (7.0 * (1.0 - p) - 3.0 * p);
    assert!(slope.abs() < 1e-8, "{slope}");
}

#[test]
fn what_is_symmetric_stays_so() {
    let votes = drawn(&[0.8, 0.1, -0.2, -0.7], 600, (TieModel::Davidson, -0.6), 1);
    for (_, ties) in TieModel::ALL {
        let options = RatingOptions { ties, ..RatingOptions::default() };
        let here = ratings(&votes, &options);
        assert!((here.iter().sum::<f64>() - 4000.0).abs() < 1e-7, "ratings average 1000");
        let mut other = votes.clone();
        other.all.reverse();
        for vote in &mut other.all {
            *vote = Vote { left: vote.right, right: vote.left, verdict: vote.verdict.reversed(), ..*vote };
        }
        let there = ratings(&other, &options);
        assert!(here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1e-6));
        let doubled = super::tests::votes(4, [votes.all.clone(), votes.all.clone()].concat());
        let there = ratings(&doubled, &options);
        assert!(here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1.0), "only the penalty is weaker");
    }
    let ties = super::tests::votes(3, [repeated(0, 1, [0, 0, 5]), repeated(1, 2, [0, 0, 3])].concat());
    assert!(ratings(&ties, &RatingOptions::default()).iter().all(|rating| (rating - 1000.0).abs() < 1e-9));
}

#[test]
fn models_of_ties_find_their_parameters() {
    let truth = [0.9, 0.3, -0.3, -0.9];
    for (ties, tie) in [(TieModel::Davidson, 0.6f64.ln()), (TieModel::RaoKupper, 0.4f64.ln())] {
        let votes = drawn(&truth, 40_000, (ties, tie), 7);
        let fit = fit(&PairTable::new(&votes), &RatingOptions { ties, penalty: 0.0 }, None).unwrap();
        assert!((fit.tie - tie).abs() < 0.05, "{ties}: {} for {tie}", fit.tie);
        let off = fit.strengths.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 0.06, "{ties}: {off}");
    }
}

#[test]
fn intervals_by_either_way_agree_and_cover() {
    let truth = [0.7, 0.2, 0.0, -0.3, -0.6];
    let (mut inside, mut all) = (0, 0);
    for seed in 0..60 {
        let votes = drawn(&truth, 800, (TieModel::Davidson, -0.5), seed);
        let table = PairTable::new(&votes);
        let options = RatingOptions { ties: TieModel::Davidson, penalty: 0.0 };
        let fit = fit(&table, &options, None).unwrap();
        let covariance = Covariance::sandwich(&votes, &table, &fit, false).unwrap();
        for (model, strength) in truth.iter().enumerate() {
            let half = 1.96 * covariance.variance(model, None).sqrt();
            inside += usize::from((fit.strengths[model] - strength).abs() <= half);
            all += 1;
        }
        if seed == 0 {
            let drawn = bootstrap(&votes, (&table, &fit), (BootstrapUnit::Votes, 400, 1), None);
            for model in 0..truth.len() {
                let sandwich = covariance.variance(model, None).sqrt() * points(1.0);
                let other = drawn.variance(model).unwrap().sqrt();
                assert!((other / sandwich - 1.0).abs() < 0.15, "{sandwich} {other}");
            }
        }
    }
    let share = inside as f64 / f64::from(all);
    assert!((0.91..=0.985).contains(&share), "{share}");
}

#[test]
fn voters_who_vote_alike_widen_intervals() {
    // Each voter casts the same vote twenty times.
    let mut votes = drawn(&[0.3, 0.0, -0.3], 60, (TieModel::Half, 0.0), 3);
    votes.all = (0..60).flat_map(|at| vec![Vote { voter: Some(at), ..votes.all[at] }; 20]).collect();
    votes.voters = (0..60).map(|at| at.to_string()).collect();
    let table = PairTable::new(&votes);
    let fit = fit(&table, &RatingOptions::default(), None).unwrap();
    let error =
        |by_voter| Covariance::sandwich(&votes, &table, &fit, by_voter).unwrap().variance(0, None).sqrt();
    let ratio = error(true) / error(false);
    assert!((ratio / 20f64.sqrt() - 1.0).abs() < 0.05, "{ratio}");
    let error = |unit| {
        let drawn = bootstrap(&votes, (&table, &fit), (unit, 300, 1), None);
        drawn.variance(0).unwrap().sqrt()
    };
    let ratio = error(BootstrapUnit::Voters) / error(BootstrapUnit::Votes);
    assert!((3.5..5.5).contains(&ratio), "{ratio}");
}

#[test]
fn elo_follows_the_order_and_keeps_its_sum() {
    let votes = drawn(&[0.8, 0.0, -0.8], 500, (TieModel::Half, 0.0), 5);
    let first = elo(3, &votes.all, &EloOptions::default());
    assert!((first.iter().sum::<f64>() - 3000.0).abs() < 1e-8);
    // By hand: equal ratings, a win moves K/2.
    let one = elo(2, &[vote(0, 1, Verdict::Left)], &EloOptions { k: 32.0 });
    assert_eq!(one, [1016.0, 984.0]);
    let spread = elo_spread(3, &votes.all, &EloOptions { k: 32.0 }, 10, 1);
    assert!(spread.iter().all(|(low, high)| high - low > 5.0));
}

#[test]
fn a_board_says_what_intervals_allow() {
    let mut all = repeated(0, 1, [80, 20, 0]);
    all.extend(repeated(1, 2, [26, 24, 10]));
    let mut votes = votes(4, all);
    votes.models[3] = "silent".into();
    let board = Board::new(&votes, &BoardOptions::default()).unwrap();
    assert_eq!(board.rows.iter().map(|row| &*row.model).collect::<Vec<_>>(), ["m0", "m1", "m2"]);
    assert!(board.warnings[0].contains("1 models have no votes"));
    let [first, second, third] = &board.rows[..] else { panic!() };
    assert_eq!((first.best_rank, first.worst_rank, first.votes_to_next), (1, 1, Some(0)));
    assert_eq!((second.best_rank, second.worst_rank, third.best_rank, third.worst_rank), (2, 3, 2, 3));
    assert!(second.votes_to_next.unwrap() > 100 && third.votes_to_next.is_none());
    assert_eq!((second.votes, second.won, second.lost, second.tied), (160, 46, 104, 10));
    assert_eq!(second.average_win_rate, Some((0.2 + 0.52) / 2.0));
    assert_eq!((board.win_shares[0][1], board.win_shares[0][2]), (Some(0.8), None));
    let anchored = BoardOptions { anchor: Some(("m1".into(), 800.0)), ..BoardOptions::default() };
    let board = Board::new(&votes, &anchored).unwrap();
    assert!((board.rows[1].rating - 800.0).abs() < 1e-9 && board.rows[1].variance < 1e-9);
    let unknown = BoardOptions { anchor: Some(("m9".into(), 800.0)), ..BoardOptions::default() };
    assert!(Board::new(&votes, &unknown).unwrap_err().to_string().contains("did you mean `m0`"));
}

#[test]
fn degenerate_votes_are_defined() {
    let free = BoardOptions {
        rating: RatingOptions { penalty: 0.0, ..RatingOptions::default() },
        ..BoardOptions::default()
    };
    let nothing = Board::new(&votes(1, Vec::new()), &free).unwrap_err().to_string();
    assert!(nothing.contains("no votes"), "{nothing}");
    // Who always wins, and groups that never met.
    let always = votes(2, repeated(0, 1, [5, 0, 0]));
    let error = Board::new(&always, &free).unwrap_err().to_string();
    assert!(error.contains("`m0` never lost"), "{error}");
    let apart = votes(4, [repeated(0, 1, [1, 1, 0]), repeated(2, 3, [1, 1, 0])].concat());
    let error = Board::new(&apart, &free).unwrap_err().to_string();
    assert!(error.contains("`m0`, `m1`") && error.contains("outside this group"), "{error}");
    // With the penalty both have ratings.
    for votes in [&always, &apart] {
        let board = Board::new(votes, &BoardOptions::default()).unwrap();
        assert!(board.rows.iter().all(|row| row.rating.is_finite() && row.upper > row.lower));
    }
    // A million times the same pair costs what one pair costs.
    let many = PairTable {
        models: 2,
        cells: vec![Cell { first: 0, second: 1, counts: [600_000.0, 300_000.0, 100_000.0] }],
    };
    let fit = fit(&many, &RatingOptions { penalty: 0.0, ..RatingOptions::default() }, None).unwrap();
    assert!((fit.strengths[0] * 2.0 - (0.65f64 / 0.35).ln()).abs() < 1e-9);
}
