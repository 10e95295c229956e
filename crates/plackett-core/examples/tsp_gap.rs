//! How near TSPRank's heuristic decoder comes to its bound, and how long it takes: run with `--release`.
//!
//! Prints for several kinds of matrices the gap between the path and the bound (greatest and mean over the
//! instances), how many paths are known to be best, and the median time of one call.

use plackett_core::permutation::Permutation;
use plackett_core::tsp::{SuccessorScores, TspOptions, borda_order, greedy_chain, solve};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

fn normal(random: &mut ChaCha8Rng) -> f64 {
    (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt()
        * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

fn matrix(kind: &str, n: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
    let at =
        |entry: &mut dyn FnMut(usize, usize) -> f64| (0..n * n).map(|at| entry(at / n, at % n)).collect();
    match kind {
        "uniform" => at(&mut |_, _| random.random()),
        "normal" => at(&mut |_, _| normal(random)),
        "successor, noise .3" => at(&mut |i, j| f64::from(u8::from(j == i + 1)) + 0.3 * normal(random)),
        "precedence, 10 % flipped" => at(&mut |i, j| {
            let sign = if i < j { 1.0 } else { -1.0 };
            if random.random::<f64>() < 0.1 { -sign } else { sign }
        }),
        "symmetric normal" => {
            let half: Vec<f64> = (0..n * n).map(|_| normal(random)).collect();
            at(&mut |i, j| half[i.min(j) * n + i.max(j)])
        }
        // E W Eᵀ with d = 8: what a bilinear head makes of small embeddings.
        _ => {
            let d = 8;
            let mut draw = |count: usize| (0..count).map(|_| normal(random)).collect::<Vec<f64>>();
            let (items, map) = (draw(n * d), draw(d * d));
            let product = |i: usize, j: usize| -> f64 {
                let pairs = (0..d).flat_map(|a| (0..d).map(move |b| (a, b)));
                pairs.map(|(a, b)| items[i * d + a] * map[a * d + b] * items[j * d + b]).sum()
            };
            at(&mut |i, j| product(i, j))
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const KINDS: [&str; 6] = [
        "uniform",
        "normal",
        "successor, noise .3",
        "precedence, 10 % flipped",
        "symmetric normal",
        "bilinear, d = 8",
    ];
    const INSTANCES: u64 = 20;
    println!(
        "{:<26} {:>4} {:>9} {:>9} {:>8} {:>9} {:>9}",
        "matrix", "n", "gap max", "gap mean", "optimal", "ms median", "ms max"
    );
    for n in [30, 50, 100] {
        for kind in KINDS {
            let (mut gaps, mut times, mut optimal) = (Vec::new(), Vec::new(), 0);
            for seed in 0..INSTANCES {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let scores = SuccessorScores::new(n, matrix(kind, n, &mut random))?;
                let start = Instant::now();
                let path = solve(&scores, &TspOptions::default());
                times.push(start.elapsed().as_secs_f64() * 1e3);
                let simple = |order: Permutation| scores.value(order.items());
                let least = simple(greedy_chain(&scores)).max(simple(borda_order(&scores)));
                assert!(path.value >= least - 1e-9 && path.value <= path.bound + 1e-9);
                gaps.push(path.gap());
                optimal += usize::from(path.optimal);
            }
            times.sort_by(f64::total_cmp);
            let most = gaps.iter().copied().fold(0.0, f64::max);
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            println!(
                "{kind:<26} {n:>4} {:>8.3}% {:>8.3}% {optimal:>5}/{INSTANCES} {:>9.1} {:>9.1}",
                100.0 * most,
                100.0 * mean,
                times[times.len() / 2],
                times[times.len() - 1]
            );
        }
    }
    Ok(())
}
