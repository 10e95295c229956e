//! `/v1/chat/completions`.

use super::logprobs::{Position, RawPosition};
use super::{RawUsage, ReplyError, Usage, json};
use serde::Deserialize;

/// A text that a remote model wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// The text.
    pub text: String,
    /// Why it ended, in the server's words: `stop`, `length` …
    pub finish: Option<String>,
    /// Its tokens with their log-probabilities; empty when they were not asked for.
    pub positions: Vec<Position>,
    /// Tokens, as the server counted them.
    pub usage: Usage,
}

#[derive(Deserialize)]
struct Chat {
    choices: Vec<Choice>,
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Logprobs {
    content: Option<Vec<RawPosition>>,
}

/// The one of a list with one item.
pub(super) fn only<T>(mut choices: Vec<T>) -> Result<T, ReplyError> {
    match (choices.len(), choices.pop()) {
        (1, Some(choice)) => Ok(choice),
        (count, _) => Err(ReplyError::new(format!("the reply has {count} choices, one was asked for"))),
    }
}

/// Reads a reply with one choice. With `logprobs`, its tokens must be there.
pub fn chat(body: &[u8], logprobs: bool) -> Result<Generated, ReplyError> {
    let chat: Chat = json(body)?;
    let choice = only(chat.choices)?;
    let finish = choice.finish_reason;
    let Some(text) = choice.message.content else {
        let reason = finish.as_deref().unwrap_or("unknown");
        let said = choice.message.refusal.map(|r| format!(", refusal: {}", super::begin(r.as_bytes())));
        return Err(ReplyError::new(format!(
            "the model wrote no text (finish_reason {reason}{}); with `length`, allow more tokens",
            said.unwrap_or_default()
        )));
    };
    let positions = choice.logprobs.and_then(|l| l.content).unwrap_or_default();
    if logprobs && positions.is_empty() && !text.is_empty() {
        return Err(ReplyError::new(
            "log-probabilities were asked for and are not there; this server or model has none",
        ));
    }
    let positions = positions.into_iter().map(RawPosition::read).collect::<Result<_, _>>()?;
    Ok(Generated { text, finish, positions, usage: RawUsage::read(chat.usage) })
}
