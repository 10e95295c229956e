//! How often each item is preferred to each other.

use super::AggregationError;
use crate::bradley_terry::{Comparison, Outcome};
use crate::permutation::Permutation;

/// A square matrix: entry (i, j) is the weight of what says that item i belongs before item j.
#[derive(Clone, Debug, PartialEq)]
pub struct Preferences {
    len: usize,
    weights: Vec<f64>,
}

impl Preferences {
    /// No preferences among `len` items.
    pub fn new(len: usize) -> Preferences {
        Preferences { len, weights: vec![0.0; len * len] }
    }

    /// One vote for each pair of each ranking. Without rankings there are no items.
    pub fn from_rankings(rankings: &[Permutation]) -> Result<Preferences, AggregationError> {
        let len = rankings.first().map_or(0, Permutation::len);
        let mut preferences = Preferences::new(len);
        for (number, ranking) in rankings.iter().enumerate() {
            if ranking.len() != len {
                let found = ranking.len();
                return Err(AggregationError::Length { ranking: number, wanted: len, found });
            }
            preferences.add_ranking(ranking.items(), 1.0)?;
        }
        Ok(preferences)
    }

    /// A tie counts half for each.
    pub fn from_comparisons(len: usize, comparisons: &[Comparison]) -> Result<Preferences, AggregationError> {
        let mut preferences = Preferences::new(len);
        for one in comparisons {
            let (first, second) = match one.outcome {
                Outcome::First => (one.weight, 0.0),
                Outcome::Second => (0.0, one.weight),
                Outcome::Tie => (one.weight / 2.0, one.weight / 2.0),
            };
            preferences.add(one.first, one.second, first)?;
            preferences.add(one.second, one.first, second)?;
        }
        Ok(preferences)
    }

    /// Adds weight to "`before` belongs before `after`"; an item and itself are ignored.
    pub fn add(&mut self, before: usize, after: usize, weight: f64) -> Result<(), AggregationError> {
        if let Some(&item) = [before, after].iter().find(|&&item| item >= self.len) {
            return Err(AggregationError::Item { item, len: self.len });
        }
        if !(weight.is_finite() && weight >= 0.0) {
            let what = format!("item {before} before item {after}");
            return Err(AggregationError::Weight { what, value: weight });
        }
        if before != after {
            self.weights[before * self.len + after] += weight;
        }
        Ok(())
    }

    /// Adds weight to each pair of a ranking, which may be of a part of the items.
    pub fn add_ranking(&mut self, items: &[usize], weight: f64) -> Result<(), AggregationError> {
        for (place, &before) in items.iter().enumerate() {
            for &after in &items[place + 1..] {
                self.add(before, after, weight)?;
            }
        }
        Ok(())
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Weight of "i before j".
    pub fn weight(&self, i: usize, j: usize) -> f64 {
        self.weights[i * self.len + j]
    }

    /// Weight of i before j beyond that of j before i.
    pub fn margin(&self, i: usize, j: usize) -> f64 {
        self.weight(i, j) - self.weight(j, i)
    }

    /// Total weight of the preferences that an order goes against: its Kendall distance to all rankings, summed.
    pub fn disagreement(&self, items: &[usize]) -> f64 {
        let pairs = items.iter().enumerate();
        pairs.map(|(place, &i)| items[place + 1..].iter().map(|&j| self.weight(j, i)).sum::<f64>()).sum()
    }
}
