//! What a document is learned from: pairs of a text and the document whose docid is to be written (How Does Generative Retrieval Scale,
//! 2023, section 3: FirstP, DaQ, D2Q and labelled queries, in any mixture).

mod pseudo_query;
mod weights;

pub use pseudo_query::PseudoQueries;
pub use weights::SourceWeights;

use plackett_core::Document;
use plackett_train::random::Stream;
use plackett_train::trainer::words_of;

/// A text, and the place in the corpus of the document that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextPair {
    /// What is read.
    pub text: String,
    /// Place of the document.
    pub document: usize,
}

/// Pairs of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairSource {
    /// The pairs.
    pub pairs: Vec<TextPair>,
    /// Its share of what is trained on, compared with those of the other sources; `None` for as many as there are pairs.
    pub weight: Option<f64>,
}

impl PairSource {
    /// A source without a weight.
    pub fn new(pairs: Vec<TextPair>) -> PairSource {
        PairSource { pairs, weight: None }
    }

    /// The share of `documents` documents that have a pair.
    pub fn coverage(&self, documents: usize) -> f64 {
        let mut covered = vec![false; documents];
        for pair in &self.pairs {
            if let Some(covered) = covered.get_mut(pair.document) {
                *covered = true;
            }
        }
        covered.iter().filter(|covered| **covered).count() as f64 / documents.max(1) as f64
    }
}

/// FirstP: the first words of each document.
pub fn first_words(documents: &[Document], words: usize) -> PairSource {
    let pair = |(document, text): (usize, &Document)| {
        let text = words_of(&text.model_text()).take(words).collect::<Vec<_>>().join(" ");
        TextPair { text, document }
    };
    PairSource::new(documents.iter().enumerate().map(pair).collect())
}

/// DaQ: `count` runs of neighbouring words of each document as queries, each from a drawn place. A document with no more words than
/// a run has is one pair.
pub fn chunks(documents: &[Document], count: usize, words: usize, seed: u64) -> PairSource {
    let mut pairs = Vec::new();
    for (document, text) in documents.iter().enumerate() {
        let all: Vec<String> = words_of(&text.model_text()).collect();
        let stream = Stream::new(seed, document as u64);
        let starts = all.len().saturating_sub(words) + 1;
        for at in 0..if starts == 1 { 1 } else { count } {
            let start = stream.below(at as u64, starts);
            let text = all[start..all.len().min(start + words)].join(" ");
            pairs.push(TextPair { text, document });
        }
    }
    PairSource::new(pairs)
}

/// All sources as one list, in which each has its share: as many pairs in all as the sources have together. A source whose share is
/// more than it has is gone through again, one whose share is less gives a drawn part.
pub fn mixed(sources: &[PairSource], seed: u64) -> Vec<TextPair> {
    let all: usize = sources.iter().map(|source| source.pairs.len()).sum();
    let weight = |source: &PairSource| match source.pairs.is_empty() {
        true => 0.0,
        false => source.weight.unwrap_or(source.pairs.len() as f64),
    };
    let total: f64 = sources.iter().map(weight).sum();
    let mut mixed = Vec::with_capacity(all);
    for (at, source) in sources.iter().enumerate().filter(|(_, source)| weight(source) > 0.0) {
        let share = (all as f64 * weight(source) / total).round() as usize;
        let order = Stream::new(seed, 1 << 40 | at as u64).permutation(source.pairs.len());
        mixed.extend(order.iter().cycle().take(share).map(|place| source.pairs[*place].clone()));
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> Vec<Document> {
        vec![Document::new("a", "one two three four five six"), Document::new("b", "seven eight")]
    }

    #[test]
    fn first_words_and_chunks_are_runs_of_the_text() {
        let first = first_words(&documents(), 3);
        assert_eq!(first.pairs[0], TextPair { text: "one two three".into(), document: 0 });
        assert_eq!(first.pairs[1], TextPair { text: "seven eight".into(), document: 1 });
        let chunks = chunks(&documents(), 5, 4, 1);
        assert_eq!(chunks.pairs.iter().filter(|pair| pair.document == 0).count(), 5);
        assert_eq!(chunks.pairs.len(), 6);
        let whole = "one two three four five six";
        for pair in chunks.pairs.iter().filter(|pair| pair.document == 0) {
            assert!(whole.contains(&pair.text) && pair.text.split(' ').count() == 4, "{}", pair.text);
        }
    }

    #[test]
    fn sources_have_the_shares_that_they_weigh() {
        let pair = |document| TextPair { text: String::new(), document };
        let source = |documents: std::ops::Range<usize>, weight| PairSource {
            pairs: documents.map(pair).collect(),
            weight,
        };
        let count =
            |mixed: &[TextPair], from: usize| mixed.iter().filter(|pair| pair.document >= from).count();
        let natural = mixed(&[source(0..30, None), source(30..40, None)], 1);
        assert_eq!((natural.len(), count(&natural, 30)), (40, 10));
        let equal = mixed(&[source(0..30, Some(1.0)), source(30..40, Some(1.0))], 1);
        assert_eq!((equal.len(), count(&equal, 30)), (40, 20));
        assert!((30..40).all(|document| equal.iter().filter(|pair| pair.document == document).count() == 2));
        assert!(mixed(&[source(0..0, Some(3.0))], 1).is_empty());
    }

    #[test]
    fn coverage_is_the_share_of_documents_with_a_pair() {
        let pair = |document| TextPair { text: String::new(), document };
        assert_eq!(PairSource::new(vec![pair(0), pair(0), pair(2)]).coverage(4), 0.5);
    }
}
