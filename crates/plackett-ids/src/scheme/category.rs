//! Identifiers from category paths.

use super::{Encoding, LAST, Reads, SchemeSpec, Source};
use crate::tokens::{TokenTable, leaf_token};
use plackett_core::declaration::OptionValues;
use std::collections::HashMap;

/// The declaration.
pub static CATEGORY: SchemeSpec = SchemeSpec {
    name: "category",
    aliases: &["category-path", "semid"],
    summary: "one token for each category on the item's path, and the last one for the item among those of its path",
    paper: "How to Index Item IDs for Recommendation Foundation Models (2023)",
    reads: &[Reads::Categories],
    options: &[LAST],
    encode: |options, source| Ok(encode(options, source)),
};

fn encode(options: &OptionValues, source: &Source<'_>) -> Encoding {
    let mut table = TokenTable::default();
    let mut members: HashMap<Vec<u32>, usize> = HashMap::new();
    let (mut codes, mut without, mut repeated) = (Vec::new(), 0, 0);
    for (place, item) in source.items.iter().enumerate() {
        let mut path: Vec<u32> = Vec::new();
        for category in &item.categories {
            let words: Vec<&str> = category.split_whitespace().collect();
            let token = table.number(format!("<category:{}>", words.join("_")));
            // A path that comes back to a category would say nothing new there.
            match path.contains(&token) {
                true => repeated += 1,
                false => path.push(token),
            }
        }
        without += usize::from(path.is_empty());
        let number = members.entry(path.clone()).or_default();
        let last = if options.choice("last") == "item" { place } else { *number };
        *number += 1;
        path.push(table.number(leaf_token(last)));
        codes.push(path);
    }
    let mut remarks = Vec::new();
    remarks
        .extend((without > 0).then(|| format!("{without} items have no category; they have a number alone")));
    remarks.extend(
        (repeated > 0)
            .then(|| format!("{repeated} times a path came back to a category of its own; it has it once")),
    );
    Encoding { tokens: table.into_tokens(), codes, codebooks: Vec::new(), remarks }
}
