//! The flags and the writing of the HTML report.

use super::documents::DocumentArguments;
use super::eval_files::{document_texts, query_texts};
use super::measuring::{Evaluated, MeasureArguments};
use super::open::listed;
use super::paths::Paths;
use super::provenance::{self, Provenance};
use super::{Global, Output};
use clap::Args;
use plackett_core::formats::{BeirFolder, DocumentOptions, Remarks};
use plackett_eval::Comparison;
use plackett_eval::report::Report;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Where the report goes and where its texts come from.
#[derive(Args)]
pub struct ReportArguments {
    /// Write a self-contained HTML report
    #[arg(long, value_name = "FILE.html", help_heading = "Report")]
    report: Option<PathBuf>,
    /// Texts of queries for the report: JSONL, TSV or TREC topics [default: queries.jsonl of a BEIR folder]
    #[arg(long, value_name = "FILE", requires = "report", help_heading = "Report")]
    queries: Option<PathBuf>,
    /// Texts of documents for the report of `compare`: JSONL, CSV, TSV, Parquet or a folder [default: corpus.jsonl of a BEIR folder]
    #[arg(long, value_name = "FILE", requires = "report", help_heading = "Report")]
    documents: Option<PathBuf>,
    /// Title of the report
    #[arg(long, value_name = "TEXT", requires = "report", help_heading = "Report")]
    title: Option<String>,
    #[command(flatten, next_help_heading = "Report")]
    kept: DocumentArguments,
}

/// What was evaluated.
pub struct Inputs<'a> {
    /// Judgments: a file or a BEIR folder.
    pub qrels: &'a Path,
    /// Runs, in the order of the command line.
    pub runs: &'a [PathBuf],
    /// How they were measured.
    pub measuring: &'a MeasureArguments,
}

impl Inputs<'_> {
    /// When, by which command, with which seed and of which files.
    fn provenance(&self) -> Provenance {
        let mut rows = provenance::of_command();
        rows.push(("seed".into(), self.measuring.seed().to_string()));
        rows.push(provenance::of_file("judgments", &self.measuring.judgments_file(self.qrels)));
        rows.extend(self.runs.iter().map(|run| provenance::of_file("run", run)));
        rows
    }
}

impl ReportArguments {
    /// The files that a report is made from and goes to. In the folder of the judgments lie the texts of queries and
    /// documents too, where they are BEIR's.
    pub fn paths(&self, paths: Paths) -> Paths {
        let paths = paths.reads("--queries", &self.queries).reads("--documents", &self.documents);
        paths.writes("--report", &self.report)
    }

    /// Refuses flags that mean nothing without a report or in it, and a report of preferences. `compares`: whether runs are
    /// compared, which is where a report shows documents.
    pub fn check(&self, qrels: &Path, on_preferences: bool, compares: bool) -> anyhow::Result<()> {
        if let (Some(path), true) = (&self.report, on_preferences) {
            anyhow::bail!(
                "--report {}: a report shows grades of documents, and preferences have none; leave it out",
                path.display()
            );
        }
        let kept = self.kept.given();
        if let (None, Some(flag)) = (&self.report, kept) {
            anyhow::bail!("{flag}: says how the documents of a --report are kept; leave it out");
        }
        let documents = self.documents.as_ref().map(|_| "--documents");
        if let (false, Some(flag)) = (compares, documents.or(kept)) {
            anyhow::bail!(
                "{flag}: a report of `eval` shows no documents; leave it out, or make the report with `compare`"
            );
        }
        if let (None, Some(flag), true) = (documents, kept, BeirFolder::at(qrels).corpus_file().is_err()) {
            anyhow::bail!(
                "{flag}: says how documents are kept, and none are read; name them with --documents, or leave it out"
            );
        }
        Ok(())
    }

    /// Whether a report was asked for.
    pub fn is_wanted(&self) -> bool {
        self.report.is_some()
    }

    /// Writes the report where one was asked for.
    pub fn write(
        &self,
        inputs: &Inputs<'_>,
        found: &Evaluated,
        comparison: Option<&Comparison>,
        digits: usize,
        global: &Global,
        output: &Output,
    ) -> anyhow::Result<()> {
        let Some(path) = &self.report else { return Ok(()) };
        let qrels = inputs.qrels;
        let beside = BeirFolder::at(qrels);
        let remarks = Remarks::default();
        let queries = match self.queries.clone().or_else(|| beside.queries_file().ok()) {
            Some(path) => {
                let texts = query_texts(&path, global.max_line_bytes, &remarks)?;
                say_missing(
                    &path,
                    "query",
                    "queries",
                    &asked_queries(found),
                    |id| texts.contains_key(id),
                    output,
                );
                texts
            }
            None => HashMap::new(),
        };
        let title = self.title.clone().unwrap_or_else(|| format!("Evaluation on {}", qrels.display()));
        let report = report(&title, found, comparison)
            .digits(digits)
            .provenance(inputs.provenance())
            .query_texts(|id| queries.get(id).cloned());
        let corpus = self.documents.clone().or_else(|| beside.corpus_file().ok());
        match corpus.filter(|_| comparison.is_some()) {
            None => report.write(path)?,
            Some(corpus) => {
                // The page is made twice: the first time to learn which documents it shows.
                let wanted = RefCell::new(HashSet::new());
                let record = |id: &str| {
                    wanted.borrow_mut().insert(id.to_string());
                    None
                };
                let report = report.document_texts(record);
                report.html()?;
                let options = DocumentOptions {
                    line_limit: global.max_line_bytes,
                    remarks: remarks.clone(),
                    ..DocumentOptions::default()
                };
                let texts = document_texts(&corpus, &self.kept, &wanted.borrow(), options)?;
                if self.documents.is_some() && wanted.borrow().is_empty() {
                    output.warn("--documents: the runs do not differ on any query, so that the report shows no document");
                }
                say_missing(
                    &corpus,
                    "document",
                    "documents",
                    &wanted.borrow().iter().map(String::as_str).collect(),
                    |id| texts.contains_key(id),
                    output,
                );
                report.document_texts(|id| texts.get(id).cloned()).write(path)?;
            }
        }
        remarks.take().iter().for_each(|remark| output.warn(remark));
        if !output.json {
            output.note(&format!("report: {}", path.display()));
        }
        Ok(())
    }

    /// Adds the report's path to a JSON document.
    pub fn mention(&self, document: &mut serde_json::Value) {
        if let (Some(path), Some(object)) = (&self.report, document.as_object_mut()) {
            object.insert("report".into(), path.display().to_string().into());
        }
    }
}

fn report<'a>(title: &str, found: &'a Evaluated, comparison: Option<&'a Comparison>) -> Report<'a> {
    let mut report = Report::new(title, &found.qrels);
    for (run, evaluation) in found.runs.iter().zip(&found.evaluations) {
        report = report.run(run, evaluation);
    }
    match comparison {
        Some(comparison) => report.comparison(comparison),
        None => report,
    }
}

/// The queries of a page.
fn asked_queries(found: &Evaluated) -> HashSet<&str> {
    found.evaluations.iter().flat_map(|evaluation| &evaluation.queries).map(String::as_str).collect()
}

/// Says for how many queries or documents of the report a file has no text.
fn say_missing(
    file: &Path,
    one: &str,
    many: &str,
    wanted: &HashSet<&str>,
    has: impl Fn(&str) -> bool,
    output: &Output,
) {
    let mut missing: Vec<&str> = wanted.iter().copied().filter(|id| !has(id)).collect();
    missing.sort_unstable();
    if missing.is_empty() {
        return;
    }
    let all = if missing.len() == wanted.len() { ", which are all; is it the right file?" } else { "" };
    let missing = listed(&missing, one, many);
    output.warn(&format!("{}: there is no text in it for {missing} of the report{all}", file.display()));
}
