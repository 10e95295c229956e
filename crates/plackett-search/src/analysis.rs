//! From a text to index terms. Analysers are chosen by name and stored in the index with their version, so that queries
//! are cut the same way as documents.

use crate::{IndexSettings, Language, SearchError};
use frostem::{Algorithm, Stemmer};
use std::borrow::Cow;
use std::ops::Range;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use unicode_segmentation::UnicodeSegmentation;

/// The version of all analysers. Raise it when a text gets other terms than before; `Letters` says what changed.
pub const ANALYZER_VERSION: u32 = 2;

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
    /// Whatever stands between blanks, with composed letters and otherwise unchanged.
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

    /// The terms of a text with the byte ranges they come from, in the newest version.
    pub fn terms(self, text: &str) -> Vec<(String, Range<usize>)> {
        self.cut(text, Letters::Composed)
    }

    fn cut(self, text: &str, letters: Letters) -> Vec<(String, Range<usize>)> {
        match self {
            Analyzer::Whitespace => {
                let start = text.as_ptr() as usize;
                let place = |word: &str| {
                    let at = word.as_ptr() as usize - start;
                    at..at + word.len()
                };
                text.split_whitespace().map(|word| (letters.of(word).into_owned(), place(word))).collect()
            }
            Analyzer::Standard => {
                words(text).map(|(at, word)| (letters.lower(word), at..at + word.len())).collect()
            }
            Analyzer::Of(language) => language.terms(text, letters),
            Analyzer::English => stemmed(text, Stemmer::new(Algorithm::Porter), letters),
            Analyzer::EnglishSnowball => stemmed(text, Stemmer::new(Algorithm::English), letters),
        }
    }
}

/// What analysers do with letters that can be written in more than one way, such as é as one character or as e and an
/// accent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    /// Nothing: the two ways are different letters (version 1).
    AsWritten,
    /// Normalization form C of Unicode (UAX 15), word by word, so that places in the text stay what they are (version 2).
    Composed,
}

impl Letters {
    /// Those of a version.
    pub(crate) fn of_version(version: u32) -> Letters {
        if version < 2 { Letters::AsWritten } else { Letters::Composed }
    }

    fn of(self, word: &str) -> Cow<'_, str> {
        let composed = word.is_ascii() || is_nfc_quick(word.chars()) == IsNormalized::Yes;
        if self == Letters::AsWritten || composed { Cow::Borrowed(word) } else { word.nfc().collect() }
    }

    /// A word in lower case.
    pub(crate) fn lower(self, word: &str) -> String {
        let lower = self.of(word).to_lowercase();
        // A letter that has no composed capital can have a composed small one.
        match self.of(&lower) {
            Cow::Borrowed(_) => lower,
            Cow::Owned(composed) => composed,
        }
    }
}

/// An analyser in the version with which an index was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Analysis {
    analyzer: Analyzer,
    letters: Letters,
}

impl Analysis {
    /// The analyser of an index's settings.
    ///
    /// # Errors
    /// A name that no analyser has.
    pub(crate) fn of(settings: &IndexSettings) -> Result<Analysis, SearchError> {
        let version = settings.analyzer_version;
        if !(1..=ANALYZER_VERSION).contains(&version) {
            return Err(SearchError::Argument(format!(
                "the analyser has version {version}, this program knows 1 to {ANALYZER_VERSION}; update plackett"
            )));
        }
        let letters = Letters::of_version(version);
        Ok(Analysis { analyzer: Analyzer::named(&settings.analyzer)?, letters })
    }

    /// The terms of a text with the byte ranges they come from.
    pub(crate) fn terms(self, text: &str) -> Vec<(String, Range<usize>)> {
        self.analyzer.cut(text, self.letters)
    }
}

/// Words with their first byte.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.unicode_word_indices()
}

fn stemmed(text: &str, stemmer: Stemmer, letters: Letters) -> Vec<(String, Range<usize>)> {
    let mut terms = Vec::new();
    for (at, word) in words(text) {
        let bare = ["'s", "'S", "’s", "’S"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        let lower = letters.lower(bare);
        if STOP_WORDS.binary_search(&lower.as_str()).is_ok() {
            continue;
        }
        // Porter's rules are for words of three letters or more, as in Lucene.
        let term = if lower.len() > 2 { stemmer.stem(&lower) } else { Cow::Borrowed(lower.as_str()) };
        terms.push((term.into_owned(), at..at + word.len()));
    }
    terms
}

/// Bytes of a text from which on it is cut into pieces.
const PIECE: usize = 1 << 20;

/// Pieces of a text whose terms, one piece after the other, are the terms of the whole. Each but the last ends before a
/// blank or the end of a line, where a word ends whatever follows (UAX 29: only blanks join what stands behind them).
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while rest.len() > PIECE {
        let end = rest.as_bytes()[PIECE..].iter().position(|byte| matches!(byte, b' ' | b'\n'));
        let Some(end) = end else { break };
        let (piece, after) = rest.split_at(PIECE + end);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// Terms as the inverted index wants them when they are made before they reach it.
pub(crate) fn tokens(terms: Vec<(String, Range<usize>)>) -> Vec<Token> {
    let token = |(position, (text, range)): (usize, (String, Range<usize>))| Token {
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
pub(crate) struct IndexTokenizer(pub(crate) Analysis);

/// Terms one after the other, as the inverted index asks for them.
pub(crate) struct Terms {
    terms: std::vec::IntoIter<(String, Range<usize>)>,
    token: Token,
}

impl Terms {
    pub(crate) fn of(terms: Vec<(String, Range<usize>)>) -> Terms {
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
    fn the_terms_of_pieces_are_those_of_the_whole() {
        let marks =
            "l'\u{e9}cole 3.14 can't \u{301}x \u{1f1e9}\u{1f1ea}\u{1f1eb} e\u{301}\r\nd'été a.b  c\u{200d} ";
        // Of such a length that the places of the cuts wander over the words.
        let text: String = (0..90_000).map(|n| format!("{}{marks}", &"wanders"[..n % 7])).collect();
        assert!(pieces(&text).len() > 5 && pieces(&text).concat() == text);
        for analyzer in [Analyzer::English, Analyzer::Of(Language::French), Analyzer::Whitespace] {
            let by_pieces = pieces(&text).into_iter().flat_map(|piece| terms(analyzer, piece));
            assert!(by_pieces.eq(terms(analyzer, &text)), "{}", analyzer.name());
        }
        let word = "a".repeat(3 * PIECE);
        assert_eq!((pieces(&word).len(), pieces("").len(), pieces("a b").len()), (1, 1, 1));
    }

    #[test]
    fn composed_and_decomposed_letters_are_the_same_word() {
        // Each in both ways: é and Ü, an h with a line that has a small composed form only, Hangul, the sign of Ångström.
        let pairs = [
            ("Caf\u{e9}s in M\u{dc}NCHEN", "Cafe\u{301}s in MU\u{308}NCHEN"),
            ("\u{1e96}abib", "H\u{331}abib"),
            ("\u{d55c}\u{ae00}", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"),
            ("\u{c5}ngstr\u{f6}m", "\u{212b}ngstro\u{308}m"),
            (
                "l\u{2019}\u{e9}cole d\u{2019}\u{e9}t\u{e9}",
                "l\u{2019}e\u{301}cole d\u{2019}e\u{301}te\u{301}",
            ),
        ];
        for analyzer in Analyzer::all().filter(|a| *a != Analyzer::Whitespace) {
            for (composed, decomposed) in pairs {
                assert_eq!(terms(analyzer, composed), terms(analyzer, decomposed), "{}", analyzer.name());
                let first = Analysis { analyzer, letters: Letters::of_version(1) };
                let words = |text: &str| first.terms(text).into_iter().map(|(t, _)| t).collect::<Vec<_>>();
                assert_ne!(words(composed), words(decomposed), "version 1 of {}", analyzer.name());
            }
        }
        assert_eq!(terms(Analyzer::Whitespace, "Cafe\u{301} x"), ["Caf\u{e9}", "x"]);
        let text = "un cafe\u{301}, deux";
        for analyzer in [Analyzer::English, Analyzer::Of(Language::French), Analyzer::Standard] {
            let found = analyzer.terms(text).into_iter().find(|(term, _)| term.starts_with("caf"));
            assert_eq!(found.map(|(_, range)| &text[range]), Some("cafe\u{301}"));
        }
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
