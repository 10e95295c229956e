//! One file per subcommand; this one parses, sets up what all share, and turns outcomes into exit codes.

mod arena;
mod as_text;
mod ask;
mod calibrate;
mod choose;
mod compare;
mod completions;
mod cut_texts;
mod declarations;
mod depths;
mod doctor;
mod documents;
mod embed;
mod envelope;
mod eval;
mod eval_files;
mod failure;
mod generate;
mod get;
mod ids;
mod index;
mod item_catalogue;
mod means;
mod measuring;
mod memory;
mod method;
mod model;
mod number;
mod open;
mod output;
mod output_folder;
mod paths;
mod printing;
mod provenance;
mod quickstart;
mod recipe;
mod recommend;
mod replay;
mod report_file;
mod rerank;
mod results;
mod route;
mod search;
mod shown;
mod snippet;
mod synth;
mod table;
mod terminal;
mod trace_file;
mod train;
mod training_folder;
mod trec_lines;
mod within;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use envelope::Envelope;
pub use failure::{Failure, Outcome};
pub use output::Output;
use plackett::pipeline::ModelOptions;
use std::io::Write;
use std::process::ExitCode;

/// Retrieve, rerank and evaluate with one binary.
#[derive(Parser)]
#[command(name = "plackett", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done · 1 ran, but a check failed · 2 wrong input or usage ·\n3 an outside \
                        service or model failed\n\nStart with: plackett quickstart"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every subcommand takes.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Print exactly one JSON document on standard output (docs/json.md says what is in it)
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress bars or remarks on standard error
    #[arg(long, short = 'Q', global = true)]
    pub quiet: bool,
    /// Never touch the network; whatever is not on this machine is an error
    #[arg(long, global = true, env = "PLACKETT_OFFLINE", value_parser = number::by(number::switch))]
    pub offline: bool,
    /// Worker threads (default: all cores)
    #[arg(long, global = true, env = "PLACKETT_THREADS", value_name = "N", value_parser = number::whole::<usize>(1..))]
    pub threads: Option<usize>,
    /// Memory that a model's weights and the buffers of its work may take together, such as 2GB or 700MiB; work is split
    /// to keep it [default: no limit]
    #[arg(long, global = true, env = "PLACKETT_MEMORY_BUDGET", value_name = "SIZE", value_parser = number::by(memory::bytes))]
    pub memory_budget: Option<usize>,
    /// Longest line, CSV record or JSON object that is read from a file of documents, queries, requests, runs or judgments
    #[arg(long, global = true, env = "PLACKETT_MAX_LINE_BYTES", value_name = "SIZE", value_parser = number::by(memory::line_bytes),
          default_value = "8MiB")]
    pub max_line_bytes: usize,
    /// Whether the longest line was said on the command line.
    #[arg(skip)]
    line_limit_is_given: bool,
    /// Whether the memory budget was.
    #[arg(skip)]
    memory_budget_is_given: bool,
}

impl Global {
    /// How models are opened.
    pub fn models(&self) -> ModelOptions {
        ModelOptions {
            offline: self.offline,
            threads: self.threads,
            memory_budget: self.memory_budget,
            ..ModelOptions::default()
        }
    }

    /// Refuses a longest line where no line is read that it could bound; `why` says so.
    pub fn no_line_limit(&self, why: &str) -> Outcome {
        if self.line_limit_is_given {
            return Err(anyhow::anyhow!("--max-line-bytes: {why}; leave it out").into());
        }
        Ok(())
    }

    /// Refuses a memory budget where no model is opened that it could bound; `why` says so.
    pub fn no_memory_budget(&self, why: &str) -> Outcome {
        if self.memory_budget_is_given {
            return Err(anyhow::anyhow!("--memory-budget: {why}; leave it out").into());
        }
        Ok(())
    }

    /// Refuses a flag that names another form of the result than `--json` does.
    pub fn form(&self, flag: &str, given: bool) -> Outcome {
        if self.json && given {
            return Err(anyhow::anyhow!(
                "--json and {flag} both say how the result is written; leave one of them out"
            )
            .into());
        }
        Ok(())
    }
}

#[derive(Subcommand)]
enum Command {
    Quickstart(quickstart::Arguments),
    Index(index::Arguments),
    Search(Box<search::Arguments>),
    Get(get::Arguments),
    Rerank(Box<rerank::Arguments>),
    Replay(replay::Arguments),
    Ask(Box<ask::Arguments>),
    Embed(embed::Arguments),
    Generate(Box<generate::Arguments>),
    Eval(eval::Arguments),
    Compare(compare::Arguments),
    Calibrate(calibrate::Arguments),
    Arena(arena::Arguments),
    Route(Box<route::Arguments>),
    Ids(ids::Arguments),
    Choose(Box<choose::Arguments>),
    Recommend(Box<recommend::Arguments>),
    Synth(synth::Arguments),
    Train(train::Arguments),
    Method(method::Arguments),
    Model(model::Arguments),
    Recipe(Box<recipe::Arguments>),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
    Man(completions::ManArguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let parsed = number::with_signs(Cli::command())
        .try_get_matches()
        .and_then(|m| Ok((Cli::from_arg_matches(&m)?, m)));
    let (mut cli, matches) = parsed.unwrap_or_else(|error| refuse(&error));
    cli.global.line_limit_is_given = is_given(&matches, "max_line_bytes");
    cli.global.memory_budget_is_given = is_given(&matches, "memory_budget");
    let name = name(&matches);
    let output = Output::new(&cli.global, &name);
    let result = set_threads(&cli.global).and_then(|()| dispatch(cli.command, &cli.global, &output));
    if let Some(remark) = plackett::bundled::end() {
        output.warn(&remark);
    }
    failure::exit_code(result, &output)
}

/// Whether a flag stands on the command line, before the subcommand or behind it; the environment's value is no flag.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let levels = std::iter::successors(Some(matches), |level| level.subcommand().map(|(_, below)| below));
    levels.into_iter().any(|level| level.value_source(id) == Some(ValueSource::CommandLine))
}

/// The words of a subcommand, such as `model show`.
fn name(matches: &ArgMatches) -> String {
    let subcommands = std::iter::successors(matches.subcommand(), |(_, below)| below.subcommand());
    subcommands.map(|(word, _)| word).collect::<Vec<_>>().join(" ")
}

/// Ends with what is wrong with the arguments, or with the help that they asked for.
fn refuse(error: &clap::Error) -> ! {
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let envelope = Envelope::new("");
        envelope.fail(error.to_string().trim());
        // A reader that has gone away has the exit code.
        let _ = std::io::stdout().write_all(envelope.end(2).as_bytes());
    }
    error.exit()
}

/// Why a command reads no lines of which the longest can be said; `None` where it reads such.
fn no_line_limit(command: &Command) -> Option<&'static str> {
    match command {
        Command::Index(_)
        | Command::Search(_)
        | Command::Rerank(_)
        | Command::Eval(_)
        | Command::Compare(_)
        | Command::Calibrate(_)
        | Command::Ids(_)
        | Command::Arena(_) => None,
        Command::Route(arguments) if arguments.reads_lines() => None,
        Command::Recommend(arguments) if arguments.reads_lines() => None,
        Command::Synth(arguments) if arguments.reads_lines() => None,
        Command::Embed(arguments) if arguments.collection().is_some() => None,
        Command::Replay(_) => Some("the manifest says how long lines may be"),
        // Lines of texts and aspects may have any length.
        Command::Quickstart(_)
        | Command::Synth(_)
        | Command::Train(_)
        | Command::Ask(_)
        | Command::Get(_)
        | Command::Choose(_)
        | Command::Embed(_)
        | Command::Generate(_)
        | Command::Route(_)
        | Command::Recommend(_)
        | Command::Method(_)
        | Command::Model(_)
        | Command::Recipe(_)
        | Command::Doctor(_)
        | Command::Completions(_)
        | Command::Man(_) => Some("this command reads no documents, queries, requests, runs, judgments"),
    }
}

/// Refuses a memory budget where no model is opened that it could bound.
fn no_memory_budget(command: &Command, global: &Global) -> Outcome {
    let opens_none = match command {
        // Interactions are held in memory as a model would be.
        Command::Recommend(arguments) => !arguments.holds_interactions(),
        Command::Eval(_)
        | Command::Compare(_)
        | Command::Method(_)
        | Command::Get(_)
        | Command::Completions(_)
        | Command::Man(_) => true,
        _ => false,
    };
    match opens_none {
        true => global.no_memory_budget("this command opens no model"),
        false => Ok(()),
    }
}

fn dispatch(command: Command, global: &Global, output: &Output) -> Outcome {
    no_memory_budget(&command, global)?;
    if let Some(why) = no_line_limit(&command) {
        global.no_line_limit(why)?;
    }
    match command {
        Command::Quickstart(arguments) => quickstart::run(&arguments, global, output),
        Command::Index(arguments) => index::run(&arguments, global, output),
        Command::Search(arguments) => search::run(&arguments, global, output),
        Command::Get(arguments) => get::run(&arguments, output),
        Command::Rerank(arguments) => rerank::run(&arguments, global, output),
        Command::Ask(arguments) => ask::run(&arguments, global, output),
        Command::Replay(arguments) => replay::run(&arguments, global, output),
        Command::Embed(arguments) => embed::run(&arguments, global, output),
        Command::Generate(arguments) => generate::run(&arguments, global, output),
        Command::Eval(arguments) => eval::run(&arguments, global, output),
        Command::Compare(arguments) => compare::run(&arguments, global, output),
        Command::Calibrate(arguments) => calibrate::run(&arguments, global, output),
        Command::Arena(arguments) => arena::run(&arguments, global, output),
        Command::Route(arguments) => route::run(&arguments, global, output),
        Command::Ids(arguments) => ids::run(&arguments, global, output),
        Command::Choose(arguments) => choose::run(&arguments, global, output),
        Command::Recommend(arguments) => recommend::run(&arguments, global, output),
        Command::Synth(arguments) => synth::run(&arguments, global, output),
        Command::Train(arguments) => train::run(&arguments, global, output),
        Command::Method(arguments) => method::run(&arguments, output),
        Command::Model(arguments) => model::run(&arguments, global, output),
        Command::Recipe(arguments) => recipe::run(&arguments, global, output),
        Command::Doctor(arguments) => doctor::run(&arguments, global, output),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command(), output),
        Command::Man(arguments) => completions::man(&arguments, Cli::command(), output),
    }
}

fn set_threads(global: &Global) -> Outcome {
    match global.threads {
        None => Ok(()),
        Some(count) if count > most_threads() => {
            let most = most_threads();
            let cores = match cores() {
                1 => "1 core".into(),
                many => format!("{many} cores"),
            };
            Err(anyhow::anyhow!("--threads {count}: this machine has {cores}; give a number up to {most}")
                .into())
        }
        Some(count) => Ok(rayon::ThreadPoolBuilder::new().num_threads(count).build_global()?),
    }
}

/// Threads beyond a few for each core only wait for each other, and very many cannot even be begun.
fn most_threads() -> usize {
    (4 * cores()).max(64)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
