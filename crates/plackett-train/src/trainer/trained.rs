//! What of a model is trained, by which objective, and whether the adapter is kept beside the model: what the jobs of all families
//! check, attach and save alike.

use super::{OWN_HEADS, PHASE_ADAPTER};
use crate::TrainError;
use crate::adapter::{self, Adaptable, Attached, PeftRanks, Targets};
use crate::objective::{self, Term};
use crate::tape::{ParameterId, Parameters};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The folder of the adapter in that of the model: as PEFT saves it, or of an adapter that PEFT has not the file [`PHASE_ADAPTER`].
pub const ADAPTER: &str = "adapter";

/// What of a model is trained.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Trained {
    /// `full` for everything, `head` for what is new alone, or an adapter with its options.
    pub adapter: String,
    /// Ends of the names of the layers that get the adapter, with commas between them, or `all`.
    #[serde(alias = "target_modules")]
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
    /// Checks before a model is opened that this is one of the `words` that a job knows, as `full`, or an adapter that needs nothing
    /// but examples.
    ///
    /// # Errors
    /// A word of other jobs, an adapter that is unknown, has wrong options, or begins from texts that are to be forgotten, or targets
    /// without a name.
    pub(crate) fn check(&self, words: &[&str]) -> Result<(), TrainError> {
        self.check_beside_forgotten(words)?;
        match words.contains(&self.adapter.as_str()) {
            true => Ok(()),
            false => adapter::parse(&self.adapter)?.check_begins_alone(),
        }
    }

    /// The same where there are texts to be forgotten too, from which an adapter may begin.
    ///
    /// # Errors
    /// A word of other jobs, an adapter that is unknown or has wrong options, or targets without a name.
    pub(crate) fn check_beside_forgotten(&self, words: &[&str]) -> Result<(), TrainError> {
        if self.save_adapter && ["full", "head", OWN_HEADS].contains(&self.adapter.as_str()) {
            return Err(TrainError::Setting(format!(
                "save_adapter: adapter = \"{}\" is none that could be saved; name one, as \"lora(rank=8)\", or leave save_adapter out",
                self.adapter
            )));
        }
        if self.targets.split(',').all(|name| name.trim().is_empty()) {
            let problem = "targets: nothing is written; name layers, with commas between, or write \"all\"";
            return Err(TrainError::Setting(problem.into()));
        }
        match self.adapter.as_str() {
            word if words.contains(&word) => Ok(()),
            "head" => Err(TrainError::Setting(format!(
                "adapter = \"head\" is for cross-encoders; here it is one of {}, or an adapter as lora",
                words.join(", ")
            ))),
            text => adapter::parse(text).map(drop),
        }
    }

    /// Puts the adapter on a model, whose other parameters are frozen but for those for which `is_head` holds.
    ///
    /// # Errors
    /// An adapter that is unknown or fits no layer.
    pub(crate) fn attach(
        &self,
        parameters: &mut Parameters,
        model: &mut dyn Adaptable,
        seed: u64,
        is_head: impl Fn(&str) -> bool,
    ) -> Result<Attached, TrainError> {
        let targets = Targets::parse(&self.targets);
        adapter::parse(&self.adapter)?.attach(parameters, model, &targets, seed, is_head)
    }

    /// The adapter on a model, which is checked to be one that can be saved; `None` for `full`, by which everything is trained.
    ///
    /// # Errors
    /// As [`Trained::attach`] and [`check_mergeable`].
    pub(crate) fn attach_or_full(
        &self,
        parameters: &mut Parameters,
        model: &mut dyn Adaptable,
        seed: u64,
    ) -> Result<Option<Attached>, TrainError> {
        if self.adapter == "full" {
            return Ok(None);
        }
        let attached = self.attach(parameters, model, seed, |_| false)?;
        check_mergeable(&attached, parameters)?;
        Ok(Some(attached))
    }

    /// Saves the adapter, where it is to be, in the folder of the model, with heads that were trained whole: as PEFT does, or, where PEFT has
    /// no such adapter, in a form of its own. Layers of an adapter that finds their ranks are filled up to the greatest, which every reader of
    /// LoRA knows.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn save(
        &self,
        attached: Option<&Attached>,
        (parameters, heads): (&Parameters, &[ParameterId]),
        task: &str,
        (base, model): (&Path, &Path),
    ) -> Result<(), TrainError> {
        let Some(attached) = attached.filter(|_| self.save_adapter) else { return Ok(()) };
        let folder = model.join(ADAPTER);
        let Ok(files) = attached.peft(parameters, PeftRanks::Padded) else {
            std::fs::create_dir_all(&folder).map_err(|source| TrainError::file(&folder, source))?;
            return attached.save(parameters, &folder.join(PHASE_ADAPTER), heads);
        };
        files.with_heads(parameters, heads).for_task(task).save(&folder, &base.display().to_string())
    }
}

/// Checks before the training that a model with this adapter can be saved, so that hours later nothing is found to be missing.
///
/// # Errors
/// An adapter that cannot be merged into the weights.
pub(crate) fn check_mergeable(attached: &Attached, parameters: &Parameters) -> Result<(), TrainError> {
    attached.check_mergeable(parameters).map_err(|error| {
        TrainError::Setting(format!(
            "{error}, and a model that is saved has only those; use an adapter that has, as lora, dora or lt-sft (of a \
             factorised layer only full, or lt-sft with targets = \"all\")"
        ))
    })
}

/// The objectives of a job and their weights, as `objective` has them in a training file.
///
/// # Errors
/// An objective that is unknown or has wrong options.
pub(super) fn parse_objective(text: &str) -> Result<Vec<Term>, TrainError> {
    objective::parse_sum(text).map_err(|error| TrainError::Setting(format!("objective: {error}")))
}

/// How many of the numbers that can be trained stay as they were in the end ([`Attached::left_out`]).
pub(crate) fn left_out(attached: Option<&Attached>) -> usize {
    attached.map_or(0, Attached::left_out)
}

/// The ranks of the layers of an adapter that have one, by name.
pub(crate) fn ranks_of(attached: Option<&Attached>, parameters: &Parameters) -> Vec<(String, usize)> {
    let ranks = attached.map(|attached| attached.ranks(parameters)).unwrap_or_default();
    ranks.into_iter().map(|(name, rank)| (name.to_string(), rank)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_job_and_adapters_need_only_examples() {
        let check = |adapter: &str, words: &[&str]| {
            let trained = Trained { adapter: adapter.into(), ..Trained::default() };
            trained.check(words).err().map(|error| error.to_string())
        };
        assert_eq!(check("full", &["full"]), None);
        assert_eq!(check("head", &["full", "head"]), None);
        assert_eq!(check("lora(rank=2)", &["full"]), None);
        let head = check("head", &["full", "exit-heads"]).unwrap();
        assert!(head.contains("cross-encoders") && head.contains("full, exit-heads"), "{head}");
        assert!(check("exit-heads", &["full"]).unwrap().contains("exit-heads"));
        let fila = check("fila(rank=2)", &["full"]).unwrap();
        assert!(fila.contains("texts to be forgotten, and this training has no such texts"), "{fila}");
        assert!(!fila.contains("  "), "{fila}");
        let trained = Trained { adapter: "lora(rank=2)".into(), targets: " ,".into(), ..Trained::default() };
        assert!(trained.check(&["full"]).unwrap_err().to_string().contains("or write \"all\""));
    }

    #[test]
    fn an_objective_is_named_by_its_field() {
        assert_eq!(parse_objective("language").unwrap().len(), 1);
        assert!(parse_objective("nothing-known").err().unwrap().to_string().contains("objective: "));
    }
}
