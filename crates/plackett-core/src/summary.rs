//! QUITE: sentences of a document that cover the words of a query, for models that read no more (Zou and others, Pre-trained Language
//! Model based Ranking in Baidu Search, KDD 2021, query-weighted summary extraction).

use std::collections::{HashMap, HashSet};
use unicode_segmentation::UnicodeSegmentation;

/// How much is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many sentences.
    Sentences(usize),
    /// So many words; the last sentence is cut.
    Words(usize),
}

/// A summary that covers a query.
#[derive(Clone, Debug, PartialEq)]
pub struct QuerySummary {
    /// Places of the sentences, in the order in which they were picked.
    pub picked: Vec<usize>,
    /// The sentences, in the order of the document, with blanks between them.
    pub text: String,
    /// Whether no sentence has a word of the query, so that the first ones stand here.
    pub is_lead: bool,
}

/// The sentences of a text (Unicode's rules), without blanks around them.
pub fn sentences(text: &str) -> Vec<&str> {
    text.unicode_sentences().map(str::trim).filter(|sentence| !sentence.is_empty()).collect()
}

/// The words of a text in small letters.
pub fn words(text: &str) -> Vec<String> {
    text.unicode_words().map(str::to_lowercase).collect()
}

/// Picks sentences one after another: each time the one whose distinct words have the greatest weights in all (of equal ones the first),
/// whereupon the weights of its query words are multiplied with `decay`, so that the next one covers others. `weights` are those of the
/// query's words, in small letters, at least 0.
pub fn query_summary(text: &str, weights: &HashMap<String, f64>, decay: f64, budget: Budget) -> QuerySummary {
    let all = sentences(text);
    let of_query: Vec<HashSet<String>> = all
        .iter()
        .map(|sentence| words(sentence).into_iter().filter(|word| weights.contains_key(word)).collect())
        .collect();
    let mut weights = weights.clone();
    let lengths: Vec<usize> = all.iter().map(|sentence| sentence.split_whitespace().count()).collect();
    let mut picked: Vec<usize> = Vec::new();
    let is_lead = of_query.iter().all(HashSet::is_empty);
    let mut left = match budget {
        Budget::Sentences(count) => count,
        Budget::Words(count) => count,
    };
    while left > 0 && picked.len() < all.len() {
        let next = match is_lead {
            true => Some(picked.len()),
            false => best(&of_query, &weights, &picked),
        };
        let Some(next) = next else { break };
        picked.push(next);
        for word in &of_query[next] {
            if let Some(weight) = weights.get_mut(word) {
                *weight *= decay;
            }
        }
        left = match budget {
            Budget::Sentences(_) => left - 1,
            Budget::Words(_) => left.saturating_sub(lengths[next]),
        };
    }
    QuerySummary { text: joined(&all, &picked, budget), picked, is_lead }
}

/// The sentence with the greatest weight that is not picked yet.
fn best(of_query: &[HashSet<String>], weights: &HashMap<String, f64>, picked: &[usize]) -> Option<usize> {
    let score = |at: usize| {
        // In one order, so that the sum is the same each time.
        let mut parts: Vec<f64> =
            of_query[at].iter().map(|word| weights.get(word).copied().unwrap_or(0.0)).collect();
        parts.sort_by(f64::total_cmp);
        parts.iter().sum::<f64>()
    };
    let open = (0..of_query.len()).filter(|at| !picked.contains(at));
    open.map(|at| (at, score(at)))
        .fold(None, |best: Option<(usize, f64)>, (at, score)| match best {
            Some((_, most)) if score <= most => best,
            _ => Some((at, score)),
        })
        .map(|(at, _)| at)
}

/// Sentences in the order of the document; the one that was picked last is cut where a budget of words ends.
fn joined(all: &[&str], picked: &[usize], budget: Budget) -> String {
    let mut order: Vec<usize> = picked.to_vec();
    order.sort_unstable();
    let mut cut = None;
    if let (Budget::Words(most), Some((&last, before))) = (budget, picked.split_last()) {
        let used: usize = before.iter().map(|at| all[*at].split_whitespace().count()).sum();
        cut = Some((last, most.saturating_sub(used)));
    }
    let text = |at: usize| match cut {
        Some((last, left)) if last == at => {
            all[at].split_whitespace().take(left).collect::<Vec<_>>().join(" ")
        }
        _ => all[at].to_string(),
    };
    order.into_iter().map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(all: &[(&str, f64)]) -> HashMap<String, f64> {
        all.iter().map(|(word, weight)| (word.to_string(), *weight)).collect()
    }

    const TEXT: &str = "A x B. Then a. A b without c? No: B and C! Only c.";

    #[test]
    fn decay_makes_later_sentences_cover_other_words() {
        // Sentences {a, b}, {a}, {b, c}, {c}; the specification's golden vector.
        let text = "A and b. Only a. Here b, c. Last c.";
        let of = |decay, count| {
            let golden = weights(&[("a", 3.0), ("b", 2.0), ("c", 1.0)]);
            query_summary(text, &golden, decay, Budget::Sentences(count))
        };
        let summary = of(0.5, 3);
        assert_eq!(summary.picked, [0, 2, 1]);
        assert_eq!(summary.text, "A and b. Only a. Here b, c.");
        // Without decay s1 and s2 tie, and the first one is taken.
        assert_eq!(of(1.0, 2).picked, [0, 1]);
        assert_eq!(of(0.5, 99).picked.len(), 4);
    }

    #[test]
    fn budgets_fallbacks_and_other_scripts() {
        let query = weights(&[("c", 1.0)]);
        assert_eq!(query_summary(TEXT, &query, 0.5, Budget::Words(3)).text, "A b without");
        assert_eq!(query_summary(TEXT, &query, 0.5, Budget::Words(0)).text, "");
        let none = query_summary(TEXT, &weights(&[("zebra", 1.0)]), 0.5, Budget::Sentences(2));
        assert_eq!((none.picked, none.is_lead), (vec![0, 1], true));
        assert_eq!(query_summary("", &query, 0.5, Budget::Sentences(2)).text, "");
        assert_eq!(sentences("第一句。第二句！").len(), 2);
    }
}
