//! What a method has at hand while it ranks one request, and the account that is kept of it.

use super::fit::Fitting;
use crate::Settings;
use crate::audit::CallRecord;
use crate::model::{
    Anchor, AnchorRequest, AttentionMass, AttentionRequest, CallError, ContinuationRequest, Generated,
    GenerationOptions, GenerationRequest, LabelLogits, LabelRequest, LanguageModel, Likelihood, Need, Prompt,
    PromptParts, PromptVector, Replies, Usage, VectorRequest, ViewRequest, ViewVectors,
};
use crate::prompt::Template;
use plackett_core::{RankRequest, Status, Trace};
use plackett_lm::sha256::Sha256;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// The order that a method gives to the candidates of a request. Positions are those in the request, from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// A score for each candidate, in the order of the request. Equal scores keep the order in which candidates came.
    Scores(Vec<f64>),
    /// All positions, best first. The method has no scores; those of the ranking count down from the number of candidates,
    /// and the trace says so.
    Places(Vec<usize>),
}

/// A request on its way through a method.
pub struct RankContext<'a> {
    request: &'a RankRequest,
    model: &'a dyn LanguageModel,
    settings: &'a Settings,
    method: &'a str,
    fitting: Fitting,
    trace: Trace,
    cached_tokens: usize,
    calls: usize,
    counts: BTreeMap<&'static str, u64>,
    prompts: Vec<String>,
    repairs: BTreeMap<String, usize>,
    joined: bool,
    records: Vec<CallRecord>,
    /// Where the records of the last call begin.
    last: usize,
}

impl<'a> RankContext<'a> {
    pub(crate) fn new(
        method: &'a str,
        request: &'a RankRequest,
        model: &'a dyn LanguageModel,
        settings: &'a Settings,
    ) -> RankContext<'a> {
        RankContext {
            request,
            model,
            settings,
            method,
            fitting: Fitting::default(),
            trace: Trace::default(),
            cached_tokens: 0,
            calls: 0,
            counts: BTreeMap::new(),
            prompts: Vec::new(),
            repairs: BTreeMap::new(),
            joined: false,
            records: Vec::new(),
            last: 0,
        }
    }

    /// The request.
    pub fn request(&self) -> &'a RankRequest {
        self.request
    }

    /// The words of the query.
    pub fn query(&self) -> &'a str {
        &self.request.query.text
    }

    /// The number of candidates.
    pub fn len(&self) -> usize {
        self.request.candidates.len()
    }

    /// Whether there are no candidates; methods are not asked then.
    pub fn is_empty(&self) -> bool {
        self.request.candidates.is_empty()
    }

    /// The model, for what it tells without being asked a prompt: its name, abilities and tokens.
    pub fn model(&self) -> &'a dyn LanguageModel {
        self.model
    }

    /// A seed of this request: the same for the same query and seed, whatever else is ranked and in which order.
    pub fn seed(&self, seed: u64) -> u64 {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(self.request.query.id.as_bytes());
        hash.seed()
    }

    /// The tokens of a text that the model writes or is given; 0 where it does not tell its tokens.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn tokens_of(&self, text: &str) -> Result<usize, CallError> {
        match self.model.can(Need::Tokenizer) {
            Ok(()) => Ok(self.model.token_spans(text)?.len()),
            Err(_) => Ok(0),
        }
    }

    /// The prompt of a template over some candidates: `(label, position)` in the order in which they stand in it. `values`
    /// are those of placeholders that the method fills itself, `answer` the most tokens that are written after it.
    ///
    /// Passages are cut to the template's limits, and further where the prompt does not fit the model; all of it is said
    /// in the trace, or an error where long texts are refused.
    ///
    /// # Errors
    /// [`CallError::QueryTooLong`], [`CallError::Refused`], and what the tokenizer says.
    pub fn prompt(
        &mut self,
        template: &Template,
        passages: &[(&str, usize)],
        values: &[(&str, &str)],
        answer: usize,
    ) -> Result<Prompt, CallError> {
        let id = template.id();
        if !self.prompts.contains(&id) {
            self.prompts.push(id);
        }
        let policy = self.settings.long_text;
        self.fitting.prompt(self.model, policy, self.request, template, passages, values, answer)
    }

    /// The same in parts, for [`RankContext::attention`]: the first ending is that of the query, then there is one for each
    /// other text that stands in the query's place.
    ///
    /// # Errors
    /// The same, and [`CallError::Argument`] where what stands before the endings depends on the query and there are others.
    pub fn parts(
        &mut self,
        template: &Template,
        passages: &[(&str, usize)],
        values: &[(&str, &str)],
        others: &[&str],
    ) -> Result<PromptParts, CallError> {
        let id = template.id();
        if !self.prompts.contains(&id) {
            self.prompts.push(id);
        }
        let policy = self.settings.long_text;
        self.fitting.parts(self.model, policy, self.request, template, passages, values, others)
    }

    /// Attention from the endings of prompts to their documents. Each ending counts as a pass of the model.
    ///
    /// # Errors
    /// That of the first prompt without an answer.
    pub fn attention(&mut self, requests: &[AttentionRequest<'_>]) -> Result<Vec<AttentionMass>, CallError> {
        let replies = self.model.attention(requests);
        let prompts: Vec<Prompt> = requests.iter().map(|request| request.parts.prompt(0)).collect();
        let asked = |n: usize| json!({"options": requests[n].options, "endings": requests[n].parts.endings});
        self.enter("attention", |n| &prompts[n], asked, &replies);
        replies.into_iter().collect()
    }

    /// Lets prompts and their answers have at most so many tokens, where the model reads more.
    pub fn limit_tokens(&mut self, limit: usize) {
        self.fitting.limit = Some(limit);
    }

    /// A vector for each whole prompt.
    ///
    /// # Errors
    /// That of the first prompt without a vector.
    pub fn prompt_vectors(&mut self, requests: &[VectorRequest<'_>]) -> Result<Vec<PromptVector>, CallError> {
        let replies = self.model.prompt_vectors(requests);
        let asked = |n: usize| json!({"end": requests[n].end, "role": requests[n].role});
        self.enter("prompt-vector", |n| requests[n].prompt, asked, &replies);
        replies.into_iter().collect()
    }

    /// The states of view tokens before prompts.
    ///
    /// # Errors
    /// That of the first prompt without states.
    pub fn view_vectors(&mut self, requests: &[ViewRequest<'_>]) -> Result<Vec<ViewVectors>, CallError> {
        let replies = self.model.view_vectors(requests);
        let asked = |n: usize| json!({"views": requests[n].views, "first": requests[n].first});
        self.enter("view-vectors", |n| requests[n].prompt, asked, &replies);
        replies.into_iter().collect()
    }

    /// An anchor for each list of vectors. Each counts as a pass of the model.
    ///
    /// # Errors
    /// That of the first list without an anchor.
    pub fn anchors(&mut self, requests: &[AnchorRequest<'_>]) -> Result<Vec<Anchor>, CallError> {
        let replies = self.model.anchors(requests);
        let none = Prompt::text("");
        let asked =
            |n: usize| json!({"numbers": requests[n].vectors.len(), "untrained": requests[n].untrained});
        self.enter("anchor", |_| &none, asked, &replies);
        replies.into_iter().collect()
    }

    /// Logits of labels as the next token of each prompt.
    ///
    /// # Errors
    /// That of the first prompt without an answer.
    pub fn label_logits(&mut self, requests: &[LabelRequest<'_>]) -> Result<Vec<LabelLogits>, CallError> {
        self.try_label_logits(requests).into_iter().collect()
    }

    /// The same, with an error in the place of each prompt that has no answer.
    pub fn try_label_logits(&mut self, requests: &[LabelRequest<'_>]) -> Replies<LabelLogits> {
        let replies = self.model.label_logits(requests);
        let asked = |n: usize| json!({"labels": requests[n].labels});
        self.enter("label-logits", |n| requests[n].prompt, asked, &replies);
        replies
    }

    /// Log-probabilities of continuations.
    ///
    /// # Errors
    /// That of the first prompt without an answer.
    pub fn log_likelihoods(
        &mut self,
        requests: &[ContinuationRequest<'_>],
    ) -> Result<Vec<Likelihood>, CallError> {
        let replies = self.model.log_likelihoods(requests);
        let asked = |n: usize| json!({"continuation": requests[n].continuation});
        self.enter("log-likelihood", |n| requests[n].prompt, asked, &replies);
        replies.into_iter().collect()
    }

    /// Answers.
    ///
    /// # Errors
    /// That of the first prompt without an answer.
    pub fn generate(
        &mut self,
        requests: &[GenerationRequest<'_>],
        options: &GenerationOptions,
    ) -> Result<Vec<Generated>, CallError> {
        self.try_generate(requests, options).into_iter().collect()
    }

    /// The same, with an error in the place of each prompt that has no answer.
    pub fn try_generate(
        &mut self,
        requests: &[GenerationRequest<'_>],
        options: &GenerationOptions,
    ) -> Replies<Generated> {
        let replies = self.model.generate(requests, options);
        let asked = |n: usize| {
            let mut asked = json!({
                "form": requests[n].form,
                "sample": requests[n].sample,
                "max_tokens": options.max_tokens,
                "stop": options.stop,
                "seed": options.sampling.map(|sampling| sampling.seed),
                "temperature": options.sampling.map_or(0.0, |sampling| sampling.temperature),
                "top_p": options.sampling.and_then(|sampling| sampling.top_p),
            });
            if options.min_tokens > 0 {
                asked["min_tokens"] = json!(options.min_tokens);
            }
            asked
        };
        self.enter("generate", |n| requests[n].prompt, asked, &replies);
        replies
    }

    /// Says in the file of `--trace` what the method read from an answer of its last call.
    pub fn parsed(&mut self, index: usize, value: &impl Serialize) {
        if let Some(record) = self.records.get_mut(self.last + index) {
            record.parsed = serde_json::to_value(value).ok();
        }
    }

    /// Says something in the trace.
    pub fn note(&mut self, name: impl Into<String>, value: impl ToString) {
        self.trace.facts.push((name.into(), value.to_string()));
    }

    /// The most tokens of an answer: as many as are asked for, but at most half of what the model reads, so that there is
    /// room for passages. Where that is less, the trace says so under the option's name, once.
    pub fn answer_limit(&mut self, option: &str, asked: usize) -> usize {
        let half = self.model().max_tokens().map_or(usize::MAX, |limit| (limit / 2).max(1));
        if half < asked && !self.trace.facts.iter().any(|(name, _)| name == option) {
            self.note(option, format!("{half}, half of what the model reads, not {asked}"));
        }
        asked.min(half)
    }

    /// Counts something in the trace: comparisons, ties between verdicts …
    pub fn count(&mut self, name: &'static str, more: u64) {
        *self.counts.entry(name).or_default() += more;
    }

    /// Counts something that a pass of an earlier request gave, in the place of one of its own.
    pub fn known(&mut self, more: u64) {
        self.trace.cache_hits += more;
    }

    /// Says that an answer was not as it should be and what was made of it, such as `missing labels were appended`. The
    /// request's status is `repaired` then.
    pub fn repaired(&mut self, what: impl Into<String>) {
        self.trace.status = Status::Repaired;
        *self.repairs.entry(what.into()).or_default() += 1;
    }

    /// Enters the cost of a call and, where calls are recorded, its prompts and answers.
    fn enter<'p, T: Reply>(
        &mut self,
        kind: &'static str,
        prompt: impl Fn(usize) -> &'p Prompt,
        asked: impl Fn(usize) -> serde_json::Value,
        replies: &Replies<T>,
    ) {
        self.calls += 1;
        self.last = self.records.len();
        for (n, reply) in replies.iter().enumerate() {
            let usage = reply.as_ref().map_or_else(|_| Usage::default(), Reply::usage);
            self.trace.passes += reply.as_ref().map_or(0, Reply::passes);
            self.trace.prompt_tokens += usage.prompt_tokens as u64;
            self.trace.generated_tokens += usage.generated_tokens as u64;
            self.trace.cache_hits += u64::from(usage.cached_tokens > 0);
            self.trace.seconds += usage.seconds;
            self.cached_tokens += usage.cached_tokens;
            let prompt = prompt(n);
            self.joined |= matches!(prompt, Prompt::Chat { .. }) && !self.model.has_chat_template();
            if self.settings.audit.is_some() {
                self.records.push(CallRecord {
                    query_id: self.request.query.id.clone(),
                    method: self.method.to_string(),
                    call: self.calls,
                    kind,
                    model: self.model.name().to_string(),
                    prompt: prompt.clone(),
                    written: self.model.written(prompt).ok().flatten(),
                    asked: asked(n),
                    answer: reply.as_ref().ok().map(Reply::answer),
                    parsed: reply.as_ref().ok().and_then(Reply::parsed),
                    error: reply.as_ref().err().map(ToString::to_string),
                    usage,
                });
            }
        }
    }

    /// Closes the account.
    pub(crate) fn finish(mut self) -> (Trace, Vec<CallRecord>) {
        let facts = &mut self.trace.facts;
        let mut fact = |name: &str, value: String| facts.push((name.to_string(), value));
        fact("model", self.model.name().to_string());
        for prompt in self.prompts {
            fact("prompt", prompt);
        }
        fact("calls", self.calls.to_string());
        if self.cached_tokens > 0 {
            fact("cached-tokens", self.cached_tokens.to_string());
        }
        for (name, count) in self.counts {
            fact(name, count.to_string());
        }
        for (what, times) in self.repairs {
            fact("repaired", format!("{times} × {what}"));
        }
        if self.joined {
            fact("chat-template", "the model has none; messages were joined as plain text".into());
        }
        fact("long-text", self.settings.long_text.to_string());
        self.trace.facts.extend(self.model.facts());
        self.trace.truncated = self.fitting.report(self.request, &mut self.trace.facts);
        (self.trace, self.records)
    }
}

/// An answer, for the account.
trait Reply {
    fn usage(&self) -> Usage;
    fn answer(&self) -> serde_json::Value;
    fn parsed(&self) -> Option<serde_json::Value> {
        None
    }
    /// Passes of the model over a prompt.
    fn passes(&self) -> u64 {
        1
    }
}

impl Reply for AttentionMass {
    fn usage(&self) -> Usage {
        self.usage
    }
    fn answer(&self) -> serde_json::Value {
        let mut told = json!({"endings": self.endings, "heads": self.heads, "layers": self.layers});
        if !self.answers.is_empty() {
            told["answers"] = json!(self.answers);
        }
        told
    }
    fn passes(&self) -> u64 {
        (self.endings.len() + self.answers.iter().map(Vec::len).sum::<usize>()) as u64
    }
}

impl Reply for PromptVector {
    fn usage(&self) -> Usage {
        self.usage
    }
    fn answer(&self) -> serde_json::Value {
        json!({"vector": self.values})
    }
    fn passes(&self) -> u64 {
        u64::from(self.fresh)
    }
}

impl Reply for ViewVectors {
    fn usage(&self) -> Usage {
        self.usage
    }
    fn answer(&self) -> serde_json::Value {
        json!({"vectors": self.values})
    }
}

impl Reply for Anchor {
    fn usage(&self) -> Usage {
        self.usage
    }
    fn answer(&self) -> serde_json::Value {
        json!({"anchor": self.values})
    }
}

impl Reply for LabelLogits {
    fn usage(&self) -> Usage {
        self.usage
    }
    fn answer(&self) -> serde_json::Value {
        json!({"logits": self.logits, "at_most": self.at_most, "log_normalizer": self.log_normalizer})
    }
}

impl Reply for Likelihood {
    fn usage(&self) -> Usage {
        self.usage
    }
    fn answer(&self) -> serde_json::Value {
        json!({"log_prob": self.log_prob, "tokens": self.tokens})
    }
}

impl Reply for Generated {
    fn usage(&self) -> Usage {
        self.usage
    }
    fn answer(&self) -> serde_json::Value {
        json!({"text": self.text, "finish": self.finish, "log_prob": self.log_prob})
    }
    fn parsed(&self) -> Option<serde_json::Value> {
        self.value.as_ref().map(|value| json!(value))
    }
}
