//! The page of `recommend eval`: what somebody who builds recommenders looks at, in one HTML file that loads nothing.

use super::evaluate::{Measured, means};
use super::slices::slices;
use crate::command::open::many;
use askama::Template;
use plackett_core::formats::atomic;
use plackett_eval::report::curve_plot;
use plackett_eval::{Interval, IntervalOptions};
use plackett_rec::{CodeUse, Codebook, Interactions, PopularityGroup, Request, TestCase, Training, reasons};
use std::collections::HashMap;
use std::path::Path;

/// Users that are shown.
const EXAMPLES: usize = 6;
/// Events of a history that are looked at for a reason, the newest ones.
const REASONS: usize = 50;
/// Events of a shown history, and items of a shown list.
const SHOWN: usize = 10;

#[derive(Template)]
#[template(path = "recommend.html")]
struct Page<'a> {
    name: String,
    protocol: String,
    chips: Vec<(&'static str, String)>,
    measures: Vec<String>,
    rows: Vec<Row>,
    groups: Vec<(String, usize)>,
    by_popularity: Vec<(String, Vec<GroupCell>)>,
    slices: Vec<SliceRow>,
    codes: Vec<CodeRow>,
    experts: Vec<ExpertRow>,
    curves: Vec<(String, String)>,
    examples_are: String,
    examples: Vec<Example>,
    provenance: &'a [(&'static str, String)],
    version: &'static str,
}

struct Row {
    name: String,
    means: Vec<Cell>,
    /// To the first recommender: in words, and as a class of the page.
    difference: String,
    difference_interval: String,
    verdict: &'static str,
    coverage: String,
    gini: String,
    popularity: String,
    seconds: String,
}

/// The hit rate in a group.
struct GroupCell {
    rate: String,
    interval: String,
    /// In percent, from the greatest rate.
    shade: u32,
}

/// What a recommender is worth to the cold or the warm users.
struct SliceRow {
    name: String,
    slice: String,
    /// Mean and interval of each measure.
    means: Vec<(String, String)>,
}

/// How the codes of a level are used.
struct CodeRow {
    name: String,
    level: usize,
    used: String,
    entropy: String,
    most: String,
    /// Items that share the codes of all levels, of all items; beside the first level.
    colliding: String,
}

/// How much the experts of a layer have to do.
struct ExpertRow {
    name: String,
    layer: usize,
    used: String,
    /// Of what each would have if all had equally much.
    least: String,
    greatest: String,
}

struct Cell {
    mean: String,
    interval: String,
    best: bool,
    /// Left end, width and middle of the bar, in percent of the largest end in the column.
    left: f64,
    width: f64,
    middle: f64,
}

struct Example {
    user: String,
    history: String,
    target: String,
    lists: Vec<List>,
}

struct List {
    name: String,
    rank: usize,
    items: Vec<ListItem>,
}

struct ListItem {
    title: String,
    hit: bool,
    why: String,
}

/// What a page shows.
pub struct Shown<'a> {
    pub all: &'a Interactions,
    pub split: &'a Training<'a>,
    pub titles: &'a HashMap<String, String>,
    pub measured: &'a [Measured],
    pub groups: &'a [PopularityGroup],
    pub k: usize,
    /// How cases were made, in a sentence.
    pub protocol: String,
    /// What was run on what.
    pub provenance: Vec<(&'static str, String)>,
}

/// Writes the page.
///
/// # Errors
/// A plot cannot be drawn, a recommender cannot say why, or the file cannot be written.
pub fn write(path: &Path, shown: &Shown<'_>) -> anyhow::Result<()> {
    let best = best_of(shown);
    let name = &shown.measured[best].configured;
    let page = Page {
        name: shown.provenance.first().map(|(_, file)| file.clone()).unwrap_or_default(),
        protocol: shown.protocol.clone(),
        chips: vec![
            ("users tested", shown.split.cases.len().to_string()),
            ("items", shown.all.items.len().to_string()),
            ("events", shown.all.events().to_string()),
        ],
        measures: measures(shown.k),
        rows: rows(shown),
        groups: shown.groups.iter().map(|group| (range(group), group.cases.len())).collect(),
        by_popularity: by_popularity(shown),
        slices: slice_rows(shown),
        codes: shown.measured.iter().flat_map(code_rows).collect(),
        experts: shown.measured.iter().flat_map(expert_rows).collect(),
        curves: curves(shown.measured)?,
        examples_are: format!(
            "Up to {EXAMPLES} users in equal steps from the one whom {name} serves best to the one whom it serves worst. Green: what was \
             asked for. Because of: the item among the newest {REASONS} events without which the score would fall most."
        ),
        examples: examples(shown, best)?,
        provenance: &shown.provenance,
        version: env!("CARGO_PKG_VERSION"),
    };
    let html = page.render()?;
    Ok(atomic::write(path, |out| write!(out, "{html}"))?)
}

/// Names of the measures that are shown with intervals.
pub fn measures(k: usize) -> Vec<String> {
    ["HR", "nDCG", "MRR"].map(|name| format!("{name}@{k}")).to_vec()
}

/// The targets' events of a group.
pub fn range(group: &PopularityGroup) -> String {
    match (group.least, group.most) {
        (_, 0) => "never seen".into(),
        (1, 1) => "1 event".into(),
        (least, most) if least == most => format!("{least} events"),
        (least, most) => format!("{least}–{most} events"),
    }
}

/// The recommender with the greatest mean nDCG, the first of equals.
fn best_of(shown: &Shown<'_>) -> usize {
    let ndcg = |at: usize| means(&shown.measured[at].ranks, shown.k)[1].0;
    (0..shown.measured.len()).rev().max_by(|a, b| ndcg(*a).total_cmp(&ndcg(*b))).unwrap_or(0)
}

fn rows(shown: &Shown<'_>) -> Vec<Row> {
    let all: Vec<_> = shown.measured.iter().map(|one| means(&one.ranks, shown.k)).collect();
    let end = |at: usize| {
        let ends = all.iter().map(|means| means[at].1.map_or(means[at].0, |[_, high]| high));
        ends.fold(1e-9, f64::max)
    };
    let ends = [end(0), end(1), end(2)];
    let greatest = |at: usize| all.iter().map(|means| means[at].0).fold(0.0, f64::max);
    let cell = |means: &[(f64, Option<[f64; 2]>); 3], at: usize| {
        let (mean, interval) = means[at];
        let [low, high] = interval.unwrap_or([mean, mean]);
        let percent = |x: f64| (100.0 * x / ends[at]).clamp(0.0, 100.0);
        Cell {
            mean: format!("{mean:.4}"),
            interval: interval.map_or_else(String::new, |[low, high]| format!("[{low:.4}, {high:.4}]")),
            best: mean == greatest(at),
            left: percent(low),
            width: percent(high) - percent(low),
            middle: percent(mean),
        }
    };
    let row = |(at, one): (usize, &Measured)| {
        let (difference, difference_interval, verdict) =
            if at == 0 { Default::default() } else { difference(shown, one) };
        Row {
            name: one.configured.to_string(),
            means: (0..3).map(|measure| cell(&all[at], measure)).collect(),
            difference,
            difference_interval,
            verdict,
            coverage: format!("{:.3}", one.lists.coverage),
            gini: format!("{:.3}", one.lists.gini),
            popularity: format!("{:.4}", one.lists.popularity),
            seconds: format!("{:.1}", one.seconds),
        }
    };
    shown.measured.iter().enumerate().map(row).collect()
}

/// The mean difference in nDCG to the first recommender, user by user, its interval, and whether that is beyond doubt.
fn difference(shown: &Shown<'_>, one: &Measured) -> (String, String, &'static str) {
    let pairs = one.ranks.iter().zip(&shown.measured[0].ranks);
    let differences: Vec<f64> = pairs.map(|(own, first)| own.ndcg(shown.k) - first.ndcg(shown.k)).collect();
    let mean = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
    let interval =
        IntervalOptions::default().of_columns(&[differences]).first().and_then(|interval| interval.best());
    let verdict = match interval {
        Some([low, _]) if low > 0.0 => "better",
        Some([_, high]) if high < 0.0 => "worse",
        _ => "undecided",
    };
    let text = interval.map_or_else(String::new, |[low, high]| format!("[{low:+.4}, {high:+.4}]"));
    (format!("{mean:+.4}"), text, verdict)
}

/// Hit rates in the groups, with a shade from the greatest one.
fn by_popularity(shown: &Shown<'_>) -> Vec<(String, Vec<GroupCell>)> {
    let rates = |one: &Measured| -> Vec<(f64, Option<Interval>)> {
        shown.groups.iter().map(|group| one.hit_rate(&group.cases, shown.k)).collect()
    };
    let rows: Vec<_> = shown.measured.iter().map(|one| (one.configured.to_string(), rates(one))).collect();
    let greatest = rows.iter().flat_map(|(_, rates)| rates).map(|(rate, _)| *rate).fold(1e-9, f64::max);
    let cell = |(rate, interval): (f64, Option<Interval>)| GroupCell {
        rate: format!("{rate:.3}"),
        interval: interval.map_or_else(String::new, |[low, high]| format!("[{low:.3}, {high:.3}]")),
        shade: (45.0 * rate / greatest).round() as u32,
    };
    rows.into_iter().map(|(name, rates)| (name, rates.into_iter().map(cell).collect())).collect()
}

/// Each recommender with the cold and with the warm users; none where all users are of one kind.
fn slice_rows(shown: &Shown<'_>) -> Vec<SliceRow> {
    let slices = slices(shown.groups);
    let words = |(mean, interval): (f64, Option<Interval>)| {
        let interval = interval.map_or_else(String::new, |[low, high]| format!("[{low:.4}, {high:.4}]"));
        (format!("{mean:.4}"), interval)
    };
    let mut rows = Vec::new();
    for one in shown.measured {
        for slice in &slices {
            rows.push(SliceRow {
                name: one.configured.to_string(),
                slice: format!("{}, {}", slice.name, many(slice.cases.len(), "user")),
                means: slice.means(one, shown.k).map(words).into(),
            });
        }
    }
    rows
}

/// The levels of a recommender that writes items by codes; none of others.
fn code_rows(one: &Measured) -> Vec<CodeRow> {
    let Some(Codebook { levels, colliding }) = one.fitted.codebook() else { return Vec::new() };
    let row = |(at, level): (usize, &CodeUse)| CodeRow {
        name: one.configured.to_string(),
        level: at + 1,
        used: format!("{} of {}", level.used, level.codes),
        entropy: format!("{:.2}", level.entropy),
        most: format!("{:.2}", (level.codes.max(1) as f64).log2()),
        colliding: match at {
            0 => format!("{colliding} of {}", one.fitted.catalogue()),
            _ => String::new(),
        },
    };
    levels.iter().enumerate().map(row).collect()
}

/// The layers of a recommender with experts; none of others.
fn expert_rows(one: &Measured) -> Vec<ExpertRow> {
    let row = |(at, loads): (usize, &Vec<usize>)| {
        let even = loads.iter().sum::<usize>().max(1) as f64 / loads.len().max(1) as f64;
        let of_even = |load: Option<&usize>| format!("{:.2}", load.map_or(0.0, |load| *load as f64 / even));
        let used = loads.iter().filter(|load| **load > 0).count();
        ExpertRow {
            name: one.configured.to_string(),
            layer: at + 1,
            used: format!("{used} of {}", loads.len()),
            least: of_even(loads.iter().min()),
            greatest: of_even(loads.iter().max()),
        }
    };
    one.fitted.expert_loads().iter().enumerate().map(row).collect()
}

fn curves(measured: &[Measured]) -> anyhow::Result<Vec<(String, String)>> {
    let trained = measured.iter().filter(|one| one.losses.len() > 1);
    trained.map(|one| Ok((one.configured.to_string(), curve_plot(&one.losses, "step", "loss")?))).collect()
}

/// Users from the best served to the worst, in equal steps.
fn examples(shown: &Shown<'_>, best: usize) -> anyhow::Result<Vec<Example>> {
    let ranks = &shown.measured[best].ranks;
    let mut order: Vec<usize> = (0..ranks.len()).collect();
    order.sort_by_key(|case| (ranks[*case].rank, *case));
    let count = EXAMPLES.min(order.len());
    let step = |nth: usize| order[nth * (order.len() - 1) / (count - 1).max(1)];
    (0..count).map(|nth| example(shown, step(nth))).collect()
}

fn example(shown: &Shown<'_>, case: usize) -> anyhow::Result<Example> {
    let title = |item: u32| {
        let name = &shown.all.items[item as usize];
        shown.titles.get(name).unwrap_or(name).clone()
    };
    let TestCase { user, history, target } = shown.split.cases[case];
    let mut newest: Vec<String> = history.iter().rev().take(SHOWN).map(|event| title(event.item)).collect();
    if history.len() > SHOWN {
        newest.push(format!("and {} earlier ones", history.len() - SHOWN));
    }
    let list = |one: &Measured| -> anyhow::Result<List> {
        let rank = &one.ranks[case];
        let items = &rank.list[..rank.list.len().min(SHOWN)];
        let request = Request { history, now: target.time };
        let why = reasons(&*one.fitted, &request, items, REASONS)?;
        let item = |(item, why): (&u32, Option<plackett_rec::Reason>)| ListItem {
            title: title(*item),
            hit: *item == target.item,
            why: why.map_or_else(String::new, |reason| title(reason.item)),
        };
        let items = items.iter().zip(why).map(item).collect();
        Ok(List { name: one.configured.to_string(), rank: rank.rank, items })
    };
    Ok(Example {
        user: shown.all.users[user].clone(),
        history: newest.join(" · "),
        target: title(target.item),
        lists: shown.measured.iter().map(list).collect::<anyhow::Result<_>>()?,
    })
}
