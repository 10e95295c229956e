//! Where a remote model is, who pays, and how patient the client is.

use crate::{Api, RemoteError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Each request under way has a thread.
const MOST_IN_FLIGHT: usize = 1024;

/// What a server charges, in any currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// For a million tokens sent.
    pub prompt_per_million: f64,
    /// For a million tokens generated.
    pub completion_per_million: f64,
    /// For a request, whatever is in it (a rerank service's search unit).
    pub per_request: f64,
}

impl Price {
    /// The price of a request of these sizes.
    pub(crate) fn of(&self, prompt: u64, completion: u64) -> f64 {
        let tokens =
            prompt as f64 * self.prompt_per_million + completion as f64 * self.completion_per_million;
        tokens / 1e6 + self.per_request
    }
}

/// A remote model and how it is talked to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteConfig {
    /// The server, such as `https://api.openai.com/v1` or `http://127.0.0.1:8080`; a final `/v1` or `/v2` may be left out.
    pub base_url: String,
    /// Which of its interfaces is used.
    pub api: Api,
    /// The model's name on the server; servers of a single model need none.
    pub model: Option<String>,
    /// Name of the environment variable that holds the key. The key itself stands in no file, message or log.
    pub key_variable: Option<String>,
    /// Allow the key to travel unencrypted to another machine.
    pub key_over_http: bool,
    /// A proxy such as `http://proxy:3128`; none is taken from the environment.
    pub proxy: Option<String>,
    /// Longest time for one attempt, from the connection to the last byte, in seconds.
    pub timeout_seconds: f64,
    /// How often a request is tried when the server does not answer or is overloaded; 1 means no second try.
    pub attempts: u32,
    /// Wait before the second attempt, in seconds; it doubles with every further one.
    pub backoff_seconds: f64,
    /// Longest wait between attempts, in seconds. A server that asks for more (`Retry-After`) is given up.
    pub longest_wait_seconds: f64,
    /// Seed of the jitter of waiting times.
    pub seed: u64,
    /// Requests under way at the same time, at most 1024.
    pub in_flight: usize,
    /// What the server charges.
    pub price: Price,
    /// What all requests of this client together may cost at most. A request that could exceed it is not sent.
    pub spending_limit: Option<f64>,
    /// File to which every finished request is appended, and from which answers are taken instead of asking again.
    pub log: Option<PathBuf>,
    /// Refuse every request before it is sent; answers in the log are still used.
    pub offline: bool,
    /// Longest reply that is read, in bytes.
    pub max_reply_bytes: u64,
    /// Most texts in one request; longer calls are split. Without it: 32 for text-embeddings-inference, 256 elsewhere.
    pub max_batch: Option<usize>,
    /// Most alternatives per position that the server gives. Without it: 20 for chat, 5 for completions (what OpenAI
    /// allows; local servers give more).
    pub max_top_logprobs: Option<usize>,
    /// Send `max_completion_tokens` instead of `max_tokens`, as OpenAI's newer models want it.
    pub max_completion_tokens: bool,
    /// Longest input of the model in tokens, where it is known.
    pub max_tokens: Option<usize>,
    /// What the model wants before a query that is embedded, such as `query: `, when it is compared with texts.
    pub query_prompt: String,
    /// What the model wants before a text that is compared with queries, such as `passage: `.
    pub document_prompt: String,
}

impl Default for RemoteConfig {
    fn default() -> RemoteConfig {
        RemoteConfig {
            base_url: String::new(),
            api: Api::Chat,
            model: None,
            key_variable: None,
            key_over_http: false,
            proxy: None,
            timeout_seconds: 120.0,
            attempts: 5,
            backoff_seconds: 0.5,
            longest_wait_seconds: 60.0,
            seed: 0,
            in_flight: 4,
            price: Price::default(),
            spending_limit: None,
            log: None,
            offline: false,
            max_reply_bytes: 64 << 20,
            max_batch: None,
            max_top_logprobs: None,
            max_completion_tokens: false,
            max_tokens: None,
            query_prompt: String::new(),
            document_prompt: String::new(),
        }
    }
}

impl RemoteConfig {
    /// An interface of a server, with the usual patience, no key and no price.
    pub fn new(api: Api, base_url: impl Into<String>) -> RemoteConfig {
        RemoteConfig { api, base_url: base_url.into(), ..RemoteConfig::default() }
    }

    /// Refuses settings that cannot be meant.
    pub(crate) fn check(&self) -> Result<(), RemoteError> {
        let positive = |name: &str, value: f64| match value {
            v if v.is_finite() && v > 0.0 && v <= 1e6 => Ok(()),
            v => Err(RemoteError::config(format!(
                "{name} is {v}; a number above 0 and at most 1000000 is expected"
            ))),
        };
        positive("timeout_seconds", self.timeout_seconds)?;
        positive("backoff_seconds", self.backoff_seconds)?;
        positive("longest_wait_seconds", self.longest_wait_seconds)?;
        let counts = [
            ("attempts", self.attempts as usize),
            ("in_flight", self.in_flight),
            ("max_reply_bytes", usize::try_from(self.max_reply_bytes).unwrap_or(usize::MAX)),
            ("max_batch", self.max_batch.unwrap_or(1)),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(RemoteError::config(format!("{name} is 0; at least 1 is needed")));
        }
        if self.in_flight > MOST_IN_FLIGHT {
            let problem = format!("in_flight is {}; at most {MOST_IN_FLIGHT} are possible", self.in_flight);
            return Err(RemoteError::config(problem));
        }
        let price = self.price;
        let parts = [price.prompt_per_million, price.completion_per_million, price.per_request];
        if parts.iter().any(|p| !p.is_finite() || *p < 0.0) {
            return Err(RemoteError::config("a price is negative or not a number".into()));
        }
        match self.spending_limit {
            None => Ok(()),
            Some(limit) if !limit.is_finite() || limit < 0.0 => {
                Err(RemoteError::config(format!("spending_limit is {limit}; a number from 0 is expected")))
            }
            Some(_) if parts.iter().all(|p| *p == 0.0) => Err(RemoteError::config(
                "spending_limit without a price limits nothing; set the server's prices too".into(),
            )),
            Some(_) => Ok(()),
        }
    }
}
