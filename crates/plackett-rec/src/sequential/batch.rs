//! Sequences of events, one after another without padding.

use crate::Event;
use std::ops::Range;
use std::sync::Arc;

/// Sequences of events. There is no padding, so that there is no id that stands for it.
#[derive(Clone, Debug, Default)]
pub struct SequenceBatch {
    /// The items of all sequences.
    pub items: Vec<u32>,
    /// When each event was.
    pub times: Vec<i64>,
    /// When the event after it was, or the time at which is asked: known when the next item is asked for.
    pub next_times: Vec<i64>,
    /// The place of each event in its sequence, from 0.
    pub positions: Vec<u32>,
    /// Where each sequence lies.
    pub sequences: Arc<[Range<usize>]>,
}

impl SequenceBatch {
    /// A batch of sequences, each with the time at which the item behind it is asked for.
    pub fn new<'e>(sequences: impl IntoIterator<Item = (&'e [Event], i64)>) -> SequenceBatch {
        let mut batch = SequenceBatch::default();
        let mut ranges = Vec::new();
        for (events, now) in sequences {
            let start = batch.items.len();
            batch.items.extend(events.iter().map(|event| event.item));
            batch.times.extend(events.iter().map(|event| event.time));
            batch.next_times.extend(events.iter().skip(1).map(|event| event.time));
            batch.next_times.extend((!events.is_empty()).then_some(now));
            batch.positions.extend(0..events.len() as u32);
            ranges.push(start..batch.items.len());
        }
        batch.sequences = ranges.into();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_knows_the_time_of_the_next() {
        let event = |item: u32, time: i64| Event { item, rating: 1.0, time };
        let (one, other) = ([event(3, 10), event(4, 20)], [event(5, 7)]);
        let batch = SequenceBatch::new([(&one[..], 30), (&[], 5), (&other[..], 9)]);
        assert_eq!((batch.items, batch.positions), (vec![3, 4, 5], vec![0, 1, 0]));
        assert_eq!((batch.times, batch.next_times), (vec![10, 20, 7], vec![20, 30, 9]));
        assert_eq!(*batch.sequences, [0..2, 2..2, 2..3]);
    }
}
