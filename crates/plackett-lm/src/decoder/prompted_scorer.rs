//! A decoder that scores pairs in a prompt ([`PairPrompt`]) by what it would answer: the logit of one label, or the difference of
//! two, after the last token. One with a score head has it read the state of that token.
//!
//! Unlike in the authors' code, control tokens that are written in a text are text: a passage cannot end the user's turn.

use crate::decode::model::LogitIds;
use crate::decoder::kv::cache::KvCache;
use crate::decoder::model::DecoderModel;
use crate::decoder::pair_prompt::PairPrompt;
use crate::decoder::pair_tokens::{PairText, PairTokens};
use crate::decoder::request::{AttentionPattern, OutputRequest, Positions, Request, SequenceOutput};
use crate::encoder::outputs::{ModelInfo, PairScores};
use crate::error::LmError;
use crate::files::config::JsonFile;
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
    pairs: PairTokens,
    /// The label that says "relevant", and the one that says it is not; none where a head gives the score.
    labels: Vec<u32>,
    /// Keys and values of the beginning, once there was a call.
    begun: Mutex<Option<KvCache>>,
}

impl PromptedScorer {
    /// An open decoder, which others may use too, with one of the known prompts.
    ///
    /// # Errors
    /// [`LmError::Unsupported`] when the tokenizer has not the tokens that the prompt needs, or the prompt is for models with a
    /// score head and this one has none.
    pub fn new(model: Arc<DecoderModel>, prompt: &'static PairPrompt) -> Result<PromptedScorer, LmError> {
        let path = model.path();
        let labels = match model.has_score_head() {
            true => Vec::new(),
            false => prompt.label_ids(&model)?.into_iter().flatten().collect(),
        };
        let pairs = PairTokens::new(model.tokenizer(), &model.info().name, prompt, None)?;
        let written = match path.is_dir() {
            true => JsonFile::open_optional(path, "tokenizer_config.json")?,
            false => None,
        };
        let written = written.and_then(|file| file.value().get("model_max_length").and_then(|v| v.as_u64()));
        let limit = written.map_or(MOST_TOKENS, |limit| MOST_TOKENS.min(limit as usize));
        let info = model.text_info(model.info().hidden, limit, None, true);
        Ok(PromptedScorer { model, info, pairs, labels, begun: Mutex::default() })
    }

    /// The same with another instruction: what makes a document a good one.
    ///
    /// # Errors
    /// It cannot be split into tokens.
    pub fn with_instruction(self, instruction: impl Into<String>) -> Result<PromptedScorer, LmError> {
        let (tokenizer, name) = (self.model.tokenizer(), &self.info.name);
        let pairs = PairTokens::new(tokenizer, name, self.pairs.prompt(), Some(instruction.into()))?;
        Ok(PromptedScorer { pairs, begun: Mutex::default(), ..self })
    }

    /// What makes a document a good one, in the prompt's words, where the prompt says so.
    pub fn instruction(&self) -> Option<&str> {
        self.pairs.instruction()
    }

    /// The prompt.
    pub fn prompt(&self) -> &'static PairPrompt {
        self.pairs.prompt()
    }

    /// The tokens whose logits are compared, as they are written; `None` where a head gives the score.
    pub fn labels(&self) -> Option<(&'static str, Option<&'static str>)> {
        self.prompt().labels.filter(|_| !self.model.has_score_head())
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
        self.pairs.overhead(self.model.tokenizer())
    }

    /// Byte ranges of a text's tokens.
    ///
    /// # Errors
    /// [`LmError::Tokenization`].
    pub fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        self.model.tokenizer().spans(text)
    }

    /// The beginning, which all pairs continue.
    fn begun(&self) -> Result<KvCache, LmError> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = &*begun {
            return Ok(cache.clone());
        }
        let cache = self.model.prefill(self.pairs.begin(), None)?;
        Ok(begun.insert(cache).clone())
    }

    /// What is read after the last token of a pair.
    fn outputs(&self) -> OutputRequest<'_> {
        match self.model.has_score_head() {
            true => OutputRequest { hidden: Positions::Last, ..OutputRequest::default() },
            false => OutputRequest {
                logits_at: Positions::Last,
                logit_ids: LogitIds::Only(&self.labels),
                ..OutputRequest::default()
            },
        }
    }

    /// The score that was read.
    fn logit(&self, answer: SequenceOutput) -> f32 {
        if let Some(head) = &self.model.head {
            return head.score(self.model.info().isa, answer.hidden);
        }
        match answer.logits.first().map(Vec::as_slice) {
            Some([relevant, not]) => relevant - not,
            Some([relevant]) => *relevant,
            _ => f32::NAN,
        }
    }

    /// How well each document answers its query: logits are those of the label, or its difference to the other label's,
    /// ln (p(yes) / p(no)), or what the score head gives; scores are 1 / (1 + e^−logit), which of two labels is the share of
    /// p(yes).
    ///
    /// # Errors
    /// `max_tokens` that leave no room for the pair; a text the tokenizer refuses; the memory budget.
    pub fn score_pairs(
        &self,
        pairs: &[(&str, &str)],
        max_tokens: Option<usize>,
    ) -> Result<PairScores, LmError> {
        let most = max_tokens.unwrap_or(usize::MAX).min(self.info.max_tokens);
        let encode = |pair: &(&str, &str)| self.pairs.encode(self.model.tokenizer(), *pair, most);
        let encoded: Vec<PairText> =
            self.model.pool.install(|| pairs.par_iter().map(encode).collect::<Result<_, _>>())?;
        let begun = (!self.pairs.begin().is_empty()).then(|| self.begun()).transpose()?;
        let outputs = self.outputs();
        let mut requests = Vec::with_capacity(pairs.len());
        for PairText { tokens, .. } in &encoded {
            let (cache, pattern, outputs) = (begun.as_ref(), AttentionPattern::Causal, outputs.clone());
            requests.push(Request { tokens, cache, pattern, adapter: None, outputs });
        }
        let mut scored = PairScores::default();
        let answers = self.model.forward(&requests)?;
        for (index, (answer, PairText { tokens, whole, estimated })) in
            answers.into_iter().zip(&encoded).enumerate()
        {
            let kept = self.pairs.begin().len() + tokens.len();
            let logit = self.logit(answer);
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
