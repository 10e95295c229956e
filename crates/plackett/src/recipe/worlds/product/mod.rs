//! Products with titles and semantic ids, and who bought what after what (as MiniOneRec's files have it).

use crate::recipe::error::StageError;
use crate::recipe::worlds::recommending::next_item::{NextItem, NextItems, Pairs, ranks_of, sharing_of};
use plackett_core::formats::{DEFAULT_LINE_LIMIT, Lines, read_json_lines};
use plackett_lm::decode::TokenTrie;
use plackett_train::random::Stream;
use plackett_train::trainer::WordVocabulary;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// The files of the collection.
pub const FILES: [&str; 3] = ["items.jsonl.gz", "valid.tsv.gz", "test.tsv.gz"];
/// Products that are told, at most.
const TOLD: usize = 10;
/// Words of a title that are read, at most.
const TITLE: usize = 8;
/// Codes of a level.
const CODES: u32 = 256;
/// Words that are learned.
const WORDS: usize = 2000;
/// The word that each task begins with.
const TASK_WORDS: [&str; 5] = ["next", "title", "find", "nexttitle", "titles"];

/// Whose semantic ids products have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// Their own.
    Given,
    /// Those of other products: the same set of ids without their meaning.
    Shuffled,
}

/// What is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tasks {
    /// The next id alone.
    Next,
    /// The five tasks of the paper (MiniOneRec, 2025, supervised fine-tuning).
    All,
}

/// Products, and rows of who bought what.
pub struct ProductWorld {
    /// The words of titles and tasks, and the codes of three levels.
    pub vocabulary: WordVocabulary,
    titles: Vec<Vec<u32>>,
    codes: Vec<Vec<u32>>,
    rows: [Vec<Row>; 2],
}

/// Someone, what they had bought, and what they bought next.
struct Row {
    user: String,
    before: Vec<usize>,
    next: usize,
}

impl Row {
    /// The key of the row at a place: somebody may have several.
    fn key(&self, at: usize) -> String {
        format!("{} ({at})", self.user)
    }
}

#[derive(Deserialize)]
struct Product {
    item: String,
    title: String,
    #[serde(default)]
    description: String,
    sid: Vec<String>,
}

impl ProductWorld {
    /// Reads the files of a folder.
    ///
    /// # Errors
    /// A file is missing or has a line that is not as expected; the message names it.
    pub fn load(folder: &Path) -> Result<ProductWorld, StageError> {
        let products = read_products(&folder.join(FILES[0]))?;
        let place: HashMap<&str, usize> =
            products.iter().enumerate().map(|(at, product)| (product.item.as_str(), at)).collect();
        let rows = [read_rows(&folder.join(FILES[1]), &place)?, read_rows(&folder.join(FILES[2]), &place)?];
        let asked = TASK_WORDS.join(" ");
        // Words of tasks stand often enough to be kept.
        let tasks = std::iter::repeat_n(asked.as_str(), products.len());
        let titles = products.iter().map(|product| product.title.as_str());
        let vocabulary = WordVocabulary::of_texts(titles.chain(tasks), 3 * CODES as usize, WORDS, 2);
        let titles = products.iter().map(|product| vocabulary.encode(&product.title, TITLE).ids).collect();
        let codes = products.iter().enumerate().map(|(at, product)| {
            codes_of(&vocabulary, &product.sid).ok_or_else(|| {
                let problem = format!(
                    "{}, line {}: `sid` is no semantic id such as [\"<a_1>\", \"<b_2>\", \"<c_3>\"]",
                    FILES[0],
                    at + 1
                );
                StageError::Field { field: "collection", problem }
            })
        });
        let codes = codes.collect::<Result<_, _>>()?;
        Ok(ProductWorld { titles, codes, rows, vocabulary })
    }

    /// What a report says of it.
    pub fn facts(&self) -> Vec<(String, String)> {
        let distinct: BTreeSet<&Vec<u32>> = self.codes.iter().collect();
        let first: BTreeSet<u32> = self.codes.iter().filter_map(|codes| codes.first().copied()).collect();
        vec![
            ("products".into(), self.codes.len().to_string()),
            ("different semantic ids".into(), distinct.len().to_string()),
            ("codes of the first level that are used".into(), first.len().to_string()),
            (
                "rows to learn from and to test".into(),
                format!("{} and {}", self.rows[0].len(), self.rows[1].len()),
            ),
        ]
    }

    /// How many products there are.
    pub fn products(&self) -> usize {
        self.codes.len()
    }

    /// What each person of the rows to learn from bought, in the end. Rows of a person, in the order of the file, have one purchase more each, and
    /// before it the last ones only, ten at most in MiniOneRec's files: so what is known goes on where a row begins with its end; else the longest
    /// row has all of it.
    pub fn bought(&self) -> Vec<Vec<u32>> {
        let mut bought: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for row in &self.rows[0] {
            let before: Vec<u32> = row.before.iter().map(|item| *item as u32).collect();
            let known = bought.entry(row.user.as_str()).or_default();
            if !before.is_empty() && known.ends_with(&before) {
                known.push(row.next as u32);
            } else if before.len() >= known.len() {
                *known = [before, vec![row.next as u32]].concat();
            }
        }
        bought.into_values().collect()
    }

    /// The key of each row to test, what was bought before, and the next product.
    pub fn asked(&self) -> Vec<(String, Vec<u32>, u32)> {
        let asked = |(at, row): (usize, &Row)| {
            (row.key(at), row.before.iter().map(|item| *item as u32).collect(), row.next as u32)
        };
        self.rows[1].iter().enumerate().map(asked).collect()
    }

    /// Positions that a decoder needs.
    pub fn context(&self, tasks: Tasks) -> usize {
        match tasks {
            Tasks::Next => 3 * (TOLD + 1) + 2,
            Tasks::All => (TITLE + 1) * (TOLD + 1) + 4,
        }
    }

    /// Every product that somebody bought after others in a row to learn from, once, in an order that is drawn by the seed, and the rows to
    /// test; beside it the pairs of the other tasks.
    ///
    /// # Errors
    /// There is no product.
    pub fn next_items(
        &self,
        codes: Codes,
        tasks: Tasks,
        seed: u64,
    ) -> Result<(NextItems, Pairs), StageError> {
        let mut ids = self.codes.clone();
        if codes == Codes::Shuffled {
            let order = Stream::new(seed, 9 << 32).permutation(ids.len());
            ids = order.into_iter().map(|at| self.codes[at].clone()).collect();
        }
        let built = TokenTrie::build(&ids).map_err(|error| StageError::Work(error.to_string()))?;
        let trie = Arc::new(built.trie);
        let ranks = ranks_of(&trie, &ids);
        let item = |key: &str, before: &[usize], next: usize| NextItem {
            key: key.into(),
            prompt: self.prompt(TASK_WORDS[0], &ids, before),
            before: last_of(before).iter().map(|item| *item as u32).collect(),
            target: ranks[next],
        };
        let steps = self.steps();
        let mut learned: Vec<NextItem> = steps.iter().map(|(before, next)| item("", before, *next)).collect();
        let order = Stream::new(seed, 4 << 32).permutation(learned.len());
        learned = order.into_iter().map(|at| learned[at].clone()).collect();
        let row = |(at, row): (usize, &Row)| item(&row.key(at), &row.before, row.next);
        let tested = self.rows[1].iter().enumerate().map(row).collect();
        let others = match tasks {
            Tasks::Next => Vec::new(),
            Tasks::All => self.other_tasks(&ids, &steps),
        };
        let sharing = sharing_of(trie.len(), &ranks);
        Ok((NextItems { learned, tested, trie, sharing, ranks }, others))
    }

    /// What was bought after what, each once: rows of a person begin alike.
    fn steps(&self) -> Vec<(Vec<usize>, usize)> {
        let mut seen = BTreeSet::new();
        let mut steps = Vec::new();
        for row in &self.rows[0] {
            let all: Vec<usize> = row.before.iter().copied().chain([row.next]).collect();
            for at in 1..all.len() {
                let step = (all[at.saturating_sub(TOLD)..at].to_vec(), all[at]);
                if seen.insert((row.user.as_str(), step.clone())) {
                    steps.push(step);
                }
            }
        }
        steps
    }

    /// Ids to titles and back, histories of ids to the next title, and of titles to the next title and id.
    fn other_tasks(&self, ids: &[Vec<u32>], steps: &[(Vec<usize>, usize)]) -> Pairs {
        let mut pairs = Vec::new();
        for (id, title) in ids.iter().zip(&self.titles).filter(|(_, title)| !title.is_empty()) {
            pairs.push((self.task(TASK_WORDS[1], id), title.clone()));
            pairs.push((self.task(TASK_WORDS[2], title), id.clone()));
        }
        for (before, next) in steps.iter().filter(|(_, next)| !self.titles[*next].is_empty()) {
            pairs.push((self.prompt(TASK_WORDS[3], ids, before), self.titles[*next].clone()));
            pairs.push((self.prompt(TASK_WORDS[3], &self.titles, before), self.titles[*next].clone()));
            pairs.push((self.prompt(TASK_WORDS[4], &self.titles, before), ids[*next].clone()));
        }
        pairs
    }

    fn task(&self, word: &str, tokens: &[u32]) -> Vec<u32> {
        self.vocabulary.encode(word, 1).ids.into_iter().chain(tokens.iter().copied()).collect()
    }

    /// A task's word and what was bought before, the newest last.
    fn prompt(&self, word: &str, sequences: &[Vec<u32>], before: &[usize]) -> Vec<u32> {
        let told = last_of(before).iter().flat_map(|place| sequences[*place].iter().copied());
        let told: Vec<u32> = told.collect();
        self.task(word, &told)
    }
}

/// The last products, as many as are told.
fn last_of(before: &[usize]) -> &[usize] {
    &before[before.len().saturating_sub(TOLD)..]
}

fn codes_of(vocabulary: &WordVocabulary, sid: &[String]) -> Option<Vec<u32>> {
    if sid.len() != 3 {
        return None;
    }
    let code = |(level, text): (u32, &String)| {
        let number: u32 = text.strip_prefix('<')?.strip_suffix('>')?.split_once('_')?.1.parse().ok()?;
        (number < CODES).then(|| vocabulary.token_of_code(level * CODES + number)).flatten()
    };
    (0..3).zip(sid).map(code).collect()
}

fn read_products(path: &Path) -> Result<Vec<Product>, StageError> {
    let products = read_json_lines(path, DEFAULT_LINE_LIMIT, "a product with item, title and sid")?;
    Ok(products.into_iter().map(|(_, product)| product).collect())
}

/// Title and description of each product, as one text of so many words at most, and how many were longer.
///
/// # Errors
/// The file is missing or has a line that is not as expected; the message names it.
pub fn item_texts(path: &Path, most: usize) -> Result<(Vec<String>, usize), StageError> {
    let mut cut = 0;
    let text = |product: &Product| {
        let whole = format!("{} {}", product.title, product.description);
        let words: Vec<&str> = whole.split_whitespace().collect();
        cut += usize::from(words.len() > most);
        words[..words.len().min(most)].join(" ")
    };
    Ok((read_products(path)?.iter().map(text).collect(), cut))
}

/// Rows of user, products before and the next one, with blanks between products and tabs between columns, after a header.
fn read_rows(path: &Path, place: &HashMap<&str, usize>) -> Result<Vec<Row>, StageError> {
    let mut lines = Lines::open(path, DEFAULT_LINE_LIMIT)?;
    let mut rows = Vec::new();
    let mut is_header = true;
    while let Some(line) = lines.next()? {
        if std::mem::take(&mut is_header) {
            continue;
        }
        let mut columns = line.split('\t');
        let row = match (columns.next(), columns.next(), columns.next()) {
            (Some(user), Some(before), Some(next)) => {
                let before: Option<Vec<usize>> =
                    before.split_whitespace().map(|item| place.get(item).copied()).collect();
                before.zip(place.get(next.trim()).copied()).map(|(before, next)| Row {
                    user: user.into(),
                    before,
                    next,
                })
            }
            _ => None,
        };
        rows.push(row.ok_or_else(|| {
            let problem = format!(
                "{}, line {}: a user, products before and the next one, all of {}, are expected, with tabs between",
                path.display(),
                rows.len() + 2,
                FILES[0]
            );
            StageError::Field { field: "collection", problem }
        })?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (tempfile::TempDir, ProductWorld) {
        let folder = tempfile::tempdir().unwrap();
        let item = |at: usize, code: usize| {
            format!(
                "{{\"item\": \"{at}\", \"title\": \"Blue pump {at}\", \"sid\": [\"<a_{code}>\", \"<b_1>\", \"<c_2>\"]}}\n"
            )
        };
        let items: String = [(0, 7), (1, 8), (2, 8), (3, 9)].map(|(at, code)| item(at, code)).concat();
        std::fs::write(folder.path().join(FILES[0]), items).unwrap();
        std::fs::write(folder.path().join(FILES[1]), "user\thistory\titem\nu\t0 1\t3\nu\t0 1 3\t2\n")
            .unwrap();
        std::fs::write(folder.path().join(FILES[2]), "user\thistory\titem\nu\t0 1 3 2\t0\n").unwrap();
        let world = ProductWorld::load(folder.path()).unwrap();
        (folder, world)
    }

    #[test]
    fn steps_of_rows_that_begin_alike_are_learned_once() {
        let (_folder, world) = world();
        let (next, others) = world.next_items(Codes::Given, Tasks::All, 1).unwrap();
        assert_eq!((next.learned.len(), next.tested.len(), next.trie.len()), (3, 1, 3));
        assert_eq!(others.len(), 2 * 4 + 3 * 3);
        let prompt = &next.tested[0].prompt;
        assert_eq!(prompt.len(), 1 + 4 * 3);
        assert_eq!(next.tested[0].before, [0, 1, 3, 2]);
        // Products 1 and 2 share an id.
        assert!(next.ranks[1] == next.ranks[2] && next.ranks[0] != next.ranks[1]);
        assert_eq!(next.trie.sequence(next.tested[0].target), world.codes[0]);
        assert_eq!(prompt[1..4], world.codes[0][..]);
        let longest = next.pairs().iter().chain(&others).map(|(a, b)| a.len() + b.len()).max().unwrap();
        assert!(longest <= world.context(Tasks::All));
        let (shuffled, _) = world.next_items(Codes::Shuffled, Tasks::Next, 1).unwrap();
        assert_eq!(shuffled.trie.len(), 3, "the same ids");
    }

    #[test]
    fn what_somebody_bought_goes_on_where_rows_slide() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |file: usize, text: String| std::fs::write(folder.path().join(FILES[file]), text).unwrap();
        let item = |at: usize| {
            format!(
                "{{\"item\": \"{at}\", \"title\": \"x\", \"sid\": [\"<a_{at}>\", \"<b_1>\", \"<c_2>\"]}}\n"
            )
        };
        write(0, (0..12).map(item).collect());
        let row = |user: &str, before: std::ops::Range<usize>, next: usize| {
            let before: Vec<String> = before.map(|item| item.to_string()).collect();
            format!("{user}\t{}\t{next}\n", before.join(" "))
        };
        let rows = [row("u", 0..10, 10), row("v", 0..2, 5), row("u", 1..11, 11), row("v", 3..4, 5)];
        write(1, format!("user\thistory\titem\n{}", rows.concat()));
        write(2, "user\thistory\titem\n".into());
        let world = ProductWorld::load(folder.path()).unwrap();
        let all: Vec<u32> = (0..12).collect();
        assert_eq!(world.bought(), [all, vec![0, 1, 5]], "the shorter row that does not go on is left");
    }

    #[test]
    fn texts_are_titles_and_descriptions_and_long_ones_are_cut() {
        let (folder, _) = world();
        let path = folder.path().join(FILES[0]);
        let item = r#"{"item": "0", "title": "Blue  pump", "description": "for water", "sid": []}"#;
        std::fs::write(&path, format!("{item}\n")).unwrap();
        assert_eq!(item_texts(&path, 4).unwrap(), (vec!["Blue pump for water".to_string()], 0));
        assert_eq!(item_texts(&path, 3).unwrap(), (vec!["Blue pump for".to_string()], 1));
    }

    #[test]
    fn bad_files_are_named_with_their_lines() {
        let (folder, _) = world();
        std::fs::write(folder.path().join(FILES[2]), "user\thistory\titem\nu\t0 9\t0\n").unwrap();
        let error = ProductWorld::load(folder.path()).err().unwrap().to_string();
        assert!(error.contains("test.tsv.gz, line 2"), "{error}");
        let item = "{\"item\": \"0\", \"title\": \"x\", \"sid\": [\"<a_256>\", \"<b_1>\", \"<c_2>\"]}\n";
        std::fs::write(folder.path().join(FILES[0]), item).unwrap();
        std::fs::write(folder.path().join(FILES[1]), "h\n").unwrap();
        std::fs::write(folder.path().join(FILES[2]), "h\n").unwrap();
        let error = ProductWorld::load(folder.path()).err().unwrap().to_string();
        assert!(error.contains("line 1: `sid`"), "{error}");
    }
}
