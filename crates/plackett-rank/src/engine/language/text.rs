//! Prompts as tokens of a decoder.

use crate::model::{CallError, Prompt, PromptParts};
use plackett_lm::chat::{ChatOptions, Message};
use plackett_lm::decoder::LmTokenizer;
use std::time::SystemTime;

/// Bytes at the end of a prompt that decide how the text after it splits into tokens.
const TAIL: usize = 24;

/// A prompt as tokens.
pub(super) struct Encoded {
    pub ids: Vec<u32>,
    /// The last words of its text.
    pub tail: String,
    /// Whether control tokens of the chat template are in it.
    chat: bool,
}

/// Reads prompts with the tokenizer of a model.
#[derive(Clone, Copy)]
pub(super) struct Reader<'m> {
    tokenizer: &'m LmTokenizer,
    /// Whether chat templates that know of it leave thinking to the model, or close it before the answer.
    thinking: bool,
}

impl<'m> Reader<'m> {
    pub fn new(tokenizer: &'m LmTokenizer) -> Reader<'m> {
        Reader { tokenizer, thinking: true }
    }

    /// The same for conversations whose answer begins without thinking, as far as the chat template can say so.
    pub fn without_thinking(self) -> Reader<'m> {
        Reader { thinking: false, ..self }
    }

    /// The text of a prompt as it is read.
    pub fn written(&self, prompt: &Prompt) -> Result<String, CallError> {
        let Prompt::Chat { messages, answer } = prompt else { return Ok(prompt.words()) };
        let Ok(template) = self.tokenizer.chat() else { return Ok(prompt.words()) };
        let messages: Vec<Message> =
            messages.iter().map(|message| Message::new(message.role.name(), &message.content)).collect();
        // Templates that write the date would make a prompt of tomorrow another one.
        let mut options = ChatOptions { now: Some(SystemTime::UNIX_EPOCH), ..ChatOptions::default() };
        if !self.thinking {
            options.variables.insert("enable_thinking".into(), false.into());
        }
        Ok(template.render(&messages, &options)? + answer)
    }

    /// Its tokens. What is a control token in the words of a query or passage is read as text: a passage cannot end the
    /// user's turn.
    pub fn encode(&self, prompt: &Prompt) -> Result<Encoded, CallError> {
        let text = self.written(prompt)?;
        let chat = matches!(prompt, Prompt::Chat { .. }) && self.tokenizer.chat().is_ok();
        let mut ids = match prompt {
            Prompt::Chat { messages, answer } if chat => {
                let contents =
                    messages.iter().map(|message| message.content.as_str()).chain([answer.as_str()]);
                let contents: Vec<&str> = contents.filter(|content| !content.is_empty()).collect();
                self.guarded(&text, &contents)?
            }
            _ => self.tokenizer.encode(&text, true, false)?,
        };
        // Some tokenizers end every text; a prompt goes on.
        while !chat && ids.last().is_some_and(|last| self.tokenizer.ends().contains(last)) {
            ids.pop();
        }
        if ids.is_empty() {
            return Err(CallError::Argument("the prompt has no tokens; write something in it".into()));
        }
        let mut start = text.len().saturating_sub(TAIL);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        Ok(Encoded { ids, tail: text[start..].to_string(), chat })
    }

    /// Whether a text holds what the tokenizer reads as a control token.
    fn has_control(&self, text: &str) -> Result<bool, CallError> {
        Ok(self.tokenizer.encode(text, false, true)? != self.tokenizer.encode(text, false, false)?)
    }

    /// A conversation that was written out, with the words of its messages as text.
    fn guarded(&self, text: &str, contents: &[&str]) -> Result<Vec<u32>, CallError> {
        let mut control = false;
        for content in contents {
            control |= self.has_control(content)?;
        }
        if !control {
            return Ok(self.tokenizer.encode(text, false, true)?);
        }
        let (mut ids, mut rest) = (Vec::new(), text);
        for content in contents {
            // Templates may trim what they write.
            let found =
                [*content, content.trim()].into_iter().find_map(|words| Some((rest.find(words)?, words)));
            let Some((at, words)) = found else {
                let problem = "a message holds control tokens of the model, and its chat template rewrites messages, so that \
                               they cannot be told apart; take them out, or use style=text";
                return Err(CallError::Argument(problem.into()));
            };
            ids.extend(self.tokenizer.encode(&rest[..at], false, true)?);
            ids.extend(self.tokenizer.encode(words, false, false)?);
            rest = &rest[at + words.len()..];
        }
        ids.extend(self.tokenizer.encode(rest, false, true)?);
        Ok(ids)
    }

    /// The tokens of a part of a prompt by itself. Tokenizers that write a blank before every text write none before a part.
    pub fn part(&self, text: &str) -> Result<Vec<u32>, CallError> {
        match self.after("\n", false, text)? {
            Some(ids) => Ok(ids),
            // Line feeds that join into one token: the tokenizer reads the part as it stands.
            None => Ok(self.tokenizer.encode(text, false, false)?),
        }
    }

    /// The tokens before the first and behind the last part of a prompt: those of the chat template, of the instructions
    /// and of the answer's beginning, and what the model wants before any text.
    pub fn around(&self, prompt: &PromptParts) -> Result<(Vec<u32>, Vec<u32>), CallError> {
        let whole = prompt.prompt(0);
        let content = prompt.common() + prompt.endings.first().map_or("", String::as_str);
        if !prompt.chat || self.tokenizer.chat().is_err() {
            let text = whole.words();
            let (before, after) = text.rsplit_once(content.as_str()).unwrap_or_default();
            let mut ids = self.tokenizer.encode("", true, false)?;
            while ids.last().is_some_and(|last| self.tokenizer.ends().contains(last)) {
                ids.pop();
            }
            ids.extend(if before.is_empty() { Vec::new() } else { self.part(before)? });
            return Ok((ids, if after.is_empty() { Vec::new() } else { self.part(after)? }));
        }
        let text = self.written(&whole)?;
        let Some((before, after)) = text.rsplit_once(content.as_str()) else {
            let problem = "the model's chat template rewrites messages, so that documents cannot be found in them; use style=text";
            return Err(CallError::Argument(problem.into()));
        };
        let of = |text: &str, own: &str| match (text.is_empty(), own.is_empty()) {
            (true, _) => Ok(Vec::new()),
            (false, true) => Ok(self.tokenizer.encode(text, false, true)?),
            (false, false) => self.guarded(text, &[own]),
        };
        Ok((of(before, &prompt.system)?, of(after, &prompt.answer)?))
    }

    /// The tokens of a text after a prompt; at least one.
    pub fn continuation(&self, prompt: &Encoded, text: &str) -> Result<Vec<u32>, CallError> {
        let label = |problem: &str| CallError::Label { label: text.to_string(), problem: problem.into() };
        let found = self.after(&prompt.tail, prompt.chat, text)?;
        found.filter(|ids| !ids.is_empty()).ok_or_else(|| {
            label("its first letters join the prompt's last token; end the prompt where a token ends (a blank belongs to the \
                   token after it)")
        })
    }

    /// The same after some words; `None` where it cannot be told apart from them.
    pub fn after(&self, tail: &str, chat: bool, text: &str) -> Result<Option<Vec<u32>>, CallError> {
        if chat && self.has_control(text)? {
            return Ok(Some(self.tokenizer.encode(text, false, false)?));
        }
        let before = self.tokenizer.encode(tail, false, chat)?;
        let whole = self.tokenizer.encode(&format!("{tail}{text}"), false, chat)?;
        Ok(whole.strip_prefix(before.as_slice()).map(<[u32]>::to_vec))
    }

    /// Whether words of the chat template are among a prompt's last ones.
    pub fn is_chat(prompt: &Encoded) -> bool {
        prompt.chat
    }

    /// The one token of a label after a prompt.
    pub fn label(&self, prompt: &Encoded, label: &str) -> Result<u32, CallError> {
        match self.continuation(prompt, label)?[..] {
            [id] => Ok(id),
            ref ids => {
                let problem = format!(
                    "the model writes it with {} tokens after {:?}; choose labels that are one token there",
                    ids.len(),
                    prompt.tail
                );
                Err(CallError::Label { label: label.to_string(), problem })
            }
        }
    }
}
