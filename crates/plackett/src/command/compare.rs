//! `plackett compare`: runs against a baseline, with tests, effect sizes and power.

use super::measuring::{Evaluated, MeasureArguments, evaluate_files};
use super::printing::TableArguments;
use super::report_file::ReportArguments;
use super::{Global, Outcome, Output};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use plackett_eval::compare::RandomisationOptions;
use plackett_eval::{Agreement, CompareOptions, Correction, compare, comparison_json, comparison_text};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Compare runs with a baseline: paired tests, corrections, effect sizes, power
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett compare qrels.txt bm25.trec dense.trec reranked.trec -m nDCG@10 -m RR@10\n  \
                  plackett compare qrels.txt bm25.trec reranked.trec --correction bh --report compare.html\n\n\
                  Tests: paired t, Wilcoxon's signed ranks and randomisation, two-sided, each corrected over all runs \
                  and\nmeasures. A dagger marks what the paired t-test finds. `detectable` is the smallest true \
                  difference that these\nqueries would have shown with the chance given by --power."
)]
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
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = chance, help_heading = "Tests")]
    alpha: f64,
    /// Chance of finding an effect for which the smallest detectable one is given
    #[arg(long, value_name = "P", default_value_t = 0.8, value_parser = chance, help_heading = "Tests")]
    power: f64,
    /// Sign patterns drawn by the randomisation test where there are too many to try all
    #[arg(long, value_name = "N", default_value_t = RandomisationOptions::default().samples, help_heading = "Tests")]
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

fn chance(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "write a number such as 0.05".to_string())?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err("it must lie between 0 and 1".into()) }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    arguments.table.check(global)?;
    arguments.report.check()?;
    let mut paths = vec![arguments.baseline.clone()];
    paths.extend(arguments.runs.iter().cloned());
    let found = evaluate_files(&arguments.qrels, &paths, &arguments.measuring, true, output)?;
    let seed = arguments.measuring.seed;
    let options = CompareOptions {
        alpha: arguments.alpha,
        correction: arguments.correction,
        randomisation: RandomisationOptions { samples: arguments.samples.max(1), seed },
        intervals: arguments.measuring.intervals(),
        power: arguments.power,
    };
    let comparison = compare(&found.evaluations[0], &found.evaluations[1..], &options)?;
    arguments.report.write(&arguments.qrels, &found, Some(&comparison), arguments.table.digits, output)?;
    let agreements = agreements(&found);
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
        let means = arguments.table.table(&found.evaluations, None).text();
        let text = comparison_text(&comparison, arguments.table.digits);
        output.print(&format!("{means}\n{text}\n{}", agreement_text(&agreements, &comparison.baseline)))?;
    }
    Ok(())
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
            "{run} orders like {baseline}: RBO(p={}) {:.3}, Kendall τ-b {tau} over {:.0} common documents per query",
            Agreement::PERSISTENCE,
            agreement.rbo,
            agreement.common_documents
        );
    }
    text
}
