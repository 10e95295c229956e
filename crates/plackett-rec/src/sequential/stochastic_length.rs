//! Stochastic length: long histories are mostly learned from in parts.

use plackett_train::random::Stream;

/// Which part of a history is learned from (HSTU, section 3.2, Stochastic Length).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StochasticLength {
    /// From above 1 to 2, where every history is whole.
    pub alpha: f64,
    /// The most events that are read.
    pub max_length: usize,
}

impl StochasticLength {
    /// The length of a part, ⌊N^(α/2)⌋, at least 1.
    pub fn part(&self) -> usize {
        ((self.max_length as f64).powf(self.alpha / 2.0) as usize).max(1)
    }

    /// The probability N^α / n² with which a history of `length` events that is longer than a part is whole.
    pub fn whole_probability(&self, length: usize) -> f64 {
        if length <= self.part() {
            return 1.0;
        }
        ((self.max_length as f64).powf(self.alpha) / (length as f64).powi(2)).min(1.0)
    }

    /// The length that is to be expected.
    pub fn expected(&self, length: usize) -> f64 {
        let whole = self.whole_probability(length);
        whole * length as f64 + (1.0 - whole) * self.part().min(length) as f64
    }

    /// The places of a history that are learned from, rising. Parts are drawn without repetition with weights 1 − f / Σf, f being
    /// how long ago an event was, so that newer events are kept more often (weighted sampling by recency).
    pub fn choose(&self, times: &[i64], stream: Stream) -> Vec<usize> {
        let length = times.len();
        if f64::from(stream.uniform(0)) < self.whole_probability(length) {
            return (0..length).collect();
        }
        let last = times.last().copied().unwrap_or_default();
        let ages: Vec<f64> = times.iter().map(|time| last.saturating_sub(*time) as f64).collect();
        let total: f64 = ages.iter().sum();
        let weight = |age: f64| if total > 0.0 { (1.0 - age / total).max(1e-9) } else { 1.0 };
        // The greatest keys u^(1/w) are a weighted sample without repetition (Efraimidis and Spirakis 2006).
        let key = |(at, age): (usize, &f64)| {
            let uniform = 1.0 - f64::from(stream.uniform(1 + at as u64));
            (uniform.ln() / weight(*age), at)
        };
        let mut keys: Vec<(f64, usize)> = ages.iter().enumerate().map(key).collect();
        keys.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut kept: Vec<usize> = keys.into_iter().take(self.part()).map(|(_, at)| at).collect();
        kept.sort_unstable();
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_lengths_are_those_of_the_formula() {
        for (alpha, max_length, length) in
            [(1.6, 200, 200), (1.8, 100, 60), (1.5, 4096, 4096), (2.0, 50, 50), (1.2, 100, 9)]
        {
            let sampler = StochasticLength { alpha, max_length };
            let times: Vec<i64> = (0..length).collect();
            let draws = 4000;
            let kept: usize = (0..draws).map(|draw| sampler.choose(&times, Stream::new(5, draw)).len()).sum();
            let (mean, expected) = (kept as f64 / draws as f64, sampler.expected(length as usize));
            assert!((mean / expected - 1.0).abs() < 0.05, "{alpha} {length}: {mean} {expected}");
        }
        // The paper's table: about 776 of 4096 tokens are kept with α = 1.6.
        let kept = StochasticLength { alpha: 1.6, max_length: 4096 }.part();
        assert!((750..800).contains(&kept), "{kept}");
    }

    #[test]
    fn parts_rise_and_newer_events_are_kept_more_often() {
        let sampler = StochasticLength { alpha: 1.2, max_length: 100 };
        let times: Vec<i64> = (0..100).map(|at| at * at).collect();
        let mut counts = [0; 2];
        for draw in 0..500 {
            let kept = sampler.choose(&times, Stream::new(1, draw));
            assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
            if kept.len() < 100 {
                kept.iter().for_each(|at| counts[at / 50] += 1);
            }
        }
        assert!(counts[1] > counts[0], "{counts:?}");
        assert!(sampler.choose(&[], Stream::new(1, 0)).is_empty());
    }
}
