//! What is learned from and what is asked for.

use super::{Event, Interactions};

/// An event that is to be predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TestCase<'e> {
    /// The user's place.
    pub user: usize,
    /// What the user did before, the oldest first.
    pub history: &'e [Event],
    /// What comes next.
    pub target: Event,
}

/// What is learned from, and what is asked for: parts of sequences that are somewhere else, so that no event is there twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Training<'e> {
    /// What is learned from: the events of each user, the oldest first.
    pub sequences: Vec<&'e [Event]>,
    /// What is asked for.
    pub cases: Vec<TestCase<'e>>,
    /// Users who have too few events to be asked for.
    pub untested: usize,
}

/// The last event of each user is asked for, and all before it are learned from. `held_out` are events behind it that are
/// neither: with 1, the second last one is asked for, to choose settings by, and the last one stays unseen.
/// Who has no event before the one that is asked for is learned from and not tested.
pub fn leave_last_out(all: &Interactions, held_out: usize) -> Training<'_> {
    let mut made = Training::default();
    for (user, sequence) in all.sequences.iter().enumerate() {
        let end = sequence.len().saturating_sub(held_out);
        if end < 2 {
            made.sequences.push(&sequence[..end]);
            made.untested += 1;
            continue;
        }
        let history = &sequence[..end - 1];
        made.sequences.push(history);
        made.cases.push(TestCase { user, history, target: sequence[end - 1] });
    }
    made
}

/// Events before `time` are learned from; the first one at or after it is asked for, of every user who has some before.
pub fn split_at(all: &Interactions, time: i64) -> Training<'_> {
    let mut made = Training::default();
    for (user, sequence) in all.sequences.iter().enumerate() {
        let border = sequence.partition_point(|event| event.time < time);
        let history = &sequence[..border];
        match sequence.get(border).filter(|_| border > 0) {
            Some(target) => made.cases.push(TestCase { user, history, target: *target }),
            None => made.untested += 1,
        }
        made.sequences.push(history);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interactions() -> Interactions {
        let event = |time: i64| Event { item: time as u32, rating: 1.0, time };
        let sequences = [&[0, 1, 2, 3][..], &[5], &[1, 2], &[]];
        let sequences: Vec<Vec<Event>> =
            sequences.iter().map(|times| times.iter().map(|time| event(*time)).collect()).collect();
        Interactions { users: vec!["u".into(); 4], sequences, ..Interactions::default() }
    }

    #[test]
    fn the_target_is_never_learned_from() {
        for (held_out, targets, untested) in [(0, vec![3, 2], 2), (1, vec![2], 3)] {
            let all = interactions();
            let split = leave_last_out(&all, held_out);
            assert_eq!(split.cases.iter().map(|case| case.target.item).collect::<Vec<_>>(), targets);
            assert_eq!((split.untested, split.sequences.len()), (untested, 4));
            for case in &split.cases {
                assert!(split.sequences[case.user].iter().all(|event| event.time < case.target.time));
                assert_eq!(split.sequences[case.user], case.history);
            }
        }
    }

    #[test]
    fn nothing_after_the_time_is_learned_from() {
        let all = interactions();
        let split = split_at(&all, 2);
        assert!(split.sequences.iter().copied().flatten().all(|event| event.time < 2));
        let found: Vec<_> = split.cases.iter().map(|case| (case.user, case.target.time)).collect();
        assert_eq!((found, split.untested), (vec![(0, 2), (2, 2)], 2));
    }
}
