//! `plackett model factorize`: a copy of an encoder or a decoder whose linear layers are two thin ones.

use crate::command::number::{real, whole};
use crate::command::{Outcome, Output};
use anyhow::Context;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use plackett_lm::store::Resolved;
use plackett_train::adapter::Targets;
use plackett_train::adapter::factorize::{
    Factorization, FactorizedDirectory, Layers, Rank, Solver, factorize_directory,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Tokens of the pass whose operations are told.
const TOKENS: usize = 128;

#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett model factorize all-MiniLM-L6-v2 ./thin --ratio 0.5\n  \
                        plackett model factorize ./my-encoder ./thin --rank 96 --last 3\n  \
                        plackett model factorize ./my-encoder ./thin --ratio 0.7 --layers query,key\n  \
                        plackett model factorize HuggingFaceTB/SmolLM2-135M-Instruct ./thin --ratio 0.45 --last 10\n  \
                        plackett model show ./thin\n\n\
                        A layer of o outputs and i inputs becomes smaller below rank oi / (o + i), of which --ratio is a\n\
                        share; others stay whole, and the README.md of the new directory says which, with the error of\n\
                        each weight. The new directory is used like any other: it can be trained further, and that of\n\
                        an encoder quantised. The model is a BERT, RoBERTa, XLM-R or CamemBERT, or a decoder in\n\
                        safetensors, that is not quantised. Thin layers are stored as f32: files of a model in bf16\n\
                        become smaller below half that rank alone.")]
pub(super) struct Arguments {
    /// Directory, name or id of the model
    pub(super) source: String,
    /// New directory
    target: PathBuf,
    /// Rank of every layer
    #[arg(
        long,
        value_name = "RANK",
        required_unless_present = "ratio",
        conflicts_with = "ratio",
        value_parser = whole::<usize>(1..)
    )]
    rank: Option<usize>,
    /// Rank of each layer as a share of the rank from which on nothing is saved
    #[arg(long, value_name = "SHARE", value_parser = real(" above 0 and below 1", |x| x > 0.0 && x < 1.0))]
    ratio: Option<f64>,
    /// How the thin layers come from a weight
    #[arg(long, value_enum, default_value = "svd")]
    solver: SolverName,
    /// Ends of the names of the layers that are meant, without those behind a `!`, or all
    #[arg(long, value_name = "ENDS", default_value = "all", value_parser = NonEmptyStringValueParser::new())]
    layers: String,
    /// Only linear layers of so many of the model's last layers
    #[arg(long, value_name = "COUNT", value_parser = whole::<usize>(1..))]
    last: Option<usize>,
    /// Seed of what is drawn
    #[arg(long, default_value = "1", value_parser = whole::<u64>(0..))]
    seed: u64,
}

/// A solver on the command line.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SolverName {
    /// Truncated singular value decomposition, which has the least error
    Svd,
    /// Semi-non-negative factorisation
    Snmf,
    /// New random numbers, for a model that is trained afterwards
    Random,
}

impl SolverName {
    fn solver(self) -> Solver {
        match self {
            SolverName::Svd => Solver::Svd,
            SolverName::Snmf => Solver::SEMI_NMF,
            SolverName::Random => Solver::Random,
        }
    }
}

/// Runs the command on the model that was found.
pub(super) fn run(arguments: &Arguments, source: &Resolved, output: &Output) -> Outcome {
    let rank = match arguments.ratio {
        Some(ratio) => Rank::Ratio(ratio),
        // Without --ratio there is a --rank, which begins with 1.
        None => Rank::Absolute(arguments.rank.unwrap_or_default()),
    };
    let solver = arguments.solver.solver();
    let how = Factorization { rank, solver, balanced: false, beyond_limit: false, seed: arguments.seed };
    let which = Layers { targets: Targets::parse(&arguments.layers), last: arguments.last };
    let bar = output.progress("factorising layers", 0);
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let made = factorize_directory(&source.directory, &arguments.target, &which, &how, &progress)
        .with_context(|| format!("cannot factorise {}", source.name));
    bar.finish_and_clear();
    let made = made?;
    warn(&made, arguments.solver, output);
    if output.json {
        return Ok(output.print_json(&as_json(arguments, &made))?);
    }
    let million = |numbers: usize| numbers as f64 / 1e6;
    let text = format!(
        "{}: {} linear layers are two thin ones; {:.2} million parameters became {:.2}, {:.1} MB became {:.1} MB\n\
         {:.1} % of the layers' matrices are left; mean relative error of a weight: {:.4}\n",
        arguments.target.display(),
        made.done().count(),
        million(made.report.before),
        million(made.report.after),
        million(made.bytes_before),
        million(made.bytes_after),
        100.0 * made.share(),
        made.mean_error(),
    );
    Ok(output.print(&text)?)
}

/// Says what stayed whole, and what cannot be used as it is.
fn warn(made: &FactorizedDirectory, solver: SolverName, output: &Output) {
    let mut whole = made.report.layers.iter().filter_map(|own| Some((own, own.outcome.as_ref().err()?)));
    if let Some((first, why)) = whole.next() {
        let count = 1 + whole.count();
        output.warn(&format!("chosen layers that stay whole: {count}; `{}`: {why}", first.layer.name));
    }
    if solver == SolverName::Random {
        output.warn("the thin layers are new random numbers; train the model before it is used");
    }
}

fn as_json(arguments: &Arguments, made: &FactorizedDirectory) -> Value {
    let (mut layers, mut whole) = (Vec::new(), Vec::new());
    for own in &made.report.layers {
        let layer = &own.layer;
        match &own.outcome {
            Ok((rank, error)) => layers.push(json!({
                "name": layer.name, "outputs": layer.outputs, "inputs": layer.inputs, "rank": rank, "error": error,
            })),
            Err(why) => whole.push(json!({"name": layer.name, "reason": why.to_string()})),
        }
    }
    json!({
        "path": arguments.target,
        "layers": layers,
        "whole": whole,
        "not_chosen": made.not_chosen,
        "mean_error": made.mean_error(),
        "share": made.share(),
        "operations": made.operations(TOKENS),
        "parameters_before": made.report.before,
        "parameters_after": made.report.after,
        "bytes_before": made.bytes_before,
        "bytes_after": made.bytes_after,
    })
}
