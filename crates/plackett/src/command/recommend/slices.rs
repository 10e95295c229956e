//! Cold and warm users: means over all hide that a recommender cannot find what nobody had when it was fitted.

use super::evaluate::{Measured, means};
use plackett_eval::Interval;
use plackett_rec::{PopularityGroup, TargetRank};

/// Users for whom what is asked for was there in the training, or was not.
#[derive(Debug, PartialEq, Eq)]
pub struct Slice {
    /// `cold` or `warm`.
    pub name: &'static str,
    /// Places of their cases, rising.
    pub cases: Vec<usize>,
}

impl Slice {
    /// Hit rate, nDCG and reciprocal rank of a recommender over these users, with their intervals.
    pub fn means(&self, one: &Measured, k: usize) -> [(f64, Option<Interval>); 3] {
        let rank = |case: &usize| {
            let TargetRank { rank, tied, .. } = one.ranks[*case];
            TargetRank { rank, tied, list: Vec::new() }
        };
        means(&self.cases.iter().map(rank).collect::<Vec<TargetRank>>(), k)
    }
}

/// The cold users and the warm ones; nothing where all are of one kind, of whom the means over all tell already.
pub fn slices(groups: &[PopularityGroup]) -> Vec<Slice> {
    let slice = |name: &'static str, is_cold: bool| {
        let wanted = groups.iter().filter(|group| group.is_cold() == is_cold);
        let mut cases: Vec<usize> = wanted.flat_map(|group| group.cases.iter().copied()).collect();
        cases.sort_unstable();
        Slice { name, cases }
    };
    let both = vec![slice("cold", true), slice("warm", false)];
    match both.iter().any(|slice| slice.cases.is_empty()) {
        true => Vec::new(),
        false => both,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_cold_or_warm_and_told_only_where_there_are_both() {
        let group = |least: usize, most: usize, cases: &[usize]| PopularityGroup {
            least,
            most,
            cases: cases.to_vec(),
        };
        let (cold, warm) = (group(0, 0, &[1, 4]), [group(1, 2, &[3, 5]), group(3, 9, &[0, 2])]);
        let expected =
            [Slice { name: "cold", cases: vec![1, 4] }, Slice { name: "warm", cases: vec![0, 2, 3, 5] }];
        assert_eq!(slices(&[&[cold.clone()][..], &warm[..]].concat()), expected);
        assert!(slices(&warm).is_empty() && slices(&[cold]).is_empty() && slices(&[]).is_empty());
    }
}
