//! From a text to index terms. Analysers are chosen by name and stored in the index, so that queries are cut the same
//! way as documents.

use crate::{Language, SearchError};
use frostem::{Algorithm, Stemmer};
use std::borrow::Cow;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use unicode_segmentation::UnicodeSegmentation;

/// Lucene's English stop words.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no",
    "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to",
    "was", "will", "with",
];

/// A named chain of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analyzer {
    /// As Lucene's EnglishAnalyzer: Unicode words (UAX 29), possessive 's taken off, lower case, 33 stop words, Porter.
    English,
    /// The same with the Snowball English (Porter 2) stemmer.
    EnglishSnowball,
    /// Unicode words in lower case without elided articles, stop words of the language, its Snowball stemmer.
    Of(Language),
    /// Unicode words in lower case; no stop words, no stemming.
    Standard,
    /// Whatever stands between blanks, unchanged.
    Whitespace,
}

impl Analyzer {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Analyzer> {
        let plain = [Analyzer::English, Analyzer::EnglishSnowball, Analyzer::Standard, Analyzer::Whitespace];
        plain.into_iter().chain(Language::ALL.map(Analyzer::Of))
    }

    /// The name under which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Analyzer::English => "english",
            Analyzer::EnglishSnowball => "english-snowball",
            Analyzer::Of(language) => language.name(),
            Analyzer::Standard => "standard",
            Analyzer::Whitespace => "whitespace",
        }
    }

    /// The analyser of a name.
    ///
    /// # Errors
    /// A name that no analyser has; all names are listed.
    pub fn named(name: &str) -> Result<Analyzer, SearchError> {
        Analyzer::all().find(|a| a.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Analyzer::all().map(Analyzer::name).collect();
            SearchError::Argument(format!(
                "there is no analyser `{name}`; choose one of {}",
                known.join(", ")
            ))
        })
    }

    /// The terms of a text with the byte ranges they come from.
    pub fn terms(self, text: &str) -> Vec<(String, std::ops::Range<usize>)> {
        match self {
            Analyzer::Whitespace => {
                let start = text.as_ptr() as usize;
                let words = text.split_whitespace();
                words
                    .map(|w| {
                        (w.to_string(), w.as_ptr() as usize - start..w.as_ptr() as usize - start + w.len())
                    })
                    .collect()
            }
            Analyzer::Standard => {
                words(text).map(|(at, word)| (word.to_lowercase(), at..at + word.len())).collect()
            }
            Analyzer::Of(language) => language.terms(text),
            Analyzer::English => stemmed(text, Stemmer::new(Algorithm::Porter)),
            Analyzer::EnglishSnowball => stemmed(text, Stemmer::new(Algorithm::English)),
        }
    }
}

/// Words with their first byte.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.unicode_word_indices()
}

fn stemmed(text: &str, stemmer: Stemmer) -> Vec<(String, std::ops::Range<usize>)> {
    let mut terms = Vec::new();
    for (at, word) in words(text) {
        let bare = ["'s", "'S", "’s", "’S"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        let lower = bare.to_lowercase();
        if STOP_WORDS.binary_search(&lower.as_str()).is_ok() {
            continue;
        }
        // Porter's rules are for words of three letters or more, as in Lucene.
        let term = if lower.len() > 2 { stemmer.stem(&lower) } else { Cow::Borrowed(lower.as_str()) };
        terms.push((term.into_owned(), at..at + word.len()));
    }
    terms
}

/// Terms as the inverted index wants them when they are made before they reach it.
pub(crate) fn tokens(terms: Vec<(String, std::ops::Range<usize>)>) -> Vec<Token> {
    let token = |(position, (text, range)): (usize, (String, std::ops::Range<usize>))| Token {
        offset_from: range.start,
        offset_to: range.end,
        position,
        text,
        position_length: 1,
    };
    terms.into_iter().enumerate().map(token).collect()
}

/// The analyser as the inverted index wants it.
#[derive(Clone)]
pub(crate) struct IndexTokenizer(pub(crate) Analyzer);

/// Terms one after the other, as the inverted index asks for them.
pub(crate) struct Terms {
    terms: std::vec::IntoIter<(String, std::ops::Range<usize>)>,
    token: Token,
}

impl Terms {
    pub(crate) fn of(terms: Vec<(String, std::ops::Range<usize>)>) -> Terms {
        Terms { terms: terms.into_iter(), token: Token::default() }
    }
}

impl Tokenizer for IndexTokenizer {
    type TokenStream<'a> = Terms;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Terms {
        Terms::of(self.0.terms(text))
    }
}

impl TokenStream for Terms {
    fn advance(&mut self) -> bool {
        let Some((text, range)) = self.terms.next() else { return false };
        self.token.position = self.token.position.wrapping_add(1);
        (self.token.text, self.token.offset_from, self.token.offset_to) = (text, range.start, range.end);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(analyzer: Analyzer, text: &str) -> Vec<String> {
        analyzer.terms(text).into_iter().map(|(term, _)| term).collect()
    }

    #[test]
    fn english_is_lucenes_chain() {
        let text = "The Rankers scored relational flights; a driver's ponies, 3.14 of THEM!";
        assert_eq!(
            terms(Analyzer::English, text),
            ["ranker", "score", "relat", "flight", "driver", "poni", "3.14", "them"]
        );
    }

    #[test]
    fn ranges_point_into_the_text() {
        for analyzer in Analyzer::all() {
            let text = "Größe of naïve cafés, twice: cafés";
            for (term, range) in analyzer.terms(text) {
                let first: String = text[range].chars().take(1).collect::<String>().to_lowercase();
                assert!(term.to_lowercase().starts_with(&first));
            }
        }
        assert_eq!(terms(Analyzer::Whitespace, " a  B,c "), ["a", "B,c"]);
        assert_eq!(terms(Analyzer::Standard, "The B,c"), ["the", "b", "c"]);
    }

    #[test]
    fn names_are_known_or_listed() {
        for analyzer in Analyzer::all() {
            assert_eq!(Analyzer::named(analyzer.name()).unwrap(), analyzer);
        }
        let message = Analyzer::named("englisch").unwrap_err().to_string();
        for analyzer in Analyzer::all() {
            assert!(message.contains(analyzer.name()), "{message}");
        }
    }

    #[test]
    fn stop_words_are_sorted_for_the_search() {
        assert!(STOP_WORDS.is_sorted());
    }
}
