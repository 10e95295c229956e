//! The bytes that each token writes, and a sorted index over them.

use crate::error::decode::DecodeError;
use std::ops::Range;
use tokenizers::Tokenizer;

/// The bytes of every token of a vocabulary, and the tokens sorted by their bytes.
///
/// Tokens that write nothing of their own (control tokens such as the end of a turn, unused ids) have no bytes.
/// SentencePiece decoders drop one blank at the very beginning of a text; here every token keeps its blank, which is
/// what it writes in the middle of a text, and so after a prompt.
#[derive(Clone, Debug)]
pub struct TokenBytes {
    flat: Vec<u8>,
    ends: Vec<u32>,
    // Ids with bytes, by bytes and then by id.
    sorted: Vec<u32>,
    // Where the tokens of each first byte begin in `sorted`; one more for the end.
    firsts: Vec<u32>,
}

/// Tokens that begin with the same bytes: a range of the sorted ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByteNode {
    range: Range<usize>,
    depth: usize,
}

impl TokenBytes {
    /// From the bytes of each id in turn; empty for a token that writes nothing.
    ///
    /// # Errors
    /// [`DecodeError::Tokenizer`] when all tokens together have 4 GiB or more.
    pub fn new<B: AsRef<[u8]>>(tokens: impl IntoIterator<Item = B>) -> Result<TokenBytes, DecodeError> {
        let (mut flat, mut ends) = (Vec::new(), Vec::new());
        for token in tokens {
            flat.extend_from_slice(token.as_ref());
            let end = u32::try_from(flat.len());
            ends.push(
                end.map_err(|_| DecodeError::Tokenizer("its tokens have more than 4 GiB of text".into()))?,
            );
        }
        let mut table = TokenBytes { flat, ends, sorted: Vec::new(), firsts: Vec::new() };
        let mut sorted: Vec<u32> =
            (0..table.len() as u32).filter(|id| !table.bytes(*id).is_empty()).collect();
        sorted.sort_unstable_by(|a, b| table.bytes(*a).cmp(table.bytes(*b)).then(a.cmp(b)));
        let first = |id: &u32| table.bytes(*id).first().copied().unwrap_or(0);
        let firsts = (0..=256u32)
            .map(|byte| sorted.partition_point(|id| u32::from(first(id)) < byte) as u32)
            .collect();
        table.firsts = firsts;
        table.sorted = sorted;
        Ok(table)
    }

    /// From a tokenizer with a byte-level (GPT-2) or SentencePiece decoder, `<0x0A>` and the like included.
    ///
    /// # Errors
    /// [`DecodeError::Tokenizer`] for other decoders (WordPiece, CTC) and for a byte-level token with a character
    /// outside that alphabet.
    pub fn from_tokenizer(tokenizer: &Tokenizer) -> Result<TokenBytes, DecodeError> {
        let decoder = Decoder::of(tokenizer)?;
        let added = tokenizer.get_added_tokens_decoder();
        let vocabulary = tokenizer.get_vocab(true);
        let size = vocabulary.values().max().map_or(0, |id| *id as usize + 1);
        let mut tokens: Vec<Vec<u8>> = vec![Vec::new(); size];
        for (text, id) in vocabulary {
            let bytes = match added.get(&id) {
                Some(token) if token.special => continue,
                Some(token) => token.content.clone().into_bytes(),
                None => decoder.bytes(&text, id)?,
            };
            tokens[id as usize] = bytes;
        }
        TokenBytes::new(tokens)
    }

    /// The same without some tokens, which then write nothing and are never generated as text: control tokens that the
    /// tokenizer does not mark.
    ///
    /// # Errors
    /// As [`TokenBytes::new`].
    pub fn without(&self, ids: &[u32]) -> Result<TokenBytes, DecodeError> {
        let empty: &[u8] = &[];
        TokenBytes::new(
            (0..self.len() as u32).map(|id| if ids.contains(&id) { empty } else { self.bytes(id) }),
        )
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no ids.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What a token writes; nothing for control tokens and beyond the vocabulary.
    pub fn bytes(&self, id: u32) -> &[u8] {
        let Some(end) = self.ends.get(id as usize) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id as usize - 1] };
        &self.flat[start as usize..*end as usize]
    }

    /// What a sequence of tokens writes.
    pub fn concat(&self, ids: &[u32]) -> Vec<u8> {
        ids.iter().flat_map(|id| self.bytes(*id)).copied().collect()
    }

    /// The smallest id that writes exactly these bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        let at = self.sorted.partition_point(|id| self.bytes(*id) < bytes);
        self.sorted.get(at).copied().filter(|id| self.bytes(*id) == bytes)
    }

    /// Tokens that write exactly this text as the continuation of another one.
    ///
    /// A tokenizer may treat the beginning of a text specially (a blank put in front, a pattern that joins a blank with
    /// the word after it), so the text is encoded behind a line break and behind a colon, and tokens are taken only when
    /// they write the text byte for byte. Where the tokenizer cannot do that (its normaliser changes the text), the
    /// longest tokens from the left are used.
    ///
    /// # Errors
    /// [`DecodeError::Tokenizer`] when no tokens of the vocabulary write the text.
    pub fn continuation(&self, tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, DecodeError> {
        for anchor in ["\n", ":", ""] {
            let encode = |text: &str| tokenizer.encode_fast(text, false).map(|e| e.get_ids().to_vec());
            let (Ok(before), Ok(whole)) = (encode(anchor), encode(&format!("{anchor}{text}"))) else {
                continue;
            };
            if let Some(ids) = whole.strip_prefix(before.as_slice())
                && self.concat(ids) == text.as_bytes()
                && ids.iter().all(|id| !self.bytes(*id).is_empty())
            {
                return Ok(ids.to_vec());
            }
        }
        let (mut ids, mut rest) = (Vec::new(), text.as_bytes());
        while !rest.is_empty() {
            let longest = (1..=rest.len()).rev().find_map(|n| self.find(&rest[..n]).map(|id| (id, n)));
            let Some((id, n)) = longest else {
                let byte = rest[0];
                return Err(DecodeError::Tokenizer(format!("no token writes byte {byte:#04x} of {text:?}")));
            };
            ids.push(id);
            rest = &rest[n..];
        }
        Ok(ids)
    }

    /// All tokens with bytes.
    pub(crate) fn root(&self) -> ByteNode {
        ByteNode { range: 0..self.sorted.len(), depth: 0 }
    }

    /// Tokens that end at the node, and the node without them.
    pub(crate) fn split(&self, node: ByteNode) -> (&[u32], ByteNode) {
        let within = &self.sorted[node.range.clone()];
        let ends = within.partition_point(|id| self.bytes(*id).len() <= node.depth);
        (&within[..ends], ByteNode { range: node.range.start + ends..node.range.end, depth: node.depth })
    }

    /// Calls `each` with every next byte and its node. The node holds no token that ends at it.
    pub(crate) fn children(&self, node: &ByteNode, mut each: impl FnMut(u8, ByteNode)) {
        let depth = node.depth;
        if depth == 0 {
            for byte in 0..=255u8 {
                let range = self.firsts[byte as usize] as usize..self.firsts[byte as usize + 1] as usize;
                if !range.is_empty() {
                    each(byte, ByteNode { range, depth: 1 });
                }
            }
            return;
        }
        let mut start = node.range.start;
        while start < node.range.end {
            let Some(byte) = self.bytes(self.sorted[start]).get(depth).copied() else { return };
            let rest = &self.sorted[start..node.range.end];
            let end = start + rest.partition_point(|id| self.bytes(*id).get(depth) == Some(&byte));
            each(byte, ByteNode { range: start..end, depth: depth + 1 });
            start = end;
        }
    }
}

/// How a vocabulary's spelling becomes bytes.
enum Decoder {
    ByteLevel,
    SentencePiece { fallback: bool },
}

impl Decoder {
    fn of(tokenizer: &Tokenizer) -> Result<Decoder, DecodeError> {
        use tokenizers::DecoderWrapper as Wrapper;
        let Some(decoder) = tokenizer.get_decoder() else {
            return Err(DecodeError::Tokenizer(
                "it has no decoder; use the model's own tokenizer.json".into(),
            ));
        };
        let parts = match decoder {
            Wrapper::Sequence(sequence) => sequence.get_decoders(),
            one => std::slice::from_ref(one),
        };
        let (mut blanks, mut fallback) = (false, false);
        for part in parts {
            match part {
                Wrapper::ByteLevel(_) => return Ok(Decoder::ByteLevel),
                Wrapper::Metaspace(_) | Wrapper::Replace(_) => blanks = true,
                Wrapper::ByteFallback(_) => fallback = true,
                Wrapper::Fuse(_) | Wrapper::Strip(_) => {}
                Wrapper::BPE(_) | Wrapper::WordPiece(_) | Wrapper::CTC(_) | Wrapper::Sequence(_) => {
                    let problem = "its decoder is neither byte-level nor SentencePiece";
                    return Err(DecodeError::Tokenizer(problem.into()));
                }
            }
        }
        if blanks || fallback {
            return Ok(Decoder::SentencePiece { fallback });
        }
        Err(DecodeError::Tokenizer("its decoder does not say how tokens become text".into()))
    }

    fn bytes(&self, token: &str, id: u32) -> Result<Vec<u8>, DecodeError> {
        match self {
            Decoder::ByteLevel => {
                token.chars().map(byte_of_character).collect::<Option<_>>().ok_or_else(|| {
                    DecodeError::Tokenizer(format!(
                        "token {id} ({token:?}) is outside the byte-level alphabet"
                    ))
                })
            }
            Decoder::SentencePiece { fallback } => {
                let hex = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                let byte =
                    hex.filter(|h| *fallback && h.len() == 2).and_then(|h| u8::from_str_radix(h, 16).ok());
                Ok(byte.map_or_else(|| token.replace('\u{2581}', " ").into_bytes(), |byte| vec![byte]))
            }
        }
    }
}

/// The byte for which a character stands in GPT-2's alphabet: printable ASCII and Latin-1 stand for themselves, the
/// other 68 bytes, in their order, for U+0100 and on.
fn byte_of_character(character: char) -> Option<u8> {
    let itself = |code: u32| matches!(code, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let code = u32::from(character);
    if code < 0x100 {
        return itself(code).then_some(code as u8);
    }
    (0..=255u8).filter(|byte| !itself(u32::from(*byte))).nth((code - 0x100) as usize)
}
