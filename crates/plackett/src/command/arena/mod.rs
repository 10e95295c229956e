//! `plackett arena`: votes between models become ratings, and judges are judged.

mod fit;
mod judge;
mod page;
mod pairs;

use super::{Global, Outcome, Output};
use clap::{Args, Subcommand};

/// Rate models by votes between them, judge automatic judges, draw the next pairs
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett arena fit votes.jsonl\n  plackett arena fit votes.jsonl --ties davidson --bootstrap 1000 --by-voter --page board.html\n  \
                  plackett arena judge answers.jsonl\n  plackett arena pairs models.jsonl --count 10\n\n\
                  docs/arena.md says what votes look like and what the numbers mean."
)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Fit(Box<fit::Arguments>),
    Judge(judge::Arguments),
    Pairs(pairs::Arguments),
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    match &arguments.action {
        Action::Fit(arguments) => fit::run(arguments, global, output),
        Action::Judge(arguments) => judge::run(arguments, global, output),
        Action::Pairs(arguments) => pairs::run(arguments, global, output),
    }
}

/// A number of votes that somebody would have to gather: beyond what anyone can, its size no longer matters.
fn count(votes: u64) -> String {
    match votes {
        0..100_000 => votes.to_string(),
        _ => "over 100,000".into(),
    }
}
