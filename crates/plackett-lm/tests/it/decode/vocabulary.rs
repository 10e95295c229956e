//! Tokenizers made by hand.

use plackett_lm::decode::TokenBytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::Replace;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

/// Tokens that cross every border of the formats below: identifier to separator, score to bracket to next line.
const WORDS: &[&str] = &[
    "},Ġ{\"id\":Ġ\"",
    "Ġ{\"id\":Ġ\"",
    "\",Ġ\"score\":Ġ",
    "\",Ġ\"score\":Ġ-",
    "{\"scores\":Ġ[{\"",
    "}]}",
    "Ġ>Ġ[",
    "]Ġ>Ġ[1",
    "10",
    "12",
    "123",
    "0.5",
    "5},Ġ",
    "yes",
    "Ġyes",
    "Yes",
    "no",
    "Ġno",
    "not",
    "stop",
    "ĠSTOP",
    "Ã©",
    "Ġthe",
    "ĊĊ",
];

/// A byte-level BPE of 256 bytes, the words above with all their beginnings, and an end token.
pub fn byte_level() -> Tokenizer {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let mut vocabulary: BTreeMap<String, u32> = BTreeMap::new();
    let mut merges = Vec::new();
    for (id, character) in (0..).zip(&alphabet) {
        vocabulary.insert(character.to_string(), id);
    }
    for word in WORDS {
        let characters: Vec<char> = word.chars().collect();
        for end in 2..=characters.len() {
            let (left, right) = (characters[..end - 1].iter().collect(), characters[end - 1].to_string());
            let both = format!("{left}{right}");
            let left: String = left;
            if !vocabulary.contains_key(&both) {
                vocabulary.insert(both, vocabulary.len() as u32);
                merges.push((left, right));
            }
        }
    }
    let model = BPE::builder().vocab_and_merges(vocabulary.into_iter().collect::<Vocab>(), merges);
    let mut tokenizer = Tokenizer::new(model.build().expect("merges of known tokens"));
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    tokenizer.add_special_tokens([AddedToken::from("<end>", true)]).expect("added");
    tokenizer
}

/// A SentencePiece-like vocabulary with byte fallback.
pub fn sentence_piece() -> Tokenizer {
    let mut vocabulary: Vec<String> = vec!["<unk>".into()];
    vocabulary.extend((0..=255u8).map(|byte| format!("<0x{byte:02X}>")));
    vocabulary.extend(["\u{2581}", "a", "b", "\u{2581}a", "é", "ab", "\u{2581}ab"].map(String::from));
    let ids = vocabulary.into_iter().zip(0..).collect::<Vec<(String, u32)>>();
    let merges = [("\u{2581}", "a"), ("a", "b"), ("\u{2581}a", "b")].map(|(a, b)| (a.into(), b.into()));
    let model = BPE::builder().vocab_and_merges(ids.into_iter().collect::<Vocab>(), merges.to_vec());
    let model = model.byte_fallback(true).unk_token("<unk>".into()).build().expect("vocabulary");
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(Replace::new(" ", "\u{2581}").expect("pattern"))).expect("set");
    let back: Vec<DecoderWrapper> = vec![
        Replace::new("\u{2581}", " ").expect("pattern").into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ];
    tokenizer.with_decoder(Some(Sequence::new(back)));
    tokenizer.add_special_tokens([AddedToken::from("<unk>", true)]).expect("added");
    tokenizer
}

/// A tokenizer, its bytes and its end token.
pub struct Words {
    pub tokenizer: Tokenizer,
    pub bytes: Arc<TokenBytes>,
    pub end: u32,
}

impl Words {
    /// Without the bytes of control tokens, which are no text.
    pub fn new(tokenizer: Tokenizer, control: &[u32], end: u32) -> Words {
        let bytes = TokenBytes::from_tokenizer(&tokenizer).expect("byte-level");
        Words { bytes: Arc::new(bytes.without(control).expect("bytes")), tokenizer, end }
    }

    pub fn by_hand() -> Words {
        let tokenizer = byte_level();
        let bytes = Arc::new(TokenBytes::from_tokenizer(&tokenizer).expect("byte-level"));
        let end = tokenizer.token_to_id("<end>").expect("added");
        Words { tokenizer, bytes, end }
    }

    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>, plackett_lm::decode::DecodeError> {
        self.bytes.continuation(&self.tokenizer, text)
    }

    pub fn text(&self, tokens: &[u32]) -> String {
        String::from_utf8(self.bytes.concat(tokens)).expect("UTF-8")
    }
}
