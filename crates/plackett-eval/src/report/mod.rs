//! The report: one HTML file that opens without a network and needs nothing beside itself.

mod examples;
mod page;
mod plot;
mod queries;

pub use plot::{PlotError, curve as curve_plot, differences as differences_plot};

use crate::compare::Comparison;
use crate::evaluate::{EvalError, Evaluation};
use plackett_core::formats::{FormatError, atomic};
use plackett_core::{Qrels, Run};
use std::path::Path;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is nothing to report.
    #[error("a report needs at least one evaluated run")]
    Empty,
    /// A plot's values could not be computed.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// A plot could not be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The page could not be put together.
    #[error("the report page could not be put together: {0}")]
    Page(#[from] askama::Error),
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] FormatError),
}

/// The style of the pages that this program writes: colours for light and dark, tables, cards and plots.
pub const STYLE: &str = include_str!("../../templates/style.css");

/// A text by its id.
pub type Texts<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// What goes into a report. Only runs and judgments are needed; everything else makes it richer.
///
/// ```no_run
/// # use plackett_eval::{Policy, evaluate, measure::parse_list, report::Report};
/// # let (qrels, run) = (plackett_core::Qrels::new(), plackett_core::Run::new("bm25"));
/// let evaluation = evaluate(&qrels, &run, &parse_list("nDCG@10 AP")?, &Policy::default())?;
/// Report::new("Cranfield", &qrels)
///     .run(&run, &evaluation)
///     .query_texts(|id| Some(format!("the text of query {id}")))
///     .write("report.html")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Report<'a> {
    title: String,
    qrels: &'a Qrels,
    runs: Vec<(&'a Run, &'a Evaluation)>,
    comparison: Option<&'a Comparison>,
    queries: Texts<'a>,
    documents: Texts<'a>,
    provenance: Vec<(String, String)>,
    digits: usize,
    examples: usize,
}

impl<'a> Report<'a> {
    /// An empty report.
    pub fn new(title: impl Into<String>, qrels: &'a Qrels) -> Self {
        Report {
            title: title.into(),
            qrels,
            runs: Vec::new(),
            comparison: None,
            queries: Box::new(|_| None),
            documents: Box::new(|_| None),
            provenance: Vec::new(),
            digits: 4,
            examples: 5,
        }
    }

    /// Adds a run and its evaluation; the first one added is shown first (give the baseline first).
    pub fn run(mut self, run: &'a Run, evaluation: &'a Evaluation) -> Self {
        self.runs.push((run, evaluation));
        self
    }

    /// Adds tests against a baseline, which must be one of the runs.
    pub fn comparison(mut self, comparison: &'a Comparison) -> Self {
        self.comparison = Some(comparison);
        self
    }

    /// Where the texts of queries come from.
    pub fn query_texts(mut self, texts: impl Fn(&str) -> Option<String> + 'a) -> Self {
        self.queries = Box::new(texts);
        self
    }

    /// Where the texts of documents come from.
    pub fn document_texts(mut self, texts: impl Fn(&str) -> Option<String> + 'a) -> Self {
        self.documents = Box::new(texts);
        self
    }

    /// What the report was made of and with, in rows of a name and a value: the date, the command, seeds, hashes of files,
    /// times.
    pub fn provenance(mut self, rows: Vec<(String, String)>) -> Self {
        self.provenance = rows;
        self
    }

    /// Decimals of means; 4 unless told.
    pub fn digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }

    /// How many of the most gained and of the most lost queries are shown for each run; 5 unless told.
    pub fn examples(mut self, examples: usize) -> Self {
        self.examples = examples;
        self
    }

    /// The page as text.
    pub fn html(&self) -> Result<String, ReportError> {
        page::render(self)
    }

    /// Writes the page: to a temporary file beside it first, so that a reader never sees half of it.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        let path = path.as_ref();
        let html = self.html()?;
        Ok(atomic::write(path, |out| out.write_all(html.as_bytes()))?)
    }
}
