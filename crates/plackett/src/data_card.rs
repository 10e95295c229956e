//! The data card of a collection that a language model has written: what it was made from, how, and what was left out.

use plackett_core::formats::{FormatError, atomic};
use std::path::Path;

/// Beside the files of the collection.
pub const FILE: &str = "README.md";

/// What is said of a collection.
pub struct DataCard<'c> {
    /// What it is, in a few words.
    pub title: &'c str,
    /// What the model is called.
    pub model: &'c str,
    /// The prompt, with what is put into it as words in brackets.
    pub prompt: &'c str,
    /// Of all draws.
    pub seed: u64,
    /// How else it was made, by name.
    pub settings: Vec<(&'static str, String)>,
    /// SHA-256 of what it was made from, the model among it, by name.
    pub sources: Vec<(String, String)>,
    /// How many replies are of use, and how many are not, by kind.
    pub counts: Vec<(String, usize)>,
}

impl DataCard<'_> {
    /// Writes the card into the collection's folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), FormatError> {
        let text = self.text();
        atomic::write(&folder.join(FILE), |out| out.write_all(text.as_bytes()))
    }

    /// The page; the same for the same card.
    fn text(&self) -> String {
        let mut page = format!(
            "# {}\n\nWritten by a language model; nobody has checked it.\n\n- Model: {}\n- Seed: {}\n",
            self.title, self.model, self.seed
        );
        for (name, value) in &self.settings {
            page += &format!("- {name}: {value}\n");
        }
        page += "\n## Made from\n\n| | SHA-256 |\n|---|---|\n";
        for (name, hash) in &self.sources {
            page += &format!("| {name} | {hash} |\n");
        }
        page += "\n## Counts\n\n| | |\n|---|---:|\n";
        for (what, count) in &self.counts {
            page += &format!("| {what} | {count} |\n");
        }
        page += "\n## Prompt\n\n";
        for line in self.prompt.lines() {
            page += format!("    {line}").trim_end();
            page.push('\n');
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_says_all_there_is_to_say() {
        let card = DataCard {
            title: "Queries",
            model: "small",
            prompt: "Document: [text]\n\nQuery:",
            seed: 7,
            settings: vec![("Sampling", "random".into())],
            sources: vec![("documents".into(), "ab12".into())],
            counts: vec![("kept".into(), 2), ("empty".into(), 1)],
        };
        let folder = tempfile::tempdir().unwrap();
        card.write(folder.path()).unwrap();
        let wanted = "# Queries\n\nWritten by a language model; nobody has checked it.\n\n- Model: small\n- Seed: 7\n- Sampling: random\n\n## Made from\n\n\
                      | | SHA-256 |\n|---|---|\n| documents | ab12 |\n\n## Counts\n\n| | |\n|---|---:|\n| kept | 2 |\n| empty | 1 |\n\n\
                      ## Prompt\n\n    Document: [text]\n\n    Query:\n";
        assert_eq!(std::fs::read_to_string(folder.path().join(FILE)).unwrap(), wanted);
    }
}
