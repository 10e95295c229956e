//! How much a text repeats itself.

use std::collections::HashSet;
use std::hash::Hash;

/// distinct-n (Li and others, A Diversity-Promoting Objective Function for Neural Conversation Models, 2016): how many different
/// n-grams a text has, as a share of all of its n-grams; what is left to 1 is the share of those that stood in it before. `None` for
/// a text with fewer than n units, or for n = 0.
pub fn distinct<T: Eq + Hash>(units: &[T], n: usize) -> Option<f64> {
    if n == 0 || units.len() < n {
        return None;
    }
    let different: HashSet<&[T]> = units.windows(n).collect();
    Some(different.len() as f64 / (units.len() - n + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::distinct;

    #[test]
    fn by_hand() {
        assert_eq!(distinct(b"abab", 2), Some(2.0 / 3.0));
        assert_eq!(distinct(b"abcd", 2), Some(1.0));
        assert_eq!(distinct(b"aaaaaaaa", 4), Some(0.2));
        assert_eq!(distinct(&["to", "be", "or", "not", "to", "be"], 1), Some(4.0 / 6.0));
        assert_eq!((distinct(b"abc", 4), distinct(b"abc", 0), distinct(b"", 1)), (None, None, None));
    }
}
