//! Measures that read the degree of relevance.

use super::gain_curve::{discount, ideal_gains};
use super::{Arguments, Value};
use crate::concordance::Concordance;
use crate::judged::{JudgedRanking, is_judged, is_relevant};

/// Discounted cumulative gain with log2(rank + 1) over the ideal one. No positive judgment: 0.
pub fn ndcg(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let list = arguments.head(query.list(arguments.switch("judged_only")));
    let keep = arguments.cutoff().unwrap_or(usize::MAX);
    let gains = ideal_gains(query, arguments);
    let ideal: f64 = gains.iter().take(keep).enumerate().map(|(place, gain)| gain / discount(place)).sum();
    if ideal <= 0.0 {
        return 0.0;
    }
    let mut sum = 0.0;
    for (place, grade) in list.iter().enumerate() {
        if let Some(grade) = *grade {
            let gain = arguments.gain(grade);
            if gain > 0.0 {
                sum += gain / discount(place);
            }
        }
    }
    sum / ideal
}

/// Σ 1/k · R(k) · Π (1 − R(i)), with R = (2^grade − 1) / 2^max_rel.
pub fn err(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let highest = arguments.integer("max_rel").unwrap_or(4) as i32;
    let scale = f64::from(highest).exp2();
    let mut still_looking = 1.0;
    let mut sum = 0.0;
    for (place, grade) in arguments.head(&query.grades).iter().enumerate() {
        let grade = grade.unwrap_or(0).clamp(0, highest);
        if grade > 0 {
            let satisfied = (f64::from(grade).exp2() - 1.0) / scale;
            sum += still_looking * satisfied / (place as f64 + 1.0);
            still_looking *= 1.0 - satisfied;
        }
    }
    sum
}

/// (1 − p) Σ gain(k) p^(k−1); the gain is binary with `rel`, else the grade over the highest one.
pub fn rbp(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let p = arguments.number("p");
    let level = arguments.integer("rel").map(|level| level as i32);
    let highest = match arguments.integer("max_rel") {
        Some(highest) => highest as i32,
        None if arguments.switch("per_query") => query.judged.first().copied().unwrap_or(1).max(1),
        None => query.highest_grade,
    };
    let highest = f64::from(highest);
    let mut weight = 1.0 - p;
    let mut sum = 0.0;
    for &grade in arguments.head(&query.grades) {
        sum += weight
            * match level {
                Some(level) => f64::from(u8::from(is_relevant(grade, level))),
                None => (f64::from(grade.unwrap_or(0)) / highest).clamp(0.0, 1.0),
            };
        weight *= p;
    }
    sum
}

/// What rank-biased precision could gain at most if every document without a judgment had the gain 1: (1 − p) Σ p^(k−1) over
/// those, and p^n for what comes after the list. 0 when the whole list is judged.
pub fn rbp_residual(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let p = arguments.number("p");
    let (mut weight, mut sum, mut unjudged) = (1.0, 0.0, false);
    for &grade in &query.grades {
        if !is_judged(grade) {
            unjudged = true;
            sum += weight;
        }
        weight *= p;
    }
    if unjudged { weight + (1.0 - p) * sum } else { 0.0 }
}

/// Pairs of returned documents in the order of their grades by those in the other order. Where no two grades differ neither order is
/// better, which is 1; a list without documents is worth nothing.
pub fn positive_negative_ratio(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let list = query.list(arguments.switch("judged_only"));
    // Negative grades mark documents that nobody judged.
    let pairs = Concordance::of_order(list.iter().map(|grade| grade.unwrap_or(0).max(0)));
    let even = if list.is_empty() { 0.0 } else { 1.0 };
    pairs.ratio(arguments.number("cap")).unwrap_or(even)
}

/// Whether a table of gains is one that can be normalised: without negative entries, and so that sums stay finite.
pub fn valid_gains(value: &Value) -> bool {
    match value {
        Value::Gains(table) => table.iter().all(|(_, gain)| (0.0..=1e100).contains(gain)),
        _ => true,
    }
}
