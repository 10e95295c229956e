//! The two losses of the first stage, with their gradients: on the host side, since pairs are chosen by labels.

/// The loss of pairs in the wrong order, or in the right one by less than a margin: the mean over pairs i < j and dimensions with
/// different labels of max(0, m − sign(y_i − y_j)(s_i − s_j)), and its gradient by the scores. Scores and labels are items × dimensions;
/// pairs that `uses` leaves out do not count. Without a pair both are 0.
pub fn margin_rank(
    scores: &[f32],
    labels: &[&[Option<f32>]],
    margin: f32,
    uses: &dyn Fn(usize, usize) -> bool,
) -> (f32, Vec<f32>, usize) {
    let dimensions = labels.first().map_or(0, |labels| labels.len());
    let mut gradient = vec![0.0; scores.len()];
    let (mut loss, mut count) = (0.0f64, 0usize);
    for i in 0..labels.len() {
        for j in i + 1..labels.len() {
            if !uses(i, j) {
                continue;
            }
            for d in 0..dimensions {
                let (Some(a), Some(b)) = (labels[i][d], labels[j][d]) else { continue };
                if a == b {
                    continue;
                }
                count += 1;
                let sign = if a > b { 1.0 } else { -1.0 };
                let (at, other) = (i * dimensions + d, j * dimensions + d);
                let missing = margin - sign * (scores[at] - scores[other]);
                if missing > 0.0 {
                    loss += f64::from(missing);
                    gradient[at] -= sign;
                    gradient[other] += sign;
                }
            }
        }
    }
    let share = 1.0 / count.max(1) as f32;
    gradient.iter_mut().for_each(|slope| *slope *= share);
    ((loss / count.max(1) as f64) as f32, gradient, count)
}

/// Supervised contrastive regression (Rank-N-Contrast; Zha and others, NeurIPS 2023): for each anchor i and every other j with the items
/// whose label is at least as far from the anchor's as that of j, −log exp(s_ij/τ) / Σ_k exp(s_ik/τ) with s = −‖f_i − f_k‖, over all i and j,
/// and its gradient by the features (items × width). Items without a label do not count; with fewer than three both are 0.
pub fn contrastive_regression(
    features: &[f32],
    width: usize,
    labels: &[Option<f32>],
    tau: f64,
) -> (f32, Vec<f32>) {
    let known: Vec<(usize, f32)> =
        labels.iter().enumerate().filter_map(|(at, label)| Some((at, (*label)?))).collect();
    let mut gradient = vec![0.0f64; features.len()];
    if known.len() < 3 {
        return (0.0, vec![0.0; features.len()]);
    }
    let row = |at: usize| &features[at * width..(at + 1) * width];
    let distance = |i: usize, k: usize| {
        let squared: f64 = row(i).iter().zip(row(k)).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        squared.sqrt()
    };
    let terms = (known.len() * (known.len() - 1)) as f64;
    let mut loss = 0.0;
    for &(i, yi) in &known {
        let others: Vec<(usize, f32, f64)> = known
            .iter()
            .filter(|(k, _)| *k != i)
            .map(|&(k, yk)| (k, (yk - yi).abs(), distance(i, k)))
            .collect();
        // ∂loss/∂distance of each other item.
        let mut slopes = vec![0.0; others.len()];
        for (j, &(_, gap, own)) in others.iter().enumerate() {
            let farther = |other: &(usize, f32, f64)| other.1 >= gap;
            let nearest =
                others.iter().filter(|o| farther(o)).map(|other| other.2).fold(f64::INFINITY, f64::min);
            let weight = |far: f64| (-(far - nearest) / tau).exp();
            let total: f64 = others.iter().filter(|o| farther(o)).map(|other| weight(other.2)).sum();
            loss += (own - nearest) / tau + total.ln();
            slopes[j] += 1.0 / tau;
            for (k, other) in others.iter().enumerate().filter(|(_, other)| farther(other)) {
                slopes[k] -= weight(other.2) / total / tau;
            }
        }
        for (&(k, _, far), slope) in others.iter().zip(&slopes) {
            if far <= 0.0 {
                continue;
            }
            for at in 0..width {
                let part = slope / terms * f64::from(row(i)[at] - row(k)[at]) / far;
                gradient[i * width + at] += part;
                gradient[k * width + at] -= part;
            }
        }
    }
    ((loss / terms) as f32, gradient.into_iter().map(|slope| slope as f32).collect())
}

/// How far the dimensions of two items agree on which is better: |Σ sign(y_i − y_j)| over the dimensions with different labels; 1 where
/// there is one, 0 without any.
pub fn consistency(first: &[Option<f32>], second: &[Option<f32>]) -> f64 {
    let signs = first.iter().zip(second).filter_map(|(a, b)| match ((*a)?, (*b)?) {
        (a, b) if a > b => Some(1.0),
        (a, b) if a < b => Some(-1.0),
        _ => None,
    });
    let (sum, count) = signs.fold((0.0f64, 0.0), |(sum, count), sign: f64| (sum + sign, count + 1.0));
    if count > 0.0 { sum.abs() / count } else { 0.0 }
}
