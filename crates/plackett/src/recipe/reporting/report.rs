//! The report page of a recipe: one HTML file that opens without a network and needs nothing beside itself.

use crate::recipe::error::RecipeError;
use crate::recipe::quantity::Quantity;
use crate::recipe::reading::file::Recipe;
use crate::recipe::reading::graph;
use crate::recipe::running::run::{ClaimOutcome, Outcome, StageOutcome};
use askama::Template;
use plackett_core::formats::atomic;
use plackett_eval::report::differences_plot;
use std::path::Path;

#[derive(Template)]
#[template(path = "recipe.html")]
struct Page<'a> {
    title: &'a str,
    name: &'a str,
    about: &'a str,
    chips: Vec<(&'static str, String)>,
    graph: String,
    claims: Vec<ClaimRow>,
    tables: Vec<NumberTable>,
    plots: Vec<Plot>,
    stages: Vec<StageRow>,
    warnings: Vec<String>,
    source: &'a str,
    version: &'static str,
}

struct ClaimRow {
    text: String,
    id: String,
    main: bool,
    state: &'static str,
    class: &'static str,
    numbers: String,
}

struct NumberTable {
    stage: String,
    kind: &'static str,
    rows: Vec<NumberRow>,
}

struct NumberRow {
    name: String,
    mean: String,
    interval: String,
    /// Left end, width and centre of the bar in percent of the rows with the same measure.
    bar: Option<(f64, f64, f64)>,
    count: usize,
    /// What there is one value of; numbers of one stage may differ in it.
    unit: String,
}

struct Plot {
    title: String,
    text: String,
    svg: String,
}

struct StageRow {
    name: String,
    kind: &'static str,
    key: String,
    from: &'static str,
    seconds: String,
    facts: String,
}

/// Writes the page.
///
/// # Errors
/// It cannot be put together, or the disk refuses.
pub fn write(path: &Path, recipe: &Recipe, outcome: &Outcome) -> Result<(), RecipeError> {
    let html = html(recipe, outcome)?;
    Ok(atomic::write(path, |out| out.write_all(html.as_bytes()))?)
}

/// The page as text.
///
/// # Errors
/// It cannot be put together.
pub fn html(recipe: &Recipe, outcome: &Outcome) -> Result<String, RecipeError> {
    let held = outcome.claims.iter().filter(|claim| claim.verdict.held).count();
    let page = Page {
        title: &recipe.title,
        name: &recipe.name,
        about: &recipe.about,
        chips: vec![
            ("scale", outcome.scale.name().to_string()),
            ("claims held", format!("{held} of {}", outcome.claims.len())),
            ("waiting", outcome.waiting.len().to_string()),
            (
                "seconds of work",
                format!("{:.1}", outcome.stages.iter().map(|stage| stage.seconds).sum::<f64>()),
            ),
        ],
        graph: graph::svg(recipe.at(outcome.scale)),
        claims: claims(outcome),
        tables: outcome.stages.iter().filter(|stage| !stage.made.numbers.is_empty()).map(table).collect(),
        plots: outcome.claims.iter().flat_map(|claim| plots(claim, outcome)).collect(),
        stages: outcome.stages.iter().map(stage_row).collect(),
        warnings: outcome.warnings(),
        source: &recipe.source.text,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}

fn claims(outcome: &Outcome) -> Vec<ClaimRow> {
    let judged = outcome.claims.iter().map(|claim| ClaimRow {
        text: claim.text.clone(),
        id: claim.id.clone(),
        main: claim.main,
        state: match (claim.verdict.held, claim.expected) {
            (true, _) => "held",
            (false, true) => "failed",
            (false, false) => "failed, as expected here",
        },
        class: if claim.verdict.held { "better" } else { "worse" },
        numbers: claim.verdict.summary.clone(),
    });
    let waiting = outcome.waiting.iter().map(|claim| ClaimRow {
        text: claim.text.clone(),
        id: claim.id.clone(),
        main: claim.main,
        state: "waiting",
        class: "undecided",
        numbers: format!("waits for {}", claim.needs),
    });
    judged.chain(waiting).collect()
}

/// The measure of a number: what stands behind the last slash.
fn measure(quantity: &Quantity) -> &str {
    quantity.name.rsplit('/').next().unwrap_or_default()
}

fn table(stage: &StageOutcome) -> NumberTable {
    let numbers = &stage.made.numbers;
    let row = |quantity: &Quantity| {
        let interval = quantity.interval();
        let alike = numbers.iter().filter(|other| measure(other) == measure(quantity));
        let ends: Vec<f64> = alike.filter_map(Quantity::interval).flatten().collect();
        let (low, high) =
            ends.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &e| (l.min(e), h.max(e)));
        let percent = |value: f64| if high > low { (value - low) / (high - low) * 100.0 } else { 50.0 };
        let bar = interval.map(|[l, h]| (percent(l), percent(h) - percent(l), percent(quantity.mean())));
        NumberRow {
            name: quantity.name.clone(),
            mean: format!("{:.4}", quantity.mean()),
            interval: interval.map_or("–".into(), |[l, h]| format!("{l:.4} – {h:.4}")),
            bar,
            count: quantity.values.len(),
            unit: quantity.unit.clone(),
        }
    };
    NumberTable { stage: stage.name.clone(), kind: stage.kind, rows: numbers.iter().map(row).collect() }
}

/// Differences query by query behind a claim that orders quantities or says that one is not worse.
fn plots(claim: &ClaimOutcome, outcome: &Outcome) -> Vec<Plot> {
    if !matches!(claim.kind, "order" | "not-worse") {
        return Vec::new();
    }
    let pair = |names: &[String]| {
        let (first, second) = (outcome.quantity(&names[0])?, outcome.quantity(&names[1])?);
        let pairs = first.pairs(second).ok()?;
        let values = pairs.iter().map(|(a, b)| a - b);
        let mut differences: Vec<(String, f64)> = first.keys.iter().cloned().zip(values).collect();
        differences.sort_by(|a, b| b.1.total_cmp(&a.1));
        let wins = differences.iter().filter(|bar| bar.1 > 0.0).count();
        let losses = differences.iter().filter(|bar| bar.1 < 0.0).count();
        let text = format!("{wins} of {} higher, {losses} lower", differences.len());
        let svg = differences_plot(&differences, measure(first)).ok()?;
        Some(Plot { title: format!("{} less {}", names[0], names[1]), text, svg })
    };
    claim.about.windows(2).filter_map(pair).collect()
}

fn stage_row(stage: &StageOutcome) -> StageRow {
    let facts: Vec<String> =
        stage.made.facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    StageRow {
        name: stage.name.clone(),
        kind: stage.kind,
        key: stage.key.chars().take(12).collect(),
        from: if stage.cached { "cache" } else { "this run" },
        seconds: format!("{:.2}", stage.seconds),
        facts: facts.join(" · "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::field::{OutputKind, Scale};
    use crate::recipe::reading::source::Source;
    use crate::recipe::registry::{Registry, StageOutput};

    fn stage(name: &str, gives: OutputKind, numbers: Vec<Quantity>) -> StageOutcome {
        StageOutcome {
            name: name.into(),
            kind: "a-kind",
            gives,
            key: String::new(),
            folder: std::path::PathBuf::new(),
            cached: false,
            seconds: 1.0,
            made: StageOutput { numbers, ..StageOutput::default() },
        }
    }

    #[test]
    fn numbers_of_rankings_are_shown_and_each_row_says_what_it_has_a_value_of() {
        let text = "title = \"t\"\n[stage.s]\nkind = \"simulate\"\nsimulation = \"windows\"\nschedule = \"full\"\nseeds = 3\n";
        let recipe = Recipe::read("t", Source::of_text("t.toml", text), &Registry::default())
            .unwrap_or_else(|error| panic!("{error}"));
        let keys = vec!["a".into(), "b".into()];
        let numbers = vec![
            Quantity::by_query("right", keys, vec![0.25, 0.75]),
            Quantity::of_seed("milliseconds", 1, 7.5),
        ];
        let outcome = Outcome {
            recipe: "t".into(),
            scale: Scale::Quick,
            stages: vec![
                stage("ranked-here", OutputKind::Rankings, numbers),
                stage("silent", OutputKind::Numbers, vec![]),
            ],
            claims: vec![],
            waiting: vec![],
            seconds: 1.0,
        };
        let page = html(&recipe, &outcome).unwrap_or_else(|error| panic!("{error}"));
        assert!(page.contains("<h2>ranked-here"), "{page}");
        let row = |name: &str| page.split("<tr>").find(|row| row.contains(name)).unwrap_or_default();
        assert!(row("<td>right</td>").contains("<td>2</td><td class=\"left\">query</td>"), "{page}");
        assert!(row("<td>milliseconds</td>").contains("<td>1</td><td class=\"left\">seed</td>"), "{page}");
        assert!(!page.contains("<h2>silent"), "a stage without numbers has no table: {page}");
    }
}
