//! A `model.safetensors.index.json` beside two files of weights. One that opens a model has named files of that folder.
#![no_main]

mod common;

use common::Folder;
use libfuzzer_sys::fuzz_target;
use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions};
use std::sync::LazyLock;

const CONFIG: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/model.safetensors");
const MORE: &[u8] = br#"{"more":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}1"#;

static FOLDER: LazyLock<Folder> = LazyLock::new(|| {
    let more = [&(MORE.len() as u64 - 1).to_le_bytes()[..], MORE].concat();
    Folder::with(&[
        ("config.json", CONFIG),
        ("tokenizer.json", TOKENIZER),
        ("first.safetensors", WEIGHTS),
        ("second.safetensors", &more),
    ])
});

fuzz_target!(|data: &[u8]| {
    FOLDER.write("model.safetensors.index.json", data);
    let options = EncoderOptions { threads: Some(1), ..EncoderOptions::default() };
    let Ok(model) = EncoderModel::open(FOLDER.path(), &options) else { return };
    let text = String::from_utf8_lossy(data);
    assert!(text.contains("first") || text.contains("\\u"), "weights from nowhere");
    model.embed(&["a text"], &EmbedOptions::default()).expect("the tiny model");
});
