//! The files of a BERT of Hugging Face's layout that its trainings share.

use crate::TrainError;
use crate::files::write_whole;
use crate::nn::BertConfig;
use serde_json::Value;
use std::path::Path;
use tokenizers::{EncodeInput, Encoding, Tokenizer, TruncationParams};

/// Files beside the weights that a model needs and that do not change.
pub(super) const OTHER_FILES: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"];

/// `config.json` of a BERT, as it is and as numbers.
///
/// # Errors
/// It is missing or damaged, or the model is of another family.
pub(super) fn read_config(directory: &Path) -> Result<(Value, BertConfig), TrainError> {
    let path = directory.join("config.json");
    let config = read_json(&path)?;
    let failed = |problem: String| TrainError::Form { path: path.clone(), problem };
    if config["model_type"] != "bert" {
        return Err(failed(format!("model_type {}: only bert can be trained so", config["model_type"])));
    }
    let shape = serde_json::from_value(config.clone()).map_err(|error| failed(error.to_string()))?;
    Ok((config, shape))
}

/// A file of JSON.
///
/// # Errors
/// It is missing or damaged.
pub(super) fn read_json(path: &Path) -> Result<Value, TrainError> {
    let text = std::fs::read_to_string(path).map_err(|source| TrainError::file(path, source))?;
    serde_json::from_str(&text)
        .map_err(|error| TrainError::Form { path: path.into(), problem: error.to_string() })
}

/// The tokenizer of a model, which cuts to `most` tokens, of a pair the longer text first.
///
/// # Errors
/// It is missing or damaged.
pub(super) fn open_tokenizer(directory: &Path, most: usize) -> Result<Tokenizer, TrainError> {
    let path = directory.join("tokenizer.json");
    let failed = |problem: String| TrainError::Form { path: path.clone(), problem };
    let mut tokenizer = Tokenizer::from_file(&path).map_err(|error| failed(error.to_string()))?;
    let truncation = TruncationParams { max_length: most, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(|error| failed(error.to_string()))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// A text or a pair of texts as tokens of a vocabulary of so many.
///
/// # Errors
/// It cannot be split, or into tokens that the model of `directory` does not have.
pub(super) fn encode<'t>(
    tokenizer: &Tokenizer,
    text: impl Into<EncodeInput<'t>>,
    (directory, vocabulary): (&Path, usize),
) -> Result<Encoding, TrainError> {
    let encoded = tokenizer
        .encode(text, true)
        .map_err(|error| TrainError::Model(format!("a text cannot be split into tokens: {error}")))?;
    let unknown = encoded.get_ids().iter().copied().find(|id| *id as usize >= vocabulary);
    match unknown {
        None => Ok(encoded),
        Some(id) => Err(TrainError::Model(format!(
            "{}: tokenizer.json has the token {id}, and config.json a vocabulary of {vocabulary}; they are not of one model",
            directory.display()
        ))),
    }
}

/// Writes JSON as people read it.
///
/// # Errors
/// It cannot be written.
pub(super) fn write_json(path: &Path, value: &Value) -> Result<(), TrainError> {
    write_whole(path, serde_json::to_string_pretty(value).unwrap_or_default().as_bytes())
}

/// Copies those files of a directory that are there.
///
/// # Errors
/// One of them cannot be read or written.
pub(super) fn copy_files(from: &Path, to: &Path, names: &[&str]) -> Result<(), TrainError> {
    for name in names {
        let path = from.join(name);
        if path.is_file() {
            let bytes = std::fs::read(&path).map_err(|source| TrainError::file(&path, source))?;
            write_whole(&to.join(name), &bytes)?;
        }
    }
    Ok(())
}
