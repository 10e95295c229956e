//! One file per subcommand; this one parses, sets up what all share, and turns outcomes into exit codes.

mod failure;
mod output;

use clap::{Args, Parser, Subcommand};
pub use failure::{Failure, Outcome};
pub use output::Output;
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
    /// Print exactly one JSON document on standard output
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
}

#[derive(Subcommand)]
enum Command {}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(&cli.global);
    let result = dispatch(cli.command, &cli.global, &output);
    failure::exit_code(result)
}

fn dispatch(command: Command, _global: &Global, _output: &Output) -> Outcome {
    match command {}
}
