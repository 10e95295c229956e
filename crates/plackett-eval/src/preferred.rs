//! What a run does with the preferences of one query: which it keeps, for documents that it returns and those that it does
//! not. A preferred document should stand above the other; one that was not returned stands below all that were.
//!
//! Documents of the preferences get numbers: the returned ones by rank, then the others by id. So "stands above" is "has the
//! smaller number".

use foldhash::fast::FixedState;
use plackett_core::QueryPreferences;
use std::collections::{BTreeMap, HashMap};

/// Preferences that a run keeps, and those that it could keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Kept: the preferred document stands above.
    pub kept: usize,
    /// All.
    pub possible: usize,
}

impl Tally {
    /// Both together.
    pub fn and(self, other: Tally) -> Tally {
        Tally { kept: self.kept + other.kept, possible: self.possible + other.possible }
    }

    /// The share that is kept; `None` where there is nothing to keep.
    pub fn share(self) -> Option<f64> {
        (self.possible > 0).then(|| self.kept as f64 / self.possible as f64)
    }
}

/// The preferences of one judgment group under a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Between two returned documents.
    pub both: Tally,
    /// Between a returned document and one that is not.
    pub one: Tally,
    /// Between two documents that were not returned; none of them is kept.
    pub neither: usize,
    /// All, with as many non-relevant documents (level 0) as relevant ones: the first of them, or imagined ones at the end.
    pub balanced: Tally,
    /// The same for returned documents.
    pub balanced_returned: Tally,
}

impl GroupCounts {
    /// Preferences of which at least one document was returned.
    pub fn implied(&self) -> Tally {
        self.both.and(self.one)
    }

    /// All preferences.
    pub fn all(&self) -> Tally {
        self.implied().and(Tally { kept: 0, possible: self.neither })
    }
}

/// A sum over pairs of documents: of each pair, the share of its preferences (over groups) that the run keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairSum {
    /// Sum of the shares.
    pub sum: f64,
    /// Pairs with a preference in at least one group.
    pub pairs: usize,
}

impl PairSum {
    fn add(&mut self, share: f64) {
        self.sum += share;
        self.pairs += 1;
    }

    /// The mean; 0 without a pair.
    pub fn mean(self) -> f64 {
        if self.pairs == 0 { 0.0 } else { self.sum / self.pairs as f64 }
    }
}

/// The preferences of one query under a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreferenceCounts {
    /// One per judgment group.
    pub groups: Vec<GroupCounts>,
    /// Pairs of two returned documents.
    pub pairs_both: PairSum,
    /// Pairs of a returned document and one that is not.
    pub pairs_one: PairSum,
    /// Pairs of documents that were not returned.
    pub pairs_neither: usize,
}

impl PreferenceCounts {
    /// Counts. `ranking`: the returned documents, best first. `Err` says how the preferences contradict themselves within a
    /// group.
    pub fn new(preferences: &QueryPreferences, ranking: &[&str]) -> Result<PreferenceCounts, String> {
        let (numbers, returned) = numbered(preferences, ranking);
        let groups = groups(preferences, &numbers)?;
        let mut counts = PreferenceCounts {
            groups: groups.iter().map(|group| group.counts(returned)).collect(),
            ..PreferenceCounts::default()
        };
        for first in 0..numbers.len() {
            for second in first + 1..numbers.len() {
                let held = |a: usize, b: usize| groups.iter().filter(|group| group.prefers(a, b)).count();
                let (kept, broken) = (held(first, second), held(second, first));
                if kept + broken == 0 {
                    continue;
                }
                let share = kept as f64 / (kept + broken) as f64;
                match (first < returned, second < returned) {
                    (true, true) => counts.pairs_both.add(share),
                    (true, false) => counts.pairs_one.add(share),
                    _ => counts.pairs_neither += 1,
                }
            }
        }
        Ok(counts)
    }
}

type Numbers<'p> = HashMap<&'p str, usize, FixedState>;

/// The number of each document of the preferences, and how many of them were returned.
fn numbered<'p>(preferences: &'p QueryPreferences, ranking: &[&str]) -> (Numbers<'p>, usize) {
    let mut ids: Vec<&str> = preferences.levels().iter().map(|level| level.document.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut numbers: Numbers<'p> = HashMap::default();
    for document in ranking {
        if let Ok(place) = ids.binary_search(document) {
            let next = numbers.len();
            numbers.entry(ids[place]).or_insert(next);
        }
    }
    let returned = numbers.len();
    for id in ids {
        let next = numbers.len();
        numbers.entry(id).or_insert(next);
    }
    (numbers, returned)
}

/// One judgment group: who is preferred to whom, and what is relevant.
struct Group {
    /// By number of the document: its level, the last one where lists give several. `None` where the group says nothing.
    levels: Vec<Option<f64>>,
    /// With several lists: for each document the set of those to which it is preferred, also through others.
    reached: Option<Vec<Vec<u64>>>,
}

/// Levels of documents, by list.
type Lists<'a> = BTreeMap<&'a str, Vec<(usize, f64)>>;

fn groups(preferences: &QueryPreferences, numbers: &Numbers<'_>) -> Result<Vec<Group>, String> {
    let mut lists: BTreeMap<&str, Lists<'_>> = BTreeMap::new();
    for line in preferences.levels() {
        let list = lists.entry(&line.group).or_default().entry(&line.list).or_default();
        let number = numbers[line.document.as_str()];
        if list.iter().any(|(known, _)| *known == number) {
            return Err(format!(
                "document `{}` stands twice in list `{}` of group `{}`",
                line.document, line.list, line.group
            ));
        }
        list.push((number, line.level));
    }
    lists.into_iter().map(|(name, lists)| Group::new(name, lists.into_values().collect(), numbers)).collect()
}

impl Group {
    fn new(name: &str, lists: Vec<Vec<(usize, f64)>>, numbers: &Numbers<'_>) -> Result<Group, String> {
        let mut levels: Vec<Option<f64>> = vec![None; numbers.len()];
        let id = |number: usize| numbers.iter().find(|(_, n)| **n == number).map_or("?", |(id, _)| id);
        for &(number, level) in lists.iter().flatten() {
            if levels[number].is_some_and(|known| (known == 0.0) != (level == 0.0)) {
                return Err(format!(
                    "document `{}` is level 0 (not relevant) in one list of group `{name}` and another level in the next",
                    id(number)
                ));
            }
            levels[number] = Some(level);
        }
        if lists.len() == 1 {
            return Ok(Group { levels, reached: None });
        }
        let reached = closure(&lists, numbers.len());
        if let Some(number) = (0..numbers.len()).find(|&number| holds(&reached[number], number)) {
            return Err(format!(
                "the lists of group `{name}` contradict each other: document `{}` is preferred to one that is preferred to it",
                id(number)
            ));
        }
        Ok(Group { levels, reached: Some(reached) })
    }

    fn prefers(&self, a: usize, b: usize) -> bool {
        match &self.reached {
            Some(reached) => holds(&reached[a], b),
            None => matches!((self.levels[a], self.levels[b]), (Some(x), Some(y)) if x > y),
        }
    }

    fn is_relevant(&self, number: usize) -> bool {
        self.levels[number].is_some_and(|level| level > 0.0)
    }

    fn is_other(&self, number: usize) -> bool {
        self.levels[number] == Some(0.0)
    }

    fn counts(&self, returned: usize) -> GroupCounts {
        let mut counts = GroupCounts::default();
        for a in 0..self.levels.len() {
            for b in 0..self.levels.len() {
                if !self.prefers(a, b) {
                    continue;
                }
                let kept = usize::from(a < b && a < returned);
                let tally = Tally { kept, possible: 1 };
                match (a < returned, b < returned) {
                    (true, true) => counts.both = counts.both.and(tally),
                    (false, false) => counts.neither += 1,
                    _ => counts.one = counts.one.and(tally),
                }
            }
        }
        counts.balanced = self.balanced(&counts, returned);
        counts.balanced_returned = self.balanced_returned(&counts, returned);
        counts
    }

    fn balanced(&self, counts: &GroupCounts, returned: usize) -> Tally {
        let numbers = 0..self.levels.len();
        let relevant = numbers.clone().filter(|&n| self.is_relevant(n)).count();
        let others: Vec<usize> = numbers.clone().filter(|&n| self.is_other(n)).collect();
        if relevant >= others.len() {
            let found = (0..returned).filter(|&n| self.is_relevant(n)).count();
            let more = relevant - others.len();
            return counts.all().and(Tally { kept: found * more, possible: relevant * more });
        }
        self.recounted(&others[..relevant], numbers.len(), returned)
    }

    /// With the number of returned relevant documents, but every relevant one counts where documents are imagined: so
    /// trec_eval has it.
    fn balanced_returned(&self, counts: &GroupCounts, returned: usize) -> Tally {
        let all = (0..self.levels.len()).filter(|&n| self.is_relevant(n)).count();
        let found = (0..returned).filter(|&n| self.is_relevant(n)).count();
        let others: Vec<usize> = (0..returned).filter(|&n| self.is_other(n)).collect();
        if found >= others.len() {
            let more = found - others.len();
            return counts.both.and(Tally { kept: found * more, possible: all * more });
        }
        let kept = if self.reached.is_some() { all.min(others.len()) } else { found };
        self.recounted(&others[..kept], returned, returned)
    }

    /// The preferences among the first `end` documents, with `others` as the only non-relevant ones. With one list,
    /// trec_eval also counts each non-relevant document against each of `others`, itself included, as if it were to stand
    /// above; so does this.
    fn recounted(&self, others: &[usize], end: usize, returned: usize) -> Tally {
        let mut tally = Tally::default();
        let mut add = |a: usize, b: usize| {
            let kept = usize::from(a < b && a < returned);
            tally = tally.and(Tally { kept, possible: 1 });
        };
        let counts = |n: usize| !self.is_other(n) || others.binary_search(&n).is_ok();
        for a in 0..end {
            for b in 0..end {
                let both = match self.reached {
                    Some(_) => counts(a) && counts(b),
                    None => counts(b),
                };
                let preferred =
                    self.prefers(a, b) || (self.reached.is_none() && self.is_other(a) && self.is_other(b));
                if both && preferred {
                    add(a, b);
                }
            }
        }
        tally
    }
}

fn holds(set: &[u64], number: usize) -> bool {
    set[number / 64] >> (number % 64) & 1 == 1
}

/// Whom each document is preferred to, in a list or through others.
fn closure(lists: &[Vec<(usize, f64)>], documents: usize) -> Vec<Vec<u64>> {
    let mut reached = vec![vec![0_u64; documents.div_ceil(64)]; documents];
    for list in lists {
        for &(a, above) in list {
            for &(b, below) in list {
                if above > below {
                    reached[a][b / 64] |= 1 << (b % 64);
                }
            }
        }
    }
    for through in 0..documents {
        let beyond = reached[through].clone();
        for set in &mut reached {
            if holds(set, through) {
                set.iter_mut().zip(&beyond).for_each(|(word, more)| *word |= more);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::{PreferenceLevel, Preferences};

    fn preferences(lines: &[(&str, &str, &str, f64)]) -> Preferences {
        let mut preferences = Preferences::new();
        for (group, list, document, level) in lines {
            preferences.query_mut("q").push(PreferenceLevel {
                group: group.to_string(),
                list: list.to_string(),
                document: document.to_string(),
                level: *level,
            });
        }
        preferences
    }

    fn counts(lines: &[(&str, &str, &str, f64)], ranking: &[&str]) -> Result<PreferenceCounts, String> {
        PreferenceCounts::new(preferences(lines).query("q").unwrap(), ranking)
    }

    #[test]
    fn preferences_go_on_through_lists() {
        // 1 > 2 > 3 in one list, 2 > 4 in another: 1 > 4 follows, 3 and 4 are not compared.
        let lines = [
            ("u", "s1", "1", 3.0),
            ("u", "s1", "2", 2.0),
            ("u", "s1", "3", 1.0),
            ("u", "s2", "2", 5.0),
            ("u", "s2", "4", 4.0),
        ];
        let found = counts(&lines, &["1", "2", "3", "4"]).unwrap();
        assert_eq!(found.groups[0].all(), Tally { kept: 5, possible: 5 });
        let found = counts(&lines, &["4", "x", "1"]).unwrap();
        assert_eq!(found.groups[0].both, Tally { kept: 0, possible: 1 });
        assert_eq!(found.groups[0].one, Tally { kept: 2, possible: 3 });
        assert_eq!(found.groups[0].neither, 1);
    }

    #[test]
    fn contradictions_within_a_group_are_errors_and_between_groups_are_not() {
        let within = [("u", "1", "a", 2.0), ("u", "1", "b", 1.0), ("u", "2", "b", 2.0), ("u", "2", "a", 1.0)];
        assert!(counts(&within, &["a"]).unwrap_err().contains("contradict"));
        let between =
            [("u", "1", "a", 2.0), ("u", "1", "b", 1.0), ("v", "1", "b", 2.0), ("v", "1", "a", 1.0)];
        let found = counts(&between, &["a", "b"]).unwrap();
        assert_eq!(found.pairs_both, PairSum { sum: 0.5, pairs: 1 });
        let twice = [("u", "1", "a", 2.0), ("u", "1", "a", 1.0)];
        assert!(counts(&twice, &["a"]).unwrap_err().contains("twice"));
        let zero = [("u", "1", "a", 2.0), ("u", "1", "b", 1.0), ("u", "2", "a", 0.0), ("u", "2", "c", 1.0)];
        assert!(counts(&zero, &["a"]).unwrap_err().contains("level 0"));
    }
}
