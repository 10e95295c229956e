//! Whether an answer's citations support it (ALCE; Gao et al., Enabling large language models to generate text with citations, EMNLP 2023), and
//! whether its facts do (FActScore; Min et al., EMNLP 2023).

use serde::Serialize;

/// Decides whether a text follows from another one.
pub trait Entailment {
    /// Whether the claim follows from the premise.
    fn entails(&self, premise: &str, claim: &str) -> bool;
}

impl<F: Fn(&str, &str) -> bool> Entailment for F {
    fn entails(&self, premise: &str, claim: &str) -> bool {
        self(premise, claim)
    }
}

/// A sentence without its markers, and the passages that it cites, from 1 in the order of their markers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CitedSentence {
    /// The words.
    pub text: String,
    /// What it cites; 0 and numbers beyond the passages are kept, as they count against it.
    pub citations: Vec<usize>,
}

impl CitedSentence {
    /// Reads a sentence with markers such as `[2]`. Brackets around anything but a number stay in the text.
    pub fn read(sentence: &str) -> CitedSentence {
        let (mut text, mut citations, mut rest) = (String::new(), Vec::new(), sentence);
        while let Some((before, after)) = rest.split_once('[') {
            let digits = after.bytes().take(20).take_while(u8::is_ascii_digit).count();
            let behind = after[digits..].strip_prefix(']');
            let marker = behind.and_then(|behind| Some((after[..digits].parse().ok()?, behind)));
            text.push_str(before);
            match marker {
                Some((number, behind)) => {
                    citations.push(number);
                    rest = behind;
                }
                None => {
                    text.push('[');
                    rest = after;
                }
            }
        }
        text.push_str(rest);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // A marker before the full stop leaves a blank there.
        CitedSentence { text: text.replace(" .", "."), citations }
    }
}

/// How well an answer is cited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CitationQuality {
    /// Share of the sentences that what they cite entails.
    pub recall: f64,
    /// Share of the citations that are needed: those of supported sentences which entail it alone, or without which the others do not; 0
    /// without citations.
    pub precision: f64,
}

impl CitationQuality {
    /// Of an answer's sentences over passages, which are read as `Title: …` and their text.
    pub fn of(
        sentences: &[CitedSentence],
        passages: &[(&str, &str)],
        judge: &dyn Entailment,
    ) -> CitationQuality {
        let (mut supported, mut good, mut cited) = (0, 0, 0);
        for sentence in sentences {
            cited += sentence.citations.len();
            let is_supported = supports(sentence, &sentence.citations, passages, judge);
            supported += usize::from(is_supported);
            if is_supported {
                good += (0..sentence.citations.len())
                    .filter(|at| is_needed(sentence, *at, passages, judge))
                    .count();
            }
        }
        let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        CitationQuality { recall: share(supported, sentences.len()), precision: share(good, cited) }
    }
}

/// Whether there are citations, all of passages that there are, and the passages together entail the sentence.
fn supports(
    sentence: &CitedSentence,
    citations: &[usize],
    passages: &[(&str, &str)],
    judge: &dyn Entailment,
) -> bool {
    let passage = |number: &usize| number.checked_sub(1).and_then(|at| passages.get(at));
    let cited: Option<Vec<&(&str, &str)>> = citations.iter().map(passage).collect();
    let Some(cited) = cited.filter(|cited| !cited.is_empty()) else { return false };
    let premise: Vec<String> = cited.iter().map(|(title, text)| format!("Title: {title}\n{text}")).collect();
    judge.entails(&premise.join("\n"), &sentence.text)
}

/// Whether a citation of a supported sentence entails it alone, or the others do not without it.
fn is_needed(sentence: &CitedSentence, at: usize, passages: &[(&str, &str)], judge: &dyn Entailment) -> bool {
    if sentence.citations.len() == 1 {
        return true;
    }
    let alone = supports(sentence, &sentence.citations[at..=at], passages, judge);
    let others: Vec<usize> =
        sentence.citations.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, n)| *n).collect();
    alone || !supports(sentence, &others, passages, judge)
}

/// Answers with fewer facts are marked down by the penalty of FActScore.
pub const FACTS: usize = 10;

/// FActScore of an answer: the share of its facts that are supported, less for fewer than [`FACTS`]: times exp(1 − 10 / facts). `None` for an
/// answer without a fact, which is an abstention and stays out of the mean.
pub fn fact_score(supported: &[bool]) -> Option<f64> {
    let facts = supported.len();
    if facts == 0 {
        return None;
    }
    let share = supported.iter().filter(|supported| **supported).count() as f64 / facts as f64;
    let penalty = if facts > FACTS { 1.0 } else { (1.0 - FACTS as f64 / facts as f64).exp() };
    Some(share * penalty)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entailed is a sentence whose words all stand in the premise.
    fn words(premise: &str, claim: &str) -> bool {
        let plain = |text: &str| text.to_lowercase().replace(['.', ':', '\n'], " ");
        let premise = plain(premise);
        plain(claim).split_whitespace().all(|word| premise.split_whitespace().any(|there| there == word))
    }

    const PASSAGES: [(&str, &str); 3] =
        [("Cats", "cats purr at night"), ("Dogs", "dogs bark"), ("Fish", "fish swim")];

    fn quality(sentences: &[&str]) -> CitationQuality {
        let sentences: Vec<CitedSentence> = sentences.iter().map(|text| CitedSentence::read(text)).collect();
        CitationQuality::of(&sentences, &PASSAGES, &words)
    }

    /// Specification: gold 1/1, swapped 0/0, an irrelevant second citation 1 and 0.5.
    #[test]
    fn citations_by_hand() {
        let of = |sentences: &[&str]| {
            let found = quality(sentences);
            (found.recall, found.precision)
        };
        assert_eq!(of(&["Cats purr [1].", "Dogs bark [2]."]), (1.0, 1.0));
        assert_eq!(of(&["Cats purr [2].", "Dogs bark [1]."]), (0.0, 0.0));
        assert_eq!(of(&["Cats purr [1][3]."]), (1.0, 0.5));
        assert_eq!(of(&["Cats bark [1][2]."]), (1.0, 1.0), "both are needed");
        assert_eq!(of(&["Cats purr.", "Dogs bark [9].", "Fish swim [3]."]), (1.0 / 3.0, 0.5));
        assert_eq!(of(&[]), (0.0, 0.0));
    }

    #[test]
    fn markers_are_read() {
        let read = CitedSentence::read("It is [sic] so [2] and [10].");
        assert_eq!(read, CitedSentence { text: "It is [sic] so and.".into(), citations: vec![2, 10] });
        assert_eq!(CitedSentence::read("open [3").text, "open [3");
    }

    #[test]
    fn few_facts_are_marked_down() {
        let score = fact_score(&[true; 5]).unwrap();
        assert!((score - 0.3679).abs() < 1e-4);
        assert_eq!(fact_score(&[true, false].repeat(6)), Some(0.5));
        assert_eq!(fact_score(&[]), None);
    }
}
