//! `plackett recipe run` and `plackett recipe check`.

use super::{ScaleArguments, StoreArguments, environment, failure, plan, read};
use crate::command::paths::Paths;
use crate::command::table::{Align, Table};
use crate::command::{Failure, Global, Outcome, Output};
use clap::Args;
use console::style;
use plackett::recipe::{Outcome as Run, Recipe, Registry, Results, Runner, report};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// Longest time of a check at the scale `quick`, in seconds.
const QUICK: f64 = 1200.0;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett recipe run hybrid\n  plackett recipe run hybrid --scale full --dry-run\n  \
                        plackett recipe run ./mine.toml --report mine.html"
)]
pub(super) struct RunArguments {
    /// Name or file of the recipe
    recipe: String,
    /// Print what would be done, fetched and taken, and do nothing
    #[arg(long, conflicts_with = "report")]
    dry_run: bool,
    /// The report page [default: in the folder `reports` of the cache]
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    #[command(flatten)]
    work: WorkArguments,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett recipe check\n  \
                        plackett recipe check hybrid --json\n  \
                        plackett recipe check --scale quick --record\n\n\
                        Without names all recipes are checked; those whose data are not on this machine are skipped, and\n\
                        said to be.")]
pub(super) struct CheckArguments {
    /// Names or files of recipes; all without one
    recipes: Vec<String>,
    /// Write the results beside the recipes, into results/NAME.toml
    #[arg(long)]
    record: bool,
    #[command(flatten)]
    work: WorkArguments,
}

#[derive(Args)]
struct WorkArguments {
    #[command(flatten)]
    scale: ScaleArguments,
    /// Folder for what stages make [default: `recipes` in the user's cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) fn run(arguments: &RunArguments, global: &Global, output: &Output) -> Outcome {
    let files = Paths::default().reads("RECIPE", [&arguments.recipe]);
    files.writes("--report", &arguments.report).check(output)?;
    let store = arguments.work.store.store()?;
    let recipe = read(&store, &arguments.recipe, &Registry::default())?;
    let environment = environment(global, arguments.work.cache.as_ref(), &recipe)?;
    let scale = arguments.work.scale.scale();
    if arguments.dry_run {
        return plan::print(
            &Runner { recipe: &recipe, scale, environment: &environment, progress: &|_, _, _| {} },
            output,
        );
    }
    let outcome = work(&recipe, &arguments.work, global, output)?;
    let path = match &arguments.report {
        Some(path) => path.clone(),
        None => {
            let folder = environment.cache.join("reports");
            std::fs::create_dir_all(&folder)?;
            folder.join(format!("{}-{}.html", recipe.name, scale.name()))
        }
    };
    report::write(&path, &recipe, &outcome).map_err(failure)?;
    if output.json {
        let mut value = to_json(&outcome);
        value["report"] = path.display().to_string().into();
        return Ok(output.print_json(&value)?);
    }
    let text = format!(
        "{}\n{}\n{}\n  {} {}\n",
        style(format!("{}: {}", recipe.name, recipe.title)).bold(),
        stages(&outcome),
        claims(std::slice::from_ref(&outcome)),
        style("Report").bold(),
        style(path.display()).underlined()
    );
    Ok(output.print(&text)?)
}

pub(super) fn check(arguments: &CheckArguments, global: &Global, output: &Output) -> Outcome {
    let begun = Instant::now();
    let store = arguments.work.store.store()?;
    let registry = Registry::default();
    let all = arguments.recipes.is_empty();
    let names = if all { store.names().map_err(failure)? } else { arguments.recipes.clone() };
    // Cheap mistakes first: all recipes are read before any is run.
    let recipes = names.iter().map(|name| read(&store, name, &registry)).collect::<Result<Vec<_>, _>>()?;
    let (mut outcomes, mut skipped, mut broken) = (Vec::new(), Vec::new(), None);
    for recipe in &recipes {
        match work(recipe, &arguments.work, global, output) {
            Ok(outcome) => {
                if arguments.record {
                    let path = Results::of(recipe, &outcome).write(recipe).map_err(failure)?;
                    output.note(&format!("recorded: {}", path.display()));
                }
                outcomes.push(outcome);
            }
            Err(Stopped::NoData(why)) if all => {
                output.warn(&format!("{} is skipped: {why}", recipe.name));
                skipped.push(json!({"recipe": recipe.name, "reason": why}));
            }
            Err(Stopped::NoData(why)) => return Err(anyhow::anyhow!(why).into()),
            // The others are checked all the same; the command ends as it must.
            Err(Stopped::Failed(error)) if all => {
                output.warn(&format!("{} stopped", recipe.name));
                broken = broken.or(Some(error));
            }
            Err(Stopped::Failed(error)) => return Err(error),
        }
    }
    let failed: Vec<String> = outcomes
        .iter()
        .flat_map(|run| run.failures().map(|claim| format!("{}: {}", run.recipe, claim.id)))
        .collect();
    if output.json {
        let value = match outcomes.as_slice() {
            [outcome] if !all && recipes.len() == 1 => to_json(outcome),
            outcomes => {
                let listed: Vec<Value> = outcomes.iter().map(to_json).collect();
                json!({"recipes": listed, "skipped": skipped, "seconds": begun.elapsed().as_secs_f64()})
            }
        };
        output.print_json(&value)?;
    } else {
        output.print(&claims(&outcomes))?;
    }
    if let Some(error) = broken {
        return Err(error);
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(Failure::Check(format!(
            "{} expected {} not held: {}",
            failed.len(),
            plural(failed.len()),
            failed.join(", ")
        ))),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "claim has" } else { "claims have" }
}

/// Why a recipe did not come to its end.
enum Stopped {
    NoData(String),
    Failed(Failure),
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Failure {
        match stopped {
            Stopped::NoData(why) => Failure::Input(anyhow::anyhow!(why)),
            Stopped::Failed(failure) => failure,
        }
    }
}

fn work(
    recipe: &Recipe,
    arguments: &WorkArguments,
    global: &Global,
    output: &Output,
) -> Result<Run, Stopped> {
    let environment = environment(global, arguments.cache.as_ref(), recipe)
        .map_err(|error| Stopped::Failed(error.into()))?;
    let bar = output.progress(&recipe.name, 0);
    let progress = |what: &str, done: u64, all: u64| {
        bar.set_message(format!("{}: {what}", recipe.name));
        bar.set_length(all);
        bar.set_position(done);
    };
    let scale = arguments.scale.scale();
    let outcome = Runner { recipe, scale, environment: &environment, progress: &progress }.run();
    bar.finish_and_clear();
    let outcome = outcome.map_err(|error| match error.lacks_data() {
        true => Stopped::NoData(error.to_string()),
        false => Stopped::Failed(failure(error)),
    })?;
    outcome.warnings().iter().for_each(|warning| output.warn(warning));
    let seconds: f64 = outcome.stages.iter().map(|stage| stage.seconds).sum();
    if matches!(scale, plackett::recipe::Scale::Quick) && seconds > QUICK {
        output.warn(&format!(
            "{}: the quick scale took {:.0} minutes of work; it should stay below 20",
            recipe.name,
            seconds / 60.0
        ));
    }
    Ok(outcome)
}

fn to_json(outcome: &Run) -> Value {
    let claims: Vec<Value> = outcome
        .claims
        .iter()
        .map(|claim| {
            json!({
                "id": claim.id, "text": claim.text, "main": claim.main, "held": claim.verdict.held, "numbers": claim.verdict.numbers,
                "expected": claim.expected, "kind": claim.kind, "summary": claim.verdict.summary,
            })
        })
        .collect();
    let waiting: Vec<Value> = outcome
        .waiting
        .iter()
        .map(|c| json!({"id": c.id, "text": c.text, "main": c.main, "waiting": c.needs}))
        .collect();
    let stages: Vec<Value> = outcome
        .stages
        .iter()
        .map(|stage| {
            let numbers: serde_json::Map<String, Value> = stage
                .made
                .numbers
                .iter()
                .map(|quantity| {
                    let value = json!({"mean": quantity.mean(), "ci95": quantity.interval(), "n": quantity.values.len(), "unit": quantity.unit});
                    (quantity.name.clone(), value)
                })
                .collect();
            json!({
                "name": stage.name, "kind": stage.kind, "key": stage.key, "cached": stage.cached, "seconds": stage.seconds,
                "numbers": numbers, "facts": stage.made.facts,
            })
        })
        .collect();
    json!({
        "recipe": outcome.recipe, "scale": outcome.scale.name(), "claims": claims, "waiting": waiting, "stages": stages,
        "seconds": outcome.seconds,
    })
}

fn stages(outcome: &Run) -> String {
    let mut table = Table::new([
        ("stage".to_string(), Align::Left),
        ("kind".into(), Align::Left),
        ("from".into(), Align::Left),
        ("seconds".into(), Align::Right),
        ("number".into(), Align::Left),
        ("mean".into(), Align::Right),
        ("95 % interval".into(), Align::Left),
    ]);
    for stage in &outcome.stages {
        let from = if stage.cached { "cache" } else { "run" };
        let head = [stage.name.clone(), stage.kind.to_string(), from.into(), format!("{:.2}", stage.seconds)];
        table.row(head);
        for quantity in &stage.made.numbers {
            let interval =
                quantity.interval().map_or("–".into(), |[low, high]| format!("{low:.4} – {high:.4}"));
            let blanks = std::iter::repeat_n(String::new(), 4);
            table.row(blanks.chain([quantity.name.clone(), format!("{:.4}", quantity.mean()), interval]));
        }
    }
    table.render()
}

/// One table of all claims.
fn claims(outcomes: &[Run]) -> String {
    let mut table = Table::new([
        ("recipe".to_string(), Align::Left),
        ("claim".into(), Align::Left),
        ("".into(), Align::Left),
        ("state".into(), Align::Left),
        ("numbers".into(), Align::Left),
    ]);
    let (mut held, mut failed, mut expected, mut waiting) = (0, 0, 0, 0);
    for outcome in outcomes {
        for claim in &outcome.claims {
            let state = match (claim.verdict.held, claim.expected) {
                (true, _) => style("held").green().to_string(),
                (false, true) => style("FAILED").red().bold().to_string(),
                (false, false) => style("failed, as expected").yellow().to_string(),
            };
            if claim.verdict.held {
                held += 1
            } else {
                failed += 1;
                expected += usize::from(!claim.expected);
            }
            let main = if claim.main { "main" } else { "" };
            table.row([
                outcome.recipe.clone(),
                claim.id.clone(),
                main.into(),
                state,
                claim.verdict.summary.clone(),
            ]);
        }
        for claim in &outcome.waiting {
            waiting += 1;
            let main = if claim.main { "main" } else { "" };
            table.row([
                outcome.recipe.clone(),
                claim.id.clone(),
                main.into(),
                style("waiting").dim().to_string(),
                format!("for {}", claim.needs),
            ]);
        }
    }
    let expected = if expected > 0 { format!(" ({expected} as expected)") } else { String::new() };
    format!("{}\n  {held} held, {failed} failed{expected}, {waiting} waiting\n", table.render())
}
