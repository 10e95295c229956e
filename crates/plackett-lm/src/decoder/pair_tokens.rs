//! Pairs of a query and a document as the tokens of a prompt: the same for models that are asked and for those that learn.

use crate::decoder::pair_prompt::{Frame, PairPrompt};
use crate::error::LmError;
use crate::text::beginning::{Beginning, beginning};
use crate::text::lm_tokenizer::LmTokenizer;

/// A prompt in the tokens of one tokenizer.
pub struct PairTokens {
    prompt: &'static PairPrompt,
    instruction: Option<String>,
    frame: Frame,
}

/// A pair in the tokens of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairText {
    /// All tokens but those of [`PairTokens::begin`].
    pub tokens: Vec<u32>,
    /// How many the whole pair has, with those of the beginning.
    pub whole: usize,
    /// Whether `whole` is an estimate.
    pub estimated: bool,
}

impl PairTokens {
    /// A prompt for a tokenizer; `model` is what a message calls its model. Without an instruction the prompt's own is used.
    ///
    /// # Errors
    /// [`LmError::Unsupported`] when the tokenizer has not the tokens that the prompt needs.
    pub fn new(
        tokenizer: &LmTokenizer,
        model: &str,
        prompt: &'static PairPrompt,
        instruction: Option<String>,
    ) -> Result<PairTokens, LmError> {
        let instruction = instruction.or_else(|| prompt.instruction.map(str::to_string));
        let frame = prompt.frame(tokenizer, model, instruction.as_deref())?;
        Ok(PairTokens { prompt, instruction, frame })
    }

    /// The prompt.
    pub fn prompt(&self) -> &'static PairPrompt {
        self.prompt
    }

    /// What makes a document a good one, where the prompt says so.
    pub fn instruction(&self) -> Option<&str> {
        self.instruction.as_deref()
    }

    /// The tokens that every pair begins with.
    pub fn begin(&self) -> &[u32] {
        &self.frame.begin
    }

    /// Tokens around and between the texts of a pair that are the same for all.
    pub fn frame_tokens(&self) -> usize {
        let Frame { begin, between, end } = &self.frame;
        begin.len() + between.len() * self.prompt.pieces().saturating_sub(1) + end.len()
    }

    /// About how many tokens stand around a query and a document.
    pub fn overhead(&self, tokenizer: &LmTokenizer) -> usize {
        let count = |text: &String| tokenizer.encode(text, false, false).map_or(0, |tokens| tokens.len());
        let between: usize = self.prompt.texts(self.instruction(), "", "").iter().map(count).sum();
        // Where texts meet the words around them they may split otherwise, by a token each time.
        self.frame_tokens() + between + 4
    }

    /// A pair, cut at the end of the document to `most` tokens with the beginning; control tokens that are written in it are
    /// text.
    ///
    /// # Errors
    /// A text the tokenizer refuses; [`LmError::Argument`] when `most` leaves no room beside the prompt's own tokens.
    pub fn encode(
        &self,
        tokenizer: &LmTokenizer,
        (query, document): (&str, &str),
        most: usize,
    ) -> Result<PairText, LmError> {
        let fixed = self.frame_tokens();
        if most <= fixed {
            let problem = format!("max_tokens {most} leaves no room beside the {fixed} tokens of the prompt");
            return Err(LmError::Argument(problem));
        }
        let encode = |text: &str| tokenizer.encode(text, false, false);
        let Frame { begin, between, end } = &self.frame;
        let (mut tokens, mut whole, mut estimated) = (Vec::new(), fixed, false);
        for (at, text) in self.prompt.texts(self.instruction(), query, document).iter().enumerate() {
            if at > 0 {
                tokens.extend_from_slice(between);
            }
            let Beginning { tokens: own, estimate } = beginning(text, most, encode, Vec::len)?;
            whole += estimate.unwrap_or(own.len());
            estimated |= estimate.is_some();
            tokens.extend(own);
        }
        tokens.truncate(most - begin.len() - end.len());
        tokens.extend_from_slice(end);
        Ok(PairText { tokens, whole, estimated })
    }
}
