//! Drawn users who come back to what they had, while the vocabulary drifts: HSTU's synthetic stream in small.

use crate::{Event, RecError, TestCase, Training, borrowed};
use plackett_train::random::Stream;

/// Users, one after another. Each is a Chinese restaurant process: event n + 1 is new with probability c / (c + n), from the window of
/// the vocabulary at the user's place in the stream, and otherwise one of the n before, drawn evenly, so that items come again in
/// proportion to how often they were there. What comes next is told by counts, which a softmax over the keys takes out of its sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RepeatStream {
    /// How many users are drawn.
    pub users: usize,
    /// The last ones, who are asked for their last event and not learned from.
    pub tested: usize,
    /// Events of a user.
    pub length: usize,
    /// Items.
    pub vocabulary: usize,
    /// Items that new ones are drawn from at a time; the window moves from the first to the last over all users.
    pub window: usize,
    /// The greatest concentration c of a user; they are drawn evenly from 1 on.
    pub concentration: f64,
}

/// Users that were drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrawnUsers {
    /// The events of each user; the last of who is tested is what is asked for.
    sequences: Vec<Vec<Event>>,
    /// How many of them are tested, the last ones.
    tested: usize,
}

impl DrawnUsers {
    /// What is learned from, and what is asked for: nobody is in both.
    pub fn split(&self) -> Training<'_> {
        let (learned, tested) = self.sequences.split_at(self.sequences.len() - self.tested);
        let mut cases = Vec::with_capacity(tested.len());
        for (at, events) in tested.iter().enumerate() {
            if let Some((target, history)) = events.split_last() {
                cases.push(TestCase { user: learned.len() + at, history, target: *target });
            }
        }
        Training { sequences: borrowed(learned), cases, untested: 0 }
    }
}

impl RepeatStream {
    /// The users that follow from a seed.
    ///
    /// # Errors
    /// There are not more users than are tested, or the window is larger than the vocabulary.
    pub fn draw(&self, seed: u64) -> Result<DrawnUsers, RecError> {
        if self.tested >= self.users || self.window > self.vocabulary || self.length < 2 || self.window == 0 {
            return Err(RecError::Setting(
                "a stream has more users than are tested, two events of each at least, and a window of 1 to all items".into(),
            ));
        }
        let sequences = (0..self.users).map(|user| self.user(user, seed)).collect();
        Ok(DrawnUsers { sequences, tested: self.tested })
    }

    fn user(&self, user: usize, seed: u64) -> Vec<Event> {
        let stream = Stream::new(seed, user as u64);
        let concentration = 1.0 + f64::from(stream.uniform(0)) * (self.concentration - 1.0).max(0.0);
        let first = (self.vocabulary - self.window) * user / self.users;
        let mut items: Vec<u32> = Vec::with_capacity(self.length);
        for at in 0..self.length {
            let (place, before) = (1 + 3 * at as u64, at as f64);
            let is_new = f64::from(stream.uniform(place)) < concentration / (concentration + before);
            items.push(match is_new {
                true => (first + stream.below(place + 1, self.window)) as u32,
                false => items[stream.below(place + 2, at)],
            });
        }
        let event = |(at, item): (usize, u32)| Event { item, rating: 1.0, time: at as i64 };
        items.into_iter().enumerate().map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn items_come_again_and_the_window_moves() {
        let stream = RepeatStream {
            users: 400,
            tested: 50,
            length: 40,
            vocabulary: 1000,
            window: 200,
            concentration: 8.0,
        };
        let drawn = stream.draw(3).unwrap();
        let split = drawn.split();
        assert_eq!((split.sequences.len(), split.cases.len()), (350, 50));
        assert!(split.sequences[0].iter().all(|event| event.item < 200));
        assert!(split.cases[49].history.iter().all(|event| event.item > 700));
        let distinct: usize = split
            .sequences
            .iter()
            .map(|events| events.iter().map(|event| event.item).collect::<HashSet<_>>().len())
            .sum();
        // c · ln(1 + n/c) for c from 1 to 8: between 4 and 15 of 40.
        let mean = distinct as f64 / 350.0;
        assert!((6.0..13.0).contains(&mean), "{mean}");
        assert_eq!(split.cases[49].history.len(), 39);
        assert_eq!(stream.draw(3).unwrap(), drawn);
        assert!(RepeatStream { tested: 400, ..stream }.draw(1).is_err());
        assert!(RepeatStream { window: 2000, ..stream }.draw(1).is_err());
    }
}
