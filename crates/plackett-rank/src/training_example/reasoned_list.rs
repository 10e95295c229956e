//! Lists with a reasoning and an order to learn from, as ReasonRank's training data have them (Liu et al., ReasonRank, 2025:
//! `training_data_all.jsonl`). Queries and passages are named by their ids; their texts are elsewhere.

use plackett_core::formats::{FormatError, read_json_lines};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;

/// What a line is.
const EXPECTED: &str = "{\"dataset\": …, \"qid\": …, \"initial_list\": […], \"final_list\": […], \"reasoning\": …, \"relevant_docids\": […]}";

/// A list with the order that a teacher has given it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ReasonedList {
    /// Where the query comes from.
    pub dataset: String,
    /// The query.
    pub qid: String,
    /// Passages in the order in which they were shown.
    pub initial_list: Vec<String>,
    /// The same, the best first.
    pub final_list: Vec<String>,
    /// What the teacher wrote before the order.
    pub reasoning: String,
    /// Those of them that are relevant, not by the order but by judgments.
    pub relevant_docids: Vec<String>,
}

impl ReasonedList {
    /// Places in the list as it was shown, the best first: what
    /// [`ListwiseExampleBuilder::reasoned_example`](super::ListwiseExampleBuilder::reasoned_example) takes.
    pub fn order(&self) -> Vec<usize> {
        let place = |id: &String| self.initial_list.iter().position(|shown| shown == id);
        self.final_list.iter().filter_map(place).collect()
    }

    /// What is wrong with it, in a sentence.
    fn check(&self) -> Result<(), String> {
        let shown: HashSet<&String> = self.initial_list.iter().collect();
        if shown.len() < self.initial_list.len() {
            return Err("an id stands twice in `initial_list`; leave the second one out".into());
        }
        if self.final_list.len() != shown.len() || self.final_list.iter().collect::<HashSet<_>>() != shown {
            return Err("`final_list` is not an order of the ids of `initial_list`; all of them are needed, each once".into());
        }
        match self.relevant_docids.iter().find(|id| !shown.contains(id)) {
            Some(id) => Err(format!(
                "`{id}` of `relevant_docids` is not in `initial_list`; add it there, or leave it out"
            )),
            None => Ok(()),
        }
    }
}

/// Reads a file of such lists, one JSON object a line.
///
/// # Errors
/// The file cannot be read, a line is longer than `limit` bytes, or it is no such list; the message says which.
pub fn read_reasoned_lists(path: &Path, limit: usize) -> Result<Vec<ReasonedList>, FormatError> {
    let lines = read_json_lines::<ReasonedList>(path, limit, EXPECTED)?;
    let checked = |(line, list): (u64, ReasonedList)| match list.check() {
        Ok(()) => Ok(list),
        Err(problem) => Err(FormatError::File {
            file: path.display().to_string(),
            problem: format!("line {line}: {problem}"),
        }),
    };
    lines.into_iter().map(checked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<Vec<ReasonedList>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.jsonl");
        std::fs::write(&path, lines).unwrap();
        read_reasoned_lists(&path, 1000).map_err(|error| error.to_string())
    }

    /// A line with a final list and relevant ids.
    fn line(last: &str, relevant: &str) -> String {
        format!(
            "{{\"dataset\": \"math-qa\", \"qid\": \"7\", \"initial_list\": [\"a\", \"b\", \"c\"], \"final_list\": [{last}], \
             \"reasoning\": \"c has a proof\", \"relevant_docids\": [{relevant}]}}\n"
        )
    }

    #[test]
    fn orders_are_places_in_the_list_as_it_was_shown() {
        let lists = read(&line("\"c\", \"a\", \"b\"", "\"a\"")).unwrap();
        assert_eq!((lists.len(), lists[0].order()), (1, vec![2, 0, 1]));
        assert_eq!((lists[0].reasoning.as_str(), lists[0].qid.as_str()), ("c has a proof", "7"));
    }

    #[test]
    fn lists_that_do_not_fit_together_are_named_with_their_line() {
        let good = line("\"c\", \"a\", \"b\"", "");
        let message = read(&(good.clone() + &line("\"c\", \"a\"", ""))).unwrap_err();
        assert!(message.contains("line 2: `final_list` is not an order"), "{message}");
        let message = read(&line("\"c\", \"a\", \"a\"", "")).unwrap_err();
        assert!(message.contains("line 1: `final_list` is not an order"), "{message}");
        let message = read(&line("\"c\", \"a\", \"b\"", "\"d\"")).unwrap_err();
        assert!(message.contains("`d` of `relevant_docids`"), "{message}");
        let message = read("{\"qid\": \"7\"}\n").unwrap_err();
        assert!(message.contains("line 1: expected {\"dataset\""), "{message}");
    }
}
