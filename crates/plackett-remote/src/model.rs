//! A remote model: what can be asked of it.

use crate::client::Client;
use crate::ledger::Bound;
use crate::reply::{self, Usage};
use crate::request::{Reader, Request};
use crate::{Api, Capability, Generated, LabelScore, RemoteConfig, RemoteError, Spent};
use plackett_lm::LmError;
use plackett_lm::chat::Message;
use serde_json::{Map, Value, json};
use std::sync::atomic::AtomicBool;

/// Tokens that a chat template may put around a message.
pub(super) const MESSAGE_TOKENS: u64 = 32;

/// How a text is generated.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Most tokens of the text.
    pub max_tokens: u32,
    /// Tokens before which the text does not end, for servers that know the field (vLLM); it is sent where it is not 0.
    pub min_tokens: u32,
    /// 0 takes the most probable token each time.
    pub temperature: f32,
    /// Seed of the drawing, where the server honours one.
    pub seed: Option<u64>,
    /// The text ends before any of these.
    pub stop: Vec<String>,
    /// How many most probable tokens to report for each position; 0 for no log-probabilities.
    pub top_logprobs: usize,
    /// Which of several equal requests this is: equal ones with different numbers have answers of their own in the log.
    pub repeat: u32,
}

impl Default for Generation {
    fn default() -> Generation {
        Generation {
            max_tokens: 256,
            min_tokens: 0,
            temperature: 0.0,
            seed: None,
            stop: Vec::new(),
            top_logprobs: 0,
            repeat: 0,
        }
    }
}

/// A conversation to be continued.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// How it goes on.
    pub generation: Generation,
}

/// A text to be continued.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompletionRequest {
    /// The text so far.
    pub prompt: String,
    /// How it goes on.
    pub generation: Generation,
}

/// One interface of one server. Shareable between threads.
pub struct RemoteModel {
    pub(super) client: Client,
    /// Set by the first echo that proves it.
    pub(super) echo_aligned: AtomicBool,
    name: String,
}

impl RemoteModel {
    /// Checks the configuration, reads the key and opens the log. Sends nothing.
    ///
    /// # Errors
    /// Settings that cannot be meant, a missing key, a log that is in use or not a log.
    pub fn open(config: RemoteConfig) -> Result<RemoteModel, LmError> {
        let client = Client::open(config)?;
        let name = match &client.config().model {
            Some(model) => format!("{model} at {}", client.address()),
            None => client.address().to_string(),
        };
        Ok(RemoteModel { client, echo_aligned: AtomicBool::new(false), name })
    }

    /// The model's name and where it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its configuration.
    pub fn config(&self) -> &RemoteConfig {
        self.client.config()
    }

    /// What was asked and spent since it was opened.
    pub fn spent(&self) -> Spent {
        self.client.spent()
    }

    /// Refuses what this interface or server cannot give. Sends nothing.
    pub fn require(&self, wanted: Capability) -> Result<(), LmError> {
        let api = self.config().api;
        let limit = self.config().max_top_logprobs.unwrap_or_else(|| api.usual_top_logprobs());
        let result = match wanted {
            Capability::TopLogprobs(count) if api.can(wanted).is_ok() && count > limit => {
                Err("the server gives fewer; ask for fewer, or raise max_top_logprobs when it gives more")
            }
            _ => api.can(wanted),
        };
        result.map_err(|reason| {
            let (url, wanted) = (self.client.address().to_string(), wanted.to_string());
            RemoteError::CannotGive { url, api: api.name(), wanted, reason }.into()
        })
    }

    pub(super) fn body(&self) -> Map<String, Value> {
        let model = self.config().model.iter().map(|model| ("model".to_string(), json!(model)));
        model.collect()
    }

    pub(super) fn generation(&self, mut body: Map<String, Value>, how: &Generation, prompt: u64) -> Request {
        let most = if self.config().max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        body.insert(most.into(), json!(how.max_tokens));
        if how.min_tokens > 0 {
            body.insert("min_tokens".into(), json!(how.min_tokens));
        }
        body.insert("temperature".into(), json!(how.temperature));
        if let Some(seed) = how.seed {
            body.insert("seed".into(), json!(seed));
        }
        if !how.stop.is_empty() {
            body.insert("stop".into(), json!(how.stop));
        }
        if how.top_logprobs > 0 {
            if self.config().api == Api::Chat {
                body.insert("logprobs".into(), json!(true));
                body.insert("top_logprobs".into(), json!(how.top_logprobs));
            } else {
                body.insert("logprobs".into(), json!(how.top_logprobs));
            }
        }
        let bound = Bound { prompt, completion: u64::from(how.max_tokens) };
        Request { body: Value::Object(body), bound, repeat: how.repeat }
    }

    pub(super) fn check(&self, how: &Generation) -> Result<(), LmError> {
        self.require(Capability::Generation)?;
        if how.top_logprobs > 0 {
            self.require(Capability::TopLogprobs(how.top_logprobs))?;
        }
        if !how.temperature.is_finite() || how.temperature < 0.0 {
            return Err(LmError::Argument(format!(
                "the temperature is {}; use a number from 0",
                how.temperature
            )));
        }
        Ok(())
    }

    fn wrong_api(&self, wanted: &str, reason: &'static str) -> LmError {
        let url = self.client.address().to_string();
        RemoteError::CannotGive { url, api: self.config().api.name(), wanted: wanted.into(), reason }.into()
    }

    /// Continues conversations; one result per request, in order. A request that failed does not take others with it.
    ///
    /// # Errors
    /// When the interface cannot do it; nothing was sent then.
    pub fn chat(&self, requests: &[ChatRequest]) -> Result<Vec<Result<Generated, RemoteError>>, LmError> {
        if self.config().api != Api::Chat {
            return Err(self.wrong_api("a conversation", "its interface is another; use `chat`"));
        }
        let build = |request: &ChatRequest| {
            self.check(&request.generation)?;
            let mut body = self.body();
            body.insert("messages".into(), json!(request.messages));
            let tokens =
                request.messages.iter().map(|m| (m.role.len() + m.content.len()) as u64 + MESSAGE_TOKENS);
            Ok(self.generation(body, &request.generation, tokens.sum::<u64>() + MESSAGE_TOKENS))
        };
        let bodies = requests.iter().map(build).collect::<Result<Vec<_>, LmError>>()?;
        let read = |index: usize, bytes: &[u8]| {
            let wanted = requests.get(index).is_some_and(|r| r.generation.top_logprobs > 0);
            reply::chat(bytes, wanted).map(with_usage)
        };
        Ok(self.client.send(&bodies, &read))
    }

    /// Continues texts; one result per request, in order. A request that failed does not take others with it.
    ///
    /// # Errors
    /// When the interface cannot do it; nothing was sent then.
    pub fn complete(
        &self,
        requests: &[CompletionRequest],
    ) -> Result<Vec<Result<Generated, RemoteError>>, LmError> {
        if self.config().api != Api::Completions {
            return Err(
                self.wrong_api("the continuation of a text", "its interface is another; use `completions`")
            );
        }
        let build = |request: &CompletionRequest| {
            self.check(&request.generation)?;
            let mut body = self.body();
            body.insert("prompt".into(), json!(request.prompt));
            Ok(self.generation(body, &request.generation, text_bound(&[request.prompt.as_str()])))
        };
        let bodies = requests.iter().map(build).collect::<Result<Vec<_>, LmError>>()?;
        let read = |index: usize, bytes: &[u8]| {
            let wanted = requests.get(index).is_some_and(|r| r.generation.top_logprobs > 0);
            reply::completion(bytes, wanted).map(with_usage)
        };
        Ok(self.client.send(&bodies, &read))
    }

    /// One vector per text, in order; longer calls are split into several requests. text-embeddings-inference refuses a
    /// text that is too long; other servers may cut it without saying so.
    ///
    /// # Errors
    /// When the interface cannot do it, or any request failed.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, LmError> {
        self.require(Capability::Embeddings)?;
        let tei = self.config().api == Api::TeiEmbed;
        let parts: Vec<&[&str]> = texts.chunks(self.batch()).collect();
        let build = |part: &&[&str]| {
            let mut body = self.body();
            if tei {
                body.insert("inputs".into(), json!(part));
                body.insert("truncate".into(), json!(false));
            } else {
                body.insert("input".into(), json!(part));
                body.insert("encoding_format".into(), json!("float"));
            }
            once(body, text_bound(part))
        };
        let bodies: Vec<Request> = parts.iter().map(build).collect();
        let read = |index: usize, bytes: &[u8]| {
            let count = parts.get(index).map_or(0, |part| part.len());
            if tei {
                reply::tei_embeddings(bytes, count).map(|vectors| (vectors, Usage::default()))
            } else {
                reply::openai_embeddings(bytes, count)
            }
        };
        let rows: Vec<Vec<f32>> = self.all(&bodies, &read)?.into_iter().flatten().collect();
        let width = rows.first().map_or(0, Vec::len);
        match rows.iter().position(|row| row.len() != width) {
            None => Ok(rows),
            Some(index) => Err(LmError::Argument(format!(
                "{}: vector {index} has {} numbers, the first has {width}; the server changed its model between requests",
                self.name,
                rows.get(index).map_or(0, Vec::len)
            ))),
        }
    }

    /// The labels of pairs of texts, best first as the server gives them.
    ///
    /// # Errors
    /// When the interface cannot do it, or any request failed.
    pub fn predict(&self, pairs: &[(&str, &str)]) -> Result<Vec<Vec<LabelScore>>, LmError> {
        self.require(Capability::Labels)?;
        let parts: Vec<&[(&str, &str)]> = pairs.chunks(self.batch()).collect();
        let build = |part: &&[(&str, &str)]| {
            let mut body = self.body();
            body.insert("inputs".into(), json!(part));
            body.insert("truncate".into(), json!(false));
            body.insert("raw_scores".into(), json!(true));
            let bytes = part.iter().map(|(a, b)| (a.len() + b.len()) as u64 + MESSAGE_TOKENS);
            once(body, bytes.sum())
        };
        let bodies: Vec<Request> = parts.iter().map(build).collect();
        let read = |index: usize, bytes: &[u8]| {
            let count = parts.get(index).map_or(0, |part| part.len());
            reply::predictions(bytes, count).map(|rows| (rows, Usage::default()))
        };
        Ok(self.all(&bodies, &read)?.into_iter().flatten().collect())
    }

    fn all<T: Send>(&self, bodies: &[Request], read: Reader<'_, T>) -> Result<Vec<T>, LmError> {
        Ok(self.client.send_all(bodies, read)?)
    }

    pub(super) fn batch(&self) -> usize {
        self.config().max_batch.unwrap_or_else(|| self.config().api.usual_batch())
    }
}

fn with_usage(generated: Generated) -> (Generated, Usage) {
    let usage = generated.usage;
    (generated, usage)
}

pub(super) fn once(body: Map<String, Value>, prompt: u64) -> Request {
    Request { body: Value::Object(body), bound: Bound { prompt, completion: 0 }, repeat: 0 }
}

/// A token is at least one byte, so that a text has at most as many tokens as bytes, beside the special ones.
pub(super) fn text_bound(texts: &[&str]) -> u64 {
    texts.iter().map(|text| text.len() as u64 + MESSAGE_TOKENS).sum()
}
