//! Long texts: how much of a text is tokenised when a model reads only its beginning.
//!
//! A tokenizer takes about a hundred bytes of memory for a byte of its input, so a text of 50 MB is not tokenised whole to
//! read 256 tokens of it. Its first bytes are, and more of them for as long as they give too few tokens. The beginning ends
//! after a word, where one ends near by: there no tokenizer joins what stands before with what comes after. Tokens near the
//! end of the beginning are not used all the same, for scripts that put no blanks between words. So the tokens that are
//! used are those of the whole text; how many the whole has is then an estimate, and said to be one.

use crate::error::LmError;
use std::ops::Range;

/// Texts up to this length are tokenised whole and their tokens counted, however few are read.
pub const WHOLE_BYTES: usize = 64 << 10;
/// Bytes of a text for each token that is wanted, to begin with.
const BYTES_A_TOKEN: usize = 16;
/// The longest beginning for each token that is wanted: tokens of more bytes on average do not occur in a vocabulary.
const MOST_BYTES_A_TOKEN: usize = 256;
/// The longest beginning where few tokens are wanted. What comes after a megabyte without that many tokens (blanks, or one
/// word of a million letters) is not read.
const LONGEST: usize = 1 << 20;
/// Tokens at the end of a beginning that are not used.
const MARGIN: usize = 64;

/// The tokens of a beginning.
pub(crate) struct Beginning<T> {
    pub tokens: T,
    /// About how many tokens the whole text has, more than the beginning; `None` where the beginning is the whole text.
    pub estimate: Option<usize>,
}

/// Tokens of a text's beginning: of the first `most` tokens none is missing or another than in the whole text, unless they
/// take more than 256 bytes each. `encode` tokenises and `count` says how many tokens came out.
pub(crate) fn beginning<T>(
    text: &str,
    most: usize,
    encode: impl Fn(&str) -> Result<T, LmError>,
    count: impl Fn(&T) -> usize,
) -> Result<Beginning<T>, LmError> {
    let longest = most.saturating_mul(MOST_BYTES_A_TOKEN).max(LONGEST);
    let mut bytes = most.saturating_mul(BYTES_A_TOKEN).max(WHOLE_BYTES);
    loop {
        let end = cut(text, bytes);
        let tokens = encode(&text[..end])?;
        if end == text.len() {
            return Ok(Beginning { tokens, estimate: None });
        }
        let found = count(&tokens);
        if found >= most.saturating_add(MARGIN) || bytes >= longest {
            let rest = (text.len() - end) as f64 * found as f64 / end as f64;
            return Ok(Beginning { tokens, estimate: Some(found + (rest as usize).max(1)) });
        }
        bytes = bytes.saturating_mul(4).min(longest);
    }
}

/// Consecutive byte ranges of a text, of about `WHOLE_BYTES` each, that can be tokenised one after another in little
/// memory. They end after words, where one ends near by.
pub fn text_slices(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    std::iter::from_fn(move || {
        let length = cut(text.get(start..)?, WHOLE_BYTES);
        let slice = start..start + length;
        start = slice.end;
        (length > 0).then_some(slice)
    })
}

/// Where a text can be cut: at most `bytes` from its beginning, in the last quarter of that after a word and before a
/// blank; where no word ends there, between two characters.
fn cut(text: &str, bytes: usize) -> usize {
    if text.len() <= bytes {
        return text.len();
    }
    let all = text.as_bytes();
    let after_word = |at: usize| all[at] == b' ' && all[at - 1].is_ascii_alphanumeric();
    let least = (bytes - bytes / 4).max(1);
    let end = (least..=bytes).rev().find(|at| after_word(*at));
    let end = end.or_else(|| (least..=bytes).rev().find(|at| after_any_word(text, *at)));
    end.unwrap_or_else(|| (1..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(text.len()))
}

/// The same for words of any script.
fn after_any_word(text: &str, at: usize) -> bool {
    text.as_bytes()[at] == b' ' && text[..at].chars().next_back().is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Result<Vec<String>, LmError> {
        Ok(text.split_whitespace().map(str::to_string).collect())
    }

    #[test]
    fn short_texts_are_tokenised_whole() {
        let text = "a few words";
        let Beginning { tokens, estimate } = beginning(text, 2, words, Vec::len).unwrap();
        assert_eq!((tokens.len(), estimate), (3, None));
    }

    #[test]
    fn of_long_texts_as_much_as_is_needed() {
        let text = "word ".repeat(1 << 20);
        let Beginning { tokens, estimate } = beginning(&text, 256, words, Vec::len).unwrap();
        assert!((256 + MARGIN..WHOLE_BYTES).contains(&tokens.len()));
        let estimate = estimate.unwrap();
        assert!(estimate.abs_diff(1 << 20) < 100, "{estimate}");
        // Few tokens for many bytes: more is read, up to an end.
        let text = format!("{}one two three", " ".repeat(200 << 10));
        assert_eq!(beginning(&text, 3, words, Vec::len).unwrap().tokens.len(), 3);
        let text = " ".repeat(3 << 20);
        let Beginning { tokens, estimate } = beginning(&text, 3, words, Vec::len).unwrap();
        assert_eq!((tokens.len(), estimate), (0, Some(1)));
        assert!(beginning(&text, usize::MAX, words, Vec::len).unwrap().estimate.is_none());
    }

    #[test]
    fn cuts_are_after_words_where_there_are_any() {
        assert_eq!(cut("one two three", 9), 7);
        assert_eq!(cut("onetwothree", 9), 9);
        assert_eq!(cut("ααα ααα ααα", 15), 13);
        assert_eq!(cut("αααααααα", 9), 8);
        assert_eq!(cut("all", 9), 3);
    }

    proptest! {
        #[test]
        fn slices_are_the_text(text in "[a-zα一 ]{0,40}", times in 1usize..6000) {
            let text = text.repeat(times);
            let parts: Vec<Range<usize>> = text_slices(&text).collect();
            let joined: String = parts.iter().map(|part| &text[part.clone()]).collect();
            prop_assert_eq!(joined, text);
            prop_assert!(parts.iter().all(|part| part.len() <= WHOLE_BYTES));
        }
    }
}
