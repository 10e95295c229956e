//! How `eval` and `compare` print their tables.

use super::{Global, Outcome};
use clap::Args;
use plackett_eval::{Comparison, Evaluation, MeansTable};

/// More decimals than a double has are no numbers.
const MOST_DECIMALS: usize = 17;

fn decimals(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|digits| *digits <= MOST_DECIMALS);
    number.ok_or_else(|| format!("a whole number from 0 to {MOST_DECIMALS} is expected"))
}

/// Decimals and markup.
#[derive(Args)]
pub struct TableArguments {
    /// Decimals
    #[arg(short = 'p', long, value_name = "N", default_value = "4", value_parser = decimals, help_heading = "Output")]
    pub digits: usize,
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

    /// The means as a table.
    pub fn table<'a>(
        &self,
        evaluations: &'a [Evaluation],
        comparison: Option<&'a Comparison>,
    ) -> MeansTable<'a> {
        MeansTable { evaluations, comparison, digits: self.digits, intervals: true }
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
