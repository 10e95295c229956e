//! What tells one embedding model from another that has its name.

use crate::files::weights::shards;
use crate::sha256::Sha256;
use crate::store::cache;
use crate::store::error::StoreError;
use std::path::{Path, PathBuf};

/// SHA-256 in hexadecimal over a model's config.json and weights, those of its numbered module folders (`1_Pooling`,
/// `2_Dense` …) too: models that embed a text differently differ in one of these files. Where there are no weights under these
/// names, those of a name of their own count with the shape beside them (`list_ranker.safetensors` and `list_ranker.json`). A
/// GGUF file, or a folder with nothing but such files, is told by them alone. Reads all weights.
///
/// # Errors
/// A file cannot be read.
pub fn fingerprint(directory: &Path) -> Result<String, StoreError> {
    if directory.is_file() {
        return cache::hash_file(directory);
    }
    let mut files = own_files(directory)?;
    for folder in entries(directory)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let numbered = name.split_once('_').is_some_and(|(n, _)| n.parse::<u32>().is_ok());
        if numbered && folder.is_dir() {
            files.extend(own_files(&folder)?);
        }
    }
    // By name inside the model: the order of a folder's entries is the system's affair.
    let mut named = Vec::new();
    for path in files {
        let inside = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        named.push((inside, cache::hash_file(&path)?));
    }
    named.sort();
    let mut hasher = Sha256::new();
    for (name, hash) in named {
        hasher.update(format!("{hash}  {name}\n"));
    }
    Ok(hasher.hex_digest())
}

/// config.json and the weights that are read: one file, or else the shards that an index lists, or those of the usual
/// names.
fn own_files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let whole = folder.join("model.safetensors");
    let is_shard = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("model-") && name.ends_with(".safetensors")
    };
    let listed = shards(&folder.join("model.safetensors.index.json"));
    let mut files: Vec<PathBuf> = match (whole.is_file(), listed) {
        (true, _) => vec![whole],
        (false, Ok((names, _))) => names.iter().map(|name| folder.join(name)).collect(),
        (false, Err(_)) => entries(folder)?.into_iter().filter(is_shard).collect(),
    };
    files.retain(|path| path.is_file());
    if files.is_empty() {
        files = with_shapes(folder)?;
    }
    files.extend(Some(folder.join("config.json")).filter(|path| path.is_file()));
    if files.is_empty() {
        let is_gguf = |path: &PathBuf| path.extension().is_some_and(|e| e == "gguf");
        files = entries(folder)?.into_iter().filter(is_gguf).collect();
    }
    Ok(files)
}

/// Weights of any name with the shape that is written beside them under it.
fn with_shapes(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        let shape = path.with_extension("json");
        if path.extension().is_some_and(|e| e == "safetensors") && shape.is_file() {
            files.extend([path, shape]);
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = std::fs::read_dir(folder).map_err(StoreError::io(folder))?;
    read.map(|entry| Ok(entry.map_err(StoreError::io(folder))?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    #[test]
    fn only_files_that_make_vectors_count() {
        let base = [("config.json", "{}"), ("model.safetensors", "w"), ("1_Pooling/config.json", "mean")];
        let of = |more: &[(&str, &str)]| {
            let files: Vec<_> = base.iter().chain(more).copied().collect();
            fingerprint(folder(&files).path()).unwrap()
        };
        let usual = of(&[]);
        assert_eq!(usual.len(), 64);
        assert_eq!(usual, of(&[]), "another folder, the same files");
        assert_eq!(
            usual,
            of(&[("README.md", "words"), ("onnx/config.json", "{}"), ("model-1.safetensors", "s")])
        );
        for changed in [("config.json", "{ }"), ("model.safetensors", "v"), ("1_Pooling/config.json", "cls")]
        {
            assert_ne!(usual, of(&[changed]), "{changed:?}");
        }
        assert_ne!(usual, of(&[("2_Dense/model.safetensors", "d")]));
    }

    #[test]
    fn weights_of_a_name_of_their_own_count_with_their_shape() {
        let base = [("config.json", "{}"), ("list_ranker.json", "s"), ("list_ranker.safetensors", "w")];
        let of = |more: &[(&str, &str)]| {
            let files: Vec<_> = base.iter().chain(more).copied().collect();
            fingerprint(folder(&files).path()).unwrap()
        };
        let usual = of(&[]);
        assert_eq!(usual, of(&[("adapter.safetensors", "a"), ("training.json", "t")]));
        for changed in ["config.json", "list_ranker.json", "list_ranker.safetensors"] {
            assert_ne!(usual, of(&[(changed, "another")]), "{changed}");
        }
        // Beside weights of the usual name they are no part of the model.
        let with = |weights: &str| of(&[("model.safetensors", "m"), ("list_ranker.safetensors", weights)]);
        assert_eq!(with("a"), with("b"));
    }

    #[test]
    fn shards_count_where_there_is_no_single_file() {
        let of = |second: &str| {
            let files =
                [("config.json", "{}"), ("model-1.safetensors", "a"), ("model-2.safetensors", second)];
            fingerprint(folder(&files).path()).unwrap()
        };
        assert_ne!(of("b"), of("c"));
        let under_other_names = |second: &str| {
            let index = r#"{"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}"#;
            let files = [
                ("config.json", "{}"),
                ("model.safetensors.index.json", index),
                ("part-1.safetensors", "a"),
                ("part-2.safetensors", second),
            ];
            fingerprint(folder(&files).path()).unwrap()
        };
        assert_ne!(under_other_names("b"), under_other_names("c"));
        let gguf = |weights: &str| fingerprint(folder(&[("m.gguf", weights)]).path()).unwrap();
        assert_ne!(gguf("b"), gguf("c"));
        let single = folder(&[("m.gguf", "b")]);
        assert_eq!(fingerprint(&single.path().join("m.gguf")).unwrap().len(), 64);
        assert!(fingerprint(Path::new("no/such/folder")).is_err());
    }
}
