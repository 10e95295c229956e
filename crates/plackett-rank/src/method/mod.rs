//! Methods as declarations: one registry from which pipelines, help, documentation and refusals are read.

mod build;
pub mod listing;

pub use build::{Build, MethodError, ranker};
pub use plackett_core::declaration::{OptionError, OptionKind, OptionSpec, OptionValues, nearest};

use crate::methods;
use crate::model::Need;
use crate::prompt::BuiltinPrompt;
use plackett_core::declaration::{self, Unknown};

/// All methods, cheapest first within a family. A new one is a file in `methods/` and a line here.
pub static METHODS: &[&MethodSpec] = &[
    &methods::bi_encoder::SPEC,
    &methods::late_interaction::SPEC,
    &methods::cross_encoder::SPEC,
    &methods::query_likelihood::SPEC,
    &methods::yes_no::SPEC,
    &methods::mono_t5::SPEC,
    &methods::rank_t5::SPEC,
    &methods::erank::SPEC,
    &methods::pairwise::sliding::SPEC,
    &methods::pairwise::heapsort::SPEC,
    &methods::pairwise::allpair::SPEC,
    &methods::pairwise::tsprank::SPEC,
    &methods::setwise::zero_shot::SPEC,
    &methods::setwise::rank_r1::SPEC,
    &methods::group_rank::SPEC,
    &methods::last_but_not_late::SPEC,
    &methods::listwise::first::SPEC,
    &methods::listwise::full_rank::SPEC,
    &methods::listwise::generation::SPEC,
    &methods::listwise::dear::SPEC,
    &methods::listwise::reason_rank::SPEC,
    &methods::e2rank::SPEC,
    &methods::mvp::SPEC,
    &methods::in_context::icr::SPEC,
    &methods::in_context::block_rank::SPEC,
];

/// What a method compares at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Vectors of texts that are read alone.
    Embedding,
    /// One document with the query.
    Pointwise,
    /// Two documents.
    Pairwise,
    /// Several documents, of which the best is chosen.
    Setwise,
    /// Several documents, which are put in order.
    Listwise,
    /// Groups of documents, each of which gets a score.
    Groupwise,
    /// All documents of one prompt, by what the model attends to.
    InContext,
}

impl Family {
    /// The name for people and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Family::Embedding => "embedding",
            Family::Pointwise => "pointwise",
            Family::Pairwise => "pairwise",
            Family::Setwise => "setwise",
            Family::Listwise => "listwise",
            Family::Groupwise => "groupwise",
            Family::InContext => "in-context",
        }
    }
}

/// How often a method asks the model.
#[derive(Clone, Copy)]
pub struct Calls {
    /// In terms of the number of candidates `N` and of options: `N (N − 1)`.
    pub formula: &'static str,
    /// The number for so many candidates, where it is exact.
    pub count: Option<fn(usize, &OptionValues) -> u64>,
}

/// A method: everything that is said of it, and how it is made.
pub struct MethodSpec {
    /// The name in pipelines and on the command line.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it compares at a time.
    pub family: Family,
    /// Whether its scores are its own, with these options; `false` where it gives an order alone, so that scores count places.
    /// A method that gives either, by the number of candidates, says `true`.
    pub gives_scores: fn(&OptionValues) -> bool,
    /// Where it is described: authors, title, year.
    pub paper: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// What it asks of a model, with these options.
    pub needs: fn(&OptionValues) -> Vec<Need>,
    /// Its own options, beside [`MethodSpec::COMMON`].
    pub options: &'static [OptionSpec],
    /// How often it asks the model.
    pub calls: Calls,
    /// Its prompts: the default one first, others by `prompt=NAME`. Empty for methods without prompts.
    pub prompts: &'static [BuiltinPrompt],
    /// Makes a ranker; no text is read for it.
    pub build: fn(Build) -> Result<std::sync::Arc<dyn crate::Ranker>, MethodError>,
}

impl MethodSpec {
    /// Options of every method. They are read before the method is made: where its model comes from, and what is done with
    /// long texts.
    pub const COMMON: &'static [OptionSpec] = &[
        OptionSpec {
            name: "model",
            kind: OptionKind::Text("directory, Hugging Face id, built-in name or remote:URL"),
            default: None,
            help: "the model, instead of the one of --model",
        },
        OptionSpec {
            name: "long",
            kind: OptionKind::Text("truncate, refuse, chunk-max or chunk-mean"),
            default: None,
            help: "what is done with texts longer than the model reads, instead of --long-text",
        },
    ];

    /// Its own options and those of every method.
    pub fn all_options(&self) -> Vec<OptionSpec> {
        self.options.iter().chain(MethodSpec::COMMON).copied().collect()
    }

    /// Reads its options as they stand in an expression.
    ///
    /// # Errors
    /// [`OptionError`] for an option that is unknown or stands twice, or a value that is not allowed.
    pub fn values<'a>(
        &self,
        written: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<OptionValues, OptionError> {
        OptionValues::parse(self.name, &self.all_options(), written)
    }

    /// Its options with their defaults.
    pub fn defaults(&self) -> OptionValues {
        // A test reads the defaults of every method.
        self.values([]).unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// The method of a name or alias.
    ///
    /// # Errors
    /// [`UnknownMethod`] with the names there are and the nearest one.
    pub fn find(name: &str) -> Result<&'static MethodSpec, UnknownMethod> {
        declaration::find(METHODS, name).map_err(|Unknown { known, nearest }| UnknownMethod {
            given: name.to_string(),
            known,
            nearest,
        })
    }
}

plackett_core::impl_declaration!(MethodSpec);

/// A method that does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{given}` is not a reranking method; {}use one of: {known}",
    nearest.map(|n| format!("did you mean `{n}`? ")).unwrap_or_default()
)]
pub struct UnknownMethod {
    given: String,
    known: String,
    nearest: Option<&'static str>,
}

#[cfg(test)]
mod tests;
