//! The engine's decoders as models of this crate: embedders, and yes-or-no scorers of pairs.

use crate::engine::{pair_scores, prompt_name, text_vectors};
use crate::method::Abilities;
use crate::model::{PairScore, PairScorer, Role, TextEmbedder, TextModel, TextVector, TokenEmbedder};
use plackett_lm::decoder::{DecoderEmbedder, YesNo};
use plackett_lm::{EmbedOptions, LmError};
use std::ops::Range;
use std::sync::Arc;

impl TextModel for DecoderEmbedder {
    fn name(&self) -> &str {
        &self.info().name
    }

    fn max_tokens(&self) -> usize {
        self.info().max_tokens
    }

    fn overhead(&self, role: Role) -> Result<usize, LmError> {
        let prompt = self.prompt(prompt_name(role));
        let words = if prompt.is_empty() { 0 } else { DecoderEmbedder::token_spans(self, prompt)?.len() };
        Ok(words + self.special_tokens())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        DecoderEmbedder::token_spans(self, text)
    }
}

impl TextEmbedder for DecoderEmbedder {
    fn embed_texts(&self, role: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError> {
        let prompt = self.prompt(prompt_name(role)).to_string();
        let options = EmbedOptions { prompt, ..EmbedOptions::default() };
        Ok(text_vectors(&self.embed(texts, &options)?))
    }
}

impl Abilities for DecoderEmbedder {
    fn model_name(&self) -> String {
        self.directory().display().to_string()
    }

    fn text_embedder(self: Arc<Self>) -> Result<Arc<dyn TextEmbedder>, String> {
        Ok(self)
    }

    fn token_embedder(self: Arc<Self>) -> Result<Arc<dyn TokenEmbedder>, String> {
        Err("it is a decoder that gives one vector per text; use bi-encoder".into())
    }

    fn pair_scorer(self: Arc<Self>) -> Result<Arc<dyn PairScorer>, String> {
        Err("it is a decoder that gives one vector per text; use bi-encoder, or give a reranker with --model"
            .into())
    }
}

impl TextModel for YesNo {
    fn name(&self) -> &str {
        &self.info().name
    }

    fn max_tokens(&self) -> usize {
        self.info().max_tokens
    }

    fn overhead(&self, _: Role) -> Result<usize, LmError> {
        Ok(YesNo::pair_overhead(self))
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        YesNo::token_spans(self, text)
    }
}

impl PairScorer for YesNo {
    fn pair_overhead(&self) -> usize {
        YesNo::pair_overhead(self)
    }

    fn score_text_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<PairScore>, LmError> {
        Ok(pair_scores(&self.score_pairs(pairs, None)?))
    }
}

impl Abilities for YesNo {
    fn model_name(&self) -> String {
        self.directory().display().to_string()
    }

    fn text_embedder(self: Arc<Self>) -> Result<Arc<dyn TextEmbedder>, String> {
        Err("it is a decoder without modules.json, which would say how its states become a vector; use \
             cross-encoder, or give an embedding model with --model"
            .into())
    }

    fn token_embedder(self: Arc<Self>) -> Result<Arc<dyn TokenEmbedder>, String> {
        Err("it is a decoder, whose tokens see only what is before them; give a ColBERT-like or embedding model with \
             --model"
            .into())
    }

    fn pair_scorer(self: Arc<Self>) -> Result<Arc<dyn PairScorer>, String> {
        Ok(self)
    }
}
