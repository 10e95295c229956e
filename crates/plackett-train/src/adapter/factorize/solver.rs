//! What the two thin layers begin with.

use crate::adapter::{SvdSolver, truncated_svd};
use crate::nn::init;
use crate::random::Stream;
use nalgebra::DMatrix;

/// How the thin layers come from the weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Solver {
    /// Truncated singular value decomposition: the least error of that rank.
    Svd,
    /// Semi-non-negative factorisation (Ding, Li and Jordan, Convex and semi-nonnegative matrix factorizations, 2010): the
    /// second layer's weights are not negative.
    SemiNmf {
        /// How often both factors are improved.
        iterations: usize,
    },
    /// New weights; the trained ones are thrown away. Only for training from the start.
    Random,
}

impl Solver {
    /// Semi-NMF with as many iterations as the authors' code has by itself.
    pub const SEMI_NMF: Solver = Solver::SemiNmf { iterations: 10 };
}

/// Two thin layers: the weight is nearly up · down.
pub(super) struct Thin {
    /// outputs × rank.
    pub(super) up: Vec<f32>,
    /// rank × inputs.
    pub(super) down: Vec<f32>,
}

pub(super) fn solve(
    weight: &[f32],
    shape: (usize, usize),
    rank: usize,
    solver: Solver,
    balanced: bool,
    seed: u64,
) -> Thin {
    match solver {
        Solver::Svd => svd(weight, shape, rank, balanced, seed),
        Solver::SemiNmf { iterations } => semi_nmf(weight, shape, rank, iterations, seed),
        Solver::Random => random(shape, rank, seed),
    }
}

fn svd(weight: &[f32], shape: (usize, usize), rank: usize, balanced: bool, seed: u64) -> Thin {
    let svd = truncated_svd(weight, shape, rank, SvdSolver::suited(shape, seed));
    let (first, second): (Vec<f64>, Vec<f64>) = match balanced {
        true => svd.singular.iter().map(|value| (value.sqrt(), value.sqrt())).unzip(),
        false => svd.singular.iter().map(|value| (*value, 1.0)).unzip(),
    };
    Thin {
        up: svd.u.iter().enumerate().map(|(at, u)| (u * second[at % rank]) as f32).collect(),
        down: svd.v.iter().enumerate().map(|(at, v)| (v * first[at / shape.1]) as f32).collect(),
    }
}

/// W ≈ F G for W as inputs × outputs, G ≥ 0, in turn: F = W Gᵀ (G Gᵀ)⁻¹, and
/// G ← G · √(((Fᵀ W)⁺ + (Fᵀ F)⁻ G) / ((Fᵀ W)⁻ + (Fᵀ F)⁺ G)).
fn semi_nmf(
    weight: &[f32],
    (outputs, inputs): (usize, usize),
    rank: usize,
    iterations: usize,
    seed: u64,
) -> Thin {
    // Row-major outputs × inputs is column-major inputs × outputs.
    let matrix = DMatrix::from_iterator(inputs, outputs, weight.iter().map(|x| f64::from(*x)));
    let stream = Stream::new(seed, 0x5E);
    let drawn = (0..rank * outputs).map(|at| 0.1 + f64::from(stream.uniform(at as u64)));
    let mut g = DMatrix::from_iterator(rank, outputs, drawn);
    let mut f = best_first(&matrix, &g);
    let (plus, minus) = (|x: f64| 0.5 * (x.abs() + x), |x: f64| 0.5 * (x.abs() - x));
    for _ in 0..iterations {
        let (of_w, of_f) = (f.tr_mul(&matrix), f.tr_mul(&f));
        let over = of_w.map(plus) + of_f.map(minus) * &g;
        let under = of_w.map(minus) + of_f.map(plus) * &g;
        for ((g, over), under) in g.iter_mut().zip(over.iter()).zip(under.iter()) {
            *g *= (over / under.max(1e-12)).sqrt();
        }
        f = best_first(&matrix, &g);
    }
    let up = (0..outputs).flat_map(|row| (0..rank).map(move |k| (k, row))).map(|place| g[place] as f32);
    let down =
        (0..rank).flat_map(|k| (0..inputs).map(move |column| (column, k))).map(|place| f[place] as f32);
    Thin { up: up.collect(), down: down.collect() }
}

/// The F of the least error for a G.
fn best_first(matrix: &DMatrix<f64>, g: &DMatrix<f64>) -> DMatrix<f64> {
    let gram = g * g.transpose();
    // Components that are zero or alike have no inverse; the pseudo-inverse leaves them out.
    let inverse = gram.clone().pseudo_inverse(1e-10 * gram.norm().max(1e-300));
    matrix * g.transpose() * inverse.unwrap_or(gram)
}

/// Evenly from ±1/√inputs of each thin layer, as new linear layers begin.
fn random((outputs, inputs): (usize, usize), rank: usize, seed: u64) -> Thin {
    let draw = |stream: u64, count: usize, width: usize| {
        init::uniform(Stream::new(seed, stream), count, 1.0 / (width as f32).sqrt())
    };
    Thin { up: draw(0xA1, outputs * rank, rank), down: draw(0xA0, rank * inputs, inputs) }
}

/// ‖W − up · down‖ / ‖W‖ (Frobenius); 0 for a weight of zeros that is met.
pub(super) fn relative_error(
    weight: &[f32],
    (outputs, inputs): (usize, usize),
    rank: usize,
    thin: &Thin,
) -> f64 {
    let matrix = |values: &[f32], rows: usize, columns: usize| {
        DMatrix::from_row_iterator(rows, columns, values.iter().map(|x| f64::from(*x)))
    };
    let whole = matrix(weight, outputs, inputs);
    let left = &whole - matrix(&thin.up, outputs, rank) * matrix(&thin.down, rank, inputs);
    let norm = whole.norm();
    if norm > 0.0 { left.norm() / norm } else { left.norm() }
}
