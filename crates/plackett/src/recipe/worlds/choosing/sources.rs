//! Which texts of a collection are embedded.

use super::{ABSTRACTS_FILE, FIXES, as_read, continuations, read_fixes, read_questions, read_titled};
use crate::recipe::error::StageError;
use crate::recipe::worlds::film;
use crate::recipe::worlds::ordered_groups::sentence_texts;
use crate::recipe::worlds::several_sides::faceted::facet_texts;
use plackett_core::summary::sentences;
use std::path::Path;

/// Texts of a file.
pub struct Source {
    /// Its name in recipes.
    pub name: &'static str,
    /// The file in the collection's folder.
    pub file: &'static str,
    /// Reads them.
    pub read: fn(&Path) -> Result<Vec<String>, StageError>,
}

/// All sources. A new one is a line here and its name among [`SOURCES`].
static ALL: &[Source] = &[
    Source { name: "questions", file: "pairs.jsonl.gz", read: questions },
    Source { name: "continuations", file: "pairs.jsonl.gz", read: prefixes },
    Source { name: "clauses", file: ABSTRACTS_FILE, read: clauses },
    Source { name: "fixes", file: FIXES, read: fixes },
    Source { name: "films", file: film::FILES[0], read: film::film_texts },
    Source { name: "sentences", file: "pairs.jsonl.gz", read: sentence_texts },
    Source { name: "facets", file: "pairs.jsonl.gz", read: facet_texts },
];

/// Their names.
pub const SOURCES: &[&str] =
    &["questions", "continuations", "clauses", "fixes", "films", "sentences", "facets"];

/// The source of a name that [`SOURCES`] has.
pub fn source(name: &str) -> &'static Source {
    ALL.iter().find(|source| source.name == name).unwrap_or(&ALL[0])
}

/// Questions and paragraphs of both halves, and the paragraphs to learn from as [`rewritten`].
fn questions(path: &Path) -> Result<Vec<String>, StageError> {
    let (tested, learned) = (read_questions(path, "squad2-a")?, read_questions(path, "squad2-b")?);
    let mut texts: Vec<String> = learned.passages.iter().map(|passage| rewritten(passage)).collect();
    for set in [tested, learned] {
        texts.extend(set.passages);
        texts.extend(set.questions.into_iter().map(|(question, ..)| question));
    }
    Ok(texts)
}

/// Prefixes and continuations of all articles.
fn prefixes(path: &Path) -> Result<Vec<String>, StageError> {
    let pairs = continuations(path)?.into_iter().flatten();
    Ok(pairs.flat_map(|pair| [pair.prefix, pair.continuation]).collect())
}

/// The clauses of abstracts.
fn clauses(path: &Path) -> Result<Vec<String>, StageError> {
    Ok(read_titled(path)?.into_iter().flat_map(|titled| titled.units).collect())
}

/// Methods before their fix, and after it those from which is learned and those that are held out.
fn fixes(path: &Path) -> Result<Vec<String>, StageError> {
    let fixes = read_fixes(path)?;
    let learned = fixes.known[fixes.learned()].iter().chain(&fixes.tested).map(|fix| as_read(&fix.fixed));
    let bugs = fixes.known.iter().chain(&fixes.tested).map(|fix| as_read(&fix.buggy));
    Ok(bugs.chain(learned).collect())
}

/// The same in other words, as far as that goes without a model: sentences from the last to the first, the last one left out where
/// there are more than two.
pub fn rewritten(passage: &str) -> String {
    let mut all = sentences(passage);
    if all.len() > 2 {
        all.pop();
    }
    all.reverse();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_sources() {
        assert_eq!(ALL.iter().map(|source| source.name).collect::<Vec<_>>(), SOURCES);
        assert_eq!(rewritten("A b. C d. E f."), "C d. A b.");
        assert_eq!(rewritten("A b. C d."), "C d. A b.");
    }
}
