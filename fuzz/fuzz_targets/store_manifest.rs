//! Records of pulled models. None names a file outside its folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_lm::store::{Manifest, parse_manifest};
use std::path::{Component, Path};

fuzz_target!(|data: &[u8]| {
    let Ok(manifest) = parse_manifest(data, Path::new("plackett-model.json")) else { return };
    for file in &manifest.files {
        let inside = Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
        assert!(inside && !file.path.is_empty(), "`{}` leads out of the folder", file.path);
    }
    let text = serde_json::to_string(&manifest).expect("records are JSON");
    assert_eq!(serde_json::from_str::<Manifest>(&text).ok(), Some(manifest));
});
