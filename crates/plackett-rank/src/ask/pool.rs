//! What several searches found, joined, with who found it.

use plackett_core::diversity::round_robin;
use std::collections::HashMap;

/// Where a search found a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The search: 0 with the question alone, then one for each aspect.
    pub search: usize,
    /// The rank there, from 1.
    pub rank: usize,
}

/// A candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolEntry {
    /// The document's identifier.
    pub id: String,
    /// Every search that found it, in the order of the searches.
    pub found_by: Vec<Finding>,
}

/// The union of what several searches found. The order is that of the retriever: what the question alone found, then what
/// only aspects found, one from each in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// The candidates, each once.
    pub entries: Vec<PoolEntry>,
    /// How many were found beyond the most that were wanted.
    pub dropped: usize,
    /// Positions of candidates in the order of each search, that of the question first.
    lists: Vec<Vec<usize>>,
}

impl Pool {
    /// Joins lists of identifiers, best first: that of the question, then one for each aspect. Of more than `most`
    /// documents those stay that come first when one is taken from each list in turn, so that no aspect loses all of its
    /// own. An identifier that a list has twice counts where it comes first.
    pub fn join(lists: &[Vec<String>], most: usize) -> Pool {
        let all = round_robin(lists, usize::MAX);
        let dropped = all.len().saturating_sub(most);
        let kept: Vec<&String> = all.iter().take(most).map(|(id, _)| id).collect();
        let mut ranks: HashMap<&str, Vec<Finding>> = HashMap::new();
        for (search, list) in lists.iter().enumerate() {
            for (place, id) in list.iter().enumerate() {
                let found = ranks.entry(id.as_str()).or_default();
                if found.last().is_none_or(|last| last.search != search) {
                    found.push(Finding { search, rank: place + 1 });
                }
            }
        }
        let mut entries: Vec<PoolEntry> = kept
            .into_iter()
            .map(|id| PoolEntry { id: id.clone(), found_by: ranks.remove(id.as_str()).unwrap_or_default() })
            .collect();
        // Stable: those that only aspects found keep their turns.
        entries.sort_by_key(|entry| entry.of(0).unwrap_or(usize::MAX));
        let mut pool = Pool { entries, dropped, lists: Vec::new() };
        pool.lists = (0..lists.len()).map(|search| pool.list(search)).collect();
        pool
    }

    fn list(&self, search: usize) -> Vec<usize> {
        let found = self.entries.iter().enumerate();
        let mut ranked: Vec<(usize, usize)> =
            found.filter_map(|(at, entry)| Some((entry.of(search)?, at))).collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, at)| at).collect()
    }

    /// Leaves out the candidates of some positions, such as those without a text.
    pub fn without(mut self, positions: &[usize]) -> Pool {
        let mut at = 0;
        self.entries.retain(|_| {
            at += 1;
            !positions.contains(&(at - 1))
        });
        self.lists = (0..self.lists.len()).map(|search| self.list(search)).collect();
        self
    }

    /// Positions of the candidates that each aspect found, in its order; without aspects those of the question.
    pub fn aspect_lists(&self) -> &[Vec<usize>] {
        if self.lists.len() > 1 { &self.lists[1..] } else { &self.lists }
    }

    /// How many candidates there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl PoolEntry {
    /// The rank in a search, from 1.
    pub fn of(&self, search: usize) -> Option<usize> {
        self.found_by.iter().find(|finding| finding.search == search).map(|finding| finding.rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(words: &[&str]) -> Vec<Vec<String>> {
        words.iter().map(|list| list.chars().map(String::from).collect()).collect()
    }

    fn ids(pool: &Pool) -> String {
        pool.entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn a_candidate_stands_once_and_knows_who_found_it() {
        let pool = Pool::join(&lists(&["abc", "bde", "fdb"]), 100);
        // The question's own, then f (first of the third list), d and e.
        assert_eq!((ids(&pool).as_str(), pool.dropped), ("abcfde", 0));
        let findings: Vec<(usize, usize)> =
            pool.entries[1].found_by.iter().map(|finding| (finding.search, finding.rank)).collect();
        assert_eq!(findings, [(0, 2), (1, 1), (2, 3)]);
        assert_eq!(pool.aspect_lists(), [vec![1, 4, 5], vec![3, 4, 1]]);
    }

    #[test]
    fn a_cap_takes_from_every_list_in_turn() {
        // In turns: a, b, f, then c (of the question), d; e comes last.
        let pool = Pool::join(&lists(&["ac", "bde", "fdb"]), 4);
        assert_eq!((ids(&pool).as_str(), pool.dropped), ("acbf", 2));
        assert_eq!(pool.aspect_lists(), [vec![2], vec![3, 2]]);
        assert_eq!(ids(&Pool::join(&lists(&["abca"]), 9)), "abc");
        assert!(Pool::join(&lists(&["", ""]), 9).is_empty());
    }

    #[test]
    fn candidates_without_text_leave_their_lists_too() {
        let pool = Pool::join(&lists(&["abc", "bde"]), 100).without(&[1]);
        assert_eq!(ids(&pool), "acde");
        assert_eq!(pool.aspect_lists(), [vec![2, 3]]);
        assert_eq!(Pool::join(&lists(&["ab"]), 9).aspect_lists(), [vec![0, 1]]);
    }
}
