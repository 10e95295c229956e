//! Pages with titles, paragraphs and links, and what is asked about them: a made encyclopaedia, or the articles of a collection.

mod articles;
mod encyclopaedia;
mod phrases;

pub use articles::of_articles;
pub use encyclopaedia::encyclopaedia;

use super::choosing::read_lines;
use crate::recipe::error::StageError;
use plackett_genir::corpus_pretraining::{Page, read_pages};
use plackett_train::random::Stream;
use serde::{Deserialize, Serialize};
use std::path::Path;

const PAGES: &str = "pages.jsonl";
const TASKS: &str = "tasks.jsonl";
/// Bytes of a line.
const LINE: usize = 1 << 24;

/// What kinds of queries there are, as KILT groups them; `several` need more than one page.
pub const TASK_NAMES: [&str; 5] = ["question", "slot", "claim", "entity", "several"];

/// A query with the titles of the pages that answer it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct PageTask {
    /// One of [`TASK_NAMES`].
    pub task: String,
    /// Whether it is held out.
    pub is_test: bool,
    /// The query.
    pub text: String,
    /// Sets of titles, of which each is enough.
    pub evidence: Vec<Vec<String>>,
}

impl PageTask {
    /// The query as a model reads it: its text, behind the tag of its kind where models are told it.
    pub fn read_as(&self, tagged: bool) -> String {
        match tagged {
            true => format!("{} {}", tag(&self.task), self.text),
            false => self.text.clone(),
        }
    }
}

/// The tag of a kind of queries: one word, which no text has otherwise.
fn tag(task: &str) -> String {
    format!("task0{task}")
}

/// The tags of all kinds of queries.
pub fn tags() -> Vec<String> {
    TASK_NAMES.map(tag).to_vec()
}

/// Pages, and what is asked about them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wiki {
    /// The pages.
    pub pages: Vec<Page>,
    /// The queries.
    pub tasks: Vec<PageTask>,
}

impl Wiki {
    /// Keeps them in a folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), StageError> {
        lines(&folder.join(PAGES), &self.pages)?;
        lines(&folder.join(TASKS), &self.tasks)
    }

    /// Reads what [`Wiki::write`] has kept.
    ///
    /// # Errors
    /// A file cannot be read or is damaged.
    pub fn read(folder: &Path) -> Result<Wiki, StageError> {
        let pages = read_pages(&folder.join(PAGES), LINE)?;
        let tasks = read_lines(&folder.join(TASKS), "a query with task, is_test, text and evidence")?;
        Ok(Wiki { pages, tasks })
    }
}

/// For each of so many pages whether it is of the first session, a share of them in a drawn order (CorpusBrain++, 2024, section on KILT++).
pub fn first_session(pages: usize, share: f64, seed: u64) -> Vec<bool> {
    let mut is_first = vec![false; pages];
    let count = (share * pages as f64).round() as usize;
    for place in Stream::new(seed, 4 << 40).permutation(pages).into_iter().take(count) {
        is_first[place] = true;
    }
    is_first
}

fn lines<T: Serialize>(path: &Path, all: &[T]) -> Result<(), StageError> {
    let damaged =
        |error: serde_json::Error| StageError::Damaged { path: path.into(), problem: error.to_string() };
    let mut text = String::new();
    for one in all {
        text.push_str(&serde_json::to_string(one).map_err(damaged)?);
        text.push('\n');
    }
    std::fs::write(path, text).map_err(StageError::cache(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::trainer::words_of;

    #[test]
    fn a_tag_is_one_word_in_front_of_the_query() {
        let text = "Ada [SEP] place of birth".to_string();
        let query =
            PageTask { task: "slot".into(), is_test: false, text: text.clone(), evidence: Vec::new() };
        assert_eq!(query.read_as(false), text);
        assert_eq!(query.read_as(true), "task0slot Ada [SEP] place of birth");
        for tag in tags() {
            assert_eq!(words_of(&tag).collect::<Vec<_>>(), vec![tag.clone()]);
        }
    }
}
