//! `plackett method`: the reranking methods there are.

use super::{Outcome, Output};
use anyhow::Context;
use clap::{Args, Subcommand};
use plackett_rank::MethodSpec;
use plackett_rank::method::listing;
use serde_json::json;

/// List and describe reranking methods
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett method list\n  plackett method show yes-no\n  plackett method list --json\n\n\
                        A method with options is written as in `plackett rerank --method 'yes-no(words=80)'`."
)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// All methods, with one sentence each
    List,
    /// What a method does, what it needs of a model, its options and its prompts
    Show {
        /// Name or alias
        method: String,
    },
}

/// Runs the command.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome {
    match (&arguments.action, output.json) {
        (Action::List, true) => output.print_json(&listing::listing_json())?,
        (Action::List, false) => output.print(&listing::listing())?,
        (Action::Show { method }, json) => {
            let spec = MethodSpec::find(method).context("see `plackett method list`")?;
            match json {
                true => output.print_json(&json!({"method": listing::method_json(spec)}))?,
                false => output.print(&listing::show(spec))?,
            }
        }
    }
    Ok(())
}
