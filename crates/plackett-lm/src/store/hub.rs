//! The Hugging Face hub and its cache on this machine.

use super::StoreError;
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
    if !is_id(name) {
        return None;
    }
    let (id, revision) = parts(name);
    let folder = cache_folder()?.join(format!("models--{}", id.replace('/', "--")));
    let commit =
        std::fs::read_to_string(folder.join("refs").join(revision)).unwrap_or_else(|_| revision.to_string());
    let snapshot = folder.join("snapshots").join(commit.trim());
    let whole = snapshot.join("config.json").exists() && snapshot.join("tokenizer.json").exists();
    whole.then_some(snapshot)
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

/// Downloads the files of a model into `target` and returns the revision's commit.
pub(super) fn fetch(
    name: &str,
    target: &Path,
    progress: &dyn Fn(&str, u64, u64),
) -> Result<String, StoreError> {
    use hf_hub::api::sync::ApiBuilder;
    let (id, revision) = parts(name);
    let mut builder = ApiBuilder::new().with_progress(false).with_cache_dir(target.join(".hub"));
    if let Ok(endpoint) = std::env::var("HF_ENDPOINT") {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(token) = std::env::var("HF_TOKEN").ok().filter(|t| !t.is_empty()) {
        builder = builder.with_token(Some(token));
    }
    let api = builder.build().map_err(|e| failed(name, e.to_string()))?;
    let repo = hf_hub::Repo::with_revision(id.into(), hf_hub::RepoType::Model, revision.into());
    let repo = api.repo(repo);
    let info = repo.info().map_err(|e| failed(name, e.to_string()))?;
    let there: Vec<&str> = info.siblings.iter().map(|s| s.rfilename.as_str()).collect();
    let shards = there.iter().filter(|f| f.starts_with("model") && f.contains(".safetensors"));
    let weights: Vec<&str> = shards.copied().collect();
    if weights.is_empty() {
        return Err(failed(
            name,
            "the repository has no model.safetensors; other weight formats are not read".into(),
        ));
    }
    let wanted = ["config.json", "tokenizer.json"].into_iter().chain(weights);
    let optional = OPTIONAL.iter().copied().filter(|f| there.contains(f));
    for file in wanted.chain(optional) {
        progress(file, 0, 0);
        let fetched = repo.download(file).map_err(|e| failed(name, format!("{file}: {e}")))?;
        let place = target.join(file);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
        }
        std::fs::copy(&fetched, &place).map_err(StoreError::io(&place))?;
    }
    let downloads = target.join(".hub");
    std::fs::remove_dir_all(&downloads).map_err(StoreError::io(&downloads))?;
    Ok(info.sha)
}
