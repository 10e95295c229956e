//! The file of `plackett train`: what is trained, on what and how.

use anyhow::{Context, anyhow, bail};
use plackett_core::declaration::{nearest, suggestion};
use plackett_core::formats::serde_problem;
use plackett_train::TrainError;
use plackett_train::trainer::{LanguageJob, OWN_HEADS, RankingJob, Settings, Trained};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A training file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingFile {
    /// A model's name or folder.
    pub base: String,
    /// Queries with labelled candidates; for a decoder, texts with their prompts.
    pub examples: PathBuf,
    /// The same, of which the loss alone is told.
    pub validation: Option<PathBuf>,
    /// Candidates of label 0 for each other one, at most.
    pub negatives: Option<usize>,
    /// What is minimised.
    pub objective: Option<String>,
    /// Most tokens of a pair, or of a text with its prompt.
    tokens: Option<usize>,
    /// Layers of a decoder after which the loss is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    depths: Option<Vec<usize>>,
    /// Only so many layers of a decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<usize>,
    #[serde(default)]
    trained: Trained,
    /// How long and how fast.
    #[serde(default)]
    pub settings: Settings,
}

/// A training of either kind.
pub enum Job {
    /// Of a cross-encoder.
    Ranking(RankingJob),
    /// Of a decoder.
    Language(LanguageJob),
}

impl Job {
    /// Checks everything that can be wrong before a model is opened.
    pub fn check(&self) -> Result<(), TrainError> {
        match self {
            Job::Ranking(job) => job.check(),
            Job::Language(job) => job.check(),
        }
    }
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
        let whole = ["full", "head", OWN_HEADS].contains(&file.trained.adapter.as_str());
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

    /// Whether a key is there that only the training of a decoder has.
    pub fn names_decoder(&self) -> bool {
        self.depths.is_some() || self.layers.is_some() || self.trained.adapter == OWN_HEADS
    }

    /// Refuses keys of the other kind of model, and fills in what is not said.
    pub fn settle(&mut self, is_decoder: bool) -> anyhow::Result<()> {
        let base = &self.base;
        if is_decoder && self.negatives.is_some() {
            bail!(
                "negatives: {base} is a decoder, whose examples are texts without candidates; leave it out"
            );
        }
        if self.depths.as_ref().is_some_and(Vec::is_empty) {
            bail!("depths: none is given; name layers, as [8, 16], or leave it out for the last alone");
        }
        let own = self.trained.adapter == OWN_HEADS;
        let given = [
            ("depths", self.depths.is_some()),
            ("layers", self.layers.is_some()),
            ("adapter = \"exit-heads\"", own),
        ];
        if let (false, Some((key, _))) = (is_decoder, given.iter().find(|(_, given)| *given)) {
            bail!("{key}: is for decoders, and {base} is none; leave it out, or give a Llama");
        }
        let ([ranking, language], tokens) = (
            [RankingJob::default().objective, LanguageJob::default().objective],
            [RankingJob::default().tokens, LanguageJob::default().tokens],
        );
        self.objective.get_or_insert(if is_decoder { language } else { ranking });
        self.tokens.get_or_insert(tokens[usize::from(is_decoder)]);
        Ok(())
    }

    /// The training.
    pub fn job(&self, is_decoder: bool) -> Job {
        let (trained, settings) = (self.trained.clone(), self.settings.clone());
        if is_decoder {
            let usual = LanguageJob::default();
            return Job::Language(LanguageJob {
                objective: self.objective.clone().unwrap_or(usual.objective),
                tokens: self.tokens.unwrap_or(usual.tokens),
                depths: self.depths.clone().unwrap_or_default(),
                layers: self.layers.unwrap_or(0),
                trained,
                settings,
            });
        }
        let usual = RankingJob::default();
        Job::Ranking(RankingJob {
            objective: self.objective.clone().unwrap_or(usual.objective),
            tokens: self.tokens.unwrap_or(usual.tokens),
            trained,
            separate_layers: None,
            settings,
        })
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
        let meant = nearest(key.trim_matches('`'), known.split('`').skip(1).step_by(2));
        return format!("{key} is no key here{}; there are {known}", suggestion(&meant));
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
                "`rte` is no key here; did you mean `rate`?; there are `rate`, `batch`",
            ),
            (
                "unknown field `colour`, expected `rate` or `batch`",
                "`colour` is no key here; there are `rate` or `batch`",
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
