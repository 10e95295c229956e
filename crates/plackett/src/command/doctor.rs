//! `plackett doctor`: what works on this machine, and what to do about the rest.

use super::{Failure, Global, Outcome, Output};
use clap::Args;
use console::style;
use plackett::bundled;
use plackett::golden::{Comparison, Subject, compare, known};
use plackett_lm::Isa;
use plackett_lm::store::Store;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Say what works on this machine and what to do about the rest
#[derive(Args)]
#[command(after_help = "Example:\n  plackett doctor")]
pub struct Arguments {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// Something optional is missing.
    Warning,
    /// Something needed does not work.
    Bad,
}

struct Finding {
    state: State,
    what: &'static str,
    detail: String,
}

fn finding(state: State, what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { state, what, detail: detail.into() }
}

/// Runs the command.
pub fn run(_: &Arguments, global: &Global, output: &Output) -> Outcome {
    let findings = [vec![processor(), memory(), dense()], storage(global), vec![python(), data()]].concat();
    let bad = findings.iter().filter(|f| f.state == State::Bad).count();
    if output.json {
        let name = |state| match state {
            State::Good => "ok",
            State::Warning => "warning",
            State::Bad => "bad",
        };
        let findings: Vec<_> = findings
            .iter()
            .map(|f| json!({"what": f.what, "state": name(f.state), "detail": f.detail}))
            .collect();
        output.print_json(&json!({"findings": findings, "bad": bad}))?;
    } else {
        let mut text = String::new();
        for f in &findings {
            let mark = match f.state {
                State::Good => style("ok  ").green(),
                State::Warning => style("note").yellow(),
                State::Bad => style("bad ").red(),
            };
            text.push_str(&format!("{mark}  {:<14} {}\n", f.what, f.detail));
        }
        output.print_styled(&text)?;
    }
    if bad == 0 { Ok(()) } else { Err(Failure::Check(format!("{bad} of the checks above failed"))) }
}

impl Clone for Finding {
    fn clone(&self) -> Self {
        finding(self.state, self.what, self.detail.clone())
    }
}

fn processor() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let isa = Isa::detect();
    let detail = format!("{cores} cores, kernels: {}", isa.name());
    if isa == Isa::Portable {
        return finding(State::Warning, "processor", format!("{detail}; models will be slow without AVX2"));
    }
    finding(State::Good, "processor", detail)
}

fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
    match kilobytes {
        None => finding(State::Warning, "memory", "not known on this system"),
        Some(kb) if kb < 512 << 10 => finding(
            State::Warning,
            "memory",
            format!("{} MB free; the quickstart needs about 200 MB", kb >> 10),
        ),
        Some(kb) => finding(State::Good, "memory", format!("{:.1} GB free", kb as f64 / 1048576.0)),
    }
}

fn dense() -> Finding {
    if plackett_search::HAS_HNSW {
        let from = plackett_search::HNSW_FROM;
        return finding(
            State::Good,
            "dense search",
            format!("exact, and hnsw from {from} vectors (usearch)"),
        );
    }
    let remedy = "`--features usearch` adds hnsw for large collections (needs a C++ compiler)";
    finding(State::Warning, "dense search", format!("exact only; a build with {remedy}"))
}

fn storage(global: &Global) -> Vec<Finding> {
    let store = match Store::from_environment(global.offline) {
        Ok(store) => store,
        Err(error) => return vec![finding(State::Bad, "model cache", error.to_string())],
    };
    let unpacked = match bundled::open(&store) {
        Ok(model) => model,
        Err(error) => {
            let remedy = "set PLACKETT_CACHE to a folder that can be written";
            return vec![finding(State::Bad, "model cache", format!("{error}; {remedy}"))];
        }
    };
    let cache = store.cache.display();
    let mut findings = vec![if unpacked.directory.starts_with(&store.cache) {
        finding(State::Good, "model cache", cache.to_string())
    } else {
        let remedy = "set PLACKETT_CACHE to a folder that can be";
        finding(State::Warning, "model cache", format!("{cache} cannot be written; {remedy}"))
    }];
    findings.push(match compared(&unpacked.directory, global) {
        Ok(Some(compared)) if compared.held() => {
            let cosine = compared.value("smallest cosine").unwrap_or(f64::NAN);
            let cases = compared.cases;
            let text = format!("{cases} texts equal their golden outputs (smallest cosine {cosine:.4})");
            finding(State::Good, "bundled model", text)
        }
        Ok(_) => finding(
            State::Bad,
            "bundled model",
            "its embeddings differ from the golden ones; run `plackett model verify minilm`",
        ),
        Err(error) => finding(State::Bad, "bundled model", format!("{error:#}")),
    });
    findings
}

/// The bundled model against its golden outputs.
fn compared(directory: &Path, global: &Global) -> anyhow::Result<Option<Comparison>> {
    let subject = Subject::open(directory, &global.models())?;
    Ok(known(&subject)?.map(|golden| compare(&subject, &golden, &|| {})).transpose()?)
}

fn python() -> Finding {
    let chosen = std::env::var("PLACKETT_PYTHON").unwrap_or_else(|_| "python3".into());
    let version = Command::new(&chosen).args(["-m", "pip", "--version"]).output();
    match version {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let short = text.split(" from ").next().unwrap_or("pip").trim().to_string();
            finding(State::Good, "pip", format!("{short} ({chosen}); `model pull` can use it"))
        }
        _ => finding(
            State::Warning,
            "pip",
            format!(
                "`{chosen} -m pip` does not run; only `model pull` of PyPI models needs it (PLACKETT_PYTHON names another Python)"
            ),
        ),
    }
}

fn data() -> Finding {
    let folder =
        std::env::var_os("PLACKETT_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let sets = std::fs::read_dir(&folder).map_or(0, |entries| {
        entries.flatten().filter(|entry| Path::new(&entry.path()).join("README.md").exists()).count()
    });
    if sets == 0 {
        return finding(
            State::Warning,
            "test data",
            "none (PLACKETT_DATA names the folder); tests that need it are skipped",
        );
    }
    finding(State::Good, "test data", format!("{sets} sets in {}", folder.display()))
}
