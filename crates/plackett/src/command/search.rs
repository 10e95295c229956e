//! `plackett search`: one query, a file of them, or a conversation.

mod converse;
mod facets;
mod remarks;

use super::get::read_filter;
use super::number::whole;
use super::paths::{Paths, say_awaited};
use super::results::{Writer, explain, to_json};
use super::shown::{self, Part};
use super::snippet;
use super::terminal::{self, plain};
use super::within::Within;
use super::{Failure, Global, Outcome, Output};
use crate::command::open::{LongTextArguments, open_index, read_lines, read_queries_with, remark_on_version};
use anyhow::Context;
use clap::{Args, ValueEnum};
use console::style;
use indicatif::ProgressBar;
use plackett::Pipeline;
use plackett::pipeline::{
    DEFAULT_DEPTH, FEEDBACK, FEEDBACK_OPTIONS, FIRST_STAGES, FUSIONS, Grouping, GroupingError, ModelOptions,
    Models, QueryError,
};
use plackett_core::declaration::OptionSpec;
use plackett_core::{Document, Query, Ranked, Ranking};
use plackett_rank::Settings;
use plackett_search::{Facets, Filter, Index};
use remarks::Remarks;
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// What stands below the flags of `--help`, before what each stage takes.
const EXAMPLES: &str = "Examples:\n  \
    plackett search papers.index \"linear time reranking\"\n  \
    plackett search papers.index --pipeline 'rrf(bm25,dense):100 >> late-interaction' \"vague words\"\n  \
    plackett search papers.index --pipeline 'bm25(weights=title:2/text:1, k1=1.2)' \"title words\"\n  \
    plackett search papers.index --queries queries.jsonl -k 1000 --format trec > run.trec\n  \
    plackett search papers.index --filter 'year >= 2020 and venue in (\"SIGIR\", \"ECIR\")' \\\n    \
    --facets venue \"words\"\n  \
    plackett search books.index --group passage \"words\"   (an index of `index --chunk`)\n  \
    plackett search papers.index            (asks for queries, one after another)\n\n\
    A pipeline is a first stage, or a fusion of several such as rrf(bm25,dense), and any number of\n\
    rerankers (`plackett method list`), joined by `>>`. `:100` says how many documents a stage passes\n\
    on. docs/first-stages.md says what the options of first stages and fusions do, docs/filters.md what\n\
    a filter can ask for:";

/// The examples, and what first stages and fusions take.
fn after_help() -> String {
    let line = |name: &str, options: &[OptionSpec]| {
        let options: Vec<&str> = options.iter().map(|option| option.name).collect();
        format!("\n  {name} takes {}", options.join(", "))
    };
    let stages = FIRST_STAGES.iter().map(|spec| line(spec.name, spec.options));
    let fusions = FUSIONS.iter().map(|spec| line(spec.name, spec.options));
    let feedback = line(FEEDBACK, FEEDBACK_OPTIONS);
    EXAMPLES.to_string() + &stages.chain(fusions).chain([feedback]).collect::<String>()
}

/// Search an index: one query, a file of queries, or a conversation
#[derive(Args)]
#[command(after_help = after_help())]
pub struct Arguments {
    /// Index directory, made by `plackett index`
    index: PathBuf,
    /// Words to search for; `-` reads queries from standard input, one a line
    query: Option<String>,
    /// File of queries: JSONL ({"_id", "text"}) or TSV (id, tab, text)
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    queries: Option<PathBuf>,
    /// How to search [default: combsum(bm25,dense,norm=z-score), or bm25 in an index without vectors or whose language
    /// the bundled model does not know]
    #[arg(long, short, value_name = "EXPR", env = "PLACKETT_PIPELINE")]
    pipeline: Option<String>,
    /// Length of the answer [default: 10]; a single stage without a depth is as deep, `generate` and stages of a
    /// fusion 1000
    #[arg(short = 'k', long = "top-k", alias = "hits", value_name = "N", value_parser = whole::<usize>(1..))]
    k: Option<usize>,
    /// Documents that may be found, by their metadata: 'tags = "pod" and year >= 2024' (docs/filters.md)
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Fields whose values are counted: in what was found, and in all that could be
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    facets: Option<Vec<String>>,
    /// What is shown of each document [default: title,snippet, and title,snippet,metadata in JSON]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    show: Option<Vec<Part>>,
    /// In an index of passages (`index --chunk`): answer with documents, each with its best passage, or with passages:
    /// document, document(score=max+mean) or passage [default: document, with the score of the best passage]
    #[arg(long, value_name = "WHAT", value_parser = super::number::by(grouping))]
    group: Option<Grouping>,
    /// How results are written [default: text, and trec for a file of queries]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Last column of a TREC run [default: plackett]
    #[arg(long, value_parser = super::number::by(super::results::tag))]
    tag: Option<String>,
    /// Show passes, tokens, depths and what was cut
    #[arg(long)]
    explain: bool,
    /// Model of the rerankers: directory, Hugging Face id, built-in name or remote:URL [default: the bundled one]
    #[arg(long, env = "PLACKETT_MODEL")]
    model: Option<String>,
    #[command(flatten)]
    long_text: LongTextArguments,
}

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: titles and snippets
    Text,
    /// One JSON array with an object per query
    Json,
    /// One JSON object per query and line
    Jsonl,
    /// A TREC run
    Trec,
    /// The list of results in the document of `--json`
    #[value(skip)]
    Document,
}

fn grouping(text: &str) -> Result<Grouping, String> {
    text.parse().map_err(|error: GroupingError| error.to_string())
}

/// Documents of an answer when nothing is said.
const USUAL_LENGTH: usize = 10;
/// The last column of a run when nothing is said.
pub const USUAL_TAG: &str = "plackett";

/// Text for people, or data as they are.
fn show(text: &str, format: Format, output: &Output) -> std::io::Result<()> {
    if format == Format::Text { output.print_styled(text) } else { output.print_data(text) }
}

/// What stands above one of several lists.
fn heading(query: &Query) -> String {
    format!("{}  {}\n", style(plain(&query.id)).cyan(), style(plain(&query.text)).bold())
}

/// Everything that a search needs, opened once.
struct Session<'a> {
    arguments: &'a Arguments,
    index: Index,
    models: Models,
    pipeline: Pipeline,
    k: usize,
    explain: bool,
    filter: Option<Filter>,
    /// The values of each field of `--facets` in all documents that may be found.
    facets_of_all: Vec<Facets>,
    /// How far rerankers are.
    within: Within,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    global.form("--format", arguments.format.is_some())?;
    if arguments.queries.is_none() {
        global.no_line_limit("no file of queries is read")?;
    }
    let files = Paths::default().reads("QUERY", arguments.query.as_ref().filter(|query| *query == "-"));
    files.reads("--queries", &arguments.queries).opens("INDEX", [&arguments.index]).check(output)?;
    let mut session = Session::open(arguments, global.models())?;
    remark_on_version(&session.index, output);
    if arguments.pipeline.is_none() {
        Pipeline::default_remark(&session.index).inspect(|remark| output.warn(remark));
    }
    session.remark_on_depth(arguments.k, output);
    let from_stdin = arguments.query.as_deref() == Some("-");
    let format = match arguments.format {
        Some(format) => format,
        None if global.json => Format::Document,
        None if arguments.queries.is_some() || from_stdin => Format::Trec,
        None => Format::Text,
    };
    if arguments.tag.is_some() && format != Format::Trec {
        return Err(
            anyhow::anyhow!("--tag is the last column of a TREC run; give --format trec with it").into()
        );
    }
    if arguments.explain && format != Format::Text {
        return Err(anyhow::anyhow!(
            "--explain is for people; give --format text with it (`trace` of --json and --format jsonl has the same)"
        )
        .into());
    }
    arguments.check_trec(format)?;
    match (&arguments.query, &arguments.queries) {
        (Some(words), None) if !from_stdin => session.answer_one(words, format, output).map(drop),
        (None, None) if std::io::stdin().is_terminal() && format == Format::Text => {
            session.converse_at_terminal(output)
        }
        (_, Some(path)) => {
            let remarks = plackett_core::formats::Remarks::default();
            let queries = read_queries_with(path, global.max_line_bytes, &remarks)?;
            remarks.take().iter().for_each(|remark| output.warn(remark));
            session.answer_all(&queries, format, output)
        }
        _ => {
            if arguments.query.is_none() {
                say_awaited("queries, one a line,", output);
            }
            session.answer_all(&lines_of_stdin()?, format, output)
        }
    }
}

/// One query per line of standard input, numbered from 1; blank lines are passed over.
fn lines_of_stdin() -> anyhow::Result<Vec<Query>> {
    let lines = read_lines(Path::new("-"))?;
    let numbered = lines.iter().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let queries: Vec<Query> =
        numbered.map(|(line, number): (_, u64)| Query::new(number.to_string(), line.trim())).collect();
    if queries.is_empty() {
        anyhow::bail!("no query: give one after the index, or one a line on standard input");
    }
    Ok(queries)
}

impl Arguments {
    /// Refuses what a run has no place for.
    fn check_trec(&self, format: Format) -> anyhow::Result<()> {
        for (flag, given) in [("--show", self.show.is_some()), ("--facets", self.facets.is_some())] {
            if given && format == Format::Trec {
                anyhow::bail!(
                    "{flag}: a TREC run has ids and scores and nothing else; give --format text or jsonl with it"
                );
            }
        }
        Ok(())
    }

    /// What is shown of a document.
    fn parts(&self, format: Format) -> &[Part] {
        let usual: &[Part] = match format {
            Format::Text | Format::Trec => &[Part::Title, Part::Snippet],
            Format::Json | Format::Jsonl | Format::Document => &[Part::Title, Part::Snippet, Part::Metadata],
        };
        self.show.as_deref().unwrap_or(usual)
    }
}

/// The passage that stands for a document, where it was found by one.
fn passage_of(ranking: &Ranking, nth: usize) -> Option<&str> {
    ranking.trace.passages.get(nth).map(String::as_str)
}

impl<'a> Session<'a> {
    fn open(arguments: &'a Arguments, options: ModelOptions) -> anyhow::Result<Self> {
        let index = open_index(&arguments.index)?;
        if let (Some(grouping), false) = (&arguments.group, index.has_passages()) {
            anyhow::bail!(
                "--group {grouping}: the documents of {} are not cut into passages; leave the flag out, or index the \
                 collection with --chunk",
                arguments.index.display()
            );
        }
        let models = Models::new(arguments.model.clone(), options);
        let expression = match &arguments.pipeline {
            Some(expression) => expression.clone(),
            None => Pipeline::default_for(&index).to_string(),
        };
        let within = Within::default();
        let settings = Settings { progress: Some(within.progress()), ..arguments.long_text.settings()? };
        let filter = arguments.filter.as_deref().map(read_filter).transpose()?;
        let facets_of_all = facets_of_all(&index, filter.as_ref(), arguments.facets.as_deref())?;
        let mut pipeline = Pipeline::resolve(&expression, Some(&index), &models, &settings)?;
        if let Some(filter) = &filter {
            pipeline.filter(filter, &index)?;
        }
        pipeline.group(arguments.group.clone().unwrap_or_default());
        // The environment's model is a default, and none that is asked for here.
        let default = std::env::var("PLACKETT_MODEL").ok();
        if arguments.model.as_ref().is_some_and(|name| default.as_ref() != Some(name))
            && !pipeline.has_rerankers()
        {
            anyhow::bail!(
                "--model: `{pipeline}` has no reranker, and `dense` takes the index's model; leave the flag out, or add a \
                 reranker with --pipeline"
            );
        }
        if let (Some(flag), false) = (arguments.long_text.given(), pipeline.has_rerankers()) {
            anyhow::bail!(
                "{flag}: `{pipeline}` has no reranker, which is what it is for; leave the flag out, or add a reranker with \
                 --pipeline"
            );
        }
        let k = arguments.k.unwrap_or(USUAL_LENGTH);
        let explain = arguments.explain;
        Ok(Session { arguments, index, models, pipeline, k, explain, filter, facets_of_all, within })
    }

    /// Tells of a depth in the pipeline that keeps answers shorter than they were asked to be.
    fn remark_on_depth(&self, asked: Option<usize>, output: &Output) {
        if let Some(remark) = asked.and_then(|k| self.pipeline.shortened(k)) {
            output.warn(&remark);
        }
    }

    fn writer<'o>(&'o self, format: Format, output: &'o Output) -> Writer<'o> {
        Writer::new(format, self.arguments.tag.as_deref().unwrap_or(USUAL_TAG), &output.envelope)
    }

    fn search(&self, queries: &[Query]) -> Vec<Result<Ranking, QueryError>> {
        self.pipeline.search(&self.index, queries, self.depth())
    }

    /// Documents that are searched for: values are counted in more than an answer has.
    fn depth(&self) -> usize {
        if self.arguments.facets.is_some() { self.k.max(DEFAULT_DEPTH) } else { self.k }
    }

    /// Answers a query, and gives the ids of what was shown: of passages where the answer has such.
    fn answer_one(&self, words: &str, format: Format, output: &Output) -> Result<Vec<String>, Failure> {
        let query = Query::new("1", words);
        // Where no reranker works the answer is there before a bar could be drawn.
        let bar = self.pipeline.has_rerankers().then(|| output.progress("reranking", 0));
        bar.iter().for_each(|bar| self.within.show(bar));
        let mut answers = self.search(std::slice::from_ref(&query));
        self.within.hide();
        bar.iter().for_each(ProgressBar::finish_and_clear);
        let ranking = answers.pop().transpose()?.context("no answer")?;
        let mut remarks = Remarks::default();
        remarks.take(&ranking);
        let mut writer = self.writer(format, output);
        let text = self.entry(&mut writer, &query, &ranking)?;
        show(&format!("{text}{}", writer.end()), format, output)?;
        remarks.tell(1, output);
        let id = |(nth, entry): (usize, &Ranked)| passage_of(&ranking, nth).unwrap_or(&entry.id).to_string();
        Ok(ranking.entries.iter().enumerate().take(self.k).map(id).collect())
    }

    /// One answer in the writer's format. People and scripts get snippets, evaluators a run.
    fn entry(&self, writer: &mut Writer<'_>, query: &Query, ranking: &Ranking) -> anyhow::Result<String> {
        let facets = self.facets(ranking)?;
        let mut ranking = ranking.clone();
        if ranking.entries.len() > self.k {
            ranking.keep_best(self.k);
            let length = ranking.entries.len().to_string();
            ranking
                .trace
                .facts
                .iter_mut()
                .filter(|(name, _)| name == "depth:answer")
                .for_each(|(_, n)| *n = length.clone());
        }
        match writer.format() {
            Format::Text => {
                let facets: String = facets.iter().map(facets::FieldFacets::line).collect();
                Ok(self.text(query, &ranking)? + &facets)
            }
            Format::Trec => writer.entry(&ranking),
            Format::Json | Format::Jsonl | Format::Document => {
                let mut value = self.json(query, &ranking, writer.format())?;
                if !facets.is_empty() {
                    value["facets"] = facets.iter().map(facets::FieldFacets::to_json).collect();
                }
                Ok(writer.object(&value))
            }
        }
    }

    /// Answers many queries in order, a bounded number at a time.
    fn answer_all(&self, queries: &[Query], format: Format, output: &Output) -> Outcome {
        let bar = output.progress("searching", queries.len() as u64);
        self.within.show_behind(&bar, "searching");
        let mut writer = self.writer(format, output);
        let mut remarks = Remarks::default();
        let (mut failed, mut outages) = (0usize, 0usize);
        for group in queries.chunks(self.pipeline.queries_at_once(self.depth())) {
            for (query, result) in group.iter().zip(self.search(group)) {
                match result {
                    Ok(ranking) => {
                        remarks.take(&ranking);
                        let text = self.entry(&mut writer, query, &ranking)?;
                        let heading = if format == Format::Text { heading(query) } else { String::new() };
                        show(&format!("{heading}{text}"), format, output)?;
                    }
                    Err(error) => {
                        failed += 1;
                        outages += usize::from(error.is_outage());
                        output.part_failed(&bar, &error.to_string());
                    }
                }
            }
            bar.inc(group.len() as u64);
        }
        self.within.hide();
        bar.finish_and_clear();
        show(&writer.end(), format, output)?;
        remarks.tell(queries.len(), output);
        if failed > 0 && outages == queries.len() {
            return Err(Failure::Service(anyhow::anyhow!(
                "none of the {failed} queries could be answered, because servers failed"
            )));
        }
        if failed > 0 {
            return Err(Failure::Check(format!(
                "{failed} of {} queries could not be answered",
                queries.len()
            )));
        }
        Ok(())
    }

    /// The answer to one query as JSON, with what is shown of each document.
    fn json(&self, query: &Query, ranking: &Ranking, format: Format) -> anyhow::Result<serde_json::Value> {
        let parts = self.arguments.parts(format);
        let mut value = to_json(ranking);
        value["query"] = query.text.as_str().into();
        for (nth, entry) in ranking.entries.iter().enumerate() {
            let passage = passage_of(ranking, nth);
            let Some(document) = self.index.document(passage.unwrap_or(&entry.id))? else { continue };
            let snippet = || self.index.snippet(&document.text, &query.text, snippet::JSON_WIDTH);
            let mut found = parts.contains(&Part::Snippet).then(snippet).transpose()?;
            if let Some(own) = self.index.passage(&document.id)? {
                value["ranking"][nth]["document"] = own.document.into();
                value["ranking"][nth]["passage"] =
                    json!({"id": document.id, "source": [own.range.start, own.range.end]});
                if let Some(found) = &mut found {
                    found.source = found.source.start + own.range.start..found.source.end + own.range.start;
                }
            }
            shown::add_json(&mut value["ranking"][nth], &document, found.as_ref(), parts);
        }
        Ok(value)
    }

    fn text(&self, query: &Query, ranking: &Ranking) -> anyhow::Result<String> {
        let parts = self.arguments.parts(Format::Text);
        let mut text = String::new();
        let columns = terminal::columns();
        let width = if columns == usize::MAX { 100 } else { columns.clamp(40, 120) };
        if ranking.entries.is_empty() {
            text.push_str("  nothing found\n");
        }
        for (nth, entry) in ranking.entries.iter().enumerate() {
            let passage = passage_of(ranking, nth);
            let shown = passage.unwrap_or(&entry.id);
            let document = self.index.document(shown)?.unwrap_or_else(|| Document::new(shown, ""));
            let found_by = passage.map(|passage| format!("  {}", plain(passage))).unwrap_or_default();
            let score = format!("{:.4}{found_by}", entry.score);
            let id = plain(&entry.id);
            // What is left of the line beside rank, id and score is the title's.
            let taken =
                4 + 2 + console::measure_text_width(&id) + 2 + 2 + console::measure_text_width(&score);
            let title = if document.title.is_empty() || !parts.contains(&Part::Title) {
                String::new()
            } else {
                let title = plain(&document.title);
                format!("  {}", console::truncate_str(&title, columns.saturating_sub(taken).max(16), "…"))
            };
            text.push_str(&format!(
                "{:>4}  {}{}  {}\n",
                style(entry.rank).bold(),
                style(id).cyan(),
                style(title).bold(),
                style(score).dim(),
            ));
            if parts.contains(&Part::Snippet) {
                let columns = width - 8;
                let found = self.index.snippet(&document.text, &query.text, snippet::width(columns))?;
                text.push_str(&format!("      {}\n", snippet::line(&found, &document.text, columns)));
            }
            text.push_str(&shown::lines(&document, parts));
        }
        if self.explain {
            text.push_str(&explain(ranking));
        }
        Ok(text)
    }

    fn resolve(&self, expression: &str) -> anyhow::Result<Pipeline> {
        let settings = self.arguments.long_text.settings()?;
        let settings = Settings { progress: Some(self.within.progress()), ..settings };
        let mut pipeline = Pipeline::resolve(expression, Some(&self.index), &self.models, &settings)?;
        if let Some(filter) = &self.filter {
            pipeline.filter(filter, &self.index)?;
        }
        pipeline.group(self.arguments.group.clone().unwrap_or_default());
        Ok(pipeline)
    }
}

/// The values of some fields in all documents that may be found.
fn facets_of_all(
    index: &Index,
    filter: Option<&Filter>,
    fields: Option<&[String]>,
) -> anyhow::Result<Vec<Facets>> {
    let selection = index.select(filter).map_err(|error| anyhow::anyhow!("--filter: {error}"))?;
    let one = |field: &String| selection.facets(field).map_err(|error| anyhow::anyhow!("--facets: {error}"));
    fields.unwrap_or_default().iter().map(one).collect()
}
