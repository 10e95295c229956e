//! Distances in time, in buckets.

use crate::sequential::SequenceBatch;

/// Buckets of the bias by time; the last one is for all that is further apart.
pub const TIME_BUCKETS: usize = 129;

/// Embeddings of elapsed time in the production form.
pub const ELAPSED_BUCKETS: usize = 2048;

/// The bucket of the time between a query and a key: ⌊ln(max(|Δt|, 1)) / 0.301⌋, at most 128. 0.301 is the decimal logarithm of
/// 2, so these are not powers of two; it is what the authors' code computes, in f32.
pub fn time_bucket(query: i64, key: i64) -> usize {
    let apart = query.abs_diff(key).max(1) as f32;
    ((apart.ln() / 0.301) as usize).min(TIME_BUCKETS - 1)
}

/// The bucket of the time that has passed since an event, in the production form: ⌊√minutes⌋.
pub fn elapsed_bucket(now: i64, time: i64) -> usize {
    let minutes = now.saturating_sub(time).max(0) as f64 / 60.0;
    (minutes.sqrt() as usize).min(ELAPSED_BUCKETS - 1)
}

/// The buckets of all pairs of a query row and a key row that it sees, for each sequence of a batch. The time of a query is that
/// of the *next* event, since it is known when the next item is asked for.
#[derive(Clone, Debug)]
pub struct TimeBuckets {
    /// Row after row, of row r the keys 0 ..= r.
    buckets: Vec<u8>,
    /// Where each sequence begins.
    starts: Vec<usize>,
}

impl TimeBuckets {
    /// Of a batch.
    pub fn new(batch: &SequenceBatch) -> TimeBuckets {
        let (mut buckets, mut starts) = (Vec::new(), Vec::new());
        for rows in batch.sequences.iter() {
            starts.push(buckets.len());
            let times = &batch.times[rows.clone()];
            for (row, query) in batch.next_times[rows.clone()].iter().enumerate() {
                buckets.extend(times[..=row].iter().map(|key| time_bucket(*query, *key) as u8));
            }
        }
        TimeBuckets { buckets, starts }
    }

    /// The buckets of the keys that a row of a sequence sees.
    pub fn row(&self, sequence: usize, row: usize) -> &[u8] {
        &self.buckets[self.starts[sequence] + row * (row + 1) / 2..][..row + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[test]
    fn buckets_are_those_of_the_formula() {
        // ln(2)/0.301 = 2.30, ln(60)/0.301 = 13.60, ln(3600)/0.301 = 27.2, ln(86400)/0.301 = 37.7, ln(31536000)/0.301 = 57.3.
        for (apart, bucket) in [(0, 0), (1, 0), (2, 2), (60, 13), (3600, 27), (86_400, 37), (31_536_000, 57)]
        {
            assert_eq!((time_bucket(apart, 0), time_bucket(0, apart)), (bucket, bucket), "{apart}");
        }
        assert_eq!(time_bucket(i64::MAX, i64::MIN), 128.min((64.0 * 2f64.ln() / 0.301) as usize));
        assert_eq!([0, 59, 60, 240, 359, -5].map(|seconds| elapsed_bucket(seconds, 0)), [0, 0, 1, 2, 2, 0]);
        assert_eq!(elapsed_bucket(i64::MAX, i64::MIN), ELAPSED_BUCKETS - 1);
    }

    #[test]
    fn a_row_does_not_change_when_events_after_the_next_do() {
        let event = |time: i64| Event { item: 0, rating: 1.0, time };
        let buckets = |times: &[i64]| {
            let events: Vec<Event> = times.iter().map(|time| event(*time)).collect();
            TimeBuckets::new(&SequenceBatch::new([(&events[..], 1 << 20)]))
        };
        let (one, other) = (buckets(&[0, 10, 500, 3000, 3001]), buckets(&[0, 10, 500, 90_000, 900_000]));
        // Row 1 is asked at the time of event 2; row 2 at that of event 3, which is another one.
        assert_eq!((one.row(0, 0), one.row(0, 1)), (other.row(0, 0), other.row(0, 1)));
        assert_ne!(one.row(0, 2), other.row(0, 2));
    }
}
