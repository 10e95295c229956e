//! A decoder that gives one vector per text: the layout of Qwen3-Embedding and others that sentence-transformers writes.

use crate::decoder::model::{DecoderModel, DecoderOptions};
use crate::decoder::request::{AttentionPattern, OutputRequest, Positions, Request};
use crate::encoder::outputs::{EmbedOptions, Embeddings, ModelInfo, NO_TOKENS, split};
use crate::encoder::sentence::Sentence;
use crate::error::LmError;
use crate::files::config::{JsonFile, LogitScore, Pooling};
use crate::text::tokenizer::{Encoded, Text};
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Texts whose states of all tokens are held at once, where all are pooled.
const POOLED_TOGETHER: usize = 32;

/// A decoder, its pooling and its prompts, ready for calls from any number of threads.
pub struct DecoderEmbedder {
    model: Arc<DecoderModel>,
    info: ModelInfo,
    text: Text,
    sentence: Sentence,
    pooling: Pooling,
}

impl DecoderEmbedder {
    /// Whether a path is a directory whose `modules.json` says how texts become vectors. One that scores pairs has such a
    /// file too.
    ///
    /// # Errors
    /// A file is damaged.
    pub fn is_one(path: impl AsRef<Path>) -> Result<bool, LmError> {
        let path = path.as_ref();
        Ok(path.join("modules.json").exists() && LogitScore::open(path)?.is_none())
    }

    /// Opens a directory with `modules.json`. Texts end as the tokenizer's post-processor says.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong; [`LmError::Unsupported`] when attention goes both ways.
    pub fn open(directory: impl AsRef<Path>, options: &DecoderOptions) -> Result<DecoderEmbedder, LmError> {
        let directory = directory.as_ref();
        // Without the file the pooling would be a guess.
        JsonFile::open(directory, "modules.json")?;
        let config = JsonFile::open(directory, "config.json")?;
        let model = Arc::new(DecoderModel::open(directory, options)?);
        let sentence = Sentence::open(directory, model.info().hidden)?;
        let unsupported = |reason: &str| LmError::Unsupported {
            model: model.info().name.clone(),
            wanted: "give one vector per text".into(),
            reason: reason.into(),
        };
        if config.flag("use_bidirectional_attention", false) || !config.flag("is_causal", true) {
            return Err(unsupported("its tokens see each other both ways, which embedders here do not do"));
        }
        let Some(pooling) = sentence.pooling else {
            return Err(unsupported("its modules.json has no pooling"));
        };
        let text = Text::open(directory, sentence.lower_case)?;
        let info = model.text_info(sentence.dim(), sentence.limit, Some(pooling), false);
        Ok(DecoderEmbedder { model, info, text, sentence, pooling })
    }

    /// Facts about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The decoder itself.
    pub fn model(&self) -> &Arc<DecoderModel> {
        &self.model
    }

    /// Where it was opened.
    pub fn directory(&self) -> &Path {
        self.model.path()
    }

    /// The prompt stored under a name (`query`, `document` …); when the name is unknown, the model's default prompt.
    pub fn prompt(&self, name: &str) -> &str {
        self.sentence.prompt(name)
    }

    /// The names of the stored prompts, in order.
    pub fn prompt_names(&self) -> Vec<&str> {
        self.sentence.prompt_names()
    }

    /// Special tokens around a text.
    pub fn special_tokens(&self) -> usize {
        self.text.special_tokens(false)
    }

    /// Byte ranges of a text's tokens, without special tokens and without cutting.
    pub fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        self.text.spans(text)
    }

    /// One vector per text. A text's vector does not depend on the rest of the call, nor on the number of threads.
    ///
    /// # Errors
    /// A text the tokenizer refuses or makes no token of; the memory budget.
    pub fn embed(&self, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, LmError> {
        let most = options.max_tokens.unwrap_or(usize::MAX).min(self.info.max_tokens);
        if most <= self.special_tokens() {
            let special = self.special_tokens();
            return Err(LmError::Argument(format!(
                "max_tokens {most} leaves no room beside the {special} special tokens"
            )));
        }
        let one = |(index, text): (usize, &&str)| -> Result<Encoded, LmError> {
            let encoded = self.text.single(index, (&options.prompt, text), most)?;
            if encoded.sequence.is_empty() {
                return Err(LmError::Tokenization { index, problem: NO_TOKENS.into() });
            }
            Ok(encoded)
        };
        let encoded: Vec<Encoded> =
            self.model.pool.install(|| texts.par_iter().enumerate().map(one).collect::<Result<_, _>>())?;
        let (sequences, tokens, truncated) = split(encoded);
        let skipped = match self.sentence.skips(&options.prompt) {
            true => self.text.prompt_tokens(&options.prompt)?,
            false => 0,
        };
        let ids: Vec<&[u32]> = sequences.iter().map(|sequence| &sequence.ids[..]).collect();
        let mut data = Vec::with_capacity(texts.len() * self.info.dim);
        let together = if self.pools_all() { POOLED_TOGETHER } else { ids.len().max(1) };
        for ids in ids.chunks(together) {
            self.vectors(ids, skipped, &mut data)?;
        }
        Ok(Embeddings { dim: self.info.dim, data, tokens, truncated })
    }

    fn pools_all(&self) -> bool {
        matches!(self.pooling, Pooling::Mean | Pooling::Max)
    }

    fn vectors(&self, texts: &[&[u32]], skipped: usize, out: &mut Vec<f32>) -> Result<(), LmError> {
        let hidden = match self.pooling {
            Pooling::Cls => Positions::At(&[0]),
            Pooling::LastToken => Positions::Last,
            Pooling::Mean | Pooling::Max => Positions::All,
        };
        let outputs = OutputRequest { hidden, ..OutputRequest::default() };
        let mut requests = Vec::with_capacity(texts.len());
        for tokens in texts {
            let outputs = outputs.clone();
            requests.push(Request {
                tokens,
                cache: None,
                pattern: AttentionPattern::Causal,
                adapter: None,
                outputs,
            });
        }
        let width = self.info.hidden;
        let answers = match self.model.forward(&requests) {
            // Their states do not fit together; of each alone they may.
            Err(LmError::MemoryBudgetOfAnswers { .. }) if texts.len() > 1 => {
                let (first, second) = texts.split_at(texts.len() / 2);
                self.vectors(first, skipped, out)?;
                return self.vectors(second, skipped, out);
            }
            answers => answers?,
        };
        for answer in answers {
            // A text cut to less than its prompt keeps its last token.
            let skipped = skipped.min((answer.hidden.len() / width).saturating_sub(1));
            out.extend(self.sentence.vector(self.info.isa, self.pooling, &answer.hidden[skipped * width..]));
        }
        Ok(())
    }
}
