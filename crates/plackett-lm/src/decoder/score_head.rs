//! The head of a decoder that gives a text one score: a linear layer over the state of the last token
//! (`LlamaForSequenceClassification` and its like, with one label: RankLLaMA, Ma and others, 2023, equation 2).

use crate::encoder::heads::{Layer, through};
use crate::error::LmError;
use crate::files::config::JsonFile;
use crate::files::weights::WeightSet;
use plackett_kernel::{Activation, Isa};
use serde_json::Value;
use std::path::Path;

/// The layer's name; its weight is 1 × hidden.
const NAME: &str = "score";

/// What the class of such a model ends with in config.json.
const CLASS: &str = "ForSequenceClassification";

/// A linear layer from the state of a text's last token to its score.
pub struct ScoreHead {
    layer: Layer,
    hidden: usize,
}

impl ScoreHead {
    /// Whether `architectures` in the config.json of a directory names a model with such a head.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_one(path: impl AsRef<Path>) -> Result<bool, LmError> {
        let config = match path.as_ref().is_dir() {
            true => JsonFile::open_optional(path.as_ref(), "config.json")?,
            false => None,
        };
        Ok(config.is_some_and(|config| is_named(&config)))
    }

    /// The head that config.json names, if it does, over states of `hidden` numbers.
    ///
    /// # Errors
    /// There is no such tensor, or it has several labels and so no one score.
    pub(super) fn open(
        config: &JsonFile,
        weights: &WeightSet,
        hidden: usize,
    ) -> Result<Option<ScoreHead>, LmError> {
        if !is_named(config) {
            return Ok(None);
        }
        let labels = weights.tensor(&format!("{NAME}.weight"))?.shape().first().copied().unwrap_or(0);
        if labels != 1 {
            return Err(config.problem(format!(
                "`{NAME}.weight` has {labels} rows, a classifier of as many labels; a model that ranks has one score, as it is trained \
                 with num_labels=1"
            )));
        }
        let layer = Layer::dense(weights, NAME, (1, hidden), Activation::None)?;
        Ok(Some(ScoreHead { layer, hidden }))
    }

    /// The score of a text by the normalised state of its last token.
    pub(super) fn score(&self, isa: Isa, state: Vec<f32>) -> f32 {
        let scores = through(std::slice::from_ref(&self.layer), isa, state, self.hidden);
        scores.first().copied().unwrap_or(f32::NAN)
    }
}

fn is_named(config: &JsonFile) -> bool {
    let classes = config.value().get("architectures").and_then(Value::as_array);
    classes.into_iter().flatten().filter_map(Value::as_str).any(|class| class.ends_with(CLASS))
}
