//! Items as tokens: one for each code, and the tree of those that there are.

use crate::RecError;
use std::collections::{BTreeSet, HashMap};

/// The tokens of a catalogue. Each level has a vocabulary of its own, or all share one; the last token begins an item.
#[derive(Clone, Debug)]
pub struct ItemTokens {
    levels: usize,
    codebook: usize,
    /// From the first token of a level to that of the next one; 0 where all share one vocabulary.
    step: usize,
    items: Vec<Vec<u32>>,
    next: HashMap<Vec<u32>, Vec<u32>>,
    /// The most popular item of each sequence.
    named: HashMap<Vec<u32>, u32>,
}

impl ItemTokens {
    /// Of items' codes, one a level, each below `codebook`; `counts` say how popular an item is. Where several items share their codes, the most
    /// popular one is meant when they are written, of equally popular ones the first (the authors do not say).
    ///
    /// # Errors
    /// Items have no or different numbers of codes, a code is not of the codebook, or there is not a count for each item.
    pub fn new(codes: &[Vec<u32>], codebook: usize, counts: &[usize]) -> Result<ItemTokens, RecError> {
        ItemTokens::with_step(codes, (codebook, codebook), counts)
    }

    /// The same with one vocabulary for all levels: a code is the same token wherever it stands, as digits and the nodes of a tree are.
    ///
    /// # Errors
    /// As [`ItemTokens::new`].
    pub fn shared(codes: &[Vec<u32>], codebook: usize, counts: &[usize]) -> Result<ItemTokens, RecError> {
        ItemTokens::with_step(codes, (codebook, 0), counts)
    }

    fn with_step(
        codes: &[Vec<u32>],
        (codebook, step): (usize, usize),
        counts: &[usize],
    ) -> Result<ItemTokens, RecError> {
        let said = |problem: String| Err(RecError::Setting(format!("semantic ids: {problem}")));
        let levels = codes.first().map_or(0, Vec::len);
        if levels == 0 || codes.iter().any(|codes| codes.len() != levels) || counts.len() != codes.len() {
            return said("each item needs equally many codes, one at least, and a count".into());
        }
        if let Some(code) = codes.iter().flatten().find(|code| **code as usize >= codebook) {
            return said(format!("there is no code {code} among {codebook}, numbered from 0"));
        }
        let token = |(level, code): (usize, &u32)| (level * step) as u32 + code;
        let items: Vec<Vec<u32>> =
            codes.iter().map(|codes| codes.iter().enumerate().map(token).collect()).collect();
        let mut named: HashMap<Vec<u32>, u32> = HashMap::new();
        for (item, tokens) in items.iter().enumerate() {
            let best = named.entry(tokens.clone()).or_insert(item as u32);
            if counts[item] > counts[*best as usize] {
                *best = item as u32;
            }
        }
        let next = tree(items.iter().map(Vec::as_slice));
        Ok(ItemTokens { levels, codebook, step, items, next, named })
    }

    /// The same catalogue, of which only some items can be written.
    ///
    /// # Errors
    /// The catalogue does not have one of them.
    pub fn among(&self, items: &[u32]) -> Result<ItemTokens, RecError> {
        let sequences = items.iter().map(|item| self.tokens(*item)).collect::<Result<Vec<&[u32]>, _>>()?;
        Ok(ItemTokens { next: tree(sequences.into_iter()), ..self.clone() })
    }

    /// Tokens of an item.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// The token that begins an item.
    pub fn begin(&self) -> u32 {
        ((self.levels - 1) * self.step + self.codebook) as u32
    }

    /// Codes of a level.
    pub fn codebook(&self) -> usize {
        self.codebook
    }

    /// The tokens of a level, from 0.
    pub fn of_level(&self, level: usize) -> std::ops::Range<u32> {
        (level * self.step) as u32..(level * self.step + self.codebook) as u32
    }

    /// How many tokens there are.
    pub fn vocabulary(&self) -> usize {
        self.begin() as usize + 1
    }

    /// How many items there are.
    pub fn item_count(&self) -> usize {
        self.items.len()
    }

    /// The tokens of an item.
    ///
    /// # Errors
    /// The catalogue does not have it.
    pub fn tokens(&self, item: u32) -> Result<&[u32], RecError> {
        let unknown = RecError::UnknownItem { item, catalogue: self.items.len() };
        self.items.get(item as usize).map(Vec::as_slice).ok_or(unknown)
    }

    /// The tokens that some item has behind the beginning of its own; none behind what no item begins with.
    pub fn allowed(&self, prefix: &[u32]) -> &[u32] {
        self.next.get(prefix).map_or(&[], Vec::as_slice)
    }

    /// The item that a whole sequence means.
    pub fn item(&self, tokens: &[u32]) -> Option<u32> {
        self.named.get(tokens).copied()
    }

    /// The tokens of items one after another, each behind the token that begins one where `begins`.
    ///
    /// # Errors
    /// The catalogue does not have one of them.
    pub fn written(&self, items: &[u32], begins: bool) -> Result<Vec<u32>, RecError> {
        let mut all = Vec::with_capacity(items.len() * (self.levels + 1));
        for item in items {
            all.extend(begins.then(|| self.begin()));
            all.extend_from_slice(self.tokens(*item)?);
        }
        Ok(all)
    }
}

/// What may come behind each beginning of some sequences, rising.
fn tree<'s>(sequences: impl Iterator<Item = &'s [u32]>) -> HashMap<Vec<u32>, Vec<u32>> {
    let mut next: HashMap<Vec<u32>, BTreeSet<u32>> = HashMap::new();
    for tokens in sequences {
        for (at, token) in tokens.iter().enumerate() {
            next.entry(tokens[..at].to_vec()).or_default().insert(*token);
        }
    }
    next.into_iter().map(|(prefix, tokens)| (prefix, tokens.into_iter().collect())).collect()
}

/// Gives the codes of each item one more, which tells items apart that share all others: 0 for the first of them.
pub(crate) fn tell_apart(ids: &mut [Vec<u32>]) {
    let mut taken: HashMap<Vec<u32>, u32> = HashMap::new();
    for id in ids {
        let next = taken.entry(id.clone()).or_default();
        id.push(*next);
        *next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_that_share_codes_give_way_to_the_most_popular() {
        let codes = [[0, 1], [2, 0], [0, 1], [0, 2]].map(|codes| codes.to_vec());
        let tokens = ItemTokens::new(&codes, 3, &[1, 5, 4, 4]).unwrap();
        assert_eq!((tokens.vocabulary(), tokens.begin(), tokens.levels()), (7, 6, 2));
        assert_eq!(tokens.allowed(&[]), [0, 2]);
        assert_eq!((tokens.allowed(&[0]), tokens.allowed(&[1])), (&[4, 5][..], &[][..]));
        assert_eq!(
            (tokens.item(&[0, 4]), tokens.item(&[2, 3]), tokens.item(&[2, 4])),
            (Some(2), Some(1), None)
        );
        assert_eq!(tokens.written(&[1, 3], true).unwrap(), [6, 2, 3, 6, 0, 5]);
        assert!(tokens.tokens(4).is_err());
        let some = tokens.among(&[1, 3]).unwrap();
        assert_eq!((some.allowed(&[]), some.allowed(&[0])), (&[0, 2][..], &[5][..]));
        assert_eq!((some.item_count(), some.vocabulary(), some.item(&[0, 5])), (4, 7, Some(3)));
        assert!(tokens.among(&[4]).is_err());
        assert!(ItemTokens::new(&codes, 2, &[1; 4]).unwrap_err().to_string().contains("no code 2"));
        assert!(ItemTokens::new(&codes, 3, &[1; 3]).is_err());
    }

    #[test]
    fn in_one_vocabulary_a_code_is_the_same_token_wherever_it_stands() {
        let codes = [[0, 1], [2, 0], [0, 2]].map(|codes| codes.to_vec());
        let tokens = ItemTokens::shared(&codes, 3, &[1; 3]).unwrap();
        assert_eq!((tokens.vocabulary(), tokens.begin(), tokens.levels()), (4, 3, 2));
        assert_eq!((tokens.of_level(0), tokens.of_level(1)), (0..3, 0..3));
        assert_eq!((tokens.allowed(&[]), tokens.allowed(&[0])), (&[0, 2][..], &[1, 2][..]));
        assert_eq!((tokens.item(&[2, 0]), tokens.item(&[0, 0])), (Some(1), None));
        assert_eq!(tokens.written(&[1, 2], true).unwrap(), [3, 2, 0, 3, 0, 2]);
    }
}
