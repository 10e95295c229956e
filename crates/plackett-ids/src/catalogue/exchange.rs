//! Identifiers of other tools: MiniOneRec's index, `{"item": ["<a_1>", "<b_2>", "<c_3>"]}`, and a table of item, sequence and title with tabs
//! between them.

use super::Catalogue;
use super::file::LINE_LIMIT;
use crate::scheme::Encoding;
use crate::tokens::TokenTable;
use crate::{IdsError, Item};
use indexmap::IndexMap;
use plackett_core::formats::{FormatError, Lines, atomic, json_problem, read_text};
use std::collections::HashMap;
use std::path::Path;

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

    /// Reads an index in JSON. Titles come from `items` of the same names, where there are any.
    ///
    /// # Errors
    /// The file cannot be read or is no such index.
    pub fn read_index(path: &Path, items: &[Item]) -> Result<Catalogue, IdsError> {
        let text = read_text(path)?;
        let index: IndexMap<String, Vec<String>> =
            serde_json::from_str(&text).map_err(|error| FormatError::Json {
                file: path.display().to_string(),
                line: error.line() as u64,
                expected: "an index: an object with a list of tokens for each item",
                problem: json_problem(&text, &error),
            })?;
        let known: HashMap<&str, &Item> = items.iter().map(|item| (item.id.as_str(), item)).collect();
        let item = |id: &String| known.get(id.as_str()).map_or_else(|| Item::new(id), |item| (*item).clone());
        let items: Vec<Item> = index.keys().map(item).collect();
        let sequences: Vec<Vec<String>> = index.into_values().collect();
        Catalogue::of_sequences("index", &items, &sequences)
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

    /// Reads a table: item, tokens with blanks between them, and perhaps the title, with tabs between them.
    ///
    /// # Errors
    /// The file cannot be read, or a line has another form.
    pub fn read_table(path: &Path) -> Result<Catalogue, IdsError> {
        let mut lines = Lines::open(path, LINE_LIMIT)?;
        let (mut items, mut sequences) = (Vec::new(), Vec::new());
        while let Some(text) = lines.next()? {
            let text = text.trim_end_matches(['\r', '\n']).to_string();
            if text.is_empty() {
                continue;
            }
            let fields: Vec<&str> = text.split('\t').collect();
            let (id, tokens, title) = match fields[..] {
                [id, tokens] => (id, tokens, ""),
                [id, tokens, title] => (id, tokens, title),
                _ => {
                    let (file, line, found) = (path.display().to_string(), lines.line(), fields.len());
                    let expected = "item, tokens and perhaps a title, with tabs between them";
                    let remedy = "write each item so";
                    return Err(FormatError::Fields { file, line, expected, found, remedy }.into());
                }
            };
            items.push(Item { title: title.into(), ..Item::new(id) });
            sequences.push(tokens.split_whitespace().map(str::to_string).collect());
        }
        Catalogue::of_sequences("table", &items, &sequences)
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
                let title = item.title.replace(['\t', '\n', '\r'], " ");
                writeln!(out, "{}\t{}\t{title}", item.id, self.text(place))?;
            }
            Ok(())
        })?;
        Ok(())
    }
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
        assert_eq!(Catalogue::read_table(&path).unwrap().items(), index.items());
        std::fs::write(&path, "only\n").unwrap();
        assert!(Catalogue::read_table(&path).unwrap_err().to_string().contains("line 1"));
        std::fs::write(&path, "[1]").unwrap();
        assert!(Catalogue::read_index(&path, &items).unwrap_err().to_string().contains("an index"));
    }
}
