//! A `model.safetensors.index.json` beside two files of weights. One that opens a model has named files of that folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions};
use std::sync::LazyLock;
use tempfile::TempDir;

const CONFIG: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/model.safetensors");
const MORE: &[u8] = br#"{"more":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}1"#;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes);
    let more = [&(MORE.len() as u64 - 1).to_le_bytes()[..], MORE].concat();
    let made = write("config.json", CONFIG)
        .and_then(|()| write("tokenizer.json", TOKENIZER))
        .and_then(|()| write("first.safetensors", WEIGHTS))
        .and_then(|()| write("second.safetensors", &more));
    made.expect("the tiny model can be written");
    folder
});

fuzz_target!(|data: &[u8]| {
    let path = FOLDER.path().join("model.safetensors.index.json");
    std::fs::write(path, data).expect("the temporary folder can be written");
    let options = EncoderOptions { threads: Some(1), ..EncoderOptions::default() };
    let Ok(model) = EncoderModel::open(FOLDER.path(), &options) else { return };
    let text = String::from_utf8_lossy(data);
    assert!(text.contains("first") || text.contains("\\u"), "weights from nowhere");
    model.embed(&["a text"], &EmbedOptions::default()).expect("the tiny model");
});
