//! Identifiers that occur in the text: the shortest run of words that no other item has.

use super::text::{of_words, words_of};
use super::{DUPLICATES, Encoding, Reads, SchemeSpec, Source};
use indexmap::IndexSet;
use plackett_core::counted;
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
    let texts: Vec<[Vec<u32>; 3]> = source
        .items
        .iter()
        .map(|item| [numbers(&item.title), numbers(&item.keywords), numbers(&item.text)])
        .collect();
    let most = options.count("words");
    let runs = shortest_unique_runs(&texts, most);
    let without = runs.iter().filter(|run| run.is_none()).count();
    let words = texts.iter().zip(runs).map(|(parts, run)| {
        let first = || parts.iter().flatten().copied().take(most).collect::<Vec<u32>>();
        let run = run.map_or_else(first, <[u32]>::to_vec);
        run.iter().filter_map(|word| known.get_index(*word as usize).cloned()).collect::<Vec<String>>()
    });
    let mut encoding = of_words(words, options);
    encoding.remarks.extend((without > 0).then(|| {
        let run = format!("run of up to {}", counted(most, "word", "words"));
        counted(
            without,
            &format!("item has no {run} of its own; it has its first words"),
            &format!("items have no {run} of their own; they have their first words"),
        )
    }));
    encoding
}

/// The runs of so many words of the parts of a text. None goes from one part to the next, for it would stand nowhere.
fn runs_of(parts: &[Vec<u32>; 3], length: usize) -> impl Iterator<Item = &[u32]> {
    parts.iter().flat_map(move |part| part.windows(length))
}

/// For each text, of title, keywords and text, the shortest run of at most `most` words that no other one has, the first one of its length.
fn shortest_unique_runs(texts: &[[Vec<u32>; 3]], most: usize) -> Vec<Option<&[u32]>> {
    let mut found: Vec<Option<&[u32]>> = vec![None; texts.len()];
    for length in 1..=most {
        if found.iter().all(Option::is_some) {
            break;
        }
        // The text of each run; nothing where there are several.
        let mut owners: HashMap<&[u32], Option<usize>> = HashMap::new();
        for (place, text) in texts.iter().enumerate() {
            for run in runs_of(text, length) {
                let owner = owners.entry(run).or_insert(Some(place));
                if *owner != Some(place) {
                    *owner = None;
                }
            }
        }
        for (run, text) in found.iter_mut().zip(texts).filter(|(run, _)| run.is_none()) {
            *run = runs_of(text, length).find(|run| owners.get(run).is_some_and(Option::is_some));
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

    #[test]
    fn no_run_goes_from_the_title_to_the_text() {
        let item = |id: &str, title: &str, text: &str| Item {
            title: title.into(),
            text: text.into(),
            ..Item::new(id)
        };
        let items = [item("a", "green tea", "leaves dry"), item("b", "", "green tea dry leaves")];
        let catalogue = parse("ngrams").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
        assert_eq!([catalogue.text(0), catalogue.text(1)], ["[ leaves dry ]", "[ tea dry ]"]);
        // Neither part has a run of its own, and the first words are those of both.
        let items = [items[0].clone(), item("b", "", "green tea dry leaves dry")];
        let catalogue = parse("ngrams").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
        assert_eq!(catalogue.text(0), "[ green tea leaves dry ]");
    }
}
