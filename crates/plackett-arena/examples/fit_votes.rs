//! Times the parts of a leaderboard for `benches/arena/run`: reads votes, then fits them so many times, and prints JSON.
//!
//! `fit_votes VOTES ROUNDS BOOTSTRAP`

use plackett_arena::rating::{BootstrapUnit, PairTable, RatingOptions, TieModel, bootstrap, fit};
use plackett_arena::{VoteOptions, Votes, read_votes};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, path, rounds, drawn] = &arguments[..] else {
        return Err("VOTES ROUNDS BOOTSTRAP are expected".into());
    };
    let (rounds, drawn): (usize, usize) = (rounds.parse()?, drawn.parse()?);
    let begun = Instant::now();
    let votes = read_votes(path.as_ref(), &VoteOptions::default())?;
    let reading = begun.elapsed().as_secs_f64();
    let options = RatingOptions { ties: TieModel::Half, penalty: 0.0 };
    let mut seconds = Vec::new();
    let mut ratings = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        let table = PairTable::new(&votes);
        ratings = fit(&table, &options, None)?.strengths;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    let table = PairTable::new(&votes);
    let start = fit(&table, &options, None)?;
    let begun = Instant::now();
    bootstrap(&votes, (&table, &start), (BootstrapUnit::Votes, drawn, 1), None);
    let fast = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    naive_round(&votes, &options)?;
    let naive = begun.elapsed().as_secs_f64();
    let strengths: serde_json::Map<String, serde_json::Value> =
        votes.models.iter().cloned().zip(ratings.iter().map(|x| (*x).into())).collect();
    println!(
        "{}",
        serde_json::json!({"reading": reading, "seconds": seconds, "strengths": strengths, "bootstrap": fast, "naive_round": naive})
    );
    Ok(())
}

/// Votes drawn one by one and fitted from nothing, as a plain bootstrap does it.
fn naive_round(votes: &Votes, options: &RatingOptions) -> Result<(), Box<dyn std::error::Error>> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let all: Vec<_> =
        (0..votes.all.len()).map(|_| votes.all[random.random_range(0..votes.all.len())]).collect();
    fit(&PairTable::of(votes.models.len(), &all), options, None)?;
    Ok(())
}
