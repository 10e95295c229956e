//! `plackett recommend eval`: recommenders side by side.

use super::{Data, check_seed};
use crate::command::number::whole;
use crate::command::table::{Align, Table};
use crate::command::{Outcome, Output};
use clap::Args;
use plackett_eval::{Interval, IntervalOptions};
use plackett_rec::{
    Configured, EvaluationOptions, FitData, Fitting, ListStatistics, RECOMMENDERS, TargetRank, Training,
    evaluate, leave_last_out, list_statistics, parse, split_at,
};
use plackett_train::Compute;
use serde_json::{Value, json};
use std::time::Instant;

/// Fit recommenders to all events but the last of each user, and rank the whole catalogue for that one
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Which one, with options; once for each [default: the ones that need no training]
    #[arg(long, short, value_name = "RECOMMENDER")]
    recommender: Vec<String>,
    /// Where lists are cut
    #[arg(short, long = "cutoff", value_name = "K", default_value = "10", value_parser = whole::<usize>(1..))]
    k: usize,
    /// Ask for the second last event of each user and leave the last one unseen: to choose settings by
    #[arg(long, conflicts_with = "after")]
    validation: bool,
    /// Learn from events before this time and ask for the first one after it
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = whole::<i64>(..))]
    after: Option<i64>,
    /// Let items of the history into the ranking
    #[arg(long)]
    include_seen: bool,
    /// From which what is drawn follows [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..))]
    seed: Option<u64>,
}

/// What was measured of a recommender.
struct Measured {
    configured: Configured,
    ranks: Vec<TargetRank>,
    lists: ListStatistics,
    seconds: f64,
}

/// Runs the command.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome {
    let untrained =
        || RECOMMENDERS.iter().filter(|spec| !spec.draws).map(|spec| spec.name.to_string()).collect();
    let wanted: Vec<String> =
        if arguments.recommender.is_empty() { untrained() } else { arguments.recommender.clone() };
    let wanted = wanted.iter().map(|text| parse(text)).collect::<Result<Vec<Configured>, _>>()?;
    check_seed(arguments.seed, &wanted)?;
    let all = arguments.data.read(output)?;
    let split = match arguments.after {
        Some(time) => split_at(&all, time),
        None => leave_last_out(&all, usize::from(arguments.validation)),
    };
    if split.cases.is_empty() {
        return Err(match arguments.after {
            Some(time) => anyhow::anyhow!(
                "--after {time}: no user has an event before this time and one after it; times are in the unit of the file"
            ),
            None => anyhow::anyhow!("no user has an event to ask for and one before it"),
        }
        .into());
    }
    if split.untested > 0 {
        output.warn(&format!(
            "{} of {} users have too few events and are not tested",
            split.untested,
            all.users.len()
        ));
    }
    let measured = wanted
        .into_iter()
        .map(|configured| measure(arguments, configured, &split, all.items.len(), output))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for one in &measured {
        let tied = one.ranks.iter().filter(|rank| rank.tied > 0).count();
        if tied > 0 {
            output.warn(&format!(
                "{}: in {tied} lists others have the score of what is asked for, which then has the middle of their places",
                one.configured
            ));
        }
    }
    told(arguments, &measured, output)
}

fn measure(
    arguments: &Arguments,
    configured: Configured,
    split: &Training,
    catalogue: usize,
    output: &Output,
) -> anyhow::Result<Measured> {
    let begun = Instant::now();
    let bar = output.progress(configured.spec.name, 0);
    let mut progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let compute = Compute::new(rayon::current_num_threads());
    let mut fitting =
        Fitting { compute, seed: arguments.seed.unwrap_or(1), kept: None, progress: &mut progress };
    let fitted = configured.fit(&FitData { catalogue, sequences: &split.sequences }, &mut fitting)?;
    bar.finish_and_clear();
    let options = EvaluationOptions { exclude_seen: !arguments.include_seen, keep: arguments.k };
    let ranks = evaluate(&*fitted, &split.cases, options)?;
    let mut counts = vec![0; catalogue];
    split.sequences.iter().flatten().for_each(|event| counts[event.item as usize] += 1);
    let lists = list_statistics(ranks.iter().map(|rank| &rank.list[..]), &counts);
    Ok(Measured { configured, ranks, lists, seconds: begun.elapsed().as_secs_f64() })
}

/// Hit rate, nDCG and reciprocal rank with their intervals.
fn means(ranks: &[TargetRank], k: usize) -> [(f64, Option<Interval>); 3] {
    let columns: [Vec<f64>; 3] = [
        ranks.iter().map(|rank| rank.hit(k)).collect(),
        ranks.iter().map(|rank| rank.ndcg(k)).collect(),
        ranks.iter().map(TargetRank::reciprocal).collect(),
    ];
    let intervals = IntervalOptions::default().of_columns(&columns);
    let mean = |at: usize| columns[at].iter().sum::<f64>() / columns[at].len().max(1) as f64;
    [0, 1, 2].map(|at| (mean(at), intervals.get(at).and_then(|interval| interval.best())))
}

fn told(arguments: &Arguments, measured: &[Measured], output: &Output) -> Outcome {
    let k = arguments.k;
    let names = [format!("HR@{k}"), format!("nDCG@{k}"), "MRR".to_string()];
    if output.json {
        let one = |one: &Measured| {
            let mut object = json!({
                "recommender": one.configured.to_string(),
                "coverage": one.lists.coverage,
                "gini": one.lists.gini,
                "popularity": one.lists.popularity,
                "seconds": one.seconds,
            });
            for (name, (mean, interval)) in names.iter().zip(means(&one.ranks, k)) {
                object[name] = json!({"mean": mean, "ci95": interval});
            }
            object
        };
        let all: Vec<Value> = measured.iter().map(one).collect();
        let tested = measured.first().map_or(0, |one| one.ranks.len());
        return Ok(output.print_json(&json!({"tested": tested, "recommenders": all}))?);
    }
    let columns = [("recommender".to_string(), Align::Left)];
    let numbers = names.iter().cloned().chain(["coverage", "Gini", "seconds"].map(String::from));
    let mut table = Table::new(columns.into_iter().chain(numbers.map(|name| (name, Align::Right))));
    for one in measured {
        let means = means(&one.ranks, k).map(|(mean, interval)| match interval {
            Some([low, high]) => format!("{mean:.4} [{low:.4}, {high:.4}]"),
            None => format!("{mean:.4}"),
        });
        let rest = [
            format!("{:.3}", one.lists.coverage),
            format!("{:.3}", one.lists.gini),
            format!("{:.1}", one.seconds),
        ];
        table.row([one.configured.to_string()].into_iter().chain(means).chain(rest));
    }
    Ok(output.print_styled(&table.render())?)
}
