//! `plackett model verify`: whether a model's files are those that were fetched, and whether it computes what it did.

use super::{find, store_failure};
use crate::command::open::read_lines;
use crate::command::paths::Paths;
use crate::command::{Failure, Outcome, Output};
use anyhow::anyhow;
use clap::Args;
use plackett::golden::{Comparison, Golden, Kind, Promise, Subject, beside, compare, known, record, texts};
use plackett::pipeline::ModelOptions;
use plackett_lm::store::{Manifest, Resolved, Store, StoreError, verify_files_with};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett model verify SmolLM2-135M-Instruct\n  \
                        plackett model verify ./my-model --record\n  \
                        plackett model verify ./my-model\n  \
                        plackett model verify ./my-model.gguf --golden expected.json --json\n\n\
                        Golden outputs stand in golden.json of a model's directory, or beside a GGUF file\n\
                        (NAME.gguf.golden.json); docs/golden.md describes the file. Without one, models of\n\
                        `plackett model list` are compared with sentence-transformers and llama.cpp. Exit code 1: a file or\n\
                        an output is not what it should be.")]
pub(super) struct Arguments {
    /// Directory, GGUF file, name or id
    model: String,
    /// Golden outputs [default: those beside the model, else those that Plackett knows]
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Write down what the model gives now, for later comparisons
    #[arg(long)]
    record: bool,
    /// Texts to record, one a line [default: 39 of ours]
    #[arg(long, value_name = "FILE", requires = "record")]
    texts: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments, store: &Store, options: &ModelOptions, output: &Output) -> Outcome {
    let golden = arguments.golden.as_ref();
    let paths = Paths::default().opens("MODEL", [&arguments.model]).reads("--texts", &arguments.texts);
    paths.reads("--golden", golden.filter(|_| !arguments.record)).check(output)?;
    let model = find(store, &arguments.model)?;
    let files = files(&model, output)?;
    let subject = Subject::open(&model.directory, options)?;
    let file = arguments.golden.clone().unwrap_or_else(|| beside(&model.directory));
    if arguments.record {
        return write(arguments, &subject, &file, output);
    }
    let golden = match arguments.golden.is_some() || file.exists() {
        true => Some(Golden::read(&file)?),
        false => known(&subject)?,
    };
    if golden.is_none() && files.is_none() {
        return Err(anyhow!(
            "{}: nothing to compare with: it was not pulled, and there is no {}; `plackett model verify {} --record` writes down \
             what it gives now",
            model.name,
            file.display(),
            model.name
        )
        .into());
    }
    let bar =
        output.progress("golden outputs", golden.as_ref().map_or(0, |golden| golden.cases.len() as u64));
    let compared = golden.map(|golden| compare(&subject, &golden, &|| bar.inc(1))).transpose()?;
    bar.finish_and_clear();
    show(&model, files.as_ref(), compared.as_ref(), output)?;
    match compared {
        Some(compared) if !compared.held() => {
            let broken = compared.measures.iter().filter(|measure| !measure.held).map(|measure| measure.name);
            let broken: Vec<&str> = broken.collect();
            Err(Failure::Check(format!(
                "{} differs from its golden outputs: {}",
                model.name,
                broken.join(", ")
            )))
        }
        _ => Ok(()),
    }
}

/// Compares the files with the manifest of a pulled model; `None` where there is none.
fn files(model: &Resolved, output: &Output) -> Result<Option<Manifest>, Failure> {
    let bar = output.bytes("verifying", 0);
    let progress = |file: &str, done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(format!("verifying {file}"));
    };
    let recorded = verify_files_with(&model.directory, &progress);
    bar.finish_and_clear();
    match recorded {
        Ok(manifest) => Ok(Some(manifest)),
        Err(StoreError::NotPulled { .. }) => Ok(None),
        Err(error @ StoreError::Hash { .. }) => Err(Failure::Check(error.to_string())),
        Err(error) => Err(store_failure(error)),
    }
}

fn write(arguments: &Arguments, subject: &Subject, file: &Path, output: &Output) -> Outcome {
    if file.exists() {
        return Err(
            anyhow!("`{}` exists; remove it, or name another file with --golden", file.display()).into()
        );
    }
    let texts = arguments
        .texts
        .as_deref()
        .map_or_else(|| texts().map_err(anyhow::Error::from), |path| Ok(read_lines(path)?))?;
    if texts.is_empty() {
        return Err(anyhow!("there is no text; give at least one line").into());
    }
    let bar = output.progress("golden outputs", texts.len() as u64);
    let golden = record(subject, &texts, &|| bar.inc(1))?;
    bar.finish_and_clear();
    golden.write(file)?;
    if output.json {
        return Ok(output.print_json(&json!({
            "path": file, "kind": golden.kind, "made_by": golden.made_by, "cases": golden.cases.len(),
        }))?);
    }
    output.note(&format!("{} outputs ({}) by {}", golden.cases.len(), golden.kind, golden.made_by));
    Ok(output.print(&format!("{}\n", file.display()))?)
}

fn show(
    model: &Resolved,
    files: Option<&Manifest>,
    compared: Option<&Comparison>,
    output: &Output,
) -> Outcome {
    if output.json {
        let golden = compared.map(|compared| json!({"held": compared.held(), "comparison": compared}));
        let files = files.map(|manifest| json!({"count": manifest.files.len(), "hashes": "equal"}));
        return Ok(output.print_json(&json!({"name": model.name, "files": files, "golden": golden}))?);
    }
    let mut text = String::new();
    match files.map(|manifest| manifest.files.len()) {
        Some(1) => writeln!(text, "{}: 1 file equals its recorded SHA-256", model.name)?,
        Some(count) => writeln!(text, "{}: {count} files equal their recorded SHA-256", model.name)?,
        None => writeln!(text, "{}: not pulled, no SHA-256 is recorded", model.name)?,
    }
    let Some(compared) = compared else {
        text.push_str("no golden outputs are known for this model; --record writes down what it gives now\n");
        return Ok(output.print(&text)?);
    };
    let Comparison { made_by, kind, cases, precision, .. } = compared;
    let of = match (kind, cases) {
        (_, 1) => "text",
        (Kind::PairScores, _) => "pairs",
        _ => "texts",
    };
    writeln!(text, "{kind} of {cases} {of}, by {made_by}, against {precision} weights here:")?;
    for measure in &compared.measures {
        let (promise, held) = match measure.promise {
            Promise::AtLeast(limit) => (format!("at least {}", number(limit)), measure.held),
            Promise::AtMost(limit) => (format!("at most {}", number(limit)), measure.held),
            Promise::Nothing {} => {
                writeln!(text, "  {:<34} {:>8}", measure.name, number(measure.value))?;
                continue;
            }
        };
        let held = if held { "held" } else { "NOT held" };
        writeln!(text, "  {:<34} {:>8}  {promise:<16} {held}", measure.name, number(measure.value))?;
    }
    Ok(output.print(&text)?)
}

/// Small numbers by their power of ten.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.01 { format!("{value:.1e}") } else { format!("{value:.4}") }
}
