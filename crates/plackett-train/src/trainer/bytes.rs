//! Bytes as tokens, for small decoders that are trained from nothing: no text needs a token that is not there.

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
}
