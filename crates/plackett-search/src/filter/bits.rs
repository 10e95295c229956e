//! Sets of documents of one segment.

/// A set of numbers below a fixed one, a bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Box<[u64]>,
    below: u32,
}

impl Bits {
    /// The empty set of numbers below `below`.
    pub(crate) fn none(below: u32) -> Bits {
        Bits { words: vec![0; (below as usize).div_ceil(64)].into(), below }
    }

    #[inline]
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.words.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Adds a number; one that is too large is left out.
    #[inline]
    pub(crate) fn insert(&mut self, number: u32) {
        if let (Some(word), true) = (self.words.get_mut((number / 64) as usize), number < self.below) {
            *word |= 1 << (number % 64);
        }
    }

    pub(crate) fn unite(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(own, other)| *own |= other);
    }

    pub(crate) fn intersect(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(own, other)| *own &= other);
    }

    /// Makes it the set of all other numbers.
    pub(crate) fn invert(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        if let (Some(last), 1..) = (self.words.last_mut(), self.below % 64) {
            *last &= (1 << (self.below % 64)) - 1;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The numbers, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(word, place)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(64 * place + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_those_of_numbers() {
        for below in [0u32, 1, 63, 64, 65, 200] {
            let mut threes = Bits::none(below);
            (0..below + 9).filter(|n| n % 3 == 0).for_each(|n| threes.insert(n));
            let expected: Vec<u32> = (0..below).filter(|n| n % 3 == 0).collect();
            assert_eq!(threes.iter().collect::<Vec<_>>(), expected);
            assert_eq!(threes.count(), expected.len());
            let mut others = threes.clone();
            others.invert();
            assert!((0..below + 70).all(|n| others.contains(n) == (n < below && n % 3 != 0)));
            let mut all = others.clone();
            all.unite(&threes);
            assert_eq!(all.count(), below as usize);
            others.intersect(&threes);
            assert_eq!(others, Bits::none(below));
        }
    }
}
