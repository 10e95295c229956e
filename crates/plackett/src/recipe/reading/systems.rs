//! The published systems that recipes are to cover, and the recipes inside the program.

use super::file::Recipe;
use super::source::Source;
use crate::recipe::error::{RecipeError, nearest};
use crate::recipe::registry::Registry;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A published system.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// The name of its recipe.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The paper.
    pub paper: String,
    /// The year of the paper.
    pub year: u32,
    /// The paper's number at arXiv, where it has one.
    #[serde(default)]
    pub arxiv: Option<String>,
    /// What the system does, in our words.
    pub about: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    system: Vec<System>,
}

const SYSTEMS: &str = include_str!("../../../../../recipes/systems.toml");

// `RECIPES` and `RESULTS`, as (name, text): every `recipes/*.toml` and `recipes/results/*.toml`.
include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// Names in the folder of recipes that are no recipes.
const NO_RECIPES: &[&str] = &["systems"];

/// Every published system, in the order of the table.
///
/// # Errors
/// The table is damaged.
pub fn systems() -> Result<Vec<System>, RecipeError> {
    let table: Table = toml::from_str(SYSTEMS).map_err(|error| RecipeError::Form {
        file: "recipes/systems.toml".into(),
        problem: error.to_string(),
    })?;
    Ok(table.system)
}

/// Where recipes are looked for.
#[derive(Clone, Debug, Default)]
pub struct RecipeStore {
    /// A folder of recipe files; `None` for those inside the program.
    pub folder: Option<PathBuf>,
}

impl RecipeStore {
    /// The folder that was named, else `recipes` of the working folder, else what is inside the program.
    pub fn new(named: Option<PathBuf>) -> RecipeStore {
        let here = Path::new("recipes");
        let folder = named.or_else(|| here.join("systems.toml").is_file().then(|| here.to_path_buf()));
        RecipeStore { folder }
    }

    /// Names of all recipes, sorted.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, RecipeError> {
        let mut names: Vec<String> = match &self.folder {
            None => RECIPES.iter().map(|(name, _)| name.to_string()).collect(),
            Some(folder) => {
                let failed = |source| RecipeError::File { path: folder.clone(), source };
                let mut names = Vec::new();
                for entry in std::fs::read_dir(folder).map_err(failed)? {
                    let name = entry.map_err(failed)?.file_name();
                    names.extend(
                        name.to_str().and_then(|name| name.strip_suffix(".toml")).map(str::to_string),
                    );
                }
                names
            }
        };
        names.retain(|name| !NO_RECIPES.contains(&name.as_str()));
        names.sort();
        Ok(names)
    }

    /// The text of a recipe by its name, or by the path of its file.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn source(&self, asked: &str) -> Result<(String, Source), RecipeError> {
        if asked.ends_with(".toml") || asked.contains(['/', '\\']) {
            let path = Path::new(asked);
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Ok((name, Source::read(path)?));
        }
        let names = self.names()?;
        if !names.iter().any(|name| name == asked) {
            return Err(RecipeError::Unknown {
                nearest: nearest(asked, names.iter().map(String::as_str)),
                name: asked.into(),
            });
        }
        let source = match &self.folder {
            Some(folder) => Source::read(&folder.join(format!("{asked}.toml")))?,
            None => {
                let text = RECIPES.iter().find(|(name, _)| *name == asked).map_or("", |(_, text)| text);
                Source::of_text(format!("recipes/{asked}.toml"), text)
            }
        };
        Ok((asked.to_string(), source))
    }

    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// There is none of that name, or something in it is wrong.
    pub fn recipe(&self, asked: &str, registry: &Registry) -> Result<Recipe, RecipeError> {
        let (name, source) = self.source(asked)?;
        Recipe::read(&name, source, registry)
    }

    /// The text of a recipe's recorded results, with the name of its file.
    pub fn results(&self, recipe: &str) -> Option<(String, String)> {
        let file = format!("results/{recipe}.toml");
        match &self.folder {
            Some(folder) => {
                let path = folder.join(file);
                Some((path.display().to_string(), std::fs::read_to_string(path).ok()?))
            }
            None => {
                let found = RESULTS.iter().find(|(name, _)| *name == recipe);
                found.map(|(_, text)| (format!("recipes/{file}"), text.to_string()))
            }
        }
    }
}
