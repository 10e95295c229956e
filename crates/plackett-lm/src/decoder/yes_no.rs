//! A decoder that judges whether a document answers a query by the probability of "yes": the layout of Qwen3-Reranker.
//!
//! Prompt and score are those of its authors' code (<https://huggingface.co/Qwen/Qwen3-Reranker-0.6B>): the texts stand
//! between a fixed beginning and end, and the score is the softmax of the logits of "yes" and "no" after the last token.
//! Unlike there, control tokens that are written in a text are text: a passage cannot end the user's turn.

use super::cache::Cache;
use super::model::{DecoderModel, DecoderOptions};
use super::request::{Pattern, Places, Request, Wants};
use crate::LmError;
use crate::config::JsonFile;
use crate::decode::Wanted;
use crate::encoder::{ModelInfo, PairScores};
use crate::text::{Truncated, guarded};
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Unless a caller says otherwise, documents are judged by this.
const INSTRUCTION: &str = "Given a web search query, retrieve relevant passages that answer the query";
const BEGIN: &str = "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the \
                     Instruct provided. Note that the answer can only be \"yes\" or \
                     \"no\".<|im_end|>\n<|im_start|>user\n";
const END: &str = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
/// The longest input of the authors' code.
const MOST_TOKENS: usize = 8192;

/// A decoder that scores pairs, ready for calls from any number of threads.
pub struct YesNo {
    model: DecoderModel,
    info: ModelInfo,
    instruction: String,
    begin: Vec<u32>,
    end: Vec<u32>,
    /// Of "yes" and of "no".
    answers: [u32; 2],
    /// Keys and values of the beginning, once there was a call.
    begun: Mutex<Option<Cache>>,
}

impl YesNo {
    /// Opens what [`DecoderModel::open`] opens.
    ///
    /// # Errors
    /// As there; [`LmError::Unsupported`] when the tokenizer has not the tokens that the prompt needs.
    pub fn open(path: impl AsRef<Path>, options: &DecoderOptions) -> Result<YesNo, LmError> {
        let path = path.as_ref();
        let model = DecoderModel::open(path, options)?;
        let answers = YesNo::answers(&model)?;
        let encode = |text| model.tokens().encode(text, false, true);
        let (begin, end) = (encode(BEGIN)?, encode(END)?);
        let written = match path.is_dir() {
            true => JsonFile::open_optional(path, "tokenizer_config.json")?,
            false => None,
        };
        let written = written.and_then(|file| file.value().get("model_max_length").and_then(|v| v.as_u64()));
        let limit = written.map_or(MOST_TOKENS, |limit| MOST_TOKENS.min(limit as usize));
        let info = model.text_info(model.info().hidden, limit, None, true);
        let instruction = INSTRUCTION.to_string();
        Ok(YesNo { model, info, instruction, begin, end, answers, begun: Mutex::default() })
    }

    /// The tokens of "yes" and "no" of a decoder that can score pairs.
    ///
    /// # Errors
    /// [`LmError::Unsupported`] when the tokenizer has not the tokens that the prompt needs.
    pub fn answers(model: &DecoderModel) -> Result<[u32; 2], LmError> {
        let id = |token: &str| {
            model.tokens().tokenizer().token_to_id(token).ok_or_else(|| LmError::Unsupported {
                model: model.info().name.clone(),
                wanted: "score pairs".into(),
                reason: format!(
                    "its tokenizer has no token `{token}`, which the prompt of a yes-or-no reranker needs; give a \
                     cross-encoder or a model like Qwen3-Reranker"
                ),
            })
        };
        id("<|im_start|>")?;
        id("<|im_end|>")?;
        Ok([id("yes")?, id("no")?])
    }

    /// The same with another instruction: what makes a document a good one.
    pub fn with_instruction(mut self, instruction: impl Into<String>) -> YesNo {
        self.instruction = instruction.into();
        self
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
        let between = self.model.tokens().encode(&self.text("", ""), false, false);
        // Where texts meet the words around them they may split otherwise, by a token each time.
        self.begin.len() + between.map_or(0, |tokens| tokens.len()) + self.end.len() + 4
    }

    /// Byte ranges of a text's tokens.
    ///
    /// # Errors
    /// [`LmError::Tokenization`].
    pub fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        let encoding = guarded(|| self.model.tokens().tokenizer().encode(text, false));
        let encoding =
            encoding.map_err(|error| LmError::Tokenization { index: 0, problem: error.to_string() })?;
        Ok(encoding.get_offsets().iter().map(|(start, end)| *start..*end).collect())
    }

    fn text(&self, query: &str, document: &str) -> String {
        format!("<Instruct>: {}\n<Query>: {query}\n<Document>: {document}", self.instruction)
    }

    /// Tokens of a pair without the beginning, and how many the whole has; cut at the end of the document.
    fn encode(&self, (query, document): (&str, &str), most: usize) -> Result<(Vec<u32>, usize), LmError> {
        let mut tokens = self.model.tokens().encode(&self.text(query, document), false, false)?;
        let fixed = self.begin.len() + self.end.len();
        let whole = tokens.len() + fixed;
        tokens.truncate(most - fixed);
        tokens.extend_from_slice(&self.end);
        Ok((tokens, whole))
    }

    /// The beginning, which all pairs continue.
    fn begun(&self) -> Result<Cache, LmError> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = &*begun {
            return Ok(cache.clone());
        }
        let cache = self.model.prefill(&self.begin, None)?;
        Ok(begun.insert(cache).clone())
    }

    /// How well each document answers its query: logits are ln (p(yes) / p(no)), scores p(yes) among the two.
    ///
    /// # Errors
    /// `max_tokens` that leave no room for the pair; a text the tokenizer refuses; the memory budget.
    pub fn score_pairs(
        &self,
        pairs: &[(&str, &str)],
        max_tokens: Option<usize>,
    ) -> Result<PairScores, LmError> {
        let most = max_tokens.unwrap_or(usize::MAX).min(self.info.max_tokens);
        let fixed = self.begin.len() + self.end.len();
        if most <= fixed {
            let problem = format!("max_tokens {most} leaves no room beside the {fixed} tokens of the prompt");
            return Err(LmError::Argument(problem));
        }
        let encode = || pairs.par_iter().map(|pair| self.encode(*pair, most)).collect::<Result<Vec<_>, _>>();
        let encoded = self.model.pool.install(encode)?;
        let begun = self.begun()?;
        let ids = Wanted::Only(&self.answers);
        let wants = Wants { logits_at: Places::Last, ids, ..Wants::default() };
        let mut requests = Vec::with_capacity(pairs.len());
        for (tokens, _) in &encoded {
            let (cache, pattern, wants) = (Some(&begun), Pattern::Causal, wants.clone());
            requests.push(Request { tokens, cache, pattern, adapter: None, wants });
        }
        let mut scored = PairScores::default();
        for (index, (answer, (own, whole))) in
            self.model.forward(&requests)?.into_iter().zip(&encoded).enumerate()
        {
            let kept = self.begin.len() + own.len();
            let logit = match answer.logits.first().map(Vec::as_slice) {
                Some([yes, no]) => yes - no,
                _ => f32::NAN,
            };
            scored.logits.push(logit);
            scored.scores.push(1.0 / (1.0 + f64::from(-logit).exp()));
            scored.tokens.push(kept);
            if kept < *whole {
                scored.truncated.push(Truncated { index, tokens: *whole, kept });
            }
        }
        Ok(scored)
    }
}
