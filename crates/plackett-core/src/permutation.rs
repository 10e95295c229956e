//! Permutations that are valid by construction.

/// An order of the items `0..n`: the entry at a place is the item that stands there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permutation {
    items: Vec<usize>,
}

/// A list that is not a permutation, or sizes that do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermutationError {
    /// An item out of range or there twice.
    #[error(
        "place {place} holds {item}, which is out of range or stands before; each of 0..{len} must stand there once"
    )]
    Item {
        /// The place, from 0.
        place: usize,
        /// What stands there.
        item: usize,
        /// How many items there are.
        len: usize,
    },
    /// Two things of different sizes.
    #[error("sizes differ: {left} and {right}")]
    Size {
        /// The first.
        left: usize,
        /// The second.
        right: usize,
    },
    /// A number that is no permutation's, or more items than numbers reach.
    #[error(
        "no permutation of {len} items has number {number}; numbers go from 0 to {len}! - 1, for at most 34 items"
    )]
    Number {
        /// How many items.
        len: usize,
        /// The number.
        number: u128,
    },
}

impl Permutation {
    /// Checks and takes a list of items, best first.
    pub fn new(items: Vec<usize>) -> Result<Permutation, PermutationError> {
        let mut seen = vec![false; items.len()];
        for (place, &item) in items.iter().enumerate() {
            match seen.get_mut(item) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(PermutationError::Item { place, item, len: items.len() }),
            }
        }
        Ok(Permutation { items })
    }

    /// Takes a list that holds each of `0..len` once by the way it was made.
    pub(crate) fn from_unique(items: Vec<usize>) -> Permutation {
        debug_assert!(Permutation::new(items.clone()).is_ok(), "{items:?}");
        Permutation { items }
    }

    /// The order `0, 1, …, n − 1`.
    pub fn identity(len: usize) -> Permutation {
        Permutation { items: (0..len).collect() }
    }

    /// Items by descending score; equal scores by ascending item, NaN last.
    pub fn by_descending(scores: &[f64]) -> Permutation {
        let mut items: Vec<usize> = (0..scores.len()).collect();
        items.sort_by(|&a, &b| {
            let (a, b) = (scores[a], scores[b]);
            a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal))
        });
        Permutation { items }
    }

    /// The items, best first.
    pub fn items(&self) -> &[usize] {
        &self.items
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// For each item its place: composing with it gives the identity.
    pub fn inverse(&self) -> Permutation {
        let mut places = vec![0; self.len()];
        for (place, &item) in self.items.iter().enumerate() {
            places[item] = place;
        }
        Permutation { items: places }
    }

    /// `self` after `first`: the item at place i is `self[first[i]]`.
    pub fn compose(&self, first: &Permutation) -> Result<Permutation, PermutationError> {
        Ok(Permutation { items: first.apply(&self.items)? })
    }

    /// The values in this order: the value at place i is `values[self[i]]`.
    pub fn apply<T: Clone>(&self, values: &[T]) -> Result<Vec<T>, PermutationError> {
        if values.len() != self.len() {
            return Err(PermutationError::Size { left: self.len(), right: values.len() });
        }
        Ok(self.items.iter().map(|&item| values[item].clone()).collect())
    }

    /// How many pairs stand the other way round in `other` (Kendall 1938), in O(n log n).
    pub fn kendall_distance(&self, other: &Permutation) -> Result<u64, PermutationError> {
        let places = other.inverse();
        let mut order = places.compose(self)?.items;
        let mut buffer = Vec::with_capacity(order.len());
        Ok(inversions(&mut order, &mut buffer))
    }

    /// For each place, how many smaller items stand behind it (Lehmer's code); entry i is at most n − 1 − i.
    pub fn lehmer(&self) -> Vec<usize> {
        let behind = |place: usize| self.items[place + 1..].iter();
        (0..self.len()).map(|place| behind(place).filter(|&&item| item < self.items[place]).count()).collect()
    }

    /// Its number among all permutations in lexicographic order, from 0; `None` beyond 34 items, whose factorial is no u128.
    pub fn rank(&self) -> Option<u128> {
        if self.len() > 34 {
            return None;
        }
        let code = self.lehmer().into_iter().zip((1..=self.len() as u128).rev());
        Some(code.fold(0, |rank, (digit, base)| rank * base + digit as u128))
    }

    /// The permutation of `len` items with this number; the opposite of [`Permutation::rank`].
    pub fn from_rank(len: usize, number: u128) -> Result<Permutation, PermutationError> {
        let fail = PermutationError::Number { len, number };
        if len > 34 {
            return Err(fail);
        }
        let (mut rest, mut digits) = (number, Vec::with_capacity(len));
        for base in 1..=len as u128 {
            digits.push((rest % base) as usize);
            rest /= base;
        }
        if rest > 0 {
            return Err(fail);
        }
        let mut left: Vec<usize> = (0..len).collect();
        Ok(Permutation { items: digits.into_iter().rev().map(|digit| left.remove(digit)).collect() })
    }
}

fn inversions(order: &mut [usize], buffer: &mut Vec<usize>) -> u64 {
    if order.len() < 2 {
        return 0;
    }
    let (left, right) = order.split_at_mut(order.len() / 2);
    let mut count = inversions(left, buffer) + inversions(right, buffer);
    buffer.clear();
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if left[i] <= right[j] {
            buffer.push(left[i]);
            i += 1;
        } else {
            count += (left.len() - i) as u64;
            buffer.push(right[j]);
            j += 1;
        }
    }
    buffer.extend_from_slice(&left[i..]);
    buffer.extend_from_slice(&right[j..]);
    order.copy_from_slice(buffer);
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_order() -> impl Strategy<Value = Permutation> {
        (0usize..9)
            .prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle())
            .prop_map(|v| Permutation { items: v })
    }

    proptest! {
        #[test]
        fn inverse_number_and_distance_keep_their_laws(p in any_order(), seed in any::<u64>()) {
            let n = p.len();
            prop_assert_eq!(p.compose(&p.inverse()).unwrap(), Permutation::identity(n));
            prop_assert_eq!(Permutation::from_rank(n, p.rank().unwrap()).unwrap(), p.clone());
            let count: u64 = (1..=n as u64).product();
            let other = Permutation::from_rank(n, u128::from(seed % count)).unwrap();
            let (a, b) = (p.inverse(), other.inverse());
            let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
            let brute = pairs.filter(|&(i, j)| (a.items[i] < a.items[j]) != (b.items[i] < b.items[j])).count();
            prop_assert_eq!(p.kendall_distance(&other).unwrap(), brute as u64);
        }
    }

    #[test]
    fn wrong_lists_are_refused() {
        assert!(matches!(
            Permutation::new(vec![0, 0]),
            Err(PermutationError::Item { place: 1, item: 0, len: 2 })
        ));
        assert!(matches!(Permutation::new(vec![1]), Err(PermutationError::Item { place: 0, .. })));
        assert!(Permutation::from_rank(3, 6).is_err());
        let (two, three) = (Permutation::identity(2), Permutation::identity(3));
        assert!(two.compose(&three).is_err() && three.kendall_distance(&two).is_err());
        assert_eq!(Permutation::by_descending(&[1.0, f64::NAN, 3.0, 1.0]).items(), [2, 0, 3, 1]);
    }
}
