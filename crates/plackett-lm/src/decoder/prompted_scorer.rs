//! A decoder that scores pairs by what it would answer to a prompt ([`PairPrompt`]): the logit of one label, or the
//! difference of two, after the last token.
//!
//! Unlike in the authors' code, control tokens that are written in a text are text: a passage cannot end the user's turn.

use crate::decode::model::LogitIds;
use crate::decoder::kv::cache::KvCache;
use crate::decoder::model::DecoderModel;
use crate::decoder::pair_prompt::{Frame, PairPrompt};
use crate::decoder::request::{AttentionPattern, OutputRequest, Positions, Request};
use crate::encoder::outputs::{ModelInfo, PairScores};
use crate::error::LmError;
use crate::files::config::JsonFile;
use crate::text::beginning::{Beginning, beginning};
use crate::text::tokenizer::Truncated;
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest input of the authors' code.
const MOST_TOKENS: usize = 8192;

/// A decoder that scores pairs, ready for calls from any number of threads.
pub struct PromptedScorer {
    model: Arc<DecoderModel>,
    info: ModelInfo,
    prompt: &'static PairPrompt,
    instruction: Option<String>,
    frame: Frame,
    /// The label that says "relevant", and the one that says it is not.
    labels: Vec<u32>,
    /// Keys and values of the beginning, once there was a call.
    begun: Mutex<Option<KvCache>>,
}

impl PromptedScorer {
    /// An open decoder, which others may use too, with one of the known prompts.
    ///
    /// # Errors
    /// [`LmError::Unsupported`] when the tokenizer has not the tokens that the prompt needs.
    pub fn new(model: Arc<DecoderModel>, prompt: &'static PairPrompt) -> Result<PromptedScorer, LmError> {
        let path = model.path();
        let labels = prompt.label_ids(&model)?.into_iter().flatten().collect();
        let instruction = prompt.instruction.map(str::to_string);
        let frame = prompt.frame(&model, instruction.as_deref())?;
        let written = match path.is_dir() {
            true => JsonFile::open_optional(path, "tokenizer_config.json")?,
            false => None,
        };
        let written = written.and_then(|file| file.value().get("model_max_length").and_then(|v| v.as_u64()));
        let limit = written.map_or(MOST_TOKENS, |limit| MOST_TOKENS.min(limit as usize));
        let info = model.text_info(model.info().hidden, limit, None, true);
        Ok(PromptedScorer { model, info, prompt, instruction, frame, labels, begun: Mutex::default() })
    }

    /// The same with another instruction: what makes a document a good one.
    ///
    /// # Errors
    /// It cannot be split into tokens.
    pub fn with_instruction(self, instruction: impl Into<String>) -> Result<PromptedScorer, LmError> {
        let instruction = Some(instruction.into());
        let frame = self.prompt.frame(&self.model, instruction.as_deref())?;
        Ok(PromptedScorer { frame, instruction, begun: Mutex::default(), ..self })
    }

    /// What makes a document a good one, in the prompt's words, where the prompt says so.
    pub fn instruction(&self) -> Option<&str> {
        self.instruction.as_deref()
    }

    /// The prompt.
    pub fn prompt(&self) -> &'static PairPrompt {
        self.prompt
    }

    /// Facts about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Where it was opened.
    pub fn directory(&self) -> &Path {
        self.model.path()
    }

    /// Tokens around and between a query and a document.
    pub fn pair_overhead(&self) -> usize {
        let count = |text: &String| {
            self.model.tokenizer().encode(text, false, false).map_or(0, |tokens| tokens.len())
        };
        let between: usize = self.prompt.texts(self.instruction.as_deref(), "", "").iter().map(count).sum();
        // Where texts meet the words around them they may split otherwise, by a token each time.
        self.frame_tokens() + between + 4
    }

    fn frame_tokens(&self) -> usize {
        self.frame.begin.len() + self.frame.end.len()
    }

    /// Byte ranges of a text's tokens.
    ///
    /// # Errors
    /// [`LmError::Tokenization`].
    pub fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        self.model.tokenizer().spans(text)
    }

    /// Tokens of a pair without the beginning, how many the whole has and whether that is an estimate; cut at the end of
    /// the document.
    fn encode(
        &self,
        (query, document): (&str, &str),
        most: usize,
    ) -> Result<(Vec<u32>, usize, bool), LmError> {
        let encode = |text: &str| self.model.tokenizer().encode(text, false, false);
        let fixed = self.frame_tokens();
        let (mut own, mut whole, mut is_estimate) = (Vec::new(), fixed, false);
        for text in self.prompt.texts(self.instruction.as_deref(), query, document) {
            let Beginning { tokens, estimate } = beginning(&text, most, encode, Vec::len)?;
            whole += estimate.unwrap_or(tokens.len());
            is_estimate |= estimate.is_some();
            own.extend(tokens);
        }
        own.truncate(most - fixed);
        own.extend_from_slice(&self.frame.end);
        Ok((own, whole, is_estimate))
    }

    /// The beginning, which all pairs continue.
    fn begun(&self) -> Result<KvCache, LmError> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = &*begun {
            return Ok(cache.clone());
        }
        let cache = self.model.prefill(&self.frame.begin, None)?;
        Ok(begun.insert(cache).clone())
    }

    /// How well each document answers its query: logits are those of the label, or its difference to the other label's,
    /// ln (p(yes) / p(no)); scores are 1 / (1 + e^−logit), which of two labels is the share of p(yes).
    ///
    /// # Errors
    /// `max_tokens` that leave no room for the pair; a text the tokenizer refuses; the memory budget.
    pub fn score_pairs(
        &self,
        pairs: &[(&str, &str)],
        max_tokens: Option<usize>,
    ) -> Result<PairScores, LmError> {
        let most = max_tokens.unwrap_or(usize::MAX).min(self.info.max_tokens);
        let fixed = self.frame_tokens();
        if most <= fixed {
            let problem = format!("max_tokens {most} leaves no room beside the {fixed} tokens of the prompt");
            return Err(LmError::Argument(problem));
        }
        let encode = || pairs.par_iter().map(|pair| self.encode(*pair, most)).collect::<Result<Vec<_>, _>>();
        let encoded = self.model.pool.install(encode)?;
        let begun = (!self.frame.begin.is_empty()).then(|| self.begun()).transpose()?;
        let logit_ids = LogitIds::Only(&self.labels);
        let outputs = OutputRequest { logits_at: Positions::Last, logit_ids, ..OutputRequest::default() };
        let mut requests = Vec::with_capacity(pairs.len());
        for (tokens, ..) in &encoded {
            let (cache, pattern, outputs) = (begun.as_ref(), AttentionPattern::Causal, outputs.clone());
            requests.push(Request { tokens, cache, pattern, adapter: None, outputs });
        }
        let mut scored = PairScores::default();
        for (index, (answer, (own, whole, estimated))) in
            self.model.forward(&requests)?.into_iter().zip(&encoded).enumerate()
        {
            let kept = self.frame.begin.len() + own.len();
            let logit = match answer.logits.first().map(Vec::as_slice) {
                Some([relevant, not]) => relevant - not,
                Some([relevant]) => *relevant,
                _ => f32::NAN,
            };
            scored.logits.push(logit);
            scored.scores.push(1.0 / (1.0 + f64::from(-logit).exp()));
            scored.tokens.push(kept);
            if kept < *whole {
                scored.truncated.push(Truncated { index, tokens: *whole, kept, estimated: *estimated });
            }
        }
        Ok(scored)
    }
}
