//! `plackett recipe`: published systems as stages and claims, run and checked.

mod check;
mod list;
mod new;
mod plan;
mod show;

use super::{Failure, Global, Outcome, Output};
use clap::{Args, Subcommand, ValueEnum};
use plackett::recipe::{Environment, Recipe, RecipeError, RecipeStore, Registry, Scale, graph, guide};
use plackett_lm::store::Store;
use std::path::PathBuf;

/// Run published systems end to end and check what their papers claim
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett recipe list\n  \
                        plackett recipe show hybrid\n  \
                        plackett recipe run hybrid --dry-run\n  \
                        plackett recipe check hybrid\n  \
                        plackett recipe check --scale quick --record\n  \
                        plackett recipe new mine && plackett recipe check ./mine.toml\n  \
                        plackett recipe graph hybrid --format svg > hybrid.svg\n\n\
                        A recipe is a name of the list or the path of a .toml file. Recipes are read from the folder\n\
                        `recipes` where there is one, else from the program. What stages make is kept in the cache: a second\n\
                        run is instant, a killed one goes on where it was.")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// All recipes, and the published systems that have none yet
    List(list::Arguments),
    /// Stages, claims and last results of a recipe
    Show(show::Arguments),
    /// Run a recipe and write its report page
    Run(check::RunArguments),
    /// Run recipes and judge their claims; exit code 1 when one that is expected to hold does not
    Check(check::CheckArguments),
    /// Write the beginning of a new recipe
    New(new::Arguments),
    /// Draw the stages of a recipe
    Graph(GraphArguments),
    /// Kinds of stages and claims and simulations, with their fields
    Kinds(KindsArguments),
}

/// Where recipes lie.
#[derive(Args, Clone)]
struct StoreArguments {
    /// Folder of recipes [default: `recipes` where it holds a systems.toml, else those inside the program]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl StoreArguments {
    fn store(&self) -> anyhow::Result<RecipeStore> {
        if let Some(folder) = self.dir.as_ref().filter(|folder| !folder.is_dir()) {
            anyhow::bail!("--dir {}: is no folder", folder.display());
        }
        Ok(RecipeStore::new(self.dir.clone()))
    }
}

/// A scale on the command line.
#[derive(Clone, Copy, ValueEnum)]
enum ScaleName {
    /// Real but small data, at most 20 minutes on two cores
    Quick,
    /// The paper's models and data
    Full,
}

/// At which scale.
#[derive(Args, Clone)]
struct ScaleArguments {
    /// Size of data and models
    #[arg(long, value_enum, default_value = "quick")]
    scale: ScaleName,
}

impl ScaleArguments {
    fn scale(&self) -> Scale {
        match self.scale {
            ScaleName::Quick => Scale::Quick,
            ScaleName::Full => Scale::Full,
        }
    }
}

#[derive(Args)]
struct GraphArguments {
    /// Name or file of the recipe
    recipe: String,
    /// How it is drawn
    #[arg(long, value_enum, default_value = "text")]
    format: GraphFormat,
    #[command(flatten)]
    scale: ScaleArguments,
    #[command(flatten)]
    store: StoreArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// One line a stage
    Text,
    /// Graphviz
    Dot,
    /// A picture
    Svg,
}

#[derive(Args)]
struct KindsArguments {
    /// Print the page docs/recipe-kinds.md
    #[arg(long)]
    markdown: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    match &arguments.action {
        Action::List(arguments) => list::run(arguments, global, output),
        Action::Show(arguments) => show::run(arguments, output),
        Action::Run(arguments) => check::run(arguments, global, output),
        Action::Check(arguments) => check::check(arguments, global, output),
        Action::New(arguments) => new::run(arguments, output),
        Action::Graph(arguments) => draw(arguments, global, output),
        Action::Kinds(arguments) => kinds(arguments, global, output),
    }
}

/// A fault of a service is not the user's (exit code 3).
fn failure(error: RecipeError) -> Failure {
    if error.is_outside() { Failure::Service(error.into()) } else { Failure::Input(error.into()) }
}

fn read(store: &RecipeStore, name: &str, registry: &Registry) -> Result<Recipe, Failure> {
    store.recipe(name, registry).map_err(failure)
}

/// The machine, with results of stages in the folder that was named or in the user's cache.
fn environment(global: &Global, cache: Option<&PathBuf>, recipe: &Recipe) -> anyhow::Result<Environment> {
    let cache = match cache {
        Some(folder) => {
            if let Some(file) = folder.ancestors().find(|path| path.exists() && !path.is_dir()) {
                let (folder, file) = (folder.display(), file.display());
                anyhow::bail!("--cache {folder}: {file} is a file, expected a folder; name another");
            }
            folder.clone()
        }
        None => Store::from_environment(global.offline)?.cache.join("recipes"),
    };
    let mut environment = Environment::new(Registry::default(), cache, global.models());
    environment.recipe_folder = recipe.source.folder().map(PathBuf::from);
    Ok(environment)
}

fn draw(arguments: &GraphArguments, global: &Global, output: &Output) -> Outcome {
    global.form("--format", arguments.format != GraphFormat::Text)?;
    let store = arguments.store.store()?;
    let recipe = read(&store, &arguments.recipe, &Registry::default())?;
    let scale = recipe.at(arguments.scale.scale());
    if output.json {
        return Ok(output.print_json(&show::graph_json(&recipe, arguments.scale.scale()))?);
    }
    Ok(output.print(&match arguments.format {
        GraphFormat::Text => graph::text(scale),
        GraphFormat::Dot => graph::dot(&recipe.name, scale),
        GraphFormat::Svg => graph::svg(scale),
    })?)
}

fn kinds(arguments: &KindsArguments, global: &Global, output: &Output) -> Outcome {
    global.form("--markdown", arguments.markdown)?;
    let registry = Registry::default();
    if output.json {
        return Ok(output.print_json(&guide::json(&registry))?);
    }
    if arguments.markdown {
        return Ok(output.print(&guide::page(&registry))?);
    }
    Ok(output.print(&show::kinds_text(&registry))?)
}
