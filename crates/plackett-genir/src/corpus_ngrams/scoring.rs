//! Documents by the n-grams that a model found probable.

use super::index::NgramIndex;
use super::writing::Ngram;
use std::collections::{BTreeMap, HashSet};

/// The largest ln P(n|q) that odds are taken of: a model that is certain would make them infinite.
const MOST_CERTAIN: f64 = -1e-9;

/// The score of an n-gram for a query (SEAL, LM+FM): how much likelier it is after the query than anywhere in the corpus, as the logarithm of
/// the quotient of the odds, w(n, q) = max(0, ln (P(n|q) (1 − P(n)) / (P(n) (1 − P(n|q))))). P(n) is `count` occurrences in a corpus of `tokens`;
/// `log_prob` is ln P(n|q). An n-gram that is not there scores 0.
pub fn ngram_score(log_prob: f64, count: usize, tokens: usize) -> f64 {
    if count == 0 || tokens == 0 {
        return 0.0;
    }
    let log_prob = log_prob.min(MOST_CERTAIN);
    let share = count as f64 / tokens as f64;
    let odds = log_prob - (-log_prob.exp_m1()).ln();
    let odds_anywhere = share.ln() - (1.0 - share).ln();
    (odds - odds_anywhere).max(0.0)
}

/// How n-grams make the score of a document (SEAL, intersective scoring): W(d, q) = Σ w(n, q)^α · cover(n).
///
/// The sum goes over n-grams of the document that do not overlap in it, each once, the best before the others. Of an n-gram that repeats tokens of
/// better ones, cover(n) = 1 − β + β · (the share of its different tokens that none of the better ones has), so that variants of one n-gram
/// count for less than n-grams about different things.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntersectiveScoring {
    /// α: the greater it is, the less n-grams of small scores count.
    pub alpha: f64,
    /// β, from 0 (repeated tokens count in full) to 1 (an n-gram without a new token counts nothing).
    pub beta: f64,
}

impl Default for IntersectiveScoring {
    /// As in SEAL: α = 2, β = 0.8.
    fn default() -> IntersectiveScoring {
        IntersectiveScoring { alpha: 2.0, beta: 0.8 }
    }
}

/// A document and why it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct NgramDocument {
    /// Its number in the index.
    pub document: usize,
    /// W(d, q), above 0.
    pub score: f64,
    /// The n-grams that make the score, as places in the list that was given, with their part of it, the best before the others.
    pub ngrams: Vec<(usize, f64)>,
}

/// An n-gram in a document: its place among the given ones, and where it begins.
type Occurrence = (usize, usize);

impl IntersectiveScoring {
    /// The documents that have n-grams of a score above 0, the best first (equal scores by their number). Holds 16 bytes for each occurrence of
    /// such an n-gram.
    pub fn rank(&self, index: &NgramIndex, ngrams: &[Ngram]) -> Vec<NgramDocument> {
        let score = |ngram: &Ngram| ngram_score(ngram.log_prob, ngram.run.count(), index.tokens());
        let scores: Vec<f64> = ngrams.iter().map(score).collect();
        let mut best: Vec<usize> = (0..ngrams.len()).filter(|n| scores[*n] > 0.0).collect();
        best.sort_by(|a, b| {
            scores[*b].total_cmp(&scores[*a]).then_with(|| ngrams[*a].tokens.cmp(&ngrams[*b].tokens))
        });
        // The occurrences in each document, those of better n-grams first.
        let mut found: BTreeMap<usize, Vec<Occurrence>> = BTreeMap::new();
        for n in best {
            for (document, place) in index.occurrences(ngrams[n].run) {
                found.entry(document).or_default().push((n, place));
            }
        }
        let documents = found.into_iter().map(|(document, occurrences)| {
            let parts = self.parts(ngrams, &scores, &occurrences);
            NgramDocument { document, score: parts.iter().map(|(_, part)| part).sum(), ngrams: parts }
        });
        let mut documents: Vec<NgramDocument> = documents.filter(|document| document.score > 0.0).collect();
        documents.sort_by(|a, b| b.score.total_cmp(&a.score));
        documents
    }

    /// What each n-gram of a document adds to its score.
    fn parts(&self, ngrams: &[Ngram], scores: &[f64], occurrences: &[Occurrence]) -> Vec<(usize, f64)> {
        let mut parts: Vec<(usize, f64)> = Vec::new();
        // Places that taken n-grams stand on: the last behind each first one.
        let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
        let mut known: HashSet<u32> = HashSet::new();
        for (n, place) in occurrences {
            let tokens = &ngrams[*n].tokens;
            let end = place + tokens.len();
            // Taken places do not overlap, so the one that begins last before the end is the one that reaches farthest.
            let overlaps = taken.range(..end).next_back().is_some_and(|(_, behind)| behind > place);
            if overlaps || parts.last().is_some_and(|(last, _)| last == n) {
                continue;
            }
            taken.insert(*place, end);
            let own: HashSet<u32> = tokens.iter().copied().collect();
            let new = own.iter().filter(|token| !known.contains(*token)).count();
            let cover = 1.0 - self.beta + self.beta * new as f64 / own.len().max(1) as f64;
            known.extend(own);
            parts.push((*n, scores[*n].powf(self.alpha) * cover));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::NgramIndexBuilder;
    use super::*;

    fn index_of(documents: &[&[u32]]) -> NgramIndex {
        let mut builder = NgramIndexBuilder::new(3).unwrap();
        for document in documents {
            builder.push(&[document]).unwrap();
        }
        builder.finish().unwrap()
    }

    fn ngram(index: &NgramIndex, tokens: &[u32], probability: f64) -> Ngram {
        Ngram { tokens: tokens.to_vec(), log_prob: probability.ln(), run: index.find(tokens).unwrap() }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn an_ngram_scores_by_how_much_likelier_it_is_after_the_query() {
        // Odds of 1 to 1 after the query and 2 to 8 anywhere.
        assert!(near(ngram_score(0.5f64.ln(), 2, 10), 4f64.ln()));
        // As likely as anywhere, and less likely.
        assert!(near(ngram_score(0.2f64.ln(), 2, 10), 0.0));
        assert_eq!(ngram_score(0.1f64.ln(), 2, 10), 0.0);
        assert_eq!(ngram_score(-1.0, 0, 10), 0.0);
        assert_eq!(ngram_score(-1.0, 10, 10), 0.0, "it is certain anywhere");
        assert!(ngram_score(0.0, 1, 10).is_finite(), "a model that is certain");
        assert_eq!(ngram_score(f64::NEG_INFINITY, 1, 10), 0.0, "impossible after the query");
    }

    /// Ten tokens. [3] has odds of 2 to 3 and 1 to 9: ln 6. [1 2] ln 4 as above. [2 3] 1 to 4 and 1 to 9: ln 2.25; it overlaps both in the
    /// first document. [5] is likelier anywhere (4 of 10).
    #[test]
    fn documents_sum_ngrams_that_do_not_overlap() {
        let index = index_of(&[&[1, 2, 3, 4], &[1, 2, 5], &[5, 5, 5]]);
        let of = |tokens: &[u32], probability| ngram(&index, tokens, probability);
        let ngrams = [of(&[2, 3], 0.2), of(&[1, 2], 0.5), of(&[5], 0.1), of(&[3], 0.4)];
        let [six, four] = [6f64.ln(), 4f64.ln()];
        let found = IntersectiveScoring::default().rank(&index, &ngrams);
        assert_eq!(found.iter().map(|hit| hit.document).collect::<Vec<_>>(), [0, 1]);
        assert!(near(found[0].score, six * six + four * four), "{found:?}");
        assert_eq!(found[0].ngrams.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3, 1]);
        assert!(near(found[1].score, four * four), "{found:?}");
        let plain = IntersectiveScoring { alpha: 1.0, beta: 0.8 }.rank(&index, &ngrams);
        assert!(near(plain[0].score, six + four), "{plain:?}");
    }

    /// [1 2] stands before [2 3], which has one new token of two; the second [1 2] counts nothing.
    #[test]
    fn tokens_that_better_ngrams_have_count_less() {
        let index = index_of(&[&[1, 2, 9, 2, 3, 1, 2], &[8, 8, 8]]);
        let ngrams = [ngram(&index, &[2, 3], 0.2), ngram(&index, &[1, 2], 0.5)];
        // Odds of 1 to 4 and 1 to 9; of 1 to 1 and 2 to 8.
        let (two_three, one_two) = ((0.25f64 * 9.0).ln(), 4f64.ln());
        for (beta, cover) in [(0.8, 0.6), (0.0, 1.0), (1.0, 0.5)] {
            let found = IntersectiveScoring { alpha: 2.0, beta }.rank(&index, &ngrams);
            assert_eq!(found.len(), 1);
            assert!(near(found[0].score, one_two * one_two + cover * two_three * two_three), "{found:?}");
            assert_eq!(found[0].ngrams.len(), 2);
        }
    }
}
