//! What can be said to `plackett rerank`.

use crate::command::documents::DocumentArguments;
use crate::command::number::{by, whole};
use crate::command::open::LongTextArguments;
use crate::command::results::tag;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use plackett::content_hash::is_stream;
use plackett::manifest::{InputHash, ManifestError};
use plackett::unfinished::Unfinished;
use plackett_core::pipeline::Pipeline as Expression;
use plackett_rank::budget::Budget;
use plackett_rank::method::listing;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Reorder candidates with a model: request files, standard input, or a TREC run
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[command(after_help = "Examples:\n  \
                        plackett rerank --method late-interaction requests.jsonl > reranked.jsonl\n  \
                        plackett rerank --method cross-encoder --model ./my-cross-encoder - < requests.jsonl | head\n  \
                        plackett rerank --method bi-encoder --queries q.jsonl --documents corpus.jsonl \\\n    \
                        --run bm25.trec > run.trec\n  \
                        plackett rerank --method cross-encoder --model remote:http://127.0.0.1:8080/rerank requests.jsonl\n  \
                        plackett rerank --method cross-encoder \\\n    \
                        --model 'remote:https://api.cohere.com/v2/rerank#model=rerank-v3.5,key=CO_API_KEY' \\\n    \
                        requests.jsonl\n  \
                        plackett rerank --method 'yes-no(words=80)' --model SmolLM2-135M-Instruct \\\n    \
                        --trace calls.jsonl requests.jsonl\n  \
                        plackett rerank --method listwise --model SmolLM2-135M-Instruct requests.jsonl --output out.jsonl\n  \
                        plackett rerank --method listwise --model SmolLM2-135M-Instruct requests.jsonl \\\n    \
                        --output out.jsonl --resume\n  \
                        plackett rerank --methods input-order,bi-encoder,late-interaction --compare \\\n    \
                        --qrels qrels.txt requests.jsonl\n  \
                        plackett rerank --method listwise --model SmolLM2-135M-Instruct --budget 2s requests.jsonl\n\n\
                        A request is a line {\"query\": {\"qid\": …, \"text\": …}, \"candidates\": [{\"docid\": …, \"doc\":\n\
                        {\"contents\": …}}]} (RankLLM, RankGPT and plain lists of texts are read too). Requests that cannot be\n\
                        ranked are reported with their line and left out; the exit code is then 1, and with --strict the\n\
                        first one ends the command with 2.\n\n\
                        With --output, finished requests are kept in FILE.unfinished until all are done, so that neither a\n\
                        kill nor a dying server (exit code 3) loses one, and FILE.manifest.json says what the result was\n\
                        made of; `plackett replay` makes it again. Seconds are then in the manifest alone: the same run\n\
                        gives the same bytes.")]
#[command(group = clap::ArgGroup::new("how").args(["method", "pipeline", "methods"]).required(true))]
pub struct Arguments {
    /// Requests as JSONL (.gz and .zst too), or `-` for standard input
    #[arg(required_unless_present = "run", conflicts_with = "run")]
    pub file: Option<PathBuf>,
    #[arg(long, value_name = "NAME", help = method_help())]
    pub method: Option<String>,
    /// Several rerankers in a row, as in 'bi-encoder:50 >> cross-encoder'
    #[arg(long, short, value_name = "EXPR")]
    pub pipeline: Option<String>,
    /// Directory, Hugging Face id, built-in name or remote:URL [default: the bundled embedding model]
    #[arg(long, env = "PLACKETT_MODEL")]
    pub model: Option<String>,
    /// Queries of a TREC run: JSONL or TSV
    #[arg(long, value_name = "FILE", requires = "run")]
    pub queries: Option<PathBuf>,
    /// Documents of a TREC run: any collection that `plackett index` reads, `-` for standard input
    #[arg(long, value_name = "PATH", requires = "run")]
    pub documents: Option<PathBuf>,
    /// TREC run to rerank
    #[arg(long, value_name = "FILE", requires_all = ["queries", "documents"])]
    pub run: Option<PathBuf>,
    /// How results are written [default: requests; trec for --run]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Length of each answer [default: all candidates]
    #[arg(short = 'k', long = "top-k", alias = "top-n", value_name = "N", value_parser = whole::<usize>(1..))]
    pub top_k: Option<usize>,
    /// Last column of a TREC run [default: plackett]
    #[arg(long, value_parser = by(tag))]
    pub tag: Option<String>,
    /// End at the first request that cannot be ranked, and at the first answer of a model that had to be repaired
    #[arg(long)]
    #[serde(skip)]
    pub strict: bool,
    /// Method for requests that the one before cannot rank, with options as behind --method; may be given several times,
    /// `input-order` keeps the order in which candidates came. The answer's status says so
    #[arg(long, value_name = "NAME", conflicts_with = "strict")]
    pub fallback: Vec<String>,
    /// Write every prompt and its answer to a file, as JSON lines
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub trace: Option<PathBuf>,
    /// Rerank only as many candidates, and with windows, as are expected to take so long for each request, as in 2s or 500ms;
    /// the others follow in the order in which they came. Measured on the first requests
    #[arg(long, value_name = "TIME", value_parser = by(seconds), requires = "method", conflicts_with = "compare")]
    pub budget: Option<f64>,
    /// The same for tokens, read and written
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..), requires = "method", conflicts_with = "compare")]
    pub budget_tokens: Option<u64>,
    /// What the budget allowed.
    #[arg(skip)]
    #[serde(default)]
    pub chosen: Option<Chosen>,
    /// Tell scores as probabilities of relevance too, as `activated`: a file that `plackett calibrate` wrote for this method, or
    /// `stored` for what `plackett calibrate --for` keeps of it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["compare", "budget", "budget_tokens"])]
    pub calibration: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub long_text: LongTextArguments,
    #[command(flatten, next_help_heading = "Documents of a TREC run")]
    #[serde(flatten)]
    pub kept: DocumentArguments,
    #[command(flatten)]
    #[serde(skip)]
    pub to_file: FileArguments,
    #[command(flatten)]
    #[serde(skip)]
    pub comparing: CompareArguments,
}

/// What was chosen to keep a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The method with its options.
    pub method: String,
    /// How many candidates it gets.
    pub depth: usize,
}

impl Chosen {
    fn check(&self) -> anyhow::Result<()> {
        whole::<usize>(1..).check("depth", &self.depth.to_string())?;
        let expression: Expression =
            self.method.parse().with_context(|| format!("method {}", self.method))?;
        match expression.stages.as_slice() {
            [stage] if stage.inputs.is_empty() && stage.depth.is_none() => Ok(()),
            _ => bail!("method {}: one method with its options is expected", self.method),
        }
    }
}

/// Reads a time in seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let units = [("ms", 1e-3), ("min", 60.0), ("s", 1.0)];
    let found = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)));
    let value = found.and_then(|(number, size)| Some(number.trim().parse::<f64>().ok()? * size));
    value
        .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
        .ok_or_else(|| "a time is expected, such as 2s, 500ms or 1.5min".to_string())
}

/// A result that is a file.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Results in a file")]
pub struct FileArguments {
    /// Write results to a file, which appears when all requests are done; until then finished ones are kept in
    /// FILE.unfinished
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where the manifest of the run is written [default: FILE.manifest.json beside the output]
    #[arg(long, value_name = "FILE", requires = "output")]
    pub manifest: Option<PathBuf>,
    /// Go on with an interrupted run of the same settings: what is in FILE.unfinished is not asked again
    #[arg(long, requires = "output")]
    pub resume: bool,
}

impl FileArguments {
    /// Where the manifest is written; `None` without `--output`.
    pub fn manifest_path(&self) -> Option<PathBuf> {
        let mut beside = self.output.clone()?.into_os_string();
        beside.push(".manifest.json");
        Some(self.manifest.clone().unwrap_or_else(|| beside.into()))
    }

    /// Where finished requests are kept until all are done; `None` without `--output`.
    pub fn unfinished_path(&self) -> Option<PathBuf> {
        self.output.as_deref().map(Unfinished::path_for)
    }
}

/// Methods side by side.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Methods side by side")]
pub struct CompareArguments {
    /// Methods or pipelines to compare on the same candidates, with commas between; the others are tested against the
    /// first. `input-order` is the order in which candidates came
    #[arg(long, value_name = "NAMES", requires_all = ["compare", "qrels"])]
    pub methods: Option<String>,
    /// Print a table instead of rankings: nDCG@10 with its interval, passes, tokens and seconds of each of --methods, and a
    /// paired test
    #[arg(long, requires = "methods",
          conflicts_with_all = ["top_k", "format", "tag", "output", "trace", "fallback"])]
    pub compare: bool,
    /// Judgments for --compare: a TREC qrels file, a BEIR qrels file (.tsv) or a BEIR folder
    #[arg(long, value_name = "FILE", requires = "methods")]
    pub qrels: Option<PathBuf>,
}

/// The methods there are.
fn method_help() -> String {
    format!(
        "Reranking method, with options as in 'yes-no(words=80)': {} (`plackett method show NAME` tells more)",
        listing::names()
    )
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The requests that came, reordered, one per line
    Requests,
    /// A TREC run
    Trec,
    /// One JSON array with an object per request
    Json,
    /// One JSON object per request and line
    Jsonl,
    /// The list of results in the document of `--json`
    #[value(skip)]
    Document,
}

impl Arguments {
    /// What the result depends on, by name: everything but flags that say where something is written, and --strict, which
    /// changes no answer.
    ///
    /// # Errors
    /// A path that is no text, which no file of JSON can hold.
    pub fn recorded(&self) -> anyhow::Result<Map<String, Value>> {
        match serde_json::to_value(self)? {
            Value::Object(fields) => Ok(fields),
            other => anyhow::bail!("arguments are no object: {other}"),
        }
    }

    /// Refuses values that no flag would have taken: those of a manifest come from a file.
    ///
    /// # Errors
    /// The first of them, with its flag.
    pub fn check_values(&self) -> anyhow::Result<()> {
        if let Some(k) = self.top_k {
            whole::<usize>(1..).check("--top-k", &k.to_string())?;
        }
        if let Some(name) = &self.tag {
            by(tag).check("--tag", name)?;
        }
        if let Some(time) = self.budget {
            by(seconds).check("--budget", &format!("{time}s"))?;
        }
        if let Some(tokens) = self.budget_tokens {
            whole::<u64>(1..).check("--budget-tokens", &tokens.to_string())?;
        }
        if let Some(chosen) = &self.chosen {
            chosen.check().context("what the budget allowed")?;
        }
        self.long_text.check_values()
    }

    /// What each request may cost, where that is said.
    pub fn budget(&self) -> Option<Budget> {
        let budget = Budget { seconds: self.budget, tokens: self.budget_tokens };
        (budget != Budget::default()).then_some(budget)
    }

    /// The content of all files that are read. Reads them.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn inputs(&self) -> Result<Vec<InputHash>, ManifestError> {
        self.read_paths().map(|(flag, path)| InputHash::of(flag, path)).collect()
    }

    /// The first of the files that can be read once only, with its flag.
    pub fn stream(&self) -> Option<(&'static str, &Path)> {
        self.read_paths().find(|(_, path)| is_stream(path))
    }

    /// All files that are read, with the flags that name them.
    fn read_paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let named = [
            ("FILE", &self.file),
            ("--queries", &self.queries),
            ("--documents", &self.documents),
            ("--run", &self.run),
            ("--calibration", &self.calibration),
        ];
        named.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_have_units() {
        for (text, value) in [("2s", 2.0), ("500ms", 0.5), ("1.5 min", 90.0)] {
            assert_eq!(seconds(text), Ok(value));
        }
        for text in ["2", "s", "-1s", "0s", "nans", "infs", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
