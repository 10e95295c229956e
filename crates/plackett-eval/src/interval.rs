//! Confidence intervals of means: a bootstrap over queries and Student's t.

use crate::evaluate::{from_mean_scale, on_mean_scale};
use crate::measure::{Aggregate, Measure};
use crate::numbers::{mean, normal_cdf, normal_quantile, quantile, t_quantile, variance};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// Lower and upper end.
pub type Interval = [f64; 2];

/// The intervals of one mean. `None` with fewer than two queries (one value says nothing about spread) and for sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Intervals {
    /// Bias-corrected and accelerated bootstrap (Efron, JASA 1987), or the plain percentiles when asked for.
    pub bootstrap: Option<Interval>,
    /// mean ± t · s / √n.
    pub analytic: Option<Interval>,
}

impl Intervals {
    /// The bootstrap interval where there is one, else the analytic one.
    pub fn best(&self) -> Option<Interval> {
        self.bootstrap.or(self.analytic)
    }
}

/// How intervals are made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntervalOptions {
    /// Share of intervals that should hold the true mean.
    pub level: f64,
    /// Whether to bootstrap.
    pub bootstrap: bool,
    /// Whether to give Student's interval.
    pub analytic: bool,
    /// Bias correction and acceleration; off: plain percentiles.
    pub bca: bool,
    /// Samples drawn with replacement.
    pub resamples: usize,
    /// The same seed gives the same intervals on any machine with any number of threads.
    pub seed: u64,
}

impl Default for IntervalOptions {
    fn default() -> Self {
        IntervalOptions {
            level: 0.95,
            bootstrap: true,
            analytic: true,
            bca: true,
            resamples: 10_000,
            seed: 1,
        }
    }
}

/// Samples per stream of the generator; a constant, so that threads do not matter.
const CHUNK: usize = 128;

impl IntervalOptions {
    /// Intervals for columns of values over the same queries. The same samples of queries serve all columns.
    pub(crate) fn of_means(&self, measures: &[Measure], columns: &[Vec<f64>]) -> Vec<Intervals> {
        let queries = columns.first().map_or(0, Vec::len);
        let aggregates: Vec<Aggregate> = measures.iter().map(|m| m.declaration().aggregate).collect();
        let averaged: Vec<usize> =
            (0..columns.len()).filter(|&column| aggregates[column] != Aggregate::Sum).collect();
        let mut intervals = vec![Intervals::default(); columns.len()];
        if queries < 2 || averaged.is_empty() {
            return intervals;
        }
        let scaled: Vec<Vec<f64>> = averaged
            .iter()
            .map(|&column| columns[column].iter().map(|&v| on_mean_scale(aggregates[column], v)).collect())
            .collect();
        let found = self.of_columns(&scaled);
        for (&column, found) in averaged.iter().zip(found) {
            let back = |interval: Interval| interval.map(|end| from_mean_scale(aggregates[column], end));
            intervals[column] =
                Intervals { bootstrap: found.bootstrap.map(back), analytic: found.analytic.map(back) };
        }
        intervals
    }

    /// Intervals of the means of columns of equal length; `None`s below two values.
    pub fn of_columns(&self, columns: &[Vec<f64>]) -> Vec<Intervals> {
        let rows = columns.first().map_or(0, Vec::len);
        if rows < 2 {
            return vec![Intervals::default(); columns.len()];
        }
        let sampled =
            if self.bootstrap && self.resamples > 0 { self.resampled_means(columns, rows) } else { vec![] };
        let mut sampled = sampled.into_iter();
        columns
            .iter()
            .map(|values| Intervals {
                bootstrap: sampled.next().map(|means| self.of_samples(values, means)),
                analytic: self.analytic.then(|| self.student(values)),
            })
            .collect()
    }

    fn student(&self, values: &[f64]) -> Interval {
        let n = values.len() as f64;
        let half = t_quantile(0.5 + self.level / 2.0, n - 1.0) * (variance(values) / n).sqrt();
        let mean = mean(values);
        [mean - half, mean + half]
    }

    /// For each column the means of all samples. Columns go together in groups that fit registers; each group draws the
    /// same samples, so that a column's interval does not depend on its company.
    fn resampled_means(&self, columns: &[Vec<f64>], rows: usize) -> Vec<Vec<f64>> {
        let groups = columns.chunks(8).flat_map(|group| match group.len() {
            1 => self.group::<1>(group, rows),
            2 => self.group::<2>(group, rows),
            3 | 4 => self.group::<4>(group, rows),
            _ => self.group::<8>(group, rows),
        });
        groups.collect()
    }

    fn group<const WIDTH: usize>(&self, columns: &[Vec<f64>], rows: usize) -> Vec<Vec<f64>> {
        // Row by row, so that one drawn query is one cache line for all measures; absent columns are 0.
        let row =
            |row: usize| std::array::from_fn(|column| columns.get(column).map_or(0.0, |values| values[row]));
        let table: Vec<[f64; WIDTH]> = (0..rows).map(row).collect();
        let chunks: Vec<Vec<[f64; WIDTH]>> = (0..self.resamples.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| self.chunk(chunk as u64, CHUNK.min(self.resamples - chunk * CHUNK), &table))
            .collect();
        let column = |column: usize| chunks.iter().flatten().map(|means| means[column]).collect();
        (0..columns.len()).map(column).collect()
    }

    fn chunk<const WIDTH: usize>(
        &self,
        stream: u64,
        samples: usize,
        table: &[[f64; WIDTH]],
    ) -> Vec<[f64; WIDTH]> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        let rows = table.len() as u64;
        let sample = |_| {
            let mut sums = [0.0; WIDTH];
            for _ in 0..rows {
                // The high half of the product is uniform up to rows/2^32, far below what any sample could show.
                let row = (u64::from(random.next_u32()) * rows) >> 32;
                for (sum, value) in sums.iter_mut().zip(&table[row as usize]) {
                    *sum += value;
                }
            }
            sums.map(|sum| sum / rows as f64)
        };
        (0..samples).map(sample).collect()
    }

    fn of_samples(&self, values: &[f64], mut means: Vec<f64>) -> Interval {
        means.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        let (low, high) = if self.bca { corrected_tails(values, &means, tail) } else { (tail, 1.0 - tail) };
        [quantile(&means, low), quantile(&means, high)]
    }
}

/// The percentiles to read off, after Efron's bias correction and acceleration.
fn corrected_tails(values: &[f64], sorted_means: &[f64], tail: f64) -> (f64, f64) {
    let center = mean(values);
    let slack = 1e-12 * center.abs().max(1e-12);
    let below = sorted_means.partition_point(|&m| m < center - slack);
    let up_to = sorted_means.partition_point(|&m| m <= center + slack);
    let share = (below + up_to) as f64 / (2.0 * sorted_means.len() as f64);
    if share <= 0.0 || share >= 1.0 {
        return (tail, 1.0 - tail);
    }
    let bias = normal_quantile(share);
    let (mut cubes, mut squares) = (0.0, 0.0);
    for value in values {
        let deviation = value - center;
        squares += deviation * deviation;
        cubes += deviation * deviation * deviation;
    }
    let acceleration = if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 };
    let adjust = |p: f64| {
        let z = bias + normal_quantile(p);
        normal_cdf(bias + z / (1.0 - acceleration * z))
    };
    (adjust(tail), adjust(1.0 - tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<f64> {
        (0..40).map(|i| f64::from(i * i % 17) / 17.0).collect()
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(IntervalOptions::default().of_columns(&[vec![0.5]]), [Intervals::default()]);
    }

    #[test]
    fn equal_values_have_an_interval_of_no_width() {
        let found = IntervalOptions::default().of_columns(&[vec![0.25; 9]]);
        assert_eq!(found[0].bootstrap, Some([0.25, 0.25]));
        assert_eq!(found[0].analytic, Some([0.25, 0.25]));
    }

    #[test]
    fn threads_do_not_matter() {
        let found = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| IntervalOptions::default().of_columns(&[values()]))
        };
        assert_eq!(found(1), found(3));
    }

    #[test]
    fn company_does_not_matter() {
        let column = |k: usize| values().iter().map(|v| v / k as f64).collect::<Vec<f64>>();
        let alone = IntervalOptions::default().of_columns(&[column(3)])[0];
        for width in 3..12 {
            let columns: Vec<Vec<f64>> = (1..=width).map(column).collect();
            let found = IntervalOptions::default().of_columns(&columns);
            assert_eq!(found.len(), width);
            assert_eq!(found[2], alone, "{width} columns");
        }
    }

    #[test]
    fn student_by_hand() {
        // 1, 2, 3: mean 2, s = 1, t(0.975; 2) = 4.302652729749464.
        let found = IntervalOptions::default().of_columns(&[vec![1.0, 2.0, 3.0]]);
        let [low, high] = found[0].analytic.unwrap();
        let half = 4.302652729749464 / 3.0_f64.sqrt();
        assert!((low - (2.0 - half)).abs() < 1e-9 && (high - (2.0 + half)).abs() < 1e-9, "{low} {high}");
    }

    #[test]
    fn intervals_hold_the_true_mean_as_often_as_they_say() {
        // 400 samples of 30 from the uniform distribution on 0…1, whose mean is 0.5.
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let options = IntervalOptions { resamples: 1000, ..IntervalOptions::default() };
        let (mut bootstrap, mut analytic) = (0, 0);
        for _ in 0..400 {
            let sample: Vec<f64> =
                (0..30).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).collect();
            let found = options.of_columns(&[sample])[0];
            let holds =
                |interval: Option<Interval>| interval.is_some_and(|[low, high]| low <= 0.5 && 0.5 <= high);
            bootstrap += i32::from(holds(found.bootstrap));
            analytic += i32::from(holds(found.analytic));
        }
        assert!((362..=398).contains(&bootstrap), "{bootstrap} of 400");
        assert!((366..=394).contains(&analytic), "{analytic} of 400");
    }
}
