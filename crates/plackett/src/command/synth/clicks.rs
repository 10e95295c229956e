//! `plackett synth clicks`: grades of documents from a log of clicks, by a tree that learns them of graded ones.

use crate::command::number::whole;
use crate::command::open::{many, many_queries, read_qrels};
use crate::command::paths::{Paths, check_made};
use crate::command::{Failure, Global, Outcome, Output};
use anyhow::{Context, anyhow};
use clap::Args;
use plackett::click_labels::ClickLabels;
use plackett_core::Qrels;
use plackett_core::formats::AtomicFile;
use plackett_core::formats::trec::write_qrels;
use plackett_train::synth::{ClickLog, TreeOptions};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Grades of documents from a log of clicks: a tree learns them of documents that people have graded, and its rules can be read
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett synth clicks log.tsv --qrels graded.tsv -o labels.jsonl --rules rules.txt\n  \
                        plackett synth clicks log.jsonl.gz --qrels graded.tsv -o labels.jsonl --grades clicked.qrels\n  \
                        plackett synth negatives my.index --queries q.jsonl --qrels clicked.qrels -o train.jsonl\n\n\
                        A line of the log is one document that was shown: columns with tabs between them, whose names\n\
                        are the first line (session, query, docid, rank, clicked, dwell), or a JSON object with these\n\
                        names. session and dwell (seconds) may be absent. Lines of a session stand together. What is\n\
                        made has lines {\"qid\": …, \"docid\": …, \"label\": 2.31, \"grade\": 2, \"rate\": 0.4,\n\
                        \"impressions\": 9, \"clicks\": 4}: the grade that is expected, the likeliest one, and the click rate.")]
pub struct Arguments {
    /// The log: lines of columns or JSON objects, .gz and .zst too; `-` for standard input
    log: PathBuf,
    /// Grades that people gave to documents of the log: a TREC qrels file, or a BEIR qrels file (.tsv)
    #[arg(long, value_name = "FILE")]
    qrels: PathBuf,
    /// The file that is made
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Write the likeliest grades as TREC judgments too, for `plackett synth negatives`
    #[arg(long, value_name = "FILE")]
    grades: Option<PathBuf>,
    /// Write the rules of the tree, as text, or as JSON where the name ends in .json
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Questions of the tree on the way to a grade, at most
    #[arg(long, value_name = "N", default_value = "6", value_parser = whole::<usize>(1..=64))]
    depth: usize,
    /// Graded documents that an answer of the tree goes by, at least
    #[arg(long, value_name = "N", default_value = "5", value_parser = whole::<usize>(1..))]
    leaf: usize,
}

/// A line of what is made.
#[derive(Serialize)]
struct Label<'l> {
    qid: &'l str,
    docid: &'l str,
    label: f64,
    grade: usize,
    rate: f64,
    impressions: u64,
    clicks: u64,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let files = Paths::default().reads("LOG", [&arguments.log]).reads("--qrels", [&arguments.qrels]);
    let files = files.writes("--output", [&arguments.output]).writes("--grades", &arguments.grades);
    files.writes("--rules", &arguments.rules).check(output)?;
    check_made("--output", &arguments.output)?;
    for (flag, path) in [("--grades", &arguments.grades), ("--rules", &arguments.rules)] {
        if let Some(path) = path {
            check_made(flag, path)?;
        }
    }
    let qrels = read_qrels(&arguments.qrels)?;
    let bar = output.counter("reading");
    let log = ClickLog::read(&arguments.log, global.max_line_bytes, &|line| bar.set_position(line));
    bar.finish_and_clear();
    let log = log?;
    remarks(&log, output);
    if log.impressions == 0 {
        let file = arguments.log.display();
        return Err(anyhow!("{file}: no line is an impression, and nothing was written").into());
    }
    let options = TreeOptions { depth: arguments.depth, leaf: arguments.leaf };
    let labels = ClickLabels::learn(&log, &qrels, options).context("--qrels")?;
    if let Some(path) = &arguments.grades {
        write_qrels(path, &grades(&log, &labels)?).context("--grades")?;
    }
    if let Some(path) = &arguments.rules {
        write_rules(&labels, path)?;
    }
    let documents = write_labels(&log, &labels, &arguments.output)?;
    say(arguments, (&log, &labels, documents), output)?;
    match log.bad.values().map(|(count, _)| count).sum::<usize>() {
        0 => Ok(()),
        bad => Err(Failure::Check(format!("left out of the log: {}", many(bad, "line")))),
    }
}

/// What the log is not as it should be.
fn remarks(log: &ClickLog, output: &Output) {
    for (reason, (count, first)) in &log.bad {
        let lines = many(*count, "line");
        output.warn(&format!("left out: {lines} of the log ({}); the first is line {first}", reason.words()));
    }
    if log.parted > 0 {
        let parts = many(log.parted, "part");
        output.warn(&format!(
            "sessions go on after lines of others; {parts} of them count as sessions of their own: sort the log by session and query"
        ));
    }
    let untimed = log.clicks - log.timed;
    if log.timed == 0 && log.clicks > 0 {
        output.warn("no click has a dwell: the tree goes by counts of clicks alone");
    } else if untimed > 0 {
        output.warn(&format!(
            "{untimed} of {} have no dwell and count as left at once",
            many(log.clicks, "click")
        ));
    }
}

/// The likeliest grades as judgments.
fn grades(log: &ClickLog, labels: &ClickLabels) -> anyhow::Result<Qrels> {
    let mut qrels = Qrels::new();
    for query in &log.queries {
        let judged = qrels.query_mut(&query.id);
        for (document, features) in query.documents.iter().zip(&query.features) {
            let (grade, _) = labels.label(features);
            judged.push("0", document, i32::try_from(grade)?)?;
        }
    }
    Ok(qrels)
}

fn write_rules(labels: &ClickLabels, path: &Path) -> anyhow::Result<()> {
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let text = match is_json {
        true => format!("{}\n", serde_json::to_string_pretty(&labels.rules_json())?),
        false => labels.rules(),
    };
    let mut file = AtomicFile::create(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("--rules {}", path.display()))?;
    Ok(file.commit()?)
}

/// Writes a line for each document of each query, and gives how many.
fn write_labels(log: &ClickLog, labels: &ClickLabels, path: &Path) -> anyhow::Result<usize> {
    let mut file = AtomicFile::create(path)?;
    let mut written = 0;
    for query in &log.queries {
        for (document, features) in query.documents.iter().zip(&query.features) {
            let (grade, label) = labels.label(features);
            let line = Label {
                qid: &query.id,
                docid: document,
                label,
                grade,
                rate: features.rate(),
                impressions: features.impressions as u64,
                clicks: features.clicks as u64,
            };
            writeln!(file, "{}", serde_json::to_string(&line)?)?;
            written += 1;
        }
    }
    file.commit()?;
    Ok(written)
}

/// Says what came out.
fn say(
    arguments: &Arguments,
    (log, labels, documents): (&ClickLog, &ClickLabels, usize),
    output: &Output,
) -> anyhow::Result<()> {
    if output.json {
        let bad: Map<String, Value> =
            log.bad.iter().map(|(reason, (count, _))| (reason.words().into(), json!(count))).collect();
        return output.print_json(&json!({
            "impressions": log.impressions,
            "sessions": log.sessions,
            "clicks": log.clicks,
            "timed": log.timed,
            "parted": log.parted,
            "left_out": bad,
            "queries": log.queries.len(),
            "documents": documents,
            "graded": {"queries": labels.queries, "documents": labels.documents, "highest": labels.highest},
            "held_out": labels.held_out,
            "output": arguments.output,
            "grades": arguments.grades,
            "rules": arguments.rules,
        }));
    }
    let (made, asked) = (many(documents, "document"), many_queries(log.queries.len()));
    let mut text = format!(
        "{}: labels of {made} of {asked}, from {} in {}\n",
        arguments.output.display(),
        many(log.impressions, "impression"),
        many(log.sessions, "session")
    );
    let (graded, queries) = (many(labels.documents, "document"), many_queries(labels.queries));
    text += &format!("learned from {graded} of {queries} with grades up to {}\n", labels.highest);
    if let Some(held_out) = &labels.held_out {
        text += &format!(
            "rank correlation with the grades of {} that were left out to measure it: {:.3}; of the click rate: {:.3}\n",
            many_queries(held_out.queries),
            held_out.expected,
            held_out.rate
        );
    }
    if let Some(path) = &arguments.grades {
        let path = path.display();
        text += &format!(
            "\nTry next: plackett synth negatives INDEX --queries FILE --qrels {path} -o train.jsonl\n"
        );
    }
    Ok(output.print(&text)?)
}
