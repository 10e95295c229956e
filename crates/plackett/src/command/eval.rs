//! `plackett eval`: measures of runs against judgments.

use super::measuring::{Evaluated, MeasureArguments, evaluate_files};
use super::printing::TableArguments;
use super::report_file::ReportArguments;
use super::{Global, Outcome, Output};
use anyhow::anyhow;
use clap::Args;
use plackett_eval::measure::{Aggregate, listing, listing_json};
use plackett_eval::{Evaluation, results_json};
use std::fmt::Write;
use std::path::PathBuf;

/// Measure runs against relevance judgments
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett eval qrels.txt bm25.trec reranked.trec -m nDCG@10 -m 'AP(rel=2)'\n  \
                  plackett eval beir/scifact run.trec --compat beir --report scifact.html\n  \
                  plackett search papers.index --queries q.jsonl --format trec | plackett eval qrels.txt -\n  \
                  plackett eval --trec -q -m official --compat trec_eval-9 qrels.txt run.trec\n\n\
                  Every mean comes with a 95 % interval over queries, and every result with the rules that made it.\n\
                  Runs are compared with tests by `plackett compare`."
)]
pub struct Arguments {
    /// Judgments: a TREC qrels file, a BEIR qrels file (.tsv) or a BEIR folder
    #[arg(required_unless_present = "list_measures")]
    qrels: Option<PathBuf>,
    /// Runs in TREC format (or MS MARCO's three columns); `-` is standard input
    #[arg(required_unless_present = "list_measures", value_name = "RUN")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    measuring: MeasureArguments,
    #[command(flatten)]
    report: ReportArguments,
    /// Also print the values of every query
    #[arg(short = 'q', long, help_heading = "Output")]
    per_query: bool,
    #[command(flatten)]
    table: TableArguments,
    /// Print lines as trec_eval does: name, query, value
    #[arg(long, group = "form", help_heading = "Output")]
    trec: bool,
    /// List all measures with their parameters and stop
    #[arg(long, help_heading = "What is measured")]
    list_measures: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    if arguments.list_measures {
        match output.json {
            true => output.print_json(&listing_json())?,
            false => output.print(&listing())?,
        }
        return Ok(());
    }
    let Some(qrels) = &arguments.qrels else {
        return Err(anyhow!("judgments and at least one run are needed: plackett eval QRELS RUN").into());
    };
    global.form("--trec", arguments.trec)?;
    arguments.table.check(global)?;
    arguments.report.check()?;
    let keep = arguments.report.is_wanted();
    let found = evaluate_files(qrels, &arguments.runs, &arguments.measuring, keep, output)?;
    arguments.report.write(qrels, &found, None, arguments.table.digits, output)?;
    if output.json {
        let mut document = results_json(&found.evaluations, arguments.per_query);
        arguments.report.mention(&mut document);
        output.print_json(&document)?;
    } else {
        output.print(&arguments.text(&found))?;
    }
    Ok(())
}

impl Arguments {
    fn text(&self, found: &Evaluated) -> String {
        let evaluations = &found.evaluations;
        if self.trec {
            return evaluations.iter().map(|evaluation| self.trec_lines(evaluation)).collect();
        }
        if let Some(text) = self.table.marked_up(evaluations, None) {
            return text;
        }
        let mut text = self.table.table(evaluations, None).text();
        for evaluation in evaluations {
            let account = &evaluation.account;
            let (counted, judged) = (account.counted_queries, account.judged_queries);
            let _ = write!(text, "\n{}: {counted} of {judged} judged queries counted", evaluation.name);
            for remark in account.remarks() {
                let _ = write!(text, "; {remark}");
            }
            text.push_str(&shallow(evaluation));
        }
        if let Some(first) = evaluations.first() {
            let _ = writeln!(text, "\n{}", first.policy);
        }
        if self.per_query {
            text.push_str(&self.query_lines(evaluations));
        }
        text
    }

    /// `run<TAB>query<TAB>measure<TAB>value`, one line each.
    fn query_lines(&self, evaluations: &[Evaluation]) -> String {
        let mut text = String::from("\n");
        for evaluation in evaluations {
            for (place, query) in evaluation.queries.iter().enumerate() {
                for measured in &evaluation.measures {
                    let value = measured.values[place];
                    let _ = writeln!(
                        text,
                        "{}\t{query}\t{}\t{value:.*}",
                        evaluation.name, measured.measure, self.table.digits
                    );
                }
            }
        }
        text
    }

    /// trec_eval's lines; queries in byte order, as there.
    fn trec_lines(&self, evaluation: &Evaluation) -> String {
        let mut text = String::new();
        let name =
            |m: &plackett_eval::Measured| m.measure.trec_name().unwrap_or_else(|| m.measure.to_string());
        let number = |value: f64, aggregate: Aggregate| match aggregate {
            Aggregate::Sum => format!("{value:.0}"),
            _ => format!("{value:.*}", self.table.digits),
        };
        if self.per_query {
            let mut order: Vec<usize> = (0..evaluation.queries.len()).collect();
            order.sort_by(|&a, &b| evaluation.queries[a].as_bytes().cmp(evaluation.queries[b].as_bytes()));
            for place in order {
                for measured in &evaluation.measures {
                    let aggregate = measured.measure.declaration().aggregate;
                    if aggregate == Aggregate::GeometricMean || measured.measure.declaration().name == "NumQ"
                    {
                        continue;
                    }
                    let value = number(measured.values[place], aggregate);
                    let _ = writeln!(text, "{:<22}\t{}\t{value}", name(measured), evaluation.queries[place]);
                }
            }
        }
        let _ = writeln!(text, "{:<22}\tall\t{}", "runid", evaluation.name);
        for measured in &evaluation.measures {
            let value = number(measured.mean, measured.measure.declaration().aggregate);
            let _ = writeln!(text, "{:<22}\tall\t{value}", name(measured));
        }
        text
    }
}

/// A cut-off that no list of the run reaches says nothing about what stands below.
fn shallow(evaluation: &Evaluation) -> String {
    let deepest = evaluation.account.depth.max;
    let beyond: Vec<String> = evaluation
        .measures
        .iter()
        .filter(|m| m.measure.rank_cutoff().is_some_and(|cutoff| cutoff > deepest) && deepest > 0)
        .map(|m| m.measure.to_string())
        .collect();
    if beyond.is_empty() {
        String::new()
    } else {
        format!("; no list is deeper than {deepest}, so {} look at less than they say", beyond.join(", "))
    }
}
