//! Manifests of indexes. Settings that were read and written again are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_search::{FORMAT_VERSION, IndexSettings, parse_manifest};
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let Ok(settings) = parse_manifest(data, Path::new("index")) else { return };
    let whole: serde_json::Value = serde_json::from_slice(data).expect("a manifest is JSON");
    assert_eq!(whole["kind"], "plackett-index");
    assert!(whole["format_version"].as_u64().is_some_and(|version| version <= FORMAT_VERSION));
    let text = serde_json::to_string(&settings).expect("settings are JSON");
    assert_eq!(serde_json::from_str::<IndexSettings>(&text).ok(), Some(settings));
});
