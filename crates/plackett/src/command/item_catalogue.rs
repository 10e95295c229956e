//! The items of a catalogue: how their titles are written, and what of them is embedded.

use super::Global;
use anyhow::{anyhow, bail};
use plackett::pipeline::Models;
use plackett_rank::model::TextEmbedder;
use plackett_rec::{ItemWords, read_item_words};
use std::path::Path;
use std::sync::Arc;

/// An item of a catalogue.
pub struct CatalogueLine {
    /// Its name in interactions.
    pub item: String,
    /// Its title, with its year where that is known; one line.
    pub title: String,
    /// Everything that is said of it in words.
    pub text: String,
}

/// The items of a file that have a title, in the order of their names; `named` is the flag or key that names the file.
pub fn read_catalogue(named: &str, path: &Path, global: &Global) -> anyhow::Result<Vec<CatalogueLine>> {
    let ItemWords { titles, mut texts } = read_item_words(path, global.max_line_bytes)?;
    let mut titles: Vec<(String, String)> = titles.into_iter().collect();
    titles.sort_unstable();
    if titles.is_empty() {
        bail!("{named} {}: no item has a title; give at least one", path.display());
    }
    let line = |(item, title): (String, String)| {
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = texts.remove(&item).unwrap_or_else(|| title.clone());
        CatalogueLine { item, title, text }
    };
    Ok(titles.into_iter().map(line).collect())
}

/// The embedding model of a name, or the one that comes with the program; `named` is the flag or key that names it.
pub fn open_embedder(
    named: &str,
    model: Option<&str>,
    global: &Global,
) -> anyhow::Result<Arc<dyn TextEmbedder>> {
    let models = Models::new(model.map(str::to_string), global.models());
    let name = models.name(None).to_string();
    models.reranker(None)?.text_embedder().map_err(|problem| anyhow!("{named} {name}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        global: Global,
    }

    #[test]
    fn titles_have_their_years_and_stand_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let items = "{\"item\": \"b\", \"title\": \"Up\\n and  away\", \"year\": 2009, \"genres\": [\"Comedy\"]}\n\
                     {\"item\": \"a\", \"title\": \"It\"}\n{\"item\": \"c\"}\n";
        std::fs::write(&path, items).unwrap();
        let global = Flags::parse_from(["test"]).global;
        let lines = read_catalogue("--items", &path, &global).unwrap();
        let told: Vec<(&str, &str)> =
            lines.iter().map(|line| (line.item.as_str(), line.title.as_str())).collect();
        assert_eq!(told, [("a", "It"), ("b", "Up and away (2009)")]);
        assert_eq!(lines[0].text, "It");
        assert!(lines[1].text.contains("Comedy"), "{}", lines[1].text);
        std::fs::write(&path, "{\"item\": \"c\"}\n").unwrap();
        let error = read_catalogue("--items", &path, &global).err().unwrap().to_string();
        assert!(error.starts_with("--items ") && error.contains("no item has a title"), "{error}");
    }
}
