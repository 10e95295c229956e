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

/// Reads a reply to a request that asked to repeat `text` with its log-probabilities: its tokens alone, without a token
/// of the tokenizer's before them and without what was generated after them.
pub fn echoed(body: &[u8], text: &str) -> Result<(Vec<Position>, Usage), ReplyError> {
    let generated = completion(body, true)?;
    if !generated.text.starts_with(text) {
        return Err(ReplyError::new("the reply does not repeat the text; this server does not know `echo`"));
    }
    let positions = generated.positions;
    let first =
        (0..positions.len().min(3)).find_map(|first| Some((first, length_of(&positions[first..], text)?)));
    let Some((first, count)) = first else {
        return Err(ReplyError::new(
            "the tokens of the reply do not spell the text that was sent, so that its log-probabilities cannot be told \
             apart",
        ));
    };
    let own = positions.into_iter().skip(first).take(count).collect();
    Ok((own, generated.usage))
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
