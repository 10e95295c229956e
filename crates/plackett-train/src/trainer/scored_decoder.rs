//! A decoder that scores a query and a document by the state of the last token of both (RankLLaMA: Ma and others, Fine-Tuning LLaMA for
//! Multi-Stage Text Retrieval, 2023, equation 2).

use super::{EncodedPair, LanguageModel, PairModel};
use crate::TrainError;
use crate::adapter::Adaptable;
use crate::engine::Engine;
use crate::nn::{Initializer, Linear, Mode, SafetensorsSource, TokenBatch};
use crate::tape::{Parameters, Tape, Var};
use plackett_lm::LmError;
use plackett_lm::decoder::{LmTokenizer, PAIR_PROMPT_KEY, PairPrompt, PairTokens, ScoreHead};
use serde_json::json;
use std::path::Path;

/// The head's name, as in Hugging Face's files.
const HEAD: &str = "score";

/// A decoder with one score.
pub struct ScoredDecoder {
    decoder: LanguageModel,
    score: Linear,
    tokenizer: LmTokenizer,
    pairs: PairTokens,
    /// Most tokens of a pair.
    most: usize,
}

impl ScoredDecoder {
    /// Opens a decoder as [`LanguageModel::open`] does, without its output matrix. A head that it has is taken, else one is drawn by the
    /// seed. Pairs stand in `prompt`, and are cut to `most` tokens at the end of the document.
    ///
    /// # Errors
    /// A file is missing or damaged, the model is of a family that cannot be trained, its tokenizer lacks a token of the prompt, or
    /// `most` has no room for a pair.
    pub fn open(
        path: &Path,
        parameters: &mut Parameters,
        prompt: &'static PairPrompt,
        most: usize,
        seed: u64,
    ) -> Result<ScoredDecoder, TrainError> {
        let decoder = LanguageModel::open_without_output(path, parameters)?;
        let shape = (1, decoder.llama.config.hidden_size);
        let score = match ScoreHead::is_one(path).map_err(|error| failed(path, error))? {
            true => {
                let mut source = SafetensorsSource::open(&path.join("model.safetensors"))?;
                Linear::load(parameters, &mut source, HEAD, shape, false)?
            }
            false => Linear::load(parameters, &mut Initializer::new(seed), HEAD, shape, false)?,
        };
        let of = |error: LmError| failed(path, error);
        let tokenizer = LmTokenizer::of(decoder.tokenizer().clone(), decoder.end()).map_err(of)?;
        let pairs = PairTokens::new(&tokenizer, "the model", prompt, None).map_err(of)?;
        let (most, fixed) = (most.min(decoder.context()), pairs.frame_tokens());
        if most <= fixed {
            return Err(TrainError::Setting(format!(
                "tokens: {most} leave no room for a pair beside the {fixed} tokens of the prompt `{}`; give more",
                prompt.name
            )));
        }
        Ok(ScoredDecoder { decoder, score, tokenizer, pairs, most })
    }

    /// Scores of pairs of a query and a text, without training.
    ///
    /// # Errors
    /// A text cannot be split into tokens.
    #[cfg(test)]
    pub fn scores(
        &self,
        compute: &std::sync::Arc<crate::tape::Compute>,
        parameters: &Parameters,
        pairs: &[(&str, &str)],
    ) -> Result<Vec<f32>, TrainError> {
        let encoded =
            pairs.iter().map(|(query, text)| self.encode(query, text)).collect::<Result<Vec<_>, _>>()?;
        if encoded.is_empty() {
            return Ok(Vec::new());
        }
        let (tape, encoded) = (Tape::inference(parameters, compute), encoded.iter().collect::<Vec<_>>());
        Ok(self.scores_of(&tape, &encoded, Mode::default()).0.value.to_vec())
    }
}

impl PairModel for ScoredDecoder {
    fn encode(&self, query: &str, text: &str) -> Result<EncodedPair, TrainError> {
        let encoded = self.pairs.encode(&self.tokenizer, (query, text), self.most);
        let encoded = encoded
            .map_err(|error| TrainError::Model(format!("a text cannot be split into tokens: {error}")))?;
        let mut tokens = self.pairs.begin().to_vec();
        tokens.extend(encoded.tokens);
        let vocabulary = self.decoder.llama.config.vocab_size;
        if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            return Err(TrainError::Model(format!(
                "tokenizer.json has the token {token}, and config.json a vocabulary of {vocabulary}; they are not of one model"
            )));
        }
        Ok(EncodedPair { first: tokens.len(), is_cut: tokens.len() < encoded.whole, tokens })
    }

    fn scores_of(&self, tape: &Tape, pairs: &[&EncodedPair], _mode: Mode) -> (Var, usize) {
        let batch = TokenBatch::new(pairs.iter().map(|pair| &pair.tokens[..]));
        let llama = &self.decoder.llama;
        let hidden = llama.hidden(tape, &batch);
        // A pair has at least one token: that of the document's place in the prompt.
        let last: Vec<usize> = batch.sequences.iter().map(|sequence| sequence.end - 1).collect();
        let states = llama.normalized(tape, &tape.select_rows(&hidden, &last));
        (self.score.forward(tape, &states, None), batch.tokens.len())
    }

    fn is_head(&self, name: &str) -> bool {
        name.strip_prefix(HEAD).is_some_and(|rest| rest.starts_with('.'))
    }

    fn most_tokens(&self) -> usize {
        self.most
    }

    fn adaptable(&mut self) -> &mut dyn Adaptable {
        &mut self.decoder.llama
    }

    fn save(&mut self, folder: &Path, parameters: &Parameters) -> Result<(), TrainError> {
        let own = json!({
            "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, PAIR_PROMPT_KEY: self.pairs.prompt().name,
        });
        self.decoder.save_as(folder, parameters, (HEAD, "ForSequenceClassification"), &own)
    }
}

fn failed(path: &Path, error: LmError) -> TrainError {
    TrainError::Form { path: path.into(), problem: error.to_string() }
}
