//! The tokens of a scheme, and what makes sequences of them unique.

use indexmap::IndexSet;

/// Tokens by number, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct TokenTable {
    tokens: IndexSet<String>,
}

impl TokenTable {
    /// The number of a token, which is new or was there.
    pub fn number(&mut self, token: impl Into<String>) -> u32 {
        self.tokens.insert_full(token.into()).0 as u32
    }

    /// All of them.
    pub fn into_tokens(self) -> Vec<String> {
        self.tokens.into_iter().collect()
    }
}

/// The token of a code in the codebook of a level: `<a_7>` for the eighth of the first one, as published indices write it.
pub fn level_token(level: usize, code: usize) -> String {
    match u8::try_from(level).ok().filter(|level| *level < 26) {
        Some(level) => format!("<{}_{code}>", (b'a' + level) as char),
        None => format!("<level{level}_{code}>"),
    }
}

/// The token that tells items of one leaf or path from each other.
pub fn leaf_token(number: usize) -> String {
    format!("<item_{number}>")
}

/// Writes a number of `0..count` with a fixed number of digits to base `base`, the highest first: sequences of one leaf have one length, so
/// none is a prefix of another.
pub fn digits_of(number: usize, count: usize, base: usize) -> Vec<usize> {
    let base = base.max(2);
    let mut length = 1;
    let mut reach = base;
    while reach < count {
        reach = reach.saturating_mul(base);
        length += 1;
    }
    let mut digits = vec![0; length];
    let mut left = number;
    for digit in digits.iter_mut().rev() {
        *digit = left % base;
        left /= base;
    }
    digits
}

/// Gives items that share a sequence one token more, `<same_0>` for the first of them; how many shared one is returned. A sequence that was
/// unique stays as it is.
pub fn number_duplicates(codes: &mut [Vec<u32>], table: &mut TokenTable) -> usize {
    let mut order: Vec<usize> = (0..codes.len()).collect();
    // Equal sequences stand beside each other, in the order of the items.
    order.sort_by(|a, b| codes[*a].cmp(&codes[*b]).then(a.cmp(b)));
    let mut shared: Vec<Vec<usize>> = order
        .chunk_by(|a, b| codes[*a] == codes[*b])
        .filter(|items| items.len() > 1)
        .map(<[usize]>::to_vec)
        .collect();
    shared.sort_unstable();
    for items in &shared {
        for (number, item) in items.iter().enumerate() {
            codes[*item].push(table.number(format!("<same_{number}>")));
        }
    }
    shared.iter().map(Vec::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_one_sequence_are_told_apart() {
        let mut table = TokenTable::default();
        let [a, b] = ["a", "b"].map(|token| table.number(token));
        let mut codes = vec![vec![a, b], vec![a, a], vec![a, b]];
        assert_eq!(number_duplicates(&mut codes, &mut table), 2);
        assert_eq!(codes, [vec![0, 1, 2], vec![0, 0], vec![0, 1, 3]]);
        assert_eq!(table.into_tokens(), ["a", "b", "<same_0>", "<same_1>"]);
    }

    #[test]
    fn digits_have_one_length() {
        assert_eq!(digits_of(7, 10, 10), [7]);
        assert_eq!(digits_of(7, 11, 10), [0, 7]);
        assert_eq!(digits_of(123, 200, 10), [1, 2, 3]);
        assert_eq!(digits_of(5, 6, 1), [1, 0, 1]);
    }

    #[test]
    fn levels_are_letters() {
        assert_eq!(
            [level_token(0, 7), level_token(25, 0), level_token(26, 1)],
            ["<a_7>", "<z_0>", "<level26_1>"]
        );
    }
}
