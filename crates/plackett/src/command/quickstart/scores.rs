//! The one table of the quickstart: means with intervals, and paired tests against the baseline.

use super::{DEPTH, Results, SHOWN};
use crate::command::means::give_or_take;
use crate::command::table::{Align, Table};
use console::style;
use plackett_eval::compare::Compared;
use plackett_eval::{Evaluation, Measured};

/// The table and a line on how to read it.
pub fn render(results: &Results) -> String {
    let measures: Vec<&Measured> =
        results.evaluations.first().map(|e| e.measures.iter().collect()).unwrap_or_default();
    let Some((first, others)) = measures.split_first() else { return String::new() };
    let mut columns = vec![
        ("pipeline".to_string(), Align::Left),
        (first.measure.to_string(), Align::Right),
        ("± 95%".into(), Align::Right),
        ("difference".into(), Align::Right),
        ("p".into(), Align::Right),
        ("won/lost".into(), Align::Right),
    ];
    let others: Vec<&&Measured> = others.iter().filter(|m| is_shown(m)).collect();
    columns.extend(others.iter().map(|m| (m.measure.to_string(), Align::Right)));
    columns.push(("ms/query".into(), Align::Right));
    let mut table = Table::new(columns);
    let alpha = results.comparison.options.alpha;
    for (evaluation, system) in results.evaluations.iter().zip(&results.systems) {
        let compared = results
            .comparison
            .compared
            .iter()
            .find(|c| c.run == evaluation.name && c.measure == first.measure);
        let mut cells = row(evaluation, compared, alpha);
        let per_query = 1000.0 * system.seconds / results.queries.len().max(1) as f64;
        cells.push(format!("{per_query:.2}"));
        table.row(cells);
    }
    let note = format!(
        "Means over {} queries, {DEPTH} documents each; ± is half of a 95 % interval. Differences in {} from {}: paired t-test, p corrected ({}) for {} \
         tests; in colour where p < {alpha}.\nRules: {}",
        results.evaluations.first().map_or(0, |e| e.queries.len()),
        first.measure,
        results.comparison.baseline,
        results.comparison.options.correction.name(),
        results.comparison.compared.len(),
        results.comparison.policy,
    );
    let note: String = note.lines().map(|line| format!("  {}\n", style(line).dim())).collect();
    format!("{}{note}", table.render())
}

fn is_shown(measured: &Measured) -> bool {
    SHOWN.contains(&measured.measure.to_string().as_str())
}

fn row(evaluation: &Evaluation, compared: Option<&Compared>, alpha: f64) -> Vec<String> {
    let mut means = evaluation.measures.iter();
    let mut cells = vec![evaluation.name.clone()];
    if let Some(first) = means.next() {
        cells.push(style(format!("{:.3}", first.mean)).bold().to_string());
        cells.push(
            first.intervals.best().map_or(String::new(), |[low, high]| format!("{:.3}", (high - low) / 2.0)),
        );
    }
    match compared {
        None => cells.extend(["baseline".to_string(), String::new(), String::new()]),
        Some(compared) => {
            let p = compared.t.map_or(compared.wilcoxon.corrected_p, |t| t.corrected_p);
            let difference = format!("{:+.3}", compared.difference);
            cells.push(match (p < alpha, compared.difference > 0.0) {
                (true, true) => style(difference).green().bold().to_string(),
                (true, false) => style(difference).red().to_string(),
                _ => difference,
            });
            cells.push(if p < 0.0001 { "<0.0001".into() } else { format!("{p:.4}") });
            cells.push(format!("{}/{}", compared.wins, compared.losses));
        }
    }
    let other = |m: &Measured| format!("{:.3}{}", m.mean, give_or_take(m.intervals.best(), 3));
    cells.extend(means.filter(|m| is_shown(m)).map(other));
    cells
}
