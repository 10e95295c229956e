//! `votes` and `judge-labels`: ratings and judges against truths that are known.

use super::{Simulated, Simulation, standard_normal};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_arena::judge::Agreement;
use plackett_arena::rating::{
    Board, BoardOptions, EloOptions, IntervalKind, PairTable, RatingOptions, TieModel, elo, fit, points,
};
use plackett_arena::{Verdict, Vote, Votes};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const NUMBERS: [&str; 9] = [
    "error",
    "elo_error",
    "shuffled",
    "elo_shuffled",
    "swapped",
    "mean_off",
    "covered",
    "bootstrap_covered",
    "width",
];

/// The declaration.
pub static VOTES: Simulation = Simulation {
    name: "votes",
    help: "votes between models whose strengths are known (standard normal log-strengths), and ratings from them. `error` and `elo_error` \
           are the root mean squares of how far ratings are from the truth, in points; `shuffled` and `elo_shuffled` how far the rating moves \
           most when votes come in another order, `swapped` when left and right change places; `mean_off` how far the mean is from 1000; \
           `covered` and `bootstrap_covered` the share of models whose 95 % interval (sandwich, and percentiles of `rounds`) has the truth in \
           it, `width` its mean width",
    version: 1,
    fields: &[
        FieldSpec::new("models", FieldKind::Whole(2, 1000), Default::Whole(10), "in the arena"),
        FieldSpec::new(
            "votes",
            FieldKind::Whole(1, 10_000_000),
            Default::Whole(1000),
            "between pairs drawn at random",
        ),
        FieldSpec::new(
            "ties",
            FieldKind::Number(0.0, 100.0),
            Default::Number(0.0),
            "ν of Davidson's model, from which votes are drawn",
        ),
        FieldSpec::new(
            "model",
            FieldKind::Choice(&["half", "davidson", "rao-kupper"]),
            Default::Text("half"),
            "how ties are understood when ratings are fitted",
        ),
        FieldSpec::new("penalty", FieldKind::Number(0.0, 1e6), Default::Number(1.0), "of the fit"),
        FieldSpec::new("rounds", FieldKind::Whole(2, 10_000), Default::Whole(100), "of the bootstrap"),
    ],
    check: |_| Ok(()),
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run: run_votes,
};

/// Votes on pairs drawn at random, from Davidson's model.
fn draw(strengths: &[f64], count: usize, nu: f64, random: &mut ChaCha8Rng) -> Votes {
    let models = strengths.len();
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let left = random.random_range(0..models);
        let right = (left + random.random_range(1..models)) % models;
        let p =
            TieModel::Davidson.log_probabilities(strengths[left] - strengths[right], nu.ln()).map(f64::exp);
        let u = random.random::<f64>();
        let verdict = match (u < p[0], u < p[0] + p[1] || nu == 0.0) {
            (true, _) => Verdict::Left,
            (_, true) => Verdict::Right,
            _ => Verdict::Tie,
        };
        all.push(Vote { left, right, verdict, voter: None, category: None, named: false, time: None });
    }
    Votes { models: (0..models).map(|at| at.to_string()).collect(), all, ..Votes::default() }
}

/// Root mean square of the distances of two lists.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

fn greatest(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn run_votes(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let values = given.values;
    let number = |name| values.real(name);
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let mut strengths: Vec<f64> = (0..values.count("models")).map(|_| standard_normal(&mut random)).collect();
    let mean = strengths.iter().sum::<f64>() / strengths.len() as f64;
    strengths.iter_mut().for_each(|strength| *strength -= mean);
    let truth: Vec<f64> = strengths.iter().map(|&strength| 1000.0 + points(strength)).collect();
    let votes = draw(&strengths, values.count("votes"), number("ties"), &mut random);
    let rating = RatingOptions { ties: values.word("model").parse()?, penalty: number("penalty") };
    let rate = |votes: &Votes| {
        fit(&PairTable::new(votes), &rating, None).map(|fit| fit.ratings()).map_err(|error| error.to_string())
    };
    let ratings = rate(&votes)?;
    let followed = |votes: &Votes| elo(votes.models.len(), &votes.all, &EloOptions::default());
    let mut shuffled = votes.clone();
    shuffled.all.shuffle(&mut random);
    let mut swapped = votes.clone();
    for vote in &mut swapped.all {
        *vote = Vote { left: vote.right, right: vote.left, verdict: vote.verdict.reversed(), ..*vote };
    }
    let covered = |intervals| -> Result<(f64, f64), String> {
        let options =
            BoardOptions { rating, intervals, shuffles: 1, seed: given.seed, ..BoardOptions::default() };
        let board = Board::new(&votes, &options).map_err(|error| error.to_string())?;
        let rows = &board.rows;
        let inside = rows.iter().filter(|row| {
            let truth = votes.model(&row.model).map_or(f64::NAN, |at| truth[at]);
            row.lower <= truth && truth <= row.upper
        });
        let width = rows.iter().map(|row| row.upper - row.lower).sum::<f64>() / rows.len() as f64;
        Ok((inside.count() as f64 / rows.len() as f64, width))
    };
    let (sandwich, width) = covered(IntervalKind::Sandwich)?;
    let (bootstrap, _) = covered(IntervalKind::Bootstrap(values.count("rounds")))?;
    Ok(vec![
        distance(&ratings, &truth),
        distance(&followed(&votes), &truth),
        greatest(&ratings, &rate(&shuffled)?),
        greatest(&followed(&votes), &followed(&shuffled)),
        greatest(&ratings, &rate(&swapped)?),
        (ratings.iter().sum::<f64>() / ratings.len() as f64 - 1000.0).abs(),
        sandwich,
        bootstrap,
        width,
    ])
}

/// The declaration.
pub static JUDGE_LABELS: Simulation = Simulation {
    name: "judge-labels",
    help: "a judge of comparisons with four labels that is told the truth with a probability, and else says one of the other labels; and one that \
           says any. `accuracy` and `random` are their exact agreement, `majority` that of always saying the commonest label",
    version: 1,
    fields: &[
        FieldSpec::new(
            "comparisons",
            FieldKind::Whole(1, 10_000_000),
            Default::Whole(1000),
            "that are judged",
        ),
        FieldSpec::new(
            "told",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.6),
            "with which probability it is told the truth",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| ["accuracy", "random", "majority"].map(str::to_string).to_vec(),
    run: run_judge,
};

fn run_judge(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    const LABELS: [(&str, Verdict); 4] = [
        ("so it is.\n[[A>B]]", Verdict::Left),
        ("so it is.\n[[B>A]]", Verdict::Right),
        ("so it is.\n[[A=B=Good]]", Verdict::Tie),
        ("so it is.\n[[A=B=Bad]]", Verdict::BothBad),
    ];
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let told = given.values.real("told");
    let (mut knowing, mut guessing) = (Vec::new(), Vec::new());
    for _ in 0..given.values.count("comparisons") {
        let truth = random.random_range(0..LABELS.len());
        let other = (truth + random.random_range(1..LABELS.len())) % LABELS.len();
        let said = if random.random::<f64>() < told { truth } else { other };
        knowing.push((LABELS[said].0, LABELS[truth].1));
        guessing.push((LABELS[random.random_range(0..LABELS.len())].0, LABELS[truth].1));
    }
    let agreement = Agreement::new(knowing);
    Ok(vec![agreement.accuracy, Agreement::new(guessing).accuracy, agreement.majority])
}
