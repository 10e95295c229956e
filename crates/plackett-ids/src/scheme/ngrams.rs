//! Identifiers that occur in the text: the shortest run of words that no other item has.

use super::text::{of_words, words_of};
use super::{DUPLICATES, Encoding, Reads, SchemeSpec, Source};
use indexmap::IndexSet;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use std::collections::HashMap;

/// The declaration.
pub static NGRAMS: SchemeSpec = SchemeSpec {
    name: "ngrams",
    aliases: &["n-grams"],
    summary: "the shortest run of words of title, keywords and text that no other item has, the first of those of one length, in square brackets; where \
              every run is another item's too, the first words",
    paper: "From Matching to Generation: A Survey on Generative Information Retrieval (2024), n-grams; SEAL (2022)",
    reads: &[Reads::Texts],
    options: &[
        OptionSpec {
            name: "words",
            kind: OptionKind::Integer(1, 100),
            default: Some("8"),
            help: "words of a run at most",
        },
        DUPLICATES,
    ],
    // Every word, and a run that begins at every word.
    holds: |_, sizes| 100 * sizes.items + 24 * sizes.text_bytes,
    encode: |options, source| Ok(encode(options, source)),
};

fn encode(options: &OptionValues, source: &Source<'_>) -> Encoding {
    let mut known: IndexSet<String> = IndexSet::new();
    let mut numbers = |text: &str| -> Vec<u32> {
        words_of(text).into_iter().map(|word| known.insert_full(word).0 as u32).collect()
    };
    let texts: Vec<Vec<u32>> = source
        .items
        .iter()
        .map(|item| [numbers(&item.title), numbers(&item.keywords), numbers(&item.text)].concat())
        .collect();
    let most = options.count("words");
    let runs = shortest_unique_runs(&texts, most);
    let without = runs.iter().filter(|run| run.is_none()).count();
    let words = texts.iter().zip(runs).map(|(text, run)| {
        let run = run.unwrap_or(&text[..text.len().min(most)]);
        run.iter().filter_map(|word| known.get_index(*word as usize).cloned()).collect::<Vec<String>>()
    });
    let mut encoding = of_words(words, options);
    encoding.remarks.extend((without > 0).then(|| {
        format!("{without} items have no run of up to {most} words of their own; they have their first words")
    }));
    encoding
}

/// For each text the shortest run of at most `most` words that no other text has, the first one of its length.
fn shortest_unique_runs(texts: &[Vec<u32>], most: usize) -> Vec<Option<&[u32]>> {
    let mut found: Vec<Option<&[u32]>> = vec![None; texts.len()];
    for length in 1..=most {
        if found.iter().all(Option::is_some) {
            break;
        }
        // The text of each run; nothing where there are several.
        let mut owners: HashMap<&[u32], Option<usize>> = HashMap::new();
        for (place, text) in texts.iter().enumerate() {
            for run in text.windows(length) {
                let owner = owners.entry(run).or_insert(Some(place));
                if *owner != Some(place) {
                    *owner = None;
                }
            }
        }
        for (run, text) in found.iter_mut().zip(texts).filter(|(run, _)| run.is_none()) {
            *run = text.windows(length).find(|run| owners.get(run).is_some_and(Option::is_some));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::Item;
    use crate::scheme::{Source, parse};

    #[test]
    fn the_shortest_run_that_no_other_text_has_is_taken() {
        let texts =
            ["green tea leaves", "Green tea, cups", "red tea cups", "tea cups", "tea cups", "tea tea"];
        let items: Vec<Item> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| Item { text: (*text).into(), ..Item::new(format!("d{at}")) })
            .collect();
        let catalogue = parse("ngrams").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
        let found: Vec<String> = (0..items.len()).map(|place| catalogue.text(place)).collect();
        let expected = [
            "[ leaves ]",
            "[ green tea cups ]",
            "[ red ]",
            "[ tea cups ] <same_0>",
            "[ tea cups ] <same_1>",
            "[ tea tea ]",
        ];
        assert_eq!(found, expected);
        assert!(catalogue.remarks()[0].starts_with("2 items shared"), "{:?}", catalogue.remarks());
        assert!(catalogue.remarks()[1].starts_with("2 items have no run"), "{:?}", catalogue.remarks());
        let short = parse("ngrams(words=2)").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
        assert_eq!(short.text(1), "[ green tea ]", "no run of two words is its own: its first words");
    }
}
