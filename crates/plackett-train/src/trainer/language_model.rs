//! Decoders that learn to write a text after another one.

use super::bytes::{END_OF_TEXT, byte_tokenizer};
use super::chat_files::ChatFiles;
use super::word_tokenizer::word_tokenizer;
use super::{END_TOKEN, WordVocabulary};
use crate::TrainError;
use crate::files::write_whole;
use crate::nn::{
    self, GgufSource, Initializer, Linear, Llama, LlamaConfig, ParameterSource, SafetensorsSource,
    WeightSource,
};
use crate::tape::Parameters;
use plackett_lm::decoder::{LmTokenizer, ScoreHead};
use plackett_lm::gguf::GgufTokenizer;
use serde_json::Value;
use std::path::Path;
use tokenizers::Tokenizer;

const LLAMA: &str = "llama";
const QWEN2: &str = "qwen2";

/// A Llama or Qwen2 with its tokenizer.
#[derive(Clone)]
pub struct LanguageModel {
    /// The decoder.
    pub llama: Llama,
    tokenizer: Tokenizer,
    /// Positions that it was trained on.
    context: usize,
    /// The token that ends a text, where it is known.
    end: Option<u32>,
    /// How conversations are written out, where it is known.
    chat: Option<ChatFiles>,
}

/// Where the weights of a model that is opened come from.
enum Weights<'c> {
    /// From its files.
    Own,
    /// From its files without the output matrix, in whose place stand the embeddings.
    WithoutOutput,
    /// Drawn by a seed, in this shape; tokenizer and chat template are those of the files.
    Drawn(&'c LlamaConfig, u64),
}

impl Weights<'_> {
    /// The decoder of a shape that files tell.
    fn load(
        &self,
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &LlamaConfig,
    ) -> Result<Llama, TrainError> {
        match self {
            Weights::Own => Llama::load(parameters, source, config),
            Weights::WithoutOutput => {
                let tied = LlamaConfig { tie_word_embeddings: true, ..config.clone() };
                let mut llama = Llama::load(parameters, source, &tied)?;
                llama.config = config.clone();
                Ok(llama)
            }
            Weights::Drawn(shape, seed) => {
                let llama = drawn(shape, config.vocab_size, *seed, parameters)?;
                widen(parameters, shape.hidden_size);
                Ok(llama)
            }
        }
    }
}

/// Checks the family that config.json names.
fn check_family(config: &serde_json::Value) -> Result<(), String> {
    match config["model_type"].as_str() {
        Some(LLAMA | QWEN2) => Ok(()),
        Some(family) => Err(format!(
            "a decoder of the family `{family}` cannot be trained yet; those of the families `{LLAMA}` and `{QWEN2}` can"
        )),
        None => Err("no model_type names the family of the decoder".into()),
    }
}

/// Scales matrices that were drawn with deviation 0.02 to 1/√width: in a narrow decoder all attention and all logits would
/// begin alike otherwise, and hundreds of steps would go by before anything is told apart.
fn widen(parameters: &mut Parameters, width: usize) {
    let factor = 1.0 / (0.02 * (width as f32).sqrt());
    for (_, parameter) in parameters.iter_mut().filter(|(_, parameter)| !parameter.is_vector()) {
        parameter.values_mut().iter_mut().for_each(|x| *x *= factor);
    }
}

/// A decoder over so many tokens whose weights are drawn by the seed.
fn drawn(
    config: &LlamaConfig,
    vocab_size: usize,
    seed: u64,
    parameters: &mut Parameters,
) -> Result<Llama, TrainError> {
    let config = LlamaConfig { vocab_size, ..config.clone() };
    let (width, heads) = (config.hidden_size, config.num_attention_heads);
    if heads == 0 || !width.is_multiple_of(2 * heads) {
        return Err(TrainError::Model(format!(
            "a decoder of width {width} with {heads} heads: the width has to be a multiple of twice the heads"
        )));
    }
    Llama::load(parameters, &mut Initializer::new(seed), &config)
}

impl LanguageModel {
    /// A decoder of bytes whose weights are drawn by the seed, for sequences of up to `context` tokens. Its vocabulary is that of
    /// [`encode_bytes`](super::encode_bytes), whatever `config` says.
    ///
    /// # Errors
    /// The width is no multiple of twice the heads: positions turn pairs of a head's numbers.
    pub fn of_bytes(
        config: &LlamaConfig,
        context: usize,
        seed: u64,
        parameters: &mut Parameters,
    ) -> Result<LanguageModel, TrainError> {
        let llama = drawn(config, super::BYTE_VOCABULARY, seed, parameters)?;
        Ok(LanguageModel { llama, tokenizer: byte_tokenizer()?, context, end: Some(END_OF_TEXT), chat: None })
    }

    /// The same over the tokens of a vocabulary of words, whose [`END_TOKEN`](super::END_TOKEN) ends a text.
    ///
    /// # Errors
    /// As [`LanguageModel::of_bytes`].
    pub fn of_words(
        vocabulary: &WordVocabulary,
        config: &LlamaConfig,
        context: usize,
        seed: u64,
        parameters: &mut Parameters,
    ) -> Result<LanguageModel, TrainError> {
        let llama = drawn(config, vocabulary.len(), seed, parameters)?;
        let tokenizer = word_tokenizer(vocabulary)?;
        Ok(LanguageModel { llama, tokenizer, context, end: Some(END_TOKEN), chat: None })
    }

    /// The embeddings, the first `depth` layers, the last norm and the output matrix of this model as one of its own
    /// (extraction, Sorted LLaMA, 2023), without adapters.
    ///
    /// # Errors
    /// There are not so many layers.
    pub fn first_layers(
        &self,
        parameters: &Parameters,
        depth: usize,
        own: &mut Parameters,
    ) -> Result<LanguageModel, TrainError> {
        let layers = self.llama.layers.len();
        if !(1..=layers).contains(&depth) {
            return Err(TrainError::Setting(format!(
                "layers: the first {depth} of a model with {layers} are wanted; a whole number from 1 to {layers} is expected"
            )));
        }
        let config = LlamaConfig { num_hidden_layers: depth, ..self.llama.config.clone() };
        let llama = Llama::load(own, &mut ParameterSource(parameters), &config)?;
        Ok(LanguageModel { llama, ..self.clone() })
    }

    /// Checks that a decoder is of a family that can be trained, where its config.json says of which one it is.
    ///
    /// # Errors
    /// It is of another one, or the file cannot be read.
    pub fn check_base(directory: &Path) -> Result<(), TrainError> {
        let path = directory.join("config.json");
        if !path.is_file() {
            return Ok(());
        }
        let text = std::fs::read_to_string(&path).map_err(|source| TrainError::file(&path, source))?;
        let config = serde_json::from_str::<serde_json::Value>(&text).map_err(|error| error.to_string());
        let checked = config.and_then(|config| check_family(&config));
        checked.map_err(|problem| TrainError::Form { path, problem })
    }

    /// Opens a directory of Hugging Face's layout or with a GGUF file, or such a file; its blocks become f32.
    ///
    /// # Errors
    /// A file cannot be read, or has a model of another family, or one with a score head.
    pub fn open(path: &Path, parameters: &mut Parameters) -> Result<LanguageModel, TrainError> {
        let failed = |problem: String| TrainError::Form { path: path.into(), problem };
        if ScoreHead::is_one(path).map_err(|error| failed(error.to_string()))? {
            return Err(failed(
                "it has a score head in place of an output matrix and writes no text; name method = \"cross-encoder\" to train it, or \
                 give the decoder that it was made from"
                    .into(),
            ));
        }
        LanguageModel::open_with(path, parameters, &Weights::Own)
    }

    /// The same without an output matrix, for what is read from its states: [`Llama::head`](crate::nn::Llama::head) is the matrix of the
    /// embeddings, and the files may lack another one.
    ///
    /// # Errors
    /// As [`LanguageModel::open`].
    pub(super) fn open_without_output(
        path: &Path,
        parameters: &mut Parameters,
    ) -> Result<LanguageModel, TrainError> {
        LanguageModel::open_with(path, parameters, &Weights::WithoutOutput)
    }

    /// A decoder of another shape, with weights that are drawn by the seed (deviation 1/√width), and the tokenizer, chat
    /// template and context of the one that is there: what reads the same prompts and learns in minutes.
    ///
    /// # Errors
    /// As [`LanguageModel::open`]; the width is no multiple of twice the heads.
    pub fn drawn_like(
        path: &Path,
        config: &LlamaConfig,
        seed: u64,
        parameters: &mut Parameters,
    ) -> Result<LanguageModel, TrainError> {
        LanguageModel::open_with(path, parameters, &Weights::Drawn(config, seed))
    }

    fn open_with(
        path: &Path,
        parameters: &mut Parameters,
        weights: &Weights<'_>,
    ) -> Result<LanguageModel, TrainError> {
        if path.join("config.json").is_file() {
            return LanguageModel::open_directory(path, parameters, weights);
        }
        if path.is_file() {
            return LanguageModel::open_gguf(path, parameters, weights);
        }
        let entries = std::fs::read_dir(path).map_err(|source| TrainError::file(path, source))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let file = files.iter().find(|file| file.extension().is_some_and(|ending| ending == "gguf"));
        let file = file.ok_or_else(|| TrainError::Form {
            path: path.into(),
            problem: "a decoder is expected: config.json with model.safetensors, or a .gguf file".into(),
        })?;
        LanguageModel::open_gguf(file, parameters, weights)
    }

    fn open_directory(
        directory: &Path,
        parameters: &mut Parameters,
        weights: &Weights<'_>,
    ) -> Result<LanguageModel, TrainError> {
        let path = directory.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|source| TrainError::file(&path, source))?;
        let failed = |problem: String| TrainError::Form { path: path.clone(), problem };
        let mut config: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        check_family(&config).map_err(failed)?;
        config["qkv_bias"] = (config["model_type"] == QWEN2).into();
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
        let end = LmTokenizer::end_of(directory).map_err(|error| TrainError::Model(error.to_string()))?;
        if config["use_sliding_window"] == true && !config["sliding_window"].is_null() {
            return Err(failed(
                "use_sliding_window: a model whose layers see a window cannot be trained yet".into(),
            ));
        }
        let shape: LlamaConfig = serde_json::from_value(config).map_err(|error| failed(error.to_string()))?;
        let mut source = SafetensorsSource::open(&directory.join("model.safetensors"))?;
        let path = directory.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&path)
            .map_err(|error| TrainError::Form { path, problem: error.to_string() })?;
        let llama = weights.load(parameters, &mut source, &shape)?;
        Ok(LanguageModel { llama, tokenizer, context, end, chat: ChatFiles::of_directory(directory)? })
    }

    fn open_gguf(
        path: &Path,
        parameters: &mut Parameters,
        weights: &Weights<'_>,
    ) -> Result<LanguageModel, TrainError> {
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
            qkv_bias: false,
        };
        let read = GgufTokenizer::read(source.file()).map_err(|error| failed(error.to_string()))?;
        let chat = ChatFiles::of_gguf(&read);
        let (tokenizer, end) = (read.tokenizer, read.eos);
        let context = source.architecture().context;
        Ok(LanguageModel {
            llama: weights.load(parameters, &mut source, &config)?,
            tokenizer,
            context,
            end,
            chat,
        })
    }

    /// Writes a directory that the inference engine and Hugging Face's libraries read, with adapters merged.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&mut self, folder: &Path, parameters: &Parameters) -> Result<(), TrainError> {
        self.save_as(folder, parameters, ("lm_head", "ForCausalLM"), &Value::Null)
    }

    /// The same with a head of this name as a class of Hugging Face's with this end, and fields of config.json of its own.
    ///
    /// # Errors
    /// As [`LanguageModel::save`].
    pub(super) fn save_as(
        &mut self,
        folder: &Path,
        parameters: &Parameters,
        (head, class): (&str, &str),
        own: &Value,
    ) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
        let merged = nn::merged(parameters, self.llama.linears_mut());
        let layers: Vec<String> = self.llama.linears_mut().map(|linear| linear.name.clone()).collect();
        let head = format!("{head}.");
        let is_own = |name: &str| {
            (name.starts_with("model.") || name.starts_with(&head)) && !nn::is_added(name, &layers)
        };
        nn::save(&folder.join("model.safetensors"), &merged, |name| is_own(name).then(|| name.to_string()))?;
        let mut config = serde_json::to_value(&self.llama.config).unwrap_or_default();
        let (family, name) = match self.llama.config.qkv_bias {
            true => (QWEN2, "Qwen2"),
            false => (LLAMA, "Llama"),
        };
        if let Some(config) = config.as_object_mut() {
            // The family says it.
            config.remove("qkv_bias");
        }
        config["model_type"] = family.into();
        config["architectures"] = serde_json::json!([format!("{name}{class}")]);
        config["hidden_act"] = "silu".into();
        config["max_position_embeddings"] = self.context.into();
        if let Some(end) = self.end {
            config["eos_token_id"] = end.into();
        }
        for (key, value) in own.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let text = serde_json::to_string_pretty(&config).unwrap_or_default();
        write_whole(&folder.join("config.json"), text.as_bytes())?;
        let path = folder.join("tokenizer.json");
        let failed = |problem: String| TrainError::Form { path: path.clone(), problem };
        let text = self.tokenizer.to_string(true).map_err(|error| failed(error.to_string()))?;
        write_whole(&path, text.as_bytes())?;
        self.chat.as_ref().map_or(Ok(()), |chat| chat.save(folder))
    }

    /// The token that ends a text or a turn, where it is known.
    pub fn end(&self) -> Option<u32> {
        self.end
    }

    /// Its tokenizer.
    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Positions that it was trained on, and so the most tokens of a sequence.
    pub fn context(&self) -> usize {
        self.context
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
