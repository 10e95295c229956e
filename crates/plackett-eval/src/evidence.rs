//! Retrieval measured against sets of evidence (KILT: Petroni et al. 2021): a query may be answered from any of several sets of pages, and
//! a set is of use when all of its pages are there.

use std::collections::HashSet;

/// The sets of pages of which each answers a query; an empty set is none.
pub type EvidenceSets<'e> = [HashSet<&'e str>];

/// A place in a ranking of evidence.
#[derive(Clone, Copy, PartialEq)]
enum Slot {
    /// A page of no set.
    Other,
    /// A set of which pages are still missing.
    Part(usize),
    /// A set whose last page stands here.
    Whole,
}

/// The sets that have pages, equal ones once.
fn distinct<'e>(sets: &EvidenceSets<'e>) -> Vec<HashSet<&'e str>> {
    let mut distinct: Vec<HashSet<&str>> = Vec::new();
    for set in sets.iter().filter(|set| !set.is_empty()) {
        if !distinct.contains(set) {
            distinct.push(set.clone());
        }
    }
    distinct
}

/// A ranking of different pages beside the sets that answer its query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankedEvidence {
    /// By rank: the sets that the page is in.
    ranks: Vec<Vec<usize>>,
    /// How many pages each set has.
    sizes: Vec<usize>,
}

impl RankedEvidence {
    /// Of names. A page that stood there before is passed over.
    pub fn new(ranking: &[&str], sets: &EvidenceSets<'_>) -> RankedEvidence {
        let sets = distinct(sets);
        let mut seen = HashSet::new();
        let mut ranks = Vec::new();
        for &page in ranking {
            if seen.insert(page) {
                ranks.push((0..sets.len()).filter(|at| sets[*at].contains(page)).collect());
            }
        }
        RankedEvidence { ranks, sizes: sets.iter().map(HashSet::len).collect() }
    }

    /// The same where pages are told by the numbers of the sets that they are in: `ranking` by rank, `judged` for every page of a set.
    pub fn of_members(ranking: &[Vec<u32>], judged: &[Vec<u32>]) -> RankedEvidence {
        let slots = judged.iter().flatten().max().map_or(0, |last| *last as usize + 1);
        let mut pages: Vec<Vec<usize>> = vec![Vec::new(); slots];
        for (page, sets) in judged.iter().enumerate() {
            sets.iter().for_each(|set| pages[*set as usize].push(page));
        }
        let first_of_its_pages =
            |set: &usize| !pages[*set].is_empty() && !pages[..*set].contains(&pages[*set]);
        let kept: Vec<usize> = (0..slots).filter(first_of_its_pages).collect();
        let of_page = |sets: &Vec<u32>| -> Vec<usize> {
            (0..kept.len()).filter(|at| sets.contains(&(kept[*at] as u32))).collect()
        };
        RankedEvidence {
            ranks: ranking.iter().map(of_page).collect(),
            sizes: kept.iter().map(|set| pages[*set].len()).collect(),
        }
    }

    /// The ranking as slots, `true` where a set is whole. As in KILT's evaluation: a page of no set takes one slot; a set takes one slot
    /// where the last of its pages so far stands, and it counts once that was its last.
    pub fn slots(&self) -> Vec<bool> {
        let mut left = self.sizes.clone();
        let mut slots: Vec<Slot> = Vec::new();
        for sets in &self.ranks {
            for &at in sets {
                left[at] = left[at].saturating_sub(1);
                slots.retain(|slot| *slot != Slot::Part(at));
                slots.push(if left[at] == 0 { Slot::Whole } else { Slot::Part(at) });
            }
            if sets.is_empty() {
                slots.push(Slot::Other);
            }
        }
        slots.into_iter().map(|slot| slot == Slot::Whole).collect()
    }

    /// Whole sets among the first `k` slots.
    fn found(&self, k: usize) -> usize {
        self.slots().into_iter().take(k).filter(|slot| *slot).count()
    }

    /// Whole sets among the first `k` slots, as a share of `k`.
    pub fn precision(&self, k: usize) -> f64 {
        self.found(k) as f64 / k.max(1) as f64
    }

    /// Whole sets among the first `k` slots, as a share of all sets; 0 where there is none.
    pub fn recall(&self, k: usize) -> f64 {
        self.found(k) as f64 / self.sizes.len().max(1) as f64
    }

    /// 1 where a whole set is among the first `k` slots, else 0.
    pub fn success(&self, k: usize) -> f64 {
        f64::from(u8::from(self.found(k) > 0))
    }

    /// R-precision: of a set of R pages, those among the first R of the ranking as a share of R; the best over all sets. For one page it is
    /// precision at 1.
    pub fn r_precision(&self) -> f64 {
        let of_set = |(at, size): (usize, &usize)| {
            let first = self.ranks.iter().take(*size);
            first.filter(|sets| sets.contains(&at)).count() as f64 / (*size).max(1) as f64
        };
        self.sizes.iter().enumerate().map(of_set).fold(0.0, f64::max)
    }
}

/// [`RankedEvidence::slots`] of names.
pub fn evidence_slots(ranking: &[&str], sets: &EvidenceSets<'_>) -> Vec<bool> {
    RankedEvidence::new(ranking, sets).slots()
}

/// [`RankedEvidence::precision`] of names.
pub fn evidence_precision(ranking: &[&str], sets: &EvidenceSets<'_>, k: usize) -> f64 {
    RankedEvidence::new(ranking, sets).precision(k)
}

/// [`RankedEvidence::recall`] of names.
pub fn evidence_recall(ranking: &[&str], sets: &EvidenceSets<'_>, k: usize) -> f64 {
    RankedEvidence::new(ranking, sets).recall(k)
}

/// [`RankedEvidence::success`] of names.
pub fn evidence_success(ranking: &[&str], sets: &EvidenceSets<'_>, k: usize) -> f64 {
    RankedEvidence::new(ranking, sets).success(k)
}

/// [`RankedEvidence::r_precision`] of names.
pub fn evidence_r_precision(ranking: &[&str], sets: &EvidenceSets<'_>) -> f64 {
    RankedEvidence::new(ranking, sets).r_precision()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets<'e>(sets: &[&[&'e str]]) -> Vec<HashSet<&'e str>> {
        sets.iter().map(|set| set.iter().copied().collect()).collect()
    }

    #[test]
    fn a_set_counts_where_its_last_page_stands() {
        let gold = sets(&[&["A", "B"], &["C"]]);
        let ranking = ["A", "X", "B", "C"];
        assert_eq!(evidence_slots(&ranking, &gold), [false, true, true]);
        assert_eq!(evidence_precision(&ranking, &gold, 1), 0.0);
        assert_eq!(evidence_recall(&ranking, &gold, 2), 0.5);
        assert_eq!(evidence_recall(&ranking, &gold, 3), 1.0);
        assert_eq!((1..4).map(|k| evidence_success(&ranking, &gold, k)).collect::<Vec<_>>(), [0.0, 1.0, 1.0]);
        // What is there again takes no slot, and a set that is not whole keeps its slot at the last of its pages.
        assert_eq!(evidence_slots(&["A", "X", "A", "X"], &gold), [false, false]);
        assert_eq!(evidence_slots(&["A", "C"], &gold), [false, true]);
        assert_eq!(evidence_recall(&["A", "C"], &gold, 1), 0.0);
        let twice = sets(&[&["A"], &["A"], &["B"]]);
        assert_eq!(
            (evidence_slots(&["A", "B"], &twice), evidence_recall(&["A"], &twice, 1)),
            (vec![true, true], 0.5)
        );
    }

    #[test]
    fn r_precision_is_that_of_the_best_set() {
        let gold = sets(&[&["A", "B"], &["C"]]);
        assert_eq!(evidence_r_precision(&["A", "X", "B", "C"], &gold), 0.5);
        assert_eq!(evidence_r_precision(&["B", "A"], &gold), 1.0);
        assert_eq!(evidence_r_precision(&["B", "B", "A"], &gold), 1.0);
        assert_eq!(evidence_r_precision(&["C"], &gold), 1.0);
        assert_eq!(evidence_r_precision(&["X", "C"], &gold), 0.0);
        assert_eq!(evidence_r_precision(&[], &gold), 0.0);
        assert_eq!((evidence_r_precision(&["A"], &[]), evidence_recall(&["A"], &[], 3)), (0.0, 0.0));
    }

    #[test]
    fn pages_told_by_their_sets_are_measured_as_pages_with_names() {
        // {A, B}, {C}, and {C} again under another number; number 1 has no page.
        let judged = [vec![0], vec![0], vec![2, 3]];
        let ranking = [vec![0], vec![], vec![0], vec![3, 2]];
        let named = RankedEvidence::new(&["A", "X", "B", "C"], &sets(&[&["A", "B"], &["C"], &["C"]]));
        assert_eq!(RankedEvidence::of_members(&ranking, &judged), named);
        assert_eq!(RankedEvidence::of_members(&ranking, &[]).slots(), [false; 4]);
        assert_eq!(RankedEvidence::of_members(&[], &judged).recall(3), 0.0);
    }
}
