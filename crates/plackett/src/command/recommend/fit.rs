//! `plackett recommend fit`: a recommender in a folder.

use super::texts::{self, VectorsByEncoder};
use super::{Data, check_seed, exists, remark_on_flat};
use crate::command::number::whole;
use crate::command::output_folder::remark_on_replaced;
use crate::command::paths::Paths;
use crate::command::{Global, Outcome, Output, training_folder};
use anyhow::Context;
use clap::Args;
use plackett::content_hash::{content, is_stream};
use plackett_lm::sha256::Sha256;
use plackett_rec::{Configured, FitData, FitStep, Fitting, Interactions, ModelFolder, borrowed, parse};
use plackett_train::Compute;
use plackett_train::trainer::Checkpointing;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Fit a recommender to interactions and keep it in a folder
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The folder
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Which one, with options (`plackett recommend list`)
    #[arg(long, short, value_name = "RECOMMENDER", default_value = "ease")]
    recommender: String,
    /// Titles of the items: lines of JSON with `item` and `title`; what else they say is read by recommenders that read texts
    #[arg(long, value_name = "FILE")]
    titles: Option<PathBuf>,
    /// From which what is drawn follows [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..))]
    seed: Option<u64>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let configured = parse(&arguments.recommender)?;
    check_seed(arguments.seed, std::slice::from_ref(&configured))?;
    let seed = arguments.seed.unwrap_or(1);
    exists("--titles", arguments.titles.as_deref())?;
    texts::check(std::slice::from_ref(&configured), arguments.titles.as_deref())?;
    let paths = Paths::default().reads("INTERACTIONS", [&arguments.data.interactions]);
    paths.reads("--titles", &arguments.titles).check(output)?;
    check_folder(&arguments.output)?;
    ModelFolder::check_output(&arguments.output, &arguments.data.interactions)?;
    remark_on_replaced(&arguments.output, ModelFolder::FILE, output);
    let all = arguments.data.read(global, output)?;
    configured.check(all.items.len())?;
    let hash = hash_of(&arguments.data.interactions)?;
    let words = texts::words(arguments.titles.as_deref(), global)?;
    if let Some(words) = &words {
        texts::remark_on_untitled(&words.titles, &all, output);
    }
    let begun = Instant::now();
    let read = (words.as_ref(), &all);
    let vectors = VectorsByEncoder::read(std::slice::from_ref(&configured), read, global, output)?;
    let titles = words.unwrap_or_default().titles;
    let sequences = borrowed(&all.sequences);
    let data = FitData { catalogue: all.items.len(), sequences: &sequences, texts: vectors.of(&configured) };
    let bar = output.progress(configured.spec.name, 0);
    let mut flat = 0;
    let mut progress = |step: FitStep| {
        bar.set_length(step.total as u64);
        bar.set_position(step.done as u64);
        flat += step.flat;
    };
    let compute = Compute::new(rayon::current_num_threads());
    let work = training_folder::folder_in(&arguments.output);
    let identity = identity(&configured, seed, &data);
    let new = training_folder::new_folders(&arguments.output);
    let _alone = training_folder::lock(&work)?;
    if training_folder::begin(&work, &identity)? {
        output.note("goes on from the last checkpoint of a fit that was interrupted");
    }
    let kept = Checkpointing { folder: &work, identity: &identity, every: training_folder::EVERY };
    let mut fitting = Fitting { compute, seed, kept: Some(kept), progress: &mut progress };
    let fitted = configured.fit(&data, &mut fitting);
    let fitted = fitted.inspect_err(|_| training_folder::withdraw(&work, new))?;
    bar.finish_and_clear();
    remark_on_flat(flat, configured.spec.name, output);
    ModelFolder::write(&arguments.output, (&configured, seed), &*fitted, (&all, &titles), &hash)?;
    training_folder::remove(&work)?;
    say(arguments, (&configured, &all), begun.elapsed().as_secs_f64(), output)
}

/// Refuses an output that is no folder: standard output, where what was made is told, or a file.
fn check_folder(folder: &Path) -> anyhow::Result<()> {
    if folder == Path::new("-") {
        anyhow::bail!("--output -: a recommender is a folder of files; name one");
    }
    if folder.is_file() {
        anyhow::bail!("--output: {} is a file; name a folder", folder.display());
    }
    Ok(())
}

/// The hash of the file of interactions; what can be read once only has none.
fn hash_of(file: &Path) -> anyhow::Result<String> {
    match is_stream(file) {
        true => Ok("a stream".into()),
        false => Ok(content(file).context("the file of interactions cannot be read again")?.sha256),
    }
}

/// Says what came out and how long it took.
fn say(
    arguments: &Arguments,
    (configured, all): (&Configured, &Interactions),
    seconds: f64,
    output: &Output,
) -> Outcome {
    if output.json {
        return Ok(output.print_json(&json!({
            "output": arguments.output,
            "recommender": configured.to_string(),
            "users": all.users.len(),
            "items": all.items.len(),
            "events": all.events(),
            "seconds": seconds,
        }))?);
    }
    Ok(output.print(&format!(
        "{}: {configured} from {} events of {} users with {} items, in {seconds:.1} s\n",
        arguments.output.display(),
        all.events(),
        all.users.len(),
        all.items.len()
    ))?)
}

/// What a fit is: one of another recommender, other events or other texts does not go on from its checkpoints.
fn identity(configured: &Configured, seed: u64, data: &FitData<'_>) -> String {
    let mut hasher = Sha256::new();
    for sequence in data.sequences {
        hasher.update((sequence.len() as u64).to_le_bytes());
        for event in *sequence {
            hasher.update(event.item.to_le_bytes());
            hasher.update(event.rating.to_le_bytes());
            hasher.update(event.time.to_le_bytes());
        }
    }
    data.texts.iter().for_each(|number| hasher.update(number.to_le_bytes()));
    let events = hasher.hex_digest();
    json!({"recommender": configured.to_string(), "seed": seed, "items": data.catalogue, "events": events})
        .to_string()
}
