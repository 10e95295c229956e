//! `plackett arena judge`: how far an automatic judge agrees with people.

use crate::command::means::interval;
use crate::command::paths::Paths;
use crate::command::table::{Align, Table};
use crate::command::{Global, Outcome, Output};
use anyhow::{Context, anyhow};
use clap::Args;
use plackett_arena::Verdict;
use plackett_arena::judge::Agreement;
use plackett_core::formats::read_json_lines;
use plackett_eval::Interval;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Say how far an automatic judge agrees with people, beside the floors
#[derive(Args)]
#[command(after_help = "Example:\n  \
                        plackett arena judge answers.jsonl\n\n\
                        A line is {\"answer\": \"… [[A>B]]\", \"label\": \"leftvote\"}: what the judge wrote, and what people said\n\
                        (leftvote, rightvote, tievote, bothbad_vote, or any word of a vote file). The first [[…]] of a line\n\
                        of the answer counts: [[A>B]], [[B>A]], [[A=B=Good]], [[A=B=Bad]]. An answer without one is wrong.")]
pub struct Arguments {
    /// Answers of the judge with the labels of people (`-`: standard input)
    answers: PathBuf,
}

#[derive(Deserialize)]
struct Line {
    answer: String,
    label: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default().reads("ANSWERS", [&arguments.answers]).check(output)?;
    let pairs = read(&arguments.answers, global.max_line_bytes)?;
    let agreement = Agreement::new(pairs.iter().map(|(answer, verdict)| (answer.as_str(), *verdict)));
    if agreement.unparsed > 0 {
        output.warn(&format!("{} answers have no label, and count as wrong", agreement.unparsed));
    }
    let sure = interval_of(&agreement);
    if output.json {
        let mut document = json!({"agreement": agreement});
        document["agreement"]["accuracy_ci95"] = json!(sure);
        return Ok(output.print_json(&document)?);
    }
    let sure = sure.map_or_else(String::new, |[low, high]| {
        format!(" (95 % interval {:.1} to {:.1} %)", 100.0 * low, 100.0 * high)
    });
    output.print(&format!(
        "{} comparisons: the judge agrees with people in {:.1} %{sure}\nalways the commonest label: {:.1} %; any of the four: {:.1} %\n\n",
        agreement.count,
        100.0 * agreement.accuracy,
        100.0 * agreement.majority,
        100.0 * agreement.random
    ))?;
    let mut table = Table::new(
        [("label", Align::Left), ("people", Align::Right), ("judge", Align::Right)]
            .map(|(name, align)| (name.to_string(), align)),
    );
    for (at, name) in ["left is better", "right is better", "both good", "both bad"].into_iter().enumerate() {
        table.row([name.to_string(), agreement.human[at].to_string(), agreement.judge[at].to_string()]);
    }
    Ok(output.print_styled(&table.render())?)
}

/// The 95 % interval of the share of comparisons in which the judge agrees with people.
fn interval_of(agreement: &Agreement) -> Option<Interval> {
    let right = (agreement.accuracy * agreement.count as f64).round() as usize;
    let values: Vec<f64> = (0..agreement.count).map(|at| f64::from(u8::from(at < right))).collect();
    interval(&values)
}

fn read(path: &Path, limit: usize) -> anyhow::Result<Vec<(String, Verdict)>> {
    let mut pairs = Vec::new();
    for (number, line) in read_json_lines::<Line>(path, limit, "{\"answer\": …, \"label\": …}")? {
        let place = || format!("{}, line {number}", path.display());
        let verdict = Verdict::parse(&line.label).ok_or_else(|| {
            anyhow!("the label is `{}`; write leftvote, rightvote, tievote or bothbad_vote", line.label)
        });
        pairs.push((line.answer, verdict.with_context(place)?));
    }
    if pairs.is_empty() {
        return Err(anyhow!("{}: there is no answer; give at least one line", path.display()));
    }
    Ok(pairs)
}
