//! Models by name, opened once.

use crate::bundled;
use plackett_lm::store::{BUNDLED, Origin, Store, StoreError, builtin};
use plackett_lm::{EncoderModel, EncoderOptions, LmError};
use std::collections::HashMap;
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
}

/// Opens models when a stage asks for them, each one once, and never downloads. Shareable between threads.
pub struct Models {
    default: Option<String>,
    offline: bool,
    opened: Mutex<HashMap<String, Arc<EncoderModel>>>,
}

impl Models {
    /// `default` is for stages that name no model; without it they use the bundled one.
    pub fn new(default: Option<String>, offline: bool) -> Models {
        Models { default, offline, opened: Mutex::default() }
    }

    /// The name under which a model is opened when a stage names `asked` or nothing.
    pub fn name<'a>(&'a self, asked: Option<&'a str>) -> &'a str {
        asked.or(self.default.as_deref()).unwrap_or(BUNDLED)
    }

    /// The model of a name (directory, Hugging Face id or built-in name), or the default one.
    pub fn open(&self, asked: Option<&str>) -> Result<Arc<EncoderModel>, ModelError> {
        let name = self.name(asked);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = opened.get(name) {
            return Ok(model.clone());
        }
        let store = Store::from_environment(self.offline)?;
        let found = match builtin(name) {
            Some(model) if matches!(model.origin, Origin::Bundled) => bundled::unpack(&store)?,
            _ => store.find(name)?,
        };
        let model = Arc::new(EncoderModel::open(&found.directory, &EncoderOptions::default())?);
        opened.insert(name.to_string(), model.clone());
        Ok(model)
    }
}
