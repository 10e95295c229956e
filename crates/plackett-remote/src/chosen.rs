//! Log-probabilities of chosen tokens from a server that tells only those of its most probable ones, or repeats a text.

use crate::model::{MESSAGE_TOKENS, text_bound};
use crate::reply::{self, ReplyError};
use crate::request::Request;
use crate::{Api, Capability, Chosen, Generation, Position, RemoteError, RemoteModel};
use plackett_lm::LmError;
use plackett_lm::chat::Message;
use serde_json::json;
use std::sync::atomic::Ordering;

/// A text after which no model ends at once.
const PROBE: &str = "One, two, three,";

impl RemoteModel {
    /// What the model says about some next tokens, for each prompt: exact where they are among the `top` most probable
    /// ones, else an upper bound. Tokens are given by their spelling, such as `" yes"`. With a chat interface, the
    /// prompt is the user's message.
    ///
    /// # Errors
    /// When the server cannot give as many; when the model ends without a token.
    pub fn chosen_logprobs(
        &self,
        prompts: &[&str],
        tokens: &[&str],
        top: usize,
    ) -> Result<Vec<Result<Vec<Chosen>, RemoteError>>, LmError> {
        if top == 0 || tokens.is_empty() || tokens.iter().any(|token| token.is_empty()) {
            let problem = "chosen tokens need at least one token and one alternative, and no token is empty";
            return Err(LmError::Argument(problem.into()));
        }
        let how = Generation { max_tokens: 1, top_logprobs: top, ..Generation::default() };
        self.check(&how)?;
        let chat = self.config().api == Api::Chat;
        let build = |prompt: &&str| {
            let mut body = self.body();
            if chat {
                body.insert("messages".into(), json!([Message::new("user", *prompt)]));
            } else {
                body.insert("prompt".into(), json!(prompt));
            }
            self.generation(body, &how, text_bound(&[prompt]) + 2 * MESSAGE_TOKENS)
        };
        let bodies: Vec<Request> = prompts.iter().map(build).collect();
        let read = |_: usize, bytes: &[u8]| {
            let generated = if chat { reply::chat(bytes, true)? } else { reply::completion(bytes, true)? };
            let Some(first) = generated.positions.first() else {
                return Err(ReplyError::new(
                    "the model ended without a token, so that there are no log-probabilities",
                ));
            };
            Ok((first.chosen(top, tokens)?, generated.usage))
        };
        Ok(self.client.send(&bodies, &read))
    }

    /// The tokens of given texts with their log-probabilities (the first token has none), through `echo`.
    ///
    /// # Errors
    /// When the interface cannot do it. Servers that do not know `echo`, or give its tokens the numbers of their
    /// neighbours, are found out by their replies.
    pub fn echo_logprobs(&self, texts: &[&str]) -> Result<Vec<Result<Vec<Position>, RemoteError>>, LmError> {
        self.echo(texts, &|positions| Ok(positions))
    }

    /// The log-probabilities of some continuations of a prompt, through `echo`: one request for each, exact whatever
    /// their rank. A continuation may be of several tokens; its value is their sum.
    ///
    /// # Errors
    /// As [`RemoteModel::echo_logprobs`]; also when a token of the reply spans the end of the prompt, because no number
    /// of the reply is then that of the continuation alone.
    pub fn continuation_logprobs(
        &self,
        prompt: &str,
        continuations: &[&str],
    ) -> Result<Vec<Result<f64, RemoteError>>, LmError> {
        if prompt.is_empty() || continuations.iter().any(|c| c.is_empty()) {
            return Err(LmError::Argument("neither the prompt nor a continuation may be empty".into()));
        }
        let texts: Vec<String> = continuations.iter().map(|c| format!("{prompt}{c}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.echo(&texts, &|positions| after(&positions, prompt))
    }

    fn echo<T: Send>(
        &self,
        texts: &[&str],
        make: &(dyn Fn(Vec<Position>) -> Result<T, ReplyError> + Sync),
    ) -> Result<Vec<Result<T, RemoteError>>, LmError> {
        let bodies = self.echo_requests(texts)?;
        let read = |index: usize, bytes: &[u8]| {
            let echo = reply::echoed(bytes, texts.get(index).copied().unwrap_or_default())?;
            Ok(((make(echo.positions)?, echo.aligned), echo.usage))
        };
        let results = self.client.send(&bodies, &read);
        if results.iter().flatten().any(|(_, aligned)| *aligned) {
            self.echo_aligned.store(true, Ordering::Relaxed);
        }
        // Asked only where the replies leave it open.
        let open = results.iter().flatten().any(|(_, aligned)| !*aligned);
        let sound = !open || self.echo_is_aligned()?;
        let one = |result: Result<(T, bool), RemoteError>| match result? {
            (value, aligned) if aligned || sound => Ok(value),
            _ => Err(RemoteError::CannotGive {
                url: self.client.address().to_string(),
                api: self.config().api.name(),
                wanted: Capability::EchoLogprobs.to_string(),
                reason: "nothing tells whether its numbers are those of their tokens or of the next ones; use \
                         chosen_logprobs",
            }),
        };
        Ok(results.into_iter().map(one).collect())
    }

    /// Whether the server gives each echoed token its own numbers; asked once.
    fn echo_is_aligned(&self) -> Result<bool, LmError> {
        if self.echo_aligned.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let read = |_: usize, bytes: &[u8]| {
            let echo = reply::echoed(bytes, PROBE)?;
            Ok((echo.aligned, echo.usage))
        };
        let aligned = self.client.send_all(&self.echo_requests(&[PROBE])?, &read)?.contains(&true);
        self.echo_aligned.fetch_or(aligned, Ordering::Relaxed);
        Ok(aligned)
    }

    fn echo_requests(&self, texts: &[&str]) -> Result<Vec<Request>, LmError> {
        self.require(Capability::EchoLogprobs)?;
        let how = Generation { max_tokens: 1, top_logprobs: 1, ..Generation::default() };
        let build = |text: &&str| {
            let mut body = self.body();
            body.insert("prompt".into(), json!(text));
            body.insert("echo".into(), json!(true));
            self.generation(body, &how, text_bound(&[text]))
        };
        Ok(texts.iter().map(build).collect())
    }
}

/// The sum of the log-probabilities of the tokens after a prompt.
fn after(positions: &[Position], prompt: &str) -> Result<f64, ReplyError> {
    let mut bytes = 0;
    let first = positions.iter().position(|position| {
        let reached = bytes >= prompt.len();
        bytes += if reached { 0 } else { position.token.spelling().len() };
        reached
    });
    let Some(rest) = first.and_then(|first| positions.get(first..)).filter(|_| bytes == prompt.len()) else {
        return Err(ReplyError::new(
            "a token of the reply spans the end of the prompt; end the prompt where a token ends (a blank belongs to the \
             token after it)",
        ));
    };
    let values: Option<Vec<f64>> = rest.iter().map(|position| position.logprob).collect();
    let values = values.ok_or_else(|| ReplyError::new("a token after the prompt has no log-probability"))?;
    Ok(values.iter().sum())
}
