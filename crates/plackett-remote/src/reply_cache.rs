//! Answers that were paid for by calls that failed as a whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
struct Replies {
    answers: HashMap<String, (u64, Vec<u8>)>,
    /// Names by age.
    ages: BTreeMap<u64, String>,
    next: u64,
    bytes: usize,
}

impl Replies {
    fn take(&mut self, hash: &str) -> Option<Vec<u8>> {
        let (age, answer) = self.answers.remove(hash)?;
        self.ages.remove(&age);
        self.bytes -= answer.len();
        Some(answer)
    }
}

/// Keeps answers for the next call that asks the same, within a bound: the oldest make room. A log has none.
pub(crate) struct ReplyCache {
    most_bytes: usize,
    replies: Mutex<Replies>,
}

impl ReplyCache {
    pub fn new(most_bytes: usize) -> ReplyCache {
        ReplyCache { most_bytes, replies: Mutex::default() }
    }

    fn with<R>(&self, change: impl FnOnce(&mut Replies) -> R) -> R {
        change(&mut self.replies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps an answer, unless it alone is too large.
    pub fn insert(&self, hash: String, answer: &[u8]) {
        self.with(|replies| {
            replies.take(&hash);
            if answer.len() > self.most_bytes {
                return;
            }
            while replies.bytes + answer.len() > self.most_bytes {
                let Some((_, oldest)) = replies.ages.pop_first() else { break };
                replies.take(&oldest);
            }
            let age = replies.next;
            replies.next += 1;
            replies.bytes += answer.len();
            replies.ages.insert(age, hash.clone());
            replies.answers.insert(hash, (age, answer.to_vec()));
        });
    }

    /// Takes an answer out: it is delivered once.
    pub fn take(&self, hash: &str) -> Option<Vec<u8>> {
        self.with(|replies| replies.take(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_the_bound_holds() {
        let cache = ReplyCache::new(10);
        for (name, size) in [("a", 4), ("b", 4), ("b", 5), ("c", 2), ("d", 11)] {
            cache.insert(name.into(), &vec![size as u8; size]);
        }
        assert_eq!(cache.with(|s| (s.bytes, s.ages.len())), (7, 2));
        assert_eq!((cache.take("a"), cache.take("b"), cache.take("b")), (None, Some(vec![5; 5]), None));
        assert_eq!((cache.take("d"), cache.take("c")), (None, Some(vec![2, 2])));
        assert_eq!(cache.with(|s| (s.bytes, s.ages.len(), s.answers.len())), (0, 0, 0));
    }
}
