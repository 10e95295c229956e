//! The JSON files of a model directory, parted by NUL bytes, beside weights and tokenizer of a tiny model. A model that
//! opens embeds a text; it does not panic.
#![no_main]

mod common;

use common::Folder;
use libfuzzer_sys::fuzz_target;
use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions};
use std::sync::LazyLock;

/// In the order of the input's parts; a part that is missing or empty is a file that is not there.
const FILES: [&str; 6] = [
    "config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "tokenizer_config.json",
];
const WEIGHTS: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/model.safetensors");
const TOKENIZER: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/tokenizer.json");

static FOLDER: LazyLock<Folder> =
    LazyLock::new(|| Folder::with(&[("model.safetensors", WEIGHTS), ("tokenizer.json", TOKENIZER)]));

fuzz_target!(|data: &[u8]| {
    let mut parts = data.split(|byte| *byte == 0);
    for name in FILES {
        match parts.next().unwrap_or_default() {
            [] => drop(std::fs::remove_file(FOLDER.path().join(name))),
            bytes => FOLDER.write(name, bytes),
        }
    }
    let options = EncoderOptions { threads: Some(1), ..EncoderOptions::default() };
    let Ok(model) = EncoderModel::open(FOLDER.path(), &options) else { return };
    let texts = ["a text", ""];
    if let Ok(vectors) = model.embed(&texts, &EmbedOptions::default()) {
        assert_eq!(vectors.data.len(), texts.len() * vectors.dim);
        assert_eq!(vectors.dim, model.info().dim);
    }
});
