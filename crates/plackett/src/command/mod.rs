//! One file per subcommand; this one parses, sets up what all share, and turns outcomes into exit codes.

mod compare;
mod doctor;
mod documents;
mod embed;
mod envelope;
mod eval;
mod eval_files;
mod failure;
mod generate;
mod index;
mod measuring;
mod memory;
mod model;
mod open;
mod output;
mod printing;
mod quickstart;
mod report_file;
mod rerank;
mod results;
mod search;
mod snippet;
mod table;

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
    after_help = "Exit codes: 0 done · 1 ran, but a check failed · 2 wrong input or usage · 3 an outside \
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
    #[arg(long, global = true, env = "PLACKETT_OFFLINE")]
    pub offline: bool,
    /// Worker threads (default: all cores)
    #[arg(long, global = true, env = "PLACKETT_THREADS", value_name = "N")]
    pub threads: Option<usize>,
    /// Memory that a model's weights and the buffers of its work may take together, such as 2GB or 700MiB; work is split
    /// to keep it [default: no limit]
    #[arg(long, global = true, env = "PLACKETT_MEMORY_BUDGET", value_name = "SIZE", value_parser = memory::bytes)]
    pub memory_budget: Option<usize>,
}

impl Global {
    /// How models are opened.
    pub fn models(&self) -> ModelOptions {
        ModelOptions { offline: self.offline, threads: self.threads, memory_budget: self.memory_budget }
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
    Search(search::Arguments),
    Rerank(rerank::Arguments),
    Embed(embed::Arguments),
    Generate(Box<generate::Arguments>),
    Eval(eval::Arguments),
    Compare(compare::Arguments),
    Model(model::Arguments),
    Doctor(doctor::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let parsed = Cli::command().try_get_matches().and_then(|m| Ok((Cli::from_arg_matches(&m)?, name(&m))));
    let (cli, name) = parsed.unwrap_or_else(|error| refuse(&error));
    let output = Output::new(&cli.global, &name);
    let result = set_threads(&cli.global).and_then(|()| dispatch(cli.command, &cli.global, &output));
    failure::exit_code(result, &output)
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

fn dispatch(command: Command, global: &Global, output: &Output) -> Outcome {
    match command {
        Command::Quickstart(arguments) => quickstart::run(&arguments, global, output),
        Command::Index(arguments) => index::run(&arguments, global, output),
        Command::Search(arguments) => search::run(&arguments, global, output),
        Command::Rerank(arguments) => rerank::run(&arguments, global, output),
        Command::Embed(arguments) => embed::run(&arguments, global, output),
        Command::Generate(arguments) => generate::run(&arguments, global, output),
        Command::Eval(arguments) => eval::run(&arguments, global, output),
        Command::Compare(arguments) => compare::run(&arguments, global, output),
        Command::Model(arguments) => model::run(&arguments, global, output),
        Command::Doctor(arguments) => doctor::run(&arguments, global, output),
    }
}

fn set_threads(global: &Global) -> Outcome {
    match global.threads {
        None => Ok(()),
        Some(0) => Err(anyhow::anyhow!("--threads 0: at least one thread is needed").into()),
        Some(count) => Ok(rayon::ThreadPoolBuilder::new().num_threads(count).build_global()?),
    }
}
