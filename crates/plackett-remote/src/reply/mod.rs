//! Replies of servers, read as what they are: bytes from outside.
//!
//! Each function takes the body of a reply and what was asked for, and gives a complete answer or says what is wrong with
//! it. Nothing is filled in: an answer that is short of an item, has one twice or holds a number that is none is refused.

mod chat;
mod completion;
mod embedding;
mod logprobs;
mod rerank;

pub use chat::{Generated, chat};
pub use completion::{Echoed, completion, echoed};
pub use embedding::{openai_embeddings, tei_embeddings};
pub use logprobs::{Alternative, Chosen, Position, Token};
pub use rerank::{LabelScore, Reranked, predictions, reranked};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What is wrong with a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReplyError(pub String);

impl ReplyError {
    pub(crate) fn new(problem: impl Into<String>) -> ReplyError {
        ReplyError(problem.into())
    }
}

/// Tokens as the server counted them; `None` where it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens sent.
    pub prompt_tokens: Option<u64>,
    /// Tokens generated.
    pub completion_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
pub(crate) struct RawUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

impl RawUsage {
    /// Rerankers and embedders often give only the total, which is all prompt.
    fn read(usage: Option<RawUsage>) -> Usage {
        let usage = usage.unwrap_or_default();
        let completion = usage.completion_tokens;
        let rest = usage.total_tokens.map(|total| total.saturating_sub(completion.unwrap_or(0)));
        Usage { prompt_tokens: usage.prompt_tokens.or(rest), completion_tokens: completion }
    }
}

/// The first characters of a reply for a message, without line breaks.
pub(crate) fn begin(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
    let mut short: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(100).collect();
    if bytes.len() > short.len() {
        short.push('…');
    }
    short
}

fn is_html(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).trim_start().to_ascii_lowercase();
    start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<?xml")
}

/// Reads JSON of a known form, with a reason that helps when it is something else.
fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReplyError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ReplyError::new("the reply is empty"));
    }
    if is_html(bytes) {
        return Err(ReplyError::new(
            "the reply is a web page, not JSON: the address is that of another service or a proxy",
        ));
    }
    // The parser does not look at the text of members that it skips, and the log can hold only text.
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ReplyError::new(format!("the reply is not JSON: byte {} is no UTF-8", error.valid_up_to()))
    })?;
    serde_json::from_str(text).map_err(|error| match (error.classify(), said(bytes)) {
        (serde_json::error::Category::Data, Some(message)) => {
            ReplyError::new(format!("the server reports an error with a good status: {message}"))
        }
        (serde_json::error::Category::Data, None) => {
            ReplyError::new(format!("the reply has another form ({error})"))
        }
        (serde_json::error::Category::Eof, _) => ReplyError::new(format!("the reply ends early ({error})")),
        _ if names_nan(bytes) => ReplyError::new(format!(
            "the reply is not JSON ({error}); it has NaN or Infinity, so the model is broken"
        )),
        _ => ReplyError::new(format!("the reply is not JSON ({error})")),
    })
}

fn names_nan(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|w| w == b"NaN") || bytes.windows(8).any(|w| w == b"Infinity")
}

/// What an error body says, in any of the forms that servers use.
fn said(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let inner = value.get("error").filter(|error| !error.is_null());
    let found = match inner {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(error) => match error.get("message").and_then(|m| m.as_str()) {
            Some(text) => text.to_string(),
            None => error.to_string(),
        },
        None => {
            let plain = value.get("message").or_else(|| value.get("detail")).filter(|m| !m.is_null())?;
            plain.as_str().map_or_else(|| plain.to_string(), str::to_string)
        }
    };
    Some(begin(found.as_bytes()))
}

/// The message in the body of a reply with a bad status.
pub fn error_message(bytes: &[u8]) -> String {
    if let Some(message) = said(bytes) {
        return message;
    }
    match bytes {
        _ if bytes.iter().all(u8::is_ascii_whitespace) => "no reason given".into(),
        _ if is_html(bytes) => "the reply is a web page".into(),
        _ => begin(bytes),
    }
}

/// Items with indices in the order of these; each of `0..count` must be there once.
fn in_order<T>(items: Vec<(u64, T)>, count: usize, what: &str) -> Result<Vec<T>, ReplyError> {
    let mut slots: Vec<Option<T>> = (0..count).map(|_| None).collect();
    let given = items.len();
    for (index, item) in items {
        let slot = usize::try_from(index).ok().and_then(|index| slots.get_mut(index));
        match slot {
            None => {
                return Err(ReplyError::new(format!(
                    "{what} has the index {index}, but {count} were asked for"
                )));
            }
            Some(Some(_)) => {
                return Err(ReplyError::new(format!("the index {index} stands twice among the {what}s")));
            }
            Some(empty) => *empty = Some(item),
        }
    }
    let missing: Vec<String> =
        slots.iter().enumerate().filter(|(_, slot)| slot.is_none()).map(|(i, _)| i.to_string()).collect();
    if !missing.is_empty() {
        let first = missing.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        return Err(ReplyError::new(format!(
            "{given} {what}s for {count} inputs; missing: index {first}{}",
            if missing.len() > 5 { ", …" } else { "" }
        )));
    }
    Ok(slots.into_iter().flatten().collect())
}

/// A number that an order can be made from.
fn finite(value: Option<f64>, what: impl Fn() -> String) -> Result<f64, ReplyError> {
    match value {
        Some(number) if number.is_finite() => Ok(number),
        Some(number) => Err(ReplyError::new(format!("{} is {number}", what()))),
        None => Err(ReplyError::new(format!("{} is null (NaN on the server?)", what()))),
    }
}

#[cfg(test)]
mod tests;
