//! `plackett compare`: runs against a baseline, with tests, effect sizes and power.

use super::measuring::{Evaluated, MeasureArguments, evaluate_files};
use super::number::{FlagParser, real};
use super::paths::Paths;
use super::printing::TableArguments;
use super::report_file::{Inputs, ReportArguments};
use super::{Global, Outcome, Output, terminal};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use plackett_eval::compare::{CompareError, RandomisationOptions};
use plackett_eval::measure::Aggregate;
use plackett_eval::{
    Agreement, CompareOptions, Comparison, Correction, Missing, compare, comparison_json,
    comparison_text_within,
};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Compare runs with a baseline: paired tests, corrections, effect sizes, power
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett compare qrels.txt bm25.trec dense.trec reranked.trec -m nDCG@10 -m RR@10\n  \
                        plackett compare qrels.txt bm25.trec reranked.trec --correction bh --report compare.html\n\n\
                        Tests: paired t, Wilcoxon's signed ranks and randomisation, two-sided, each corrected over all runs\n\
                        and measures. A dagger marks what the paired t-test finds. `detectable` is the smallest true\n\
                        difference that these queries would have shown with the chance given by --power.")]
pub struct Arguments {
    /// Judgments: a TREC qrels file, a BEIR qrels file (.tsv) or a BEIR folder
    qrels: PathBuf,
    /// The run that others are compared with
    baseline: PathBuf,
    /// Runs to compare with it
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    measuring: MeasureArguments,
    #[command(flatten)]
    report: ReportArguments,
    /// Correction of p-values over all runs and measures
    #[arg(long, value_name = "NAME", default_value = "holm", value_parser = correction(), help_heading = "Tests")]
    correction: Correction,
    /// Chance of a false alarm that is accepted
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = chance(), help_heading = "Tests")]
    alpha: f64,
    /// Chance of finding an effect for which the smallest detectable one is given
    #[arg(long, value_name = "P", default_value_t = 0.8, value_parser = chance(), help_heading = "Tests")]
    power: f64,
    /// Sign patterns drawn by the randomisation test where there are too many to try all
    #[arg(long, value_name = "N", value_parser = super::measuring::draws(), default_value_t = RandomisationOptions::default().samples, help_heading = "Tests")]
    samples: usize,
    #[command(flatten)]
    table: TableArguments,
}

fn correction() -> impl TypedValueParser<Value = Correction> {
    PossibleValuesParser::new(Correction::ALL.iter().map(|(name, _)| *name)).map(|text| {
        Correction::ALL
            .iter()
            .find(|(name, _)| *name == text)
            .map_or(Correction::Holm, |(_, correction)| *correction)
    })
}

fn chance() -> FlagParser<f64> {
    real(" above 0 and below 1", |chance| chance > 0.0 && chance < 1.0)
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    arguments.table.check(global)?;
    arguments.report.check(&arguments.qrels, arguments.measuring.on_preferences(), true)?;
    arguments.measuring.check(false, true, arguments.report.is_wanted())?;
    arguments.table.check_digits(global, arguments.report.is_wanted())?;
    let mut paths = vec![arguments.baseline.clone()];
    paths.extend(arguments.runs.iter().cloned());
    let files = Paths::default().reads("QRELS", [&arguments.qrels]).reads("RUN", &paths);
    arguments.report.paths(files).check(output)?;
    let found = evaluate_files(&arguments.qrels, &paths, &arguments.measuring, true, false, global, output)?;
    let seed = arguments.measuring.seed();
    let options = CompareOptions {
        alpha: arguments.alpha,
        correction: arguments.correction,
        randomisation: RandomisationOptions { samples: arguments.samples, seed },
        intervals: arguments.measuring.intervals(),
        power: arguments.power,
    };
    let skips = arguments.measuring.policy().missing == Missing::Skip;
    let comparison = compare(&found.evaluations[0], &found.evaluations[1..], &options);
    let comparison = comparison.map_err(|error| match error {
        CompareError::NoCommonQuery(_) if skips => anyhow::anyhow!(
            "{error}: --missing skip leaves out every judged query that a run lacks; --missing zero counts 0 for them"
        ),
        error => error.into(),
    })?;
    if skips {
        say_compared(&comparison, output);
    }
    let inputs = Inputs { qrels: &arguments.qrels, runs: &paths, measuring: &arguments.measuring };
    arguments.report.write(&inputs, &found, Some(&comparison), arguments.table.digits(), global, output)?;
    let agreements = agreements(&found);
    say_left_out(&found, output);
    if output.json || arguments.table.is_marked_up() {
        found.remarks().iter().for_each(|remark| output.warn(remark));
    }
    if output.json {
        let mut document = comparison_json(&found.evaluations, &comparison, false);
        if let Some(object) = document.as_object_mut() {
            object.insert("agreement_with_baseline".into(), serde_json::json!(agreements));
        }
        arguments.report.mention(&mut document);
        output.print_json(&document)?;
        return Ok(());
    }
    if let Some(text) = arguments.table.marked_up(&found.evaluations, Some(&comparison)) {
        output.print(&text)?;
    } else {
        let means = arguments.table.table(&found.evaluations, None).text_within(terminal::columns());
        let text = comparison_text_within(&comparison, arguments.table.digits(), terminal::columns());
        let agreement = agreement_text(&agreements, &comparison.baseline);
        output.print(&format!("{}\n{means}\n{text}\n{agreement}", found.accounts()))?;
    }
    Ok(())
}

/// Says on how many queries each run is compared, where those that one of two lacks are left out.
fn say_compared(comparison: &Comparison, output: &Output) {
    let numbers: BTreeMap<&str, usize> =
        comparison.compared.iter().map(|compared| (compared.run.as_str(), compared.n)).collect();
    for (run, n) in numbers {
        let queries = if n == 1 { "query" } else { "queries" };
        let baseline = &comparison.baseline;
        output.warn(&format!(
            "--missing skip: `{run}` is compared with `{baseline}` on {n} {queries}, which both answer"
        ));
    }
}

/// Says which measures have nothing to compare.
fn say_left_out(found: &Evaluated, output: &Output) {
    let Some(first) = found.evaluations.first() else { return };
    let sums = first.measures.iter().map(|m| &m.measure);
    let sums = sums.filter(|measure| measure.declaration().aggregate == Aggregate::Sum);
    let left: Vec<String> =
        sums.chain(first.texts.iter().map(|texts| &texts.measure)).map(ToString::to_string).collect();
    if !left.is_empty() {
        output.warn(&format!("not compared, because they have no mean: {}", left.join(", ")));
    }
}

/// How alike each run and the baseline order the documents.
fn agreements(found: &Evaluated) -> BTreeMap<String, Agreement> {
    let Some((baseline, others)) = found.runs.split_first() else { return BTreeMap::new() };
    let Some(policy) = found.evaluations.first().map(|evaluation| evaluation.policy) else {
        return BTreeMap::new();
    };
    let names = found.evaluations.iter().skip(1).map(|evaluation| evaluation.name.clone());
    let each =
        names.zip(others).filter_map(|(name, run)| Some((name, Agreement::of(baseline, run, &policy)?)));
    each.collect()
}

fn agreement_text(agreements: &BTreeMap<String, Agreement>, baseline: &str) -> String {
    let mut text = String::new();
    for (run, agreement) in agreements {
        let tau = agreement.tau_b.map_or("–".to_string(), |tau| format!("{tau:.3}"));
        let _ = writeln!(
            text,
            "order of {run} beside {baseline}: RBO(p={}) {:.3}, Kendall τ-b {tau} over {:.0} common documents per query",
            Agreement::PERSISTENCE,
            agreement.rbo,
            agreement.common_documents
        );
    }
    text
}
