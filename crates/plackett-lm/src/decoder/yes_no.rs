//! A decoder that judges whether a document answers a query by the probability of "yes": the layout of Qwen3-Reranker.
//!
//! Prompt and score are those of its authors' code (<https://huggingface.co/Qwen/Qwen3-Reranker-0.6B>): the texts stand
//! between a fixed beginning and end, and the score is the softmax of the logits of "yes" and "no" after the last token.
//! Unlike there, control tokens that are written in a text are text: a passage cannot end the user's turn.

use crate::decode::model::LogitIds;
use crate::decoder::kv::cache::KvCache;
use crate::decoder::model::{DecoderModel, DecoderOptions};
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
    model: Arc<DecoderModel>,
    info: ModelInfo,
    instruction: String,
    begin: Vec<u32>,
    end: Vec<u32>,
    /// Of "yes" and of "no".
    answers: [u32; 2],
    /// Keys and values of the beginning, once there was a call.
    begun: Mutex<Option<KvCache>>,
}

impl YesNo {
    /// Opens what [`DecoderModel::open`] opens.
    ///
    /// # Errors
    /// As there; [`LmError::Unsupported`] when the tokenizer has not the tokens that the prompt needs.
    pub fn open(path: impl AsRef<Path>, options: &DecoderOptions) -> Result<YesNo, LmError> {
        YesNo::new(Arc::new(DecoderModel::open(path, options)?))
    }

    /// The same of an open decoder, which others may use too.
    ///
    /// # Errors
    /// [`LmError::Unsupported`] when the tokenizer has not the tokens that the prompt needs.
    pub fn new(model: Arc<DecoderModel>) -> Result<YesNo, LmError> {
        let path = model.path();
        let answers = YesNo::answers(&model)?;
        let encode = |text| model.tokenizer().encode(text, false, true);
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
            model.tokenizer().backend().token_to_id(token).ok_or_else(|| LmError::Unsupported {
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

    /// What makes a document a good one, in the prompt's words.
    pub fn instruction(&self) -> &str {
        &self.instruction
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
        let between = self.model.tokenizer().encode(&self.text("", ""), false, false);
        // Where texts meet the words around them they may split otherwise, by a token each time.
        self.begin.len() + between.map_or(0, |tokens| tokens.len()) + self.end.len() + 4
    }

    /// Byte ranges of a text's tokens.
    ///
    /// # Errors
    /// [`LmError::Tokenization`].
    pub fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        self.model.tokenizer().spans(text)
    }

    fn text(&self, query: &str, document: &str) -> String {
        format!("<Instruct>: {}\n<Query>: {query}\n<Document>: {document}", self.instruction)
    }

    /// Tokens of a pair without the beginning, how many the whole has and whether that is an estimate; cut at the end of
    /// the document.
    fn encode(
        &self,
        (query, document): (&str, &str),
        most: usize,
    ) -> Result<(Vec<u32>, usize, bool), LmError> {
        let encode = |text: &str| self.model.tokenizer().encode(text, false, false);
        let Beginning { mut tokens, estimate } =
            beginning(&self.text(query, document), most, encode, Vec::len)?;
        let fixed = self.begin.len() + self.end.len();
        let whole = estimate.unwrap_or(tokens.len()) + fixed;
        tokens.truncate(most - fixed);
        tokens.extend_from_slice(&self.end);
        Ok((tokens, whole, estimate.is_some()))
    }

    /// The beginning, which all pairs continue.
    fn begun(&self) -> Result<KvCache, LmError> {
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
        let logit_ids = LogitIds::Only(&self.answers);
        let outputs = OutputRequest { logits_at: Positions::Last, logit_ids, ..OutputRequest::default() };
        let mut requests = Vec::with_capacity(pairs.len());
        for (tokens, ..) in &encoded {
            let (cache, pattern, outputs) = (Some(&begun), AttentionPattern::Causal, outputs.clone());
            requests.push(Request { tokens, cache, pattern, adapter: None, outputs });
        }
        let mut scored = PairScores::default();
        for (index, (answer, (own, whole, estimated))) in
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
                scored.truncated.push(Truncated { index, tokens: *whole, kept, estimated: *estimated });
            }
        }
        Ok(scored)
    }
}
