//! Measured quantities: one value for each query or seed, so that two of them can be compared in pairs.

pub use plackett_eval::mean;
use plackett_eval::{Interval, IntervalOptions};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A measured quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// Its name within its stage, such as `bm25/nDCG@10`.
    pub name: String,
    /// What there is one value of: `query` or `seed`.
    pub unit: String,
    /// The queries or seeds.
    pub keys: Vec<String>,
    /// Their values, in that order.
    pub values: Vec<f64>,
}

/// Why two quantities cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// They are values of different things.
    #[error(
        "`{left}` has a value for each {left_unit}, `{right}` for each {right_unit}; compare like with like"
    )]
    Units {
        /// One.
        left: String,
        /// Its unit.
        left_unit: String,
        /// The other.
        right: String,
        /// Its unit.
        right_unit: String,
    },
    /// The one lacks what the other has.
    #[error("`{left}` and `{right}` are not of the same {unit}: `{missing}` is in one of them only")]
    Keys {
        /// One.
        left: String,
        /// The other.
        right: String,
        /// What there is one value of.
        unit: String,
        /// A key that one of them lacks.
        missing: String,
    },
}

impl Quantity {
    /// A quantity over queries.
    pub fn by_query(name: impl Into<String>, keys: Vec<String>, values: Vec<f64>) -> Quantity {
        Quantity { name: name.into(), unit: "query".into(), keys, values }
    }

    /// A quantity of the seeds from 1.
    pub fn of_seeds(name: &str, values: Vec<f64>) -> Quantity {
        let keys = (1..=values.len()).map(|seed| seed.to_string()).collect();
        Quantity { name: name.into(), unit: "seed".into(), keys, values }
    }

    /// A quantity of one seed.
    pub fn of_seed(name: impl Into<String>, seed: usize, value: f64) -> Quantity {
        Quantity { name: name.into(), unit: "seed".into(), keys: vec![seed.to_string()], values: vec![value] }
    }

    /// The mean of the values; 0 of nothing.
    pub fn mean(&self) -> f64 {
        mean(&self.values)
    }

    /// The 95 % interval of the mean (bootstrap over queries or seeds); `None` with fewer than two values.
    pub fn interval(&self) -> Option<Interval> {
        interval(&self.values)
    }

    /// Values of both for the same queries or seeds, in the order of the first.
    ///
    /// # Errors
    /// They are not of the same queries or seeds. Nothing is left out in silence.
    pub fn pairs(&self, other: &Quantity) -> Result<Vec<(f64, f64)>, PairError> {
        if self.unit != other.unit {
            return Err(PairError::Units {
                left: self.name.clone(),
                left_unit: self.unit.clone(),
                right: other.name.clone(),
                right_unit: other.unit.clone(),
            });
        }
        let others: HashMap<&str, f64> =
            other.keys.iter().map(String::as_str).zip(other.values.iter().copied()).collect();
        let missing = |key: &str| PairError::Keys {
            left: self.name.clone(),
            right: other.name.clone(),
            unit: self.unit.clone(),
            missing: key.to_string(),
        };
        let mut pairs = Vec::with_capacity(self.values.len());
        for (key, value) in self.keys.iter().zip(&self.values) {
            pairs.push((*value, *others.get(key.as_str()).ok_or_else(|| missing(key))?));
        }
        match other.keys.iter().find(|key| !self.keys.contains(key)) {
            Some(key) => Err(missing(key)),
            None => Ok(pairs),
        }
    }
}

/// The 95 % interval of the mean of some values.
pub fn interval(values: &[f64]) -> Option<Interval> {
    IntervalOptions::default().of_columns(&[values.to_vec()]).first().and_then(|intervals| intervals.best())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(unit: &str, keys: &[&str]) -> Quantity {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let values = keys.iter().map(|key| key.len() as f64).collect();
        Quantity { name: "x".into(), unit: unit.into(), keys, values }
    }

    #[test]
    fn pairs_are_joined_by_key() {
        let (a, mut b) = (quantity("query", &["a", "bb"]), quantity("query", &["bb", "a"]));
        b.values = vec![20.0, 10.0];
        assert_eq!(a.pairs(&b), Ok(vec![(1.0, 10.0), (2.0, 20.0)]));
    }

    #[test]
    fn what_is_not_of_the_same_things_is_not_paired() {
        let a = quantity("query", &["a", "b"]);
        assert!(matches!(a.pairs(&quantity("seed", &["a", "b"])), Err(PairError::Units { .. })));
        for keys in [&["a"][..], &["a", "b", "c"]] {
            let error = a.pairs(&quantity("query", keys)).unwrap_err();
            assert!(matches!(error, PairError::Keys { .. }), "{error}");
        }
    }
}
