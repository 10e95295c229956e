//! The flags and the writing of the HTML report.

use super::Output;
use super::documents::DocumentArguments;
use super::eval_files::{document_texts, query_texts};
use super::measuring::Evaluated;
use clap::Args;
use plackett_core::formats::BeirFolder;
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
    /// Texts of documents for the report: JSONL, CSV, TSV, Parquet or a folder [default: corpus.jsonl of a BEIR folder]
    #[arg(long, value_name = "FILE", requires = "report", help_heading = "Report")]
    documents: Option<PathBuf>,
    /// Title of the report
    #[arg(long, value_name = "TEXT", requires = "report", help_heading = "Report")]
    title: Option<String>,
    #[command(flatten, next_help_heading = "Report")]
    kept: DocumentArguments,
}

impl ReportArguments {
    /// Refuses flags that mean nothing without a report.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.report.is_none() && self.kept.are_given() {
            anyhow::bail!(
                "--input-format and the names of fields say how the documents of a --report are kept"
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
        qrels: &Path,
        found: &Evaluated,
        comparison: Option<&Comparison>,
        digits: usize,
        output: &Output,
    ) -> anyhow::Result<()> {
        let Some(path) = &self.report else { return Ok(()) };
        let beside = BeirFolder::at(qrels);
        let queries = match self.queries.clone().or_else(|| beside.queries_file().ok()) {
            Some(path) => query_texts(&path)?,
            None => HashMap::new(),
        };
        let title = self.title.clone().unwrap_or_else(|| format!("Evaluation on {}", qrels.display()));
        let report =
            report(&title, found, comparison).digits(digits).query_texts(|id| queries.get(id).cloned());
        match self.documents.clone().or_else(|| beside.corpus_file().ok()) {
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
                let texts = document_texts(&corpus, &self.kept, &wanted.borrow())?;
                report.document_texts(|id| texts.get(id).cloned()).write(path)?;
            }
        }
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
