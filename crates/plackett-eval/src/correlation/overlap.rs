//! Rank-biased overlap of two rankings that need not hold the same items (Webber, Moffat and Zobel, TOIS 2010).

use super::CorrelationError;
use std::collections::HashSet;

/// How much two rankings agree, the top weighing most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// The value if what is not seen goes on like what is (RBO_EXT, equation 32).
    pub extrapolated: f64,
    /// The least value that any continuation can have.
    pub minimum: f64,
    /// How much more than the least it can be: the part that the lists do not show.
    pub residual: f64,
}

/// Overlap with persistence `p` in (0, 1): a reader goes on to the next rank with chance p. Rankings hold each item once,
/// best first, without ties (give the tied items one stated order first). Two empty rankings: 1, with a residual of 0.
pub fn rank_biased_overlap(first: &[&str], second: &[&str], p: f64) -> Result<Overlap, CorrelationError> {
    if !(p > 0.0 && p < 1.0) {
        return Err(CorrelationError::Persistence(p.to_string()));
    }
    let (short, long) = if first.len() <= second.len() { (first, second) } else { (second, first) };
    let (s, l) = (short.len(), long.len());
    let agreements = agreements(short, long)?;
    if l == 0 {
        return Ok(Overlap { extrapolated: 1.0, minimum: 1.0, residual: 0.0 });
    }
    let x_s = if s == 0 { 0.0 } else { agreements[s - 1] };
    let x_l = agreements[l - 1];
    let extrapolated = if s == 0 { 0.0 } else { extrapolate(&agreements, s, x_s, x_l, p) };
    let minimum = minimum(&agreements, x_l, p);
    Ok(Overlap { extrapolated, minimum, residual: maximum(&agreements, s, p) - minimum })
}

/// X_d for d = 1…l: items common to the first d of both lists.
fn agreements(short: &[&str], long: &[&str]) -> Result<Vec<f64>, CorrelationError> {
    let (mut seen_short, mut seen_long) = (HashSet::new(), HashSet::new());
    let mut overlap = 0.0;
    let mut agreements = Vec::with_capacity(long.len());
    for (depth, &item) in long.iter().enumerate() {
        if !seen_long.insert(item) {
            return Err(CorrelationError::Duplicate(item.to_string()));
        }
        overlap += f64::from(u8::from(seen_short.contains(item)));
        if let Some(&other) = short.get(depth) {
            if !seen_short.insert(other) {
                return Err(CorrelationError::Duplicate(other.to_string()));
            }
            overlap += f64::from(u8::from(seen_long.contains(other)));
        }
        agreements.push(overlap);
    }
    Ok(agreements)
}

/// Equation 32: below the shorter list its agreement is taken to stay what it was at its end.
fn extrapolate(agreements: &[f64], s: usize, x_s: f64, x_l: f64, p: f64) -> f64 {
    let (sf, lf) = (s as f64, agreements.len() as f64);
    let mut sum = 0.0;
    let mut weight = p;
    for (place, &x) in agreements.iter().enumerate() {
        let d = place as f64 + 1.0;
        sum += x / d * weight;
        if d > sf {
            sum += x_s * (d - sf) / (sf * d) * weight;
        }
        weight *= p;
    }
    (1.0 - p) / p * sum + ((x_l - x_s) / lf + x_s / sf) * p.powf(lf)
}

/// What is certain when nothing below the lists agrees any more: the overlap stays X_l for ever.
fn minimum(agreements: &[f64], x_l: f64, p: f64) -> f64 {
    // Σ_{d>l} X_l p^d / d = X_l (−ln(1 − p) − Σ_{d≤l} p^d / d).
    let (mut seen, mut harmonic, mut weight) = (0.0, 0.0, p);
    for (place, &x) in agreements.iter().enumerate() {
        let d = place as f64 + 1.0;
        seen += x / d * weight;
        harmonic += weight / d;
        weight *= p;
    }
    (1.0 - p) / p * (seen + x_l * (-(1.0 - p).ln() - harmonic))
}

/// What is possible when the shorter list goes on with what the longer one has there and, below both, everything new
/// agrees: the overlap grows by one for each place that the shorter list lacks, then by two until it is complete.
fn maximum(agreements: &[f64], s: usize, p: f64) -> f64 {
    let l = agreements.len();
    let x_l = agreements[l - 1];
    let mut sum = 0.0;
    let mut weight = p;
    for (place, &x) in agreements.iter().enumerate() {
        let depth = place + 1;
        let bonus = depth.saturating_sub(s) as f64;
        sum += (x + bonus).min(depth as f64) / depth as f64 * weight;
        weight *= p;
    }
    let mut overlap = (x_l + (l - s) as f64).min(l as f64);
    let mut depth = l as f64;
    // At most l further places until agreement is whole; from there the rest is a geometric sum.
    while overlap < depth {
        depth += 1.0;
        overlap = (overlap + 2.0).min(depth);
        sum += overlap / depth * weight;
        weight *= p;
    }
    (1.0 - p) / p * (sum + weight / (1.0 - p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RBO of two long lists summed straight from the definition, with the tail beyond them bounded by p^n.
    fn by_definition(a: &[&str], b: &[&str], p: f64) -> f64 {
        let depth = a.len().max(b.len());
        let sum: f64 = (1..=depth)
            .map(|d| {
                let top: HashSet<_> = a.iter().take(d).collect();
                let both = b.iter().take(d).filter(|item| top.contains(item)).count();
                both as f64 / d as f64 * p.powi(d as i32 - 1)
            })
            .sum();
        (1.0 - p) * sum
    }

    #[test]
    fn by_hand() {
        let same = rank_biased_overlap(&["a", "b"], &["a", "b"], 0.5).unwrap();
        assert!((same.extrapolated - 1.0).abs() < 1e-12);
        // What is seen is 0.5 + 0.25; after that nothing new has to agree: X stays 2, so 0.5·Σ_{d≥3} 2/d · 0.5^(d−1).
        let tail = 2.0 * (std::f64::consts::LN_2 - 0.5 - 0.125);
        assert!((same.minimum - (0.75 + tail)).abs() < 1e-12, "{same:?}");
        assert!((same.minimum + same.residual - 1.0).abs() < 1e-12);
        let other = rank_biased_overlap(&["a", "b"], &["c", "d"], 0.9).unwrap();
        assert_eq!((other.extrapolated, other.minimum), (0.0, 0.0));
        // All four can still meet at rank 4: overlaps 0, 0, 2, 4, 5 …
        let most = 0.1 * (2.0 / 3.0 * 0.81 + 0.729 / 0.1);
        assert!((other.residual - most).abs() < 1e-12, "{other:?}");
    }

    #[test]
    fn bad_input_is_named() {
        assert!(matches!(
            rank_biased_overlap(&["a", "a"], &["b", "c"], 0.9),
            Err(CorrelationError::Duplicate(_))
        ));
        assert!(matches!(rank_biased_overlap(&["a"], &["b"], 1.0), Err(CorrelationError::Persistence(_))));
        assert_eq!(rank_biased_overlap(&[], &[], 0.9).unwrap().extrapolated, 1.0);
        assert_eq!(rank_biased_overlap(&[], &["a"], 0.9).unwrap().extrapolated, 0.0);
    }

    proptest! {
        #[test]
        fn bounds_hold_for_every_continuation(
            a in Just((0..24).collect::<Vec<i32>>()).prop_shuffle(),
            b in Just((0..24).collect::<Vec<i32>>()).prop_shuffle(),
            cut_a in 1_usize..12,
            cut_b in 1_usize..12,
        ) {
            let a: Vec<String> = a.iter().map(ToString::to_string).collect();
            let b: Vec<String> = b.iter().map(ToString::to_string).collect();
            let a: Vec<&str> = a.iter().map(String::as_str).collect();
            let b: Vec<&str> = b.iter().map(String::as_str).collect();
            let p = 0.8;
            let seen = rank_biased_overlap(&a[..cut_a], &b[..cut_b], p).unwrap();
            let whole = by_definition(&a, &b, p);
            // Beyond rank 24 both lists hold the same items, so agreement stays 1.
            let whole = whole + p.powi(24);
            prop_assert!(seen.minimum <= whole + 1e-9, "{seen:?} {whole}");
            prop_assert!(seen.minimum + seen.residual >= whole - 1e-9, "{seen:?} {whole}");
            prop_assert!(seen.extrapolated >= seen.minimum - 1e-9);
            prop_assert!(seen.extrapolated <= seen.minimum + seen.residual + 1e-9);
            let swapped = rank_biased_overlap(&b[..cut_b], &a[..cut_a], p).unwrap();
            prop_assert!((swapped.extrapolated - seen.extrapolated).abs() < 1e-12);
        }
    }
}
