//! The model that is inside the binary, so that the first search needs no network.

use plackett_lm::store::{BUNDLED, Resolved, Store, StoreError};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

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

/// The bundled model of this process, where the cache could not be written.
struct Temporary {
    folder: TempDir,
    model: Resolved,
    /// Why it is not in the cache.
    why: String,
}

static TEMPORARY: Mutex<Option<Temporary>> = Mutex::new(None);

/// The same as [`unpack`], and in a temporary folder where the cache cannot be written. [`end`] removes that folder and has
/// a remark on it.
///
/// # Errors
/// The model can be unpacked neither into the cache nor among the temporary files.
pub fn open(store: &Store) -> Result<Resolved, StoreError> {
    let error = match unpack(store) {
        Err(error @ StoreError::Io { .. }) => error,
        done => return done,
    };
    let mut temporary = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(there) = &*temporary {
        return Ok(there.model.clone());
    }
    // The cache is what the user can mend: its error is told if there is no other place either.
    let Ok(folder) = tempfile::Builder::new().prefix("plackett-").tempdir() else { return Err(error) };
    let model = unpack(&Store { cache: folder.path().to_path_buf(), ..store.clone() })?;
    let why = format!("{}: cannot be written", store.cache.display());
    *temporary = Some(Temporary { folder, model: model.clone(), why });
    Ok(model)
}

/// Removes the temporary folder of the bundled model, if there is one, and says why it was needed.
pub fn end() -> Option<String> {
    let Temporary { folder, why, .. } = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    // What cannot be removed is removed with all temporary files.
    let _ = folder.close();
    Some(format!(
        "{why}, so that the bundled model was unpacked for this command alone; PLACKETT_CACHE names a folder to keep it in"
    ))
}
