//! The catalogue: which item has which sequence of tokens, with its title. It is the one artefact that building, training and serving share.

mod exchange;
mod file;
mod statistics;
mod trie;

pub use file::{BINDING_FILE, CATALOGUE_FILE};
pub use statistics::{LevelUse, PrefixClash, Statistics};
pub use trie::CatalogueTrie;

use crate::scheme::Encoding;
use crate::tokens::leaf_token;
use crate::{IdsError, Item};
use plackett_lm::sha256::Sha256;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// An item of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueItem {
    /// The name by which it is known outside.
    pub id: String,
    /// What people call it; empty where nothing is known.
    pub title: String,
    /// Its sequence: places in the catalogue's tokens.
    pub codes: Vec<u32>,
}

/// What a catalogue was made with beside its items and its scheme. Older catalogues say nothing of it, nor do those that were made elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// From which what was drawn followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The embedding model of the vectors, or the file that they were read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<String>,
    /// Positions at the end of each history that were held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<usize>,
}

/// Items with their sequences and titles.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    scheme: String,
    tokens: Vec<String>,
    codebooks: Vec<usize>,
    items: Vec<CatalogueItem>,
    remarks: Vec<String>,
    origin: Origin,
    /// Places of the items in the order of their names.
    by_id: Vec<usize>,
    /// The same in the order of sequences, and of places where they are equal.
    by_codes: Vec<usize>,
    sha256: String,
}

impl Catalogue {
    /// From items and what a scheme made of them.
    ///
    /// # Errors
    /// A name or token stands twice, an item has no sequence or a code beyond the tokens, or there is no item.
    pub fn new(scheme: &str, items: &[Item], encoding: Encoding) -> Result<Catalogue, IdsError> {
        if items.len() != encoding.codes.len() {
            let (items, codes) = (items.len(), encoding.codes.len());
            return Err(IdsError::Data(format!("there are {items} items and {codes} sequences")));
        }
        let with_codes = |(item, codes): (&Item, Vec<u32>)| CatalogueItem {
            id: item.id.clone(),
            title: item.title.clone(),
            codes,
        };
        let items = items.iter().zip(encoding.codes).map(with_codes).collect();
        let (tokens, codebooks, remarks) = (encoding.tokens, encoding.codebooks, encoding.remarks);
        Catalogue::of_parts(scheme.into(), tokens, codebooks, items, remarks).map_err(IdsError::Data)
    }

    fn of_parts(
        scheme: String,
        tokens: Vec<String>,
        codebooks: Vec<usize>,
        items: Vec<CatalogueItem>,
        remarks: Vec<String>,
    ) -> Result<Catalogue, String> {
        if items.is_empty() {
            return Err("a catalogue has one item at least".into());
        }
        let mut distinct = HashSet::new();
        if let Some(token) = tokens.iter().find(|token| !distinct.insert(token.as_str())) {
            return Err(format!("the token `{token}` stands twice"));
        }
        if let Some(token) =
            tokens.iter().find(|token| token.is_empty() || token.contains(char::is_whitespace))
        {
            return Err(format!(
                "the token `{token}` is empty or has a blank; tokens are written with blanks between them"
            ));
        }
        for item in &items {
            if item.codes.is_empty() {
                return Err(format!("the item `{}` has no code", item.id));
            }
            if let Some(code) = item.codes.iter().find(|code| **code as usize >= tokens.len()) {
                return Err(format!(
                    "the item `{}` has code {code}, and there are {} tokens",
                    item.id,
                    tokens.len()
                ));
            }
        }
        let mut by_id: Vec<usize> = (0..items.len()).collect();
        by_id.sort_unstable_by(|a, b| items[*a].id.cmp(&items[*b].id));
        if let Some(pair) = by_id.windows(2).find(|pair| items[pair[0]].id == items[pair[1]].id) {
            return Err(format!("the item `{}` stands twice", items[pair[0]].id));
        }
        let mut by_codes: Vec<usize> = (0..items.len()).collect();
        by_codes.sort_unstable_by(|a, b| items[*a].codes.cmp(&items[*b].codes).then(a.cmp(b)));
        let sha256 = hash(&scheme, &tokens, &codebooks, &items);
        let origin = Origin::default();
        Ok(Catalogue { scheme, tokens, codebooks, items, remarks, origin, by_id, by_codes, sha256 })
    }

    /// The scheme, as it was written.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// All tokens of the scheme, also those that no item has.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// How many codes each level could have; nothing for schemes without codebooks.
    pub fn codebooks(&self) -> &[usize] {
        &self.codebooks
    }

    /// The items, in the order in which they were given.
    pub fn items(&self) -> &[CatalogueItem] {
        &self.items
    }

    /// What the scheme had to say: what was cut, shared, or left without information.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What it was made with. It is no part of the hash: sequences mean the same whatever they were made of.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The same with what it was made with.
    pub fn with_origin(self, origin: Origin) -> Catalogue {
        Catalogue { origin, ..self }
    }

    /// SHA-256 of scheme, tokens and items in hexadecimal digits: two catalogues with one hash mean the same by every sequence.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Never: a catalogue has one item at least.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The place of an item.
    pub fn place(&self, id: &str) -> Option<usize> {
        let found = self.by_id.binary_search_by(|place| self.items[*place].id.as_str().cmp(id));
        found.ok().map(|at| self.by_id[at])
    }

    /// The places of the items with a sequence, in their order: one, more where items share it, none where nobody has it.
    pub fn find(&self, codes: &[u32]) -> &[usize] {
        let from = self.by_codes.partition_point(|place| self.items[*place].codes.as_slice() < codes);
        let count = self.by_codes[from..].partition_point(|place| self.items[*place].codes == codes);
        &self.by_codes[from..from + count]
    }

    /// The places of the items with each sequence, in the order of sequences.
    pub fn groups(&self) -> impl Iterator<Item = &[usize]> {
        self.by_codes.chunk_by(|a, b| self.items[*a].codes == self.items[*b].codes)
    }

    /// The sequence of an item as tokens with blanks between them.
    pub fn text(&self, place: usize) -> String {
        let tokens: Vec<&str> =
            self.items[place].codes.iter().map(|code| self.tokens[*code as usize].as_str()).collect();
        tokens.join(" ")
    }

    /// The catalogue of these items, in their order: those that it has keep their sequences, and every other one gets a token of its own, behind all
    /// that there are. Tokens of items that are gone stay in their places, in no sequence.
    ///
    /// # Errors
    /// A name stands twice, or there is no item.
    pub fn updated(&self, items: &[Item]) -> Result<Catalogue, IdsError> {
        let taken: HashSet<&str> = self.tokens.iter().map(String::as_str).collect();
        let mut free = (0..).map(leaf_token).filter(|token| !taken.contains(token.as_str()));
        let (mut tokens, mut codes) = (self.tokens.clone(), Vec::with_capacity(items.len()));
        for item in items {
            codes.push(match self.place(&item.id) {
                Some(place) => self.items[place].codes.clone(),
                None => {
                    tokens.extend(free.next());
                    vec![tokens.len() as u32 - 1]
                }
            });
        }
        let codebooks = match self.codebooks[..] {
            [_] => vec![tokens.len()],
            _ => self.codebooks.clone(),
        };
        let encoding = Encoding { tokens, codes, codebooks, remarks: self.remarks.clone() };
        Ok(Catalogue::new(&self.scheme, items, encoding)?.with_origin(self.origin.clone()))
    }

    /// The same sequences dealt to the items in a drawn order: identifiers of the same form that say nothing, to compare with.
    ///
    /// # Errors
    /// None in practice: the parts are those of a whole catalogue.
    pub fn shuffled(&self, seed: u64) -> Result<Catalogue, IdsError> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let dealt = self
            .items
            .iter()
            .zip(order)
            .map(|(item, from)| CatalogueItem { codes: self.items[from].codes.clone(), ..item.clone() });
        let scheme = format!("{}, shuffled", self.scheme);
        let (tokens, codebooks, remarks) =
            (self.tokens.clone(), self.codebooks.clone(), self.remarks.clone());
        let shuffled = Catalogue::of_parts(scheme, tokens, codebooks, dealt.collect(), remarks);
        Ok(shuffled.map_err(IdsError::Data)?.with_origin(self.origin.clone()))
    }
}

/// The hash of what sequences mean. Each part is told with its length, so that no two catalogues are told alike.
fn hash(scheme: &str, tokens: &[String], codebooks: &[usize], items: &[CatalogueItem]) -> String {
    let mut hasher = Sha256::new();
    let mut text = |text: &str| hasher.update_part(text);
    text(scheme);
    text(&tokens.len().to_string());
    tokens.iter().for_each(|token| text(token));
    text(&format!("{codebooks:?}"));
    for item in items {
        text(&item.id);
        text(&item.title);
        text(&format!("{:?}", item.codes));
    }
    hasher.hex_digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::{Source, parse};

    #[test]
    fn items_that_come_later_get_new_tokens_and_those_that_stay_keep_theirs() {
        let items = |ids: &[&str]| ids.iter().map(|id| Item::new(*id)).collect::<Vec<Item>>();
        let first = items(&["a", "b", "c"]);
        let catalogue = parse("atomic").unwrap().catalogue(&Source::of_items(&first, 7)).unwrap();
        let later = catalogue.updated(&items(&["c", "a", "d", "e"])).unwrap();
        let texts: Vec<String> = (0..later.len()).map(|place| later.text(place)).collect();
        assert_eq!(texts, ["<item_2>", "<item_0>", "<item_3>", "<item_4>"]);
        // The token of `b` stays in its place, so that those behind it do too.
        assert_eq!(later.tokens(), ["<item_0>", "<item_1>", "<item_2>", "<item_3>", "<item_4>"]);
        assert_eq!((later.codebooks(), later.scheme(), later.origin().seed), (&[5][..], "atomic", Some(7)));
        // One that comes back is a new one.
        let again = later.updated(&items(&["b"])).unwrap();
        assert_eq!((again.text(0).as_str(), again.tokens().len()), ("<item_5>", 6));
        assert_eq!(catalogue.updated(&first).unwrap(), catalogue);
        assert!(catalogue.updated(&items(&["a", "d", "d"])).is_err());
        assert!(catalogue.updated(&[]).is_err());
    }
}
