//! A catalogue as a trie over the tokens of a model.

use super::Catalogue;
use crate::IdsError;
use plackett_lm::decode::TokenTrie;
use std::sync::Arc;

/// The sequences of a catalogue in a model's tokens.
#[derive(Clone, Debug)]
pub struct CatalogueTrie {
    /// The trie.
    pub trie: Arc<TokenTrie>,
    /// The places of the items with each sequence, by its rank in the trie.
    pub items: Vec<Vec<usize>>,
    /// Whether sequences begin others, so that a model has to write a token that ends them.
    pub needs_end: bool,
}

impl Catalogue {
    /// The trie of all sequences, where a code is written as the token that `token` gives for it.
    ///
    /// # Errors
    /// There are more tokens than a trie holds, or two codes have one token, so that sequences of different items become one.
    pub fn trie(&self, token: impl Fn(u32) -> u32) -> Result<CatalogueTrie, IdsError> {
        let failed = |problem: String| IdsError::Data(format!("the trie of the catalogue: {problem}"));
        let groups: Vec<&[usize]> = self.groups().collect();
        let written: Vec<Vec<u32>> = groups
            .iter()
            .map(|places| self.items[places[0]].codes.iter().map(|code| token(*code)).collect())
            .collect();
        let built = TokenTrie::build(&written).map_err(|error| failed(error.to_string()))?;
        if !built.duplicates.is_empty() {
            let count = built.duplicates.len();
            return Err(failed(format!(
                "{count} sequences become others, since codes have a token of the model in common"
            )));
        }
        let items = built.order.iter().map(|at| groups[*at as usize].to_vec()).collect();
        Ok(CatalogueTrie { trie: Arc::new(built.trie), items, needs_end: built.prefixes > 0 })
    }
}
