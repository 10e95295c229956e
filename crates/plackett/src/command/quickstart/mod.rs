//! `plackett quickstart`: the whole path from texts to a tested comparison, on the bundled collection.

mod examples;
mod scores;

use super::open::{read_qrels, read_queries};
use super::provenance::{self, Provenance};
use super::{Global, Outcome, Output};
use anyhow::Context;
use clap::Args;
use console::{Alignment, measure_text_width, pad_str, style};
use examples::Example;
use plackett::content_hash::content;
use plackett::pipeline::Models;
use plackett::{Pipeline, papers};
use plackett_core::formats::{BeirFolder, DEFAULT_LINE_LIMIT};
use plackett_core::{Document, Qrels, Query, Ranking, Run};
use plackett_eval::report::Report;
use plackett_eval::{
    CompareOptions, Comparison, Evaluation, IntervalOptions, Policy, compare, comparison_json, evaluate,
    measure,
};
use plackett_rank::Settings;
use plackett_search::Index;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Documents that every stage passes on, and so the length of every run.
const DEPTH: usize = 100;
/// The baseline comes first. Depths are written out as [`DEPTH`].
const PIPELINES: [&str; 5] = [
    "bm25:100",
    "dense:100",
    "rrf(bm25,dense):100",
    "combsum(bm25,dense):100",
    "combsum(bm25,dense):100 >> late-interaction",
];
/// The first measure is the one that is tested and shown in the examples: one question, asked beforehand.
const MEASURES: &str = "nDCG@10 RR@10 R@20 R@100 Judged@10";
/// Measures beside the first that have a column in the table; the report and `--json` have all.
const SHOWN: [&str; 2] = ["RR@10", "R@20"];

/// See everything work: index, search, rerank and evaluate a bundled collection, without any download
#[derive(Args)]
#[command(after_help = "Example:\n  \
                        plackett quickstart\n\n\
                        The collection is a library of published ranking systems (passages, queries and judgments).\n\
                        Everything the command makes stays in the folder, for you to go on with: the collection, an index,\n\
                        runs and a report page.")]
pub struct Arguments {
    /// Folder for the collection, the index, the runs and the report
    #[arg(long, value_name = "DIR", default_value = "plackett-quickstart")]
    dir: PathBuf,
}

/// Files of the quickstart folder.
struct Folder {
    collection: PathBuf,
    index: PathBuf,
    runs: PathBuf,
    report: PathBuf,
}

/// What one pipeline returned.
struct System {
    rankings: Vec<Ranking>,
    run: Run,
    seconds: f64,
}

/// All that is known at the end.
struct Results {
    qrels: Qrels,
    queries: Vec<Query>,
    documents: HashMap<String, Document>,
    systems: Vec<System>,
    evaluations: Vec<Evaluation>,
    comparison: Comparison,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let started = Instant::now();
    let folder = Folder::prepare(&arguments.dir)?;
    let queries = read_queries(&folder.collection.join("queries.jsonl"), DEFAULT_LINE_LIMIT)?;
    let documents = BeirFolder::open(&folder.collection)?.corpus()?.collect::<Result<Vec<Document>, _>>()?;
    let qrels = read_qrels(&folder.collection.join("qrels/test.tsv"))?;
    output.note(&format!(
        "{} {} passages about published ranking systems, {} judged queries",
        style("Plackett quickstart:").bold(),
        documents.len(),
        queries.len()
    ));
    let models = Models::new(None, global.models());
    let index = build_index(&folder.index, &documents, &models, output)?;
    let systems = search(&index, &models, &queries, output)?;
    let documents = documents.into_iter().map(|d| (d.id.clone(), d)).collect();
    let results = Results::evaluate(qrels, queries, documents, systems)?;
    results.write_runs(&folder.runs)?;
    results.write_report(&folder)?;
    if output.json {
        let mut json = comparison_json(&results.evaluations, &results.comparison, false);
        json["report"] = folder.report.display().to_string().into();
        json["seconds"] = started.elapsed().as_secs_f64().into();
        output.print_json(&json)?;
    } else {
        output.print_styled(&results.text(&folder, &arguments.dir, started.elapsed()))?;
    }
    Ok(())
}

impl Folder {
    /// Writes the collection into `dir`. A folder that holds something else is left alone.
    fn prepare(dir: &Path) -> anyhow::Result<Folder> {
        let collection = dir.join("collection");
        let occupied = dir.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if occupied && !collection.join("corpus.jsonl").exists() {
            anyhow::bail!("{}: the folder holds other files; name another one with --dir", dir.display());
        }
        papers::write_to(&collection)
            .with_context(|| format!("{}: cannot write the collection", dir.display()))?;
        let runs = dir.join("runs");
        std::fs::create_dir_all(&runs)
            .with_context(|| format!("{}: cannot make the folder", runs.display()))?;
        Ok(Folder { collection, index: dir.join("index"), runs, report: dir.join("report.html") })
    }
}

fn build_index(
    path: &Path,
    documents: &[Document],
    models: &Models,
    output: &Output,
) -> anyhow::Result<Index> {
    let bar = output.progress("indexing", documents.len() as u64);
    if path.join(plackett_search::MANIFEST).exists() {
        // An index of an earlier quickstart.
        std::fs::remove_dir_all(path).with_context(|| path.display().to_string())?;
    }
    let index = super::index::build(path, documents, models, |count| bar.inc(count as u64))?;
    bar.finish();
    Ok(index)
}

fn search(index: &Index, models: &Models, queries: &[Query], output: &Output) -> anyhow::Result<Vec<System>> {
    let bar = output.progress("searching, reranking", (PIPELINES.len() * queries.len()) as u64);
    let mut systems = Vec::new();
    for (nth, expression) in PIPELINES.iter().enumerate() {
        let begun = (nth * queries.len()) as u64;
        let (count, shared) = (queries.len(), bar.clone());
        // A reranker that has read half of its texts counts for half of the queries.
        let progress = move |done: usize, total: usize| {
            shared.set_position(begun + (count * done / total.max(1)) as u64)
        };
        let settings = Settings { progress: Some(Arc::new(progress)), ..Settings::default() };
        let pipeline = Pipeline::resolve(expression, Some(index), models, &settings)?;
        let started = Instant::now();
        let answers = pipeline.search(index, queries, usize::MAX);
        let rankings: Vec<Ranking> = answers.into_iter().collect::<Result<_, _>>()?;
        let seconds = started.elapsed().as_secs_f64();
        let run = Run::from_rankings(tag(expression), &rankings)?;
        systems.push(System { rankings, run, seconds });
        bar.set_position(begun + queries.len() as u64);
    }
    bar.finish();
    Ok(systems)
}

/// A run's name: the expression without blanks, and without the depth, which is the same everywhere.
fn tag(expression: &str) -> String {
    expression.split_whitespace().collect::<String>().replace(&format!(":{DEPTH}"), "")
}

impl Results {
    fn evaluate(
        qrels: Qrels,
        queries: Vec<Query>,
        documents: HashMap<String, Document>,
        systems: Vec<System>,
    ) -> anyhow::Result<Results> {
        let measures = measure::parse_list(MEASURES)?;
        let policy = Policy::default();
        let evaluations = systems
            .iter()
            .map(|system| evaluate(&qrels, &system.run, &measures, &policy))
            .collect::<Result<Vec<_>, _>>()?;
        let tested: Vec<Evaluation> = evaluations
            .iter()
            .map(|e| Evaluation { measures: e.measures.iter().take(1).cloned().collect(), ..e.clone() })
            .collect();
        let (baseline, others) = tested.split_first().context("there is no pipeline")?;
        let comparison = compare(baseline, others, &CompareOptions::default())?;
        Ok(Results { qrels, queries, documents, systems, evaluations, comparison })
    }

    fn write_runs(&self, folder: &Path) -> anyhow::Result<()> {
        for (nth, system) in self.systems.iter().enumerate() {
            let name: String =
                system.run.tag.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
            let path = folder.join(format!("{}-{}.trec", nth + 1, name.trim_end_matches('-')));
            plackett_core::formats::trec::write_run(&path, &system.run)?;
        }
        Ok(())
    }

    /// When, by which command and of what, and how long each pipeline took.
    fn provenance(&self, folder: &Folder) -> Provenance {
        let mut rows = provenance::of_command();
        rows.push(("seed".into(), IntervalOptions::default().seed.to_string()));
        let collection = content(&folder.collection).ok();
        rows.extend(collection.map(|found| ("collection".to_string(), format!("SHA-256 {}", found.sha256))));
        rows.extend(self.systems.iter().map(|system| {
            let milliseconds = 1000.0 * system.seconds / self.queries.len().max(1) as f64;
            (format!("ms/query of {}", system.run.tag), format!("{milliseconds:.1}"))
        }));
        rows
    }

    fn write_report(&self, folder: &Folder) -> anyhow::Result<()> {
        let queries: HashMap<&str, &str> =
            self.queries.iter().map(|q| (q.id.as_str(), q.text.as_str())).collect();
        let mut report = Report::new("Plackett quickstart", &self.qrels)
            .comparison(&self.comparison)
            .provenance(self.provenance(folder))
            .query_texts(move |id| queries.get(id).map(|text| text.to_string()))
            .document_texts(|id| self.documents.get(id).map(|d| d.model_text().into_owned()));
        for (system, evaluation) in self.systems.iter().zip(&self.evaluations) {
            report = report.run(&system.run, evaluation);
        }
        Ok(report.write(&folder.report)?)
    }

    fn text(&self, folder: &Folder, dir: &Path, elapsed: Duration) -> String {
        let width = console::Term::stdout().size_checked().map_or(100, |(_, columns)| usize::from(columns));
        let mut text = format!("\n{}\n", scores::render(self));
        for example in self.examples() {
            let measure = self.evaluations[0].measures[0].measure.to_string();
            let lines =
                examples::render(&example, &self.documents, &self.qrels, &measure, width.clamp(60, 120));
            text.push_str(&lines);
            text.push('\n');
        }
        text.push_str(&format!(
            "  {} {}   {}\n\n",
            style("Report").bold(),
            style(folder.report.display()).underlined(),
            style(format!("({:.1} s in all, nothing downloaded)", elapsed.as_secs_f64())).dim()
        ));
        text.push_str(&next_steps(dir));
        text
    }

    /// The best pipeline's query of greatest gain, of median difference, and of greatest loss against the baseline.
    fn examples(&self) -> Vec<Example<'_>> {
        let Some(measure) = self.evaluations.first().and_then(|e| e.measures.first()).map(|m| &m.measure)
        else {
            return Vec::new();
        };
        let candidates = self.comparison.compared.iter().filter(|c| c.measure == *measure);
        let Some(best) = candidates.max_by(|a, b| a.mean.total_cmp(&b.mean)) else { return Vec::new() };
        let Some(system) = self.systems.iter().find(|s| s.run.tag == best.run) else { return Vec::new() };
        let mut order: Vec<usize> = (0..best.differences.len()).collect();
        order.sort_by(|&a, &b| best.differences[b].total_cmp(&best.differences[a]));
        let picks = [
            (order.first(), "the greatest gain"),
            (order.get(order.len() / 2), "the median"),
            (order.last(), "the greatest loss"),
        ];
        let example = |(place, why): (Option<&usize>, &'static str)| {
            let place = *place?;
            let id = best.queries.get(place)?;
            let query = self.queries.iter().find(|q| q.id == *id)?;
            let before = self.systems.first()?.rankings.iter().find(|r| r.query_id == *id)?;
            let after = system.rankings.iter().find(|r| r.query_id == *id)?;
            let value = |name: &str| {
                let evaluation = self.evaluations.iter().find(|e| e.name == name)?;
                let nth = evaluation.queries.iter().position(|q| q == id)?;
                evaluation.measured(measure)?.values.get(nth).copied()
            };
            let values = (value(&self.comparison.baseline)?, value(&best.run)?);
            Some(Example { why, query: &query.text, values, before, after })
        };
        picks.into_iter().filter_map(example).collect()
    }
}

fn next_steps(dir: &Path) -> String {
    let dir = dir.display();
    let steps = [
        (format!("plackett search {dir}/index"), "ask it yourself"),
        (
            format!("plackett search {dir}/index \"reward for listwise RL\" --explain"),
            "one query, with its cost",
        ),
        (
            format!("plackett compare {dir}/collection/qrels/test.tsv {dir}/runs/*.trec"),
            "every test and effect size",
        ),
        (
            "plackett index YOUR.jsonl -o my.index".into(),
            "your own texts: JSONL, CSV, TSV, Parquet, BEIR, a folder",
        ),
    ];
    let widest = steps.iter().map(|(command, _)| measure_text_width(command)).max().unwrap_or(0);
    let mut text = format!("  {}\n", style("Try next").bold());
    for (command, what) in steps {
        let command = pad_str(&command, widest, Alignment::Left, None);
        text.push_str(&format!("    {command}   {}\n", style(what).dim()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runs_have_no_blanks() {
        assert_eq!(tag("rrf(bm25, dense):100"), "rrf(bm25,dense)");
        assert_eq!(tag("bm25:100 >> late-interaction"), "bm25>>late-interaction");
        assert!(PIPELINES.iter().all(|p| p.contains(&format!(":{DEPTH}"))));
    }
}
