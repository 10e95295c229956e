//! `plackett synth`: training data that is made.

mod answers;
mod clicks;
mod kept;
mod labels;
mod lists;
mod negatives;
mod queries;
mod reasoning;

use super::{Global, Outcome, Output};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use plackett::content_hash::is_stream;
use plackett::manifest::ModelHash;
use plackett::pipeline::Models;
use plackett_rank::model::{LanguageModel, Need};
use std::path::Path;
use std::sync::Arc;

/// Make training data: queries, negatives, a teacher's labels, grades from clicks, reasonings, collections of answers, lists of a
/// catalogue's items
#[derive(Args)]
#[command(after_help = "Examples:\n  plackett synth answers hc3.jsonl -o answers\n  \
                        plackett index answers/model -o model.index\n  \
                        plackett synth queries my.index -o asked --round-trip 10\n  \
                        plackett synth reasoning train.jsonl -o reasoned.jsonl\n  \
                        plackett synth lists talks.jsonl --items films.jsonl --judge SmolLM2-135M-Instruct -o lists.jsonl\n  \
                        plackett synth negatives my.index --queries q.jsonl --qrels train.tsv -o train.jsonl\n  \
                        plackett synth labels train.jsonl -o labelled.jsonl --method cross-encoder --model ./teacher\n  \
                        plackett synth clicks log.tsv --qrels graded.tsv -o labels.jsonl --grades clicked.qrels")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Answers(answers::Arguments),
    Queries(Box<queries::Arguments>),
    Reasoning(reasoning::Arguments),
    Lists(lists::Arguments),
    Negatives(negatives::Arguments),
    Labels(labels::Arguments),
    Clicks(clicks::Arguments),
}

impl Arguments {
    /// Whether files of queries, judgments, requests or clicks are read.
    pub fn reads_lines(&self) -> bool {
        matches!(self.action, Action::Negatives(_) | Action::Labels(_) | Action::Clicks(_))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    match &arguments.action {
        Action::Answers(arguments) => answers::run(arguments, global, output),
        Action::Queries(arguments) => queries::run(arguments, global, output),
        Action::Reasoning(arguments) => reasoning::run(arguments, global, output),
        Action::Lists(arguments) => lists::run(arguments, global, output),
        Action::Negatives(arguments) => negatives::run(arguments, global, output),
        Action::Labels(arguments) => labels::run(arguments, global, output),
        Action::Clicks(arguments) => clicks::run(arguments, global, output),
    }
}

/// A model that writes text, which a flag names.
fn open_language_model(flag: &str, name: &str, global: &Global) -> anyhow::Result<Arc<dyn LanguageModel>> {
    let models = Models::new(Some(name.to_string()), global.models());
    let wrong = |problem: String| anyhow!("{flag} {name}: {problem}");
    let model = models.reranker(None)?.language_model().map_err(wrong)?;
    model.can(Need::Generation).map_err(wrong)?;
    Ok(model)
}

/// A model, or the one that comes with the program, as the settings of a run have it.
fn model_hash(name: Option<&str>, global: &Global) -> anyhow::Result<ModelHash> {
    let models = Models::new(name.map(str::to_string), global.models());
    let name = models.name(None).to_string();
    let sha256 = models.fingerprint(&name)?;
    Ok(ModelHash { name, sha256 })
}

/// What is to be said where one of the inputs can be read once only, so that nothing is kept.
fn stream_remark(inputs: &[(&str, &Path)]) -> Option<String> {
    let (name, _) = inputs.iter().find(|(_, path)| is_stream(path))?;
    Some(format!(
        "{name} is standard input or a pipe, which cannot be read again: an interrupted run cannot be resumed"
    ))
}
