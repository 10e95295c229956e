//! From evaluations to the fields of the page's template.

use super::examples::{Example, Examples};
use super::plot::{self, Axis, Line};
use super::queries::{QueryTable, all_queries};
use super::{Report, ReportError};
use crate::compare::{Compared, Comparison};
use crate::evaluate::{Evaluation, Evaluator, Measured};
use crate::interval::IntervalOptions;
use crate::measure::{Aggregate, Measure, Range, parse_list};
use crate::table::p_value;
use askama::Template;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: &'a str,
    queries: usize,
    policy: Vec<(String, String)>,
    measures: Vec<Column>,
    rows: Vec<SummaryRow>,
    legend: Vec<Legend>,
    plots: Vec<Plot>,
    tests: Option<Tests>,
    duels: Vec<Duel>,
    accounts: Vec<AccountRow>,
    queries_table: QueryTable,
    interval_note: String,
    provenance: &'a [(String, String)],
    version: &'static str,
}

struct Column {
    name: String,
    description: &'static str,
}

struct SummaryRow {
    run: String,
    colour: usize,
    is_baseline: bool,
    cells: Vec<SummaryCell>,
}

struct SummaryCell {
    value: String,
    sort: f64,
    interval: String,
    /// Left end, width and centre of the bar in percent of the column; `None` without interval.
    bar: Option<(f64, f64, f64)>,
    best: bool,
    mark: bool,
}

struct Legend {
    run: String,
    colour: usize,
}

struct Plot {
    title: String,
    text: String,
    svg: String,
}

struct Tests {
    baseline: String,
    note: String,
    rows: Vec<TestRow>,
}

struct TestRow {
    run: String,
    measure: String,
    difference: String,
    sort: f64,
    interval: String,
    balance: String,
    t: String,
    wilcoxon: String,
    randomisation: String,
    d_z: String,
    cliff: String,
    detectable: String,
    observed: String,
    verdict: &'static str,
}

struct Duel {
    run: String,
    baseline: String,
    measure: String,
    svg: String,
    balance: String,
    gained: Vec<ExampleView>,
    lost: Vec<ExampleView>,
}

struct ExampleView {
    query: String,
    text: Option<String>,
    before: String,
    after: String,
    difference: String,
    sides: Vec<Side>,
}

struct Side {
    run: String,
    documents: Vec<DocumentView>,
}

struct DocumentView {
    rank: usize,
    id: String,
    grade: String,
    class: &'static str,
    text: Option<String>,
}

struct AccountRow {
    run: String,
    depth: String,
    counted: String,
    remarks: Vec<String>,
}

/// Ranks of the plot of a measure by cut-off.
const RANKS: &[usize] = &[1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000];

pub fn render(report: &Report<'_>) -> Result<String, ReportError> {
    let Some((_, first)) = report.runs.first() else { return Err(ReportError::Empty) };
    let evaluations: Vec<&Evaluation> = report.runs.iter().map(|(_, evaluation)| *evaluation).collect();
    let main = main_measure(first);
    let page = Page {
        title: &report.title,
        queries: all_queries(&evaluations).len(),
        policy: policy(first),
        measures: first.measures.iter().map(column).collect(),
        rows: summary(report, &evaluations),
        legend: evaluations
            .iter()
            .enumerate()
            .map(|(i, e)| Legend { run: e.name.clone(), colour: i % 8 })
            .collect(),
        plots: plots(report, main)?,
        tests: report.comparison.map(|comparison| tests(comparison, report.digits)),
        duels: duels(report, main)?,
        accounts: evaluations.iter().map(|evaluation| account(evaluation)).collect(),
        queries_table: QueryTable::new(report, &evaluations),
        interval_note: "bias-corrected and accelerated bootstrap over queries, 95 %".into(),
        provenance: &report.provenance,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}

/// The first measure with a mean: the one that plots by query show.
fn main_measure(evaluation: &Evaluation) -> Option<&Measure> {
    evaluation.measures.iter().map(|m| &m.measure).find(|m| m.declaration().aggregate == Aggregate::Mean)
}

fn policy(evaluation: &Evaluation) -> Vec<(String, String)> {
    let text = evaluation.policy.to_string();
    text.split(' ')
        .filter_map(|rule| rule.split_once('='))
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect()
}

fn column(measured: &Measured) -> Column {
    Column { name: measured.measure.to_string(), description: measured.measure.declaration().description }
}

fn summary(report: &Report<'_>, evaluations: &[&Evaluation]) -> Vec<SummaryRow> {
    let baseline = report.comparison.map(|comparison| comparison.baseline.as_str());
    let rows = evaluations.iter().enumerate().map(|(place, evaluation)| SummaryRow {
        run: evaluation.name.clone(),
        colour: place % 8,
        is_baseline: baseline == Some(evaluation.name.as_str()),
        cells: evaluation.measures.iter().map(|m| summary_cell(report, evaluations, evaluation, m)).collect(),
    });
    rows.collect()
}

fn summary_cell(
    report: &Report<'_>,
    evaluations: &[&Evaluation],
    evaluation: &Evaluation,
    measured: &Measured,
) -> SummaryCell {
    let digits = report.digits;
    let all: Vec<&Measured> =
        evaluations.iter().filter_map(|other| other.measured(&measured.measure)).collect();
    let sum = measured.measure.declaration().aggregate == Aggregate::Sum;
    let highest = all.iter().map(|m| m.mean).fold(f64::NEG_INFINITY, f64::max);
    let ends: Vec<f64> = all.iter().filter_map(|m| m.intervals.best()).flatten().collect();
    let (low, high) = ends.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &e| (l.min(e), h.max(e)));
    let percent = |value: f64| if high > low { (value - low) / (high - low) * 100.0 } else { 50.0 };
    let significant = report.comparison.is_some_and(|comparison| {
        comparison
            .find(&evaluation.name, measured)
            .is_some_and(|c| c.is_significant(comparison.options.alpha))
    });
    SummaryCell {
        value: if sum { format!("{:.0}", measured.mean) } else { format!("{:.digits$}", measured.mean) },
        sort: measured.mean,
        interval: measured
            .intervals
            .best()
            .map_or_else(String::new, |[l, h]| format!("{l:.digits$} – {h:.digits$}")),
        bar: measured
            .intervals
            .best()
            .map(|[l, h]| (percent(l), (percent(h) - percent(l)).max(1.0), percent(measured.mean))),
        best: !sum && all.len() > 1 && measured.mean >= highest,
        mark: significant,
    }
}

fn plots(report: &Report<'_>, main: Option<&Measure>) -> Result<Vec<Plot>, ReportError> {
    let mut plots = Vec::new();
    let levels: Vec<String> = (0..=10).map(|tenth| format!("IPrec@{}", f64::from(tenth) / 10.0)).collect();
    let recall = parse_list(&levels.join(" ")).unwrap_or_default();
    let axis = Axis {
        name: "recall",
        labels: (0..=10).map(|t| (f64::from(t), format!("{:.1}", f64::from(t) / 10.0))).collect(),
    };
    plots.push(Plot {
        title: "Precision by recall".into(),
        text: "Interpolated precision at eleven recall levels, averaged over queries.".into(),
        svg: plot::lines(&curves(report, &recall)?, &axis, "precision", 1.0)?,
    });
    if let Some(main) = main.and_then(|main| main.at_rank(1).map(|_| main)) {
        let deepest = report.runs.iter().map(|(_, e)| e.account.depth.max).max().unwrap_or(0).max(1);
        let ranks: Vec<usize> = RANKS.iter().copied().filter(|&rank| rank <= deepest).collect();
        let at: Vec<Measure> = ranks.iter().filter_map(|&rank| main.at_rank(rank)).collect();
        let labels = ranks.iter().enumerate().map(|(place, rank)| (place as f64, rank.to_string())).collect();
        let series = curves(report, &at)?;
        let highest = series.iter().flatten().map(|point| point.1).fold(0.0, f64::max);
        let top =
            if main.declaration().range == Range::Unit { (highest * 1.1).clamp(0.1, 1.0) } else { highest };
        let name = main.declaration().name;
        plots.push(Plot {
            title: format!("{name} by cut-off"),
            text: format!("{name}@k for k up to the deepest list."),
            svg: plot::lines(&series, &Axis { name: "rank k", labels }, &format!("{name}@k"), top)?,
        });
    }
    Ok(plots)
}

/// For each run the means of measures, as points at 0, 1, 2 …
fn curves(report: &Report<'_>, measures: &[Measure]) -> Result<Vec<Line>, ReportError> {
    let mut curves = Vec::new();
    for (run, evaluation) in &report.runs {
        let intervals = IntervalOptions { bootstrap: false, analytic: false, ..IntervalOptions::default() };
        let evaluator = Evaluator { measures: measures.to_vec(), policy: evaluation.policy, intervals };
        let found = evaluator.evaluate(report.qrels, run)?;
        curves.push(found.measures.iter().enumerate().map(|(place, m)| (place as f64, m.mean)).collect());
    }
    Ok(curves)
}

fn tests(comparison: &Comparison, digits: usize) -> Tests {
    let options = &comparison.options;
    Tests {
        baseline: comparison.baseline.clone(),
        note: format!(
            "Two-sided p-values, corrected over {} ({}). Wilcoxon: zeros left out, ties share ranks, exact up to 50 \
             differences. Randomisation: exact up to 20 differences, else {} drawn sign patterns. Verdict by the paired t-test \
             at {}. Detectable: the smallest true difference that these queries show with chance {}.",
            comparison.family(),
            options.correction.name(),
            options.randomisation.samples,
            options.alpha,
            options.power
        ),
        rows: comparison.compared.iter().map(|compared| test_row(compared, options.alpha, digits)).collect(),
    }
}

fn test_row(c: &Compared, alpha: f64, digits: usize) -> TestRow {
    TestRow {
        run: c.run.clone(),
        measure: c.measure.to_string(),
        difference: format!("{:+.digits$}", c.difference),
        sort: c.difference,
        interval: c.intervals.best().map_or("–".into(), |[l, h]| format!("{l:+.digits$} – {h:+.digits$}")),
        balance: format!("{} / {} / {}", c.wins, c.ties, c.losses),
        t: c.t.map_or("–".into(), |t| p_value(t.corrected_p)),
        wilcoxon: p_value(c.wilcoxon.corrected_p),
        randomisation: p_value(c.randomisation.corrected_p),
        d_z: c.effect.d_z.map_or("–".into(), |d| format!("{d:+.2}")),
        cliff: format!("{:+.2}", c.effect.cliffs_delta),
        detectable: c.power.map_or("–".into(), |p| format!("{:.digits$}", p.minimal_difference)),
        observed: c.power.map_or("–".into(), |p| format!("{:.2}", p.observed)),
        verdict: match (c.is_significant(alpha), c.difference > 0.0) {
            (true, true) => "better",
            (true, false) => "worse",
            _ => "undecided",
        },
    }
}

fn duels(report: &Report<'_>, main: Option<&Measure>) -> Result<Vec<Duel>, ReportError> {
    let (Some(comparison), Some(main)) = (report.comparison, main) else { return Ok(Vec::new()) };
    let mut duels = Vec::new();
    for compared in comparison.compared.iter().filter(|compared| compared.measure == *main) {
        let differences = compared.differences.iter().copied();
        let mut sorted: Vec<(String, f64)> = compared.queries.iter().cloned().zip(differences).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        let examples = Examples::of(report, compared, &comparison.baseline);
        let view = |example: Example| example_view(example, comparison, compared, report.digits);
        duels.push(Duel {
            run: compared.run.clone(),
            baseline: comparison.baseline.clone(),
            measure: main.to_string(),
            svg: plot::differences(&sorted, &main.to_string())?,
            balance: format!("{} won, {} even, {} lost", compared.wins, compared.ties, compared.losses),
            gained: examples.gained.into_iter().map(view).collect(),
            lost: examples.lost.into_iter().map(view).collect(),
        });
    }
    Ok(duels)
}

fn example_view(
    example: Example,
    comparison: &Comparison,
    compared: &Compared,
    digits: usize,
) -> ExampleView {
    let side = |run: &str, documents: Vec<super::examples::TopDocument>| Side {
        run: run.to_string(),
        documents: documents
            .into_iter()
            .map(|document| DocumentView {
                rank: document.rank,
                grade: document.grade.map_or("unjudged".into(), |grade| format!("grade {grade}")),
                class: match document.grade {
                    Some(grade) if grade > 0 => "relevant",
                    Some(_) => "other",
                    None => "unjudged",
                },
                id: document.id,
                text: document.text,
            })
            .collect(),
    };
    ExampleView {
        before: format!("{:.digits$}", example.before),
        after: format!("{:.digits$}", example.after),
        difference: format!("{:+.digits$}", example.difference),
        sides: vec![side(&comparison.baseline, example.top_before), side(&compared.run, example.top_after)],
        query: example.query,
        text: example.text,
    }
}

fn account(evaluation: &Evaluation) -> AccountRow {
    let account = &evaluation.account;
    AccountRow {
        run: evaluation.name.clone(),
        depth: format!("{} / {} / {}", account.depth.min, account.depth.median, account.depth.max),
        counted: format!("{} of {}", account.answered_queries, account.judged_queries),
        remarks: evaluation.remarks(),
    }
}
