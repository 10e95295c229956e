//! Models on other machines: OpenAI-compatible servers, text-embeddings-inference, Cohere-like rerankers.
//!
//! A [`RemoteModel`] is one interface of one server. What it cannot give – hidden states, attention, logits of any chosen
//! token – is refused by name before anything is sent. Requests go out several at a time, are tried again when the server
//! is overloaded, are paid from an account with a hard limit, and are written to a log from which a later run goes on.
//! Every reply is outside input: it is complete and sound, or an error that names the request.
//!
//! ```no_run
//! use plackett_remote::{Api, RemoteConfig, RemoteModel};
//! let model = RemoteModel::open(RemoteConfig::new(Api::TeiRerank, "http://127.0.0.1:8080"))?;
//! let scores = model.rerank("a question", &["a text", "another"])?.scores;
//! assert_eq!(scores.len(), 2);
//! # Ok::<(), plackett_lm::LmError>(())
//! ```
#![forbid(unsafe_code)]

mod address;
mod call;
mod capability;
mod chosen;
mod client;
mod config;
mod error;
mod ledger;
mod log;
mod model;
pub mod reply;
mod reply_cache;
mod request;
mod rerank;
mod retry;
mod send;
mod spec;
mod transport;

pub use capability::{Api, Capability, UnknownApi};
pub use config::{Price, RemoteConfig};
pub use error::RemoteError;
pub use ledger::Spent;
pub use model::{ChatRequest, CompletionRequest, Generation, RemoteModel};
pub use reply::{Alternative, Chosen, Echoed, Generated, LabelScore, Position, Reranked, Token, Usage};
pub use spec::PREFIX;
