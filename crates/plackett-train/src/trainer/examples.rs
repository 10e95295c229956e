//! Examples to train on, and the files they are read from.

use crate::TrainError;
use crate::random::Stream;
use plackett_core::formats::json_problem;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A document with its label.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Candidate {
    /// Its text.
    pub text: String,
    /// Its grade; a greater one is better.
    pub label: f32,
    /// The score of a teacher.
    #[serde(default)]
    pub teacher: Option<f32>,
}

/// A query with candidates.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct RankingExample {
    /// The query.
    pub query: String,
    /// What is ranked.
    pub candidates: Vec<Candidate>,
}

/// A text that follows another one.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct TextExample {
    /// What is given; it teaches nothing.
    #[serde(default)]
    pub prompt: String,
    /// What is to be written.
    pub target: String,
}

/// Most bytes of a line.
const MOST_BYTES: usize = 64 << 20;

/// Reads a file of JSON lines, each a [`RankingExample`].
///
/// # Errors
/// A line that is no example, with its number.
pub fn read_ranking_examples(path: &Path) -> Result<Vec<RankingExample>, TrainError> {
    read(path, |example: &RankingExample| {
        if example.candidates.is_empty() {
            return Some("`candidates` is empty; leave the record out".into());
        }
        let label = example.candidates.iter().position(|candidate| !candidate.label.is_finite());
        label.map(|at| format!("the label of candidate {} is no number", at + 1))
    })
}

/// Reads a file of JSON lines, each a [`TextExample`].
///
/// # Errors
/// A line that is no example, with its number.
pub fn read_text_examples(path: &Path) -> Result<Vec<TextExample>, TrainError> {
    read(path, |example: &TextExample| {
        example.target.trim().is_empty().then(|| "`target` is empty; leave the record out".into())
    })
}

fn read<T: for<'de> Deserialize<'de>>(
    path: &Path,
    problem: impl Fn(&T) -> Option<String>,
) -> Result<Vec<T>, TrainError> {
    let file = File::open(path).map_err(|source| TrainError::file(path, source))?;
    let mut examples = Vec::new();
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|source| TrainError::file(path, source))?;
        let failed = |problem: String| TrainError::Record { path: path.into(), record: at + 1, problem };
        if line.trim().is_empty() {
            continue;
        }
        if line.len() > MOST_BYTES {
            return Err(failed(format!("it has {} bytes, and {MOST_BYTES} are the most", line.len())));
        }
        let example: T = serde_json::from_str(&line).map_err(|error| failed(json_problem(&line, &error)))?;
        if let Some(problem) = problem(&example) {
            return Err(failed(problem));
        }
        examples.push(example);
    }
    if examples.is_empty() {
        return Err(TrainError::Form { path: path.into(), problem: "there is no example in it".into() });
    }
    Ok(examples)
}

/// Keeps all candidates with a label above 0, and at most `negatives` others for each of them, drawn by the seed; examples
/// without one are left out. Gives how many were left out.
pub fn keep_negatives(examples: &mut Vec<RankingExample>, negatives: usize, seed: u64) -> usize {
    let before = examples.len();
    for (at, example) in examples.iter_mut().enumerate() {
        let order = Stream::new(seed, at as u64).permutation(example.candidates.len());
        let positives = example.candidates.iter().filter(|candidate| candidate.label > 0.0).count();
        let others: Vec<usize> =
            order.into_iter().filter(|place| example.candidates[*place].label <= 0.0).collect();
        let dropped = others.get(negatives.saturating_mul(positives)..).unwrap_or_default();
        let mut place = 0;
        example.candidates.retain(|_| {
            place += 1;
            !dropped.contains(&(place - 1))
        });
    }
    examples.retain(|example| example.candidates.iter().any(|candidate| candidate.label > 0.0));
    before - examples.len()
}
