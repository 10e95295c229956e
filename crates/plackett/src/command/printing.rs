//! How `eval` and `compare` print their tables.

use super::number::whole;
use super::{Global, Outcome};
use clap::Args;
use plackett_eval::{Comparison, Evaluation, MeansTable};

/// More decimals than a double has are no numbers.
const MOST_DECIMALS: i128 = 17;

/// Decimals and markup.
#[derive(Args)]
pub struct TableArguments {
    /// Decimals [default: 4]
    #[arg(short = 'p', long, value_name = "N", value_parser = whole::<usize>(0..=MOST_DECIMALS), help_heading = "Output")]
    digits: Option<usize>,
    /// Print a Markdown table, with daggers where runs are compared
    #[arg(long, group = "form", help_heading = "Output")]
    markdown: bool,
    /// Print a LaTeX table, with daggers where runs are compared
    #[arg(long, group = "form", help_heading = "Output")]
    latex: bool,
}

impl TableArguments {
    /// Refuses a markup beside `--json`.
    pub fn check(&self, global: &Global) -> Outcome {
        global.form("--markdown", self.markdown)?;
        global.form("--latex", self.latex)
    }

    /// Refuses decimals where nothing has any: the numbers of JSON are whole.
    pub fn check_digits(&self, global: &Global, report: bool) -> Outcome {
        match self.digits {
            Some(digits) if global.json && !report => Err(anyhow::anyhow!(
                "--digits {digits}: the numbers of --json have all their digits; leave one of them out"
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Decimals.
    pub fn digits(&self) -> usize {
        self.digits.unwrap_or(4)
    }

    /// Whether a markup was asked for.
    pub fn is_marked_up(&self) -> bool {
        self.markdown || self.latex
    }

    /// The means as a table.
    pub fn table<'a>(
        &self,
        evaluations: &'a [Evaluation],
        comparison: Option<&'a Comparison>,
    ) -> MeansTable<'a> {
        MeansTable { evaluations, comparison, digits: self.digits(), intervals: true }
    }

    /// The table in the markup that was asked for; `None` when none was.
    pub fn marked_up(&self, evaluations: &[Evaluation], comparison: Option<&Comparison>) -> Option<String> {
        let table = self.table(evaluations, comparison);
        match (self.markdown, self.latex) {
            (true, _) => Some(table.markdown()),
            (_, true) => Some(table.latex()),
            _ => None,
        }
    }
}
