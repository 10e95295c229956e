//! Documents of Parquet tables. A broken table ends with one error, never with a panic of the Parquet library.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_core::formats::{DocumentFormat, DocumentOptions, open_documents};
use std::io::{Seek, Write};
use std::sync::{LazyLock, Mutex};
use tempfile::NamedTempFile;

static FILE: LazyLock<Mutex<NamedTempFile>> =
    LazyLock::new(|| Mutex::new(NamedTempFile::new().expect("a temporary file")));

fuzz_target!(
    // libFuzzer's own hook would end the program at panics that the reader turns into errors; one that the reader lets
    // through still ends it.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| {
        let mut file = FILE.lock().expect("one thread");
        let written = file.rewind().and_then(|()| file.as_file().set_len(0)).and_then(|()| file.write_all(data));
        written.expect("the temporary file can be written");
        let options = DocumentOptions { format: DocumentFormat::Parquet, ..DocumentOptions::default() };
        let Ok(documents) = open_documents(file.path(), &options) else { return };
        // A header may promise billions of rows in a few bytes.
        for document in documents.take(1000).flatten() {
            assert!(!document.id.is_empty(), "a document without id");
        }
    }
);
