//! Results as tables: for the terminal, Markdown and LaTeX. A dagger marks a significant difference from the baseline.

use crate::compare::{Compared, Comparison};
use crate::evaluate::{Evaluation, Measured};
use crate::measure::Aggregate;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// What a table of means shows.
#[derive(Clone, Copy)]
pub struct MeansTable<'a> {
    /// One row each; all measured alike.
    pub evaluations: &'a [Evaluation],
    /// Marks significant differences where given.
    pub comparison: Option<&'a Comparison>,
    /// Decimals.
    pub digits: usize,
    /// Whether intervals are shown.
    pub intervals: bool,
}

impl MeansTable<'_> {
    /// For a terminal, columns aligned.
    pub fn text(&self) -> String {
        self.text_within(usize::MAX)
    }

    /// The same in lines of at most so many columns, where that can be: what is wider has a measure a line.
    pub fn text_within(&self, columns: usize) -> String {
        let rows: Vec<Vec<String>> = self.rows(|cell| match cell.interval {
            Some([low, high]) if self.intervals => {
                format!("{}{} [{}, {}]", cell.mean, cell.mark, self.number(low), self.number(high))
            }
            _ => format!("{}{}", cell.mean, cell.mark),
        });
        let mut text = a_measure_a_line(&self.header(), &rows, columns);
        if let Some(note) = self.note() {
            let _ = writeln!(text, "{note}");
        }
        text
    }

    /// As a Markdown table. The best mean of a column is bold.
    pub fn markdown(&self) -> String {
        let rows = self.rows(|cell| {
            let mean = if cell.best { format!("**{}**", cell.mean) } else { cell.mean.clone() };
            match cell.interval {
                Some([low, high]) if self.intervals => {
                    format!("{mean}{} [{}, {}]", cell.mark, self.number(low), self.number(high))
                }
                _ => format!("{mean}{}", cell.mark),
            }
        });
        let escaped =
            |cells: &[String]| cells.iter().map(|c| c.replace('|', "\\|")).collect::<Vec<_>>().join(" | ");
        let header = self.header();
        let mut text = format!("| {} |\n| --- |{}\n", escaped(&header), " ---: |".repeat(header.len() - 1));
        for row in &rows {
            let _ = writeln!(text, "| {} |", escaped(row));
        }
        if let Some(note) = self.note() {
            let _ = write!(text, "\n{note}\n");
        }
        let remarks = self.remarks();
        if !remarks.is_empty() {
            text.push('\n');
        }
        for (run, remark) in remarks {
            let _ = writeln!(text, "- {run}: {remark}");
        }
        text
    }

    /// As a LaTeX table in booktabs style. The best mean of a column is bold.
    pub fn latex(&self) -> String {
        let rows = self.rows(|cell| {
            let mean = if cell.best { format!("\\textbf{{{}}}", cell.mean) } else { cell.mean.clone() };
            let mark = if cell.mark.is_empty() { String::new() } else { "$^{\\dagger}$".into() };
            match cell.interval {
                Some([low, high]) if self.intervals => {
                    format!("{mean}{mark} {{\\small [{}, {}]}}", self.number(low), self.number(high))
                }
                _ => format!("{mean}{mark}"),
            }
        });
        let header = self.header();
        let names: Vec<String> = header.iter().map(|name| latex_escape(name)).collect();
        let mut text = format!(
            "% needs \\usepackage{{booktabs}}\n\\begin{{table}}\n\\centering\n\\begin{{tabular}}{{l{}}}\n\\toprule\n{} \\\\\n\\midrule\n",
            "r".repeat(header.len() - 1),
            names.join(" & ")
        );
        for row in &rows {
            let mut cells = row.clone();
            cells[0] = latex_escape(&cells[0]);
            let _ = writeln!(text, "{} \\\\", cells.join(" & "));
        }
        let mut caption = self.note().unwrap_or_else(|| self.policy());
        for evaluation in self.evaluations {
            if let Some(unanswered) = evaluation.unanswered() {
                let _ = write!(caption, ". {}: {unanswered}", evaluation.name);
            }
        }
        let caption = latex_escape(&caption).replace('†', "$\\dagger$");
        let _ = write!(text, "\\bottomrule\n\\end{{tabular}}\n\\caption{{{caption}}}\n\\end{{table}}\n");
        for (run, remark) in self.remarks() {
            let _ = writeln!(text, "% {run}: {remark}");
        }
        text
    }

    /// Every remark with the name of its run, on one line each.
    fn remarks(&self) -> Vec<(String, String)> {
        let of = |evaluation: &Evaluation| {
            let name = evaluation.name.replace(['\n', '\r'], " ");
            evaluation.remarks().into_iter().map(move |remark| (name.clone(), remark))
        };
        self.evaluations.iter().flat_map(of).collect()
    }

    fn header(&self) -> Vec<String> {
        let measures = self.evaluations.first().map(|e| e.measures.as_slice()).unwrap_or_default();
        std::iter::once("run".to_string()).chain(measures.iter().map(|m| m.measure.to_string())).collect()
    }

    fn rows(&self, show: impl Fn(&Cell) -> String) -> Vec<Vec<String>> {
        self.evaluations
            .iter()
            .map(|evaluation| {
                let cells = evaluation.measures.iter().map(|measured| show(&self.cell(evaluation, measured)));
                std::iter::once(evaluation.name.clone()).chain(cells).collect()
            })
            .collect()
    }

    fn cell(&self, evaluation: &Evaluation, measured: &Measured) -> Cell {
        let others = self.evaluations.iter().filter_map(|other| other.measured(&measured.measure));
        let highest = others.map(|other| other.mean).fold(f64::NEG_INFINITY, f64::max);
        let sum = measured.measure.declaration().aggregate == Aggregate::Sum;
        let significant = self.comparison.and_then(|comparison| {
            let found = comparison.find(&evaluation.name, measured)?;
            found.is_significant(comparison.options.alpha).then_some(())
        });
        Cell {
            mean: if sum { format!("{:.0}", measured.mean) } else { self.number(measured.mean) },
            interval: measured.intervals.best(),
            best: !sum && self.evaluations.len() > 1 && measured.mean >= highest,
            mark: if significant.is_some() { "†" } else { "" },
        }
    }

    fn number(&self, value: f64) -> String {
        format!("{value:.*}", self.digits)
    }

    fn policy(&self) -> String {
        self.evaluations.first().map_or_else(String::new, |e| e.policy.to_string())
    }

    fn note(&self) -> Option<String> {
        let comparison = self.comparison?;
        Some(format!(
            "† differs from {} (paired t-test, p < {} after {} correction over {}). {}",
            comparison.baseline,
            comparison.options.alpha,
            comparison.options.correction.name(),
            comparison.family(),
            comparison.policy
        ))
    }
}

struct Cell {
    mean: String,
    interval: Option<[f64; 2]>,
    best: bool,
    mark: &'static str,
}

/// The comparison as a table for the terminal.
pub fn comparison_text(comparison: &Comparison, digits: usize) -> String {
    comparison_text_within(comparison, digits, usize::MAX)
}

/// The same in lines of at most so many columns: what is wider has a number a line.
pub fn comparison_text_within(comparison: &Comparison, digits: usize, columns: usize) -> String {
    let header = [
        "run",
        "measure",
        "baseline",
        "run's",
        "difference",
        "95 % interval",
        "win/tie/loss",
        "p t",
        "p Wilcoxon",
        "p random.",
        "d_z",
        "detectable",
    ]
    .map(String::from);
    let rows: Vec<Vec<String>> = comparison
        .compared
        .iter()
        .map(|c| {
            vec![
                c.run.clone(),
                c.measure.to_string(),
                format!("{:.*}", digits, c.baseline),
                format!(
                    "{:.*}{}",
                    digits,
                    c.mean,
                    if c.is_significant(comparison.options.alpha) { "†" } else { "" }
                ),
                format!("{:+.*}", digits, c.difference),
                c.intervals.best().map_or("–".into(), |[l, h]| format!("[{l:+.digits$}, {h:+.digits$}]")),
                format!("{}/{}/{}", c.wins, c.ties, c.losses),
                c.t.map_or("–".into(), |t| p_value(t.corrected_p)),
                p_value(c.wilcoxon.corrected_p),
                p_value(c.randomisation.corrected_p),
                c.effect.d_z.map_or("–".into(), |d| format!("{d:+.2}")),
                c.power.map_or("–".into(), |power| format!("{:.*}", digits, power.minimal_difference)),
            ]
        })
        .collect();
    let whole = aligned(&header, &rows);
    let mut text = if fits(&whole, columns) { whole } else { blocks(&header, &rows) };
    let _ = writeln!(
        text,
        "baseline: {}. p-values are two-sided and corrected ({}, over {}); † p of the paired t-test < {}.\n\
         detectable: the smallest true difference that the paired t-test finds on these queries with chance {}.\n{}",
        comparison.baseline,
        comparison.options.correction.name(),
        comparison.family(),
        comparison.options.alpha,
        comparison.options.power,
        comparison.policy
    );
    text
}

impl Comparison {
    /// The number of comparisons in words: what a correction is over.
    pub(crate) fn family(&self) -> String {
        match self.compared.len() {
            1 => "1 comparison".into(),
            count => format!("{count} comparisons"),
        }
    }

    /// The comparison of a run by a measure.
    pub fn find(&self, run: &str, measured: &Measured) -> Option<&Compared> {
        self.compared.iter().find(|c| c.run == run && c.measure == measured.measure)
    }
}

impl Compared {
    /// Whether the corrected paired t-test stays below alpha.
    pub fn is_significant(&self, alpha: f64) -> bool {
        self.t.is_some_and(|t| t.corrected_p < alpha)
    }
}

/// `0.0312`, or `< 0.0001`.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.0001 { "<0.0001".into() } else { format!("{p:.4}") }
}

/// Columns padded to their widest cell as it is seen, where some letters take two columns; the first column left, the others
/// right. An empty heading has no line.
fn aligned(header: &[String], rows: &[Vec<String>]) -> String {
    let all =
        || std::iter::once(header).filter(|header| !header.is_empty()).chain(rows.iter().map(Vec::as_slice));
    let columns = all().map(<[String]>::len).max().unwrap_or(0);
    let width =
        |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - cell.width());
            let _ =
                if column == 0 { write!(line, "{cell}{padding}") } else { write!(line, "  {padding}{cell}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Whether no line is longer than so many columns.
fn fits(text: &str, columns: usize) -> bool {
    text.lines().all(|line| line.width() <= columns)
}

/// A table of runs by measures that fits into so many columns: with a run a line, with a measure a line, or with a measure of
/// a run a line.
fn a_measure_a_line(header: &[String], rows: &[Vec<String>], columns: usize) -> String {
    let whole = aligned(header, rows);
    if fits(&whole, columns) {
        return whole;
    }
    let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
    let all = || std::iter::once(header).chain(rows.iter().map(Vec::as_slice));
    let turned: Vec<Vec<String>> =
        (0..header.len()).map(|at| all().map(|row| cell(row, at)).collect()).collect();
    if let [_, measures @ ..] = turned.as_slice() {
        let names = std::iter::once("measure".to_string()).chain(rows.iter().map(|row| cell(row, 0)));
        let turned = aligned(&names.collect::<Vec<_>>(), measures);
        if fits(&turned, columns) {
            return turned;
        }
    }
    let mut lines = String::new();
    for (at, measure) in header.iter().enumerate().skip(1) {
        let of: Vec<Vec<String>> =
            rows.iter().map(|row| vec![format!("  {}", cell(row, 0)), cell(row, at)]).collect();
        lines.push_str(&aligned(&[measure.clone(), String::new()], &of));
    }
    lines
}

/// A block for each row: the first two cells, and under them the others, each in a line with its heading.
fn blocks(header: &[String], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for row in rows {
        let (names, numbers) = row.split_at(row.len().min(2));
        let _ = writeln!(text, "{}", names.join("  "));
        let of: Vec<Vec<String>> = header
            .iter()
            .skip(2)
            .zip(numbers)
            .map(|(name, cell)| vec![format!("  {name}"), cell.clone()])
            .collect();
        text.push_str(&aligned(&[], &of));
    }
    text
}

fn latex_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("$<$"),
            'α' => escaped.push_str("$\\alpha$"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 2]| cells.map(String::from).to_vec();
        let text = aligned(&row(["run", "x"]), &[row(["bm25†", "0.5"]), row(["b", "12.25"])]);
        assert_eq!(text, "run        x\nbm25†    0.5\nb      12.25\n");
        let wide = aligned(&row(["run", "x"]), &[row(["検索", "0.5"]), row(["e\u{301}", "1"])]);
        assert_eq!(wide, "run     x\n検索  0.5\ne\u{301}       1\n");
        assert!(fits(&wide, 9) && !fits(&wide, 8));
    }

    #[test]
    fn what_is_too_wide_has_a_measure_a_line() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let header = row(["run", "nDCG@10", "AP"]);
        let rows = [row(["bm25", "0.5 [0.4, 0.6]", "0.2"]), row(["dense", "0.6 [0.5, 0.7]", "0.3"])];
        let wide = a_measure_a_line(&header, &rows, 80);
        assert!(wide.starts_with("run           nDCG@10   AP\nbm25   0.5 [0.4, 0.6]  0.2\n"), "{wide}");
        let rows_short = [row(["b", "0.5", "0.2"])];
        let turned = a_measure_a_line(&header, &rows_short, 13);
        assert_eq!(turned, "measure    b\nnDCG@10  0.5\nAP       0.2\n");
        let narrow = a_measure_a_line(&header, &rows, 24);
        assert_eq!(
            narrow,
            "nDCG@10\n  bm25   0.5 [0.4, 0.6]\n  dense  0.6 [0.5, 0.7]\nAP\n  bm25   0.2\n  dense  0.3\n"
        );
        assert!(fits(&narrow, 24));
        assert_eq!(blocks(&header, &rows_short), "b  0.5\n  AP  0.2\n");
    }

    #[test]
    fn latex_names_are_safe() {
        assert_eq!(latex_escape("alpha_nDCG@10 50% {x}"), "alpha\\_nDCG@10 50\\% \\{x\\}");
    }
}
