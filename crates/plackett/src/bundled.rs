//! The model that is inside the binary, so that the first search needs no network.

use plackett_lm::store::{BUNDLED, Resolved, Store, StoreError};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../models/all-MiniLM-L6-v2-int8/", $name)))),*]
    };
}

/// Its files, with licence and notice.
const FILES: &[(&str, &[u8])] = files![
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
    "LICENSE",
    "NOTICE",
];

/// Puts the bundled model into the user's cache, from where it is memory-mapped, unless it is there already.
pub fn unpack(store: &Store) -> Result<Resolved, StoreError> {
    store.unpack(BUNDLED, FILES, "Apache-2.0")
}
