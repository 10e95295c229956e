//! Biases of scores by the distance of keys (Raffel et al., Exploring the limits of transfer learning with a unified
//! text-to-text transformer, 2020).

use crate::engine::DistanceBuckets;
use crate::tape::Var;
use plackett_kernel::{Relative, distance_bucket};

/// The biases of all heads, and the way back from scores to them.
pub struct DistanceBias {
    relative: Relative,
    reach: usize,
    /// The bucket of each distance from −reach to reach; all beyond are in those of the ends.
    buckets: Vec<usize>,
    /// Numbers of a head: one a bucket.
    count: usize,
}

impl DistanceBias {
    /// From a table of buckets × heads.
    ///
    /// # Panics
    /// The table has another shape.
    pub fn new(table: &Var, heads: usize, buckets: DistanceBuckets) -> DistanceBias {
        let DistanceBuckets { count, reach, both } = buckets;
        assert_eq!((table.rows, table.columns), (count, heads), "biases of buckets × heads");
        let far = reach as i64;
        DistanceBias {
            relative: Relative::new(&table.value, heads, count, reach, both),
            reach,
            buckets: (-far..=far).map(|distance| distance_bucket(distance, count, reach, both)).collect(),
            count,
        }
    }

    /// Buckets of a head.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds the biases of a query to its scores of keys, from the first on.
    pub fn add(&self, head: usize, query: usize, scores: &mut [f32]) {
        self.relative.add(head, query, 0, scores);
    }

    /// Adds the gradients of a query's scores to those of the biases of its head, key after key.
    pub fn add_gradients(&self, query: usize, gradients: &[f32], sums: &mut [f32]) {
        for (key, gradient) in gradients.iter().enumerate() {
            let place = (key + self.reach).saturating_sub(query).min(2 * self.reach);
            sums[self.buckets[place]] += gradient;
        }
    }
}
