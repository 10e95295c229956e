//! A model that reads prompts, and everything that a method may ask of it.
//!
//! Every call takes many prompts at once, so that the engine can pack them; prompts that begin alike are computed once up
//! to where they part. An answer depends on its own prompt and on nothing else of the call.

use super::{
    Anchor, AnchorRequest, AttentionMass, AttentionRequest, CallError, Need, PromptVector, StoredBlockPrompt,
    VectorRequest, ViewRequest, ViewVectors,
};
use serde::Serialize;
use std::ops::Range;

/// Who says something in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatRole {
    /// The instructions before the conversation.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

impl ChatRole {
    /// The name in chat templates and on servers.
    pub fn name(self) -> &'static str {
        match self {
            ChatRole::System => "system",
            ChatRole::User => "user",
            ChatRole::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// What is said.
    pub content: String,
}

impl ChatMessage {
    /// A message of a role.
    pub fn new(role: ChatRole, content: impl Into<String>) -> ChatMessage {
        ChatMessage { role, content: content.into() }
    }
}

/// What a model reads before it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Prompt {
    /// Text that is continued as it is, without a chat template.
    Text {
        /// The text. An encoder–decoder reads it as its source.
        text: String,
        /// The beginning of the answer: directly behind the text, or the first tokens of an encoder–decoder's output.
        answer: String,
    },
    /// A conversation, written out by the model's chat template.
    Chat {
        /// The messages; the last is usually the user's.
        messages: Vec<ChatMessage>,
        /// The beginning of the model's answer, behind what the template puts there.
        answer: String,
    },
}

impl Prompt {
    /// Text that is continued as it is.
    pub fn text(text: impl Into<String>) -> Prompt {
        Prompt::Text { text: text.into(), answer: String::new() }
    }

    /// A conversation.
    pub fn chat(messages: Vec<ChatMessage>) -> Prompt {
        Prompt::Chat { messages, answer: String::new() }
    }

    /// The same with more of the answer given: what a model has written so far, say, to read what it would write next.
    pub fn with_answer(mut self, more: &str) -> Prompt {
        match &mut self {
            Prompt::Text { answer, .. } | Prompt::Chat { answer, .. } => answer.push_str(more),
        }
        self
    }

    /// The beginning of the answer that is given.
    pub fn answer(&self) -> &str {
        match self {
            Prompt::Text { answer, .. } | Prompt::Chat { answer, .. } => answer,
        }
    }

    /// The words of the prompt without any template: for models that have none, for messages and for tests.
    pub fn words(&self) -> String {
        match self {
            Prompt::Text { text, answer } => format!("{text}{answer}"),
            Prompt::Chat { messages, answer } => {
                let contents: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
                format!("{}{}{answer}", contents.join("\n\n"), if answer.is_empty() { "" } else { "\n\n" })
            }
        }
    }
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt, of which [`Usage::cached_tokens`] were not computed again.
    pub prompt_tokens: usize,
    /// Tokens of the prompt whose keys and values another prompt of the call had already.
    pub cached_tokens: usize,
    /// Tokens that the model wrote.
    pub generated_tokens: usize,
    /// Its share of the wall time of the call. Models leave it at 0; it is measured around them.
    pub seconds: f64,
}

/// Labels that may come next after a prompt.
#[derive(Clone, Copy, Debug)]
pub struct LabelRequest<'a> {
    /// The prompt.
    pub prompt: &'a Prompt,
    /// The labels as they would be written, blanks included: `" Yes"`. Each must be one token after the prompt.
    pub labels: &'a [String],
    /// Also the logarithm of the sum over the whole vocabulary, so that probabilities are those among all tokens.
    pub normalizer: bool,
}

/// What a model says about labels.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelLogits {
    /// One for each label in their order; `None` where a server did not tell it. Servers give log-probabilities, which
    /// differ from logits by the same number for all labels.
    pub logits: Vec<Option<f64>>,
    /// What each label that was not told has at most; `None` where all were told.
    pub at_most: Option<f64>,
    /// ln Σ exp(logit) over the vocabulary, where it was asked for: `logit − log_normalizer` is a log-probability.
    pub log_normalizer: Option<f64>,
    /// What it cost.
    pub usage: Usage,
}

impl LabelLogits {
    /// A label's logit, or the most that it can have where a server did not tell it: say so with [`LabelLogits::untold`].
    pub fn bounded(&self, label: usize) -> f64 {
        self.logits.get(label).copied().flatten().or(self.at_most).unwrap_or(f64::NAN)
    }

    /// How many labels a server did not tell.
    pub fn untold(&self) -> usize {
        self.logits.iter().filter(|logit| logit.is_none()).count()
    }
}

/// A text that may follow a prompt.
#[derive(Clone, Copy, Debug)]
pub struct ContinuationRequest<'a> {
    /// The prompt.
    pub prompt: &'a Prompt,
    /// What follows it, with its leading blank.
    pub continuation: &'a str,
}

/// How probable a continuation is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// Sum of the log-probabilities of its tokens.
    pub log_prob: f64,
    /// Its tokens; at least one.
    pub tokens: usize,
    /// What it cost.
    pub usage: Usage,
}

impl Likelihood {
    /// The mean log-probability of a token.
    pub fn mean(&self) -> f64 {
        self.log_prob / self.tokens as f64
    }
}

/// What may be written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerForm {
    /// Any text, up to a stop string, an end token or the limit.
    Text,
    /// Labels in an order, such as `[2] > [1]`.
    Permutation {
        /// The labels as they are written, brackets included.
        labels: Vec<String>,
        /// How many are written: all, or the first so many.
        length: usize,
        /// What stands between them.
        separator: String,
    },
    /// One of several texts.
    OneOf(Vec<String>),
    /// A whole number for each label, in their order, as the JSON `{"scores": [{"id": "1", "score": 7}, …]}`.
    Scores {
        /// The labels, written as JSON strings.
        labels: Vec<String>,
        /// The least score.
        min: i64,
        /// The greatest score.
        max: i64,
    },
}

impl AnswerForm {
    /// An ordering of labels with ` > ` between them.
    pub fn permutation(labels: Vec<String>) -> AnswerForm {
        AnswerForm::Permutation { length: labels.len(), labels, separator: " > ".into() }
    }

    /// What a model needs for it.
    pub fn need(&self) -> Need {
        if *self == AnswerForm::Text { Need::Generation } else { Need::ConstrainedGeneration }
    }
}

/// A prompt that is to be answered.
#[derive(Clone, Copy, Debug)]
pub struct GenerationRequest<'a> {
    /// The prompt.
    pub prompt: &'a Prompt,
    /// What may be written.
    pub form: &'a AnswerForm,
    /// Which of several draws for the same prompt this is; without [`GenerationOptions::sampling`] all are equal.
    pub sample: u64,
}

/// Random draws, the same for the same seed, prompt and sample, whatever else is in the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Seed of all draws.
    pub seed: u64,
    /// Logits are divided by it; above 0.
    pub temperature: f64,
    /// Only the most probable tokens whose probabilities reach this sum.
    pub top_p: Option<f64>,
}

/// How answers are written.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationOptions {
    /// Most tokens of an answer; forms other than text end by themselves.
    pub max_tokens: usize,
    /// Tokens before which a text does not come to the model's end, also where the model would end it: as many as
    /// [`GenerationOptions::max_tokens`] make all texts equally long. Stop strings end a text at any length.
    pub min_tokens: usize,
    /// Text ends before any of these.
    pub stop: Vec<String>,
    /// Draws instead of the most probable token.
    pub sampling: Option<Sampling>,
}

impl Default for GenerationOptions {
    fn default() -> GenerationOptions {
        GenerationOptions { max_tokens: 1024, min_tokens: 0, stop: Vec::new(), sampling: None }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// At the stop string with this position in the list; servers do not say which.
    Stop(Option<usize>),
    /// The model ended it, or its form is complete.
    End,
    /// It has as many tokens as were allowed.
    Length,
}

/// What an answer of a prescribed form means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// Positions in the list of labels, in the order in which they were written.
    Permutation(Vec<usize>),
    /// The position in the list of texts.
    Choice(usize),
    /// A score for each label, in their order.
    Scores(Vec<i64>),
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// What was written, without the beginning that was given and without a stop string.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What it means; `None` for [`AnswerForm::Text`].
    pub value: Option<Value>,
    /// Sum of the log-probabilities of its tokens among those that were allowed; `None` where a server does not tell.
    pub log_prob: Option<f64>,
    /// What it cost.
    pub usage: Usage,
}

/// One answer, or the reason why there is none, for each request of a call, in order.
pub type Replies<T> = Vec<Result<T, CallError>>;

/// A model that reads prompts.
pub trait LanguageModel: Send + Sync {
    /// The model's name, for messages and traces.
    fn name(&self) -> &str;

    /// Whether it has an ability, or the reason why not and what could.
    ///
    /// # Errors
    /// The reason, in one clause: `it stays on the server; use a local model`.
    fn can(&self, need: Need) -> Result<(), String>;

    /// Whether conversations are written out by a chat template; without one, [`Prompt::words`] are read.
    fn has_chat_template(&self) -> bool;

    /// Tokens of prompt and answer together that the model reads; `None` where a server does not tell.
    fn max_tokens(&self) -> Option<usize>;

    /// The tokens of prompts as they would be read.
    ///
    /// # Errors
    /// [`Need::Tokenizer`] is lacking; a text that the tokenizer refuses; a chat template that fails.
    fn count_tokens(&self, prompts: &[&Prompt]) -> Result<Vec<usize>, CallError>;

    /// The byte range of every token of a text, in order, without special tokens.
    ///
    /// # Errors
    /// [`Need::Tokenizer`] is lacking; a text that the tokenizer refuses.
    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, CallError>;

    /// The text of a prompt as the model reads it, chat template applied; `None` where that is not known here.
    ///
    /// # Errors
    /// A chat template that fails.
    fn written(&self, prompt: &Prompt) -> Result<Option<String>, CallError> {
        Ok(matches!(prompt, Prompt::Text { .. }).then(|| prompt.words()))
    }

    /// The tokens of a prompt as it would be read, and those of each of some texts right after it as they would be written:
    /// what a training needs to teach exactly what is asked later.
    ///
    /// # Errors
    /// The model does not tell its tokens; a text whose first letters join the prompt's last token; what the tokenizer says.
    fn tokens_after(
        &self,
        _prompt: &Prompt,
        _texts: &[&str],
    ) -> Result<(Vec<u32>, Vec<Vec<u32>>), CallError> {
        Err(unable(self, Need::Tokenizer))
    }

    /// Logits of labels as the next token.
    fn label_logits(&self, requests: &[LabelRequest<'_>]) -> Replies<LabelLogits>;

    /// Log-probabilities of continuations.
    fn log_likelihoods(&self, requests: &[ContinuationRequest<'_>]) -> Replies<Likelihood>;

    /// Answers.
    fn generate(&self, requests: &[GenerationRequest<'_>], options: &GenerationOptions)
    -> Replies<Generated>;

    /// Attention from the endings of prompts to their documents.
    fn attention(&self, requests: &[AttentionRequest<'_>]) -> Replies<AttentionMass> {
        all_failed(requests.len(), unable(self, Need::Attention))
    }

    /// A vector for each whole prompt.
    fn prompt_vectors(&self, requests: &[VectorRequest<'_>]) -> Replies<PromptVector> {
        all_failed(requests.len(), unable(self, Need::PromptVectors))
    }

    /// The states of view tokens that stand before prompts. Nothing of a prompt depends on the others.
    fn view_vectors(&self, requests: &[ViewRequest<'_>]) -> Replies<ViewVectors> {
        all_failed(requests.len(), unable(self, Need::ViewVectors))
    }

    /// An anchor for each list of vectors. The order of a list does not matter but for rounding.
    fn anchors(&self, requests: &[AnchorRequest<'_>]) -> Replies<Anchor> {
        all_failed(requests.len(), unable(self, Need::Anchors))
    }

    /// The number of views with which its view vectors and anchors were trained; `None` where its files do not say.
    fn trained_views(&self) -> Option<usize> {
        None
    }

    /// What a trace must say of this model's vectors of prompts, such as which token's state they are.
    fn vector_facts(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// How the documents of a block index were made that it reads instead of computing them; `None` without one.
    fn stored_blocks(&self) -> Option<&StoredBlockPrompt> {
        None
    }

    /// What a trace must say of this model, such as that it does not count its tokens.
    fn facts(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// The refusal of something that a model cannot do.
fn unable<M: LanguageModel + ?Sized>(model: &M, need: Need) -> CallError {
    let reason = model.can(need).err().unwrap_or_else(|| "nothing is there that would do it".into());
    CallError::Unable { model: model.name().to_string(), need, reason }
}

/// The longest beginning of a text that has at most `most` of the tokens in `spans`.
pub fn begin_of<'t>(text: &'t str, spans: &[Range<usize>], most: usize) -> &'t str {
    if spans.len() <= most {
        return text;
    }
    let mut end = most.checked_sub(1).and_then(|last| spans.get(last)).map_or(0, |span| span.end);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The error of a call that failed as a whole, for each of its requests.
pub(crate) fn all_failed<T>(count: usize, error: impl Into<CallError>) -> Replies<T> {
    let error = error.into();
    (0..count).map(|_| Err(error.clone())).collect()
}
