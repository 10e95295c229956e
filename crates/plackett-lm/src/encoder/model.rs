//! An encoder model: open a directory, then embed texts, score pairs, or get token vectors.

use crate::encoder::heads::{ScoreActivation, Scorer, reads};
use crate::encoder::late::LateSettings;
use crate::encoder::outputs::{
    EmbedOptions, Embeddings, ModelInfo, NO_TOKENS, PairScores, Side, TokenEmbeddings, split,
};
use crate::encoder::pass::{Buffers, Pass, Read};
use crate::encoder::sentence::Sentence;
use crate::error::LmError;
use crate::family::encoder::Family;
use crate::files::config::{JsonFile, Pooling};
use crate::files::factors::FactorizedLayer;
use crate::files::weights::WeightSet;
use crate::text::sequence::Sequence;
use crate::text::tokenizer::{Encoded, Text};
use plackett_kernel::Precision;
use plackett_kernel::{Isa, normalize};
use rayon::prelude::*;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How a model is opened.
#[derive(Clone, Debug, Default)]
pub struct EncoderOptions {
    /// Number format of the weights.
    pub precision: Precision,
    /// Worker threads; all cores when absent.
    pub threads: Option<usize>,
    /// Bytes that weights and buffers may take together; unlimited when absent (buffers are then a few MiB a thread).
    pub memory_budget: Option<usize>,
}

/// An encoder, ready for calls from any number of threads.
pub struct EncoderModel {
    info: ModelInfo,
    directory: PathBuf,
    family: Box<dyn Family>,
    text: Text,
    pool: rayon::ThreadPool,
    buffers: Buffers,
    memory_budget: Option<usize>,
    sentence: Sentence,
    scorer: Option<Scorer>,
    late: LateSettings,
    factorized: Vec<FactorizedLayer>,
}

impl EncoderModel {
    /// Works on this model's threads.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }

    /// Opens a Hugging Face or sentence-transformers directory, f32 or quantised.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong.
    pub fn open(directory: impl AsRef<Path>, options: &EncoderOptions) -> Result<EncoderModel, LmError> {
        let directory = directory.as_ref();
        let config = JsonFile::open(directory, "config.json")?;
        let weights = WeightSet::open(directory)?;
        crate::files::int8_format::check_format(&weights, directory)?;
        let family = crate::family::encoder_families::open(&config, &weights, options.precision)?;
        let mut sentence = Sentence::open(directory, family.shape().hidden)?;
        let scorer = match sentence.take_scorer()? {
            Some(scorer) => Some(scorer),
            None => Scorer::open(&config, &weights)?,
        };
        let text = Text::open(directory, sentence.lower_case)?;
        text.check_vocabulary(family.vocabulary())?;
        let threads = options.threads.unwrap_or(0);
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("plackett-lm-{i}"));
        let pool =
            pool.build().map_err(|e| LmError::Argument(format!("cannot start {threads} threads: {e}")))?;
        let shape = family.shape();
        let precision = family.matrices().iter().map(|m| m.numbers()).find(|n| *n != "f32").unwrap_or("f32");
        let info = ModelInfo {
            name: directory.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned()),
            family: config.text("model_type").unwrap_or_default().to_string(),
            layers: shape.layers,
            hidden: shape.hidden,
            dim: sentence.dim(),
            max_tokens: family.positions().min(sentence.limit),
            pooling: sentence.pooling,
            cross_encoder: scorer.is_some(),
            precision,
            weight_bytes: weights.bytes(),
            isa: Isa::detect(),
            threads: pool.current_num_threads(),
        };
        Ok(EncoderModel {
            info,
            directory: directory.to_path_buf(),
            late: LateSettings::open(sentence.settings.as_ref(), &text)?,
            family,
            text,
            pool,
            buffers: Buffers::default(),
            memory_budget: options.memory_budget,
            sentence,
            scorer,
            factorized: weights.factorized(),
        })
    }

    /// Facts about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The linear layers whose weights are two factors, in the order of their names.
    pub fn factorized(&self) -> &[FactorizedLayer] {
        &self.factorized
    }

    /// Where it was opened.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The prompt stored under a name (`query`, `document` …); when the name is unknown, the model's default prompt.
    pub fn prompt(&self, name: &str) -> &str {
        self.sentence.prompt(name)
    }

    /// The names of the stored prompts, in order.
    pub fn prompt_names(&self) -> Vec<&str> {
        self.sentence.prompt_names()
    }

    /// Special tokens around one text, or around and between a pair.
    pub fn special_tokens(&self, pair: bool) -> usize {
        self.text.special_tokens(pair)
    }

    /// Byte ranges of a text's tokens, without special tokens and without cutting.
    pub fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        self.text.spans(text)
    }

    /// One vector per text. A text's vector does not depend on the rest of the call, nor on the number of threads.
    ///
    /// # Errors
    /// A late-interaction model has no pooled vector; a text the tokenizer refuses; the memory budget.
    pub fn embed(&self, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, LmError> {
        let Some(pooling) = self.info.pooling else {
            return Err(self.unsupported(
                "give one vector per text",
                "it keeps a vector per token: use late-interaction",
            ));
        };
        let most = self.most_tokens(options.max_tokens, false)?;
        let encoded = self.encode(texts.len(), |i| self.text.single(i, (&options.prompt, texts[i]), most))?;
        let (sequences, tokens, truncated) = split(encoded);
        let skipped = match self.sentence.skips(&options.prompt) {
            true => self.text.prompt_tokens(&options.prompt)?,
            false => 0,
        };
        let hidden = self.info.hidden;
        let read = if skipped == 0 { reads(pooling) } else { Read::All };
        let vectors = self.run(&sequences, read, |_, states| {
            // A text cut to less than its prompt keeps its last token.
            let skipped = skipped.min((states.len() / hidden).saturating_sub(1));
            self.sentence.vector(self.info.isa, pooling, &states[skipped * hidden..])
        })?;
        Ok(Embeddings { dim: self.info.dim, data: vectors.concat(), tokens, truncated })
    }

    /// How well each pair of (query, document) fits.
    ///
    /// # Errors
    /// The model has no classification head with one output; a text the tokenizer refuses; the memory budget.
    pub fn score_pairs(
        &self,
        pairs: &[(&str, &str)],
        max_tokens: Option<usize>,
    ) -> Result<PairScores, LmError> {
        let Some(scorer) = &self.scorer else {
            return Err(self.unsupported(
                "score pairs",
                "its weights have no classification head with one output; give a cross-encoder",
            ));
        };
        let most = self.most_tokens(max_tokens, true)?;
        let encoded = self.encode(pairs.len(), |i| self.text.pair(i, pairs[i], most))?;
        let (sequences, tokens, truncated) = split(encoded);
        let isa = self.info.isa;
        let hidden = self.info.hidden;
        let read = |_, states: &[f32]| scorer.logit(isa, states, hidden);
        let logits = self.run(&sequences, scorer.reads(), read)?;
        let scores = logits.iter().map(|logit| scorer.score.apply(*logit)).collect();
        Ok(PairScores { logits, scores, tokens, truncated })
    }

    /// The activation of [`PairScores::scores`].
    pub fn score_activation(&self) -> Option<ScoreActivation> {
        self.scorer.as_ref().map(|scorer| scorer.score)
    }

    /// One vector of length 1 per token (late interaction). A ColBERT-like model's prefixes, lengths, query expansion
    /// and skip list are applied; another model's special tokens are left out.
    ///
    /// # Errors
    /// A text the tokenizer refuses; the memory budget.
    pub fn token_embeddings(
        &self,
        texts: &[&str],
        side: Side,
        max_tokens: Option<usize>,
    ) -> Result<TokenEmbeddings, LmError> {
        let most = self.most_tokens(max_tokens, false)?;
        let encoded = self.encode(texts.len(), |i| self.late.encode(&self.text, i, texts[i], side, most))?;
        let (sequences, tokens, truncated) = split(encoded);
        let special = self.special_tokens(false);
        let data = self.run(&sequences, Read::All, |index, states| {
            let kept = self.late.kept(&sequences[index], side, special);
            let hidden = self.info.hidden;
            let rows: Vec<f32> = kept
                .into_iter()
                .flat_map(|row| states[row * hidden..(row + 1) * hidden].iter().copied())
                .collect();
            let mut rows = self.sentence.project(self.info.isa, rows);
            rows.chunks_exact_mut(self.info.dim).for_each(|row| normalize(self.info.isa, row));
            rows
        })?;
        Ok(TokenEmbeddings { dim: self.info.dim, data, tokens, truncated })
    }

    /// Vectors of token sequences that were made elsewhere: for measurements and for callers with their own tokenizer.
    ///
    /// # Errors
    /// An id beyond the vocabulary, an empty or too long sequence, the memory budget.
    pub fn embed_sequences(&self, sequences: &[Sequence]) -> Result<Vec<Vec<f32>>, LmError> {
        let pooling = self.info.pooling.unwrap_or(Pooling::Mean);
        let read = |_, states: &[f32]| self.sentence.vector(self.info.isa, pooling, states);
        self.run(sequences, reads(pooling), read)
    }

    /// The token sequences that [`EncoderModel::embed`] would run.
    pub fn sequences(&self, texts: &[&str], options: &EmbedOptions) -> Result<Vec<Sequence>, LmError> {
        let most = self.most_tokens(options.max_tokens, false)?;
        let encoded = self.encode(texts.len(), |i| self.text.single(i, (&options.prompt, texts[i]), most))?;
        Ok(split(encoded).0)
    }

    /// Does nothing but the matrix products that `tokens` tokens need, on all threads: the floor of a pass, for
    /// measurements of how close it comes.
    pub fn products_alone(&self, tokens: usize) {
        self.pass(usize::MAX, Read::All).products_alone(tokens);
    }

    /// Hidden states after `layers` layers (`tokens × hidden` per sequence): early exit, probing.
    pub fn hidden_states(&self, sequences: &[Sequence], layers: usize) -> Result<Vec<Vec<f32>>, LmError> {
        self.check(sequences)?;
        self.pass(layers, Read::All).run(sequences, |_, states| states.to_vec())
    }

    /// The id of a token such as `[unused0]`, where the tokenizer has it.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.text.id(token)
    }

    /// States of tokens that are put before texts, at the first positions of their sequences: one row for each of them
    /// (`leading × hidden` numbers a text). Texts keep their special tokens and are cut at the end.
    ///
    /// # Errors
    /// No room beside the tokens; a text the tokenizer refuses; an id beyond the vocabulary; the memory budget.
    pub fn leading_states(
        &self,
        leading: &[u32],
        texts: &[&str],
        max_tokens: Option<usize>,
    ) -> Result<Embeddings, LmError> {
        let most = max_tokens.unwrap_or(usize::MAX).min(self.info.max_tokens);
        let most = self.most_tokens(Some(most.saturating_sub(leading.len())), false)?;
        let encoded = self.encode(texts.len(), |i| self.text.single(i, ("", texts[i]), most))?;
        let (mut sequences, mut tokens, mut truncated) = split(encoded);
        for sequence in &mut sequences {
            let ids = leading.iter().chain(&sequence.ids).copied().collect();
            *sequence = Sequence::single(ids);
        }
        tokens.iter_mut().for_each(|count| *count += leading.len());
        for cut in &mut truncated {
            cut.tokens += leading.len();
            cut.kept += leading.len();
        }
        let dim = leading.len() * self.info.hidden;
        let read = |_, states: &[f32]| states.get(..dim).unwrap_or(states).to_vec();
        let states = self.run(&sequences, Read::All, read)?;
        Ok(Embeddings { dim, data: states.concat(), tokens, truncated })
    }

    /// Sequences come from callers, and from tokenizers whose post-processor can name any id any number of times.
    fn check(&self, sequences: &[Sequence]) -> Result<(), LmError> {
        let (vocabulary, positions) = (self.family.vocabulary(), self.family.positions());
        for (index, sequence) in sequences.iter().enumerate() {
            if sequence.is_empty() || sequence.visible == 0 {
                return Err(LmError::Tokenization { index, problem: NO_TOKENS.into() });
            }
            let fits = sequence.len() <= positions
                && sequence.types.len() == sequence.len()
                && sequence.visible <= sequence.len()
                && sequence.ids.iter().all(|id| (*id as usize) < vocabulary);
            if !fits {
                let problem = format!(
                    "its tokens do not fit the model, which takes at most {positions} ids below {vocabulary} with as \
                     many types; give the tokenizer of this model"
                );
                return Err(LmError::Tokenization { index, problem });
            }
        }
        Ok(())
    }

    fn most_tokens(&self, asked: Option<usize>, pair: bool) -> Result<usize, LmError> {
        let most = asked.unwrap_or(usize::MAX).min(self.info.max_tokens);
        let special = self.special_tokens(pair);
        if most <= special {
            let problem = format!("max_tokens {most} leaves no room beside the {special} special tokens");
            return Err(LmError::Argument(problem));
        }
        Ok(most)
    }

    fn encode(
        &self,
        count: usize,
        one: impl Fn(usize) -> Result<Encoded, LmError> + Sync + Send,
    ) -> Result<Vec<Encoded>, LmError> {
        self.pool.install(|| (0..count).into_par_iter().map(one).collect())
    }

    fn pass(&self, layers: usize, tokens: Read) -> Pass<'_> {
        Pass {
            family: self.family.as_ref(),
            isa: self.info.isa,
            pool: &self.pool,
            buffers: &self.buffers,
            memory_budget: self.memory_budget,
            layers,
            tokens,
        }
    }

    fn run<R: Send>(
        &self,
        sequences: &[Sequence],
        tokens: Read,
        read: impl Fn(usize, &[f32]) -> R + Sync,
    ) -> Result<Vec<R>, LmError> {
        self.check(sequences)?;
        self.pass(usize::MAX, tokens).run(sequences, read)
    }

    fn unsupported(&self, wanted: &str, reason: &str) -> LmError {
        LmError::Unsupported { model: self.info.name.clone(), wanted: wanted.into(), reason: reason.into() }
    }
}
