//! Models by name, opened once.

use super::local::encoder_decoder;
use super::ngrams::{WANTED, WritingModel};
use super::{LocalModel, ModelOptions, is_encoder_decoder};
use crate::bundled;
use crate::group_ranker::GroupRanker;
use plackett_lm::LmError;
use plackett_lm::seq2seq::EncoderDecoder;
use plackett_lm::store::{BUNDLED, Origin, Store, StoreError, builtin, fingerprint};
use plackett_rank::Abilities;
use plackett_rank::engine::Decoder;
use plackett_remote::{RemoteConfig, RemoteModel};
use plackett_search::ModelIdentity;
use plackett_train::trainer::GroupScorer;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
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
    encoder_decoders: Mutex<HashMap<String, Arc<dyn Abilities>>>,
    remote: Mutex<HashMap<String, Arc<RemoteModel>>>,
    default_used: AtomicBool,
}

impl Models {
    /// `default` is for stages that name no model; without it they use the bundled one.
    pub fn new(default: Option<String>, options: ModelOptions) -> Models {
        Models {
            default,
            options,
            opened: Mutex::default(),
            encoder_decoders: Mutex::default(),
            remote: Mutex::default(),
            default_used: AtomicBool::default(),
        }
    }

    /// The name under which a model is opened when a stage names `asked` or nothing.
    pub fn name<'a>(&'a self, asked: Option<&'a str>) -> &'a str {
        asked.or(self.default.as_deref()).unwrap_or(BUNDLED)
    }

    /// The embedding model of a name (directory, Hugging Face id or built-in name), or the default one.
    ///
    /// # Errors
    /// There is no such model here, its files are wrong, or it gives no vector per text.
    pub fn open(&self, asked: Option<&str>) -> Result<LocalModel, ModelError> {
        let model = self.opened(asked, true)?.model;
        let unfit = |reason| LmError::Unsupported {
            model: self.name(asked).to_string(),
            wanted: "give one vector per text".into(),
            reason,
        };
        model.abilities().text_embedder().map_err(unfit)?;
        Ok(model)
    }

    /// A local decoder, whatever it was made for.
    ///
    /// # Errors
    /// There is no such model here, its files are wrong, or it is no decoder.
    pub fn decoder(&self, name: &str) -> Result<Arc<Decoder>, ModelError> {
        let LocalModel::Decoder(decoder) = self.opened(Some(name), false)?.model else {
            let reason = "it is not a decoder; give one, such as SmolLM2-135M-Instruct".into();
            let wanted = "keep keys and values of documents".into();
            return Err(LmError::Unsupported { model: name.to_string(), wanted, reason }.into());
        };
        Ok(decoder)
    }

    /// The name under which a model is opened from anywhere: a directory's whole path, or the name itself.
    pub fn lasting_name(name: &str) -> String {
        std::fs::canonicalize(name).map_or_else(|_| name.to_string(), |path| path.display().to_string())
    }

    /// What a reranker of that name can be used as: a local model, or a server behind `remote:URL`, to which nothing is
    /// sent yet.
    pub fn reranker(&self, asked: Option<&str>) -> Result<Arc<dyn Abilities>, ModelError> {
        if let Some(remote) = self.remote(asked)? {
            return Ok(remote);
        }
        let name = self.name(asked);
        self.default_used.fetch_or(asked.is_none(), Ordering::Relaxed);
        let mut opened = self.encoder_decoders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(name) {
            return Ok(known.clone());
        }
        let directory = self.directory(name)?;
        if GroupScorer::is_in(&directory) {
            let ranker: Arc<dyn Abilities> = Arc::new(GroupRanker::open(name, &directory, self)?);
            return Ok(opened.entry(name.to_string()).or_insert(ranker).clone());
        }
        match encoder_decoder(&directory, &self.options).transpose()? {
            Some(model) => Ok(opened.entry(name.to_string()).or_insert(model).clone()),
            None => Ok(self.opened(asked, false)?.model.abilities()),
        }
    }

    /// A local model that writes text after a prompt.
    ///
    /// # Errors
    /// There is no such model here, its files are wrong, or it does not write.
    pub(super) fn writing(&self, name: &str) -> Result<WritingModel, ModelError> {
        let unfit = |reason: &str| -> ModelError {
            let (model, wanted) = (name.to_string(), WANTED.to_string());
            LmError::Unsupported { model, wanted, reason: reason.into() }.into()
        };
        if name.starts_with(plackett_remote::PREFIX) {
            return Err(unfit("a server does not let tokens be chosen; give a local model"));
        }
        let directory = self.directory(name)?;
        if is_encoder_decoder(&directory) {
            let model = EncoderDecoder::open(&directory, &self.options.encoder_decoder())?;
            return Ok(WritingModel::EncoderDecoder(Box::new(model)));
        }
        let writers = "give a decoder, such as SmolLM2-135M-Instruct, or an encoder–decoder";
        match self.opened(Some(name), false)?.model {
            LocalModel::Encoder(_) => {
                Err(unfit(&format!("it is an encoder, which writes nothing; {writers}")))
            }
            LocalModel::Decoder(decoder) if decoder.model().has_score_head() => {
                Err(unfit(&format!("it has a score head and writes nothing; {writers}")))
            }
            LocalModel::Decoder(decoder) if decoder.embedder().is_some() => {
                Err(unfit(&format!("it was made to embed texts and not to write; {writers}")))
            }
            LocalModel::Decoder(decoder) => Ok(WritingModel::Decoder(decoder)),
        }
    }

    /// Where the files of a local model are.
    fn directory(&self, name: &str) -> Result<PathBuf, ModelError> {
        let store = Store::from_environment(self.options.offline)?;
        Ok(match builtin(name) {
            Some(model) if matches!(model.origin, Origin::Bundled) => bundled::open(&store)?.directory,
            _ => store.find(name)?.directory,
        })
    }

    /// SHA-256 of what a model computes with: its configuration and weights, all of which are read. `None` for a server,
    /// of which nothing is known but its address.
    ///
    /// # Errors
    /// There is no such model here, or its files cannot be read.
    pub fn fingerprint(&self, name: &str) -> Result<Option<String>, ModelError> {
        if name.starts_with(plackett_remote::PREFIX) {
            return Ok(None);
        }
        Ok(Some(fingerprint(&self.directory(name)?)?))
    }

    /// Whether a stage has used the model that stages without a name of their own use.
    pub fn default_is_used(&self) -> bool {
        self.default_used.load(Ordering::Relaxed)
    }

    /// The server behind a name that begins with `remote:`; `None` for names of local models. Nothing is sent yet.
    pub fn remote(&self, asked: Option<&str>) -> Result<Option<Arc<RemoteModel>>, ModelError> {
        let name = self.name(asked);
        if !name.starts_with(plackett_remote::PREFIX) {
            return Ok(None);
        }
        self.default_used.fetch_or(asked.is_none(), Ordering::Relaxed);
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
        let Opened { model, directory } = self.opened(asked, true)?;
        let name = self.name(asked);
        // The index may be searched from elsewhere.
        let name = Models::lasting_name(name);
        Ok(ModelIdentity { name, dim: model.info().dim, fingerprint: Some(fingerprint(&directory)?) })
    }

    /// The model of a name; for vectors, one that was made to give them.
    fn opened(&self, asked: Option<&str>, vectors: bool) -> Result<Opened, ModelError> {
        let name = self.name(asked);
        self.default_used.fetch_or(asked.is_none(), Ordering::Relaxed);
        if name.starts_with(plackett_remote::PREFIX) {
            return Err(ModelError::NotHere);
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(name) {
            return Ok(known.clone());
        }
        let directory = self.directory(name)?;
        if vectors {
            // Before its weights are read.
            LocalModel::can_embed(&directory)?;
        }
        let model = LocalModel::open(&directory, &self.options)?;
        let new = Opened { model, directory };
        opened.insert(name.to_string(), new.clone());
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_lm::Precision;

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
        let decoder_precision = Precision::F32;
        let (threads, memory_budget) = (Some(2), Some(77));
        let options = ModelOptions { threads, memory_budget, decoder_precision, ..ModelOptions::default() };
        let (encoder, decoder, both) = (options.encoder(), options.decoder(), options.encoder_decoder());
        assert_eq!((encoder.threads, encoder.memory_budget), (Some(2), Some(77)));
        assert_eq!((decoder.threads, decoder.memory_budget), (Some(2), Some(77)));
        assert_eq!(decoder.precision, Precision::F32);
        assert_eq!((both.threads, both.memory_budget), (Some(2), Some(77)));
    }
}
