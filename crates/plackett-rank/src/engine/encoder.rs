//! The engine's encoders as models of this crate.

use super::encoder_language::EncoderLanguage;
use crate::model::{
    Abilities, LanguageModel, PairScore, PairScorer, Role, TextEmbedder, TextLength, TextModel, TextVector,
    TokenEmbedder, TokenVectors,
};
use plackett_lm::{EmbedOptions, Embeddings, EncoderModel, LmError, PairScores, Side, Truncated};
use std::ops::Range;
use std::sync::Arc;

/// The name under which sentence-transformers directories keep the prompt of a role.
pub(crate) fn prompt_name(role: Role) -> &'static str {
    match role {
        Role::Query => "query",
        Role::Document => "document",
    }
}

fn prompt(model: &EncoderModel, role: Role) -> &str {
    model.prompt(prompt_name(role))
}

/// The vectors of a call, text by text.
pub(crate) fn text_vectors(embedded: &Embeddings) -> Vec<TextVector> {
    let lengths = lengths(&embedded.tokens, &embedded.truncated);
    let rows = embedded.data.chunks_exact(embedded.dim.max(1));
    rows.zip(lengths).map(|(row, length)| TextVector { values: row.to_vec(), length }).collect()
}

/// The answers of a call, pair by pair.
pub(crate) fn pair_scores(scored: &PairScores) -> Vec<PairScore> {
    let lengths = lengths(&scored.tokens, &scored.truncated);
    let scores = scored.logits.iter().zip(&scored.scores).zip(lengths);
    scores
        .map(|((&logit, &activated), length)| PairScore { logit: f64::from(logit), activated, length })
        .collect()
}

/// Lengths of a call's texts, from what the model saw and the list of those that were cut.
fn lengths(tokens: &[usize], truncated: &[Truncated]) -> Vec<TextLength> {
    let mut lengths: Vec<TextLength> =
        tokens.iter().map(|&kept| TextLength { tokens: kept, kept, estimated: false }).collect();
    for cut in truncated {
        if let Some(length) = lengths.get_mut(cut.index) {
            *length = TextLength { tokens: cut.tokens, kept: cut.kept, estimated: cut.estimated };
        }
    }
    lengths
}

impl TextModel for EncoderModel {
    fn name(&self) -> &str {
        &self.info().name
    }

    fn max_tokens(&self) -> usize {
        self.info().max_tokens
    }

    fn overhead(&self, role: Role) -> Result<usize, LmError> {
        let prompt = prompt(self, role);
        let words = if prompt.is_empty() { 0 } else { EncoderModel::token_spans(self, prompt)?.len() };
        Ok(words + self.special_tokens(false))
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        EncoderModel::token_spans(self, text)
    }

    fn facts(&self) -> Vec<(String, String)> {
        if self.info().cross_encoder || self.directory().join("modules.json").exists() {
            return Vec::new();
        }
        let assumed = "mean of all tokens; the model has no modules.json, which would say";
        vec![("pooling".into(), assumed.into())]
    }
}

impl TextEmbedder for EncoderModel {
    fn embed_texts(&self, role: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError> {
        let options = EmbedOptions { prompt: prompt(self, role).to_string(), ..EmbedOptions::default() };
        Ok(text_vectors(&self.embed(texts, &options)?))
    }
}

impl TokenEmbedder for EncoderModel {
    fn embed_tokens(&self, role: Role, texts: &[&str]) -> Result<Vec<TokenVectors>, LmError> {
        let side = match role {
            Role::Query => Side::Query,
            Role::Document => Side::Document,
        };
        let embedded = self.token_embeddings(texts, side, None)?;
        let lengths = lengths(&embedded.tokens, &embedded.truncated);
        let vectors = |(values, length)| TokenVectors { dimension: embedded.dim, values, length };
        Ok(embedded.data.into_iter().zip(lengths).map(vectors).collect())
    }

    fn token_facts(&self) -> Vec<(String, String)> {
        match self.info().pooling {
            None => Vec::new(),
            Some(_) => {
                let what = "those of an embedding model, which was trained for one vector per text";
                vec![("token-vectors".into(), what.into())]
            }
        }
    }
}

impl PairScorer for EncoderModel {
    fn pair_overhead(&self) -> usize {
        self.special_tokens(true)
    }

    fn score_text_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<PairScore>, LmError> {
        Ok(pair_scores(&self.score_pairs(pairs, None)?))
    }
}

impl Abilities for EncoderModel {
    fn model_name(&self) -> String {
        self.directory().display().to_string()
    }

    fn text_embedder(self: Arc<Self>) -> Result<Arc<dyn TextEmbedder>, String> {
        match self.info() {
            info if info.cross_encoder => Err("it is a cross-encoder, which scores pairs; use it with cross-encoder, \
                                               or give an embedding model with --model"
                .into()),
            info if info.pooling.is_none() => {
                Err("it keeps one vector per token; use late-interaction, or give an embedding model with --model".into())
            }
            _ => Ok(self),
        }
    }

    fn token_embedder(self: Arc<Self>) -> Result<Arc<dyn TokenEmbedder>, String> {
        if self.info().cross_encoder {
            return Err(
                "it is a cross-encoder, which scores pairs; use it with cross-encoder, or give a ColBERT-like or \
                 embedding model with --model"
                    .into(),
            );
        }
        Ok(self)
    }

    /// Of prompts it gives vectors, and refuses everything else.
    fn language_model(self: Arc<Self>) -> Result<Arc<dyn LanguageModel>, String> {
        Ok(Arc::new(EncoderLanguage::new(self)))
    }

    fn pair_scorer(self: Arc<Self>, _: Option<&str>) -> Result<Arc<dyn PairScorer>, String> {
        if !self.info().cross_encoder {
            return Err("its weights have no classification head with one output; give a cross-encoder with --model, such \
                        as cross-encoder/ms-marco-MiniLM-L6-v2"
                .into());
        }
        Ok(self)
    }
}
