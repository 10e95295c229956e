//! `config.json` and the small files around it.

use crate::error::LmError;
use crate::files::json_offsets;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A JSON file of a model directory, read field by field with messages that name file and field.
pub(crate) struct JsonFile {
    path: PathBuf,
    bytes: Vec<u8>,
    value: Value,
}

impl JsonFile {
    /// Reads a file that must exist.
    pub(crate) fn open(directory: &Path, name: &str) -> Result<JsonFile, LmError> {
        JsonFile::open_optional(directory, name)?.ok_or_else(|| LmError::MissingFile {
            directory: directory.to_path_buf(),
            file: name.to_string(),
        })
    }

    /// Reads a file that may be absent.
    pub(crate) fn open_optional(directory: &Path, name: &str) -> Result<Option<JsonFile>, LmError> {
        let path = directory.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => JsonFile::parse(&bytes, path).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LmError::Io { path, source: error }),
        }
    }

    /// Parses bytes; `path` is for messages.
    pub(crate) fn parse(bytes: &[u8], path: PathBuf) -> Result<JsonFile, LmError> {
        match serde_json::from_slice(bytes) {
            Ok(value) => Ok(JsonFile { path, bytes: bytes.to_vec(), value }),
            Err(error) => {
                Err(LmError::Config { problem: format!("not JSON ({error}); fetch the file again"), path })
            }
        }
    }

    /// The whole document.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// An error about this file.
    pub(crate) fn problem(&self, problem: String) -> LmError {
        LmError::Config { path: self.path.clone(), problem }
    }

    /// The error of a `model_type` that is not one of those supported.
    pub(crate) fn unknown_architecture(&self, supported: &[&str]) -> LmError {
        let supported = supported.join(", ");
        let Some(found) = self.text("model_type") else {
            let problem = format!("no `model_type` names the architecture; supported: {supported}");
            return self.problem(problem);
        };
        let offset = json_offsets::of_key(&self.bytes, "model_type").unwrap_or(0) as u64;
        LmError::Architecture { path: self.path.clone(), offset, found: found.to_string(), supported }
    }

    /// A positive whole number below 2³¹.
    pub(crate) fn size(&self, key: &str) -> Result<usize, LmError> {
        let found = self.value.get(key);
        match found.and_then(Value::as_u64).filter(|n| (1..1 << 31).contains(n)) {
            Some(n) => Ok(n as usize),
            None => Err(self.problem(format!(
                "`{key}` must be a positive whole number, found {}",
                found.map_or("nothing".into(), Value::to_string)
            ))),
        }
    }

    /// A positive whole number, or a default when absent.
    pub(crate) fn size_or(&self, key: &str, default: usize) -> Result<usize, LmError> {
        if self.value.get(key).is_none_or(Value::is_null) { Ok(default) } else { self.size(key) }
    }

    /// A number, or a default.
    pub(crate) fn number_or(&self, key: &str, default: f64) -> f64 {
        self.value.get(key).and_then(Value::as_f64).unwrap_or(default)
    }

    /// A text, when there is one.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.value.get(key).and_then(Value::as_str)
    }

    /// A token id of config.json below `vocabulary`, when it is there.
    pub(crate) fn token_id(&self, key: &str, vocabulary: usize) -> Result<Option<u32>, LmError> {
        match self.value().get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().filter(|id| (*id as usize) < vocabulary) {
                Some(id) => Ok(Some(id as u32)),
                None => {
                    Err(self.problem(format!("`{key}` is {value}, expected a token id below {vocabulary}")))
                }
            },
        }
    }

    /// Yes or no, or a default.
    pub(crate) fn flag(&self, key: &str, default: bool) -> bool {
        self.value.get(key).and_then(Value::as_bool).unwrap_or(default)
    }
}

/// How token vectors become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first token's.
    Cls,
    /// The mean over all tokens.
    Mean,
    /// The largest number of each dimension.
    Max,
    /// The last token's.
    LastToken,
}

/// The parts that `modules.json` puts after the transformer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modules {
    /// `None` when the vectors stay per token (late interaction).
    pub pooling: Option<Pooling>,
    /// Layers over the pooled vector, in order.
    pub layers: Vec<LayerModule>,
    /// Whether vectors are scaled to length 1.
    pub normalize: bool,
    /// Whether a prompt's tokens take no part in the pooling (`include_prompt: false`).
    pub skip_prompt: bool,
}

/// What sentence-transformers' module `LogitScore` reads after a prompt's last token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogitScore {
    /// The token that says "relevant".
    pub positive: u32,
    /// The token that says it is not.
    pub negative: Option<u32>,
}

impl LogitScore {
    /// Reads it where `modules.json` has such a module.
    ///
    /// # Errors
    /// A file is damaged.
    pub(crate) fn open(directory: &Path) -> Result<Option<LogitScore>, LmError> {
        let Some(file) = JsonFile::open_optional(directory, "modules.json")? else { return Ok(None) };
        let is_logit_score = |entry: &&ModuleEntry| entry.kind.rsplit('.').next() == Some("LogitScore");
        let entries = module_entries(&file)?;
        let Some(entry) = entries.iter().find(is_logit_score) else { return Ok(None) };
        let config = JsonFile::open(&directory.join(&entry.path), "config.json")?;
        let id =
            |key: &str| config.value().get(key).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let positive = id("true_token_id")
            .ok_or_else(|| config.problem("`true_token_id` is not the id of a token".into()))?;
        Ok(Some(LogitScore { positive, negative: id("false_token_id") }))
    }
}

fn module_entries(file: &JsonFile) -> Result<Vec<ModuleEntry>, LmError> {
    serde_json::from_value(file.value().clone())
        .map_err(|error| file.problem(format!("not a list of modules ({error})")))
}

/// A layer over the pooled vector, by the folder of its weights.
#[derive(Clone, Debug)]
pub(crate) enum LayerModule {
    /// A dense layer with an activation.
    Dense(PathBuf),
    /// A norm over the vector.
    LayerNorm(PathBuf),
}

/// Modules that can be run, with the place of each in the order.
const MODULES: [(&str, usize); 5] =
    [("Transformer", 0), ("Pooling", 1), ("Dense", 2), ("LayerNorm", 2), ("Normalize", 3)];

#[derive(Deserialize)]
struct ModuleEntry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Modules {
    /// Reads `modules.json`; without it the pooling is the mean and vectors keep their length.
    pub(crate) fn open(directory: &Path) -> Result<Modules, LmError> {
        let Some(file) = JsonFile::open_optional(directory, "modules.json")? else {
            return Ok(Modules { pooling: Some(Pooling::Mean), ..Modules::default() });
        };
        let entries = module_entries(&file)?;
        let mut modules = Modules::default();
        let mut before: Option<(&str, usize)> = None;
        for entry in entries {
            let kind = entry.kind.rsplit('.').next().unwrap_or_default();
            let known = MODULES.iter().copied().find(|(known, _)| *known == kind);
            if let (Some((_, place)), Some((previous, before))) = (known, before)
                && (place < before || place < 2 && place == before)
            {
                return Err(file.problem(format!(
                    "module `{kind}` stands after `{previous}`; what can be run is one Transformer, Pooling, any number of \
                     Dense and LayerNorm, and Normalize, in this order"
                )));
            }
            before = known.or(before);
            let folder = directory.join(&entry.path);
            match kind {
                "Transformer" | "Dropout" => {}
                "Pooling" => (modules.pooling, modules.skip_prompt) = pooling(&folder)?,
                "Dense" => modules.layers.push(LayerModule::Dense(folder)),
                "LayerNorm" => modules.layers.push(LayerModule::LayerNorm(folder)),
                "Normalize" => modules.normalize = true,
                "LogitScore" => {
                    return Err(file.problem(
                        "module `LogitScore` reads the logits of a decoder that scores pairs: use it as a cross-encoder"
                            .into(),
                    ));
                }
                other => {
                    return Err(file.problem(format!(
                        "module `{other}` is not supported; supported: Transformer, Pooling, Dense, LayerNorm, Normalize"
                    )));
                }
            }
        }
        Ok(modules)
    }
}

/// The pooling and whether it leaves the prompt out.
fn pooling(directory: &Path) -> Result<(Option<Pooling>, bool), LmError> {
    let file = JsonFile::open(directory, "config.json")?;
    Ok((Some(pooling_mode(&file)?), !file.flag("include_prompt", true)))
}

fn pooling_mode(file: &JsonFile) -> Result<Pooling, LmError> {
    if let Some(mode) = file.text("pooling_mode") {
        return match mode {
            "cls" => Ok(Pooling::Cls),
            "mean" => Ok(Pooling::Mean),
            "max" => Ok(Pooling::Max),
            "lasttoken" => Ok(Pooling::LastToken),
            other => {
                Err(file.problem(format!("pooling `{other}` is not supported: cls, mean, max, lasttoken")))
            }
        };
    }
    let modes = [
        ("pooling_mode_cls_token", Pooling::Cls),
        ("pooling_mode_mean_tokens", Pooling::Mean),
        ("pooling_mode_max_tokens", Pooling::Max),
        ("pooling_mode_lasttoken", Pooling::LastToken),
    ];
    let chosen: Vec<Pooling> =
        modes.iter().filter(|(key, _)| file.flag(key, false)).map(|(_, p)| *p).collect();
    match chosen[..] {
        [one] => Ok(one),
        _ => Err(file.problem(format!(
            "exactly one pooling mode of cls, mean, max and lasttoken is supported, {} are on",
            chosen.len()
        ))),
    }
}
