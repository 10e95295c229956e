//! `plackett arena`: votes between models become ratings, and judges are judged.

mod fit;
mod judge;
mod page;
mod pairs;

use super::{Global, Outcome, Output};
use clap::{Args, Subcommand};
use plackett_arena::rating::BoardRow;

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

/// The ranks that intervals allow: `2` or `2–4`.
fn ranks(row: &BoardRow) -> String {
    match row.best_rank == row.worst_rank {
        true => row.best_rank.to_string(),
        false => format!("{}–{}", row.best_rank, row.worst_rank),
    }
}

/// Votes that tell a model from the next one on the board; nothing for the last one. Beyond what anyone can gather their number no
/// longer matters.
fn to_next(row: &BoardRow, is_last: bool) -> String {
    match row.votes_to_next {
        _ if is_last => String::new(),
        Some(0) => "told apart".into(),
        Some(votes @ 1..100_000) => format!("{votes} votes"),
        Some(_) => "over 100,000 votes".into(),
        None => "not said".into(),
    }
}
