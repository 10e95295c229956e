//! Which written answers are of no use, and how much of a question an answer repeats.

use std::collections::HashSet;

/// Why an answer is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no word in it.
    Blank,
    /// It says that it will not or cannot answer.
    Refusal,
    /// It has no word that the question lacks.
    Restates,
}

/// Words that answers which are none begin with.
const REFUSALS: [&str; 6] =
    ["i'm sorry", "i am sorry", "sorry, but", "i cannot", "as an ai", "i don't have access"];

/// Whether an answer is of no use, and why.
pub fn refused(question: &str, answer: &str) -> Option<Refused> {
    let words = word_list(answer);
    if words.is_empty() {
        return Some(Refused::Blank);
    }
    let begin = answer.trim().to_lowercase().replace('\u{2019}', "'");
    if REFUSALS.iter().any(|refusal| begin.starts_with(refusal)) {
        return Some(Refused::Refusal);
    }
    let asked: HashSet<String> = word_list(question).into_iter().collect();
    words.iter().all(|word| asked.contains(word)).then_some(Refused::Restates)
}

/// The share of the different words of a question that are in an answer; 0 of a question without words.
pub fn overlap(question: &str, answer: &str) -> f64 {
    let asked: HashSet<String> = word_list(question).into_iter().collect();
    let answered: HashSet<String> = word_list(answer).into_iter().collect();
    asked.intersection(&answered).count() as f64 / asked.len().max(1) as f64
}

/// The words of a text: letters and digits, in lower case.
pub fn word_list(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_no_use_are_told_apart() {
        let question = "How are glacier caves formed?";
        assert_eq!(refused(question, " \n"), Some(Refused::Blank));
        assert_eq!(refused(question, "I\u{2019}m sorry, I don't know."), Some(Refused::Refusal));
        assert_eq!(refused(question, "Glacier caves are formed."), Some(Refused::Restates));
        assert_eq!(refused(question, "Glacier caves are formed by water."), None);
        assert_eq!(overlap(question, "Glacier caves grow."), 0.4);
        assert_eq!(overlap("?", "anything"), 0.0);
    }
}
