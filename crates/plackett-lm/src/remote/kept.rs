//! Answers that were paid for by calls that failed as a whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
struct State {
    answers: HashMap<String, (u64, Vec<u8>)>,
    /// Names by age.
    ages: BTreeMap<u64, String>,
    next: u64,
    bytes: usize,
}

impl State {
    fn take(&mut self, hash: &str) -> Option<Vec<u8>> {
        let (age, answer) = self.answers.remove(hash)?;
        self.ages.remove(&age);
        self.bytes -= answer.len();
        Some(answer)
    }
}

/// Keeps answers for the next call that asks the same, within a bound: the oldest make room. A log has none.
pub(crate) struct Kept {
    most_bytes: usize,
    state: Mutex<State>,
}

impl Kept {
    pub fn new(most_bytes: usize) -> Kept {
        Kept { most_bytes, state: Mutex::default() }
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps an answer, unless it alone is too large.
    pub fn put(&self, hash: String, answer: &[u8]) {
        self.with(|state| {
            state.take(&hash);
            if answer.len() > self.most_bytes {
                return;
            }
            while state.bytes + answer.len() > self.most_bytes {
                let Some((_, oldest)) = state.ages.pop_first() else { break };
                state.take(&oldest);
            }
            let age = state.next;
            state.next += 1;
            state.bytes += answer.len();
            state.ages.insert(age, hash.clone());
            state.answers.insert(hash, (age, answer.to_vec()));
        });
    }

    /// Takes an answer out: it is delivered once.
    pub fn take(&self, hash: &str) -> Option<Vec<u8>> {
        self.with(|state| state.take(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_the_bound_holds() {
        let kept = Kept::new(10);
        for (name, size) in [("a", 4), ("b", 4), ("b", 5), ("c", 2), ("d", 11)] {
            kept.put(name.into(), &vec![size as u8; size]);
        }
        assert_eq!(kept.with(|s| (s.bytes, s.ages.len())), (7, 2));
        assert_eq!((kept.take("a"), kept.take("b"), kept.take("b")), (None, Some(vec![5; 5]), None));
        assert_eq!((kept.take("d"), kept.take("c")), (None, Some(vec![2, 2])));
        assert_eq!(kept.with(|s| (s.bytes, s.ages.len(), s.answers.len())), (0, 0, 0));
    }
}
