//! Articles with the summaries that systems made of them (REALSumm), and abstracts with their titles, cut into units.

use super::read_lines;
use crate::recipe::error::StageError;
use plackett_arena::choosing::segments;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The score that people gave: the share of the reference's facts.
const HUMAN: &str = "litepyramid_recall";
/// The score by whose order a reranker learns.
const LEARNED: &str = "rouge_1_f_score";
/// Abstracts that are read, and units that each has.
const ABSTRACTS: usize = 600;
const UNITS: std::ops::RangeInclusive<usize> = 6..=20;

/// The file of articles with summaries.
pub const SUMMARIES: &str = "docs.jsonl.gz";
/// The file of abstracts with titles.
pub const ABSTRACTS_FILE: &str = "corpus.jsonl";

#[derive(Deserialize)]
struct Line {
    id: serde_json::Value,
    source: String,
    reference: String,
    candidates: Vec<Candidate>,
}

#[derive(Deserialize)]
struct Candidate {
    r#type: String,
    text: String,
    scores: BTreeMap<String, f64>,
}

/// A summary of an article.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What it says.
    pub text: String,
    /// Whether it is made of sentences of the article.
    pub is_extract: bool,
    /// What people found in it, from 0 to 1.
    pub human: f64,
    /// F1 of its words with those of the reference.
    pub rouge: f64,
}

/// An article.
#[derive(Clone, Debug)]
pub struct Article {
    /// Its name.
    pub id: String,
    /// All of it.
    pub source: String,
    /// The summary that its editors wrote.
    pub reference: String,
    /// Those that systems wrote.
    pub summaries: Vec<Summary>,
}

/// The articles of a file.
///
/// # Errors
/// A file that cannot be read, a line that is no article, or a summary without the scores that are needed.
pub fn read_articles(path: &Path) -> Result<Vec<Article>, StageError> {
    let lines: Vec<Line> = read_lines(path, "an article with source, reference and candidates")?;
    let missing = |score: &str| StageError::Field {
        field: "collection",
        problem: format!("{}: a candidate has no score `{score}`; every one needs it", path.display()),
    };
    let summary = |candidate: Candidate| {
        let score = |name: &str| candidate.scores.get(name).copied().ok_or_else(|| missing(name));
        let (human, rouge) = (score(HUMAN)?, score(LEARNED)?);
        Ok(Summary { is_extract: candidate.r#type == "ext", text: candidate.text, human, rouge })
    };
    let article = |line: Line| -> Result<Article, StageError> {
        Ok(Article {
            id: line.id.to_string(),
            source: line.source,
            reference: line.reference,
            summaries: line.candidates.into_iter().map(summary).collect::<Result<_, StageError>>()?,
        })
    };
    lines.into_iter().map(article).collect()
}

/// An abstract with its title.
#[derive(Clone, Debug)]
pub struct Titled {
    /// What is to be said in short.
    pub title: String,
    /// The units of the abstract.
    pub units: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    title: String,
    text: String,
}

/// The first abstracts of a collection that have a title and 6 to 20 units.
///
/// # Errors
/// A file that cannot be read, a line that is no document, or a file without such abstracts.
pub fn read_titled(path: &Path) -> Result<Vec<Titled>, StageError> {
    let lines: Vec<Document> = read_lines(path, "a document with title and text")?;
    let titled = |line: Document| {
        let text = line.text.strip_prefix(line.title.as_str()).unwrap_or(&line.text);
        let units: Vec<String> = segments(text)
            .into_iter()
            .map(|span| text[span].trim().to_string())
            .filter(|unit| !unit.is_empty())
            .collect();
        (!line.title.trim().is_empty() && UNITS.contains(&units.len()))
            .then_some(Titled { title: line.title, units })
    };
    let all: Vec<Titled> = lines.into_iter().filter_map(titled).take(ABSTRACTS).collect();
    match all.is_empty() {
        false => Ok(all),
        true => {
            let problem = format!("{} has no documents with a title and 6 to 20 units", path.display());
            Err(StageError::Field { field: "collection", problem })
        }
    }
}
