//! `plackett train`: a model that learns from labelled examples.

use super::open::model_folder;
use super::paths::Paths;
use super::training_file::{TrainingFile, beside};
use super::{Global, Outcome, Output, training_page};
use anyhow::{Context, bail};
use clap::Args;
use plackett::content_hash;
use plackett_core::formats::atomic;
use plackett_train::Compute;
use plackett_train::trainer::{
    CHECKPOINT, Outcome as Learned, RankingExample, RankingJob, StepRecord, keep_negatives,
    read_ranking_examples,
};
use serde_json::json;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the log and checkpoints lie in the folder of the model.
const WORK: &str = "training";

/// The file there that says what is trained.
const IDENTITY: &str = "training.json";

/// The weights of a model.
const WEIGHTS: &str = "model.safetensors";

/// Train a cross-encoder on queries with labelled candidates, whole or with an adapter
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett train ranker.toml -o ranker\n  plackett rerank --method cross-encoder --model ./ranker requests.jsonl\n\n\
                  The file says what is trained and how:\n\n  base = \"all-MiniLM-L6-v2\"     # a model's name or folder\n  examples = \"train.jsonl\"      # {\"query\": …, \"candidates\": [{\"text\": …, \"label\": 1}, …]}\n  \
                  validation = \"dev.jsonl\"      # may be left out\n  negatives = 4                 # candidates of label 0 for each other one, at most\n  \
                  objective = \"bce\"             # docs/objectives.md has all\n  tokens = 128                  # most tokens of a query with a candidate\n\n  \
                  [trained]\n  adapter = \"lora(rank=8)\"      # or full, or head; docs/adapters.md has all\n  targets = \"query,value\"       # or all\n\n  \
                  [settings]\n  epochs = 1\n  batch = 8                     # queries\n  rate = 1e-3\n\n\
                  A run that was killed goes on where its last checkpoint is when the same command is given again, to the same numbers."
)]
pub struct Arguments {
    /// The training file
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// The folder of the model that is made
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let file = TrainingFile::read(&arguments.file)?;
    let job = file.job();
    let place = || arguments.file.display().to_string();
    job.check().with_context(place)?;
    let examples = beside(&arguments.file, &file.examples);
    let validation = file.validation.as_ref().map(|path| beside(&arguments.file, path));
    let files = Paths::default().reads("FILE.toml", [&arguments.file]).reads("examples", [&examples]);
    files.reads("validation", &validation).opens("base", [&file.base]).check()?;
    let base = base_folder(&file, global)?;
    let lists = read_examples(&examples, &file, output)?;
    let held_out = validation.as_deref().map(read_ranking_examples).transpose()?.unwrap_or_default();
    let hashes = hashes(&examples, validation.as_deref())?;
    let weights = content_hash::content(&base.join(WEIGHTS)).with_context(|| file.base.clone())?;
    let identity = json!({"file": file, "data": hashes, "base": weights.sha256}).to_string();
    claim(&arguments.output, &identity)?;
    let learned = learn(&job, &base, (&lists, &held_out), arguments, &identity, output)?;
    write_card(arguments, &file, &learned, &hashes)?;
    training_page::write(&arguments.output, &file, &learned, &hashes)?;
    say(arguments, &learned, lists.len(), output)
}

/// The folder of the base model, which has to have weights of its own.
fn base_folder(file: &TrainingFile, global: &Global) -> anyhow::Result<PathBuf> {
    let base = model_folder(&file.base, global)?;
    for name in ["config.json", WEIGHTS, "tokenizer.json"] {
        if !base.join(name).is_file() {
            bail!(
                "base {}: there is no {name} in its folder; a BERT of Hugging Face's layout can be trained",
                file.base
            );
        }
    }
    Ok(base)
}

/// The examples, with as many negatives as are wanted.
fn read_examples(path: &Path, file: &TrainingFile, output: &Output) -> anyhow::Result<Vec<RankingExample>> {
    let mut lists = read_ranking_examples(path)?;
    let Some(negatives) = file.negatives else { return Ok(lists) };
    let without = keep_negatives(&mut lists, negatives, file.settings.seed);
    if lists.is_empty() {
        bail!(
            "{}: none of its {without} queries has a candidate with a label above 0, so that there is nothing to learn from; label \
             what is relevant, or leave `negatives` out",
            path.display()
        );
    }
    if without > 0 {
        output.warn(&format!(
            "{without} queries have no candidate with a label above 0; they teach nothing and are left out"
        ));
    }
    Ok(lists)
}

/// Takes the folder of the model for this training: one that is new or empty, or that this training has begun. One that ended
/// before its first checkpoint is nobody's.
fn claim(folder: &Path, identity: &str) -> anyhow::Result<()> {
    let (shown, work) = (format!("-o {}", folder.display()), folder.join(WORK));
    let path = work.join(IDENTITY);
    match std::fs::read_to_string(&path) {
        Ok(text) if text == identity => return Ok(()),
        Ok(_) if folder.join(WEIGHTS).exists() || work.join(CHECKPOINT).exists() => {
            bail!(
                "{shown}: there is a training with other settings, data or model; give another folder, or delete this one"
            )
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context(shown),
        Err(_) if !is_empty(folder).with_context(|| shown.clone())? => {
            bail!(
                "{shown}: there is something in this folder that would be mixed with the model; give another one"
            )
        }
        _ => {}
    }
    std::fs::create_dir_all(&work).context(shown)?;
    Ok(atomic::write(&path, |out| write!(out, "{identity}"))?)
}

/// Whether a folder has nothing in it, or is not there.
fn is_empty(folder: &Path) -> std::io::Result<bool> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        entries => Ok(entries?.next().is_none()),
    }
}

/// Names and contents of the files of examples.
fn hashes(examples: &Path, validation: Option<&Path>) -> anyhow::Result<Vec<(String, String)>> {
    let hash = |path: &Path| {
        let content = content_hash::content(path).with_context(|| path.display().to_string())?;
        Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), content.sha256))
    };
    std::iter::once(examples).chain(validation).map(hash).collect()
}

/// Trains, with a bar.
fn learn(
    job: &RankingJob,
    base: &Path,
    data: (&[RankingExample], &[RankingExample]),
    arguments: &Arguments,
    identity: &str,
    output: &Output,
) -> anyhow::Result<Learned> {
    let bar = output.progress("training", 0);
    let mut progress = |record: &StepRecord, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(record.step as u64);
        bar.set_message(format!("training, loss {:.3}", record.loss));
    };
    let compute = Compute::new(rayon::current_num_threads());
    let places = (arguments.output.join(WORK), arguments.output.clone());
    let learned = job.run(base, data, (&places.0, &places.1), identity, &compute, &mut progress);
    bar.finish_and_clear();
    let learned = learned?;
    let resumed = learned.report.resumed;
    if resumed > 0 {
        output.note(&format!("went on after {resumed} steps of an earlier run"));
    }
    if let Some(sentence) = learned.cut.sentence() {
        output.warn(&sentence);
    }
    let skipped: usize = learned.report.steps.iter().map(|step| step.skipped).sum();
    if skipped > 0 {
        output.warn(&format!("{skipped} lists of batches could not teach `{}`", job.objective));
    }
    Ok(learned)
}

/// The model card: what it was made from and how.
fn write_card(
    arguments: &Arguments,
    file: &TrainingFile,
    learned: &Learned,
    hashes: &[(String, String)],
) -> anyhow::Result<()> {
    let mut card = format!(
        "# A cross-encoder\n\nMade from {} by `plackett train` {}. It scores a query with a document; a greater score is better.\n\n\
         | file | SHA-256 |\n| --- | --- |\n",
        file.base,
        env!("CARGO_PKG_VERSION")
    );
    for (name, hash) in hashes {
        let _ = writeln!(card, "| {name} | {hash} |");
    }
    let _ = write!(
        card,
        "\n{} of {} numbers were trained in {} steps.",
        learned.trainable, learned.parameters, learned.report.total
    );
    if let Some([before, after]) = learned.validation {
        let _ = write!(card, " The loss over the validation examples went from {before:.4} to {after:.4}.");
    }
    let _ = write!(card, "\n\n```toml\n{}```\n", toml::to_string(file)?);
    Ok(atomic::write(&arguments.output.join("README.md"), |out| write!(out, "{card}"))?)
}

/// Says what came out.
fn say(arguments: &Arguments, learned: &Learned, lists: usize, output: &Output) -> Outcome {
    let last = learned.report.final_loss();
    if output.json {
        return Ok(output.print_json(&json!({
            "output": arguments.output,
            "page": arguments.output.join(training_page::FILE),
            "queries": lists,
            "steps": learned.report.total,
            "trainable": learned.trainable,
            "parameters": learned.parameters,
            "loss": last,
            "validation": learned.validation,
            "resumed": learned.report.resumed,
            "cut": learned.cut.pairs,
            "ranks": learned.ranks.iter().map(|(name, rank)| json!({"layer": name, "rank": rank})).collect::<Vec<_>>(),
        }))?);
    }
    output.print(&format!(
        "{}: {} steps over {lists} queries, {} of {} numbers trained, loss {last:.4} at the end\n",
        arguments.output.display(),
        learned.report.total,
        learned.trainable,
        learned.parameters
    ))?;
    if let Some([before, after]) = learned.validation {
        output.print(&format!("validation loss {before:.4} before, {after:.4} after\n"))?;
    }
    let prefix = if arguments.output.is_absolute() { "" } else { "./" };
    let model = arguments.output.display();
    output.print(&format!("curves of the training: {model}/{}\n", training_page::FILE))?;
    output.print(&format!(
        "\nTry next: plackett rerank --method cross-encoder --model {prefix}{model} requests.jsonl\n"
    ))?;
    Ok(())
}
