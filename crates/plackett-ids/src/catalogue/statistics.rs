//! What a catalogue's sequences are like.

use super::Catalogue;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A sequence that another one begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrefixClash {
    /// The item with the shorter one.
    pub item: String,
    /// The item with the longer one.
    pub of: String,
    /// The shorter sequence.
    pub codes: String,
}

/// How the codes of one place in the sequences are used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LevelUse {
    /// The place, from 1.
    pub level: usize,
    /// Items that have a code there.
    pub items: usize,
    /// Different codes there.
    pub used: usize,
    /// How many there could be, where the scheme has codebooks.
    pub codebook: Option<usize>,
    /// Codes of the codebook that no item has.
    pub dead: Option<usize>,
    /// The entropy of the codes in bits.
    pub entropy: f64,
    /// The entropy of as many codes used equally often: log₂ of the codebook, or of the codes in use.
    pub most_entropy: f64,
    /// Items of the code that most of them have.
    pub largest: usize,
    /// Items of the code that fewest of them have, among codes in use.
    pub smallest: usize,
}

/// What a catalogue's sequences are like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Items.
    pub items: usize,
    /// Tokens of the scheme.
    pub tokens: usize,
    /// Tokens that no item has.
    pub dead_tokens: usize,
    /// Different sequences.
    pub sequences: usize,
    /// Items that share their sequence with another one.
    pub colliding_items: usize,
    /// Items of the sequence that most items share.
    pub largest_collision: usize,
    /// How many items have a sequence of each length.
    pub lengths: BTreeMap<usize, usize>,
    /// Sequences that are the beginning of another one: a model cannot know that they are over.
    pub prefix_clashes: usize,
    /// One of them.
    pub first_clash: Option<PrefixClash>,
    /// The use of each place.
    pub levels: Vec<LevelUse>,
}

impl Statistics {
    /// Whether no sequence is the beginning of another one.
    pub fn is_prefix_free(&self) -> bool {
        self.prefix_clashes == 0
    }

    /// Whether no two items share a sequence.
    pub fn is_unique(&self) -> bool {
        self.colliding_items == 0
    }
}

impl Catalogue {
    /// Counts collisions, lengths, prefixes and the use of codes.
    pub fn statistics(&self) -> Statistics {
        let shared = || self.groups().map(<[usize]>::len).filter(|items| *items > 1);
        let mut lengths = BTreeMap::new();
        self.items.iter().for_each(|item| *lengths.entry(item.codes.len()).or_default() += 1);
        let used: HashSet<u32> = self.items.iter().flat_map(|item| item.codes.iter().copied()).collect();
        let (prefix_clashes, first_clash) = self.prefix_clashes();
        let longest = lengths.keys().next_back().copied().unwrap_or(0);
        Statistics {
            items: self.len(),
            tokens: self.tokens.len(),
            dead_tokens: self.tokens.len() - used.len(),
            sequences: self.groups().count(),
            colliding_items: shared().sum(),
            largest_collision: shared().max().unwrap_or(1),
            lengths,
            prefix_clashes,
            first_clash,
            levels: (0..longest).map(|level| self.level_use(level)).collect(),
        }
    }

    /// Sequences that are the beginning of another one. In sorted order such a one stands right before what it begins.
    fn prefix_clashes(&self) -> (usize, Option<PrefixClash>) {
        let sequences: Vec<(&[u32], usize)> =
            self.groups().map(|places| (&self.items[places[0]].codes[..], places[0])).collect();
        let clashes: Vec<_> = sequences.windows(2).filter(|pair| pair[1].0.starts_with(pair[0].0)).collect();
        let first = clashes.first().map(|pair| PrefixClash {
            item: self.items[pair[0].1].id.clone(),
            of: self.items[pair[1].1].id.clone(),
            codes: self.text(pair[0].1),
        });
        (clashes.len(), first)
    }

    /// The items of each code that is in use at a place (from 0), from the fewest to the most.
    pub fn code_counts(&self, level: usize) -> Vec<usize> {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        let codes = self.items.iter().filter_map(|item| item.codes.get(level));
        codes.for_each(|code| *counts.entry(*code).or_default() += 1);
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable();
        counts
    }

    fn level_use(&self, level: usize) -> LevelUse {
        // Rising: one order of the sum, whatever that of a map.
        let counts = self.code_counts(level);
        let items: usize = counts.iter().sum();
        let share = |count: &usize| *count as f64 / items as f64;
        // From 0, so that one code has 0 bits and not −0.
        let entropy = counts.iter().map(share).fold(0.0, |bits, share| bits - share * share.log2());
        let codebook = self.codebooks.get(level).copied();
        LevelUse {
            level: level + 1,
            items,
            used: counts.len(),
            codebook,
            dead: codebook.map(|codebook| codebook.saturating_sub(counts.len())),
            entropy,
            most_entropy: (codebook.unwrap_or(counts.len()).max(1) as f64).log2(),
            largest: counts.last().copied().unwrap_or(0),
            smallest: counts.first().copied().unwrap_or(0),
        }
    }
}
