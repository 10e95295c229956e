//! Models by name, opened once.

use super::{LocalModel, ModelOptions};
use crate::bundled;
use plackett_lm::LmError;
use plackett_lm::remote::{self, RemoteConfig, RemoteModel};
use plackett_lm::store::{BUNDLED, Origin, Store, StoreError, builtin, fingerprint};
use plackett_rank::Abilities;
use plackett_search::ModelIdentity;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A model that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It is not on this machine.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its files are wrong.
    #[error(transparent)]
    Engine(#[from] LmError),
    /// It is on another machine, and its files are needed here.
    #[error(
        "a remote model (`remote:…`) can rerank and embed texts, but not make or search an index; name a local one"
    )]
    NotHere,
}

/// A model and where it was found.
#[derive(Clone)]
struct Opened {
    model: LocalModel,
    directory: PathBuf,
}

/// Opens models when a stage asks for them, each one once, and never downloads. Shareable between threads.
pub struct Models {
    default: Option<String>,
    options: ModelOptions,
    opened: Mutex<HashMap<String, Opened>>,
    remote: Mutex<HashMap<String, Arc<RemoteModel>>>,
}

impl Models {
    /// `default` is for stages that name no model; without it they use the bundled one.
    pub fn new(default: Option<String>, options: ModelOptions) -> Models {
        Models { default, options, opened: Mutex::default(), remote: Mutex::default() }
    }

    /// The name under which a model is opened when a stage names `asked` or nothing.
    pub fn name<'a>(&'a self, asked: Option<&'a str>) -> &'a str {
        asked.or(self.default.as_deref()).unwrap_or(BUNDLED)
    }

    /// The model of a name (directory, Hugging Face id or built-in name), or the default one.
    pub fn open(&self, asked: Option<&str>) -> Result<LocalModel, ModelError> {
        self.opened(asked).map(|opened| opened.model)
    }

    /// What a reranker of that name can be used as: a local model, or a server behind `remote:URL`, to which nothing is
    /// sent yet.
    pub fn reranker(&self, asked: Option<&str>) -> Result<Arc<dyn Abilities>, ModelError> {
        match self.remote(asked)? {
            Some(remote) => Ok(remote),
            None => Ok(self.opened(asked)?.model.abilities()),
        }
    }

    /// The server behind a name that begins with `remote:`; `None` for names of local models. Nothing is sent yet.
    pub fn remote(&self, asked: Option<&str>) -> Result<Option<Arc<RemoteModel>>, ModelError> {
        let name = self.name(asked);
        if !name.starts_with(remote::PREFIX) {
            return Ok(None);
        }
        let mut opened = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(name) {
            return Ok(Some(known.clone()));
        }
        let config = RemoteConfig::from_spec(name).map_err(LmError::from)?;
        let offline = self.options.offline || config.offline;
        let model = Arc::new(RemoteModel::open(RemoteConfig { offline, ..config })?);
        opened.insert(name.to_string(), model.clone());
        Ok(Some(model))
    }

    /// What an index remembers of a model: reads all of its weights, to tell it from others of its name.
    pub fn identity(&self, asked: Option<&str>) -> Result<ModelIdentity, ModelError> {
        let Opened { model, directory } = self.opened(asked)?;
        let name = self.name(asked);
        // A directory is remembered with its whole path: the index may be searched from elsewhere.
        let name =
            std::fs::canonicalize(name).map_or_else(|_| name.to_string(), |path| path.display().to_string());
        Ok(ModelIdentity { name, dim: model.info().dim, fingerprint: Some(fingerprint(&directory)?) })
    }

    fn opened(&self, asked: Option<&str>) -> Result<Opened, ModelError> {
        let name = self.name(asked);
        if name.starts_with(remote::PREFIX) {
            return Err(ModelError::NotHere);
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(name) {
            return Ok(known.clone());
        }
        let store = Store::from_environment(self.options.offline)?;
        let found = match builtin(name) {
            Some(model) if matches!(model.origin, Origin::Bundled) => bundled::unpack(&store)?,
            _ => store.find(name)?,
        };
        let model = LocalModel::open(&found.directory, &self.options)?;
        let new = Opened { model, directory: found.directory };
        opened.insert(name.to_string(), new.clone());
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_the_threads_that_were_asked_for() {
        let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert");
        for threads in [1, 3] {
            let options = ModelOptions { threads: Some(threads), ..ModelOptions::default() };
            let model = Models::new(Some(tiny.to_string()), options).open(None).unwrap();
            assert_eq!(model.info().threads, threads);
        }
    }

    #[test]
    fn options_are_those_of_every_architecture() {
        let options = ModelOptions { threads: Some(2), memory_budget: Some(77), ..ModelOptions::default() };
        let (encoder, decoder, both) = (options.encoder(), options.decoder(), options.encoder_decoder());
        assert_eq!((encoder.threads, encoder.memory_budget), (Some(2), Some(77)));
        assert_eq!((decoder.threads, decoder.memory_budget), (Some(2), Some(77)));
        assert_eq!((both.threads, both.memory_budget), (Some(2), Some(77)));
    }
}
