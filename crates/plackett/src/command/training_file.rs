//! The file of `plackett train`: what is trained, on what and how.

use anyhow::{Context, anyhow, bail};
use plackett::listwise_examples::{method_of, usual_objective};
use plackett::pipeline::{is_decoder, is_encoder_decoder};
use plackett_core::declaration::{nearest, suggestion};
use plackett_core::formats::serde_problem;
use plackett_lm::decoder::PairPrompt;
use plackett_rank::training_example::{TAUGHT_FIRST_TOKENS, teaches_first_token};
use plackett_train::TrainError;
use plackett_train::trainer::{
    Embedding, FirstTokenJob, GroupEncoderShape, GroupJob, LanguageJob, ListwiseJob, ListwiseStart,
    OWN_HEADS, RankingJob, Settings, Trained,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Lists of a pass while held-out ones are measured.
const MEASURED_TOGETHER: usize = 8;

/// The most drawn orders of a list: each is an example of its own in memory.
const MOST_ORDERS: usize = 1000;

/// The method whose model scores groups of vectors.
const OF_GROUPS: &str = "tsprank";

/// The shape of a scorer of groups; what is not said is as published.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScorerShape {
    /// Numbers of an item.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    /// Hidden units before them; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<usize>,
    /// Layers of the encoder over the group; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<usize>,
    /// Its heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    heads: Option<usize>,
    /// Hidden units of its feed-forward networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    inner: Option<usize>,
}

impl ScorerShape {
    /// What vectors become, and the encoder after that.
    fn parts(&self) -> (Embedding, Option<GroupEncoderShape>) {
        let width = self.width.unwrap_or(128);
        let embedding = match self.hidden.unwrap_or(0) {
            0 => Embedding::Linear(width),
            hidden => Embedding::Hidden(hidden, width),
        };
        let layers = self.layers.unwrap_or(4);
        let (heads, inner) = (self.heads.unwrap_or(8), self.inner.unwrap_or(128));
        (embedding, (layers > 0).then_some(GroupEncoderShape { layers, heads, inner }))
    }
}

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
    tokens: Option<usize>,
    /// Layers of a decoder after which the loss is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    depths: Option<Vec<usize>>,
    /// Only so many layers of a decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<usize>,
    /// The shape of a scorer of groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    scorer: Option<ScorerShape>,
    #[serde(default)]
    trained: Trained,
    /// How long and how fast.
    #[serde(default)]
    pub settings: Settings,
}

/// What a base is, by its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Neither of the others: an encoder.
    Encoder,
    /// A decoder.
    Decoder,
    /// An encoder–decoder.
    EncoderDecoder,
}

impl Base {
    /// What lies in a folder.
    pub fn of(folder: &Path) -> Base {
        match (is_decoder(folder), is_encoder_decoder(folder)) {
            (true, _) => Base::Decoder,
            (false, true) => Base::EncoderDecoder,
            (false, false) => Base::Encoder,
        }
    }
}

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cross-encoder, or a decoder with a score head.
    Ranking,
    /// A decoder on texts.
    Language,
    /// A decoder on lists.
    Lists,
    /// An encoder–decoder on lists, by the first token of its answers.
    FirstToken,
    /// A scorer of groups of vectors.
    Groups,
}

/// The name of the method whose model gives each pair a score.
const CROSS_ENCODER: &str = "cross-encoder";

/// A training of any kind.
pub enum Job {
    /// Of a cross-encoder, or a decoder with a score head.
    Ranking(RankingJob),
    /// Of a decoder.
    Language(LanguageJob),
    /// Of a decoder that orders lists.
    Lists(ListwiseJob),
    /// Of an encoder–decoder that scores candidates.
    FirstToken(FirstTokenJob),
    /// Of a scorer of groups of vectors.
    Groups(GroupJob),
}

impl Job {
    /// Checks everything that can be wrong before a model is opened.
    pub fn check(&self) -> Result<(), TrainError> {
        match self {
            Job::Ranking(job) => job.check(),
            Job::Language(job) => job.check(),
            Job::Lists(job) => job.check(),
            Job::FirstToken(job) => job.check(),
            Job::Groups(job) => job.check(),
        }
    }

    /// What it learns from, in the plural, and its objective.
    pub fn learns(&self) -> (&'static str, &str) {
        match self {
            Job::Ranking(job) => ("lists", job.objective.as_str()),
            Job::Language(job) => ("texts", job.objective.as_str()),
            Job::Lists(job) => ("lists", job.objective.as_str()),
            Job::FirstToken(job) => ("lists", job.objective.as_str()),
            Job::Groups(job) => ("lists", job.objective.as_str()),
        }
    }
}

impl TrainingFile {
    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<TrainingFile> {
        let place = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(place)?;
        let file: TrainingFile = parsed(path, &text)?;
        let is_empty = |path: &Path| path.as_os_str().is_empty();
        let nothing = [
            ("base", file.base.is_empty(), "a model"),
            ("examples", is_empty(&file.examples), "a file"),
            ("validation", file.validation.as_deref().is_some_and(is_empty), "a file"),
        ];
        if let Some((key, _, what)) = nothing.iter().find(|(_, found, _)| *found) {
            bail!("{}, line {}: {key}: nothing is written; name {what}", path.display(), line_of(&text, key));
        }
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

    /// What the base has to be by the keys that are there: some are of one kind of training alone.
    pub fn named_base(&self) -> Base {
        let of_decoder = self.depths.is_some() || self.layers.is_some() || self.trained.adapter == OWN_HEADS;
        match (self.teaches_first_token(), of_decoder || self.method.is_some()) {
            (true, _) => Base::EncoderDecoder,
            (false, true) => Base::Decoder,
            (false, false) => Base::Encoder,
        }
    }

    /// Whether there is a method that an encoder–decoder learns.
    fn teaches_first_token(&self) -> bool {
        let method = self.method.as_ref().and_then(|method| method_of(method).ok());
        method.is_some_and(|(method, _)| teaches_first_token(method))
    }

    /// Whether a scorer of groups of the base's vectors is trained.
    pub fn is_of_groups(&self) -> bool {
        let method = self.method.as_ref().and_then(|method| method_of(method).ok());
        method.is_some_and(|(method, _)| method.name == OF_GROUPS)
    }

    /// What is trained of a base of this kind.
    pub fn kind(&self, base: Base) -> Kind {
        match (&self.method, base) {
            (Some(_), _) if self.is_of_groups() => Kind::Groups,
            (Some(_), Base::EncoderDecoder) => Kind::FirstToken,
            (Some(_), _) if self.pair_prompt().is_some() => Kind::Ranking,
            (Some(_), _) => Kind::Lists,
            (None, Base::Decoder) => Kind::Language,
            (None, _) => Kind::Ranking,
        }
    }

    /// The name of the prompt in which a decoder with a score head reads pairs; `None` where none is trained.
    fn pair_prompt(&self) -> Option<String> {
        let (method, options) = method_of(self.method.as_ref()?).ok()?;
        let chosen = options.into_iter().find(|(name, _)| name == "prompt").map(|(_, prompt)| prompt);
        (method.name == CROSS_ENCODER)
            .then(|| chosen.unwrap_or_else(|| PairPrompt::of_score_heads().name.to_string()))
    }

    /// Refuses keys of lists.
    fn check_no_lists(&self) -> anyhow::Result<()> {
        let of_lists = [("window", self.window), ("orders", self.orders)];
        if let Some((key, _)) = of_lists.iter().find(|(_, value)| value.is_some()) {
            bail!(
                "{key}: is for decoders that learn to order lists; name a `method`, as \"first\", or leave it out"
            );
        }
        Ok(())
    }

    /// Refuses keys of the other kinds of training, and fills in what is not said.
    pub fn settle(&mut self, kind: Base) -> anyhow::Result<()> {
        if self.is_of_groups() {
            return self.settle_groups();
        }
        if self.scorer.is_some() {
            bail!(
                "[scorer]: is the shape of what scores groups of vectors; write method = \"{OF_GROUPS}\", or leave it out"
            );
        }
        let is_decoder = kind == Base::Decoder;
        match (self.method.is_some(), kind) {
            (_, Base::EncoderDecoder) => return self.settle_first_token(),
            (true, _) if self.pair_prompt().is_some() => return self.settle_score_head(is_decoder),
            (true, _) => return self.settle_lists(is_decoder),
            (false, _) => {}
        }
        self.check_no_lists()?;
        let base = &self.base;
        if is_decoder && self.negatives.is_some() {
            bail!(
                "negatives: {base} is a decoder, whose examples are texts without candidates; leave it out, or \
                 name a `method` with which it learns to order lists, or \"cross-encoder\""
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

    /// Refuses lists that are too short, and orders that no memory holds.
    fn check_shown(&self) -> anyhow::Result<()> {
        if self.window.is_some_and(|window| window < 2) {
            bail!("window: a whole number from 2 is expected, or leave it out for all candidates");
        }
        if self.orders.is_some_and(|orders| !(1..=MOST_ORDERS).contains(&orders)) {
            bail!("orders: a whole number from 1 to {MOST_ORDERS} is expected");
        }
        Ok(())
    }

    /// The same for a decoder that gets a score head.
    fn settle_score_head(&mut self, is_decoder: bool) -> anyhow::Result<()> {
        let base = &self.base;
        if !is_decoder {
            bail!(
                "method: {CROSS_ENCODER} is named for decoders alone, which get a score head then, and {base} is none; leave `method` out: \
                 an encoder becomes a cross-encoder without it"
            );
        }
        self.check_no_lists()?;
        let options =
            self.method.as_ref().and_then(|method| method_of(method).ok()).map(|(_, options)| options);
        if let Some((name, _)) = options.iter().flatten().find(|(name, _)| name != "prompt") {
            bail!(
                "method: the option `{name}` changes nothing while a score head is trained; leave it out, `tokens` cuts pairs"
            );
        }
        let others = [("depths", self.depths.is_some()), ("layers", self.layers.is_some())];
        if let Some((key, _)) = others.iter().find(|(_, given)| *given) {
            bail!("{key}: a score head reads the last layer of a whole decoder; leave it out");
        }
        let usual = RankingJob::default();
        self.objective.get_or_insert(usual.objective);
        self.tokens.get_or_insert(usual.tokens);
        Ok(())
    }

    /// The same for lists.
    fn settle_lists(&mut self, is_decoder: bool) -> anyhow::Result<()> {
        let base = &self.base;
        if self.teaches_first_token() {
            bail!(
                "method: {} are learned by an encoder–decoder, and {base} is none; give a T5 as `base`, or for a Llama a method of \
                 lists, as \"first\"",
                TAUGHT_FIRST_TOKENS.join(" and ")
            );
        }
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
        self.check_shown()?;
        self.objective.get_or_insert(usual_objective_of(self.method.as_deref()));
        self.orders.get_or_insert(1);
        Ok(())
    }

    /// The same for an encoder–decoder.
    fn settle_first_token(&mut self) -> anyhow::Result<()> {
        let (base, methods) = (&self.base, TAUGHT_FIRST_TOKENS.join(" or "));
        let Some(method) = &self.method else {
            bail!(
                "method: {base} is an encoder–decoder, which learns to answer a method of reranking; name {methods}, or give a BERT as \
                 `base` for a cross-encoder, or a Llama for texts"
            );
        };
        if !self.teaches_first_token() {
            bail!(
                "method: {base} is an encoder–decoder, which learns {methods}, and `{method}` is neither; name one of these, or give a \
                 Llama as `base`"
            );
        }
        let others = [
            (
                "window",
                self.window.is_some(),
                "candidates are read alone; `negatives` says how many there are",
            ),
            ("orders", self.orders.is_some(), "candidates are read alone, so that they have no order"),
            ("tokens", self.tokens.is_some(), "the method says how texts are cut, as `mono-t5(tokens=300)`"),
            ("depths", self.depths.is_some(), "the first token is read after the last layer"),
            ("layers", self.layers.is_some(), "a whole encoder–decoder learns"),
            ("adapter = \"exit-heads\"", self.trained.adapter == OWN_HEADS, "it is for decoders"),
        ];
        if let Some((key, _, reason)) = others.iter().find(|(_, given, _)| *given) {
            bail!("{key}: is not for the training of an encoder–decoder: {reason}; leave it out");
        }
        self.objective.get_or_insert(usual_objective_of(self.method.as_deref()));
        Ok(())
    }

    /// The same for groups of vectors.
    fn settle_groups(&mut self) -> anyhow::Result<()> {
        let method = self.method.as_deref().unwrap_or(OF_GROUPS);
        if method_of(method).is_ok_and(|(_, options)| !options.is_empty()) {
            bail!(
                "method = \"{method}\": its options are for models that are asked with prompts; write \"{OF_GROUPS}\""
            );
        }
        let others = [
            ("negatives", self.negatives.is_some(), "`window` says how many candidates a list has"),
            ("tokens", self.tokens.is_some(), "the base reads as much of a text as it can"),
            ("depths", self.depths.is_some(), "the vectors of the base are what is read"),
            ("layers", self.layers.is_some(), "those of the scorer stand in the table [scorer]"),
            (
                "[trained]",
                self.trained != Trained::default(),
                "the base stays as it is, and the scorer is trained whole",
            ),
        ];
        if let Some((key, _, reason)) = others.iter().find(|(_, given, _)| *given) {
            bail!("{key}: is not for the training of a scorer of groups: {reason}; leave it out");
        }
        let shape = self.scorer.clone().unwrap_or_default();
        let of_encoder = [("heads", shape.heads), ("inner", shape.inner)];
        if let (Some(0), Some((key, _))) =
            (shape.layers, of_encoder.iter().find(|(_, value)| value.is_some()))
        {
            bail!(
                "{key}: there is no encoder with layers = 0, so that it would change nothing; leave it out"
            );
        }
        self.check_shown()?;
        self.objective.get_or_insert(GroupJob::default().objective);
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
                    prompt: self.pair_prompt(),
                    settings,
                })
            }
            Kind::Groups => {
                let (embedding, encoder) = self.scorer.clone().unwrap_or_default().parts();
                let objective = objective(GroupJob::default().objective);
                Job::Groups(GroupJob { objective, embedding, encoder, settings })
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
            Kind::FirstToken => Job::FirstToken(FirstTokenJob {
                objective: objective(usual_objective_of(self.method.as_deref())),
                trained,
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
