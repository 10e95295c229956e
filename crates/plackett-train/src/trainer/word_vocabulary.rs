//! A vocabulary of words and codes, for small encoder–decoders that are trained from nothing: what is read are words of a
//! corpus, what is written are codes.

use super::{END_TOKEN, START_TOKEN};
use crate::TrainError;
use crate::files::write_whole;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The file of the vocabulary, in the directory of its model.
pub const VOCABULARY_FILE: &str = "vocabulary.json";

/// The token of words that the vocabulary does not have.
pub const UNKNOWN_TOKEN: u32 = 2;

/// The first token that is a code.
const FIRST_CODE: u32 = 3;

/// Token ids in this order: start, end, unknown word, the codes, the words.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WordVocabulary {
    codes: usize,
    words: Vec<String>,
    #[serde(skip)]
    tokens: HashMap<String, u32>,
}

/// A text as tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedWords {
    /// The tokens; one for each word that is kept.
    pub ids: Vec<u32>,
    /// How many of them are [`UNKNOWN_TOKEN`].
    pub unknown: usize,
    /// How many words were cut off.
    pub cut: usize,
}

impl WordVocabulary {
    /// The `most` most frequent words of texts that occur at least `at_least` times (equally frequent ones by the alphabet), and
    /// so many codes.
    pub fn of_texts<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        codes: usize,
        most: usize,
        at_least: usize,
    ) -> WordVocabulary {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for text in texts {
            for word in words_of(text) {
                *counts.entry(word).or_default() += 1;
            }
        }
        let mut words: Vec<(String, usize)> =
            counts.into_iter().filter(|(_, count)| *count >= at_least).collect();
        words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        words.truncate(most);
        WordVocabulary::new(words.into_iter().map(|(word, _)| word).collect(), codes)
    }

    fn new(words: Vec<String>, codes: usize) -> WordVocabulary {
        let first = FIRST_CODE + codes as u32;
        let tokens = words.iter().cloned().zip(first..).collect();
        WordVocabulary { codes, words, tokens }
    }

    /// The same with so many codes more, which come after those that there are; all words move behind them.
    pub fn with_more_codes(&self, more: usize) -> WordVocabulary {
        WordVocabulary::new(self.words.clone(), self.codes + more)
    }

    /// How many token ids there are.
    pub fn len(&self) -> usize {
        FIRST_CODE as usize + self.codes + self.words.len()
    }

    /// Never: start and end are always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// How many codes there are.
    pub fn codes(&self) -> usize {
        self.codes
    }

    /// The words, the most frequent first.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The token of a code; `None` beyond the last one.
    pub fn token_of_code(&self, code: u32) -> Option<u32> {
        ((code as usize) < self.codes).then_some(FIRST_CODE + code)
    }

    /// The code that a token is.
    pub fn code_of_token(&self, token: u32) -> Option<u32> {
        token.checked_sub(FIRST_CODE).filter(|code| (*code as usize) < self.codes)
    }

    /// The token of a word in lower case; `None` where the vocabulary does not have it.
    pub fn token_of_word(&self, word: &str) -> Option<u32> {
        self.tokens.get(word).copied()
    }

    /// The first `most` words of a text as tokens. A text without a word is one unknown word, so that it can be read.
    pub fn encode(&self, text: &str, most: usize) -> EncodedWords {
        let mut encoded = EncodedWords::default();
        for word in words_of(text) {
            if encoded.ids.len() == most.max(1) {
                encoded.cut += 1;
                continue;
            }
            let token = self.token_of_word(&word);
            encoded.unknown += usize::from(token.is_none());
            encoded.ids.push(token.unwrap_or(UNKNOWN_TOKEN));
        }
        if encoded.ids.is_empty() {
            encoded.ids.push(UNKNOWN_TOKEN);
            encoded.unknown = 1;
        }
        encoded
    }

    /// What tokens are, for messages: words, `<code>`, and `<start>`, `<end>`, `<unknown>`.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let one = |token: &u32| match (*token, self.code_of_token(*token)) {
            (START_TOKEN, _) => "<start>".to_string(),
            (END_TOKEN, _) => "<end>".to_string(),
            (_, Some(code)) => format!("<{code}>"),
            (token, None) => {
                let place = (token as usize).checked_sub(FIRST_CODE as usize + self.codes);
                place.and_then(|place| self.words.get(place)).cloned().unwrap_or("<unknown>".into())
            }
        };
        tokens.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// Writes [`VOCABULARY_FILE`] into a directory.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), TrainError> {
        std::fs::create_dir_all(directory).map_err(|source| TrainError::file(directory, source))?;
        let text = serde_json::to_string(self).unwrap_or_default();
        write_whole(&directory.join(VOCABULARY_FILE), text.as_bytes())
    }

    /// Reads what [`WordVocabulary::save`] has written.
    ///
    /// # Errors
    /// It cannot be read, is damaged, has a word twice, or more codes than there are token ids.
    pub fn open(directory: &Path) -> Result<WordVocabulary, TrainError> {
        let path = directory.join(VOCABULARY_FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| TrainError::file(&path, source))?;
        let failed = |problem: String| TrainError::Form { path: path.clone(), problem };
        let read: WordVocabulary = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        let ids =
            read.codes.checked_add(read.words.len()).and_then(|ids| ids.checked_add(FIRST_CODE as usize));
        if ids.is_none_or(|ids| u32::try_from(ids).is_err()) {
            return Err(failed(format!(
                "{} codes are more than token ids count; make the model anew",
                read.codes
            )));
        }
        let vocabulary = WordVocabulary::new(read.words, read.codes);
        if vocabulary.tokens.len() < vocabulary.words.len() {
            let (count, distinct) = (vocabulary.words.len(), vocabulary.tokens.len());
            return Err(failed(format!(
                "of its {count} words only {distinct} are distinct; make the model anew"
            )));
        }
        Ok(vocabulary)
    }
}

/// The words of a text: runs of letters and digits, in lower case.
pub fn words_of(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> WordVocabulary {
        WordVocabulary::of_texts(["A cat, a dog.", "The cat's bowl", "a CAT"], 4, 3, 1)
    }

    #[test]
    fn frequent_words_are_tokens_and_others_are_counted() {
        let vocabulary = vocabulary();
        assert_eq!(vocabulary.words(), ["a", "cat", "bowl"]);
        assert_eq!((vocabulary.len(), vocabulary.codes()), (10, 4));
        let encoded = vocabulary.encode("The cat ate: a cat", 4);
        assert_eq!(encoded, EncodedWords { ids: vec![2, 8, 2, 7], unknown: 2, cut: 1 });
        assert_eq!(vocabulary.encode(" …", 4), EncodedWords { ids: vec![2], unknown: 1, cut: 0 });
        assert_eq!(vocabulary.decode(&[0, 8, 2, 3, 6, 1]), "<start> cat <unknown> <0> <3> <end>");
    }

    #[test]
    fn codes_are_tokens_between_the_reserved_ones_and_the_words() {
        let vocabulary = vocabulary();
        let tokens: Vec<_> = (0..5).map(|code| vocabulary.token_of_code(code)).collect();
        assert_eq!(tokens, [Some(3), Some(4), Some(5), Some(6), None]);
        let codes: Vec<_> = (0..8).map(|token| vocabulary.code_of_token(token)).collect();
        assert_eq!(codes, [None, None, None, Some(0), Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn words_move_behind_codes_that_come_later() {
        let (before, after) = (vocabulary(), vocabulary().with_more_codes(2));
        assert_eq!((after.codes(), after.len()), (6, before.len() + 2));
        assert_eq!(after.words(), before.words());
        for word in before.words() {
            assert_eq!(after.token_of_word(word), before.token_of_word(word).map(|token| token + 2));
        }
    }

    #[test]
    fn a_saved_vocabulary_is_the_same_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        vocabulary().save(folder.path()).unwrap();
        let opened = WordVocabulary::open(folder.path()).unwrap();
        assert_eq!(opened.encode("cat dog", 9), vocabulary().encode("cat dog", 9));
        let path = folder.path().join(VOCABULARY_FILE);
        std::fs::write(&path, r#"{"codes": 1, "words": ["a", "a"]}"#).unwrap();
        let error = WordVocabulary::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("vocabulary.json") && error.contains("only 1 are distinct"), "{error}");
    }
}
