//! A `tokenizer.json` beside configuration and weights of a tiny decoder. One that opens gives token ids that the model
//! has, and texts of them, or errors; it does not panic.
#![no_main]

mod common;

use common::Folder;
use libfuzzer_sys::fuzz_target;
use plackett_lm::decoder::{DecoderModel, DecoderOptions};
use std::sync::LazyLock;

const CONFIG: &[u8] = include_bytes!("../../crates/plackett-lm/tests/golden/decoder/qwen2/config.json");
const WEIGHTS: &[u8] =
    include_bytes!("../../crates/plackett-lm/tests/golden/decoder/qwen2/model.safetensors");

static FOLDER: LazyLock<Folder> =
    LazyLock::new(|| Folder::with(&[("model.safetensors", WEIGHTS), ("config.json", CONFIG)]));

fuzz_target!(
    // libFuzzer's own hook would end the program at panics that the reader turns into errors; one that the reader lets
    // through still ends it.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| {
        FOLDER.write("tokenizer.json", data);
        let options = DecoderOptions { threads: Some(1), ..DecoderOptions::default() };
        let Ok(model) = DecoderModel::open(FOLDER.path(), &options) else { return };
        let (tokens, vocabulary) = (model.tokenizer(), model.info().vocabulary as u32);
        for text in ["a text, with Ünïcode and 12 numbers", "", " ", "<s></s>"] {
            for (special, parsed) in [(true, true), (false, false)] {
                let Ok(ids) = tokens.encode(text, special, parsed) else { continue };
                let _ = tokens.decode(&ids, parsed);
                // Ids beyond the model may come from the file's templates; the model refuses them.
                if ids.iter().any(|id| *id >= vocabulary) {
                    assert!(model.prefill(&ids, None).is_err());
                }
            }
        }
        let _ = tokens.decode(&[0, 1, 274, u32::MAX], false);
    }
);
