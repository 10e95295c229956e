//! `plackett train`: a model that learns from labelled examples. What the kinds of training have in common is here and beside; each
//! kind is a file, and they stand together in [`KINDS`].

mod base;
mod cross_encoder;
mod file;
mod first_tokens;
mod groups;
mod identity;
mod keys;
mod kind;
mod labelled_lists;
mod language;
mod listings;
mod listwise;
mod page;
mod pointer;
mod report;
mod rewarded;
mod score_head;
mod unlearn;

use self::file::{TrainingFile, beside};
use self::identity::{WORK, claim, hashes, leave_out_recompute};
use self::kind::{KINDS, Measured, Prepared, Run, Shared, Source, run_of_own};
use super::open::many;
use super::paths::Paths;
use super::{Global, Outcome, Output};
use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::ProgressBar;
use plackett_train::Compute;
use plackett_train::trainer::{Outcome as Learned, Settings, StepRecord};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Why a memory budget is refused where no model but the one that is trained is opened.
const UNBOUNDED: &str =
    "a training does not keep to one; a smaller `batch` and `recompute = true` take less memory";

/// What needs no training file.
const LISTINGS: [&str; 2] = ["list_objectives", "list_adapters"];

/// The examples, and what each kind of training is told by.
fn after_help() -> String {
    let examples = "Examples:\n  plackett train ranker.toml -o ranker\n  plackett rerank --method cross-encoder --model ./ranker requests.jsonl\n  \
        plackett train --list-objectives listnet";
    let resumed = "A run that was killed goes on where its last checkpoint is when the same command is given again, to\n\
        the same numbers.";
    let kinds = KINDS.into_iter().map(|kind| kind.help);
    let parts: Vec<&str> = std::iter::once(examples).chain(kinds).chain([resumed]).collect();
    parts.join("\n\n")
}

/// Train a reranker (cross-encoder, T5, decoder, by the best path) on queries with labelled candidates, or a decoder on texts or rewards
#[derive(Args)]
#[command(after_help = after_help())]
pub struct Arguments {
    /// The training file
    #[arg(value_name = "FILE.toml", required_unless_present_any = LISTINGS)]
    file: Option<PathBuf>,
    /// The folder of the model that is made
    #[arg(long, short, value_name = "DIR", required_unless_present_any = LISTINGS)]
    output: Option<PathBuf>,
    /// List the objectives, or tell what one computes, takes and has for options, and stop
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "output", "list_adapters"])]
    list_objectives: Option<Option<String>>,
    /// The same of adapters
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "output"])]
    list_adapters: Option<Option<String>>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    if arguments.list_objectives.is_some() || arguments.list_adapters.is_some() {
        global.no_memory_budget("a list of what there is opens no model")?;
    }
    if let Some(name) = &arguments.list_objectives {
        return listings::objectives(name.as_deref(), output);
    }
    if let Some(name) = &arguments.list_adapters {
        return listings::adapters(name.as_deref(), output);
    }
    match (&arguments.file, &arguments.output) {
        (Some(file), Some(folder)) => train((file, folder), global, output),
        // The parser asks for both.
        _ => Err(anyhow!("a training file and a folder are needed: plackett train FILE.toml -o DIR").into()),
    }
}

/// Trains by the file at `path` what is left in `folder`.
fn train((path, folder): (&Path, &Path), global: &Global, output: &Output) -> Outcome {
    let place = || path.display().to_string();
    // Once: of a pipe nothing is left for another reader.
    let text = std::fs::read_to_string(path).with_context(place)?;
    if let Some(run) = run_of_own(&text) {
        return run((path, &text), folder, global, output);
    }
    let mut file = TrainingFile::read(path, &text)?;
    let named = Shared::asked(&file, None).with_context(place)?;
    named.training.check(&file).with_context(place)?;
    let examples = beside(path, &file.examples);
    let validation = file.validation.as_ref().map(|named| beside(path, named));
    let forget = file.forget.as_ref().map(|named| beside(path, named));
    let files = Paths::default().reads("FILE.toml", [path]).reads("examples", [&examples]);
    let files = files.reads("validation", &validation).reads("forget", &forget);
    files.opens("base", [&file.base]).check(output)?;
    let found = named.training.find_base(&file, global)?;
    let kind = Shared::asked(&file, Some(found.base)).with_context(place)?;
    kind.settle(&mut file, found.base).with_context(place)?;
    if !kind.keeps_memory_budget {
        global.no_memory_budget(UNBOUNDED)?;
    }
    kind.training.check(&file).with_context(place)?;
    let weights = kind.training.fingerprint(&file, &found, global)?;
    let prepared = kind.training.read(&Source {
        file: &file,
        examples: &examples,
        validation: validation.as_deref(),
        forget: forget.as_deref(),
        base: &found.place,
        fingerprint: &weights,
        global,
        output,
    })?;
    let read = std::iter::once(examples.as_path()).chain(validation.as_deref()).chain(forget.as_deref());
    let hashes = hashes(read)?;
    let mut identity = json!({"file": file, "data": hashes, "base": weights});
    leave_out_recompute(&mut identity);
    if let Some(lists) = prepared.fingerprint() {
        identity["lists"] = json!(lists);
    }
    let identity = identity.to_string();
    let claimed = claim(folder, &identity)?;
    let learned = learn(prepared.as_ref(), (&found.place, folder), &identity, global, output);
    let (learned, measured) = learned.inspect_err(|_| claimed.withdraw())?;
    unreached_rate(&file.settings, &learned).iter().for_each(|sentence| output.warn(sentence));
    report::write_card(folder, (&file, prepared.as_ref()), (&learned, &measured), &hashes)?;
    let (model, settings) = (prepared.model(), toml::to_string(&file)?);
    let made = page::Made { model, base: &file.base, settings, measured: "lists" };
    page::write(folder, made, (&learned, measured.ndcg.as_ref()), &hashes)?;
    report::say(folder, (&learned, &measured), prepared.as_ref(), output)
}

/// What is to be said where more tokens are asked for than the model reads.
fn fewer_tokens(asked: usize, read: usize) -> Option<String> {
    (0 < read && read < asked)
        .then(|| format!("tokens = {asked}: the model reads {read} at most, and so many are read"))
}

/// What is to be said where the learning rate was still rising at the last step.
fn unreached_rate(settings: &Settings, learned: &Learned) -> Option<String> {
    let rates = learned.report.steps.iter().map(|step| step.rate);
    let greatest = rates.reduce(f32::max)?;
    (greatest < settings.rate).then(|| {
        format!(
            "warmup = {}: the training has fewer steps, so that its learning rate has come to {greatest:e} and not to rate = {:e}; \
             give a shorter warmup, or more steps",
            settings.warmup, settings.rate
        )
    })
}

/// Trains, with a bar.
fn learn(
    prepared: &dyn Prepared,
    (base, folder): (&Path, &Path),
    identity: &str,
    global: &Global,
    output: &Output,
) -> anyhow::Result<(Learned, Measured)> {
    let bar = output.progress("training", 0);
    let mut progress = |record: &StepRecord, total: usize| show_step(&bar, record, total);
    let compute = Compute::new(rayon::current_num_threads());
    let work = folder.join(WORK);
    let run =
        Run { base, places: (&work, folder), identity, compute: &compute, progress: &mut progress, global };
    let learned = prepared.learn(run);
    bar.finish_and_clear();
    let (learned, measured) = learned?;
    tell_learned(&learned, prepared.tokens(), prepared.learns(), output);
    Ok((learned, measured))
}

/// Moves the bar of a training to a step.
fn show_step(bar: &ProgressBar, record: &StepRecord, total: usize) {
    bar.set_length(total as u64);
    bar.set_position(record.step as u64);
    bar.set_message(format!("training, loss {:.3}", record.loss));
}

/// Says that a training went on, what of its examples was cut, and how many of `what` the objective has learned nothing from.
fn tell_learned(learned: &Learned, tokens: Option<usize>, (what, objective): (&str, &str), output: &Output) {
    let resumed = learned.report.resumed;
    if resumed > 0 {
        output.note(&format!("went on after {} of an earlier run", many(resumed, "step")));
    }
    let fewer = tokens.and_then(|asked| fewer_tokens(asked, learned.cut.tokens));
    let remarks = fewer.into_iter().chain(learned.cut.sentence()).chain(skipped(learned, what, objective));
    remarks.for_each(|sentence| output.warn(&sentence));
}

/// What is to be said where some of `what` could not teach.
fn skipped(learned: &Learned, what: &str, objective: &str) -> Option<String> {
    let skipped = learned.report.skipped();
    (skipped > 0).then(|| format!("{skipped} {what} of batches could not teach `{objective}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_never_reached_and_what_could_not_teach_are_said() {
        let step = |rate: f32| StepRecord {
            phase: 1,
            step: 1,
            loss: 0.0,
            entropy: None,
            rate,
            gradient_norm: 0.0,
            tokens: 0,
            skipped: 0,
            seconds: 0.0,
            evaluation: None,
        };
        let settings = Settings { rate: 0.5, warmup: 4, ..Settings::default() };
        let mut learned = Learned::default();
        learned.report.steps = vec![step(0.125), step(0.25)];
        let said = unreached_rate(&settings, &learned).unwrap();
        assert!(said.contains("warmup = 4: ") && said.contains("2.5e-1 and not to rate = 5e-1"), "{said}");
        learned.report.steps.push(step(0.5));
        assert_eq!(unreached_rate(&settings, &learned), None);
        assert_eq!(skipped(&learned, "prompts", "grpo"), None);
        learned.report.steps.push(StepRecord { skipped: 2, ..step(0.5) });
        let said = skipped(&learned, "prompts", "grpo");
        assert_eq!(said.as_deref(), Some("2 prompts of batches could not teach `grpo`"));
    }

    #[test]
    fn more_tokens_than_a_model_reads_are_said() {
        assert_eq!((fewer_tokens(128, 512), fewer_tokens(512, 512), fewer_tokens(9, 0)), (None, None, None));
        assert!(
            fewer_tokens(1024, 512)
                .is_some_and(|said| said.contains("tokens = 1024") && said.contains("512 at most"))
        );
    }
}
