//! One from each list in turn.

use std::collections::HashSet;
use std::hash::Hash;

/// Takes the next new item of each list in turn until there are `most` or all lists are at their end. Items that
/// came before are passed over, so that a list always gives one it alone has, if any. Beside each item the list
/// that gave it.
pub fn round_robin<T: Clone + Eq + Hash>(lists: &[Vec<T>], most: usize) -> Vec<(T, usize)> {
    let mut seen = HashSet::new();
    let mut next = vec![0; lists.len()];
    let mut taken = Vec::new();
    loop {
        let before = taken.len();
        for (number, list) in lists.iter().enumerate() {
            if taken.len() >= most {
                return taken;
            }
            while let Some(item) = list.get(next[number]) {
                next[number] += 1;
                if seen.insert(item) {
                    taken.push((item.clone(), number));
                    break;
                }
            }
        }
        if taken.len() == before {
            return taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_take_turns_and_repeats_are_passed_over() {
        let lists = [vec!["a", "b", "c"], vec!["a", "b", "d"], vec![], vec!["e"]];
        let wanted = [("a", 0), ("b", 1), ("e", 3), ("c", 0), ("d", 1)];
        assert_eq!(round_robin(&lists, 10), wanted);
        assert_eq!(round_robin(&lists, 3), wanted[..3]);
        assert!(round_robin(&lists, 0).is_empty() && round_robin::<u8>(&[], 5).is_empty());
    }
}
