//! `plackett route`: for each prompt the model, ranker or pipeline that is likely to answer it best.

mod context;
mod estimate;
mod replay;

use super::declarations::{self, Declared};
use super::number::{real, whole};
use super::{Global, Outcome, Output};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use context::Encoder;
use plackett_arena::routing::{POLICIES, PolicySpec, RouteAccess, RouteLog, find, parse};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Learn which model, ranker or pipeline to ask for which prompt
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett route new route.jsonl --arm fast --arm large --policy 'rff-ucb(eta=1)'\n  \
                        plackett route choose route.jsonl \"translate this into Java\"\n  \
                        plackett route reward route.jsonl --arm large --reward 0.8 \"translate this into Java\"\n  \
                        plackett route replay rewards.jsonl --policy greedy --policy 'rff-ucb(eta=1)'\n\n\
                        An arm is any name. The file keeps every reward; after a kill it goes on with the same choices.\n\
                        docs/arena.md has more.")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// The policies there are
    List,
    /// What a policy does, and its options
    Show {
        /// Name or alias
        policy: String,
    },
    New(New),
    /// How a route stands: its policy, its arms and their rewards
    Status {
        /// The route
        route: PathBuf,
    },
    /// Choose an arm for a prompt
    Choose(Asked),
    Reward(Reward),
    /// Add an arm; it is asked next
    Add {
        /// The route
        route: PathBuf,
        /// Name of the arm
        arm: String,
    },
    /// Take an arm out
    Remove {
        /// The route
        route: PathBuf,
        /// Name of the arm
        arm: String,
    },
    Replay(replay::Arguments),
    Estimate(estimate::Arguments),
}

/// Begin a route: arms, a policy, and a file that keeps what is learned
#[derive(Args)]
struct New {
    /// The file; it must not be there yet
    route: PathBuf,
    /// An arm; once for each
    #[arg(long, value_name = "NAME", required = true)]
    arm: Vec<String>,
    /// How arms are chosen (`plackett route list`)
    #[arg(long, short, value_name = "POLICY", default_value = "rff-ucb(eta=1)")]
    policy: String,
    /// The encoder that reads prompts [default: the one that comes with the program]
    #[arg(long, short, value_name = "MODEL", conflicts_with = "dimension")]
    model: Option<String>,
    /// Prompts come as so many numbers with --context, and no encoder reads them
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..=100_000))]
    dimension: Option<usize>,
    /// From which what is drawn follows
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..))]
    seed: u64,
}

/// A prompt for a route.
#[derive(Args)]
struct Asked {
    /// The route
    route: PathBuf,
    /// The prompt
    #[arg(required_unless_present = "context", conflicts_with = "context")]
    prompt: Option<String>,
    /// The prompt as numbers with commas between them, where the route was made with --dimension
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true)]
    context: Option<String>,
}

/// Tell what an arm's answer to a prompt was worth
#[derive(Args)]
struct Reward {
    #[command(flatten)]
    asked: Asked,
    /// The arm that answered
    #[arg(long, value_name = "NAME")]
    arm: String,
    /// What the answer was worth, such as 1 for good and 0 for bad; less what it cost, if that counts
    #[arg(long, value_name = "X", value_parser = real("", |_| true))]
    reward: f64,
}

impl Arguments {
    /// Whether a file of prompts or choices is read.
    pub fn reads_lines(&self) -> bool {
        matches!(self.action, Action::Replay(_) | Action::Estimate(_))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    match &arguments.action {
        Action::List => list(output),
        Action::Show { policy } => show(policy, output),
        Action::Status { route } => told(route, &open(route, RouteAccess::Read, output)?, output),
        Action::Estimate(arguments) => estimate::run(arguments, global, output),
        Action::New(new) => create(new, global, output),
        Action::Choose(asked) => choose(asked, global, output),
        Action::Reward(reward) => take_reward(reward, global, output),
        Action::Add { route, arm } => changed(route, output, |log| log.add(arm)),
        Action::Remove { route, arm } => changed(route, output, |log| log.remove(arm)),
        Action::Replay(arguments) => replay::run(arguments, global, output),
    }
}

fn declared(spec: &PolicySpec) -> Declared {
    let PolicySpec { name, aliases, summary, paper, options, uses_context, .. } = *spec;
    Declared { name, aliases, summary, paper, options, own: ("uses_prompt", uses_context.into(), None) }
}

fn list(output: &Output) -> Outcome {
    let all: Vec<Declared> = POLICIES.iter().map(|spec| declared(spec)).collect();
    declarations::list(&all, ("policy", "policies"), output)
}

fn show(name: &str, output: &Output) -> Outcome {
    declarations::show(&declared(find(name)?), "policy", output)
}

fn create(new: &New, global: &Global, output: &Output) -> Outcome {
    let policy = parse(&new.policy)?;
    let (dimension, encoder) = match new.dimension {
        Some(dimension) => (dimension, None),
        None => {
            let encoder = Encoder::open(new.model.clone(), global)?;
            (encoder.dimension(), Some(encoder.identity()?))
        }
    };
    let log = RouteLog::create(&new.route, &policy, new.arm.clone(), (dimension, new.seed), encoder.clone())?;
    if output.json {
        return Ok(output.print_json(&json!({
            "route": new.route,
            "policy": log.policy(),
            "arms": log.router().names(),
            "dimension": dimension,
            "model": encoder.map(|encoder| encoder.name),
        }))?);
    }
    Ok(output.print(&format!(
        "{}: {} among {}\n",
        new.route.display(),
        log.policy(),
        log.router().names().join(", ")
    ))?)
}

/// Opens a route and says what was mended in it.
fn open(path: &Path, access: RouteAccess, output: &Output) -> anyhow::Result<RouteLog> {
    let log = RouteLog::open(path, access)?;
    log.remarks().iter().for_each(|remark| output.warn(remark));
    Ok(log)
}

/// The context of a prompt, as the route wants it.
fn context_of(asked: &Asked, log: &RouteLog, global: &Global) -> anyhow::Result<Vec<f64>> {
    match (&asked.context, &asked.prompt, log.encoder()) {
        (Some(numbers), _, None) => context::numbers(numbers),
        (Some(_), _, Some(encoder)) => Err(anyhow!(
            "--context: prompts of this route are read by {}; give the prompt as a text",
            encoder.name
        )),
        (None, Some(prompt), Some(encoder)) => {
            let contexts = Encoder::of_route(encoder, global)?.contexts(std::slice::from_ref(prompt))?;
            Ok(contexts.into_iter().next().unwrap_or_default())
        }
        _ => Err(anyhow!("this route was made with --dimension: give the prompt's numbers with --context")),
    }
}

fn choose(asked: &Asked, global: &Global, output: &Output) -> Outcome {
    let log = open(&asked.route, RouteAccess::Read, output)?;
    let context = context_of(asked, &log, global)?;
    let selection = log.select(&context)?;
    let names = log.router().names();
    if output.json {
        let index = |x: f64| if x.is_finite() { json!(x) } else { Value::Null };
        let arms: Vec<Value> = names
            .iter()
            .zip(&selection.expectations)
            .zip(log.router().rewarded())
            .map(|((name, e), rewards)| json!({"arm": name, "mean": e.mean, "index": index(e.index), "rewards": rewards}))
            .collect();
        return Ok(output.print_json(&json!({
            "arm": names[selection.arm],
            "first_time": selection.first_time,
            "arms": arms,
        }))?);
    }
    output.print(&format!("{}\n", names[selection.arm]))?;
    if selection.first_time {
        output.note("chosen because it has no reward yet");
    }
    Ok(())
}

fn take_reward(reward: &Reward, global: &Global, output: &Output) -> Outcome {
    let mut log = open(&reward.asked.route, RouteAccess::Write, output)?;
    let context = context_of(&reward.asked, &log, global)?;
    log.reward(&reward.arm, &context, reward.reward)?;
    told(&reward.asked.route, &log, output)
}

fn changed(
    path: &Path,
    output: &Output,
    change: impl FnOnce(&mut RouteLog) -> Result<(), plackett_arena::ArenaError>,
) -> Outcome {
    let mut log = open(path, RouteAccess::Write, output)?;
    change(&mut log)?;
    told(path, &log, output)
}

/// Says how the route stands.
fn told(path: &Path, log: &RouteLog, output: &Output) -> Outcome {
    let router = log.router();
    if output.json {
        let arms: Vec<Value> = router
            .names()
            .iter()
            .zip(router.rewarded())
            .map(|(name, rewards)| json!({"arm": name, "rewards": rewards}))
            .collect();
        return Ok(output.print_json(
            &json!({"route": path, "policy": log.policy(), "rounds": router.rounds(), "arms": arms}),
        )?);
    }
    let arms: Vec<String> = router
        .names()
        .iter()
        .zip(router.rewarded())
        .map(|(name, rewards)| format!("{name} has {rewards}"))
        .collect();
    Ok(output.print(&format!(
        "{} with {}: {} rewards; {}\n",
        path.display(),
        log.policy(),
        router.rounds(),
        arms.join(", ")
    ))?)
}
