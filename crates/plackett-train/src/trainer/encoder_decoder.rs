//! Encoder–decoders that learn what the first token of an answer says of a prompt (Raffel et al., Exploring the limits of transfer
//! learning with a unified text-to-text transformer, 2020).

use super::bert_files::{copy_files, read_json, write_json};
use crate::TrainError;
use crate::nn::{self, Mode, SafetensorsSource, T5, TokenBatch};
use crate::tape::{Compute, Parameters, Tape, Var};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Families that are trained, by `model_type` of config.json.
const FAMILIES: [&str; 2] = ["t5", "mt5"];

/// Files beside the weights that a model needs and that do not change.
const OTHER_FILES: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "generation_config.json",
];

/// Prompts that are scored together without training.
const TOGETHER: usize = 32;

/// What of the first token of an answer is the score of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstToken {
    /// The logit of one token, which stands for no word (RankT5).
    Logit(u32),
    /// The logit of the word of what is relevant less that of the other word: the logarithm of the odds of both (monoT5, which ranks
    /// by the logarithm of the probability that follows from it).
    Words {
        /// The word of what is relevant.
        good: u32,
        /// The word of what is not.
        bad: u32,
    },
}

impl FirstToken {
    /// The tokens that are read.
    pub fn tokens(self) -> Vec<u32> {
        match self {
            FirstToken::Logit(token) => vec![token],
            FirstToken::Words { good, bad } => vec![good, bad],
        }
    }
}

/// A T5 with the files of its directory.
pub struct EncoderDecoderModel {
    /// The encoder and the decoder.
    pub t5: T5,
    directory: PathBuf,
    config: Value,
}

impl EncoderDecoderModel {
    /// Checks that the encoder–decoder of a directory is of a family that can be trained.
    ///
    /// # Errors
    /// It is of another one, or its config.json cannot be read.
    pub fn check_base(directory: &Path) -> Result<(), TrainError> {
        read_config(directory).map(drop)
    }

    /// Opens a T5 of Hugging Face's layout. Where a file says nothing, or says something else than the weights do, it is read as the
    /// inference engine reads it: a matrix `lm_head.weight` is the output matrix wherever there is one, and what it reads is scaled
    /// where config.json ties it to the embeddings.
    ///
    /// # Errors
    /// A file is missing or damaged, or the model is of another family.
    pub fn open(directory: &Path, parameters: &mut Parameters) -> Result<EncoderDecoderModel, TrainError> {
        let mut config = read_config(directory)?;
        let mut source = SafetensorsSource::open(&directory.join("model.safetensors"))?;
        let is_tied = config["tie_word_embeddings"].as_bool().unwrap_or(true);
        let is_scaled = config["scale_decoder_outputs"].as_bool().unwrap_or(is_tied);
        config["tie_word_embeddings"] = json!(!source.has("lm_head.weight"));
        config["scale_decoder_outputs"] = json!(is_scaled);
        if config["decoder_start_token_id"].is_null() {
            config["decoder_start_token_id"] = json!(config["pad_token_id"].as_u64().unwrap_or(0));
        }
        let shape = serde_json::from_value(config.clone()).map_err(|error| TrainError::Form {
            path: directory.join("config.json"),
            problem: error.to_string(),
        })?;
        let t5 = T5::load(parameters, &mut source, &shape)?;
        Ok(EncoderDecoderModel { t5, directory: directory.into(), config })
    }

    /// What the output matrix reads for the first token after each prompt, prompts × width, and how many tokens were read.
    pub(super) fn first_states(&self, tape: &Tape, prompts: &[&[u32]], mode: Mode) -> (Var, usize) {
        let sources = TokenBatch::new(prompts.iter().copied());
        let start = [self.t5.config.decoder_start_token_id];
        let steps = TokenBatch::new(prompts.iter().map(|_| &start[..]));
        let encoded = self.t5.encode(tape, &sources, mode);
        (self.t5.decode(tape, (&encoded, &sources), &steps, mode), sources.tokens.len())
    }

    /// Scores of prompts by the [states](EncoderDecoderModel::first_states) of their first tokens: prompts × 1.
    pub(super) fn scores_of(&self, tape: &Tape, states: &Var, read: FirstToken) -> Var {
        let logits = self.t5.logits_of(tape, states, &read.tokens());
        match read {
            FirstToken::Logit(_) => logits,
            FirstToken::Words { .. } => {
                let [good, bad] = [0, 1].map(|column| tape.columns(&logits, column..column + 1));
                tape.minus(&good, &bad)
            }
        }
    }

    /// Scores of prompts, without training.
    ///
    /// # Errors
    /// A prompt without tokens, or a token that the model does not have.
    pub fn scores(
        &self,
        compute: &Arc<Compute>,
        parameters: &Parameters,
        prompts: &[&[u32]],
        read: FirstToken,
    ) -> Result<Vec<f32>, TrainError> {
        self.check_tokens(&read.tokens())?;
        prompts.iter().try_for_each(|prompt| self.check_tokens(prompt))?;
        let mut scores = Vec::with_capacity(prompts.len());
        for prompts in prompts.chunks(TOGETHER) {
            let tape = Tape::inference(parameters, compute);
            let (states, _) = self.first_states(&tape, prompts, Mode::default());
            scores.extend_from_slice(&self.scores_of(&tape, &states, read).value);
        }
        Ok(scores)
    }

    /// Checks that there are tokens, and that the model has them.
    pub(super) fn check_tokens(&self, tokens: &[u32]) -> Result<(), TrainError> {
        let vocabulary = self.t5.config.vocab_size;
        if tokens.is_empty() {
            return Err(TrainError::Setting("a prompt has no tokens; give it a text".into()));
        }
        match tokens.iter().find(|token| **token as usize >= vocabulary) {
            None => Ok(()),
            Some(token) => Err(TrainError::Model(format!(
                "{}: tokenizer.json has the token {token}, and config.json a vocabulary of {vocabulary}; they are not of one model",
                self.directory.display()
            ))),
        }
    }

    /// Writes a directory that the inference engine and Hugging Face's libraries read, with adapters merged.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&mut self, folder: &Path, parameters: &Parameters) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
        let merged = nn::merged(parameters, self.t5.linears_mut());
        let layers: Vec<String> = self.t5.linears_mut().map(|linear| linear.name.clone()).collect();
        let is_own = |name: &str| {
            let begins = ["shared.", "encoder.", "decoder.", "lm_head."];
            begins.iter().any(|begin| name.starts_with(begin)) && !nn::is_added(name, &layers)
        };
        nn::save(&folder.join("model.safetensors"), &merged, |name| is_own(name).then(|| name.to_string()))?;
        write_json(&folder.join("config.json"), &self.config)?;
        copy_files(&self.directory, folder, &OTHER_FILES)
    }
}

/// config.json of a model of a family that is trained: an object.
fn read_config(directory: &Path) -> Result<Value, TrainError> {
    let path = directory.join("config.json");
    let config = read_json(&path)?;
    let family = config["model_type"].as_str();
    if family.is_some_and(|family| FAMILIES.contains(&family)) {
        return Ok(config);
    }
    let problem = match family {
        Some(family) => format!("an encoder–decoder of the family `{family}` cannot be trained yet"),
        None => "no model_type names the family of the encoder–decoder".into(),
    };
    let families = FAMILIES.map(|own| format!("`{own}`")).join(" and ");
    Err(TrainError::Form { path, problem: format!("{problem}; those of the families {families} can") })
}
