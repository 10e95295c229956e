//! A `config.json` beside the weights of a tiny decoder, which the first byte chooses. A model that opens reads tokens
//! and gives logits, the same alone and beside one that continues a cache; it does not panic.
#![no_main]

mod common;

use common::Folder;
use libfuzzer_sys::fuzz_target;
use plackett_lm::decode::{Branch, DecodeModel, LogitIds};
use plackett_lm::decoder::{DecoderModel, DecoderOptions};
use std::sync::LazyLock;

const WEIGHTS: [&[u8]; 5] = [
    include_bytes!("../../crates/plackett-lm/tests/golden/decoder/llama/model.safetensors"),
    include_bytes!("../../crates/plackett-lm/tests/golden/decoder/mistral/model.safetensors"),
    include_bytes!("../../crates/plackett-lm/tests/golden/decoder/qwen2/model.safetensors"),
    include_bytes!("../../crates/plackett-lm/tests/golden/decoder/qwen3/model.safetensors"),
    include_bytes!("../../crates/plackett-lm/tests/golden/decoder/gemma3/model.safetensors"),
];
const TOKENIZER: &[u8] = include_bytes!("../../crates/plackett-lm/tests/golden/decoder/llama/tokenizer.json");

static FOLDERS: LazyLock<[Folder; 5]> = LazyLock::new(|| {
    WEIGHTS.map(|weights| Folder::with(&[("model.safetensors", weights), ("tokenizer.json", TOKENIZER)]))
});

fuzz_target!(|data: &[u8]| {
    let Some((chosen, config)) = data.split_first() else { return };
    let folder = &FOLDERS[usize::from(chosen % 5)];
    folder.write("config.json", config);
    let options = DecoderOptions { threads: Some(1), ..DecoderOptions::default() };
    let Ok(model) = DecoderModel::open(folder.path(), &options) else { return };
    let tokens = [5, 7, 200, 7, 31, 8, 9, 100, 274];
    let mut session = model.session();
    let root = session.root();
    let branch = |parent, tokens| Branch { parent, tokens, logit_ids: LogitIds::All, normalizer: true };
    let Ok(whole) = session.extend(&[branch(root, &tokens)], &[]) else { return };
    assert_eq!(whole[0].logits.len(), model.info().vocabulary);
    let first = session.extend(&[branch(root, &tokens[..4])], &[]).expect("the whole could be done");
    let both = [branch(root, &tokens), branch(first[0].prefix, &tokens[4..])];
    let both = session.extend(&both, &[]).expect("the whole could be done");
    // Constants that no model has may end in numbers that are none.
    if whole[0].logits.iter().all(|x| x.is_finite()) {
        assert_eq!(both[0].logits, whole[0].logits);
        assert!(both[1].logits.iter().all(|x| x.is_finite()));
    }
});
