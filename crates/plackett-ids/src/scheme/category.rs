//! Identifiers from category paths.

use super::{Encoding, LAST, Reads, SchemeSpec, Source};
use crate::tokens::{TokenTable, leaf_token};
use plackett_core::counted;
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
    holds: |_, sizes| 160 * sizes.items + sizes.text_bytes,
    encode: |options, source| Ok(encode(options, source)),
};

/// Categories as they came.
#[derive(Default)]
struct Found {
    /// The names of each token, the first one first.
    names: HashMap<u32, Vec<String>>,
    /// Two names of one token, where there are such.
    alike: Option<(String, String)>,
    merged: usize,
    blank: usize,
    repeated: usize,
}

impl Found {
    /// The tokens of a path. A blank category is none, and a path that comes back to a category would say nothing new there.
    fn path(&mut self, categories: &[String], table: &mut TokenTable) -> Vec<u32> {
        let mut path = Vec::new();
        for category in categories {
            let words: Vec<&str> = category.split_whitespace().collect();
            if words.is_empty() {
                self.blank += 1;
                continue;
            }
            let token = table.number(format!("<category:{}>", words.join("_")));
            self.named(token, words.join(" "));
            match path.contains(&token) {
                true => self.repeated += 1,
                false => path.push(token),
            }
        }
        path
    }

    fn named(&mut self, token: u32, name: String) {
        let names = self.names.entry(token).or_default();
        if names.contains(&name) {
            return;
        }
        if let Some(first) = names.first() {
            self.merged += 1;
            self.alike.get_or_insert_with(|| (first.clone(), name.clone()));
        }
        names.push(name);
    }

    fn remarks(self) -> Vec<String> {
        let Found { alike, merged, blank, repeated, .. } = self;
        let blank = (blank > 0).then(|| format!("{blank} categories of paths are blank; they are left out"));
        let merged = alike.map(|(first, other)| {
            format!("{merged} categories have the token of another one, such as `{other}` that of `{first}`: blanks are written as `_`")
        });
        let repeated = (repeated > 0)
            .then(|| format!("{repeated} times a path came back to a category of its own; it has it once"));
        blank.into_iter().chain(merged).chain(repeated).collect()
    }
}

fn encode(options: &OptionValues, source: &Source<'_>) -> Encoding {
    let mut table = TokenTable::default();
    let mut members: HashMap<Vec<u32>, usize> = HashMap::new();
    let (mut codes, mut without, mut found) = (Vec::new(), 0, Found::default());
    for (place, item) in source.items.iter().enumerate() {
        let mut path = found.path(&item.categories, &mut table);
        without += usize::from(path.is_empty());
        let number = members.entry(path.clone()).or_default();
        let last = if options.choice("last") == "item" { place } else { *number };
        *number += 1;
        path.push(table.number(leaf_token(last)));
        codes.push(path);
    }
    let mut remarks = Vec::new();
    remarks.extend((without > 0).then(|| {
        counted(
            without,
            "item has no category; it has a number alone",
            "items have no category; they have a number alone",
        )
    }));
    remarks.extend(found.remarks());
    Encoding { tokens: table.into_tokens(), codes, codebooks: Vec::new(), remarks }
}

#[cfg(test)]
mod tests {
    use crate::Item;
    use crate::scheme::{Source, parse};

    #[test]
    fn blank_categories_are_left_out_and_those_of_one_token_are_told() {
        let item = |id: &str, categories: &[&str]| Item {
            categories: categories.iter().map(ToString::to_string).collect(),
            ..Item::new(id)
        };
        let items = [item("x", &["A b", " ", "C"]), item("y", &["A_b"]), item("z", &["A  b", ""])];
        let scheme = parse("category").unwrap();
        let catalogue = scheme.catalogue(&Source::of_items(&items, 1)).unwrap();
        assert_eq!(catalogue.text(0), "<category:A_b> <category:C> <item_0>");
        assert_eq!(catalogue.text(2), "<category:A_b> <item_1>");
        let remarks = catalogue.remarks();
        assert_eq!(remarks.len(), 2, "{remarks:?}");
        assert!(remarks[0].starts_with("2 categories of paths are blank"), "{remarks:?}");
        assert!(remarks[1].starts_with("1 categories") && remarks[1].contains("`A_b` that of `A b`"));
        let blank = [item("x", &[" "])];
        let error = scheme.catalogue(&Source::of_items(&blank, 1)).unwrap_err().to_string();
        assert!(error.contains("needs category paths"), "{error}");
    }
}
