//! Gains and discounts of nDCG.

use super::{List, Problem};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// How a gain comes from a grade.
pub(super) const GAIN: OptionSpec = OptionSpec {
    name: "gain",
    kind: OptionKind::Choice(&["exponential", "linear"]),
    default: Some("exponential"),
    help: "gain of a grade: 2^grade − 1, or the grade itself",
};

/// How many places count.
pub(super) const CUTOFF: OptionSpec = OptionSpec {
    name: "k",
    kind: OptionKind::Integer(0, i64::MAX),
    default: Some("0"),
    help: "how many places count, as in nDCG@k; 0 for the whole list",
};

/// The greatest grade with a gain that has a meaning as a number of 32 bits.
const MOST: f32 = 64.0;

/// Gains of a list over its ideal DCG, so that a sum of gain · discount is an nDCG.
pub(super) struct Gains {
    /// One for each candidate.
    pub of: Vec<f32>,
    /// Places that count.
    pub cutoff: usize,
}

impl Gains {
    /// Of the labels of a list; `None` where no order can be better than another.
    ///
    /// # Errors
    /// A label without a gain.
    pub fn new(list: &List, kind: &str, k: usize) -> Result<Option<Gains>, Problem> {
        let expected =
            "grades from 0 to 64 are needed: shift the grades, or choose an objective that takes any labels";
        list.check_labels(|grade| (0.0..=MOST).contains(&grade), expected)?;
        let gain =
            |grade: &f32| if kind == "linear" { f64::from(*grade) } else { f64::from(*grade).exp2() - 1.0 };
        let gains: Vec<f64> = list.labels.iter().map(gain).collect();
        let mut sorted = gains.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let cutoff = if k == 0 { list.count() } else { k };
        let ideal: f64 = sorted.iter().enumerate().map(|(place, gain)| gain * discount(place, cutoff)).sum();
        if ideal <= 0.0 || sorted.first() == sorted.last() {
            return Ok(None);
        }
        Ok(Some(Gains { of: gains.iter().map(|gain| (gain / ideal) as f32).collect(), cutoff }))
    }
}

/// 1 / log2(2 + place) for places, from 0, before the cut-off, and 0 behind it.
pub(super) fn discount(place: usize, cutoff: usize) -> f64 {
    if place < cutoff { 1.0 / (2.0 + place as f64).log2() } else { 0.0 }
}
