//! What a stage has around it while it works: its values, its folder, the stages before it, the machine.

use super::error::StageError;
use super::field::Values;
use super::registry::{Registry, StageKind, StageOutput};
use crate::bundled;
use crate::content_hash::content;
use crate::papers;
use crate::pipeline::{ModelOptions, Models};
use plackett_core::formats::FormatError;
use plackett_lm::store::{Builtin, Origin, Store, StoreError, builtin, fingerprint};
use plackett_remote as remote;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Name of the bundled collection.
pub const PAPERS: &str = "papers";

/// A stage that stands before another one.
pub struct Input<'a> {
    /// Its name in the recipe.
    pub name: &'a str,
    /// What it does.
    pub kind: &'static StageKind,
    /// Its fields.
    pub values: &'a Values,
    /// Its folder in the cache.
    pub folder: PathBuf,
    /// What it made; `None` while work is only planned.
    pub made: Option<StageOutput>,
}

impl Input<'_> {
    /// Refuses a stage that is of none of these kinds; `field` is where it is named.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn check_kind(&self, field: &'static str, kinds: &[&str]) -> Result<(), StageError> {
        let kind = self.kind.name;
        if kinds.contains(&kind) {
            return Ok(());
        }
        let (name, kinds) = (self.name, kinds.join("` or `"));
        let problem = format!("the stage `{name}` is of the kind `{kind}`; a stage `{kinds}` is expected");
        Err(StageError::Field { field, problem })
    }
}

/// Told what is being done, how much of it is done, and how much there is.
pub type Progress<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);

/// One stage at work.
pub struct Task<'a> {
    /// The stage's name.
    pub name: &'a str,
    /// Its fields.
    pub values: &'a Values,
    /// Its own folder in the cache.
    pub folder: &'a Path,
    /// All stages before it, by name.
    pub inputs: &'a BTreeMap<String, Input<'a>>,
    /// The machine.
    pub environment: &'a Environment,
    /// Where progress is told.
    pub progress: Progress<'a>,
}

impl<'a> Task<'a> {
    /// The stage before this one of a name.
    pub fn input(&self, name: &str) -> Result<&'a Input<'a>, StageError> {
        // The reader has checked that it is there; the order of work puts it first.
        self.inputs.get(name).ok_or_else(|| StageError::Work(format!("the stage `{name}` has not run")))
    }

    /// The stage that a field names, which has to be of one of these kinds.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn input_of(&self, field: &'static str, kinds: &[&str]) -> Result<&'a Input<'a>, StageError> {
        let input = self.input(self.values.word(field))?;
        input.check_kind(field, kinds)?;
        Ok(input)
    }
}

/// The machine: where data and models are.
pub struct Environment {
    /// What recipes are made of.
    pub registry: Registry,
    /// Folders in which collections are looked for.
    pub data: Vec<PathBuf>,
    /// The folder of the recipe, from which paths of collections go out.
    pub recipe_folder: Option<PathBuf>,
    /// The folder of results of stages.
    pub cache: PathBuf,
    /// How models are opened.
    pub models: ModelOptions,
    opened: Mutex<HashMap<Option<String>, Arc<Models>>>,
    fingerprints: Mutex<HashMap<String, String>>,
}

impl Environment {
    /// Collections are looked for in `PLACKETT_DATA`, else in `../shared/data` of the working folder.
    pub fn new(registry: Registry, cache: PathBuf, models: ModelOptions) -> Environment {
        let data = match std::env::var_os("PLACKETT_DATA").filter(|folder| !folder.is_empty()) {
            Some(folder) => vec![PathBuf::from(folder)],
            None => vec![PathBuf::from("../shared/data")],
        };
        Environment {
            registry,
            data,
            recipe_folder: None,
            cache,
            models,
            opened: Mutex::default(),
            fingerprints: Mutex::default(),
        }
    }

    /// The BEIR folder of a collection: the bundled one, one of a name in the folders of data, or a path that begins with
    /// `.` or `/` (relative ones go out from the recipe's folder).
    ///
    /// # Errors
    /// It is in none of these places.
    pub fn collection(&self, name: &str) -> Result<PathBuf, StageError> {
        if name == PAPERS {
            let folder = self.cache.join(PAPERS);
            papers::write_to(&folder).map_err(StageError::cache(&folder))?;
            return Ok(folder);
        }
        let places: Vec<PathBuf> = match name.starts_with(['.', '/']) {
            true => vec![self.recipe_folder.clone().unwrap_or_default().join(name)],
            false => self.data.iter().map(|root| root.join(name)).collect(),
        };
        places.iter().find(|place| place.is_dir()).cloned().ok_or_else(|| StageError::NoData {
            collection: name.into(),
            looked: places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Models with one of them as default, each opened once.
    pub fn models(&self, default: Option<&str>) -> Arc<Models> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Models::new(default.map(str::to_string), self.models.clone()));
        opened.entry(default.map(str::to_string)).or_insert_with(new).clone()
    }

    /// The folder of a model of this machine.
    ///
    /// # Errors
    /// It is not there.
    pub fn directory(&self, name: &str) -> Result<PathBuf, StageError> {
        let store = Store::from_environment(self.models.offline)?;
        Ok(match builtin(name) {
            Some(Builtin { origin: Origin::Bundled, .. }) => bundled::open(&store)?.directory,
            _ => store.find(name)?.directory,
        })
    }

    /// What tells the weights of a model from others of its name. A server is told by its address alone.
    ///
    /// # Errors
    /// The model is not on this machine, or its files cannot be read.
    pub fn fingerprint(&self, name: &str) -> Result<String, StageError> {
        if name.starts_with(remote::PREFIX) {
            return Ok(name.to_string());
        }
        let mut known = self.fingerprints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(name) {
            return Ok(found.clone());
        }
        let store = Store::from_environment(self.models.offline)?;
        let found = match builtin(name) {
            Some(Builtin { origin: Origin::Bundled, .. }) => bundled::open(&store)?,
            _ => store.find(name)?,
        };
        let hash = fingerprint(&found.directory)?;
        known.insert(name.to_string(), hash.clone());
        Ok(hash)
    }

    /// Bytes of a model's files, or how it can be had.
    pub fn model_size(&self, name: &str) -> Result<Result<u64, String>, StageError> {
        if name.starts_with(remote::PREFIX) {
            return Ok(Ok(0));
        }
        let store = Store::from_environment(self.models.offline)?;
        let known = builtin(name);
        if known.is_some_and(|model| model.origin == Origin::Bundled) {
            return Ok(Ok(weights(&bundled::open(&store)?.directory)));
        }
        match store.find(name) {
            Ok(found) => Ok(Ok(weights(&found.directory))),
            Err(StoreError::NoCache) => Err(StoreError::NoCache.into()),
            Err(_) => {
                let size = known.map_or_else(String::new, |model| format!(" ({} MB)", model.megabytes));
                let remedy = store.or_meant(name, format!("plackett model pull {name}"));
                Ok(Err(format!("model {name}{size}: {remedy}")))
            }
        }
    }
}

/// Bytes of a file, or of the files in a folder.
fn weights(path: &Path) -> u64 {
    if path.is_file() {
        return path.metadata().map_or(0, |data| data.len());
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(|data| data.is_file())
        .map(|data| data.len())
        .sum()
}

/// SHA-256 of a file, read in pieces.
pub fn hash_file(path: &Path) -> Result<String, StageError> {
    let failed = |source| FormatError::Open { file: path.display().to_string(), source };
    Ok(content(path).map_err(failed)?.sha256)
}

#[cfg(test)]
mod tests {
    use super::super::field::{Reader, Scale};
    use super::super::reading::source::Source;
    use super::*;
    use toml::de::DeTable;

    #[test]
    fn a_stage_of_another_kind_is_refused_by_the_field_that_names_it() {
        let source = Source::of_text("test", "");
        let table = DeTable::parse(&source.text).unwrap();
        let reader = Reader { source: &source, scale: Scale::Quick };
        let values = reader.fields(table.get_ref(), 0..0, &[], &[], "a stage").unwrap();
        let kind = Registry::default().stage("index").unwrap();
        let input = Input { name: "begun", kind, values: &values, folder: PathBuf::new(), made: None };
        assert!(input.check_kind("start", &["data", "index"]).is_ok());
        let message = input.check_kind("start", &["data", "rank"]).unwrap_err().to_string();
        assert_eq!(
            message,
            "`start`: the stage `begun` is of the kind `index`; a stage `data` or `rank` is expected"
        );
    }
}
