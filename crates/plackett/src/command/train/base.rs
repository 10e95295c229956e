//! What a training begins from: a model by its files, and what tells its weights from all others.

use super::identity::WEIGHTS;
use crate::command::Global;
use crate::command::open::model_folder;
use anyhow::{Context, bail};
use plackett::content_hash;
use plackett::pipeline::{Models, is_decoder, is_encoder_decoder};
use plackett_train::trainer::{EncoderDecoderModel, LanguageModel};
use std::path::{Path, PathBuf};

/// What a base is, by its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Neither of the others: an encoder.
    Encoder,
    /// A decoder.
    Decoder,
    /// An encoder–decoder.
    EncoderDecoder,
}

impl Base {
    /// What lies in a folder.
    fn of(folder: &Path) -> Base {
        match (is_decoder(folder), is_encoder_decoder(folder)) {
            (true, _) => Base::Decoder,
            (false, true) => Base::EncoderDecoder,
            (false, false) => Base::Encoder,
        }
    }
}

/// A base where it lies.
pub struct FoundBase {
    /// What it is.
    pub base: Base,
    /// Its folder or file.
    pub place: PathBuf,
}

impl FoundBase {
    /// The base of a name.
    ///
    /// # Errors
    /// It is not here, or is an encoder–decoder of a family that is not trained.
    pub fn named(name: &str, global: &Global) -> anyhow::Result<FoundBase> {
        let place = model_folder(name, global)?;
        let base = Base::of(&place);
        if base == Base::EncoderDecoder {
            EncoderDecoderModel::check_base(&place).with_context(|| format!("base {name}"))?;
        }
        Ok(FoundBase { base, place })
    }

    /// A base of which only the vectors are read: any embedding model, the bundled one too.
    pub fn of_vectors(name: &str) -> FoundBase {
        FoundBase { base: Base::Encoder, place: PathBuf::from(name) }
    }

    /// What tells a base of which only the vectors are read from others of its name.
    ///
    /// # Errors
    /// It is not here, or is a server.
    pub fn fingerprint_of_vectors(name: &str, global: &Global) -> anyhow::Result<String> {
        Models::new(None, global.models()).fingerprint(name)?.with_context(|| {
            format!(
                "base {name}: its files are needed here, since only they say whether it is the same later; name a local model"
            )
        })
    }

    /// What tells it from others of its name, as [`fingerprint`].
    ///
    /// # Errors
    /// It has none of its own, or is a decoder of a family that is not trained.
    pub fn fingerprint(&self, name: &str) -> anyhow::Result<String> {
        let family = match self.base {
            Base::Decoder => {
                LanguageModel::check_base(&self.place).with_context(|| format!("base {name}"))?;
                return fingerprint(name, &self.place);
            }
            Base::Encoder => "BERT",
            Base::EncoderDecoder => "T5",
        };
        for file in ["config.json", WEIGHTS, "tokenizer.json"] {
            if !self.place.join(file).is_file() {
                bail!(
                    "base {name}: there is no {file} in its folder; a {family} of Hugging Face's layout can be trained"
                );
            }
        }
        fingerprint(name, &self.place)
    }
}

/// What tells a base from others of its name: weights and shape, and how it splits texts.
///
/// # Errors
/// A file of it cannot be read.
pub fn fingerprint(name: &str, base: &Path) -> anyhow::Result<String> {
    let weights = plackett_lm::store::fingerprint(base).with_context(|| name.to_string())?;
    let tokenizer = base.join("tokenizer.json");
    if !tokenizer.is_file() {
        return Ok(weights);
    }
    let tokens = content_hash::content(&tokenizer).with_context(|| tokenizer.display().to_string())?;
    Ok(format!("{weights} {}", tokens.sha256))
}
