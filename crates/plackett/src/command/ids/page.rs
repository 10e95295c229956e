//! The page of a catalogue: use of codes, lengths, collisions, in one HTML file that loads nothing.

use askama::Template;
use plackett_core::formats::atomic;
use plackett_eval::report::curve_plot;
use plackett_ids::{Catalogue, LevelUse, Statistics};
use std::path::Path;

/// Collisions and items that are shown.
const SHOWN: usize = 12;

#[derive(Template)]
#[template(path = "ids.html")]
struct Page<'a> {
    name: String,
    scheme: &'a str,
    chips: Vec<(&'static str, String)>,
    problems: Vec<String>,
    levels: Vec<Level>,
    plots: Vec<(String, String)>,
    /// Tokens, items, width of the bar in percent.
    lengths: Vec<(usize, usize, f64)>,
    collisions: Vec<(String, usize, String)>,
    items: Vec<(&'a str, String, &'a str)>,
    remarks: &'a [String],
    sha256: &'a str,
    version: &'static str,
}

struct Level {
    place: usize,
    items: usize,
    used: usize,
    codebook: String,
    dead: String,
    entropy: String,
    most_entropy: String,
    share: f64,
    spread: String,
}

/// Writes the page of the catalogue in a file of this name.
///
/// # Errors
/// A plot cannot be drawn, or the page cannot be written.
pub fn write(path: &Path, file: &Path, catalogue: &Catalogue, statistics: &Statistics) -> anyhow::Result<()> {
    let most = statistics.lengths.values().copied().max().unwrap_or(1) as f64;
    let length = |(length, items): (&usize, &usize)| (*length, *items, 100.0 * *items as f64 / most);
    let page = Page {
        name: file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned(),
        scheme: catalogue.scheme(),
        chips: chips(statistics),
        problems: problems(statistics),
        levels: statistics.levels.iter().map(level).collect(),
        plots: plots(catalogue, statistics)?,
        lengths: statistics.lengths.iter().map(length).collect(),
        collisions: collisions(catalogue),
        items: items(catalogue),
        remarks: catalogue.remarks(),
        sha256: catalogue.sha256(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let html = page.render()?;
    Ok(atomic::write(path, |out| write!(out, "{html}"))?)
}

fn chips(statistics: &Statistics) -> Vec<(&'static str, String)> {
    vec![
        ("items", statistics.items.to_string()),
        ("identifiers", statistics.sequences.to_string()),
        ("tokens", statistics.tokens.to_string()),
        ("dead tokens", statistics.dead_tokens.to_string()),
        ("items that share one", statistics.colliding_items.to_string()),
    ]
}

/// What a model would stumble over.
fn problems(statistics: &Statistics) -> Vec<String> {
    let shared = (!statistics.is_unique()).then(|| {
        let (items, most) = (statistics.colliding_items, statistics.largest_collision);
        format!("{items} items share an identifier, up to {most} one.")
    });
    let clash = statistics.first_clash.as_ref().map(|clash| {
        format!(
            "{} identifiers begin others, such as `{}` of {} that of {}: a model needs a token that ends them.",
            statistics.prefix_clashes, clash.codes, clash.item, clash.of
        )
    });
    shared.into_iter().chain(clash).collect()
}

fn level(level: &LevelUse) -> Level {
    let some = |number: Option<usize>| number.map_or_else(|| "–".to_string(), |number| number.to_string());
    Level {
        place: level.level,
        items: level.items,
        used: level.used,
        codebook: some(level.codebook),
        dead: some(level.dead),
        entropy: format!("{:.2}", level.entropy),
        most_entropy: format!("{:.2}", level.most_entropy),
        share: if level.most_entropy > 0.0 { 100.0 * level.entropy / level.most_entropy } else { 0.0 },
        spread: format!("{}–{}", level.smallest, level.largest),
    }
}

/// Items of each code, the most used first, for places with more than one code.
fn plots(catalogue: &Catalogue, statistics: &Statistics) -> anyhow::Result<Vec<(String, String)>> {
    let several = statistics.levels.iter().filter(|level| level.used > 1);
    several
        .map(|level| {
            let counts = catalogue.code_counts(level.level - 1);
            let falling: Vec<f64> = counts.iter().rev().map(|count| *count as f64).collect();
            Ok((
                format!("Place {}", level.level),
                curve_plot(&falling, "code, from the most used one", "items")?,
            ))
        })
        .collect()
}

fn collisions(catalogue: &Catalogue) -> Vec<(String, usize, String)> {
    let mut shared: Vec<&[usize]> = catalogue.groups().filter(|places| places.len() > 1).collect();
    shared.sort_by_key(|places| (std::cmp::Reverse(places.len()), places[0]));
    let row = |places: &&[usize]| {
        let name = |place: &usize| {
            let item = &catalogue.items()[*place];
            if item.title.is_empty() { item.id.clone() } else { item.title.clone() }
        };
        let mut titles: Vec<String> = places.iter().take(4).map(name).collect();
        if places.len() > 4 {
            titles.push(format!("and {} more", places.len() - 4));
        }
        (catalogue.text(places[0]), places.len(), titles.join(" · "))
    };
    shared.iter().take(SHOWN).map(row).collect()
}

/// Items in equal steps through the catalogue.
fn items(catalogue: &Catalogue) -> Vec<(&str, String, &str)> {
    let count = SHOWN.min(catalogue.len());
    let item = |nth: usize| {
        let place = nth * catalogue.len() / count;
        let item = &catalogue.items()[place];
        (item.id.as_str(), catalogue.text(place), item.title.as_str())
    };
    (0..count).map(item).collect()
}
