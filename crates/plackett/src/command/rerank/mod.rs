//! `plackett rerank`: requests in, the same requests in a better order out.

mod arguments;
mod budget;
mod compare;
mod files;
mod remarks;
mod requests;
mod sink;
mod to_file;
mod triple;

use super::failure::sentence;
use super::trace_file::TraceFile;
use super::within::Within;
use super::{Failure, Global, Outcome, Output};
use anyhow::Context;
pub use arguments::Arguments;
use arguments::Format;
use plackett::Pipeline;
use plackett::pipeline::{Answers, Models, QueryError};
use plackett::stored_calibration::StoredCalibration;
use plackett_core::{RankRequest, Ranking, Status};
use plackett_eval::calibration::Calibration;
use requests::{Groups, Incoming, Requests};
use sink::{Sink, Target};
use std::path::Path;
pub use to_file::{Rerun, again};

/// Requests that go through the model together.
const TOGETHER: usize = 64;

/// Refuses a model that no stage uses. One that is set for all commands of a shell may be.
fn check_model(arguments: &Arguments, models: &Models) -> anyhow::Result<()> {
    let set = std::env::var("PLACKETT_MODEL").ok();
    match &arguments.model {
        Some(model) if !models.default_is_used() && set.as_ref() != Some(model) => {
            anyhow::bail!("--model {model}: every stage names a model of its own; leave the flag out")
        }
        _ => Ok(()),
    }
}

/// Arguments that can be followed, with the models opened.
struct Prepared {
    /// The arguments, with what a budget allowed.
    arguments: Arguments,
    models: Models,
    pipeline: Pipeline,
    trace: Option<TraceFile>,
    format: Format,
    calibration: Option<Calibration>,
    /// Requests of which some were looked at.
    begun: Option<Requests>,
    /// How far the rerankers are.
    within: Within,
}

impl Prepared {
    /// Checks arguments and opens models. Nothing is read or asked yet, unless a budget is to be kept.
    fn new(arguments: &Arguments, global: &Global, output: &Output) -> anyhow::Result<Prepared> {
        // What is stored is found when the pipeline is known.
        let given = arguments.calibration.as_deref().filter(|path| !is_stored(path));
        let mut calibrated = given.map(calibration).transpose()?;
        let models = Models::new(arguments.model.clone(), global.models());
        let format = match arguments.format {
            Some(format) => format,
            None if global.json && arguments.to_file.output.is_none() => Format::Document,
            None if arguments.run.is_some() => Format::Trec,
            None => Format::Requests,
        };
        if arguments.tag.is_some() && format != Format::Trec {
            anyhow::bail!("--tag is the last column of a TREC run; give --format trec with it");
        }
        let trace = arguments.trace.as_deref().map(|path| TraceFile::new(path, arguments.to_file.resume));
        let trace = trace.transpose()?;
        if arguments.calibration.is_some() && format == Format::Trec {
            anyhow::bail!(
                "--calibration: a run has no place for probabilities; use --format jsonl, json or requests"
            );
        }
        let mut settings = arguments.long_text.settings()?;
        settings.audit = trace.as_ref().map(TraceFile::audit);
        let within = Within::default();
        settings.progress = Some(within.progress());
        let mut arguments = arguments.clone();
        let begun = budget::choose(&mut arguments, format, &models, &settings, global, output)?;
        let chosen = arguments.chosen.as_ref().map(|chosen| &chosen.method);
        let expression = chosen.or(arguments.method.as_ref()).or(arguments.pipeline.as_ref());
        let mut pipeline = Pipeline::resolve(expression.context("no method")?, None, &models, &settings)?;
        pipeline.fall_back(&arguments.fallback, &models, &settings)?;
        arguments.check_files_of(&pipeline, output)?;
        if trace.is_some() && !pipeline.asks_prompts() {
            anyhow::bail!(
                "--trace: the methods ask no prompts, so that there is nothing to write; leave it out"
            );
        }
        if let Some(chosen) = &arguments.chosen {
            pipeline.limit_depth(chosen.depth);
        }
        check_model(&arguments, &models)?;
        if arguments.calibration.as_deref().is_some_and(is_stored) {
            let reading = arguments.long_text.reading();
            let path = StoredCalibration::of(&pipeline, &models, &reading)?
                .existing()
                .context("--calibration stored")?;
            calibrated = Some(calibration(&path)?);
            // From here on it is a file like any other, which a manifest names with its hash.
            arguments.calibration = Some(path);
        }
        if let Some(remark) = arguments.top_k.and_then(|k| pipeline.shortened(k)) {
            output.warn(&remark);
        }
        Ok(Prepared { arguments, models, pipeline, trace, format, calibration: calibrated, begun, within })
    }

    /// All requests.
    fn requests(&mut self, global: &Global, output: &Output) -> anyhow::Result<Requests> {
        match self.begun.take() {
            Some(requests) => Ok(requests),
            None => requests::open(&self.arguments, self.format, global, output),
        }
    }

    /// What went wrong with the file of `--trace`.
    fn check_trace(&self) -> anyhow::Result<()> {
        self.trace.as_ref().map_or(Ok(()), TraceFile::check)
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    arguments.check_files(output)?;
    if arguments.comparing.compare {
        return compare::run(arguments, global, output);
    }
    if arguments.to_file.output.is_some() {
        return to_file::run(arguments, global, output);
    }
    global.form("--format", arguments.format.is_some())?;
    let mut prepared = Prepared::new(arguments, global, output)?;
    let requests = prepared.requests(global, output)?;
    let mut sink = Sink::new(arguments, prepared.format, Target::Screen, output);
    prepared.within.show_behind(sink.bar(), sink::DOES);
    for group in (Groups { requests, most: TOGETHER }) {
        let mut answers =
            rank(&prepared.pipeline, &group, arguments.top_k, prepared.calibration.as_ref()).into_iter();
        for request in group {
            match request {
                Err(error) => sink.fail(sentence(&error).into())?,
                Ok(incoming) => {
                    let answer = answers.next().unwrap_or_else(|| Err(Unranked::lost()));
                    sink.take(incoming, answer)?;
                }
            }
        }
        prepared.check_trace()?;
    }
    sink.close()?;
    sink.outcome()
}

/// A request without an answer.
struct Unranked {
    problem: String,
    /// A server was at fault: the request may be answered another time.
    outage: bool,
}

impl Unranked {
    fn lost() -> Unranked {
        Unranked { problem: "no answer".into(), outage: false }
    }
}

impl From<String> for Unranked {
    /// A request that no model could answer.
    fn from(problem: String) -> Unranked {
        Unranked { problem, outage: false }
    }
}

impl Unranked {
    /// The end of a command that takes no request without an answer.
    fn end(self) -> Failure {
        let error = anyhow::anyhow!(self.problem);
        if self.outage { Failure::Service(error) } else { Failure::Input(error) }
    }

    /// The same problem with the place of its request before it.
    fn at(self, place: &str) -> Unranked {
        Unranked { problem: format!("{place}: {}", self.problem), ..self }
    }
}

/// What is wrong with an answer for a command that takes none that had to be repaired.
fn repaired(line: u64, ranking: &Ranking) -> Option<Unranked> {
    if ranking.trace.status != Status::Repaired {
        return None;
    }
    let facts = ranking.trace.facts.iter().filter(|(name, _)| name == "repaired");
    let what: Vec<&str> = facts.map(|(_, what)| what.as_str()).collect();
    let query = &ranking.query_id;
    let problem = format!(
        "line {line}: query `{query}`: an answer of the model had to be repaired ({}); leave --strict out to take it so",
        what.join("; ")
    );
    Some(problem.into())
}

impl From<QueryError> for Unranked {
    fn from(error: QueryError) -> Unranked {
        let outage = error.is_outage();
        Unranked { problem: sentence(&anyhow::Error::new(error)), outage }
    }
}

/// Whether `--calibration` asks for what is stored beside the model.
fn is_stored(path: &Path) -> bool {
    path == Path::new("stored")
}

/// The file of `--calibration`.
fn calibration(path: &Path) -> anyhow::Result<Calibration> {
    let named = || format!("--calibration {}", path.display());
    let text = std::fs::read_to_string(path).with_context(named)?;
    Calibration::read(&text).with_context(named)
}

/// Puts probabilities beside scores. The order stays: equal probabilities can have different scores.
fn calibrate(ranking: &mut Ranking, calibration: &Calibration) {
    let fact = match &ranking.trace.status {
        Status::Fallback(name) => format!("not applied: the scores are those of {name}"),
        _ => {
            ranking.trace.activated =
                ranking.entries.iter().map(|entry| calibration.probability(entry.score)).collect();
            format!(
                "{} from {} judged documents of {} queries",
                calibration.kind, calibration.documents, calibration.queries
            )
        }
    };
    ranking.trace.facts.push(("calibration".into(), fact));
}

/// One answer for each request of a group that could be read, of at most `most` documents.
fn rank<'r>(
    pipeline: &Pipeline,
    group: impl IntoIterator<Item = &'r anyhow::Result<Incoming>>,
    most: Option<usize>,
    calibration: Option<&Calibration>,
) -> Vec<Result<Ranking, Unranked>> {
    let read = group.into_iter().filter_map(|request| request.as_ref().ok());
    let requests: Vec<RankRequest> = read.map(|incoming| incoming.request.clone()).collect();
    let answers: Answers = pipeline.rerank(&requests);
    let shortened = |answer: Result<Ranking, QueryError>| {
        let mut ranking = answer?;
        ranking.keep_best(most.unwrap_or(usize::MAX));
        if let Some(calibration) = calibration {
            calibrate(&mut ranking, calibration);
        }
        Ok(ranking)
    };
    answers.into_iter().map(shortened).collect()
}
