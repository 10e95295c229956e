//! A model of any architecture, and what it gives for one case.

use super::{Case, GoldenError, Kind};
use crate::pipeline::{LocalModel, ModelOptions, is_decoder};
use plackett_lm::decode::{Branch, DecodeModel, LogitIds};
use plackett_lm::decoder::{
    AttentionPattern, DecoderEmbedder, DecoderModel, LmTokenizer, OutputRequest, Positions, Request,
    ScoreHead,
};
use plackett_lm::seq2seq::{self, EncoderDecoder};
use plackett_lm::{EmbedOptions, LmError};
use std::path::Path;

/// An open model.
pub enum Subject {
    /// It gives vectors or scores.
    Texts(LocalModel),
    /// A language model, whatever else its directory makes of it.
    Decoder(Box<DecoderModel>),
    /// An encoder–decoder.
    EncoderDecoder(Box<EncoderDecoder>, String),
}

/// What a model gives for a case.
pub enum Given {
    /// The text's vector.
    Vector(Vec<f32>),
    /// The pair's score before the activation.
    Score(f32),
    /// The text's token ids where there is a tokenizer, and the logits of all tokens that may follow.
    Next(Option<Vec<u32>>, Vec<f32>),
}

impl Subject {
    /// Opens a directory or a GGUF file as what it is.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong.
    pub fn open(path: &Path, options: &ModelOptions) -> Result<Subject, LmError> {
        // The encoders of sentence-t5 are of such a family too.
        let embeds = DecoderEmbedder::is_one(path)?;
        if !embeds && seq2seq::is_directory(path) {
            let name =
                path.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
            let model = EncoderDecoder::open(path, &options.encoder_decoder())?;
            return Ok(Subject::EncoderDecoder(Box::new(model), name));
        }
        // A decoder with a score head writes no text.
        if !embeds && is_decoder(path) && !ScoreHead::is_one(path)? {
            return Ok(Subject::Decoder(Box::new(DecoderModel::open(path, &options.decoder())?)));
        }
        Ok(Subject::Texts(LocalModel::open(path, options)?))
    }

    /// The name of its file or directory.
    pub fn name(&self) -> &str {
        match self {
            Subject::Texts(model) => &model.info().name,
            Subject::Decoder(model) => &model.info().name,
            Subject::EncoderDecoder(_, name) => name,
        }
    }

    /// The numbers of its weights: `f32`, `int8` or `packed`.
    pub fn precision(&self) -> &'static str {
        match self {
            Subject::Texts(model) => model.info().precision,
            Subject::Decoder(model) => model.info().precision,
            Subject::EncoderDecoder(model, _) => model.precision(),
        }
    }

    /// What it gives.
    ///
    /// # Errors
    /// It gives token vectors only.
    pub fn kind(&self) -> Result<Kind, GoldenError> {
        match self {
            Subject::Texts(model) if model.info().cross_encoder => Ok(Kind::PairScores),
            Subject::Texts(model) if model.info().pooling.is_some() => Ok(Kind::Embeddings),
            Subject::Texts(model) => Err(GoldenError::Nothing { model: model.info().name.clone() }),
            Subject::Decoder(_) | Subject::EncoderDecoder(..) => Ok(Kind::NextTokens),
        }
    }

    /// What it gives for a case.
    ///
    /// # Errors
    /// What the model says: a text that its tokenizer refuses, the memory budget.
    pub fn give(&self, case: &Case) -> Result<Given, LmError> {
        match self {
            Subject::Texts(model) if model.info().cross_encoder => {
                let pair = (case.text.as_str(), case.document.as_deref().unwrap_or_default());
                let scores = model.score_pairs(&[pair])?;
                Ok(Given::Score(scores.logits.first().copied().unwrap_or(f32::NAN)))
            }
            Subject::Texts(model) => {
                Ok(Given::Vector(model.embed(&[&case.text], &EmbedOptions::default())?.data))
            }
            Subject::Decoder(model) => next_of_decoder(model, case),
            Subject::EncoderDecoder(model, _) => next_of_both(model, case),
        }
    }
}

fn tokenize(tokens: &LmTokenizer, case: &Case) -> Result<Vec<u32>, LmError> {
    tokens.encode(&case.text, true, true)
}

fn next_of_decoder(model: &DecoderModel, case: &Case) -> Result<Given, LmError> {
    let found = tokenize(model.tokenizer(), case)?;
    let outputs =
        OutputRequest { logits_at: Positions::Last, logit_ids: LogitIds::All, ..OutputRequest::default() };
    // The golden ids where there are any: one fault, one message.
    let tokens = case.ids.as_deref().unwrap_or(&found);
    let request = Request { tokens, cache: None, pattern: AttentionPattern::Causal, adapter: None, outputs };
    let logits = model.forward(&[request])?.pop().and_then(|mut answer| answer.logits.pop());
    Ok(Given::Next(Some(found), logits.unwrap_or_default()))
}

fn next_of_both(model: &EncoderDecoder, case: &Case) -> Result<Given, LmError> {
    let found = model.tokenizer().map(|tokens| tokenize(tokens, case)).transpose()?;
    let source = case.ids.as_deref().or(found.as_deref());
    let source = source.ok_or_else(|| {
        LmError::Argument("the model has no tokenizer.json, and the golden output no `ids`; give one".into())
    })?;
    let mut session = model.session();
    let parent = session.sources(&[source])?.remove(0);
    let branch = Branch { parent, tokens: &[model.start()], logit_ids: LogitIds::All, normalizer: false };
    let logits = session.extend(&[branch], &[])?.pop().map(|extended| extended.logits);
    Ok(Given::Next(found, logits.unwrap_or_default()))
}
