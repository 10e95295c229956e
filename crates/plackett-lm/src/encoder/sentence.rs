//! What sentence-transformers puts around a model of any architecture: how token vectors become one, its prompts, and its
//! limit.

use crate::encoder::heads::{Layer, Scorer, pool, score, through};
use crate::error::LmError;
use crate::files::config::{JsonFile, Modules, Pooling};
use plackett_kernel::{Isa, normalize};
use std::collections::BTreeMap;
use std::path::Path;

/// The files beside a model's weights.
pub(crate) struct Sentence {
    /// `None` when vectors stay per token (late interaction).
    pub pooling: Option<Pooling>,
    /// Whether a prompt's tokens take no part in the pooling.
    pub skip_prompt: bool,
    /// Whether texts are lower-cased before they are tokenised.
    pub lower_case: bool,
    /// Longest input in tokens; a large number when none is written.
    pub limit: usize,
    /// config_sentence_transformers.json.
    pub settings: Option<JsonFile>,
    hidden: usize,
    /// Numbers per vector, after all layers.
    dim: usize,
    layers: Vec<Layer>,
    normalize: bool,
    prompts: BTreeMap<String, String>,
    default_prompt: String,
}

impl Sentence {
    /// Reads the files of a model whose states have `hidden` numbers; each may be absent.
    ///
    /// # Errors
    /// Names the file and field that is wrong.
    pub(crate) fn open(directory: &Path, hidden: usize) -> Result<Sentence, LmError> {
        let modules = Modules::open(directory)?;
        let (mut layers, mut dim) = (Vec::with_capacity(modules.layers.len()), hidden);
        for module in &modules.layers {
            let layer = Layer::open(module, dim)?;
            dim = layer.outputs(dim);
            layers.push(layer);
        }
        let file = JsonFile::open_optional(directory, "sentence_bert_config.json")?;
        let written =
            |file: &&JsonFile| file.value().get("max_seq_length").is_some_and(|limit| !limit.is_null());
        let limit = match file.as_ref().filter(written) {
            Some(file) => file.size("max_seq_length")?,
            None => tokenizer_limit(directory)?,
        };
        let settings = JsonFile::open_optional(directory, "config_sentence_transformers.json")?;
        let (prompts, default_prompt) = prompts(settings.as_ref())?;
        Ok(Sentence {
            pooling: modules.pooling,
            skip_prompt: modules.skip_prompt,
            lower_case: file.is_some_and(|file| file.flag("do_lower_case", false)),
            limit,
            settings,
            hidden,
            dim,
            layers,
            normalize: modules.normalize,
            prompts,
            default_prompt,
        })
    }

    /// Numbers per vector.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// The prompt stored under a name, or the default one.
    pub(crate) fn prompt(&self, name: &str) -> &str {
        self.prompts.get(name).map_or(&self.default_prompt, String::as_str)
    }

    /// The names of the stored prompts, in order.
    pub(crate) fn prompt_names(&self) -> Vec<&str> {
        self.prompts.keys().map(String::as_str).collect()
    }

    /// Whether the tokens of this prompt are left out of the pooling.
    pub(crate) fn skips(&self, prompt: &str) -> bool {
        let pooled = matches!(self.pooling, Some(Pooling::Mean | Pooling::Max));
        self.skip_prompt && pooled && !prompt.is_empty()
    }

    /// One vector from the states of a text (`tokens × hidden`).
    pub(crate) fn vector(&self, isa: Isa, pooling: Pooling, states: &[f32]) -> Vec<f32> {
        let mut vector = self.project(isa, pool(pooling, states, self.hidden));
        if self.normalize {
            normalize(isa, &mut vector);
        }
        vector
    }

    /// Rows through the dense layers.
    pub(crate) fn project(&self, isa: Isa, rows: Vec<f32>) -> Vec<f32> {
        through(&self.layers, isa, rows, self.hidden)
    }

    /// The layers as those of a cross-encoder, when the files say that they are one (`"model_type": "CrossEncoder"`):
    /// the last one gives the score.
    ///
    /// # Errors
    /// They give more than one number.
    pub(crate) fn take_scorer(&mut self) -> Result<Option<Scorer>, LmError> {
        let (Some(settings), Some(pooling)) = (&self.settings, self.pooling) else { return Ok(None) };
        if settings.text("model_type") != Some("CrossEncoder") || self.layers.is_empty() {
            return Ok(None);
        }
        if self.dim != 1 {
            let problem = format!(
                "the modules of this cross-encoder give {} numbers; a score is one: models that classify into several \
                 labels cannot be used",
                self.dim
            );
            return Err(settings.problem(problem));
        }
        let score = score(settings)?;
        // What is left is a model like any other with its pooling.
        self.dim = self.hidden;
        Ok(Some(Scorer { pooling, layers: std::mem::take(&mut self.layers), score }))
    }
}

/// `model_max_length` of tokenizer_config.json, which some files set to 10³⁰ for "none".
fn tokenizer_limit(directory: &Path) -> Result<usize, LmError> {
    let file = JsonFile::open_optional(directory, "tokenizer_config.json")?;
    let limit = file.and_then(|file| file.value().get("model_max_length").and_then(|v| v.as_u64()));
    Ok(limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0).unwrap_or(usize::MAX))
}

fn prompts(settings: Option<&JsonFile>) -> Result<(BTreeMap<String, String>, String), LmError> {
    let Some(file) = settings else { return Ok(Default::default()) };
    let mut prompts = BTreeMap::new();
    if let Some(map) = file.value().get("prompts").and_then(|p| p.as_object()) {
        for (name, text) in map {
            let text = text.as_str().ok_or_else(|| file.problem(format!("prompt `{name}` is not a text")))?;
            prompts.insert(name.clone(), text.to_string());
        }
    }
    let default = match file.text("default_prompt_name") {
        None => String::new(),
        Some(name) => prompts
            .get(name)
            .cloned()
            .ok_or_else(|| file.problem(format!("the default prompt `{name}` is not among `prompts`")))?,
    };
    Ok((prompts, default))
}
