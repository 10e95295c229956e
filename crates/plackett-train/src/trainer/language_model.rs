//! Decoders that learn to write a text after another one.

use super::examples::TextExample;
use super::{StepLoss, Task};
use crate::TrainError;
use crate::files::write_whole;
use crate::nn::{self, GgufSource, Linear, Llama, LlamaConfig, Mode, SafetensorsSource, TokenBatch};
use crate::objective::{Batch, Term, Tokens};
use crate::tape::{Parameters, Tape};
use plackett_lm::gguf::GgufTokenizer;
use std::ops::Range;
use std::path::Path;
use tokenizers::Tokenizer;

/// A Llama with its tokenizer.
pub struct LanguageModel {
    /// The decoder.
    pub llama: Llama,
    tokenizer: Tokenizer,
    /// Positions that it was trained on.
    context: usize,
}

impl LanguageModel {
    /// Opens a directory of Hugging Face's layout or with a GGUF file, or such a file; its blocks become f32.
    ///
    /// # Errors
    /// A file cannot be read, or has a model of another family.
    pub fn open(path: &Path, parameters: &mut Parameters) -> Result<LanguageModel, TrainError> {
        if path.join("config.json").is_file() {
            return LanguageModel::open_directory(path, parameters);
        }
        if path.is_file() {
            return LanguageModel::open_gguf(path, parameters);
        }
        let entries = std::fs::read_dir(path).map_err(|source| TrainError::file(path, source))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let file = files.iter().find(|file| file.extension().is_some_and(|ending| ending == "gguf"));
        let file = file.ok_or_else(|| TrainError::Form {
            path: path.into(),
            problem: "a decoder is expected: config.json with model.safetensors, or a .gguf file".into(),
        })?;
        LanguageModel::open_gguf(file, parameters)
    }

    fn open_directory(directory: &Path, parameters: &mut Parameters) -> Result<LanguageModel, TrainError> {
        let path = directory.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|source| TrainError::file(&path, source))?;
        let failed = |problem: String| TrainError::Form { path: path.clone(), problem };
        let mut config: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if config["model_type"] != "llama" {
            return Err(failed(format!("model_type {}: only llama can be trained so", config["model_type"])));
        }
        let scaled = ["rope_scaling", "rope_parameters"].into_iter().find(|key| {
            let kind = &config[key]["rope_type"];
            !kind.is_null() && kind != "default"
        });
        if let Some(key) = scaled {
            return Err(failed(format!("{key}: a model whose positions are scaled cannot be trained yet")));
        }
        if let Some(base) = config["rope_parameters"]["rope_theta"].as_f64() {
            config["rope_theta"] = base.into();
        }
        let context = config["max_position_embeddings"].as_u64().unwrap_or(2048) as usize;
        let shape: LlamaConfig = serde_json::from_value(config).map_err(|error| failed(error.to_string()))?;
        let mut source = SafetensorsSource::open(&directory.join("model.safetensors"))?;
        let path = directory.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&path)
            .map_err(|error| TrainError::Form { path, problem: error.to_string() })?;
        Ok(LanguageModel { llama: Llama::load(parameters, &mut source, &shape)?, tokenizer, context })
    }

    fn open_gguf(path: &Path, parameters: &mut Parameters) -> Result<LanguageModel, TrainError> {
        let mut source = GgufSource::open(path)?;
        let shape = source.architecture();
        let failed = |problem: String| TrainError::Form { path: path.into(), problem };
        if shape.architecture != "llama" || shape.head_dim * shape.heads != shape.embedding {
            return Err(failed(format!(
                "a model of the family `{}` cannot be trained yet",
                shape.architecture
            )));
        }
        let config = LlamaConfig {
            vocab_size: shape.vocabulary,
            hidden_size: shape.embedding,
            num_hidden_layers: shape.layers,
            num_attention_heads: shape.heads,
            num_key_value_heads: shape.kv_heads,
            intermediate_size: shape.feed_forward,
            rms_norm_eps: shape.norm_epsilon,
            rope_theta: shape.rope_base,
            tie_word_embeddings: shape.tied_embeddings,
            attention_bias: shape.qkv_bias,
            mlp_bias: false,
        };
        let tokenizer =
            GgufTokenizer::read(source.file()).map_err(|error| failed(error.to_string()))?.tokenizer;
        let context = source.architecture().context;
        Ok(LanguageModel { llama: Llama::load(parameters, &mut source, &config)?, tokenizer, context })
    }

    /// Writes a directory that the inference engine and Hugging Face's libraries read, with adapters merged.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&mut self, folder: &Path, parameters: &Parameters) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
        let merged = nn::merged(parameters, self.llama.linears_mut());
        let is_own = |name: &str| {
            (name.starts_with("model.") || name.starts_with("lm_head.")) && !name.contains("adapter")
        };
        nn::save(&folder.join("model.safetensors"), &merged, |name| is_own(name).then(|| name.to_string()))?;
        let mut config = serde_json::to_value(&self.llama.config).unwrap_or_default();
        config["model_type"] = "llama".into();
        config["architectures"] = serde_json::json!(["LlamaForCausalLM"]);
        config["hidden_act"] = "silu".into();
        config["max_position_embeddings"] = self.context.into();
        let text = serde_json::to_string_pretty(&config).unwrap_or_default();
        write_whole(&folder.join("config.json"), text.as_bytes())?;
        let path = folder.join("tokenizer.json");
        let failed = |problem: String| TrainError::Form { path: path.clone(), problem };
        let text = self.tokenizer.to_string(true).map_err(|error| failed(error.to_string()))?;
        write_whole(&path, text.as_bytes())
    }

    /// Its linear layers, which adapters are added to.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.llama.linears_mut()
    }

    /// The tokens of a text, without special ones.
    ///
    /// # Errors
    /// It cannot be split.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TrainError> {
        let encoded = self.tokenizer.encode(text, false);
        let encoded = encoded
            .map_err(|error| TrainError::Model(format!("a text cannot be split into tokens: {error}")))?;
        Ok(encoded.get_ids().to_vec())
    }
}

/// Texts to be written after prompts by a [`LanguageModel`].
pub struct LanguageTask<'m> {
    model: &'m LanguageModel,
    texts: Vec<EncodedText>,
    objective: Vec<Term>,
}

struct EncodedText {
    tokens: Vec<u32>,
    /// How many of them are given.
    given: usize,
}

impl<'m> LanguageTask<'m> {
    /// Splits all texts into tokens; prompts lose their beginnings where a text has more than `most`, and targets their
    /// ends.
    ///
    /// # Errors
    /// A text cannot be split.
    pub fn new(
        model: &'m LanguageModel,
        examples: &[TextExample],
        objective: Vec<Term>,
        most: usize,
    ) -> Result<LanguageTask<'m>, TrainError> {
        let text = |example: &TextExample| {
            let (prompt, mut target) = (model.encode(&example.prompt)?, model.encode(&example.target)?);
            target.truncate(most.saturating_sub(1).max(1));
            let room = most.saturating_sub(target.len());
            let given = prompt.len().min(room);
            let mut tokens = prompt[prompt.len() - given..].to_vec();
            tokens.extend(target);
            Ok(EncodedText { tokens, given })
        };
        let texts = examples.iter().map(text).collect::<Result<_, TrainError>>()?;
        Ok(LanguageTask { model, texts, objective })
    }
}

impl Task for LanguageTask<'_> {
    fn count(&self) -> usize {
        self.texts.len()
    }

    fn loss(&self, tape: &Tape, examples: &[usize], _mode: Mode) -> Result<StepLoss, TrainError> {
        let texts: Vec<&EncodedText> = examples.iter().map(|at| &self.texts[*at]).collect();
        let batch = TokenBatch::new(texts.iter().map(|text| &text.tokens[..]));
        let hidden = self.model.llama.hidden(tape, &batch);
        let mut targets: Vec<(usize, u32)> = Vec::new();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (text, sequence) in texts.iter().zip(batch.sequences.iter()) {
            let start = targets.len();
            // A token is foretold by the one before it: the first has none.
            for place in text.given.max(1)..text.tokens.len() {
                targets.push((sequence.start + place - 1, text.tokens[place]));
            }
            ranges.push(start..targets.len());
        }
        let log_probabilities = self.model.llama.log_probabilities(tape, &hidden, &targets);
        let tokens = Batch::Tokens(Tokens::new(&log_probabilities, &ranges));
        weighted_sum(tape, &self.objective, &tokens, batch.tokens.len())
    }
}

/// The weighted sum of the objectives of a batch.
pub(super) fn weighted_sum(
    tape: &Tape,
    objective: &[Term],
    batch: &Batch,
    tokens: usize,
) -> Result<StepLoss, TrainError> {
    let mut sum = StepLoss { value: tape.constant((1, 1), &[0.0]), tokens, used: 0, skipped: 0 };
    for term in objective {
        let loss = term.objective.loss(tape, batch).map_err(|error| TrainError::Model(error.to_string()))?;
        sum.value = tape.plus(&sum.value, &tape.scale(&loss.value, term.weight));
        sum.used = sum.used.max(loss.used);
        sum.skipped = sum.skipped.max(loss.skipped);
    }
    Ok(sum)
}
