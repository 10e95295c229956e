//! Identifiers from words: titles, keywords. They stand in brackets, so that none is the beginning of another.

use super::{DUPLICATES, Encoding, Reads, SchemeSpec, Source};
use crate::Item;
use crate::tokens::{TokenTable, number_duplicates};
use plackett_core::counted;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use std::collections::{HashMap, HashSet};

/// The title.
pub static TITLE: SchemeSpec = SchemeSpec {
    name: "title",
    aliases: &["tid"],
    summary: "the words of the title in square brackets",
    paper: "Autoregressive Entity Retrieval (2021); How to Index Item IDs (2023)",
    reads: &[Reads::Texts],
    options: &[
        OptionSpec {
            name: "words",
            kind: OptionKind::Integer(0, 1000),
            default: Some("0"),
            help: "words at most; 0 for all",
        },
        DUPLICATES,
    ],
    holds: |_, sizes| 100 * sizes.items + 8 * sizes.name_bytes,
    encode: |options, source| Ok(of_words(source.items.iter().map(|item| words_of(&item.title)), options)),
};

/// Keywords.
pub static KEYWORDS: SchemeSpec = SchemeSpec {
    name: "keywords",
    aliases: &["terms"],
    summary: "the item's keywords in square brackets; where it has none, the words of title and text with the greatest tf-idf, from the most \
              common to the rarest",
    paper: "ZeroGR (2025); IDGenRec (2024)",
    reads: &[Reads::Texts],
    options: &[
        OptionSpec {
            name: "words",
            kind: OptionKind::Integer(1, 1000),
            default: Some("8"),
            help: "words at most",
        },
        DUPLICATES,
    ],
    // Every word could be one of its own.
    holds: |_, sizes| 100 * sizes.items + 8 * sizes.text_bytes,
    encode: |options, source| {
        let frequencies = document_frequencies(source);
        let most = options.count("words");
        let words = |item: &Item| match words_of(&item.keywords) {
            given if given.is_empty() => best_words(item, &frequencies, (source.items.len(), most)),
            given => given,
        };
        Ok(of_words(source.items.iter().map(words), options))
    },
};

/// Runs of letters and digits, in lower case.
pub(super) fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

fn document_frequencies(source: &Source<'_>) -> HashMap<String, usize> {
    let mut frequencies = HashMap::new();
    for item in source.items {
        let words: HashSet<String> = words_of(&item.title).into_iter().chain(words_of(&item.text)).collect();
        words.into_iter().for_each(|word| *frequencies.entry(word).or_default() += 1);
    }
    frequencies
}

/// The words of an item with the greatest tf-idf, the most common first; of equal ones by the alphabet.
fn best_words(
    item: &Item,
    frequencies: &HashMap<String, usize>,
    (items, most): (usize, usize),
) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for word in words_of(&item.title).into_iter().chain(words_of(&item.text)) {
        *counts.entry(word).or_default() += 1;
    }
    let frequency = |word: &str| frequencies.get(word).copied().unwrap_or(1);
    let mut words: Vec<(f64, String)> = counts
        .into_iter()
        .map(|(word, count)| (count as f64 * (1.0 + items as f64 / frequency(&word) as f64).ln(), word))
        .collect();
    words.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    words.truncate(most);
    words.sort_by(|a, b| frequency(&b.1).cmp(&frequency(&a.1)).then_with(|| a.1.cmp(&b.1)));
    words.into_iter().map(|(_, word)| word).collect()
}

/// Words in square brackets, as the options `words` (0 for all) and `duplicates` say.
pub(super) fn of_words(all: impl Iterator<Item = Vec<String>>, options: &OptionValues) -> Encoding {
    let most = match options.count("words") {
        0 => usize::MAX,
        most => most,
    };
    let mut table = TokenTable::default();
    let (open, close) = (table.number("["), table.number("]"));
    let (mut codes, mut cut, mut empty) = (Vec::new(), 0, 0);
    for words in all {
        cut += usize::from(words.len() > most);
        empty += usize::from(words.is_empty());
        let words = words.into_iter().take(most).map(|word| table.number(word));
        codes.push([open].into_iter().chain(words.collect::<Vec<_>>()).chain([close]).collect());
    }
    let mut remarks = Vec::new();
    remarks.extend((empty > 0).then(|| {
        counted(
            empty,
            "item has no words; its brackets are empty",
            "items have no words; their brackets are empty",
        )
    }));
    remarks.extend((cut > 0).then(|| {
        let items = counted(cut, "item has", "items have");
        format!("{items} more than {}; the others were cut off", counted(most, "word", "words"))
    }));
    if options.choice("duplicates") == "number" {
        let shared = number_duplicates(&mut codes, &mut table);
        remarks.extend(
            (shared > 0)
                .then(|| format!("{shared} items shared their words with others; they have one token more")),
        );
    }
    Encoding { tokens: table.into_tokens(), codes, codebooks: Vec::new(), remarks }
}
