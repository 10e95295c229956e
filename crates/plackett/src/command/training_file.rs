//! The file of `plackett train`: what is trained, on what and how.

use anyhow::{Context, anyhow, bail};
use plackett_core::formats::serde_problem;
use plackett_train::trainer::{RankingJob, Settings, Trained};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A training file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingFile {
    /// A model's name or folder.
    pub base: String,
    /// Queries with labelled candidates.
    pub examples: PathBuf,
    /// The same, of which the loss alone is told.
    pub validation: Option<PathBuf>,
    /// Candidates of label 0 for each other one, at most.
    pub negatives: Option<usize>,
    /// What is minimised.
    #[serde(default = "objective")]
    pub objective: String,
    /// Most tokens of a pair.
    #[serde(default = "tokens")]
    tokens: usize,
    #[serde(default)]
    trained: Trained,
    /// How long and how fast.
    #[serde(default)]
    pub settings: Settings,
}

fn objective() -> String {
    RankingJob::default().objective
}

fn tokens() -> usize {
    RankingJob::default().tokens
}

impl TrainingFile {
    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<TrainingFile> {
        let place = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(place)?;
        let file: TrainingFile = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            anyhow!("{}, line {line}: {}", path.display(), problem(error.message()))
        })?;
        let whole = ["full", "head"].contains(&file.trained.adapter.as_str());
        if whole && file.trained.targets != Trained::default().targets {
            let (adapter, targets) = (&file.trained.adapter, &file.trained.targets);
            bail!(
                "{}: targets = \"{targets}\" names layers for an adapter, and adapter = \"{adapter}\" is none; leave targets out, \
                 or name an adapter",
                path.display()
            );
        }
        Ok(file)
    }

    /// The training.
    pub fn job(&self) -> RankingJob {
        RankingJob {
            objective: self.objective.clone(),
            tokens: self.tokens,
            trained: self.trained.clone(),
            settings: self.settings.clone(),
        }
    }
}

/// The place of a file that the training file at `own` names.
pub fn beside(own: &Path, path: &Path) -> PathBuf {
    own.parent().unwrap_or(Path::new("")).join(path)
}

/// What is wrong with a key or value, in a user's words.
fn problem(message: &str) -> String {
    let message = message.trim_end();
    if let Some((key, known)) =
        message.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", expected "))
    {
        let known = known.trim_start_matches("one of ");
        return format!("{key} is no key here; there are {known}");
    }
    if let Some((value, known)) =
        message.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        return format!("{value} is not {known}");
    }
    match message.strip_prefix("missing field ") {
        Some(key) => format!("the key {key} is missing"),
        None => serde_problem(message),
    }
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn problems_have_no_words_of_the_library() {
        for (message, said) in [
            (
                "unknown field `rte`, expected one of `rate`, `batch`",
                "`rte` is no key here; there are `rate`, `batch`",
            ),
            ("unknown variant `liner`, expected `linear` or `cosine`", "`liner` is not `linear` or `cosine`"),
            ("missing field `base`", "the key `base` is missing"),
            (
                "invalid type: string \"x\", expected usize",
                "found the text \"x\" where there must be a whole number from 0",
            ),
        ] {
            assert_eq!(problem(message), said);
        }
    }
}
