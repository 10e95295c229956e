//! How much words of a question tell: inverse document frequencies in a collection.

use plackett_core::summary::words;
use std::collections::{HashMap, HashSet};

/// How many of some documents have each word.
#[derive(Default)]
pub struct WordWeights {
    documents: usize,
    counts: HashMap<String, usize>,
}

impl WordWeights {
    /// Counts the words of one more document, each once.
    pub fn add(&mut self, document: &HashSet<String>) {
        self.documents += 1;
        document.iter().for_each(|word| *self.counts.entry(word.clone()).or_insert(0) += 1);
    }

    /// ln(1 + (N − n + ½) / (n + ½)) for each word of a question, in small letters.
    pub fn of(&self, question: &str) -> HashMap<String, f64> {
        let all = self.documents as f64;
        let weight = |word: &String| {
            let count = self.counts.get(word).copied().unwrap_or(0) as f64;
            (1.0 + (all - count + 0.5) / (count + 0.5)).ln()
        };
        words(question).into_iter().map(|word| (word.clone(), weight(&word))).collect()
    }
}
