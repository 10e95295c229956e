//! Identifiers of other tools: MiniOneRec's index, `{"item": ["<a_1>", "<b_2>", "<c_3>"]}`, and a table of item, sequence and title with tabs
//! between them.

use super::Catalogue;
use super::file::LINE_LIMIT;
use crate::scheme::Encoding;
use crate::tokens::TokenTable;
use crate::{IdsError, Item};
use indexmap::{IndexMap, map::Entry};
use plackett_core::counted;
use plackett_core::formats::{FormatError, Lines, atomic, json_problem, read_text};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// An index in the order of its file; an item that stands in it twice is an error.
struct Index(IndexMap<String, Vec<String>>);

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Index, D::Error> {
        from.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Index;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list of tokens for each item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Index, A::Error> {
        let mut index = IndexMap::new();
        while let Some((id, tokens)) = entries.next_entry::<String, Vec<String>>()? {
            match index.entry(id) {
                Entry::Vacant(place) => {
                    place.insert(tokens);
                }
                Entry::Occupied(known) => {
                    return Err(A::Error::custom(format!(
                        "the item `{}` stands twice; leave one of them out",
                        known.key()
                    )));
                }
            }
        }
        Ok(Index(index))
    }
}

impl Catalogue {
    /// From sequences of tokens that were made elsewhere.
    ///
    /// # Errors
    /// An item has no sequence, or a token is empty or has a blank.
    pub fn of_sequences(
        scheme: &str,
        items: &[Item],
        sequences: &[Vec<String>],
    ) -> Result<Catalogue, IdsError> {
        let mut table = TokenTable::default();
        let codes =
            sequences.iter().map(|tokens| tokens.iter().map(|token| table.number(token)).collect()).collect();
        Catalogue::new(scheme, items, Encoding { codes, tokens: table.into_tokens(), ..Encoding::default() })
    }

    /// Reads an index in JSON of some or all of `items`, which give the titles. Items that the index lacks are not in the catalogue; a remark
    /// says how many there are.
    ///
    /// # Errors
    /// The file cannot be read or is no such index, an item stands in it twice or is not among `items`.
    pub fn read_index(path: &Path, items: &[Item]) -> Result<Catalogue, IdsError> {
        let text = read_text(path)?;
        let Index(index) = serde_json::from_str(&text).map_err(|error| FormatError::Json {
            file: path.display().to_string(),
            line: error.line() as u64,
            expected: "an index: an object with a list of tokens for each item",
            problem: json_problem(&text, &error),
        })?;
        Catalogue::of_known((path, "index"), index, items)
    }

    /// Sequences that were made elsewhere of some or all of `items`; what they stand in is an index or a table, and so is the scheme called.
    fn of_known(
        (path, what): (&Path, &str),
        sequences: IndexMap<String, Vec<String>>,
        items: &[Item],
    ) -> Result<Catalogue, IdsError> {
        let known: HashMap<&str, &Item> = items.iter().map(|item| (item.id.as_str(), item)).collect();
        let unknown = sequences.keys().filter(|id| !known.contains_key(id.as_str())).count();
        let item = |id: &String| {
            known.get(id.as_str()).map(|item| (*item).clone()).ok_or_else(|| IdsError::Catalogue {
                file: path.display().to_string(),
                problem: format!(
                    "`{id}` is not among the items ({unknown} of {} are not); {what} and items have to belong together",
                    sequences.len()
                ),
            })
        };
        let own: Vec<Item> = sequences.keys().map(item).collect::<Result<_, IdsError>>()?;
        let sequences: Vec<Vec<String>> = sequences.into_values().collect();
        let mut catalogue = Catalogue::of_sequences(what, &own, &sequences)?;
        let lacking = known.len().saturating_sub(own.len());
        catalogue.remarks.extend((lacking > 0).then(|| {
            format!("the {what} lacks {lacking} of {} items; they are not in the catalogue", known.len())
        }));
        Ok(catalogue)
    }

    /// Writes an index in JSON, in the order of the items.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_index(&self, path: &Path) -> Result<(), IdsError> {
        let tokens =
            |place: usize| self.items[place].codes.iter().map(|code| &self.tokens[*code as usize]).collect();
        let index: IndexMap<&str, Vec<&String>> =
            (0..self.len()).map(|place| (self.items[place].id.as_str(), tokens(place))).collect();
        atomic::write(path, |out| writeln!(out, "{}", serde_json::to_string(&index)?))?;
        Ok(())
    }

    /// Reads a table of some or all of `items`: item, tokens with blanks between them, and perhaps the title, with tabs between them. Titles are
    /// those of the items; a remark says how many others the table has, and how many items it lacks.
    ///
    /// # Errors
    /// The file cannot be read, a line has another form, or an item stands in it twice or is not among `items`.
    pub fn read_table(path: &Path, items: &[Item]) -> Result<Catalogue, IdsError> {
        let titles: HashMap<&str, String> =
            items.iter().map(|item| (item.id.as_str(), in_a_table(&item.title))).collect();
        let mut lines = Lines::open(path, LINE_LIMIT)?;
        let mut table: IndexMap<String, Vec<String>> = IndexMap::new();
        let (mut numbers, mut others): (Vec<u64>, usize) = (Vec::new(), 0);
        while let Some(text) = lines.next()? {
            let text = text.trim_end_matches(['\r', '\n']).to_string();
            if text.is_empty() {
                continue;
            }
            let fields: Vec<&str> = text.split('\t').collect();
            let (file, line) = (path.display().to_string(), lines.line());
            let (id, tokens, title) = match fields[..] {
                [id, tokens] => (id, tokens, None),
                [id, tokens, title] => (id, tokens, Some(title)),
                _ => {
                    let expected = "item, tokens and perhaps a title, with tabs between them";
                    let (found, remedy) = (fields.len(), "write each item so");
                    return Err(FormatError::Fields { file, line, expected, found, remedy }.into());
                }
            };
            if let Some(at) = table.get_index_of(id) {
                let what = format!("the item `{id}`");
                let remedy = "an item has one line; leave one of them out";
                return Err(FormatError::Duplicate { file, line, first: numbers[at], what, remedy }.into());
            }
            let is_other = |title: &str| titles.get(id).is_some_and(|own| own != title);
            others += usize::from(title.is_some_and(is_other));
            table.insert(id.into(), tokens.split_whitespace().map(str::to_string).collect());
            numbers.push(line);
        }
        let mut catalogue = Catalogue::of_known((path, "table"), table, items)?;
        catalogue.remarks.extend((others > 0).then(|| {
            counted(
                others,
                "title of the table is another than the item has; that of the item is kept",
                "titles of the table are others than the items have; those of the items are kept",
            )
        }));
        Ok(catalogue)
    }

    /// Writes a table; tabs and line ends in titles become blanks.
    ///
    /// # Errors
    /// The file cannot be written, or an item's name has a tab or a line end.
    pub fn write_table(&self, path: &Path) -> Result<(), IdsError> {
        if let Some(item) = self.items.iter().find(|item| item.id.contains(['\t', '\n', '\r'])) {
            return Err(IdsError::Data(format!(
                "the item `{}` has a tab or a line end in its name, which a table cannot have; write an index in JSON",
                item.id.escape_debug()
            )));
        }
        atomic::write(path, |out| {
            for (place, item) in self.items.iter().enumerate() {
                writeln!(out, "{}\t{}\t{}", item.id, self.text(place), in_a_table(&item.title))?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// A title without what ends the fields and lines of a table.
fn in_a_table(title: &str) -> String {
    title.replace(['\t', '\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_table_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids");
        let items: Vec<Item> =
            ["0", "1", "2"].map(|id| Item { title: format!("title {id}"), ..Item::new(id) }).to_vec();
        std::fs::write(
            &path,
            r#"{"0": ["<a_1>", "<b_2>"], "1": ["<a_1>", "<b_0>"], "2": ["<a_1>", "<b_2>"]}"#,
        )
        .unwrap();
        let index = Catalogue::read_index(&path, &items).unwrap();
        assert_eq!(index.statistics().colliding_items, 2);
        assert_eq!((index.items()[1].title.as_str(), index.text(1).as_str()), ("title 1", "<a_1> <b_0>"));
        index.write_index(&path).unwrap();
        assert_eq!(Catalogue::read_index(&path, &items).unwrap(), index);
        index.write_table(&path).unwrap();
        let table = Catalogue::read_table(&path, &items).unwrap();
        assert_eq!((table.items(), table.scheme(), table.remarks().len()), (index.items(), "table", 0));
        std::fs::write(&path, "2\ta b\n\n0\tc\tanother title\r\n").unwrap();
        let part = Catalogue::read_table(&path, &items).unwrap();
        assert_eq!((part.text(0).as_str(), part.items()[1].title.as_str()), ("a b", "title 0"));
        assert!(part.remarks()[0].contains("the table lacks 1 of 3 items"), "{:?}", part.remarks());
        assert!(part.remarks()[1].starts_with("1 title of the table"), "{:?}", part.remarks());
        for (text, expected) in [
            ("only\n", "line 1"),
            ("0\ta\n1\tb\n0\tc\n", "`0`"),
            ("0\ta\n7\tb\n", "`7` is not among the items (1 of 2 are not); table and items"),
            ("0\t \n", "the item `0` has no code"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Catalogue::read_table(&path, &items).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::write(&path, r#"{"2": ["a"], "1": ["b"]}"#).unwrap();
        let part = Catalogue::read_index(&path, &items).unwrap();
        assert_eq!((part.len(), part.remarks()[0].contains("lacks 1 of 3 items")), (2, true));
        for (text, expected) in [
            (r#"{"0": ["a"], "7": ["b"], "8": ["c"]}"#, "`7` is not among the items (2 of 3 are not)"),
            ("{\"0\": [\"a\"],\n\"0\": [\"b\"]}", "line 2: expected an index"),
            (r#"{"0": ["a"], "0": ["b"]}"#, "`0` stands twice; leave one of them out"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Catalogue::read_index(&path, &items).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::write(&path, "[1]").unwrap();
        assert!(Catalogue::read_index(&path, &items).unwrap_err().to_string().contains("an index"));
    }
}
