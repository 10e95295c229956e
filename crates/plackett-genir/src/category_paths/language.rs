//! Paths as tokens: `[PATH]` words `>>` words `[DOC]`, after which the docid follows (HyPE, 2024, target string).

use super::{CategoryHierarchy, CategoryPath};
use crate::{DocidLanguage, GenirError};
use plackett_lm::decode::TokenTrie;
use plackett_train::trainer::words_of;
use std::collections::{HashMap, HashSet};

/// Begins a path.
const PATH: &str = "[PATH]";
/// Stands between categories. It is a token of its own, so that no category can be read as two.
const SEPARATOR: &str = ">>";
/// Ends a path; the docid follows.
const DOCID: &str = "[DOC]";

/// The paths of a hierarchy in the tokens of a retriever.
#[derive(Clone, Debug)]
pub struct PathLanguage {
    language: DocidLanguage,
    paths: Vec<CategoryPath>,
    /// The tokens of each path, without those that begin and end it.
    tokens: Vec<Vec<u32>>,
    /// The first path of some tokens.
    by_tokens: HashMap<Vec<u32>, usize>,
    /// All beginnings of paths, category by category.
    beginnings: HashSet<Vec<u32>>,
    path: u32,
    separator: u32,
    docid: u32,
    longest: usize,
}

/// A path that a model has written.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenPath {
    /// Its categories: those of the path of the hierarchy where it is one, else as they were written.
    pub categories: Vec<String>,
    /// The path of the hierarchy, where it is one.
    pub member: Option<usize>,
    /// How many of its categories, from the first, lead along the hierarchy.
    pub known: usize,
    /// log p(path | query).
    pub log_prob: f64,
}

impl WrittenPath {
    /// What may be shown as a reason: the path, or as much of it as the hierarchy has.
    pub fn explanation(&self) -> String {
        self.categories[..self.known.min(self.categories.len())].join(super::CATEGORY_SEPARATOR)
    }
}

impl PathLanguage {
    /// What a vocabulary needs for the paths of a hierarchy, to go behind the tokens of docids.
    pub fn vocabulary(hierarchy: &CategoryHierarchy) -> Vec<String> {
        let marks = [PATH, SEPARATOR, DOCID].map(str::to_string);
        let categories = hierarchy.paths().iter().flat_map(|path| path.categories());
        let words: HashSet<String> = categories.flat_map(|category| words_of(category)).collect();
        let mut words: Vec<String> = words.into_iter().collect();
        words.sort_unstable();
        marks.into_iter().chain(words).collect()
    }

    /// The paths in the tokens of a language whose vocabulary was made with `docid_tokens` and [`PathLanguage::vocabulary`].
    ///
    /// # Errors
    /// The language was made for others, or a category has no word.
    pub fn new(
        language: &DocidLanguage,
        docid_tokens: &[String],
        hierarchy: &CategoryHierarchy,
    ) -> Result<PathLanguage, GenirError> {
        let all: Vec<String> =
            docid_tokens.iter().cloned().chain([PATH, SEPARATOR, DOCID].map(str::to_string)).collect();
        let marks = language.docid_tokens(&all)?.split_off(docid_tokens.len());
        let mut made = PathLanguage {
            language: language.clone(),
            paths: hierarchy.paths().to_vec(),
            tokens: Vec::new(),
            by_tokens: HashMap::new(),
            beginnings: HashSet::new(),
            path: marks[0],
            separator: marks[1],
            docid: marks[2],
            longest: 0,
        };
        for path in hierarchy.paths() {
            let place = made.tokens.len();
            let mut tokens = Vec::new();
            for category in path.categories() {
                if !tokens.is_empty() {
                    tokens.push(made.separator);
                }
                tokens.extend(words_as_tokens(language, category)?);
                made.beginnings.insert(tokens.clone());
            }
            made.longest = made.longest.max(tokens.len());
            made.by_tokens.entry(tokens.clone()).or_insert(place);
            made.tokens.push(tokens);
        }
        Ok(made)
    }

    /// The paths.
    pub fn paths(&self) -> &[CategoryPath] {
        &self.paths
    }

    /// Paths that are written like an earlier one, since their words are the same.
    pub fn alike(&self) -> usize {
        self.tokens.len() - self.by_tokens.len()
    }

    /// Tokens of the longest path, without those that begin and end it.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The token that begins a path.
    pub fn path_token(&self) -> u32 {
        self.path
    }

    /// The token that ends a path.
    pub fn docid_token(&self) -> u32 {
        self.docid
    }

    /// What is learned: a path, and the docid after it.
    pub fn target(&self, path: usize, docid: &[u32]) -> Vec<u32> {
        let mut target = self.prefix(&self.tokens[path]);
        target.extend_from_slice(docid);
        target
    }

    /// Tokens of a path with those that begin and end it: what a docid is written after.
    pub fn prefix(&self, tokens: &[u32]) -> Vec<u32> {
        [self.path].iter().chain(tokens).chain([&self.docid]).copied().collect()
    }

    /// The tree of all paths, each with the token that ends it and without the one that begins it.
    ///
    /// # Errors
    /// There are more tokens than a tree holds.
    pub fn trie(&self) -> Result<TokenTrie, GenirError> {
        let ended = self.tokens.iter().map(|tokens| [&tokens[..], &[self.docid]].concat());
        let built = TokenTrie::build(ended).map_err(|error| GenirError::Setting(error.to_string()))?;
        Ok(built.trie)
    }

    /// The path that tokens are, without those that begin and end it.
    pub fn read(&self, tokens: &[u32], log_prob: f64) -> WrittenPath {
        let ends =
            (0..=tokens.len()).filter(|at| tokens.get(*at).is_none_or(|token| *token == self.separator));
        let known = ends.take_while(|end| self.beginnings.contains(&tokens[..*end])).count();
        let member = self.by_tokens.get(tokens).copied();
        let as_written = || {
            let parts = tokens.split(|token| *token == self.separator);
            parts.map(|part| self.language.vocabulary().decode(part)).collect()
        };
        // A beginning of a path of the hierarchy has the names of that path.
        let mut categories = member.map_or_else(as_written, |path| self.paths[path].categories().to_vec());
        if member.is_none() && known > 0 {
            let is_begun = |path: &&CategoryPath| {
                let mut names = path.categories().iter().zip(&categories).take(known);
                path.categories().len() >= known
                    && names.all(|(name, written)| words_of(name).eq(words_of(written)))
            };
            if let Some(path) = self.paths.iter().find(is_begun) {
                categories[..known].clone_from_slice(&path.categories()[..known]);
            }
        }
        WrittenPath { categories, member, known, log_prob }
    }
}

fn words_as_tokens(language: &DocidLanguage, category: &str) -> Result<Vec<u32>, GenirError> {
    let token = |word: String| {
        language.vocabulary().token_of_word(&word).ok_or_else(|| {
            GenirError::Setting(format!(
                "the vocabulary lacks the word `{word}` of the category `{category}`; it was made for others"
            ))
        })
    };
    let tokens = words_of(category).map(token).collect::<Result<Vec<u32>, GenirError>>()?;
    match tokens.is_empty() {
        true => Err(GenirError::Setting(format!(
            "the category `{category}` has no word that could be written; rename it"
        ))),
        false => Ok(tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (DocidLanguage, PathLanguage) {
        let paths = ["Old cities >> Rome", "Old cities", "Oil >> Crisis of 1973"];
        let paths = paths.map(|path| CategoryPath::parse(path).unwrap());
        let hierarchy = CategoryHierarchy::of_paths(paths, 4).unwrap();
        let docids = ["<a>", "rome"].map(str::to_string).to_vec();
        let all: Vec<String> = docids.iter().cloned().chain(PathLanguage::vocabulary(&hierarchy)).collect();
        let language = DocidLanguage::new(["the city of rome"], &all, (1, 6));
        let paths = PathLanguage::new(&language, &docids, &hierarchy).unwrap();
        (language, paths)
    }

    #[test]
    fn paths_read_back_from_tokens() {
        let (language, paths) = made();
        assert_eq!(language.docid_tokens(&["<a>".into()]).unwrap(), [3], "docids keep their codes");
        for (place, path) in paths.paths().iter().enumerate() {
            let target = paths.target(place, &[3, 1]);
            assert_eq!((target[0], &target[target.len() - 3..]), (4, &[6, 3, 1][..]));
            let read = paths.read(&target[1..target.len() - 3], -1.0);
            assert_eq!((read.member, read.known), (Some(place), path.categories().len()));
            assert_eq!(read.explanation(), path.to_string());
        }
        assert_eq!(paths.trie().unwrap().len(), 3);
        assert_eq!(paths.longest(), 5, "oil, >>, crisis of 1973");
        assert_eq!(paths.alike(), 0);
    }

    #[test]
    fn of_what_is_no_path_as_much_is_shown_as_the_hierarchy_has() {
        let (language, paths) = made();
        let token = |word: &str| language.vocabulary().token_of_word(word).unwrap();
        let read = paths.read(&[token("old"), token("cities"), 5, token("oil")], -1.0);
        assert_eq!((read.member, read.known, read.explanation()), (None, 1, "Old cities".to_string()));
        let read = paths.read(&[token("rome")], -1.0);
        assert_eq!((read.member, read.known, read.explanation()), (None, 0, String::new()));
        assert_eq!(paths.read(&[], -1.0).known, 0);
    }
}
