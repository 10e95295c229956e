//! Pseudo queries without a generator: words of a sentence that are drawn, in their order.

use super::{PairSource, TextPair};
use plackett_core::Document;
use plackett_core::summary::sentences;
use plackett_train::random::Stream;
use plackett_train::trainer::words_of;
use std::collections::{HashMap, HashSet};

/// Pseudo queries in the place of those that a trained generator would write (docT5query): each is drawn from one sentence of a document,
/// and all sentences have their turn. Words that more than a share of the documents have are kept seldom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PseudoQueries {
    /// Queries of each document.
    pub count: usize,
    /// Least and most content words of a query; a sentence that has fewer gives all of them.
    pub content_words: (usize, usize),
    /// Share of the documents from which a word is no content word.
    pub frequent: f64,
    /// Share of the other words of the sentence that are kept.
    pub kept: f32,
    /// From which draws follow.
    pub seed: u64,
}

impl Default for PseudoQueries {
    fn default() -> PseudoQueries {
        PseudoQueries { count: 16, content_words: (2, 6), frequent: 0.2, kept: 0.3, seed: 1 }
    }
}

impl PseudoQueries {
    /// The queries of all documents, document after document. A document without a word has none.
    pub fn of(&self, documents: &[Document]) -> PairSource {
        let frequent = self.frequent_words(documents);
        let mut pairs = Vec::new();
        for (place, document) in documents.iter().enumerate() {
            let text = document.model_text();
            let sentences: Vec<Vec<String>> = sentences(&text)
                .into_iter()
                .map(|sentence| words_of(sentence).collect::<Vec<_>>())
                .filter(|words| !words.is_empty())
                .collect();
            if sentences.is_empty() {
                continue;
            }
            let order = Stream::new(self.seed, place as u64).permutation(sentences.len());
            for query in 0..self.count {
                let stream = Stream::new(self.seed, 1 << 40 | (place as u64) << 16 | query as u64);
                let sentence = &sentences[order[query % order.len()]];
                pairs.push(TextPair { text: self.drawn(sentence, &frequent, stream), document: place });
            }
        }
        PairSource::new(pairs)
    }

    /// Words in more than a share of the documents.
    fn frequent_words(&self, documents: &[Document]) -> HashSet<String> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for document in documents {
            let words: HashSet<String> = words_of(&document.model_text()).collect();
            words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
        }
        let most = self.frequent * documents.len() as f64;
        counts.into_iter().filter(|(_, count)| *count as f64 > most).map(|(word, _)| word).collect()
    }

    fn drawn(&self, sentence: &[String], frequent: &HashSet<String>, stream: Stream) -> String {
        let (mut content, rest): (Vec<usize>, Vec<usize>) =
            (0..sentence.len()).partition(|at| !frequent.contains(&sentence[*at]));
        let (least, most) = self.content_words;
        let wanted = least + stream.below(0, most.saturating_sub(least) + 1);
        let mut place = 1;
        let count = wanted.min(content.len());
        for at in 0..count {
            let other = at + stream.below(place, content.len() - at);
            content.swap(at, other);
            place += 1;
        }
        let mut chosen: Vec<usize> = content[..count].to_vec();
        for at in rest {
            // A sentence of frequent words alone still gives a query.
            if count == 0 || stream.uniform(place) < self.kept {
                chosen.push(at);
            }
            place += 1;
        }
        chosen.sort_unstable();
        chosen.into_iter().map(|at| sentence[at].as_str()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> Vec<Document> {
        let texts =
            ["The red fox jumps over a fence. The moon is full.", "The old ship sank in the storm.", "…"];
        texts.iter().enumerate().map(|(at, text)| Document::new(at.to_string(), *text)).collect()
    }

    #[test]
    fn queries_are_words_of_one_sentence_in_their_order() {
        let queries = PseudoQueries { count: 8, frequent: 0.5, ..PseudoQueries::default() };
        let source = queries.of(&documents());
        assert_eq!(source.pairs.len(), 16, "the third document has no words");
        let sentences =
            ["the red fox jumps over a fence", "the moon is full", "the old ship sank in the storm"];
        for pair in &source.pairs {
            let in_order = |sentence: &&str| {
                let mut words = sentence.split(' ');
                pair.text.split(' ').all(|word| words.any(|other| other == word))
            };
            assert!(sentences.iter().any(in_order), "{}", pair.text);
        }
        let of_moon =
            source.pairs.iter().filter(|pair| pair.text.contains("moon") || pair.text.contains("full"));
        assert!(of_moon.count() >= 3, "every second query of the first document is of its second sentence");
        assert_eq!(source, queries.of(&documents()));
        assert_ne!(source, PseudoQueries { seed: 2, ..queries }.of(&documents()));
    }
}
