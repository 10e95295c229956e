//! `plackett rerank`: requests in, the same requests in a better order out.

mod triple;

use super::documents::DocumentArguments;
use super::open::LongTextArguments;
use super::results::{Writer, trace_json};
use super::search::Format as Shape;
use super::{Failure, Global, Outcome, Output};
use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use plackett::Pipeline;
use plackett::pipeline::{Answers, Models};
use plackett_core::formats::requests::{SourcedRequest, open_requests};
use plackett_core::{RankRequest, Ranking};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;

/// Requests that go through the model together.
const TOGETHER: usize = 64;
/// Bytes of text that go through the model together, more or less: what bounds the memory.
const TOGETHER_BYTES: usize = 8 << 20;

/// Reorder candidates with a model: request files, standard input, or a TREC run
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett rerank --method late-interaction requests.jsonl > reranked.jsonl\n  \
                  retrieve | plackett rerank --method cross-encoder --model ./my-cross-encoder - | head\n  \
                  plackett rerank --method bi-encoder --queries q.jsonl --documents corpus.jsonl --run bm25.trec > run.trec\n  \
                  plackett rerank --method cross-encoder --model remote:http://127.0.0.1:8080/rerank requests.jsonl\n  \
                  plackett rerank --method cross-encoder --model \
                  'remote:https://api.cohere.com/v2/rerank#model=rerank-v3.5,key=CO_API_KEY' requests.jsonl\n\n\
                  A request is a line {\"query\": {\"qid\": …, \"text\": …}, \"candidates\": [{\"docid\": …, \"doc\": {\"contents\": …}}]}\n\
                  (RankLLM, RankGPT and plain lists of texts are read too). Requests that cannot be ranked are reported \
                  with\ntheir line and left out; the exit code is then 1, and with --strict the first one ends the \
                  command with 2."
)]
#[command(group = clap::ArgGroup::new("how").args(["method", "pipeline"]).required(true))]
pub struct Arguments {
    /// Requests as JSONL (.gz and .zst too), or `-` for standard input
    #[arg(required_unless_present = "run", conflicts_with = "run")]
    file: Option<PathBuf>,
    /// bi-encoder, late-interaction or cross-encoder
    #[arg(long)]
    method: Option<String>,
    /// Several rerankers in a row, as in 'bi-encoder:50 >> cross-encoder'
    #[arg(long, short, value_name = "EXPR")]
    pipeline: Option<String>,
    /// Directory, Hugging Face id, built-in name or remote:URL [default: the bundled embedding model]
    #[arg(long, env = "PLACKETT_MODEL")]
    model: Option<String>,
    /// Queries of a TREC run: JSONL or TSV
    #[arg(long, value_name = "FILE", requires = "run")]
    queries: Option<PathBuf>,
    /// Documents of a TREC run: any collection that `plackett index` reads, `-` for standard input
    #[arg(long, value_name = "PATH", requires = "run")]
    documents: Option<PathBuf>,
    /// TREC run to rerank
    #[arg(long, value_name = "FILE", requires_all = ["queries", "documents"])]
    run: Option<PathBuf>,
    /// How results are written [default: requests; trec for --run]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Length of each answer [default: all candidates]
    #[arg(short = 'k', long = "top-k", alias = "top-n", value_name = "N")]
    k: Option<usize>,
    /// Last column of a TREC run
    #[arg(long, default_value = "plackett")]
    tag: String,
    /// End at the first request that cannot be ranked
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    long_text: LongTextArguments,
    #[command(flatten, next_help_heading = "Documents of a TREC run")]
    kept: DocumentArguments,
}

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
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

/// Names of the list of candidates, as the reader knows them.
const LISTS: [&str; 5] = ["candidates", "hits", "passages", "documents", "texts"];

/// A request and, when it came as JSON, the object it came from.
struct Incoming {
    /// The line it stands on, or the query's place in a run, from 1.
    line: u64,
    request: RankRequest,
    source: Option<SourcedRequest>,
}

/// Requests one at a time; a bad one is an error in its place.
type Requests = Box<dyn Iterator<Item = anyhow::Result<Incoming>>>;

/// Writes answers in order and counts what failed.
struct Sink<'a> {
    output: &'a Output,
    format: Format,
    writer: Writer<'a>,
    k: usize,
    strict: bool,
    ranked: usize,
    failed: usize,
    bar: ProgressBar,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    if arguments.k == Some(0) {
        return Err(anyhow::anyhow!("-k 0: ask for at least one document").into());
    }
    global.form("--format", arguments.format.is_some())?;
    if arguments.run.is_none() && arguments.kept.are_given() {
        let flags = "--input-format and the names of fields say how --documents are kept";
        return Err(anyhow::anyhow!("{flags}; requests bring their documents, leave the flags out").into());
    }
    let models = Models::new(arguments.model.clone(), global.models());
    let expression = arguments.method.as_ref().or(arguments.pipeline.as_ref()).context("no method")?;
    let pipeline = Pipeline::resolve(expression, None, &models, &arguments.long_text.settings()?)?;
    let format = match arguments.format {
        Some(format) => format,
        None if global.json => Format::Document,
        None if arguments.run.is_some() => Format::Trec,
        None => Format::Requests,
    };
    let requests: Requests = match (&arguments.file, &arguments.run, &arguments.queries, &arguments.documents)
    {
        (Some(file), ..) => Box::new(open_requests(file)?.map(|found| Ok(Incoming::from(found?)))),
        (None, Some(_), ..) if format == Format::Requests => {
            return Err(anyhow::anyhow!(
                "a run has no requests to give back; use --format trec, json or jsonl"
            )
            .into());
        }
        (None, Some(run), Some(queries), Some(documents)) => {
            triple::read(queries, (documents.as_path(), &arguments.kept), run, output)?
        }
        _ => {
            return Err(
                anyhow::anyhow!("name a file of requests, or --queries, --documents and --run").into()
            );
        }
    };
    let mut sink = Sink::new(arguments, format, output);
    for group in Groups(requests) {
        sink.group(group, |requests| pipeline.rerank(requests))?;
    }
    sink.end()
}

impl From<SourcedRequest> for Incoming {
    fn from(mut source: SourcedRequest) -> Self {
        // The texts are wanted once; the JSON object keeps its own copy.
        let request = std::mem::take(&mut source.request.candidates);
        let query = source.request.query.clone();
        let request = RankRequest { query, candidates: request };
        Incoming { line: source.line, request, source: Some(source) }
    }
}

impl Incoming {
    /// The object that came, with its candidates in the new order and with the model's scores. The score that a candidate
    /// came with stays as `first_stage_score`.
    fn reordered(mut self, ranking: &Ranking) -> anyhow::Result<Value> {
        let mut source = self.source.take().context("the request did not come as JSON")?;
        source.request = self.request;
        let before: HashMap<&str, f64> = source
            .request
            .candidates
            .iter()
            .filter_map(|c| Some((c.document.id.as_str(), c.score?)))
            .collect();
        let mut value = source.ranked(ranking)?;
        if let Some(items) = LISTS.iter().find_map(|list| value.get(*list)?.as_array().map(|_| *list)) {
            let items = value.get_mut(items).and_then(Value::as_array_mut).into_iter().flatten();
            for ((item, entry), nth) in items.zip(&ranking.entries).zip(0..) {
                if let Some(activated) = ranking.trace.activated.get::<usize>(nth) {
                    item["activated"] = json!(activated);
                }
                if let Some(score) = before.get(entry.id.as_str()) {
                    item["first_stage_score"] = json!(score);
                }
                item["rank"] = json!(entry.rank);
            }
        }
        value["invocations_history"] = json!([]);
        value["trace"] = trace_json(ranking);
        Ok(value)
    }
}

/// Requests in groups of bounded size, in order. A bad request is a group member like any other.
struct Groups(Requests);

impl Iterator for Groups {
    type Item = Vec<anyhow::Result<Incoming>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut group = Vec::new();
        let mut bytes = 0;
        while group.len() < TOGETHER && bytes < TOGETHER_BYTES {
            let Some(request) = self.0.next() else { break };
            if let Ok(incoming) = &request {
                bytes += incoming.request.candidates.iter().map(|c| c.document.text.len()).sum::<usize>();
            }
            group.push(request);
        }
        (!group.is_empty()).then_some(group)
    }
}

impl<'a> Sink<'a> {
    fn new(arguments: &'a Arguments, format: Format, output: &'a Output) -> Self {
        let shape = match format {
            Format::Trec => Shape::Trec,
            Format::Json => Shape::Json,
            Format::Document => Shape::Document,
            Format::Jsonl | Format::Requests => Shape::Jsonl,
        };
        let bar = output.counter("reranking");
        let k = arguments.k.unwrap_or(usize::MAX);
        let writer = Writer::new(shape, &arguments.tag, &output.envelope);
        Sink { output, format, writer, k, strict: arguments.strict, ranked: 0, failed: 0, bar }
    }

    /// Ranks and writes one group.
    fn group(
        &mut self,
        group: Vec<anyhow::Result<Incoming>>,
        rank: impl Fn(&[RankRequest]) -> Answers,
    ) -> Outcome {
        let requests: Vec<RankRequest> =
            group.iter().filter_map(|r| r.as_ref().ok()).map(|incoming| incoming.request.clone()).collect();
        let mut answers = rank(&requests).into_iter();
        for request in group {
            match request {
                Err(error) => self.fail(error)?,
                Ok(incoming) => match answers.next() {
                    Some(Ok(ranking)) => self.write(incoming, ranking)?,
                    Some(Err(error)) => {
                        self.fail(anyhow::Error::new(error).context(format!("line {}", incoming.line)))?
                    }
                    None => self.fail(anyhow::anyhow!("line {}: no answer", incoming.line))?,
                },
            }
            self.bar.inc(1);
        }
        Ok(())
    }

    fn write(&mut self, incoming: Incoming, mut ranking: Ranking) -> anyhow::Result<()> {
        ranking.keep_best(self.k);
        let text = match self.format {
            Format::Requests => format!("{}\n", incoming.reordered(&ranking)?),
            _ => self.writer.entry(&ranking)?,
        };
        self.output.print(&text)?;
        self.ranked += 1;
        Ok(())
    }

    /// Reports a request that was not ranked. It is left out of the output: in its old order it would look ranked.
    fn fail(&mut self, error: anyhow::Error) -> Outcome {
        if self.strict {
            return Err(error.into());
        }
        self.failed += 1;
        self.output.part_failed(&self.bar, &super::failure::sentence(&error));
        Ok(())
    }

    fn end(self) -> Outcome {
        self.bar.finish_and_clear();
        self.output.print(&self.writer.end())?;
        match (self.ranked, self.failed) {
            (_, 0) => Ok(()),
            (0, failed) => Err(anyhow::anyhow!("none of the {failed} requests could be ranked").into()),
            (ranked, failed) => Err(Failure::Check(format!(
                "{failed} of {} requests could not be ranked and are left out",
                ranked + failed
            ))),
        }
    }
}
