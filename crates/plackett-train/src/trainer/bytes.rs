//! Bytes as tokens, for small decoders that are trained from nothing: no text needs a token that is not there.

use crate::TrainError;
use crate::random::Stream;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

/// The token that ends a text.
pub const END_OF_TEXT: u32 = 256;

/// How many tokens there are: all bytes and [`END_OF_TEXT`].
pub const BYTE_VOCABULARY: usize = 257;

/// The tokens of a text, without an end.
pub fn encode_bytes(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

/// The text of tokens: ends are left out, and bytes that are no UTF-8 become U+FFFD.
pub fn decode_bytes(tokens: &[u32]) -> String {
    let bytes: Vec<u8> = tokens.iter().filter_map(|token| u8::try_from(*token).ok()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The character that stands for a byte in byte-level vocabularies: printable ones of Latin-1 for themselves, the others, in
/// their order, from U+0100 on (Radford and others, Language Models are Unsupervised Multitask Learners, 2019).
fn character(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let before = (0..byte).filter(|byte| !printable(*byte)).count() as u32;
    if printable(byte) { char::from(byte) } else { char::from_u32(0x100 + before).unwrap_or('\u{FFFD}') }
}

/// The tokenizer of these tokens, which a model's `tokenizer.json` has.
///
/// # Errors
/// The library of tokenizers refuses it.
pub(super) fn byte_tokenizer() -> Result<Tokenizer, TrainError> {
    let failed = |error: tokenizers::Error| TrainError::Model(format!("the tokenizer of bytes: {error}"));
    let vocabulary = (0..=u8::MAX).map(|byte| (character(byte).to_string(), u32::from(byte)));
    let bytes = BPE::builder().vocab_and_merges(vocabulary.collect::<Vocab>(), Vec::new());
    let mut tokenizer = Tokenizer::new(bytes.build().map_err(failed)?);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, false)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, false, false)));
    tokenizer.add_special_tokens([AddedToken::from("<|endoftext|>", true)]).map_err(failed)?;
    Ok(tokenizer)
}

/// Texts one after another, [`END_OF_TEXT`] after each, cut into windows of exactly `length` tokens. What does not fill the
/// last one is left out.
pub fn windows_of_bytes<'a>(texts: impl IntoIterator<Item = &'a str>, length: usize) -> Vec<Vec<u32>> {
    let mut all = Vec::new();
    for text in texts {
        all.extend(encode_bytes(text));
        all.push(END_OF_TEXT);
    }
    all.chunks_exact(length.max(1)).map(<[u32]>::to_vec).collect()
}

/// Which of `count` texts are held out: a share of them, drawn by the seed.
pub fn held_out(count: usize, share: f64, seed: u64) -> Vec<bool> {
    let most = (count as f64 * share).round() as usize;
    let mut held = vec![false; count];
    for at in Stream::new(seed, 2 << 32).permutation(count).into_iter().take(most) {
        held[at] = true;
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_ends_are_no_text() {
        let mut tokens = encode_bytes("über");
        assert_eq!(tokens, [0xC3, 0xBC, 98, 101, 114]);
        tokens.push(END_OF_TEXT);
        assert_eq!(decode_bytes(&tokens), "über");
        assert_eq!(decode_bytes(&tokens[1..]), "\u{FFFD}ber");
    }

    #[test]
    fn the_tokenizer_gives_the_same_tokens() {
        let tokenizer = byte_tokenizer().unwrap();
        assert_eq!(tokenizer.get_vocab_size(true), BYTE_VOCABULARY);
        let text = "Zwei\tWörter,  \r\n\u{0}\u{7f}\u{ad}\u{a0} 漢字 🙂 don't";
        assert_eq!(tokenizer.encode(text, false).unwrap().get_ids(), encode_bytes(text));
        assert_eq!(tokenizer.decode(&encode_bytes(text), true).unwrap(), text);
        assert_eq!(tokenizer.token_to_id("<|endoftext|>"), Some(END_OF_TEXT));
    }

    #[test]
    fn windows_are_whole_and_texts_end() {
        let windows = windows_of_bytes(["abc", "de"], 3);
        assert_eq!(windows, [vec![97, 98, 99], vec![END_OF_TEXT, 100, 101]]);
        let held = held_out(50, 0.1, 1);
        assert_eq!(held.iter().filter(|held| **held).count(), 5);
        assert_ne!(held, held_out(50, 0.1, 2));
    }
}
