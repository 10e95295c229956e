//! Adapters: small trainable parts beside frozen weights, in one registry from which training files, help and
//! documentation are read.
//!
//! An adapter is a declaration, [`AdapterSpec`], in a file of its own and a line in [`ADAPTERS`]. [`Configured::attach`]
//! puts it on a model and freezes the rest; the trainer calls [`Attached::before_step`] and [`Attached::after_step`]
//! around each step of the optimiser; [`Attached::save`] writes what was learned, [`Attached::merge`] adds it to the weights.
//!
//! What is no adapter but makes a model smaller stands in [`factorize`].

mod attached;
mod basis;
mod bottleneck;
mod dora;
#[cfg(test)]
mod example;
pub mod factorize;
mod fila;
mod file;
mod generated;
#[cfg(test)]
mod learning;
pub mod listing;
mod lora;
mod nola;
mod parse;
mod peft;
mod peft_files;
#[cfg(test)]
mod properties;
mod rand_lora;
mod site;
mod sora;
mod sparse;
mod svd;
#[cfg(test)]
mod testing;
mod vera;

pub use attached::Attached;
pub use bottleneck::{Nice, Stage, compose, equal_sparse_budget};
pub use fila::{Importance, Texts, weighted_low_rank};
pub use file::{AdapterHeader, open};
pub use generated::{Generator, generated_linear};
pub use parse::{find, parse};
pub use peft::{LoraLayer, LoraWeights, PeftRanks};
pub use peft_files::PeftFiles;
pub use rand_lora::equal_lora_rank;
pub use site::{Adaptable, Site, Targets};
pub use sora::{sequential_threshold, soft_threshold};
pub use sparse::SparseDifference;
pub use svd::{Svd, SvdSolver, truncated_svd};

pub use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};

use crate::TrainError;
use crate::tape::Parameters;
use attached::{Method, Shared};
use std::fmt;
use std::sync::Arc;

/// All adapters. A new one is a declaration in a file beside this one, and a line here.
pub static ADAPTERS: &[&AdapterSpec] = &[
    &lora::SPEC,
    &dora::SPEC,
    &sora::SPEC,
    &nola::SPEC,
    &rand_lora::SPEC,
    &vera::SPEC,
    &fila::SPEC,
    &bottleneck::SPEC,
    &sparse::SPEC,
];

/// An adapter: everything that is said of it, and how it is made.
pub struct AdapterSpec {
    /// The name in training files.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Where it is described: authors, title, year.
    pub paper: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
    /// How many numbers are trained for a layer of `o` outputs and `i` inputs, in terms of options.
    pub formula: &'static str,
    /// The same as a number, for layers of outputs × inputs.
    pub count: fn(&OptionValues, &[(usize, usize)]) -> usize,
    /// Whether it begins from [`Importance`], which only unlearning measures.
    pub needs_importance: bool,
    /// Puts it on a model.
    attach: fn(Request) -> Result<Parts, TrainError>,
}

impl AdapterSpec {
    /// With options, each written as `name`, `value`; others have their defaults.
    ///
    /// # Errors
    /// An option is unknown or stands twice, or a value is not allowed.
    pub fn configure<'a>(
        &'static self,
        written: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Configured, TrainError> {
        Ok(Configured { spec: self, options: OptionValues::parse(self.name, self.options, written)? })
    }
}

plackett_core::impl_declaration!(AdapterSpec);

/// What an adapter is made from.
pub(crate) struct Request<'m> {
    pub(crate) options: OptionValues,
    pub(crate) parameters: &'m mut Parameters,
    pub(crate) model: &'m mut dyn Adaptable,
    pub(crate) targets: &'m Targets,
    pub(crate) seed: u64,
    pub(crate) shared: Arc<Shared>,
    /// Which parameters belong to heads, which are trained whole beside the adapter.
    pub(crate) is_head: &'m dyn Fn(&str) -> bool,
}

/// What an adapter's constructor gives back.
pub(crate) struct Parts {
    pub(crate) method: Box<dyn Method>,
    pub(crate) sites: Vec<Site>,
}

/// An adapter with its options.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The adapter.
    pub spec: &'static AdapterSpec,
    /// Its options.
    pub options: OptionValues,
}

impl Configured {
    /// Puts the adapter on those layers of a model that `targets` names, drawing what it draws from `seed`. Of the parameters
    /// there were, those for which `is_head` holds stay trainable; all others are frozen.
    ///
    /// # Errors
    /// A target is no layer of the model, a layer has an adapter already, the model has no place for this adapter, or
    /// options do not go together.
    pub fn attach(
        &self,
        parameters: &mut Parameters,
        model: &mut dyn Adaptable,
        targets: &Targets,
        seed: u64,
        is_head: impl Fn(&str) -> bool,
    ) -> Result<Attached, TrainError> {
        let before: Vec<_> = parameters.iter().map(|(id, _)| id).collect();
        let shared = Arc::new(Shared::default());
        let frozen: Vec<bool> = parameters.iter().map(|(_, parameter)| !is_head(&parameter.name)).collect();
        let request = Request {
            options: self.options.clone(),
            parameters: &mut *parameters,
            model: &mut *model,
            targets,
            seed,
            shared: shared.clone(),
            is_head: &is_head,
        };
        let Parts { method, sites } = (self.spec.attach)(request)?;
        if !method.trains_base() {
            before.iter().zip(&frozen).filter(|(_, frozen)| **frozen).for_each(|(id, _)| {
                parameters[*id].trainable = false;
            });
        }
        let added = parameters.iter().map(|(id, _)| id).skip(before.len()).collect();
        let linears = model.linears().iter().map(|linear| linear.name.clone()).collect();
        let base = sites.iter().map(|site| parameters[site.weight].value.clone()).collect();
        let (layers, added) = ((sites, linears), (added, base));
        let attached = Attached::new(self.clone(), targets.clone(), seed, method, layers, added, shared);
        attached.reattach(model);
        Ok(attached)
    }

    /// Checks that it can begin without texts that are to be forgotten.
    ///
    /// # Errors
    /// It begins from the importance of weights for such texts (FILA): without them it would be plain LoRA.
    pub fn check_begins_alone(&self) -> Result<(), TrainError> {
        match self.spec.needs_importance {
            false => Ok(()),
            true => Err(TrainError::Setting(format!(
                "`{}` begins from the weights that matter for texts to be forgotten, and this training has no such texts, so that it \
                 would be plain lora; use `lora`, or name those texts in a training file with the key `forget`",
                self.spec.name
            ))),
        }
    }

    /// How many numbers it trains on layers of outputs × inputs.
    pub fn trainable_count(&self, layers: &[(usize, usize)]) -> usize {
        (self.spec.count)(&self.options, layers)
    }
}

/// As a training file writes it; options with their defaults are left out where they were left out.
impl fmt::Display for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.spec.name, self.options)
    }
}
