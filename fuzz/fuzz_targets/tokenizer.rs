//! A `tokenizer.json` beside configuration and weights of a tiny model. One that opens gives token ids that the model has,
//! or an error; it does not panic.
#![no_main]

mod common;

use common::Folder;
use libfuzzer_sys::fuzz_target;
use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions};
use std::sync::LazyLock;

const CONFIG: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/config.json");
const WEIGHTS: &[u8] = include_bytes!("../../crates/plackett-lm/tests/parity/bert/model.safetensors");

static FOLDER: LazyLock<Folder> =
    LazyLock::new(|| Folder::with(&[("model.safetensors", WEIGHTS), ("config.json", CONFIG)]));

fuzz_target!(
    // libFuzzer's own hook would end the program at panics that the reader turns into errors; one that the reader lets
    // through still ends it.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| {
        FOLDER.write("tokenizer.json", data);
        let options = EncoderOptions { threads: Some(1), ..EncoderOptions::default() };
        let Ok(model) = EncoderModel::open(FOLDER.path(), &options) else { return };
        let texts = ["a text, with Ünïcode and 12 numbers", "", " "];
        let options = EmbedOptions { prompt: "query: ".into(), max_tokens: Some(24) };
        for options in [EmbedOptions::default(), options] {
            if let Ok(vectors) = model.embed(&texts, &options) {
                assert_eq!(vectors.data.len(), texts.len() * vectors.dim);
            }
        }
        let _ = model.token_spans(texts[0]);
    }
);
