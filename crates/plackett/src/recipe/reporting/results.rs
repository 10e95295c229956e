//! What the last check of a recipe found, kept beside the recipe in `results/NAME.toml`.

use crate::recipe::error::RecipeError;
use crate::recipe::reading::file::Recipe;
use crate::recipe::reading::systems::RecipeStore;
use crate::recipe::running::run::Outcome;
use plackett_core::formats::atomic;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It holds.
    Held,
    /// It does not.
    Failed,
    /// It was not judged: what it needs does not exist yet.
    Waiting,
}

impl State {
    /// In a table.
    pub fn name(self) -> &'static str {
        match self {
            State::Held => "held",
            State::Failed => "failed",
            State::Waiting => "waiting",
        }
    }
}

/// One claim of the last check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimResult {
    /// Its name.
    pub id: String,
    /// How it stood.
    pub state: State,
    /// The numbers in a line; for a waiting claim what it waits for.
    pub numbers: String,
}

/// The last check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// The day, as `2026-01-31` (UTC).
    pub checked: String,
    /// The scale.
    pub scale: String,
    /// The program's version.
    pub version: String,
    /// SHA-256 of the recipe's file as it was checked.
    pub recipe: String,
    /// Wall time of the work, whether it was done in that run or taken from the cache.
    pub seconds: f64,
    /// Claims in the order of the recipe.
    #[serde(rename = "claim", default)]
    pub claims: Vec<ClaimResult>,
}

impl Results {
    /// Of a check that has just run.
    pub fn of(recipe: &Recipe, outcome: &Outcome) -> Results {
        let judged = outcome.claims.iter().map(|claim| ClaimResult {
            id: claim.id.clone(),
            state: if claim.verdict.held { State::Held } else { State::Failed },
            numbers: claim.verdict.summary.clone(),
        });
        let waiting = outcome.waiting.iter().map(|claim| ClaimResult {
            id: claim.id.clone(),
            state: State::Waiting,
            numbers: format!("waits for {}", claim.needs),
        });
        let seconds: f64 = outcome.stages.iter().map(|stage| stage.seconds).sum();
        Results {
            checked: today(),
            scale: outcome.scale.name().into(),
            version: env!("CARGO_PKG_VERSION").into(),
            recipe: recipe.hash(),
            seconds: (seconds * 10.0).round() / 10.0,
            claims: judged.chain(waiting).collect(),
        }
    }

    /// The recorded results of a recipe; `None` when it was never checked.
    ///
    /// # Errors
    /// The file is not of its form.
    pub fn read(store: &RecipeStore, recipe: &str) -> Result<Option<Results>, RecipeError> {
        let Some((file, text)) = store.results(recipe) else { return Ok(None) };
        let wrong = |error: toml::de::Error| {
            let problem = format!(
                "not the results of a check ({}); write them again with `plackett recipe check {recipe} --record`",
                error.message()
            );
            RecipeError::Form { file, problem }
        };
        toml::from_str(&text).map(Some).map_err(wrong)
    }

    /// How a claim was judged. `None` also for one that was waiting: if it is live now, that says only that nobody has
    /// checked it since.
    pub fn judged(&self, id: &str) -> Option<&ClaimResult> {
        self.claims.iter().find(|claim| claim.id == id && claim.state != State::Waiting)
    }

    /// Whether they are of the recipe as it stands. Claims that the record shows to be on one value were judged by that value
    /// before they had to say `interval = false`: saying it makes no other recipe of it.
    pub fn is_of(&self, recipe: &Recipe) -> bool {
        let one_value = self.claims.iter().filter(|claim| claim.numbers.contains("(no interval; n = 1)"));
        let one_value: Vec<&str> = one_value.map(|claim| claim.id.as_str()).collect();
        self.recipe == recipe.hash() || self.recipe == recipe.hash_without_interval(&one_value)
    }

    /// Writes them beside the recipe's file and gives the path.
    ///
    /// # Errors
    /// The recipe is inside the program, or the disk refuses.
    pub fn write(&self, recipe: &Recipe) -> Result<PathBuf, RecipeError> {
        let Some(folder) = recipe.source.folder() else {
            let problem = "this recipe is inside the program, results are recorded beside a file; name the folder of recipes with --dir";
            return Err(RecipeError::Form { file: recipe.source.file.clone(), problem: problem.into() });
        };
        let folder = folder.join("results");
        std::fs::create_dir_all(&folder)
            .map_err(|source| RecipeError::File { path: folder.clone(), source })?;
        let path = folder.join(format!("{}.toml", recipe.name));
        let text = toml::to_string(self).map_err(|error| RecipeError::Form {
            file: path.display().to_string(),
            problem: error.to_string(),
        })?;
        let head = format!("# Written by `plackett recipe check {} --record`.\n", recipe.name);
        atomic::write(Path::new(&path), |out| out.write_all(format!("{head}{text}").as_bytes()))?;
        Ok(path)
    }
}

/// The day in UTC.
fn today() -> String {
    let now = jiff::Timestamp::now().to_string();
    now.split('T').next().unwrap_or_default().to_string()
}
