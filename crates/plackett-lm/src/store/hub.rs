//! The Hugging Face hub and its cache on this machine.

use crate::store::cache::hash_file;
use crate::store::error::StoreError;
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use std::path::{Path, PathBuf};

/// Files that an encoder may need; those that do not exist are left out. Never pickles.
const OPTIONAL: &[&str] = &[
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "1_Dense/config.json",
    "1_Dense/model.safetensors",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "README.md",
    "LICENSE",
];

/// Whether a name has the form `owner/name` or `owner/name@revision`.
pub(super) fn is_id(name: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !part.starts_with('.')
    };
    let id = name.split_once('@').map_or(name, |(id, _)| id);
    matches!(id.split('/').collect::<Vec<_>>()[..], [owner, model] if good(owner) && good(model))
}

fn parts(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, "main"))
}

/// The snapshot of a model in the Hugging Face cache, when it is whole enough to open.
pub(super) fn cached(name: &str) -> Option<PathBuf> {
    cached_in(&cache_folder()?, name)
}

/// The same in a given cache.
pub(super) fn cached_in(cache: &Path, name: &str) -> Option<PathBuf> {
    if !is_id(name) {
        return None;
    }
    let (id, revision) = parts(name);
    let folder = cache.join(format!("models--{}", id.replace('/', "--")));
    let commit =
        std::fs::read_to_string(folder.join("refs").join(revision)).unwrap_or_else(|_| revision.to_string());
    let snapshot = folder.join("snapshots").join(commit.trim());
    let has = |file: &str| snapshot.join(file).exists();
    (has("config.json") && has("tokenizer.json") && has_weights(&snapshot)).then_some(snapshot)
}

/// Other tools leave snapshots with only the files that they needed, or with some of several shards.
fn has_weights(snapshot: &Path) -> bool {
    if snapshot.join("model.safetensors").exists() {
        return true;
    }
    let index = std::fs::read(snapshot.join("model.safetensors.index.json")).unwrap_or_default();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap_or_default();
    index.get("weight_map").and_then(|map| map.as_object()).is_some_and(|map| {
        !map.is_empty()
            && map.values().all(|shard| shard.as_str().is_some_and(|file| snapshot.join(file).exists()))
    })
}

/// Weights of the model itself. Its folder holds no others: variants and paths into or out of folders are left out.
fn is_weights(file: &str) -> bool {
    let shard = file.starts_with("model-") && file.ends_with(".safetensors");
    let whole = ["model.safetensors", "model.safetensors.index.json"].contains(&file);
    whole || shard && file.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|p| p.join("hub")))
        .or_else(|| variable("HOME").map(|p| p.join(".cache/huggingface/hub")))
}

fn failed(name: &str, problem: String) -> StoreError {
    StoreError::Service { service: "the Hugging Face hub", name: name.into(), problem }
}

/// A hub and who asks it.
pub(super) struct Hub {
    pub(super) endpoint: Option<String>,
    pub(super) token: Option<String>,
}

impl Hub {
    /// `HF_ENDPOINT` and `HF_TOKEN`.
    pub(super) fn from_environment() -> Hub {
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        Hub { endpoint: variable("HF_ENDPOINT"), token: variable("HF_TOKEN") }
    }

    /// Downloads the files of a model into `target` and returns the revision's commit, from which all of them are.
    ///
    /// What is fetched lies in `cache/downloads` until the model is whole, so that a cut download goes on where it was.
    pub(super) fn fetch(
        &self,
        name: &str,
        cache: &Path,
        target: &Path,
        progress: &dyn Fn(&str, u64, u64),
    ) -> Result<String, StoreError> {
        let (id, revision) = parts(name);
        let downloads = cache.join("downloads").join(name.replace('/', "--"));
        let mut builder = ApiBuilder::new().with_progress(false).with_cache_dir(downloads.clone());
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        if let Some(token) = &self.token {
            builder = builder.with_token(Some(token.clone()));
        }
        let api = builder.build().map_err(|e| failed(name, e.to_string()))?;
        let repo = |revision: &str| {
            api.repo(hf_hub::Repo::with_revision(id.into(), hf_hub::RepoType::Model, revision.into()))
        };
        let info = repo(revision).info().map_err(|e| failed(name, e.to_string()))?;
        if info.sha.is_empty() || !info.sha.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(failed(name, format!("`{}` is not a commit", info.sha)));
        }
        let there: Vec<&str> = info.siblings.iter().map(|s| s.rfilename.as_str()).collect();
        let weights: Vec<&str> = there.iter().copied().filter(|file| is_weights(file)).collect();
        if weights.is_empty() {
            let problem = "the repository has no model.safetensors; other weight formats are not read";
            return Err(failed(name, problem.into()));
        }
        let pinned = repo(&info.sha);
        let kept = hf_hub::Repo::with_revision(id.into(), hf_hub::RepoType::Model, info.sha.clone());
        let kept = hf_hub::Cache::new(downloads.clone()).repo(kept);
        let wanted = ["config.json", "tokenizer.json"].into_iter().chain(weights);
        let optional = OPTIONAL.iter().copied().filter(|f| there.contains(f));
        for file in wanted.chain(optional) {
            let fetched = download(&pinned, &kept, file, &downloads, progress)
                .map_err(|e| failed(name, format!("{file}: {e}")))?;
            check(&fetched, file, &downloads)?;
            let place = target.join(file);
            if let Some(parent) = place.parent() {
                std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
            }
            std::fs::copy(&fetched, &place).map_err(StoreError::io(&place))?;
        }
        std::fs::remove_dir_all(&downloads).map_err(StoreError::io(&downloads))?;
        Ok(info.sha)
    }
}

const ATTEMPTS: usize = 3;

/// One file, from where an earlier download of it stopped. Cut connections are tried again here: the library's own
/// retries may append a file's beginning to its part.
fn download(
    repo: &ApiRepo,
    kept: &hf_hub::CacheRepo,
    file: &str,
    downloads: &Path,
    progress: &dyn Fn(&str, u64, u64),
) -> Result<PathBuf, ApiError> {
    if let Some(whole) = kept.get(file) {
        return Ok(whole);
    }
    let once = || repo.download_with_progress(file, Bytes { file, progress, done: 0, total: 0 });
    let mut result = once();
    for _ in 1..ATTEMPTS {
        match &result {
            // A part that was complete when its process was killed cannot be continued.
            Err(ApiError::RequestError(error)) if matches!(**error, ureq::Error::Status(416, _)) => {
                std::fs::remove_dir_all(downloads)?;
            }
            Err(ApiError::InvalidResume) => std::fs::remove_dir_all(downloads)?,
            Err(ApiError::RequestError(error)) if matches!(**error, ureq::Error::Transport(_)) => {}
            Err(ApiError::IoError(_)) => {}
            _ => return result,
        }
        result = once();
    }
    result
}

/// Compares a file with the SHA-256 by which the hub stores large files; small ones have none.
fn check(fetched: &Path, file: &str, downloads: &Path) -> Result<(), StoreError> {
    let stored = std::fs::canonicalize(fetched).map_err(StoreError::io(fetched))?;
    let expected = stored.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if expected.len() != 64 || !expected.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(());
    }
    let found = hash_file(&stored)?;
    if found == expected {
        return Ok(());
    }
    // Otherwise the next pull would find the same bytes again.
    std::fs::remove_dir_all(downloads).map_err(StoreError::io(downloads))?;
    let remedy = "what came from the hub was damaged on its way and is not used; pull again".into();
    Err(StoreError::Hash { path: file.into(), expected, found, remedy })
}

struct Bytes<'a> {
    file: &'a str,
    progress: &'a dyn Fn(&str, u64, u64),
    done: u64,
    total: u64,
}

impl hf_hub::api::Progress for Bytes<'_> {
    fn init(&mut self, size: usize, _: &str) {
        (self.done, self.total) = (0, size as u64);
        (self.progress)(self.file, 0, self.total);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        (self.progress)(self.file, self.done, self.total);
    }

    fn finish(&mut self) {}
}
