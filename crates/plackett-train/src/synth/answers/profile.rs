//! What the answers of an author are like: how long, how near to the words of their questions, how much they repeat themselves.

use super::{AnswerCollections, Author, overlap, word_list};
use plackett_core::diversity::distinct;
use serde::Serialize;
use std::collections::BTreeMap;

/// Means over answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct AnswerProfile {
    /// How many answers there are.
    pub answers: usize,
    /// Words of an answer.
    pub words: f64,
    /// The share of the different words of its question that an answer has.
    pub overlap: f64,
    /// Different words of an answer by its words (distinct-1); `None` where no answer has a word.
    pub distinct_1: Option<f64>,
    /// The same of pairs of neighbouring words (distinct-2); `None` where no answer has two words.
    pub distinct_2: Option<f64>,
}

impl AnswerProfile {
    /// Of questions with an answer each.
    fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> AnswerProfile {
        let (mut lengths, mut shares) = (Vec::new(), Vec::new());
        let mut distinct_grams: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for (question, answer) in pairs {
            let words = word_list(answer);
            lengths.push(words.len() as f64);
            shares.push(overlap(question, answer));
            for (size, found) in (1..).zip(&mut distinct_grams) {
                found.extend(distinct(&words, size));
            }
        }
        let [distinct_1, distinct_2] = distinct_grams.map(|found| mean(&found));
        AnswerProfile {
            answers: lengths.len(),
            words: mean(&lengths).unwrap_or_default(),
            overlap: mean(&shares).unwrap_or_default(),
            distinct_1,
            distinct_2,
        }
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

impl AnswerCollections {
    /// What all answers of an author are like.
    pub fn profile(&self, author: Author) -> AnswerProfile {
        AnswerProfile::of(self.pairs(author).map(|(_, question, answer)| (question, answer)))
    }

    /// The same for each domain in which there are answers, by its name.
    pub fn profiles_by_domain(&self, author: Author) -> BTreeMap<&str, AnswerProfile> {
        let mut pairs: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for (domain, question, answer) in self.pairs(author) {
            pairs.entry(domain).or_default().push((question, answer));
        }
        pairs.into_iter().map(|(domain, pairs)| (domain, AnswerProfile::of(pairs))).collect()
    }

    /// Domain, question and answer of each answer of an author.
    fn pairs(&self, author: Author) -> impl Iterator<Item = (&str, &str, &str)> {
        let collection = self.of(author);
        let answers = collection.answers.iter().zip(&collection.question);
        answers.map(move |((_, answer), question)| {
            (self.domains[*question].as_str(), self.questions[*question].as_str(), answer.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::AnswerRecord;
    use super::*;

    #[test]
    fn answers_are_profiled_by_author_and_domain() {
        let record = |domain: &str, question: &str, human: &[&str]| AnswerRecord {
            question: question.into(),
            human_answers: human.iter().map(ToString::to_string).collect(),
            model_answers: Vec::new(),
            domain: domain.into(),
        };
        let records = [
            record("tea", "Is tea green?", &["Tea is tea is tea.", "Green."]),
            record("figs", "Are figs sweet?", &["Figs are sweet"]),
        ];
        let made = AnswerCollections::build(&records);
        let domains = made.profiles_by_domain(Author::Human);
        assert_eq!(domains.keys().copied().collect::<Vec<_>>(), ["figs", "tea"]);
        let figs = AnswerProfile {
            answers: 1,
            words: 3.0,
            overlap: 1.0,
            distinct_1: Some(1.0),
            distinct_2: Some(1.0),
        };
        assert_eq!(domains["figs"], figs);
        // Two of five words and of four pairs are different, and all of one word; a single word has no pair.
        let tea = domains["tea"];
        assert_eq!((tea.answers, tea.words, tea.overlap), (2, 3.0, 0.5));
        assert!((tea.distinct_1.unwrap() - 0.7).abs() < 1e-12 && tea.distinct_2 == Some(0.5), "{tea:?}");
        let all = made.profile(Author::Human);
        assert_eq!((all.answers, all.words, all.distinct_2), (3, 3.0, Some(0.75)));
        assert_eq!(made.profile(Author::Model), AnswerProfile::default());
        assert!(made.profiles_by_domain(Author::Model).is_empty());
    }
}
