//! What is measured on continuations of a text (RankGen, 2022): overlap with what stands before, repetition, and where a text that was
//! cut off is finished.

use std::collections::HashSet;

/// The share of the words of a continuation that its prefix has too; 0 of none.
pub fn unigram_overlap(prefix: &[String], continuation: &[String]) -> f64 {
    let known: HashSet<&String> = prefix.iter().collect();
    share(continuation.iter().map(|word| known.contains(word)))
}

/// The share of the words from place `from` on that occur among the `window` words before them; 0 of none.
pub fn repetition(words: &[String], from: usize, window: usize) -> f64 {
    let is_copy = |at: usize| words[at.saturating_sub(window)..at].contains(&words[at]);
    share((from..words.len()).map(is_copy))
}

fn share(marks: impl Iterator<Item = bool>) -> f64 {
    let (mut yes, mut all) = (0usize, 0usize);
    for mark in marks {
        yes += usize::from(mark);
        all += 1;
    }
    yes as f64 / all.max(1) as f64
}

/// A text with single blanks, up to its last `.`, `?`, `!` or `;`; all of it where there is none.
pub fn finished(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(end) = text.rfind(['.', '?', '!', ';']) {
        text.truncate(end + 1);
    }
    text
}

/// The probability that something with `above` of `others` before it would still be first among `drawn` of them; 0 where there are fewer.
pub fn first_among(above: usize, others: usize, drawn: usize) -> f64 {
    if drawn > others {
        return 0.0;
    }
    let below = others.saturating_sub(above);
    (0..drawn).map(|at| below.saturating_sub(at) as f64 / (others - at) as f64).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_string).collect()
    }

    #[test]
    fn shares_by_hand() {
        assert_eq!(unigram_overlap(&words("a b c"), &words("a x a y")), 0.5);
        assert_eq!(unigram_overlap(&words("a"), &[]), 0.0);
        let text = words("a b a c a b");
        // From place 2: a (yes), c (no), a (yes), b (yes, four words back).
        assert_eq!(repetition(&text, 2, 20), 0.75);
        assert_eq!(repetition(&text, 2, 2), 0.5);
        assert_eq!(repetition(&text, 6, 20), 0.0);
    }

    #[test]
    fn texts_end_with_a_sentence() {
        assert_eq!(finished(" It  was\nlate. And then"), "It was late.");
        assert_eq!(finished("No end"), "No end");
        assert_eq!(finished(""), "");
    }

    #[test]
    fn chances_by_hand() {
        // One of four others is above: first of two drawn with 3/4 · 2/3.
        assert!((first_among(1, 4, 2) - 0.5).abs() < 1e-12);
        assert_eq!(first_among(0, 4, 4), 1.0);
        assert_eq!(first_among(3, 4, 2), 0.0);
        assert_eq!(first_among(0, 1, 2), 0.0);
        assert_eq!(first_among(2, 4, 1), 0.5);
    }
}
