//! Measures that follow what was gained down the list and compare it with what the best order would have gained there.

use super::Arguments;
use crate::judged::JudgedRanking;

/// The divisor of a gain at a place, which counts from 0.
pub fn discount(place: usize) -> f64 {
    (place as f64 + 2.0).log2()
}

/// The positive gains of the judged documents, highest first.
pub fn ideal_gains(query: &JudgedRanking, arguments: &Arguments<'_>) -> Vec<f64> {
    let mut gains: Vec<f64> =
        query.judged.iter().map(|&grade| arguments.gain(grade)).filter(|&gain| gain > 0.0).collect();
    gains.sort_by(|a, b| b.total_cmp(a));
    gains
}

fn gains_by_rank(query: &JudgedRanking, arguments: &Arguments<'_>) -> Vec<f64> {
    let list = arguments.head(query.list(arguments.switch("judged_only")));
    list.iter().map(|grade| grade.map_or(0.0, |grade| arguments.gain(grade))).collect()
}

fn discounted(gains: &[f64]) -> f64 {
    gains.iter().enumerate().map(|(place, gain)| gain / discount(place)).sum()
}

/// Σ gain / log2(rank + 1) over the list.
pub fn dcg(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    discounted(&gains_by_rank(query, arguments))
}

/// The same of the best order of the judged documents.
pub fn ideal_dcg(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let ideal = ideal_gains(query, arguments);
    let keep = arguments.cutoff().map_or(ideal.len(), |k| k.min(ideal.len()));
    discounted(&ideal[..keep])
}

/// nDCG of the list up to each document that gains, averaged over all documents that could gain; those that were not
/// returned count nDCG of the whole list.
pub fn ndcg_at_relevant(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let (gained, ideal) = (gains_by_rank(query, arguments), ideal_gains(query, arguments));
    if ideal.is_empty() {
        return 0.0;
    }
    let (mut dcg, mut best, mut sum, mut found) = (0.0, 0.0, 0.0, 0_usize);
    for (place, &gain) in gained.iter().enumerate() {
        dcg += gain / discount(place);
        best += ideal.get(place).map_or(0.0, |gain| gain / discount(place));
        if gain > 0.0 {
            sum += dcg / best;
            found += 1;
        }
    }
    let whole = dcg / discounted(&ideal);
    (sum + (ideal.len() - found.min(ideal.len())) as f64 * whole) / ideal.len() as f64
}

/// nDCG of the list cut where the best order goes on to a lower gain, averaged over these places and the end of the list.
pub fn ndcg_at_levels(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    if query.relevant(query.level) == 0 {
        return 0.0;
    }
    let (gained, ideal) = (gains_by_rank(query, arguments), ideal_gains(query, arguments));
    if ideal.is_empty() {
        return 0.0;
    }
    let (mut dcg, mut best, mut sum, mut places) = (0.0, 0.0, 0.0, 0_usize);
    for place in 0..=ideal.len() {
        if place > 0 && ideal.get(place) != ideal.get(place - 1) {
            sum += dcg / best;
            places += 1;
        }
        dcg += gained.get(place).map_or(0.0, |gain| gain / discount(place));
        best += ideal.get(place).map_or(0.0, |gain| gain / discount(place));
    }
    // One rank after the last document that could gain is still part of that step; what is deeper makes one more.
    if gained.len() > ideal.len() + 1 {
        sum += discounted(&gained) / best;
        places += 1;
    }
    sum / places as f64
}

/// Σ gain / log2(2 + what the best order has gained by this rank − what the list has), over all that can be gained. The best
/// order counts at least 1 for every rank.
pub fn normalised_gain(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let (gained, ideal) = (gains_by_rank(query, arguments), ideal_gains(query, arguments));
    let whole: f64 = ideal.iter().sum();
    if whole <= 0.0 {
        return 0.0;
    }
    let (mut sum, mut got, mut cost) = (0.0, 0.0, 0.0);
    for (place, &gain) in gained.iter().enumerate() {
        got += gain;
        cost += ideal.get(place).copied().unwrap_or(0.0).max(1.0);
        if gain > 0.0 {
            sum += gain / (2.0 + cost - got).log2();
        }
    }
    sum / whole
}
