//! Questions and the paragraphs that they were asked about (squad-pairs).

use super::read_lines;
use crate::recipe::error::StageError;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

#[derive(Deserialize)]
struct Line {
    query: String,
    passage: String,
    title: String,
    label: Option<i64>,
    set: String,
}

/// The questions of a part of the collection.
#[derive(Clone, Debug, Default)]
pub struct QuestionSet {
    /// Paragraphs, each once, in the order of their articles.
    pub passages: Vec<String>,
    /// The article of each paragraph.
    pub titles: Vec<String>,
    /// Each question with the place of its paragraph, and whether that answers it, where it is known.
    pub questions: Vec<(String, usize, Option<bool>)>,
}

impl QuestionSet {
    /// Places of the paragraphs of each article, in their order.
    pub fn articles(&self) -> Vec<(String, Vec<usize>)> {
        let mut articles: Vec<(String, Vec<usize>)> = Vec::new();
        for (place, title) in self.titles.iter().enumerate() {
            match articles.iter_mut().find(|(name, _)| name == title) {
                Some((_, places)) => places.push(place),
                None => articles.push((title.clone(), vec![place])),
            }
        }
        articles
    }
}

/// The questions of a set of the file, such as `squad2-a`.
///
/// # Errors
/// A file that cannot be read, a line that is no pair, or a set that is not there.
pub fn read_questions(path: &Path, set: &'static str) -> Result<QuestionSet, StageError> {
    let lines: Vec<Line> = read_lines(path, "a question with its passage, title, label and set")?;
    let (mut all, mut places) = (QuestionSet::default(), HashMap::new());
    for line in lines.into_iter().filter(|line| line.set == set) {
        let place = *places.entry(line.passage.clone()).or_insert_with(|| {
            all.passages.push(line.passage);
            all.titles.push(line.title);
            all.passages.len() - 1
        });
        all.questions.push((line.query, place, line.label.map(|label| label == 1)));
    }
    match all.questions.is_empty() {
        false => Ok(all),
        true => {
            let problem = format!("{} has no pairs of the set `{set}`", path.display());
            Err(StageError::Field { field: "collection", problem })
        }
    }
}
