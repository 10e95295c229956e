//! The file of `plackett train`: what is trained, on what and how. Which of its keys go together, each kind of training says.

use super::groups::ScorerShape;
use super::pointer::PointerShape;
use anyhow::{Context, anyhow, bail};
use plackett::listwise_examples::{method_of, usual_objective};
use plackett_core::declaration::{nearest, suggestion};
use plackett_core::formats::serde_problem;
use plackett_rank::MethodSpec;
use plackett_train::objective::{ParseError, parse_sum};
use plackett_train::trainer::{OWN_HEADS, Settings, TURNS, Trained};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A training file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingFile {
    /// A model's name or folder.
    pub base: String,
    /// Queries with labelled candidates; for a decoder without a method, texts with their prompts.
    pub examples: PathBuf,
    /// Texts that a decoder forgets; `examples` are those that it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forget: Option<PathBuf>,
    /// The same, of which the loss alone is told, and of lists how they are ordered.
    pub validation: Option<PathBuf>,
    /// The method that a decoder or an encoder–decoder is trained for, with its options: one that it learns to answer, or for a decoder
    /// `cross-encoder`, for which it gets a score head.
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
    pub tokens: Option<usize>,
    /// Layers of a decoder after which the loss is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depths: Option<Vec<usize>>,
    /// Only so many layers of a decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// The shape of a scorer of groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scorer: Option<ScorerShape>,
    /// The shape of a list ranker, and what it learns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<PointerShape>,
    /// What of the base is trained.
    #[serde(default)]
    pub trained: Trained,
    /// How long and how fast.
    #[serde(default)]
    pub settings: Settings,
}

impl TrainingFile {
    /// Reads a file of this text.
    ///
    /// # Errors
    /// It is no training file, or a key of it has no value that can be used.
    pub fn read(path: &Path, text: &str) -> anyhow::Result<TrainingFile> {
        let file: TrainingFile = parsed(path, text)?;
        let is_empty = |path: &Path| path.as_os_str().is_empty();
        let nothing = [
            ("base", file.base.is_empty(), "a model"),
            ("examples", is_empty(&file.examples), "a file"),
            ("validation", file.validation.as_deref().is_some_and(is_empty), "a file"),
            ("forget", file.forget.as_deref().is_some_and(is_empty), "a file"),
        ];
        if let Some((key, _, what)) = nothing.iter().find(|(_, found, _)| *found) {
            bail!("{}, line {}: {key}: nothing is written; name {what}", path.display(), line_of(text, key));
        }
        let checked = check_trained(&file.trained, &file.settings, file.validation.as_deref());
        checked.with_context(|| path.display().to_string())?;
        if let Some(problem) = file.method.as_ref().and_then(|method| method_of(method).err()) {
            bail!("{}, line {}: method: {problem}", path.display(), line_of(text, "method"));
        }
        if let Some(problem) = file.objective.as_deref().and_then(objective_problem) {
            bail!("{}, line {}: objective: {problem}", path.display(), line_of(text, "objective"));
        }
        Ok(file)
    }

    /// The method with its options as they are written; `None` where there is none.
    fn configured(&self) -> Option<(&'static MethodSpec, Vec<(String, String)>)> {
        method_of(self.method.as_ref()?).ok()
    }

    /// The method, without its options.
    pub fn method_spec(&self) -> Option<&'static MethodSpec> {
        self.configured().map(|(method, _)| method)
    }

    /// The options of the method.
    pub fn method_options(&self) -> Vec<(String, String)> {
        self.configured().map(|(_, options)| options).unwrap_or_default()
    }

    /// The objective that is given, or that with which the method is learned.
    pub fn objective_of_method(&self) -> String {
        let usual = || self.method_spec().map_or_else(String::new, |method| usual_objective(method).into());
        self.objective.clone().unwrap_or_else(usual)
    }
}

/// Why an objective cannot be read; of those that take turns the first.
fn objective_problem(text: &str) -> Option<ParseError> {
    text.split(TURNS).find_map(|sum| parse_sum(sum).err())
}

/// Refuses layers that are named for an adapter where there is none, and evaluations without examples to evaluate on.
///
/// # Errors
/// The key that has no effect.
pub fn check_trained(
    trained: &Trained,
    settings: &Settings,
    validation: Option<&Path>,
) -> anyhow::Result<()> {
    let Trained { adapter, targets, .. } = trained;
    if ["full", "head", OWN_HEADS].contains(&adapter.as_str()) && *targets != Trained::default().targets {
        bail!(
            "targets = \"{targets}\" names layers for an adapter, and adapter = \"{adapter}\" is none; leave targets out, \
             or name an adapter"
        );
    }
    if settings.evaluate > 0 && validation.is_none() {
        bail!(
            "evaluate: there are no examples to evaluate on; name a file as `validation`, or leave \
             evaluate out"
        );
    }
    Ok(())
}

/// What the text of a training file says, or the line that is wrong and how.
pub fn parsed<T: DeserializeOwned>(path: &Path, text: &str) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        anyhow!("{}, line {line}: {}", path.display(), problem(error.message()))
    })
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
        return in_words_of_tables(&format!("invalid type: {rest}"));
    }
    match message.strip_prefix("missing field ") {
        Some(key) => format!("the key {key} is missing"),
        None => in_words_of_tables(message),
    }
}

/// A value of another type in the words of TOML, which has tables where JSON has objects.
fn in_words_of_tables(message: &str) -> String {
    let said = serde_problem(message).replace("found an object where", "found a table where");
    said.replace("must be an object", "must be a table")
}

#[cfg(test)]
mod tests {
    use super::{check_trained, line_of, problem};
    use plackett_train::trainer::{OWN_HEADS, Settings, Trained};

    #[test]
    fn layers_without_an_adapter_are_refused() {
        let targets = || "query".to_string();
        for adapter in ["full", "head", OWN_HEADS] {
            let trained = Trained { adapter: adapter.into(), targets: targets(), ..Trained::default() };
            let refused = check_trained(&trained, &Settings::default(), None).unwrap_err().to_string();
            assert!(refused.contains(&format!("adapter = \"{adapter}\" is none")), "{refused}");
        }
        let trained = Trained { adapter: "lora(rank=2)".into(), targets: targets(), ..Trained::default() };
        assert!(check_trained(&trained, &Settings::default(), None).is_ok());
    }

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
            (
                "invalid type: integer `1`, expected struct ScorerShape",
                "found the number `1` where there must be a table",
            ),
            ("invalid type: map, expected a string", "found a table where there must be a text"),
        ] {
            assert_eq!(problem(message), said);
        }
    }
}
