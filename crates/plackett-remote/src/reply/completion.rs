//! `/v1/completions`.

use super::chat::{Generated, only};
use super::logprobs::{Position, RawLogprobs};
use super::{RawUsage, ReplyError, Usage, json};
use serde::Deserialize;

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct Choice {
    text: String,
    finish_reason: Option<String>,
    logprobs: Option<RawLogprobs>,
}

/// Reads a reply with one choice. With `logprobs`, its tokens must be there.
pub fn completion(body: &[u8], logprobs: bool) -> Result<Generated, ReplyError> {
    let completion: Completion = json(body)?;
    let choice = only(completion.choices)?;
    let positions = choice.logprobs.map_or_else(|| Ok(Vec::new()), RawLogprobs::read)?;
    if logprobs && positions.is_empty() && !choice.text.is_empty() {
        return Err(ReplyError::new(
            "log-probabilities were asked for and are not there; this server or model has none",
        ));
    }
    let usage = RawUsage::read(completion.usage);
    Ok(Generated { text: choice.text, finish: choice.finish_reason, positions, usage })
}

/// A text that a server repeated with its log-probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Echoed {
    /// The text's tokens.
    pub positions: Vec<Position>,
    /// Tokens, as the server counted them.
    pub usage: Usage,
    /// Whether a token generated behind the text has numbers of its own. Without one, a server that gives each token the
    /// numbers of its neighbour (as llama-cpp-python 0.3 does) cannot be told from a sound one.
    pub aligned: bool,
}

/// Reads a reply to a request that asked to repeat `text` with its log-probabilities: its tokens alone, without a token
/// of the tokenizer's before them and without what was generated after them.
pub fn echoed(body: &[u8], text: &str) -> Result<Echoed, ReplyError> {
    let generated = completion(body, true)?;
    let Some(behind) = generated.text.strip_prefix(text) else {
        return Err(ReplyError::new("the reply does not repeat the text; this server does not know `echo`"));
    };
    let positions = generated.positions;
    let first =
        (0..positions.len().min(3)).find_map(|first| Some((first, length_of(&positions[first..], text)?)));
    let Some((first, count)) = first else {
        return Err(ReplyError::new(
            "the tokens of the reply do not spell the text that was sent, so that its log-probabilities cannot be told \
             apart",
        ));
    };
    let aligned = positions.len() > first + count;
    if !aligned && !behind.is_empty() {
        return Err(ReplyError::new(
            "the token generated behind the text has no log-probability: this server gives each token of an echo the \
             numbers of the position after it, which say nothing about it; use another server, or chosen_logprobs",
        ));
    }
    let positions = positions.into_iter().skip(first).take(count).collect();
    Ok(Echoed { positions, usage: generated.usage, aligned })
}

/// How many of the leading tokens spell exactly `text`.
fn length_of(positions: &[Position], text: &str) -> Option<usize> {
    let mut rest = text.as_bytes();
    for (count, position) in positions.iter().enumerate() {
        if rest.is_empty() {
            return Some(count);
        }
        rest = rest.strip_prefix(position.token.spelling())?;
    }
    rest.is_empty().then_some(positions.len())
}
