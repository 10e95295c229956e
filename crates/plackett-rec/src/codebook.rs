//! How the codes are used by which items are written: where few codes are in use, or many items share theirs, ids tell a model little.

use std::collections::{BTreeMap, HashMap};

/// How the codes of one level are used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodeUse {
    /// Different codes that items have.
    pub used: usize,
    /// How many there could be.
    pub codes: usize,
    /// Their entropy in bits: log₂ of all codes where each is used equally often, 0 where one is used alone.
    pub entropy: f64,
}

/// The codes by which a recommender writes items.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    /// Level by level, without a code that only tells items of equal codes apart.
    pub levels: Vec<CodeUse>,
    /// Items that share the codes of all levels with another one.
    pub colliding: usize,
}

impl Codebook {
    /// Of the ids of all items, of which the first `levels` codes come from vectors, `codes` different ones a level.
    pub(crate) fn of(ids: &[Vec<u32>], levels: usize, codes: usize) -> Codebook {
        let level_use = |level: usize| {
            // Rising codes: one order of the sum, whatever that of a map.
            let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
            for code in ids.iter().filter_map(|id| id.get(level)) {
                *counts.entry(*code).or_default() += 1;
            }
            let share = |count: &usize| *count as f64 / ids.len() as f64;
            let entropy = counts.values().map(share).fold(0.0, |bits, share| bits - share * share.log2());
            CodeUse { used: counts.len(), codes, entropy }
        };
        let mut sharing: HashMap<&[u32], usize> = HashMap::new();
        for id in ids {
            *sharing.entry(&id[..levels.min(id.len())]).or_default() += 1;
        }
        let colliding = sharing.into_values().filter(|items| *items > 1).sum();
        Codebook { levels: (0..levels).map(level_use).collect(), colliding }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_entropy_and_collisions_are_those_of_the_codes_of_vectors() {
        // The third code tells the first two items apart and says nothing of itself.
        let ids = [vec![0, 3, 0], vec![0, 3, 1], vec![0, 1, 0], vec![2, 3, 0]];
        let codebook = Codebook::of(&ids, 2, 4);
        assert_eq!(codebook.colliding, 2);
        // Three of four and one of four: 2 − 3/4 · log₂ 3 bits, at both levels.
        let bits = 2.0 - 0.75 * 3f64.log2();
        for level in &codebook.levels {
            assert_eq!((level.used, level.codes), (2, 4));
            assert!((level.entropy - bits).abs() < 1e-12, "{level:?}");
        }
        assert_eq!(codebook.levels.len(), 2);
        let one = Codebook::of(&[vec![5]], 1, 8);
        assert_eq!(one, Codebook { levels: vec![CodeUse { used: 1, codes: 8, entropy: 0.0 }], colliding: 0 });
    }
}
