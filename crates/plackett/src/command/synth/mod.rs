//! `plackett synth`: training data that is made.

mod answers;
mod labels;
mod lists;
mod negatives;
mod reasoning;

use super::{Global, Outcome, Output};
use clap::{Args, Subcommand};

/// Make training data: collections of answers that people and a model wrote, reasonings before orders, lists of a catalogue's items to imitate
#[derive(Args)]
#[command(after_help = "Examples:\n  plackett synth answers hc3.jsonl -o answers\n  \
                        plackett index answers/model -o model.index\n  \
                        plackett synth reasoning train.jsonl -o reasoned.jsonl\n  \
                        plackett synth lists talks.jsonl --items films.jsonl --judge SmolLM2-135M-Instruct -o lists.jsonl\n  \
                        plackett synth negatives my.index --queries q.jsonl --qrels train.tsv -o train.jsonl\n  \
                        plackett synth labels train.jsonl -o labelled.jsonl --method cross-encoder --model ./teacher")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Answers(answers::Arguments),
    Reasoning(reasoning::Arguments),
    Lists(lists::Arguments),
    Negatives(negatives::Arguments),
    Labels(labels::Arguments),
}

impl Arguments {
    /// Whether files of queries, judgments or requests are read.
    pub fn reads_lines(&self) -> bool {
        matches!(self.action, Action::Negatives(_) | Action::Labels(_))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    match &arguments.action {
        Action::Answers(arguments) => answers::run(arguments, global, output),
        Action::Reasoning(arguments) => reasoning::run(arguments, global, output),
        Action::Lists(arguments) => lists::run(arguments, global, output),
        Action::Negatives(arguments) => negatives::run(arguments, global, output),
        Action::Labels(arguments) => labels::run(arguments, global, output),
    }
}
