//! `plackett recommend eval`: recommenders side by side.

use super::page::{self, Shown};
use super::slices::{Slice, slices};
use super::texts::{self, VectorsByEncoder};
use super::{Data, check_seed, exists, remark_on_flat};
use crate::command::means::interval;
use crate::command::number::whole;
use crate::command::open::many;
use crate::command::paths::Paths;
use crate::command::table::{Align, Table};
use crate::command::{Global, Outcome, Output};
use anyhow::bail;
use clap::Args;
use plackett::content_hash::{content, is_stream};
use plackett_eval::{Interval, IntervalOptions, mean};
use plackett_rec::{
    CodeUse, Codebook, Configured, EvaluationOptions, FitData, FitStep, Fitting, Interactions,
    ListStatistics, PopularityGroup, RECOMMENDERS, Recommender, TargetRank, Training, evaluate,
    leave_last_out, list_statistics, parse, popularity_groups, split_at,
};
use plackett_train::Compute;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Groups of targets by their popularity, beside those never seen.
const GROUPS: usize = 5;

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
    /// Write a self-contained HTML page: intervals, groups by popularity, learning curves, users with their lists
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Titles of the items, for the page and for recommenders that read texts: lines of JSON with `item` and `title`
    #[arg(long, value_name = "FILE")]
    titles: Option<PathBuf>,
}

/// What was measured of a recommender.
pub(super) struct Measured {
    pub configured: Configured,
    pub fitted: Box<dyn Recommender>,
    pub ranks: Vec<TargetRank>,
    pub lists: ListStatistics,
    /// The mean loss of each step, where there are losses.
    pub losses: Vec<f64>,
    pub seconds: f64,
}

impl Measured {
    /// Hit rate at `k` over some cases, with its 95 % interval.
    pub fn hit_rate(&self, cases: &[usize], k: usize) -> (f64, Option<Interval>) {
        let hits: Vec<f64> = cases.iter().map(|case| self.ranks[*case].hit(k)).collect();
        (mean(&hits), interval(&hits))
    }

    /// Says in how many lists the place of what is asked for is not one.
    fn remark_on_ties(&self, output: &Output) {
        let tied = self.ranks.iter().filter(|rank| rank.tied > 0).count();
        if tied > 0 {
            output.warn(&format!(
                "{}: in {tied} lists others have the score of what is asked for, which then has the middle of their places",
                self.configured
            ));
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let wanted = arguments.recommenders()?;
    arguments.check_titles(&wanted)?;
    Paths::default()
        .reads("INTERACTIONS", [&arguments.data.interactions])
        .reads("--titles", &arguments.titles)
        .writes("--report", &arguments.report)
        .check(output)?;
    if let Some(report) = &arguments.report {
        check_report(report)?;
    }
    let all = arguments.data.read(global, output)?;
    wanted.iter().try_for_each(|configured| configured.check(all.items.len()))?;
    let words = texts::words(arguments.titles.as_deref(), global)?;
    if let Some(words) = words.as_ref().filter(|_| arguments.report.is_some()) {
        texts::remark_on_untitled(&words.titles, &all, output);
    }
    let split = arguments.split(&all, output)?;
    let vectors = VectorsByEncoder::read(&wanted, (words.as_ref(), &all), global, output)?;
    let titles = words.unwrap_or_default().titles;
    let measured = wanted
        .into_iter()
        .map(|configured| {
            let texts = vectors.of(&configured);
            let data = FitData { catalogue: all.items.len(), sequences: &split.sequences, texts };
            measure(arguments, configured, &split, &data, output)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    measured.iter().for_each(|one| one.remark_on_ties(output));
    let groups = popularity_groups(&split.cases, &counts(&split, all.items.len()), GROUPS);
    if let Some(path) = &arguments.report {
        let (protocol, k) = (arguments.protocol(), arguments.k);
        let provenance = arguments.provenance();
        let shown = Shown {
            all: &all,
            split: &split,
            titles: &titles,
            measured: &measured,
            groups: &groups,
            k,
            protocol,
            provenance,
        };
        page::write(path, &shown)?;
        output.note(&format!("page: {}", path.display()));
    }
    told(arguments, &measured, &groups, output)
}

impl Arguments {
    /// The recommenders that are asked for; without any, those that nothing is drawn for.
    fn recommenders(&self) -> anyhow::Result<Vec<Configured>> {
        let untrained = RECOMMENDERS.iter().filter(|spec| !spec.draws).map(|spec| spec.name);
        let wanted = match self.recommender.is_empty() {
            true => untrained.map(parse).collect::<Result<Vec<Configured>, _>>()?,
            false => self.recommender.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?,
        };
        check_seed(self.seed, &wanted)?;
        Ok(wanted)
    }

    /// Refuses titles that nothing reads, and recommenders that lack them.
    fn check_titles(&self, wanted: &[Configured]) -> anyhow::Result<()> {
        exists("--titles", self.titles.as_deref())?;
        if self.titles.is_some() && self.report.is_none() && !wanted.iter().any(texts::reads_texts) {
            bail!(
                "--titles: they are for the page of --report and for recommenders that read texts; leave them out"
            );
        }
        texts::check(wanted, self.titles.as_deref())
    }

    /// What is learned from and what is asked for.
    fn split<'e>(&self, all: &'e Interactions, output: &Output) -> anyhow::Result<Training<'e>> {
        let split = match self.after {
            Some(time) => split_at(all, time),
            None => leave_last_out(all, usize::from(self.validation)),
        };
        if split.cases.is_empty() {
            match self.after {
                Some(time) => bail!(
                    "--after {time}: no user has an event before this time and one after it; times are in the unit of the file"
                ),
                None => bail!(
                    "{}: no user has an event to ask for and one before it; give a file with more events of each",
                    self.data.interactions.display()
                ),
            }
        }
        if split.untested > 0 {
            output.warn(&format!(
                "{} of {} users have too few events and are not tested",
                split.untested,
                all.users.len()
            ));
        }
        Ok(split)
    }

    /// How test cases are made, in a sentence.
    fn protocol(&self) -> String {
        match (self.after, self.validation) {
            (Some(time), _) => {
                format!("Learned from events before {time}, asked for the first one of each user after it.")
            }
            (None, true) => "Asked for the second last event of each user; the last one is unseen.".into(),
            (None, false) => "Asked for the last event of each user, learned from those before.".into(),
        }
    }

    /// What was run on what.
    fn provenance(&self) -> Vec<(&'static str, String)> {
        let file = &self.data.interactions;
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        let mut provenance = vec![("interactions", name)];
        if !is_stream(file) {
            provenance.extend(content(file).ok().map(|content| ("SHA-256", content.sha256)));
        }
        provenance.push(("seed", self.seed.unwrap_or(1).to_string()));
        provenance.push((
            "items of the history",
            if self.include_seen { "in the ranking" } else { "left out" }.into(),
        ));
        provenance.extend((self.data.core > 0).then(|| ("k-core", self.data.core.to_string())));
        provenance.extend(self.data.least_rating.map(|rating| ("least rating", rating.to_string())));
        provenance.push(("plackett", env!("CARGO_PKG_VERSION").to_string()));
        provenance
    }
}

/// Refuses a page that could not be written, before models are fitted for hours.
fn check_report(report: &Path) -> anyhow::Result<()> {
    let folder = report.parent().filter(|folder| !folder.as_os_str().is_empty());
    if report.is_dir() || folder.is_some_and(|folder| !folder.is_dir()) {
        bail!("--report {}: name a file in a folder that is there", report.display());
    }
    Ok(())
}

/// Training events of each item.
fn counts(split: &Training<'_>, catalogue: usize) -> Vec<usize> {
    let mut counts = vec![0; catalogue];
    split.sequences.iter().copied().flatten().for_each(|event| counts[event.item as usize] += 1);
    counts
}

fn measure(
    arguments: &Arguments,
    configured: Configured,
    split: &Training<'_>,
    data: &FitData<'_>,
    output: &Output,
) -> anyhow::Result<Measured> {
    let begun = Instant::now();
    let bar = output.progress(configured.spec.name, 0);
    let (mut losses, mut flat) = (Vec::new(), 0);
    let mut progress = |step: FitStep| {
        bar.set_length(step.total as u64);
        bar.set_position(step.done as u64);
        losses.extend(step.loss);
        flat += step.flat;
    };
    let compute = Compute::new(rayon::current_num_threads());
    let mut fitting =
        Fitting { compute, seed: arguments.seed.unwrap_or(1), kept: None, progress: &mut progress };
    let fitted = configured.fit(data, &mut fitting)?;
    bar.finish_and_clear();
    remark_on_flat(flat, configured.spec.name, output);
    let options = EvaluationOptions { exclude_seen: !arguments.include_seen, keep: arguments.k };
    let ranks = evaluate(&*fitted, &split.cases, options)?;
    let lists = list_statistics(ranks.iter().map(|rank| &rank.list[..]), &counts(split, data.catalogue));
    Ok(Measured { configured, fitted, ranks, lists, losses, seconds: begun.elapsed().as_secs_f64() })
}

/// Hit rate, nDCG and reciprocal rank with their intervals.
pub(super) fn means(ranks: &[TargetRank], k: usize) -> [(f64, Option<Interval>); 3] {
    let columns: [Vec<f64>; 3] = [
        ranks.iter().map(|rank| rank.hit(k)).collect(),
        ranks.iter().map(|rank| rank.ndcg(k)).collect(),
        ranks.iter().map(|rank| rank.reciprocal(k)).collect(),
    ];
    let intervals = IntervalOptions::default().of_columns(&columns);
    let mean = |at: usize| columns[at].iter().sum::<f64>() / columns[at].len().max(1) as f64;
    [0, 1, 2].map(|at| (mean(at), intervals.get(at).and_then(|interval| interval.best())))
}

/// A mean with its interval, where there is one.
fn in_words((mean, interval): (f64, Option<Interval>)) -> String {
    match interval {
        Some([low, high]) => format!("{mean:.4} [{low:.4}, {high:.4}]"),
        None => format!("{mean:.4}"),
    }
}

/// The codes by which a recommender writes items, level by level.
fn codes(codebook: &Codebook) -> Value {
    let level = |level: &CodeUse| json!({"used": level.used, "codes": level.codes, "entropy": level.entropy});
    let levels: Vec<Value> = codebook.levels.iter().map(level).collect();
    json!({"levels": levels, "colliding": codebook.colliding})
}

fn told(
    arguments: &Arguments,
    measured: &[Measured],
    groups: &[PopularityGroup],
    output: &Output,
) -> Outcome {
    let k = arguments.k;
    let names = page::measures(k);
    let slices = slices(groups);
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
            let group = |group: &PopularityGroup| {
                let (rate, ci95) = one.hit_rate(&group.cases, k);
                json!({
                    "least": group.least,
                    "most": group.most,
                    "tested": group.cases.len(),
                    (names[0].as_str()): rate,
                    "ci95": ci95,
                })
            };
            object["by_popularity"] = groups.iter().map(group).collect();
            let slice = |slice: &Slice| {
                let mut object = json!({"slice": slice.name, "tested": slice.cases.len()});
                for (name, (mean, interval)) in names.iter().zip(slice.means(one, k)) {
                    object[name] = json!({"mean": mean, "ci95": interval});
                }
                object
            };
            object["slices"] = slices.iter().map(slice).collect();
            object["codes"] = one.fitted.codebook().map_or(Value::Null, codes);
            object["experts"] = json!(one.fitted.expert_loads());
            object
        };
        let all: Vec<Value> = measured.iter().map(one).collect();
        let tested = measured.first().map_or(0, |one| one.ranks.len());
        let report = &arguments.report;
        return Ok(output.print_json(&json!({"tested": tested, "recommenders": all, "report": report}))?);
    }
    let columns = [("recommender".to_string(), Align::Left)];
    let of_lists = ["coverage", "Gini", "popularity", "seconds"].map(String::from);
    let numbers = names.iter().cloned().chain(of_lists);
    let mut table = Table::new(columns.into_iter().chain(numbers.map(|name| (name, Align::Right))));
    for one in measured {
        let means = means(&one.ranks, k).map(in_words);
        let rest = [
            format!("{:.3}", one.lists.coverage),
            format!("{:.3}", one.lists.gini),
            format!("{:.4}", one.lists.popularity),
            format!("{:.1}", one.seconds),
        ];
        table.row([one.configured.to_string()].into_iter().chain(means).chain(rest));
        for slice in &slices {
            let name = format!("  {} ({})", slice.name, many(slice.cases.len(), "user"));
            table.row([name].into_iter().chain(slice.means(one, k).map(in_words)));
        }
    }
    Ok(output.print_styled(&table.render())?)
}
