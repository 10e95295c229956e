//! Standard scores: how far values are from those of reference runs, in standard deviations of theirs.

use crate::evaluate::{Evaluation, on_mean_scale};
use crate::interval::Intervals;
use crate::measure::Aggregate;
use plackett_core::formats::trec::ReferenceScores;

/// What trec_eval prints where there is no reference.
const MISSING: f64 = -1_000_000.0;

/// Puts (value − mean) / deviation in the place of each value; a geometric mean is over the logarithms. Without a reference,
/// or where the reference runs are all alike and this one is not, the value is −1,000,000. Returns how many such there are.
///
/// Measures go by the names they have in trec_eval. The number of queries stays.
pub fn standardise(evaluation: &mut Evaluation, reference: &ReferenceScores) -> usize {
    let mut missing = 0;
    for measured in &mut evaluation.measures {
        let declaration = measured.measure.declaration();
        if declaration.name == "NumQ" {
            continue;
        }
        let name = measured.measure.trec_name().unwrap_or_else(|| measured.measure.to_string());
        for (value, query) in measured.values.iter_mut().zip(&evaluation.queries) {
            let raw = on_mean_scale(declaration.aggregate, *value);
            *value = match reference.get(query, &name) {
                Some((mean, deviation)) if deviation > 0.0 => (raw - mean) / deviation,
                Some((mean, _)) if raw == mean => 0.0,
                _ => {
                    missing += 1;
                    MISSING
                }
            };
        }
        let sum: f64 = measured.values.iter().sum();
        let mean = sum / measured.values.len().max(1) as f64;
        measured.mean = match declaration.aggregate {
            Aggregate::Sum => sum,
            Aggregate::Mean => mean,
            Aggregate::GeometricMean => mean.exp(),
        };
        measured.intervals = Intervals::default();
    }
    missing
}
