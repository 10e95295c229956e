//! `plackett eval`: measures of runs against judgments.

use super::measuring::{Evaluated, MeasureArguments, evaluate_files};
use super::paths::Paths;
use super::printing::TableArguments;
use super::report_file::{Inputs, ReportArguments};
use super::trec_lines::TrecLines;
use super::{Global, Outcome, Output, terminal};
use anyhow::{anyhow, bail};
use clap::Args;
use plackett_core::formats::trec::read_reference_scores;
use plackett_eval::measure::{listing, listing_json};
use plackett_eval::{Evaluation, results_json, standardise};
use std::fmt::Write;
use std::path::PathBuf;

/// What has no effect beside `--list-measures`.
const LISTING_ALONE: [&str; 11] = [
    "qrels",
    "runs",
    "measures",
    "level",
    "compat",
    "report",
    "per_query",
    "trec",
    "markdown",
    "latex",
    "digits",
];

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
    /// With --trec: leave the lines over all queries out
    #[arg(short = 'n', long, requires = "trec", requires = "per_query", help_heading = "Output")]
    no_summary: bool,
    /// With --trec: print how many standard deviations a value is from the mean of reference runs, which the file has in
    /// lines `qid measure mean deviation`
    #[arg(short = 'Z', long, requires = "trec", value_name = "FILE", help_heading = "Output")]
    zscores: Option<PathBuf>,
    /// List all measures with their parameters and stop
    #[arg(long, help_heading = "What is measured", conflicts_with_all = LISTING_ALONE)]
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
    // The parser asks for it, unless another form than that is given.
    let trec_alone = [("--no-summary", arguments.no_summary), ("--zscores", arguments.zscores.is_some())];
    if let Some((flag, _)) = trec_alone.into_iter().find(|(_, given)| *given && !arguments.trec) {
        return Err(anyhow!("{flag}: has an effect only with --trec; give that, or leave it out").into());
    }
    arguments.table.check(global)?;
    let keep = arguments.report.is_wanted();
    arguments.report.check(qrels, arguments.measuring.on_preferences(), false)?;
    arguments.measuring.check(arguments.trec, false, keep)?;
    arguments.table.check_digits(global, keep)?;
    if arguments.per_query && arguments.table.is_marked_up() {
        return Err(anyhow!(
            "--per-query: a table in Markdown or LaTeX has a line for each run only; leave one out"
        )
        .into());
    }
    let files = Paths::default().reads("QRELS", [qrels]).reads("RUN", &arguments.runs);
    arguments.report.paths(files.reads("--zscores", &arguments.zscores)).check(output)?;
    let (measuring, trec) = (&arguments.measuring, arguments.trec);
    let mut found = evaluate_files(qrels, &arguments.runs, measuring, keep, trec, global, output)?;
    let inputs = Inputs { qrels, runs: &arguments.runs, measuring };
    arguments.report.write(&inputs, &found, None, arguments.table.digits(), global, output)?;
    arguments.check_texts(&found)?;
    arguments.standardise(&mut found, output)?;
    if output.json || arguments.trec || arguments.table.is_marked_up() {
        found.remarks().iter().for_each(|remark| output.warn(remark));
    }
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
            let lines = TrecLines {
                per_query: self.per_query,
                summary: !self.no_summary,
                standard: self.zscores.is_some(),
                run_id: self.measuring.names_the_run(),
                trec_order: self.measuring.is_trec_eval(),
                digits: self.table.digits(),
            };
            return evaluations.iter().map(|evaluation| lines.of(evaluation)).collect();
        }
        if let Some(text) = self.table.marked_up(evaluations, None) {
            return text;
        }
        let mut text = self.table.table(evaluations, None).text_within(terminal::columns());
        let _ = write!(text, "\n{}", found.accounts());
        if let Some(first) = evaluations.first() {
            let _ = writeln!(text, "{}", first.policy);
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
                        evaluation.name,
                        measured.measure,
                        self.table.digits()
                    );
                }
                for texts in &evaluation.texts {
                    let _ = writeln!(
                        text,
                        "{}\t{query}\t{}\t'{}'",
                        evaluation.name, texts.measure, texts.values[place]
                    );
                }
            }
        }
        text
    }

    /// Refuses measures of which nothing would be shown.
    fn check_texts(&self, found: &Evaluated) -> anyhow::Result<()> {
        let Some(first) = found.evaluations.first() else { return Ok(()) };
        if let (Some(texts), true, false) = (first.texts.first(), first.measures.is_empty(), self.per_query) {
            bail!("{} has a text for each query and no mean; add --per-query (-q)", texts.measure);
        }
        Ok(())
    }

    /// Puts standard scores in the place of values, where they are asked for.
    fn standardise(&self, found: &mut Evaluated, output: &Output) -> anyhow::Result<()> {
        let Some(path) = &self.zscores else { return Ok(()) };
        let reference = read_reference_scores(path)?;
        for evaluation in &mut found.evaluations {
            let missing = standardise(evaluation, &reference);
            if missing > 0 {
                output.warn(&format!(
                    "{}: {missing} values have no reference in {}, or one without spread; they are -1000000",
                    evaluation.name,
                    path.display()
                ));
            }
        }
        Ok(())
    }
}
