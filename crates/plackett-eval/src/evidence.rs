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

/// A ranking as slots, `true` where a set is whole. As in KILT's evaluation: a page of no set takes one slot; a set takes one slot where the
/// last of its pages so far stands, and it counts once that was its last; a page that stood there before takes none.
pub fn evidence_slots(ranking: &[&str], sets: &EvidenceSets<'_>) -> Vec<bool> {
    let mut left = distinct(sets);
    let (mut slots, mut seen): (Vec<Slot>, HashSet<&str>) = Default::default();
    for page in ranking.iter().filter(|page| seen.insert(**page)) {
        let mut is_evidence = false;
        for (at, set) in left.iter_mut().enumerate() {
            if set.remove(page) {
                is_evidence = true;
                slots.retain(|slot| *slot != Slot::Part(at));
                slots.push(if set.is_empty() { Slot::Whole } else { Slot::Part(at) });
            }
        }
        if !is_evidence {
            slots.push(Slot::Other);
        }
    }
    slots.into_iter().map(|slot| slot == Slot::Whole).collect()
}

/// Whole sets among the first `k` slots, as a share of `k`.
pub fn evidence_precision(ranking: &[&str], sets: &EvidenceSets<'_>, k: usize) -> f64 {
    found(ranking, sets, k) as f64 / k.max(1) as f64
}

/// Whole sets among the first `k` slots, as a share of all sets; 0 where there is none.
pub fn evidence_recall(ranking: &[&str], sets: &EvidenceSets<'_>, k: usize) -> f64 {
    found(ranking, sets, k) as f64 / distinct(sets).len().max(1) as f64
}

/// 1 where a whole set is among the first `k` slots, else 0.
pub fn evidence_success(ranking: &[&str], sets: &EvidenceSets<'_>, k: usize) -> f64 {
    f64::from(u8::from(found(ranking, sets, k) > 0))
}

/// R-precision: of a set of R pages, those among the first R different ones of the ranking as a share of R; the best over all sets. For one page it is
/// precision at 1.
pub fn evidence_r_precision(ranking: &[&str], sets: &EvidenceSets<'_>) -> f64 {
    let mut seen = HashSet::new();
    let different: Vec<&str> = ranking.iter().copied().filter(|page| seen.insert(*page)).collect();
    let of_set = |set: &HashSet<&str>| {
        let first: HashSet<&str> = different.iter().take(set.len()).copied().collect();
        first.intersection(set).count() as f64 / set.len().max(1) as f64
    };
    sets.iter().map(of_set).fold(0.0, f64::max)
}

fn found(ranking: &[&str], sets: &EvidenceSets<'_>, k: usize) -> usize {
    evidence_slots(ranking, sets).into_iter().take(k).filter(|slot| *slot).count()
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
}
