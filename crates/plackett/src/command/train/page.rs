//! The page of a training: one HTML file that opens without a network and needs nothing beside itself.

use crate::command::means::Change;
use askama::Template;
use plackett_core::formats::atomic;
use plackett_eval::report::curve_plot;
use plackett_train::trainer::{Evaluated, Outcome, StepRecord};
use std::path::Path;

/// The name of the page in the folder of the model.
pub const FILE: &str = "training.html";

#[derive(Template)]
#[template(path = "training.html")]
struct Page<'a> {
    name: String,
    model: &'a str,
    base: &'a str,
    chips: Vec<(&'static str, String)>,
    plots: Vec<Plot>,
    ranks: &'a [(String, usize)],
    hashes: &'a [(String, String)],
    settings: String,
    version: &'static str,
}

struct Plot {
    title: &'static str,
    svg: String,
    text: &'static str,
}

/// What was made, of what and how.
pub struct Made<'a> {
    /// What it is, after an article.
    pub model: &'a str,
    /// What it was made from.
    pub base: &'a str,
    /// The training file, with what it leaves to defaults.
    pub settings: String,
    /// What the nDCG is a mean over, in the plural.
    pub measured: &'static str,
}

/// Writes the page of a training into the folder of its model.
///
/// # Errors
/// A plot cannot be drawn, or the file cannot be written.
pub fn write(
    folder: &Path,
    made: Made<'_>,
    (outcome, ndcg): (&Outcome, Option<&Change>),
    hashes: &[(String, String)],
) -> anyhow::Result<()> {
    let page = Page {
        name: folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned(),
        model: made.model,
        base: made.base,
        chips: chips(outcome, ndcg, made.measured),
        plots: plots(outcome)?,
        ranks: &outcome.ranks,
        hashes,
        settings: made.settings,
        version: env!("CARGO_PKG_VERSION"),
    };
    let html = page.render()?;
    Ok(atomic::write(&folder.join(FILE), |out| write!(out, "{html}"))?)
}

/// What a reader wants to know first.
fn chips(outcome: &Outcome, ndcg: Option<&Change>, measured: &str) -> Vec<(&'static str, String)> {
    let seconds = outcome.report.seconds();
    let tokens: usize = outcome.report.steps.iter().map(|step| step.tokens).sum();
    let mut chips = vec![
        ("steps", outcome.report.total.to_string()),
        ("trained numbers", format!("{} of {}", outcome.trainable, outcome.parameters)),
        ("loss at the end", format!("{:.4}", outcome.report.final_loss())),
        ("seconds", format!("{seconds:.0}")),
        ("tokens a second", format!("{:.0}", tokens as f64 / seconds.max(1e-9))),
    ];
    if let Some([before, after]) = outcome.validation {
        chips.push(("validation loss", format!("{before:.4} before, {after:.4} after")));
    }
    if let Some(ndcg) = ndcg {
        let (before, after, sure) = (ndcg.before, ndcg.after, ndcg.words(measured));
        chips.push(("validation nDCG@10", format!("{before:.4} before, {after:.4} after ({sure})")));
    }
    if let Some(Evaluated { best, stopped, .. }) = outcome.report.evaluated {
        chips.push(("best step", best.to_string()));
        stopped.iter().for_each(|step| chips.push(("stopped after step", step.to_string())));
    }
    chips
}

/// Curves over the steps.
fn plots(outcome: &Outcome) -> anyhow::Result<Vec<Plot>> {
    let steps = &outcome.report.steps;
    let plot = |title, value: &str, text, of: &dyn Fn(&StepRecord) -> f64| -> anyhow::Result<Plot> {
        let values: Vec<f64> = steps.iter().map(of).collect();
        Ok(Plot { title, svg: curve_plot(&values, "step", value)?, text })
    };
    let most = steps.iter().map(|step| f64::from(step.rate)).fold(0.0, f64::max);
    // The axis has two decimals: rates are shown in parts of the greatest.
    let share = if most > 0.0 { 1.0 / most } else { 0.0 };
    let mut plots = vec![
        plot("Loss", "loss", "The mean loss of each step's batches.", &|step| f64::from(step.loss))?,
        plot("Learning rate", "share of the greatest", "Warm-up and schedule.", &|step| {
            f64::from(step.rate) * share
        })?,
        plot("Gradients", "norm", "Their Euclidean norm, before they are clipped.", &|step| {
            step.gradient_norm
        })?,
    ];
    let entropies: Vec<f64> = steps.iter().filter_map(|step| step.entropy).collect();
    if !entropies.is_empty() {
        let svg = curve_plot(&entropies, "step", "nats")?;
        let text = "Of the first choice, which the objective has a bonus for; a mean over lists.";
        plots.push(Plot { title: "Entropy", svg, text });
    }
    let values: Vec<f64> = steps.iter().filter_map(|step| step.evaluation).collect();
    if let Some(evaluated) = &outcome.report.evaluated {
        let svg = curve_plot(&values, "evaluation", evaluated.measure)?;
        plots.push(Plot {
            title: "Evaluations",
            svg,
            text: "On the validation examples, while it was trained.",
        });
    }
    Ok(plots)
}
