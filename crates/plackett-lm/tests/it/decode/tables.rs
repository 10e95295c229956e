//! The bytes of tokens.

use crate::decode::vocabulary::{Words, sentence_piece};
use plackett_lm::decode::{DecodeError, TokenBytes};

#[test]
fn bytes_of_a_byte_level_vocabulary_are_those_of_its_decoder() {
    let words = Words::by_hand();
    let text = "Hé \u{1f600} the stop\n\n\t{\"id\": \"12\"} > [1]\u{0}\u{7f}";
    let ids = words.tokenizer.encode(text, false).expect("ids").get_ids().to_vec();
    assert!(ids.len() < text.len(), "some tokens have several bytes");
    assert_eq!(words.text(&ids), text);
    assert!(words.bytes.bytes(words.end).is_empty() && words.bytes.bytes(1_000_000).is_empty());
    for byte in 0..=255u8 {
        let id = words.bytes.find(&[byte]).expect("every byte is a token");
        assert_eq!(words.bytes.bytes(id), [byte]);
    }
    assert_eq!(words.bytes.find(b"zzzz"), None);
}

#[test]
fn bytes_of_a_sentence_piece_vocabulary() {
    let tokenizer = sentence_piece();
    let table = TokenBytes::from_tokenizer(&tokenizer).expect("SentencePiece");
    let id = |token: &str| tokenizer.token_to_id(token).expect("known");
    assert_eq!(table.bytes(id("<0x0A>")), b"\n");
    assert_eq!(table.bytes(id("<0xE2>")), [0xe2]);
    assert_eq!(table.bytes(id("\u{2581}ab")), b" ab");
    assert_eq!(table.bytes(id("é")), "é".as_bytes());
    assert!(table.bytes(id("<unk>")).is_empty());
    // `a` is a token and a byte; the smaller id is found, and both write it.
    assert_eq!(table.find(b"a"), Some(id("<0x61>")));
    for text in [" ab", "ab a", "\u{20ac}é\n"] {
        let ids = table.continuation(&tokenizer, text).expect("tokens");
        assert_eq!(table.concat(&ids), text.as_bytes());
    }
    assert_eq!(table.continuation(&tokenizer, " ab"), Ok(vec![id("\u{2581}ab")]));
}

#[test]
fn other_decoders_are_refused() {
    let mut tokenizer = Words::by_hand().tokenizer;
    tokenizer.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
    assert!(matches!(TokenBytes::from_tokenizer(&tokenizer), Err(DecodeError::Tokenizer(_))));
    let table = TokenBytes::new(["a", "b"]).expect("table");
    let error = table.continuation(&tokenizer, "ac").expect_err("no c").to_string();
    assert!(error.contains("0x63"), "{error}");
}
