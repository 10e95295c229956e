//! Lines of files of lists that `plackett train` reads, with the ids of what stands in them.

use plackett_train::trainer::Candidate;
use serde::Serialize;
use std::io::{self, Write};

/// A query with labelled candidates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingList {
    /// The query's identifier, of which a training takes no notice.
    pub qid: String,
    /// The query.
    pub query: String,
    /// What is ranked.
    pub candidates: Vec<TrainingCandidate>,
}

/// A candidate of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingCandidate {
    /// The document's identifier, of which a training takes no notice.
    pub docid: String,
    /// Its text, its label and the score of a teacher, where there is one.
    #[serde(flatten)]
    pub candidate: Candidate,
}

impl TrainingList {
    /// Writes it as one line.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", serde_json::to_string(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::trainer::read_ranking_examples;

    #[test]
    fn a_training_reads_what_is_written() {
        let candidate = |docid: &str, label: f32, teacher: Option<f32>| TrainingCandidate {
            docid: docid.into(),
            candidate: Candidate { text: format!("text of {docid}"), label, teacher },
        };
        let candidates = vec![candidate("a", 1.0, Some(0.1)), candidate("b", 0.0, None)];
        let list = TrainingList { qid: "7".into(), query: "words".into(), candidates };
        let mut line = Vec::new();
        list.write(&mut line).unwrap();
        let text = "{\"qid\":\"7\",\"query\":\"words\",\"candidates\":[{\"docid\":\"a\",\"text\":\"text of a\",\"label\":1.0,\"teacher\":0.1},\
                    {\"docid\":\"b\",\"text\":\"text of b\",\"label\":0.0}]}\n";
        assert_eq!(String::from_utf8(line.clone()).unwrap(), text);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.jsonl");
        std::fs::write(&path, &line).unwrap();
        let read = read_ranking_examples(&path).unwrap().remove(0);
        assert_eq!(read.query, list.query);
        let written: Vec<Candidate> = list.candidates.into_iter().map(|one| one.candidate).collect();
        assert_eq!(read.candidates, written);
    }
}
