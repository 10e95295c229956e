//! What recipes are made of: kinds of stages, kinds of claims and simulations, each a declaration. The reader, the help,
//! `docs/recipes.md` and the checks before a run are read off them.

use super::claim::{self, ClaimKind};
use super::error::{RecipeError, StageError};
use super::field::{FieldSpec, OutputKind, Values};
use super::kind;
use super::quantity::Quantity;
use super::simulation::{self, Simulation};
use super::task::{Environment, Task};
use serde::{Deserialize, Serialize};

/// Names and hashes of what a result depends on.
pub type Hashes = Vec<(String, String)>;

/// A kind of stage.
pub struct StageKind {
    /// Its name in recipes.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub help: &'static str,
    /// Grows whenever the same fields and inputs may give another result: what earlier programs left in the cache is then
    /// made again.
    pub version: u32,
    /// What later stages get from it.
    pub gives: OutputKind,
    /// Its fields, inputs among them.
    pub fields: &'static [FieldSpec],
    /// The field that names a simulation, whose fields the stage then has too.
    pub chooses: Option<&'static str>,
    /// Looks at values before anything runs.
    pub check: fn(&Values, &Registry) -> Result<(), RecipeError>,
    /// The names of the numbers that it will give.
    pub numbers: fn(&Values, &Registry) -> Vec<String>,
    /// What its result depends on beside values and inputs (files, weights), as names and hashes.
    pub outside: fn(&Values, &Environment) -> Result<Hashes, StageError>,
    /// What it will cost, before it runs.
    pub estimate: fn(&Task<'_>) -> Result<Estimate, StageError>,
    /// Does the work. What later stages need is left in the task's folder.
    pub run: fn(&Task<'_>) -> Result<StageOutput, StageError>,
}

impl std::fmt::Debug for StageKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What a finished stage says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageOutput {
    /// Numbers that claims may be about.
    #[serde(default)]
    pub numbers: Vec<Quantity>,
    /// What whoever uses the result has to know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What was made, by name, such as `("queries", "107")`.
    #[serde(default)]
    pub facts: Vec<(String, String)>,
}

/// What a stage will cost, as far as it can be known beforehand.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// What it will do, in a few words.
    pub work: String,
    /// Seconds; `None` where nothing is known.
    pub seconds: Option<f64>,
    /// Bytes of memory that models take.
    pub memory: u64,
    /// What would have to be fetched first, and how.
    pub missing: Vec<String>,
}

/// The kinds and simulations that recipes may name. A crate that stands on this one adds its own.
pub struct Registry {
    /// Kinds of stages.
    pub stages: Vec<&'static StageKind>,
    /// Kinds of claims.
    pub claims: Vec<&'static ClaimKind>,
    /// Simulations.
    pub simulations: Vec<&'static Simulation>,
}

impl std::default::Default for Registry {
    fn default() -> Self {
        Registry {
            stages: kind::STAGE_KINDS.to_vec(),
            claims: claim::CLAIM_KINDS.to_vec(),
            simulations: simulation::SIMULATIONS.to_vec(),
        }
    }
}

impl Registry {
    /// The stage kind of a name.
    pub fn stage(&self, name: &str) -> Option<&'static StageKind> {
        self.stages.iter().copied().find(|kind| kind.name == name)
    }

    /// The claim kind of a name.
    pub fn claim(&self, name: &str) -> Option<&'static ClaimKind> {
        self.claims.iter().copied().find(|kind| kind.name == name)
    }

    /// The simulation of a name.
    pub fn simulation(&self, name: &str) -> Option<&'static Simulation> {
        self.simulations.iter().copied().find(|simulation| simulation.name == name)
    }
}

/// No check beyond what fields say of themselves.
pub fn nothing_to_check(_: &Values, _: &Registry) -> Result<(), RecipeError> {
    Ok(())
}

/// No numbers.
pub fn no_numbers(_: &Values, _: &Registry) -> Vec<String> {
    Vec::new()
}

/// Nothing outside.
pub fn nothing_outside(_: &Values, _: &Environment) -> Result<Hashes, StageError> {
    Ok(Vec::new())
}

/// A moment.
pub fn a_moment(_: &Task<'_>) -> Result<Estimate, StageError> {
    Ok(Estimate { work: "computes".into(), seconds: Some(1.0), ..Estimate::default() })
}
