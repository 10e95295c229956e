//! Pairs in the right order, and other counts by which search engines compare rankers: PNR, good and same and bad, team drafts.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

/// Pairs of documents with different grades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Concordance {
    /// The better one has the greater score.
    pub concordant: usize,
    /// It has the smaller one.
    pub discordant: usize,
    /// Both have the same.
    pub tied: usize,
}

impl Concordance {
    /// Counts the pairs of a query.
    pub fn new(scores: &[f64], grades: &[f64]) -> Concordance {
        let mut counts = Concordance::default();
        let count = scores.len().min(grades.len());
        for i in 0..count {
            for j in i + 1..count {
                let better = (grades[i] - grades[j]) * (scores[i] - scores[j]);
                match (grades[i] == grades[j], better > 0.0, better < 0.0) {
                    (true, ..) => {}
                    (_, true, _) => counts.concordant += 1,
                    (_, _, true) => counts.discordant += 1,
                    _ => counts.tied += 1,
                }
            }
        }
        counts
    }

    /// Counts the pairs of a query whose documents stand in an order, the best first: none of them is tied.
    pub fn of_order(grades: impl IntoIterator<Item = i32>) -> Concordance {
        let mut counts = Concordance::default();
        // Documents above, by grade: there are few grades, and lists may be long.
        let mut above: BTreeMap<i32, usize> = BTreeMap::new();
        for grade in grades {
            for (other, documents) in &above {
                match other.cmp(&grade) {
                    Ordering::Greater => counts.concordant += documents,
                    Ordering::Less => counts.discordant += documents,
                    Ordering::Equal => {}
                }
            }
            *above.entry(grade).or_default() += 1;
        }
        counts
    }

    /// Adds the pairs of another query.
    pub fn and(self, other: Concordance) -> Concordance {
        Concordance {
            concordant: self.concordant + other.concordant,
            discordant: self.discordant + other.discordant,
            tied: self.tied + other.tied,
        }
    }

    /// Positive–negative ratio: concordant over discordant pairs, at most `cap`, which it is without a discordant one; `None` without
    /// any pair.
    pub fn ratio(self, cap: f64) -> Option<f64> {
        match (self.concordant, self.discordant) {
            (0, 0) => None,
            (_, 0) => Some(cap),
            (good, bad) => Some((good as f64 / bad as f64).min(cap)),
        }
    }
}

/// (good − bad) / (good + same + bad) of side-by-side judgments; `None` without any.
pub fn good_same_bad(good: usize, same: usize, bad: usize) -> Option<f64> {
    let all = good + same + bad;
    (all > 0).then(|| (good as f64 - bad as f64) / all as f64)
}

/// A list of two rankers' results, and whose each is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamDraft<'d> {
    /// Documents, best first.
    pub documents: Vec<&'d str>,
    /// Whether a document was drafted by the first ranker.
    pub of_first: Vec<bool>,
}

/// Interleaves two rankings (Radlinski, Kurup and Joachims, How does clickthrough data reflect retrieval quality?, CIKM 2008): in each
/// round both rankers draft their best document that is not there yet, in an order that a coin decides.
pub fn team_draft<'d>(first: &[&'d str], second: &[&'d str], depth: usize, seed: u64) -> TeamDraft<'d> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draft = TeamDraft { documents: Vec::new(), of_first: Vec::new() };
    let mut taken: HashSet<&str> = HashSet::new();
    loop {
        let before = draft.documents.len();
        let first_begins = random.random::<bool>();
        for is_first in [first_begins, !first_begins] {
            let ranking = if is_first { first } else { second };
            let next = ranking.iter().find(|document| !taken.contains(**document));
            if let (Some(document), true) = (next, draft.documents.len() < depth) {
                taken.insert(document);
                draft.documents.push(document);
                draft.of_first.push(is_first);
            }
        }
        if draft.documents.len() == before {
            return draft;
        }
    }
}

/// Clicks on either ranker's documents of a team draft.
pub fn team_clicks(draft: &TeamDraft<'_>, clicked: &[&str]) -> (usize, usize) {
    let of = |is_first: bool| {
        let own = draft.documents.iter().zip(&draft.of_first).filter(|(_, of)| **of == is_first);
        own.filter(|(document, _)| clicked.contains(document)).count()
    };
    (of(true), of(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted() {
        let grades = [2.0, 1.0, 1.0, 0.0];
        let counts = |scores: &[f64]| Concordance::new(scores, &grades);
        assert_eq!(counts(&[4.0, 3.0, 2.0, 1.0]).ratio(99.0), Some(99.0));
        assert_eq!(counts(&[1.0, 2.0, 3.0, 4.0]).ratio(99.0), Some(0.0));
        let some = counts(&[3.0, 4.0, 1.0, 1.0]);
        assert_eq!((some.concordant, some.discordant, some.tied), (3, 1, 1));
        assert_eq!(some.and(some).ratio(99.0), Some(3.0));
        assert_eq!(Concordance::new(&[1.0, 2.0], &[1.0, 1.0]).ratio(9.0), None);
        // The same order as the third, with the tie broken.
        let ordered = Concordance::of_order([1, 2, 1, 0]);
        assert_eq!((ordered.concordant, ordered.discordant, ordered.tied), (4, 1, 0));
        assert_eq!(Concordance::of_order([]), Concordance::default());
        assert_eq!((good_same_bad(6, 2, 2), good_same_bad(0, 0, 0)), (Some(0.4), None));
    }

    #[test]
    fn teams_draft_fairly() {
        let (first, second) = (["a", "b", "c", "d"], ["d", "c", "x", "a"]);
        let mut begins = 0;
        for seed in 0..400 {
            let draft = team_draft(&first, &second, 4, seed);
            assert_eq!(draft.documents.len(), 4);
            assert_eq!(draft.of_first.iter().filter(|of| **of).count(), 2);
            let distinct: HashSet<_> = draft.documents.iter().collect();
            assert_eq!(distinct.len(), 4);
            begins += usize::from(draft.of_first[0]);
        }
        assert!((150..250).contains(&begins), "{begins}");
        let draft = team_draft(&first, &second, 9, 1);
        assert_eq!(draft.documents.len(), 5, "every document once");
        let (ours, theirs) = team_clicks(&draft, &["a", "x"]);
        assert_eq!(ours + theirs, 2);
        assert_eq!(team_draft(&[], &[], 5, 1).documents.len(), 0);
    }
}
