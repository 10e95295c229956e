//! Compatibility: how alike the list is to the best list that the judgments allow.

use super::Arguments;
use crate::judged::JudgedRanking;

/// Rank-biased overlap of the list with the ideal one, over that of the ideal one with itself.
pub fn compatibility(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let p = arguments.number("p");
    let ideal = query.preferred;
    let depth = query.preferred_at.len().max(ideal);
    // A preferred document is in the overlap at depth d once both its places are above d.
    let mut enters = vec![0_u32; depth];
    for (place, at) in query.preferred_at.iter().enumerate() {
        if let Some(at) = at {
            enters[place.max(*at as usize)] += 1;
        }
    }
    let (mut overlap, mut sum, mut best, mut weights, mut weight) = (0.0, 0.0, 0.0, 0.0, 1.0);
    for (place, entering) in enters.iter().enumerate() {
        let depth = place as f64 + 1.0;
        overlap += f64::from(*entering);
        sum += weight * overlap / depth;
        best += weight * ideal.min(place + 1) as f64 / depth;
        weights += weight;
        weight *= p;
    }
    let whole = if arguments.switch("normalize") { best } else { weights };
    if whole > 0.0 { sum / whole } else { 0.0 }
}
