//! A decoder as a model that reads prompts.

mod attention;
mod generate;
mod parts;
mod prefixes;
pub(crate) mod stored;
mod text;
mod vectors;

use self::prefixes::{Sequence, run};
use self::stored::StoredBlocks;
use self::text::Reader;
use crate::model::{
    AttentionMass, AttentionRequest, CallError, ContinuationRequest, Generated, GenerationOptions,
    GenerationRequest, LabelLogits, LabelRequest, LanguageModel, Likelihood, Need, Prompt, PromptVector,
    Replies, StoredBlockPrompt, Usage, VectorRequest, all_failed,
};
use plackett_lm::LmError;
use plackett_lm::decode::{LogitIds, TokenBytes};
use plackett_lm::decoder::DecoderModel;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A decoder that reads prompts.
pub(crate) struct DecoderLanguage {
    model: Arc<DecoderModel>,
    /// What tokens write, once something is generated.
    bytes: OnceLock<Result<Arc<TokenBytes>, CallError>>,
    /// Documents whose keys and values an index has.
    stored: Option<StoredBlocks>,
    /// Beginnings that prompts of a call have in common are computed once.
    share: bool,
}

impl DecoderLanguage {
    pub fn new(model: Arc<DecoderModel>) -> DecoderLanguage {
        DecoderLanguage { model, bytes: OnceLock::new(), stored: None, share: true }
    }

    /// The same that does not compute what an index has.
    pub fn with_stored(model: Arc<DecoderModel>, stored: StoredBlocks) -> DecoderLanguage {
        DecoderLanguage { stored: Some(stored), ..DecoderLanguage::new(model) }
    }

    /// The same that computes every prompt for itself.
    pub fn without_sharing(model: Arc<DecoderModel>) -> DecoderLanguage {
        DecoderLanguage { share: false, ..DecoderLanguage::new(model) }
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(self.model.tokenizer())
    }

    /// The tokens of a prompt.
    pub fn prompt_tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, CallError> {
        Ok(self.reader().encode(prompt)?.ids)
    }

    fn bytes(&self) -> Result<Arc<TokenBytes>, CallError> {
        let read = || {
            let tokens = self.model.tokenizer();
            let bytes = tokens.bytes()?.without(tokens.ends()).map_err(LmError::from)?;
            Ok(Arc::new(bytes))
        };
        self.bytes.get_or_init(read).clone()
    }

    /// Refuses a prompt that leaves no room for its answer.
    fn room(&self, prompt: usize, answer: usize) -> Result<(), CallError> {
        let limit = self.model.info().positions;
        if prompt + answer > limit {
            return Err(CallError::TooLong { tokens: prompt, answer, limit });
        }
        Ok(())
    }
}

/// A prompt with labels, or with its continuation, as tokens.
struct Encoded {
    /// What goes through the model.
    tokens: Vec<u32>,
    /// Of the prompt.
    prompt: usize,
    /// Labels, or the tokens of the continuation.
    ids: Vec<u32>,
    /// After how many of the last tokens logits are read.
    read: usize,
    /// Also over the whole vocabulary.
    normalizer: bool,
}

/// Runs those requests that could be encoded, and gives each its answer.
fn answered<T>(
    (model, share): (&DecoderModel, bool),
    encoded: Vec<Result<Encoded, CallError>>,
    read: impl Fn(&Encoded, &prefixes::Output, Usage) -> Result<T, CallError>,
) -> Replies<T> {
    let sequences: Vec<Sequence<'_>> = encoded
        .iter()
        .flatten()
        .map(|one| Sequence {
            tokens: &one.tokens,
            read: one.read,
            ids: LogitIds::Only(&one.ids),
            normalizer: one.normalizer,
        })
        .collect();
    let outputs = match run(model, &sequences, share) {
        Ok(outputs) => outputs,
        Err(error) => {
            let error = CallError::from(error);
            return encoded.into_iter().map(|one| one.and(Err(error.clone()))).collect();
        }
    };
    let mut outputs = outputs.into_iter();
    let reply = |one: &Result<Encoded, CallError>| {
        let one = one.as_ref().map_err(Clone::clone)?;
        let Some(output) = outputs.next() else {
            return Err(CallError::Argument("the model gave too few answers".into()));
        };
        let usage = Usage { prompt_tokens: one.prompt, cached_tokens: output.cached, ..Usage::default() };
        read(one, &output, usage)
    };
    encoded.iter().map(reply).collect()
}

impl LanguageModel for DecoderLanguage {
    fn name(&self) -> &str {
        &self.model.info().name
    }

    fn can(&self, need: Need) -> Result<(), String> {
        match need {
            Need::LabelLogits
            | Need::Likelihoods
            | Need::Generation
            | Need::ConstrainedGeneration
            | Need::Attention
            | Need::PromptVectors
            | Need::Tokenizer => Ok(()),
            other => Err(format!("decoders do not give {other} to methods with prompts")),
        }
    }

    fn has_chat_template(&self) -> bool {
        self.model.tokenizer().chat().is_ok()
    }

    fn max_tokens(&self) -> Option<usize> {
        Some(self.model.info().positions)
    }

    fn count_tokens(&self, prompts: &[&Prompt]) -> Result<Vec<usize>, CallError> {
        prompts.par_iter().map(|prompt| Ok(self.reader().encode(prompt)?.ids.len())).collect()
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, CallError> {
        Ok(self.model.tokenizer().spans(text)?)
    }

    fn written(&self, prompt: &Prompt) -> Result<Option<String>, CallError> {
        Ok(Some(self.reader().written(prompt)?))
    }

    fn tokens_after(&self, prompt: &Prompt, texts: &[&str]) -> Result<(Vec<u32>, Vec<Vec<u32>>), CallError> {
        let reader = self.reader();
        let prompt = reader.encode(prompt)?;
        let after = texts.iter().map(|text| reader.continuation(&prompt, text)).collect::<Result<_, _>>()?;
        Ok((prompt.ids, after))
    }

    fn label_logits(&self, requests: &[LabelRequest<'_>]) -> Replies<LabelLogits> {
        let reader = self.reader();
        let encode = |request: &LabelRequest<'_>| {
            let prompt = reader.encode(request.prompt)?;
            self.room(prompt.ids.len(), 1)?;
            let ids = request.labels.iter().map(|label| reader.label(&prompt, label));
            let ids = ids.collect::<Result<Vec<u32>, CallError>>()?;
            let normalizer = request.normalizer;
            Ok(Encoded { prompt: prompt.ids.len(), tokens: prompt.ids, ids, read: 1, normalizer })
        };
        let encoded: Vec<Result<Encoded, CallError>> = requests.par_iter().map(encode).collect();
        answered((&self.model, self.share), encoded, |_, output, usage| {
            let logits =
                output.logits.first().into_iter().flatten().map(|logit| Some(f64::from(*logit))).collect();
            let log_normalizer = output.normalizers.first().copied();
            Ok(LabelLogits { logits, at_most: None, log_normalizer, usage })
        })
    }

    fn log_likelihoods(&self, requests: &[ContinuationRequest<'_>]) -> Replies<Likelihood> {
        let reader = self.reader();
        let encode = |request: &ContinuationRequest<'_>| {
            let prompt = reader.encode(request.prompt)?;
            let ids = reader.continuation(&prompt, request.continuation)?;
            self.room(prompt.ids.len(), ids.len())?;
            let (count, mut tokens) = (prompt.ids.len(), prompt.ids);
            tokens.extend(&ids[..ids.len() - 1]);
            let read = ids.len();
            Ok(Encoded { prompt: count, tokens, ids, read, normalizer: true })
        };
        let encoded: Vec<Result<Encoded, CallError>> = requests.par_iter().map(encode).collect();
        answered((&self.model, self.share), encoded, |one, output, usage| {
            // At each place the logit of the token that follows there.
            let places = output.logits.iter().zip(&output.normalizers).enumerate();
            let each =
                places.map(|(n, (row, all))| row.get(n).map_or(f64::NAN, |logit| f64::from(*logit)) - all);
            Ok(Likelihood { log_prob: each.sum(), tokens: one.ids.len(), usage })
        })
    }

    fn generate(
        &self,
        requests: &[GenerationRequest<'_>],
        options: &GenerationOptions,
    ) -> Replies<Generated> {
        match self.bytes() {
            Ok(bytes) => generate::generate((&self.model, self.share), &bytes, requests, options),
            Err(error) => all_failed(requests.len(), error),
        }
    }

    fn attention(&self, requests: &[AttentionRequest<'_>]) -> Replies<AttentionMass> {
        attention::attention(&self.model, self.stored.as_ref(), requests)
    }

    fn stored_blocks(&self) -> Option<&StoredBlockPrompt> {
        self.stored.as_ref().map(StoredBlocks::prompt)
    }

    fn prompt_vectors(&self, requests: &[VectorRequest<'_>]) -> Replies<PromptVector> {
        vectors::vectors(&self.model, requests)
    }

    fn vector_facts(&self) -> Vec<(String, String)> {
        vectors::facts(self.model.tokenizer())
    }
}
