//! `plackett calibrate`: from scores to probabilities, learned from judgments.

use super::open::{LongTextArguments, read_qrels, read_run};
use super::paths::Paths;
use super::table::{Align, Table};
use super::{Global, Outcome, Output};
use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use plackett::Pipeline;
use plackett::pipeline::Models;
use plackett::stored_calibration::StoredCalibration;
use plackett_core::formats::{BeirFolder, Remarks, atomic};
use plackett_eval::calibration::{Calibration, CalibrationKind, Reliability, Samples};
use serde_json::json;
use std::path::PathBuf;

/// Parts of the queries, each of which is measured with what the others teach.
const FOLDS: usize = 5;

/// Learn what a method's scores are worth: probabilities of relevance from a run and judgments
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett rerank --method bi-encoder requests.jsonl --format trec > run.trec\n  \
                        plackett calibrate qrels.txt run.trec -o bi-encoder.calibration.json\n  \
                        plackett rerank --method bi-encoder --calibration bi-encoder.calibration.json requests.jsonl\n  \
                        plackett calibrate qrels.txt run.trec --for bi-encoder\n  \
                        plackett rerank --method bi-encoder --calibration stored requests.jsonl\n\n\
                        The run must be of the method, with its options and model, whose scores are to be told as\n\
                        probabilities. Only judged documents count. The table shows, for queries from which nothing was\n\
                        learned, what was predicted and what was found.")]
pub struct Arguments {
    /// Judgments: a TREC qrels file, a BEIR qrels file (.tsv) or a BEIR folder
    qrels: PathBuf,
    /// A run with the scores of the method
    run: PathBuf,
    /// Where the calibration is written
    #[arg(long, short, value_name = "FILE", required_unless_present = "method")]
    output: Option<PathBuf>,
    /// Store it beside the model, for this method with its options: `rerank --method METHOD --calibration stored` finds it
    #[arg(long = "for", value_name = "METHOD")]
    method: Option<String>,
    /// The model of the method
    #[arg(long, value_name = "MODEL", requires = "method")]
    model: Option<String>,
    #[command(flatten)]
    long_text: LongTextArguments,
    /// The form of the function: isotonic for any rising one, platt for a logistic curve, temperature for logits
    #[arg(long, value_name = "KIND", default_value = "isotonic", value_parser = kind())]
    kind: CalibrationKind,
    /// Smallest grade that counts as relevant
    #[arg(short, long, value_name = "GRADE", default_value_t = 1, value_parser = super::number::whole::<i32>(..))]
    level: i32,
}

fn kind() -> impl TypedValueParser<Value = CalibrationKind> {
    PossibleValuesParser::new(CalibrationKind::ALL.iter().map(|(name, _)| *name))
        .try_map(|text| text.parse::<CalibrationKind>())
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let files = Paths::default().reads("QRELS", [&arguments.qrels]).reads("RUN", [&arguments.run]);
    files.opens("--model", &arguments.model).writes("--output", &arguments.output).check(output)?;
    if let (None, Some(flag)) = (&arguments.method, arguments.long_text.given()) {
        return Err(anyhow::anyhow!("{flag}: says how the method of --for reads texts; leave it out").into());
    }
    let stored = place(arguments, global)?;
    let qrels = match arguments.qrels.is_dir() {
        true => read_qrels(&BeirFolder::at(&arguments.qrels).qrels_file("test")?)?,
        false => read_qrels(&arguments.qrels)?,
    };
    let remarks = Remarks::default();
    let run = read_run(&arguments.run, global.max_line_bytes, &remarks)?;
    remarks.take().iter().for_each(|remark| output.warn(remark));
    let named = || format!("{} on {}", arguments.run.display(), arguments.qrels.display());
    let samples = Samples::of(&run, &qrels, arguments.level).with_context(named)?;
    let calibration = Calibration::fit(arguments.kind, &samples.judged).with_context(named)?;
    if samples.unjudged > 0 {
        output.warn(&format!("{} documents of the run have no judgment and teach nothing", samples.unjudged));
    }
    let reliability = Calibration::cross_checked(arguments.kind, &samples, FOLDS);
    if reliability.is_none() {
        output.warn(&format!(
            "{} queries with judged documents are too few, or too much alike, to part them in {FOLDS} and measure each part with what \
             the others teach",
            samples.queries
        ));
    }
    let text = serde_json::to_string_pretty(&calibration)?;
    if let Some(path) = &arguments.output {
        atomic::write(path, |out| writeln!(out, "{text}"))?;
    }
    if let Some(stored) = &stored {
        stored.store(&calibration)?;
    }
    if output.json {
        return Ok(output.print_json(&json!({
            "output": arguments.output,
            "stored": stored.as_ref().map(StoredCalibration::path),
            "kind": arguments.kind,
            "documents": calibration.documents,
            "relevant": calibration.relevant,
            "queries": calibration.queries,
            "unjudged": samples.unjudged,
            "reliability": reliability,
        }))?);
    }
    let Calibration { documents, relevant, queries, .. } = calibration;
    let place = match (&arguments.output, &arguments.method) {
        (Some(path), _) => path.display().to_string(),
        (None, method) => format!("stored for {}", method.as_deref().unwrap_or_default()),
    };
    output.print(&format!(
        "{place}: {} from {documents} judged documents of {queries} queries, {relevant} of them relevant\n",
        arguments.kind
    ))?;
    match reliability {
        Some(reliability) => Ok(output.print_styled(&table(&reliability))?),
        None => Ok(()),
    }
}

/// Where the calibration is stored for the method of `--for`, whose model is opened: what is not there has no scores.
fn place(arguments: &Arguments, global: &Global) -> anyhow::Result<Option<StoredCalibration>> {
    let Some(method) = &arguments.method else { return Ok(None) };
    let models = Models::new(arguments.model.clone(), global.models());
    let settings = arguments.long_text.settings()?;
    let pipeline = Pipeline::resolve(method, None, &models, &settings).context("--for")?;
    Ok(Some(StoredCalibration::of(&pipeline, &models, &arguments.long_text.reading())?))
}

/// What was predicted and what was found.
fn table(reliability: &Reliability) -> String {
    let columns = ["probability", "documents", "predicted", "relevant"];
    let mut table = Table::new(columns.map(|name| (name.to_string(), Align::Right)));
    let width = 1.0 / reliability.bins.len() as f64;
    for (n, bin) in reliability.bins.iter().enumerate().filter(|(_, bin)| bin.documents > 0) {
        let (low, high) = (n as f64 * width, (n + 1) as f64 * width);
        table.row([
            format!("{low:.1}–{high:.1}"),
            bin.documents.to_string(),
            format!("{:.3}", bin.predicted),
            format!("{:.3}", bin.observed),
        ]);
    }
    format!(
        "\n{}\nBrier score {:.4} ({:.4} for the share of relevant documents alone), calibration error {:.4}\n",
        table.render(),
        reliability.brier,
        reliability.brier_of_share,
        reliability.calibration_error
    )
}
