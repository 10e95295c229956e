//! What making identifiers takes of memory, told before it is taken.

use super::{Scheme, most_learned_from};
use crate::Item;
use crate::scheme::Reads;
use plackett_core::declaration::OptionValues;

/// Bytes of a number of a vector, and of a code.
pub(super) const NUMBER: u64 = 4;
/// What an item of a catalogue takes beside its name and title: places, codes, its turn in both orders.
const CATALOGUE_ITEM: u64 = 200;
/// Program, threads and buffers of files.
const PROGRAM: u64 = 64 << 20;

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Items.
    pub items: u64,
    /// Bytes of all items, as they lie in memory.
    pub item_bytes: u64,
    /// Bytes of their names and titles.
    pub name_bytes: u64,
    /// Bytes of all that they say: titles, keywords, texts, URLs, categories.
    pub text_bytes: u64,
    /// Numbers of a vector; 0 without vectors.
    pub dimension: u64,
    /// Pairs of items of one history, and events.
    pub pairs: u64,
}

impl Sizes {
    /// Those of items and training histories, with vectors of a dimension.
    pub fn of(items: &[Item], histories: &[Vec<usize>], dimension: usize) -> Sizes {
        let bytes = |texts: &[&String]| texts.iter().map(|text| text.len() as u64).sum::<u64>();
        let mut sizes = Sizes { items: items.len() as u64, dimension: dimension as u64, ..Sizes::default() };
        for item in items {
            sizes.name_bytes += bytes(&[&item.id, &item.title]);
            sizes.text_bytes += bytes(&[&item.title, &item.keywords, &item.text, &item.url]);
            let categories: Vec<&String> = item.categories.iter().collect();
            sizes.text_bytes += bytes(&categories);
            // A string has its allocation's own bytes; a list of them has a head for each.
            sizes.item_bytes += size_of::<Item>() as u64 + 6 * 16 + 40 * categories.len() as u64;
        }
        sizes.item_bytes += sizes.text_bytes + sizes.name_bytes;
        sizes.pairs = histories.iter().map(|history| (history.len() * (history.len() + 2)) as u64).sum();
        sizes
    }

    /// Vectors that codebooks are learned from.
    pub(super) fn sample(&self, options: &OptionValues) -> u64 {
        let codes = options.get_count("codes").or_else(|| options.get_count("clusters")).unwrap_or(0);
        self.items.min(most_learned_from(options, codes) as u64)
    }
}

/// What a build takes of memory, estimated from above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Bytes with vectors in a file, or without vectors.
    pub least: u64,
    /// Bytes of the vectors in memory; 0 without vectors.
    pub vectors: u64,
}

impl Scheme {
    /// What a build of this scheme takes.
    pub fn memory(&self, sizes: &Sizes) -> MemoryNeed {
        let catalogue = sizes.name_bytes + sizes.items * CATALOGUE_ITEM;
        let held = (self.spec.holds)(&self.options, sizes);
        let reads_vectors = self.spec.reads.contains(&Reads::Vectors);
        let vectors = if reads_vectors { NUMBER * sizes.items * sizes.dimension } else { 0 };
        MemoryNeed { least: PROGRAM + sizes.item_bytes + catalogue + held, vectors }
    }
}
