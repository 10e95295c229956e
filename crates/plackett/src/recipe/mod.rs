//! Recipes: a published system as a composition of stages (data → index → retrieve, rank → evaluate) and the claims
//! that its paper makes, judged on what was measured.
//!
//! A recipe is a TOML file. [`Recipe::read`] checks all of it for both scales before any work; [`Runner`] runs its stages,
//! each from the cache when nothing that it depends on has changed, and judges its claims. What stages, claims and
//! simulations there are is in one [`Registry`], from which the reader, the help and `docs/recipes.md` are made.
//!
//! The way of a recipe is that of the rooms: `reading` (text → stages and claims), `running` (stages, of the kinds in `kind`), [`claim`]
//! (verdicts), `reporting`. What every kind needs lies beside them: [`field`], `registry`, `task`, `quantity`, `error`. What some kinds share is in
//! `data` (collections), `models` (trainings) and `worlds` (subjects); [`simulation`] has checks without models.

pub mod claim;
pub(crate) mod data;
mod error;
pub mod field;
mod kind;
mod models;
mod quantity;
mod reading;
mod registry;
mod reporting;
pub(crate) mod running;
pub mod simulation;
mod task;
#[cfg(test)]
mod tests;
mod worlds;

pub use data::{dataset, docids};
pub use error::{Problem, RecipeError, StageError};
pub use field::Scale;
pub use quantity::{PairError, Quantity};
pub use reading::file::{
    AtScale, CLAIM_FIELDS, ClaimDefinition, Recipe, STAGE_FIELDS, StageDefinition, Waiting,
};
pub use reading::source::{Place, Source};
pub use reading::systems::{RecipeStore, System, systems};
pub use reading::{graph, skeleton};
pub use registry::{Estimate, Hashes, Registry, StageKind, StageOutput};
pub use reporting::papers_page::papers_page;
pub use reporting::results::{ClaimResult, Results, State};
pub use reporting::{guide, report};
pub use running::run::{ClaimOutcome, Outcome, PlannedStage, Runner, StageOutcome};
pub use task::{Environment, Input, Progress, Task};
