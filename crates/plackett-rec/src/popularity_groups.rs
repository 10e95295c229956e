//! Test cases by how often what is asked for was seen in the training: means over all hide that a model knows only what is popular.

use crate::TestCase;

/// Test cases whose targets are about equally popular.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopularityGroup {
    /// The fewest training events of a target.
    pub least: usize,
    /// The most.
    pub most: usize,
    /// Places of the cases, rising.
    pub cases: Vec<usize>,
}

impl PopularityGroup {
    /// Whether the targets were never seen.
    pub fn is_cold(&self) -> bool {
        self.most == 0
    }
}

/// Cases in groups from the least to the most popular targets: those never seen, then up to `count` groups of about equal
/// size. Targets with equally many events (`events`, by item) are in the same group, so there may be fewer, and a group larger.
pub fn popularity_groups(cases: &[TestCase<'_>], events: &[usize], count: usize) -> Vec<PopularityGroup> {
    let popularity = |case: usize| events.get(cases[case].target.item as usize).copied().unwrap_or(0);
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by_key(|case| (popularity(*case), *case));
    let warm = order.split_off(order.partition_point(|case| popularity(*case) == 0));
    let mut groups = vec![order];
    let mut rest = &warm[..];
    for left in (1..=count.max(1)).rev() {
        let Some(last) = rest.len().div_ceil(left).checked_sub(1) else { break };
        let bound = popularity(rest[last]);
        let (group, others) = rest.split_at(rest.partition_point(|case| popularity(*case) <= bound));
        groups.push(group.to_vec());
        rest = others;
    }
    let group = |mut cases: Vec<usize>| {
        let (least, most) = (popularity(*cases.first()?), popularity(*cases.last()?));
        cases.sort_unstable();
        Some(PopularityGroup { least, most, cases })
    };
    groups.into_iter().filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[test]
    fn groups_are_of_about_equal_size_and_never_part_equals() {
        let case =
            |item: u32| TestCase { user: 0, history: &[], target: Event { item, rating: 1.0, time: 0 } };
        // Events of the items 0 … 5.
        let events = [0, 1, 1, 2, 5, 9];
        let cases: Vec<TestCase<'_>> = [5, 0, 1, 2, 3, 4, 4, 5].map(case).to_vec();
        let groups = popularity_groups(&cases, &events, 3);
        let of = |group: &PopularityGroup| (group.least, group.most, group.cases.clone());
        let wanted = [(0, 0, vec![1]), (1, 2, vec![2, 3, 4]), (5, 5, vec![5, 6]), (9, 9, vec![0, 7])];
        assert_eq!(groups.iter().map(of).collect::<Vec<_>>(), wanted);
        assert!(groups[0].is_cold() && !groups[1].is_cold());
        let equal = popularity_groups(&[case(4), case(4)], &events, 3);
        assert_eq!((equal.len(), equal[0].cases.len()), (1, 2));
        assert!(popularity_groups(&[], &events, 3).is_empty());
    }
}
