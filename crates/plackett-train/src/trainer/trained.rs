//! What of a model is trained, and by which objective: what the jobs of all families check and attach alike.

use crate::TrainError;
use crate::adapter::{self, Adaptable, Attached, Targets};
use crate::objective::{self, Term};
use crate::tape::Parameters;
use serde::{Deserialize, Serialize};

/// What of a model is trained.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Trained {
    /// `full` for everything, `head` for what is new alone, or an adapter with its options.
    pub adapter: String,
    /// Ends of the names of the layers that get the adapter, with commas between them, or `all`.
    pub targets: String,
}

impl Default for Trained {
    fn default() -> Trained {
        Trained { adapter: "full".into(), targets: "all".into() }
    }
}

impl Trained {
    /// Checks before a model is opened that this is one of the `words` that a job knows, as `full`, or an adapter that needs nothing
    /// but examples.
    ///
    /// # Errors
    /// A word of other jobs, or an adapter that is unknown, has wrong options, or begins from texts that are to be forgotten.
    pub(super) fn check(&self, words: &[&str]) -> Result<(), TrainError> {
        match self.adapter.as_str() {
            word if words.contains(&word) => Ok(()),
            "head" => Err(TrainError::Setting(format!(
                "adapter = \"head\" is for cross-encoders; here it is one of {}, or an adapter as lora",
                words.join(", ")
            ))),
            text => adapter::parse(text)?.check_begins_alone(),
        }
    }

    /// Puts the adapter on a model, whose other parameters are frozen but for those for which `is_head` holds.
    ///
    /// # Errors
    /// An adapter that is unknown, fits no layer, or cannot be merged into the weights that are saved.
    pub(super) fn attach(
        &self,
        parameters: &mut Parameters,
        model: &mut dyn Adaptable,
        seed: u64,
        is_head: impl Fn(&str) -> bool,
    ) -> Result<Attached, TrainError> {
        let targets = Targets::parse(&self.targets);
        let attached = adapter::parse(&self.adapter)?.attach(parameters, model, &targets, seed, is_head)?;
        attached.check_mergeable(parameters).map_err(|error| {
            TrainError::Setting(format!(
                "{error}, and a model that is saved has only those; use an adapter that has, as lora, dora or lt-sft"
            ))
        })?;
        Ok(attached)
    }
}

/// The objectives of a job and their weights, as `objective` has them in a training file.
///
/// # Errors
/// An objective that is unknown or has wrong options.
pub(super) fn parse_objective(text: &str) -> Result<Vec<Term>, TrainError> {
    objective::parse_sum(text).map_err(|error| TrainError::Setting(format!("objective: {error}")))
}

/// The ranks of the layers of an adapter that have one, by name.
pub(super) fn ranks_of(attached: Option<&Attached>, parameters: &Parameters) -> Vec<(String, usize)> {
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
    }

    #[test]
    fn an_objective_is_named_by_its_field() {
        assert_eq!(parse_objective("language").unwrap().len(), 1);
        assert!(parse_objective("nothing-known").err().unwrap().to_string().contains("objective: "));
    }
}
