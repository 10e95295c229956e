//! `plackett replay`: a result made again from its manifest.

use super::paths::Paths;
use super::rerank::{Rerun, again};
use super::{Failure, Global, Outcome, Output};
use anyhow::{Context, bail};
use clap::Args;
use plackett::manifest::{Manifest, OutputHash};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Make a result again from its manifest, and compare the bytes
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett rerank --method bi-encoder requests.jsonl --output out.jsonl\n  \
                        plackett replay out.jsonl.manifest.json\n  \
                        plackett replay out.jsonl.manifest.json --output again.jsonl\n\n\
                        Inputs, models and prompts are compared with their hashes first: what has changed is named, and\n\
                        nothing is run. The exit code is 1 when the result has other bytes. A server may answer otherwise\n\
                        today; all else gives the same.")]
pub struct Arguments {
    /// Manifest of a run, as `plackett rerank --output` writes it
    manifest: PathBuf,
    /// Write the result to a file [default: it is compared and dropped]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let manifest = Manifest::read(&arguments.manifest)?;
    if manifest.settings.command != "rerank" {
        let command = &manifest.settings.command;
        return Err(anyhow::anyhow!("a manifest of `plackett {command}`, which cannot be replayed").into());
    }
    let file = arguments.output.as_deref().map(absolute).transpose()?;
    Paths::default().reads("MANIFEST", [&arguments.manifest]).writes("--output", &file).check(output)?;
    enter(&manifest.settings.folder, output)?;
    let inputs = manifest.settings.inputs.iter().map(|input| &input.path);
    let models = manifest.settings.models.iter().map(|model| &model.name);
    let files = Paths::default().reads("an input of the run", inputs).opens("a model of the run", models);
    // One that is gone may be made again under its own name.
    let result = Some(&manifest.output.path).filter(|path| path.exists());
    files.writes("the result of the run", result).writes("--output", &file).check(output)?;
    let named = arguments.manifest.display();
    let Rerun { written, outcome } =
        again(&manifest, file.as_deref(), global, output).map_err(|failure| {
            let named = |error: anyhow::Error| error.context(named.to_string());
            match failure {
                Failure::Check(text) => Failure::Check(text),
                Failure::Input(error) => Failure::Input(named(error)),
                Failure::Service(error) => Failure::Service(named(error)),
            }
        })?;
    let Some(written) = written else { return outcome };
    let OutputHash { sha256, bytes, path } = &manifest.output;
    let same = written.sha256 == *sha256;
    if output.json {
        output.print_json(&json!({
            "manifest": arguments.manifest,
            "output": arguments.output,
            "same": same,
            "bytes": written.bytes,
            "sha256": written.sha256,
            "expected_sha256": sha256,
        }))?;
    } else if same {
        output.print(&format!("the same {bytes} bytes as {}\n", path.display()))?;
    }
    match same {
        true => Ok(()),
        false => Err(Failure::Check(format!(
            "{named}: the result has other bytes ({} with SHA-256 {}…) than {} had ({bytes} with {}…)",
            written.bytes,
            written.sha256.get(..12).unwrap_or_default(),
            path.display(),
            sha256.get(..12).unwrap_or_default(),
        ))),
    }
}

/// Goes to the folder in which the run was made, from which its paths go out.
fn enter(folder: &Path, output: &Output) -> anyhow::Result<()> {
    if !folder.is_dir() {
        output.warn(&format!(
            "the folder {} in which it was made is not there; paths go out from this one",
            folder.display()
        ));
        return Ok(());
    }
    std::env::set_current_dir(folder).with_context(|| format!("cannot go to {}", folder.display()))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    if path == Path::new("-") {
        bail!("--output -: a file is expected; without the flag the result is compared and dropped");
    }
    std::path::absolute(path).with_context(|| format!("--output {}", path.display()))
}
