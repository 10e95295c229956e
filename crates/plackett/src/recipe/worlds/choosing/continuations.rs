//! Articles cut into prefixes and their continuations, on sentence boundaries.

use super::read_questions;
use crate::recipe::error::StageError;
use plackett_core::summary::sentences;
use std::path::Path;

/// Sentences of a prefix, words of it at most (the last ones, next to the continuation), and how far the next prefix is.
const BEFORE: usize = 3;
const WORDS: usize = 80;
const STEP: usize = 3;
/// Sentences of a continuation at most, and words, of which it has ten at least.
const AFTER: usize = 2;
const LONGEST: usize = 60;
const SHORTEST: usize = 10;
/// Every how many articles one is held out.
const HELD_OUT: usize = 4;

/// A prefix and what follows it in its article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continued {
    /// The article, by number.
    pub article: usize,
    /// What stands before.
    pub prefix: String,
    /// What follows.
    pub continuation: String,
}

/// The pairs of a file's articles, those to learn from and those of articles that are held out.
///
/// # Errors
/// As [`read_questions`].
pub fn continuations(path: &Path) -> Result<[Vec<Continued>; 2], StageError> {
    let (mut learned, mut held_out) = (Vec::new(), Vec::new());
    let mut article = 0;
    for set in ["squad2-a", "squad2-b"] {
        let set = read_questions(path, set)?;
        for (_, places) in set.articles() {
            let text: Vec<&str> = places.iter().flat_map(|place| sentences(&set.passages[*place])).collect();
            let pairs = of_article(article, &text);
            let part = if article % HELD_OUT == 0 { &mut held_out } else { &mut learned };
            part.extend(pairs);
            article += 1;
        }
    }
    Ok([learned, held_out])
}

fn count(sentence: &str) -> usize {
    sentence.split_whitespace().count()
}

fn of_article(article: usize, sentences: &[&str]) -> Vec<Continued> {
    let mut pairs = Vec::new();
    for at in (BEFORE..sentences.len()).step_by(STEP) {
        let prefix = sentences[at - BEFORE..at].join(" ");
        let words: Vec<&str> = prefix.split_whitespace().collect();
        let prefix = words[words.len().saturating_sub(WORDS)..].join(" ");
        let mut length = 0;
        let after: Vec<&str> = sentences[at..]
            .iter()
            .take(AFTER)
            .take_while(|sentence| {
                length += count(sentence);
                length <= LONGEST
            })
            .copied()
            .collect();
        let continuation = after.join(" ");
        if count(&continuation) >= SHORTEST {
            pairs.push(Continued { article, prefix, continuation });
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuations_follow_their_prefix() {
        let text: Vec<String> = (0..8).map(|n| format!("s{n} has some words here and then more.")).collect();
        let text: Vec<&str> = text.iter().map(String::as_str).collect();
        let pairs = of_article(5, &text);
        assert_eq!(pairs.len(), 2);
        assert!(pairs[0].prefix.starts_with("s0 has") && pairs[0].continuation.starts_with("s3 has"));
        assert_eq!(count(&pairs[0].continuation), 16);
        assert_eq!(pairs[1].article, 5);
        let long = "word ".repeat(70) + "end.";
        // The last words of a long prefix stay; a continuation that is too long is none.
        let pairs =
            of_article(0, &["First.", &long, "Then.", "It goes on with ten words of text to be read."]);
        assert_eq!(count(&pairs[0].prefix), 73);
        assert!(of_article(0, &["A.", "B.", "C.", &long]).is_empty());
    }
}
