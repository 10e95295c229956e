//! Recipes: a published system as a composition of stages (data → index → retrieve, rank → evaluate) and the claims
//! that its paper makes, judged on what was measured.
//!
//! A recipe is a TOML file. [`Recipe::read`] checks all of it for both scales before any work; [`Runner`] runs its stages,
//! each from the cache when nothing that it depends on has changed, and judges its claims. What stages, claims and
//! simulations there are is in one [`Registry`], from which the reader, the help and `docs/recipes.md` are made.

mod asked_question;
mod catalogue_index;
mod categories;
mod choosing;
pub mod claim;
pub(crate) mod data_card;
pub mod dataset;
mod digits;
pub mod docids;
mod document_part;
mod embedding_examples;
mod error;
mod expression;
mod faceted;
mod feature_lists;
pub mod field;
mod file;
mod film;
mod film_sessions;
mod floor_cases;
mod four_modes;
pub mod graph;
pub mod guide;
mod inputs;
mod judged_lists;
pub(crate) mod kept_replies;
mod kind;
pub(crate) mod line_log;
mod list_ranker_examples;
mod next_item;
mod ordered_groups;
mod papers_page;
mod parallel_texts;
mod policy_summary;
mod product;
mod quantity;
mod question_pairs;
mod rankings;
mod reasoner;
mod registry;
mod repeated_measures;
pub mod report;
mod results;
mod run;
mod shopping;
pub mod simulation;
pub mod skeleton;
mod small_decoder;
mod source;
mod stage_examples;
mod systems;
mod task;
mod teacher;
#[cfg(test)]
mod tests;
mod training;
mod training_fields;
mod unlearning;
mod wiki;
mod word_weights;

pub use error::{Problem, RecipeError, StageError};
pub use field::Scale;
pub use file::{AtScale, CLAIM_FIELDS, ClaimDefinition, Recipe, STAGE_FIELDS, StageDefinition, Waiting};
pub use papers_page::papers_page;
pub use quantity::{PairError, Quantity};
pub use registry::{Estimate, Hashes, Registry, StageKind, StageOutput};
pub use results::{ClaimResult, Results, State};
pub use run::{ClaimOutcome, Outcome, PlannedStage, Runner, StageOutcome};
pub use source::{Place, Source};
pub use systems::{RecipeStore, System, systems};
pub use task::{Environment, Input, Progress, Task};
