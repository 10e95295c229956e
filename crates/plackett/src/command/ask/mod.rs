//! `plackett ask`: a broad question answered from an index, with all of its sides (RichRAG).

mod coverage;
mod rankers;
mod report;

use super::number::{real, whole};
use super::open::{LongTextArguments, open_index, read_lines, remark_on_version};
use super::paths::Paths;
use super::trace_file::TraceFile;
use super::{Failure, Global, Outcome, Output};
use anyhow::{Context, bail};
use clap::Args;
use coverage::ListCoverage;
use plackett::Pipeline;
use plackett::facets::{self, FacetCandidates, FacetOptions};
use plackett::pipeline::{Grouping, Models};
use plackett::pointer_ranker::PointerRanker;
use plackett_core::Document;
use plackett_rank::Settings;
use plackett_rank::ask::{
    Answer, AnswerOptions, AskError, Asker, Aspect, AspectOptions, CoverageRanker, Explored, Ordered,
    read_aspects,
};
use plackett_search::Index;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Answer a broad question from an index: its sides, a search for each, passages that cover them together, and an answer
/// that cites them
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett ask papers.index \"How do language models rank passages?\"\n  \
                        plackett ask papers.index \"What is listwise reranking?\" --aspect \"its cost\" \\\n    \
                        --aspect \"its quality\" --json\n  \
                        plackett ask papers.index \"Tell me about distillation\" --aspects sides.txt --ranker mmr -k 5 \\\n    \
                        --no-answer\n  \
                        plackett ask papers.index \"Tell me about prompts\" \\\n    \
                        --model remote:http://127.0.0.1:8080/v1/chat/completions\n\n\
                        A file of aspects has one a line: words, or {\"aspect\": …, \"answer\": …, \"answered_by\": [ids]}\n\
                        where it is known what answers it, in words (for --ranker silver) or as passages (for alpha-nDCG\n\
                        and subtopic recall of the list). A citation is the number of a passage in the list of the answer's\n\
                        sources; citations of passages that are not there are taken out and told.")]
pub struct Arguments {
    /// Index directory, made by `plackett index`
    index: PathBuf,
    /// The question
    question: String,
    /// What finds aspects, lists passages and writes: a GGUF file, a directory, a name, an id or remote:URL
    /// [default: SmolLM2-135M-Instruct]
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,
    /// Sides of the question from a file, one a line (`-`: standard input), in place of the model's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["aspect", "no_aspects"])]
    aspects: Option<PathBuf>,
    /// A side of the question, in place of the model's (may be given several times)
    #[arg(long, value_name = "TEXT", conflicts_with = "no_aspects")]
    aspect: Vec<String>,
    /// The question alone: no aspects
    #[arg(long)]
    no_aspects: bool,
    /// Most aspects that the model may name [default: 8]
    #[arg(long, value_name = "N", conflicts_with_all = ["aspects", "aspect", "no_aspects"],
          value_parser = whole::<u32>(1..=100))]
    max_aspects: Option<u32>,
    /// How to search [default: combsum(bm25,dense,norm=z-score), or bm25 in an index without vectors or whose language
    /// the bundled model does not know]
    #[arg(long, short, value_name = "EXPR", env = "PLACKETT_PIPELINE")]
    pipeline: Option<String>,
    /// Documents that each search gives
    #[arg(long, value_name = "N", default_value = "10", value_parser = whole::<u32>(1..))]
    depth: u32,
    /// Most candidates of all searches together
    #[arg(long, value_name = "N", default_value = "300", value_parser = whole::<u32>(1..))]
    pool: u32,
    #[arg(long, value_name = "NAME", default_value = "list", help = rankers::help())]
    ranker: String,
    /// The folder of the trained list ranker, with --ranker pointer
    #[arg(long, value_name = "DIR")]
    ranker_model: Option<PathBuf>,
    /// How much nearness to the question counts against novelty, with --ranker mmr [default: 0.5]
    #[arg(long, value_name = "X", value_parser = real(" from 0 to 1", |x| (0.0..=1.0).contains(&x)))]
    lambda: Option<f64>,
    /// Passages from which the answer is written
    #[arg(short = 'k', long = "top-k", value_name = "N", default_value = "10",
          value_parser = whole::<u32>(1..))]
    k: u32,
    /// The passages alone: no answer
    #[arg(long)]
    no_answer: bool,
    /// Most tokens of the answer [default: 500]
    #[arg(long, value_name = "N", conflicts_with = "no_answer", value_parser = whole::<u32>(1..))]
    max_tokens: Option<u32>,
    /// Prompt that asks for aspects: a TOML file (docs/prompts.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["aspects", "aspect", "no_aspects"])]
    aspect_prompt: Option<String>,
    /// Prompt that asks for the answer: a TOML file
    #[arg(long, value_name = "FILE", conflicts_with = "no_answer")]
    answer_prompt: Option<String>,
    /// Write every prompt and its answer to a file, as JSON lines
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    long_text: LongTextArguments,
}

/// The model when none is named.
const USUAL_MODEL: &str = "SmolLM2-135M-Instruct";

/// Everything that came of a question.
struct Told<'a> {
    question: &'a str,
    aspects: &'a [Aspect],
    explored: Option<&'a Explored>,
    found: &'a FacetCandidates,
    ranker: &'static CoverageRanker,
    ordered: &'a Ordered,
    /// Of the list; `None` where no aspect says which passages answer it.
    coverage: Option<ListCoverage>,
    answer: Option<&'a Answer>,
    /// The writer's model; `None` where no model was asked.
    model: Option<&'a str>,
    seconds: f64,
}

/// Everything that is read, opened and checked before a model is asked.
struct Prepared {
    ranker: &'static CoverageRanker,
    trained: Option<PointerRanker>,
    /// The aspects, where the model is not to find them.
    given: Option<Vec<Aspect>>,
    index: Index,
    trace: Option<TraceFile>,
    settings: Settings,
    models: Models,
    asker: Option<Asker>,
    pipeline: Pipeline,
}

impl Prepared {
    fn new(arguments: &Arguments, global: &Global, output: &Output) -> Result<Prepared, Failure> {
        if arguments.question.trim().is_empty() {
            return Err(AskError::NoQuestion.into());
        }
        arguments.files().check(output)?;
        let folder = arguments.ranker_model.as_deref();
        let ranker = rankers::find(&arguments.ranker, arguments.lambda, folder)?;
        let given = given_aspects(arguments)?;
        let index = open_index(&arguments.index)?;
        coverage::check(given.as_deref().unwrap_or_default(), &index)?;
        let trace = arguments.trace.as_deref().map(|path| TraceFile::new(path, false)).transpose()?;
        let mut settings = arguments.long_text.settings()?;
        settings.audit = trace.as_ref().map(TraceFile::audit);
        let name = arguments.model.clone().unwrap_or_else(|| USUAL_MODEL.into());
        let models = Models::new(Some(name), global.models());
        let asks = Asks { aspects: given.is_none(), list: ranker.asks_model, answer: !arguments.no_answer };
        let asker = asks.asker(arguments, &models, &settings)?;
        let trained = folder.map(|folder| rankers::open_trained(folder, global)).transpose()?;
        let pipeline = search_pipeline(arguments, &index, global)?;
        Paths::default().opens_methods(&pipeline).writes("--trace", &arguments.trace).check(output)?;
        arguments.check_long_text(asker.is_some(), &pipeline)?;
        if arguments.pipeline.is_none() {
            Pipeline::default_remark(&index).inspect(|remark| output.warn(remark));
        }
        remark_on_version(&index, output);
        Ok(Prepared { ranker, trained, given, index, trace, settings, models, asker, pipeline })
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let start = Instant::now();
    let Prepared { ranker, trained, given, index, trace, settings, models, asker, pipeline } =
        Prepared::new(arguments, global, output)?;
    let explored = match (&given, &asker) {
        (None, Some(asker)) => {
            let explored = waiting(output, "finding aspects", || {
                asker.aspects(&arguments.question, &aspect_options(arguments)).map_err(failure)
            });
            Some(written(explored, trace.as_ref())?)
        }
        _ => None,
    };
    let aspects: &[Aspect] = match (&explored, &given) {
        (Some(explored), _) => &explored.aspects,
        (None, Some(given)) => given,
        (None, None) => &[],
    };
    let options = FacetOptions { depth: arguments.depth as usize, most: arguments.pool as usize };
    let found = facets::candidates(&pipeline, &index, &arguments.question, aspects, &options)?;
    let documents: Vec<&Document> = found.documents.iter().collect();
    let choice = rankers::Choice {
        ranker,
        asker: asker.as_ref(),
        trained: trained.as_ref(),
        models: &models,
        settings: &settings,
        embedding_model: index.settings().model.as_ref().map(|model| model.name.clone()),
        global,
        lambda: arguments.lambda,
        k: arguments.k as usize,
    };
    let ordered = waiting(output, "ordering passages", || {
        choice.order(&arguments.question, aspects, &found.pool, &documents)
    });
    let (ordered, remarks) = written(ordered, trace.as_ref())?;
    let listed: Vec<&str> = ordered.positions.iter().map(|at| found.pool.entries[*at].id.as_str()).collect();
    let coverage = coverage::measured(aspects, &listed, arguments.k as usize)?;
    let answer = match &asker {
        Some(asker) if !arguments.no_answer && !ordered.positions.is_empty() => {
            let passages: Vec<&Document> = ordered.positions.iter().map(|at| documents[*at]).collect();
            let answer = waiting(output, "writing the answer", || {
                let options = answer_options(arguments);
                asker.answer(&arguments.question, aspects, &passages, &options).map_err(failure)
            });
            Some(written(answer, trace.as_ref())?)
        }
        _ => None,
    };
    let told = Told {
        question: &arguments.question,
        aspects,
        explored: explored.as_ref(),
        found: &found,
        ranker,
        ordered: &ordered,
        coverage,
        answer: answer.as_ref(),
        model: asker.as_ref().map(|asker| asker.model().name()),
        seconds: start.elapsed().as_secs_f64(),
    };
    told.warn(&remarks, arguments, output);
    told.print(output)
}

/// What a model is asked for.
struct Asks {
    aspects: bool,
    list: bool,
    answer: bool,
}

impl Asks {
    /// The model, where it is asked for anything; flags that would have no effect are refused, and prompts are read before
    /// any work.
    fn asker(
        &self,
        arguments: &Arguments,
        models: &Models,
        settings: &Settings,
    ) -> anyhow::Result<Option<Asker>> {
        if !(self.aspects || self.list || self.answer) {
            let without = "nothing is asked of a model (the aspects are given, the ranker needs none, no answer is wanted)";
            for (flag, given) in
                [("--model", arguments.model.is_some()), ("--trace", arguments.trace.is_some())]
            {
                if given {
                    bail!("{flag}: {without}; leave it out");
                }
            }
            return Ok(None);
        }
        let asker = Asker::new(models.reranker(None)?, settings.clone())?;
        let aspects = self.aspects.then(|| aspect_options(arguments));
        let answer = self.answer.then(|| answer_options(arguments));
        asker.check(aspects.as_ref(), answer.as_ref())?;
        Ok(Some(asker))
    }
}

impl Arguments {
    /// Refuses flags about long texts where none is read.
    fn check_long_text(&self, asks: bool, pipeline: &Pipeline) -> anyhow::Result<()> {
        match self.long_text.given() {
            Some(flag) if !asks && !pipeline.has_rerankers() => bail!(
                "{flag}: no model is asked and `{pipeline}` has no reranker, which are what it is for; leave the flag out"
            ),
            _ => Ok(()),
        }
    }

    /// The files that the flags name.
    fn files(&self) -> Paths {
        let files = Paths::default().opens("INDEX", [&self.index]).reads("--aspects", &self.aspects);
        let files = files.reads("--aspect-prompt", &self.aspect_prompt);
        let files = files.reads("--answer-prompt", &self.answer_prompt);
        let files = files.opens("--model", &self.model).opens("--ranker-model", &self.ranker_model);
        files.writes("--trace", &self.trace)
    }
}

/// The aspects that flags give; `None` where the model is to find them.
fn given_aspects(arguments: &Arguments) -> anyhow::Result<Option<Vec<Aspect>>> {
    if let Some(path) = &arguments.aspects {
        let lines = read_lines(path)?;
        let aspects = read_aspects(lines.iter().map(String::as_str));
        return Ok(Some(aspects.with_context(|| format!("--aspects {}", path.display()))?));
    }
    if !arguments.aspect.is_empty() {
        let aspects = read_aspects(arguments.aspect.iter().map(String::as_str)).context("--aspect")?;
        // What is blank would be passed over in a file.
        if aspects.len() < arguments.aspect.len() {
            bail!("--aspect: one is empty; give it words, or leave it out");
        }
        return Ok(Some(aspects));
    }
    Ok(arguments.no_aspects.then(Vec::new))
}

fn aspect_options(arguments: &Arguments) -> AspectOptions {
    let usual = AspectOptions::default();
    let most = arguments.max_aspects.map_or(usual.most, |most| most as usize);
    AspectOptions { most, prompt: arguments.aspect_prompt.clone(), ..usual }
}

fn answer_options(arguments: &Arguments) -> AnswerOptions {
    let usual = AnswerOptions::default();
    let max_tokens = arguments.max_tokens.map_or(usual.max_tokens, |most| most as usize);
    AnswerOptions { max_tokens, prompt: arguments.answer_prompt.clone() }
}

fn search_pipeline(arguments: &Arguments, index: &Index, global: &Global) -> anyhow::Result<Pipeline> {
    let expression = match &arguments.pipeline {
        Some(expression) => expression.clone(),
        None => Pipeline::default_for(index).to_string(),
    };
    // Rerankers of a search are not the writer's business: without a model of their own they take the bundled one.
    let models = Models::new(None, global.models());
    let settings = arguments.long_text.settings()?;
    let mut pipeline = Pipeline::resolve(&expression, Some(index), &models, &settings)?;
    // What is cited is what the writer reads.
    pipeline.group(Grouping::passages());
    Ok(pipeline)
}

/// A failure of the model or server is no fault of the input.
fn failure(error: AskError) -> Failure {
    if error.is_outside() { Failure::Service(error.into()) } else { Failure::Input(error.into()) }
}

/// Says that the file of `--trace` could not be written, before anything else that went wrong.
fn written<T>(result: Result<T, Failure>, trace: Option<&TraceFile>) -> Result<T, Failure> {
    trace.map_or(Ok(()), TraceFile::check)?;
    result
}

/// What some work gives, which may take a while.
fn waiting<T>(output: &Output, what: &str, work: impl FnOnce() -> T) -> T {
    let bar = output.counter(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    let made = work();
    bar.finish_and_clear();
    made
}
