//! What of a model is trained, and whether the adapter is kept beside the model.

use super::OWN_HEADS;
use crate::TrainError;
use crate::adapter::{Attached, PeftRanks};
use crate::tape::{ParameterId, Parameters};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The folder of the adapter in that of the model, as PEFT saves it.
pub const ADAPTER: &str = "adapter";

/// What of a model is trained.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Trained {
    /// `full` for everything, `head` for what is new alone, or an adapter with its options.
    pub adapter: String,
    /// Ends of the names of the layers that get the adapter, with commas between them, or `all`.
    pub targets: String,
    /// Whether the adapter is saved too, in the folder [`ADAPTER`] of the model, beside the weights that it is merged into.
    #[serde(skip_serializing_if = "is_off")]
    pub save_adapter: bool,
}

impl Default for Trained {
    fn default() -> Trained {
        Trained { adapter: "full".into(), targets: "all".into(), save_adapter: false }
    }
}

fn is_off(flag: &bool) -> bool {
    !flag
}

impl Trained {
    /// Checks what needs no model.
    ///
    /// # Errors
    /// An adapter is to be saved, and none is trained.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        match self.save_adapter && ["full", "head", OWN_HEADS].contains(&self.adapter.as_str()) {
            true => Err(TrainError::Setting(format!(
                "save_adapter: adapter = \"{}\" is none that could be saved; name one, as \"lora(rank=8)\", or leave save_adapter out",
                self.adapter
            ))),
            false => Ok(()),
        }
    }

    /// Checks that the adapter can be saved, where it is to be, so that hours later nothing is found to be missing.
    ///
    /// # Errors
    /// PEFT has no such adapter.
    pub(super) fn check_form(&self, attached: &Attached, parameters: &Parameters) -> Result<(), TrainError> {
        if !self.save_adapter {
            return Ok(());
        }
        attached.peft(parameters, PeftRanks::Padded).map(drop).map_err(|_| {
            TrainError::Setting(format!(
                "save_adapter: PEFT has no `{}` with these numbers; use lora, dora, sora or vera, or leave save_adapter out: the \
                 model has the adapter in its weights",
                attached.configured.spec.name
            ))
        })
    }

    /// Saves the adapter, where it is to be, in the folder of the model, with heads that were trained whole. Layers of an
    /// adapter that finds their ranks are filled up to the greatest, which every reader of LoRA knows.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn save(
        &self,
        attached: Option<&Attached>,
        (parameters, heads): (&Parameters, &[ParameterId]),
        task: &str,
        (base, model): (&Path, &Path),
    ) -> Result<(), TrainError> {
        let Some(attached) = attached.filter(|_| self.save_adapter) else { return Ok(()) };
        let files = attached.peft(parameters, PeftRanks::Padded)?.with_heads(parameters, heads);
        files.for_task(task).save(&model.join(ADAPTER), &base.display().to_string())
    }
}
