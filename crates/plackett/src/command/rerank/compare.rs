//! `--methods a,b,c --compare`: methods on the same candidates, quality beside cost.

use super::arguments::{Arguments, Format};
use super::requests::{self, Groups, Incoming};
use super::{TOGETHER, check_model, rank, repaired};
use crate::command::failure::sentence;
use crate::command::open::read_qrels;
use crate::command::results::strict_scores;
use crate::command::table::{Align, Table};
use crate::command::terminal::plain;
use crate::command::{Failure, Global, Outcome, Output};
use anyhow::{Context, bail};
use plackett::Pipeline;
use plackett::manifest::Cost;
use plackett::pipeline::Models;
use plackett_core::formats::BeirFolder;
use plackett_core::{Qrels, Ranking, Run, Status};
use plackett_eval::measure::parse_list;
use plackett_eval::{
    CompareOptions, Comparison, Evaluation, Evaluator, IntervalOptions, Missing, Policy, compare,
};
use plackett_rank::InputOrder;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;

/// What is measured.
const MEASURE: &str = "nDCG@10";

/// One method and what came of it.
struct Row {
    name: String,
    run: Run,
    cost: Cost,
    failed: usize,
    repaired: usize,
}

/// Runs the command with `--compare`.
pub(super) fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let names = split(arguments.comparing.methods.as_deref().unwrap_or_default());
    if names.len() < 2 {
        return Err(anyhow::anyhow!(
            "--methods: name at least two, as in --methods bi-encoder,late-interaction"
        )
        .into());
    }
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(anyhow::anyhow!("--methods: `{twice}` stands twice; write it once").into());
    }
    let models = Models::new(arguments.model.clone(), global.models());
    let settings = arguments.long_text.settings()?;
    let resolve = |name: &String| match name.as_str() {
        InputOrder::NAME => Ok(Pipeline::input_order()),
        _ => Pipeline::resolve(name, None, &models, &settings),
    };
    let pipelines: Vec<Pipeline> = names.iter().map(resolve).collect::<Result<_, _>>()?;
    check_model(arguments, &models)?;
    let qrels = judgments(arguments.comparing.qrels.as_deref().context("--compare needs --qrels")?)?;
    let (groups, unread) = read(arguments, global, output)?;
    let requests: Vec<&Incoming> =
        groups.iter().flatten().filter_map(|request| request.as_ref().ok()).collect();
    check_ids(&requests)?;
    remark(&requests, &qrels, output);
    let bar = output.progress("comparing", (names.len() * requests.len()) as u64);
    let mut rows = Vec::with_capacity(names.len());
    for (name, pipeline) in names.iter().zip(&pipelines) {
        rows.push(row(
            name,
            pipeline,
            &groups,
            arguments.strict,
            || bar.inc(1),
            |problem| output.part_failed(&bar, problem),
        )?);
    }
    bar.finish_and_clear();
    // Judged queries that nobody asked about do not count; those that a method could not rank count as nothing found.
    let policy = Policy { missing: Missing::Skip, ..Policy::default() };
    let evaluator =
        Evaluator { measures: parse_list(MEASURE)?, policy, intervals: IntervalOptions::default() };
    let evaluations: Vec<Evaluation> =
        rows.iter().map(|row| evaluator.evaluate(&qrels, &row.run)).collect::<Result<_, _>>()?;
    let comparison = compare(&evaluations[0], &evaluations[1..], &CompareOptions::default())?;
    print(&rows, &evaluations, &comparison, requests.len(), output)?;
    match unread + rows.iter().map(|row| row.failed).sum::<usize>() {
        0 => Ok(()),
        failed => Err(Failure::Check(format!(
            "{failed} requests could not be read or ranked; those that a method could not rank count as 0"
        ))),
    }
}

/// The names of a list; commas in parentheses and quotation marks belong to the options of one.
fn split(list: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    let mut names = vec![String::new()];
    for sign in list.chars() {
        match sign {
            '"' if !escaped => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        escaped = sign == '\\' && !escaped;
        match names.last_mut() {
            Some(name) if sign != ',' || depth > 0 || quoted => name.push(sign),
            _ => names.push(String::new()),
        }
    }
    names.iter().map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).collect()
}

/// A file of judgments, or those of a BEIR folder.
fn judgments(path: &Path) -> anyhow::Result<Qrels> {
    let file = if path.is_dir() { BeirFolder::at(path).qrels_file("test")? } else { path.to_path_buf() };
    Ok(read_qrels(&file)?)
}

type Group = Vec<anyhow::Result<Incoming>>;

/// All requests, in the groups in which methods get them, and how many could not be read.
fn read(arguments: &Arguments, global: &Global, output: &Output) -> anyhow::Result<(Vec<Group>, usize)> {
    let requests = requests::open(arguments, Format::Jsonl, global, output)?;
    let groups: Vec<Group> = Groups { requests, most: TOGETHER }.collect();
    let mut unread = 0;
    for error in groups.iter().flatten().filter_map(|request| request.as_ref().err()) {
        if arguments.strict {
            bail!("{}", sentence(error));
        }
        unread += 1;
        output.part_failed(&indicatif::ProgressBar::hidden(), &sentence(error));
    }
    Ok((groups, unread))
}

fn check_ids(requests: &[&Incoming]) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    match requests.iter().find(|incoming| !seen.insert(incoming.request.query.id.as_str())) {
        None if requests.is_empty() => bail!("there are no requests to compare methods on"),
        None => Ok(()),
        Some(twice) => bail!(
            "line {}: two requests have the query id `{}`, and judgments are by query id; give them different ids",
            twice.line,
            twice.request.query.id
        ),
    }
}

/// Says which queries are not measured.
fn remark(requests: &[&Incoming], qrels: &Qrels, output: &Output) {
    let asked: HashSet<&str> = requests.iter().map(|incoming| incoming.request.query.id.as_str()).collect();
    let unjudged = asked.iter().filter(|id| qrels.query(id).is_none()).count();
    if unjudged > 0 {
        output.warn(&format!(
            "{unjudged} of {} requests have no judgments; they cost, and are not measured",
            asked.len()
        ));
    }
    let unasked = qrels.queries().iter().filter(|query| !asked.contains(query.id())).count();
    if unasked > 0 {
        output.warn(&format!(
            "{unasked} of {} judged queries are not among the requests and do not count",
            qrels.queries().len()
        ));
    }
}

/// Ranks all requests by one method.
fn row(
    name: &str,
    pipeline: &Pipeline,
    groups: &[Group],
    strict: bool,
    done: impl Fn(),
    fail: impl Fn(&str),
) -> Result<Row, Failure> {
    let mut row =
        Row { name: name.into(), run: Run::new(name), cost: Cost::default(), failed: 0, repaired: 0 };
    for group in groups {
        let read = group.iter().filter_map(|request| request.as_ref().ok());
        for (incoming, answer) in read.zip(rank(pipeline, group, None, None)) {
            match answer {
                Ok(ranking) => match repaired(incoming.line, &ranking).filter(|_| strict) {
                    Some(unranked) => return Err(unranked.at(name).end()),
                    None => row.take(&ranking)?,
                },
                Err(unranked) => {
                    let unranked = unranked.at(&format!("{name}: line {}", incoming.line));
                    if strict {
                        return Err(unranked.end());
                    }
                    row.failed += 1;
                    // The query is there, with nothing found.
                    row.run.query_mut(&incoming.request.query.id);
                    fail(&unranked.problem);
                }
            }
            done();
        }
    }
    Ok(row)
}

impl Row {
    fn take(&mut self, ranking: &Ranking) -> anyhow::Result<()> {
        self.cost.add(&ranking.trace);
        self.repaired += usize::from(ranking.trace.status == Status::Repaired);
        let query = self.run.query_mut(&ranking.query_id);
        for (entry, score) in ranking.entries.iter().zip(strict_scores(ranking)) {
            query.push(&entry.id, score)?;
        }
        Ok(())
    }
}

fn print(
    rows: &[Row],
    evaluations: &[Evaluation],
    comparison: &Comparison,
    requests: usize,
    output: &Output,
) -> anyhow::Result<()> {
    if output.json {
        return output.print_json(&document(rows, evaluations, comparison, requests));
    }
    let heading =
        ["method", "nDCG@10", "95 % interval", "passes", "read", "written", "seconds", "difference", "p"];
    let align = |n: usize| if n == 0 { Align::Left } else { Align::Right };
    let mut table = Table::new(heading.iter().enumerate().map(|(n, name)| ((*name).to_string(), align(n))));
    let each = |total: f64, digits: usize| format!("{:.digits$}", total / requests as f64);
    for (n, (row, evaluation)) in rows.iter().zip(evaluations).enumerate() {
        let measured = &evaluation.measures[0];
        let interval = measured.intervals.best();
        let against = n.checked_sub(1).and_then(|n| comparison.compared.get(n));
        let mut cells = vec![
            plain(&row.name).into_owned(),
            format!("{:.4}", measured.mean),
            interval.map_or("–".into(), |[low, high]| format!("[{low:.4}, {high:.4}]")),
            each(row.cost.passes as f64, 1),
            each(row.cost.prompt_tokens as f64, 0),
            each(row.cost.generated_tokens as f64, 0),
            each(row.cost.seconds, 3),
        ];
        if let Some(against) = against {
            let t = against.t.map_or("–".into(), |t| format!("{:.3}", t.corrected_p));
            cells.extend([format!("{:+.4}", against.difference), t]);
        }
        table.row(cells);
    }
    let counted = evaluations.first().map_or(0, |evaluation| evaluation.queries.len());
    let repaired: Vec<String> = rows
        .iter()
        .filter(|row| row.repaired > 0)
        .map(|row| format!("{}: {} answers had to be repaired\n", plain(&row.name), row.repaired))
        .collect();
    output.print_styled(&format!(
        "{}\n{}{counted} queries; passes, tokens (read, written) and seconds for each request; p of the paired t-test against \
         {}, corrected (Holm); {}\n",
        table.render(),
        repaired.concat(),
        plain(&comparison.baseline),
        comparison.policy,
    ))?;
    Ok(())
}

fn document(rows: &[Row], evaluations: &[Evaluation], comparison: &Comparison, requests: usize) -> Value {
    let of = |(row, evaluation): (&Row, &Evaluation)| {
        let measured = &evaluation.measures[0];
        json!({
            "method": row.name,
            MEASURE: measured.mean,
            "ci95": measured.intervals.best(),
            "n": measured.values.len(),
            "failed": row.failed,
            "repaired": row.repaired,
            "cost": row.cost,
        })
    };
    json!({
        "methods": rows.iter().zip(evaluations).map(of).collect::<Vec<Value>>(),
        "requests": requests,
        "comparison": comparison,
    })
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn commas_of_options_do_not_part_methods() {
        assert_eq!(split("a, b(x=1, y=\"),\") >> c:5,,d"), ["a", "b(x=1, y=\"),\") >> c:5", "d"]);
        assert_eq!(split(r#"a(x="\",b"),c"#), [r#"a(x="\",b")"#, "c"]);
        assert!(split(" , ").is_empty());
    }
}
