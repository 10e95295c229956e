//! `plackett synth`: training data that is made.

mod answers;
mod lists;
mod reasoning;

use super::{Global, Outcome, Output};
use clap::{Args, Subcommand};

/// Make training data: collections of answers that people and a model wrote, reasonings before orders, lists of a catalogue's items to imitate
#[derive(Args)]
#[command(after_help = "Examples:\n  plackett synth answers hc3.jsonl -o answers\n  \
                        plackett index answers/model -o model.index\n  \
                        plackett synth reasoning train.jsonl -o reasoned.jsonl\n  \
                        plackett synth lists talks.jsonl --items films.jsonl --judge SmolLM2-135M-Instruct -o lists.jsonl")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Answers(answers::Arguments),
    Reasoning(reasoning::Arguments),
    Lists(lists::Arguments),
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    match &arguments.action {
        Action::Answers(arguments) => answers::run(arguments, global, output),
        Action::Reasoning(arguments) => reasoning::run(arguments, global, output),
        Action::Lists(arguments) => lists::run(arguments, global, output),
    }
}
