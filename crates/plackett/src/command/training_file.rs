//! The file of `plackett train`: what is trained, on what and how.

use anyhow::{Context, anyhow, bail};
use plackett::listwise_examples::{method_of, usual_objective};
use plackett_core::declaration::{nearest, suggestion};
use plackett_core::formats::serde_problem;
use plackett_train::TrainError;
use plackett_train::trainer::{
    LanguageJob, ListwiseJob, ListwiseStart, OWN_HEADS, RankingJob, Settings, Trained,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Lists of a pass while held-out ones are measured.
const MEASURED_TOGETHER: usize = 8;

/// A training file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingFile {
    /// A model's name or folder.
    pub base: String,
    /// Queries with labelled candidates; for a decoder without a method, texts with their prompts.
    pub examples: PathBuf,
    /// The same, of which the loss alone is told, and of lists how they are ordered.
    pub validation: Option<PathBuf>,
    /// The listwise method that a decoder learns to answer, with its options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Most candidates of a list, from the best.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// In how many drawn orders each list is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orders: Option<usize>,
    /// Candidates of label 0 for each other one, at most.
    pub negatives: Option<usize>,
    /// What is minimised.
    pub objective: Option<String>,
    /// Most tokens of a pair, or of a text with its prompt.
    #[serde(alias = "max_length")]
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

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cross-encoder.
    Ranking,
    /// A decoder on texts.
    Language,
    /// A decoder on lists.
    Lists,
}

/// A training of any kind.
pub enum Job {
    /// Of a cross-encoder.
    Ranking(RankingJob),
    /// Of a decoder.
    Language(LanguageJob),
    /// Of a decoder that orders lists.
    Lists(ListwiseJob),
}

impl Job {
    /// Checks everything that can be wrong before a model is opened.
    pub fn check(&self) -> Result<(), TrainError> {
        match self {
            Job::Ranking(job) => job.check(),
            Job::Language(job) => job.check(),
            Job::Lists(job) => job.check(),
        }
    }

    /// What it learns from, in the plural, and its objective.
    pub fn learns(&self) -> (&'static str, &str) {
        match self {
            Job::Ranking(job) => ("lists", job.objective.as_str()),
            Job::Language(job) => ("texts", job.objective.as_str()),
            Job::Lists(job) => ("lists", job.objective.as_str()),
        }
    }
}

impl TrainingFile {
    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<TrainingFile> {
        let place = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(place)?;
        let file: TrainingFile = parsed(path, &text)?;
        let whole = ["full", "head", OWN_HEADS].contains(&file.trained.adapter.as_str());
        if whole && file.trained.targets != Trained::default().targets {
            let (adapter, targets) = (&file.trained.adapter, &file.trained.targets);
            bail!(
                "{}: targets = \"{targets}\" names layers for an adapter, and adapter = \"{adapter}\" is none; leave targets out, \
                 or name an adapter",
                path.display()
            );
        }
        if file.settings.evaluate > 0 && file.validation.is_none() {
            bail!(
                "{}: evaluate: there are no examples to evaluate on; name a file as `validation`, or leave evaluate out",
                path.display()
            );
        }
        if let Some(problem) = file.method.as_ref().and_then(|method| method_of(method).err()) {
            bail!("{}, line {}: method: {problem}", path.display(), line_of(&text, "method"));
        }
        Ok(file)
    }

    /// Whether a key is there that only the training of a decoder has.
    pub fn names_decoder(&self) -> bool {
        self.depths.is_some() || self.layers.is_some() || self.trained.adapter == OWN_HEADS
    }

    /// What is trained of a base of this kind.
    pub fn kind(&self, is_decoder: bool) -> Kind {
        match (&self.method, is_decoder) {
            (Some(_), _) => Kind::Lists,
            (None, true) => Kind::Language,
            (None, false) => Kind::Ranking,
        }
    }

    /// Refuses keys of the other kinds of training, and fills in what is not said.
    pub fn settle(&mut self, is_decoder: bool) -> anyhow::Result<()> {
        if self.method.is_some() {
            return self.settle_lists(is_decoder);
        }
        let base = &self.base;
        let of_lists = [("window", self.window), ("orders", self.orders)];
        if let Some((key, _)) = of_lists.iter().find(|(_, value)| value.is_some()) {
            bail!(
                "{key}: is for decoders that learn to order lists; name a `method`, as \"first\", or leave it out"
            );
        }
        if is_decoder && self.negatives.is_some() {
            bail!(
                "negatives: {base} is a decoder, whose examples are texts without candidates; leave it out, or \
                 name a `method` with which it learns to order lists"
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

    /// The same for lists.
    fn settle_lists(&mut self, is_decoder: bool) -> anyhow::Result<()> {
        let base = &self.base;
        if !is_decoder {
            bail!(
                "method: a listwise method asks a decoder, and {base} is none that can be trained; give a Llama as `base`, such as \
                 SmolLM2-135M-Instruct, or leave `method` out for a cross-encoder"
            );
        }
        let others = [
            ("negatives", self.negatives.is_some(), "`window` says how many candidates a list has"),
            ("tokens", self.tokens.is_some(), "the method says how texts are cut, as `first(words=32)`"),
            ("depths", self.depths.is_some(), "a list is read out after the last layer"),
            ("layers", self.layers.is_some(), "a whole decoder learns lists"),
        ];
        if let Some((key, _, reason)) = others.iter().find(|(_, given, _)| *given) {
            bail!("{key}: is not for the training with a `method`: {reason}; leave it out");
        }
        if self.window.is_some_and(|window| window < 2) {
            bail!("window: a whole number from 2 is expected, or leave it out for all candidates");
        }
        if self.orders == Some(0) {
            bail!("orders: a whole number from 1 is expected");
        }
        self.objective.get_or_insert(usual_objective_of(self.method.as_deref()));
        self.orders.get_or_insert(1);
        Ok(())
    }

    /// The training.
    pub fn job(&self, kind: Kind) -> Job {
        let (trained, settings) = (self.trained.clone(), self.settings.clone());
        let objective = |usual: String| self.objective.clone().unwrap_or(usual);
        match kind {
            Kind::Language => {
                let usual = LanguageJob::default();
                Job::Language(LanguageJob {
                    objective: objective(usual.objective),
                    tokens: self.tokens.unwrap_or(usual.tokens),
                    depths: self.depths.clone().unwrap_or_default(),
                    layers: self.layers.unwrap_or(0),
                    trained,
                    settings,
                })
            }
            Kind::Ranking => {
                let usual = RankingJob::default();
                Job::Ranking(RankingJob {
                    objective: objective(usual.objective),
                    tokens: self.tokens.unwrap_or(usual.tokens),
                    trained,
                    separate_layers: None,
                    settings,
                })
            }
            Kind::Lists => Job::Lists(ListwiseJob {
                objective: objective(usual_objective_of(self.method.as_deref())),
                start: ListwiseStart::Base,
                trained,
                ends: true,
                noise: 0.0,
                together: MEASURED_TOGETHER,
                settings,
            }),
        }
    }
}

/// What the text of a training file says, or the line that is wrong and how.
pub fn parsed<T: DeserializeOwned>(path: &Path, text: &str) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        anyhow!("{}, line {line}: {}", path.display(), problem(error.message()))
    })
}

/// The objective of a method that is known by now.
fn usual_objective_of(method: Option<&str>) -> String {
    let method = method.and_then(|method| method_of(method).ok());
    method.map_or_else(String::new, |(method, _)| usual_objective(method).into())
}

/// The line, from 1, on which a key of the file itself stands.
fn line_of(text: &str, key: &str) -> usize {
    let is_key = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().position(is_key).map_or(1, |at| at + 1)
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
    if let Some(key) = message.strip_prefix("duplicate field ") {
        return format!("{key} is given twice, be it under another of its names; leave one out");
    }
    // A number out of range, as one below 0, is told as one of another type.
    if let Some(rest) = message.strip_prefix("invalid value: ") {
        return serde_problem(&format!("invalid type: {rest}"));
    }
    match message.strip_prefix("missing field ") {
        Some(key) => format!("the key {key} is missing"),
        None => serde_problem(message),
    }
}

#[cfg(test)]
mod tests {
    use super::{line_of, problem};

    #[test]
    fn keys_are_found_by_their_lines() {
        let text = "base = \"method\"\nmethods = 1\n  method = \"first\"\n";
        assert_eq!((line_of(text, "method"), line_of(text, "orders")), (3, 1));
    }

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
                "duplicate field `rate`",
                "`rate` is given twice, be it under another of its names; leave one out",
            ),
            (
                "invalid type: string \"x\", expected usize",
                "found the text \"x\" where there must be a whole number from 0",
            ),
            (
                "invalid value: integer `-1`, expected usize",
                "found the number `-1` where there must be a whole number from 0",
            ),
        ] {
            assert_eq!(problem(message), said);
        }
    }
}
