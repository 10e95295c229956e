//! Simulations: checks of algorithms that need no model. This is the one list of them.

mod citations;
mod distillation;
mod evidence_sets;
mod fusing;
mod grades;
mod gradient;
mod groups;
mod in_context;
mod losses;
mod path;
mod planted;
mod policy;
mod rank_credit;
mod reverse_annealing;
mod routing;
mod sampling;
mod setwise;
mod sorting;
mod spectral_blocks;
mod staged;
mod stochastic_length;
#[cfg(test)]
mod tests;
mod tied_docids;
mod views;
mod votes;
mod window_policies;
mod windows;
mod written;

use super::data::dataset::Dataset;
use super::error::RecipeError;
use super::field::{FieldSpec, Values};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Every simulation.
pub static SIMULATIONS: &[&Simulation] = &[
    &sorting::PAIRWISE_SORTING,
    &setwise::SETWISE_SORTING,
    &windows::WINDOWS,
    &groups::GROUPS,
    &path::SUCCESSOR_PATH,
    &sampling::PLACKETT_LUCE,
    &grades::GRADED_SCORES,
    &policy::GRADED_POLICY,
    &gradient::POLICY_GRADIENT,
    &rank_credit::RANK_CREDIT,
    &reverse_annealing::REVERSE_ANNEALING,
    &fusing::SCORE_FUSION,
    &citations::CITATIONS,
    &evidence_sets::EVIDENCE_SETS,
    &tied_docids::TIED_DOCIDS,
    &views::MULTI_VIEW_REWARD,
    &views::CONSISTENCY_FILTER,
    &window_policies::WINDOW_POLICIES,
    &written::WRITTEN_ORDERS,
    &in_context::OUTLIER_FILTER,
    &in_context::BLOCK_ATTENTION,
    &losses::LIST_LOSSES,
    &distillation::DISTILLATION_LOSSES,
    &planted::PLANTED_UPDATE,
    &votes::VOTES,
    &votes::JUDGE_LABELS,
    &routing::ROUTING,
    &staged::STAGED_SEARCH,
    &spectral_blocks::SPECTRAL_BLOCKS,
    &stochastic_length::STOCHASTIC_LENGTH,
];

/// A simulation.
pub struct Simulation {
    /// Its name in recipes.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub help: &'static str,
    /// Grows whenever the same seed and fields may give other numbers.
    pub version: u32,
    /// Its own fields, beside those of the stage.
    pub fields: &'static [FieldSpec],
    /// Looks at values before anything runs.
    pub check: fn(&Values) -> Result<(), RecipeError>,
    /// The names of its numbers.
    pub numbers: fn(&Values) -> Vec<String>,
    /// The numbers of one seed, in the order of their names.
    pub run: fn(&Simulated<'_>) -> Result<Vec<f64>, String>,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What a simulation is given.
pub struct Simulated<'a> {
    /// Its fields.
    pub values: &'a Values,
    /// The seed: the same one gives the same numbers on any machine.
    pub seed: u64,
    /// Graded candidates, where the stage names a collection.
    pub data: Option<&'a Dataset>,
}

/// A standard normal number (Box and Muller 1958).
pub(in crate::recipe) fn standard_normal(random: &mut ChaCha8Rng) -> f64 {
    // 1 − u is never 0.
    let (length, angle) = (1.0 - random.random::<f64>(), random.random::<f64>());
    (-2.0 * length.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
