//! The stages of a recipe as a graph: their order, and the graph drawn as text, for Graphviz, and as SVG.

use super::file::{AtScale, StageDefinition};
use crate::recipe::field::OutputKind;
use std::fmt::Write;

/// Places of the stages, each after those that it needs and otherwise in the order of the file; or the stages of a
/// circle, the first one again at its end.
pub fn order(stages: &[StageDefinition]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order = Vec::new();
    let mut open = Vec::new();
    for nth in 0..stages.len() {
        visit(stages, nth, &mut order, &mut open)?;
    }
    Ok(order)
}

fn visit(
    stages: &[StageDefinition],
    nth: usize,
    order: &mut Vec<usize>,
    open: &mut Vec<usize>,
) -> Result<(), Vec<usize>> {
    if order.contains(&nth) {
        return Ok(());
    }
    if let Some(start) = open.iter().position(|&other| other == nth) {
        return Err([&open[start..], &[nth]].concat());
    }
    open.push(nth);
    for &input in &stages[nth].inputs {
        visit(stages, input, order, open)?;
    }
    open.pop();
    order.push(nth);
    Ok(())
}

/// For each stage its distance from the beginning: one more than the farthest of its inputs.
pub fn levels(scale: &AtScale) -> Vec<usize> {
    let mut levels = vec![0; scale.stages.len()];
    for &nth in &scale.order {
        levels[nth] = scale.stages[nth].inputs.iter().map(|&input| levels[input] + 1).max().unwrap_or(0);
    }
    levels
}

/// What a stage is about, in a few words: its pipeline, collection, simulation or measures.
pub fn caption(stage: &StageDefinition) -> String {
    let values = &stage.values;
    let named = ["pipeline", "collection", "simulation"].iter().find_map(|key| values.text(key));
    let words = named.map_or_else(|| values.texts("measures").join(" "), str::to_string);
    let mut short: String = words.chars().take(44).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    short
}

/// One line a stage, in order of work, indented by its distance from the beginning.
pub fn text(scale: &AtScale) -> String {
    let mut text = String::new();
    let levels = levels(scale);
    for &nth in &scale.order {
        let stage = &scale.stages[nth];
        let inputs: Vec<&str> = stage.inputs.iter().map(|&input| scale.stages[input].name.as_str()).collect();
        let from = if inputs.is_empty() { String::new() } else { format!("  ← {}", inputs.join(", ")) };
        let caption =
            Some(caption(stage)).filter(|c| !c.is_empty()).map_or(String::new(), |c| format!("  {c}"));
        let _ = writeln!(
            text,
            "  {}{} [{}]{caption}{from}",
            "  ".repeat(levels[nth]),
            stage.name,
            stage.kind.name
        );
    }
    for claim in &scale.claims {
        let _ = writeln!(
            text,
            "  claim {} [{}]  ← {}",
            claim.id,
            claim.kind.name,
            stages_of(claim, scale).join(", ")
        );
    }
    text
}

/// The stages whose numbers a claim is about.
fn stages_of<'a>(claim: &super::file::ClaimDefinition, scale: &'a AtScale) -> Vec<&'a str> {
    let named: Vec<&str> = claim
        .kind
        .quantities(&claim.values)
        .into_iter()
        .filter_map(|q| super::file::quantity_parts(q))
        .map(|(stage, _)| stage)
        .collect();
    scale.stages.iter().map(|stage| stage.name.as_str()).filter(|name| named.contains(name)).collect()
}

/// The graph in Graphviz's language.
pub fn dot(name: &str, scale: &AtScale) -> String {
    let mut text = format!("digraph {name:?} {{\n  rankdir=LR;\n  node [shape=box, style=rounded];\n");
    for stage in &scale.stages {
        let _ = writeln!(
            text,
            "  {:?} [label={:?}];",
            stage.name,
            format!("{}\n{}\n{}", stage.name, stage.kind.name, caption(stage))
        );
    }
    for stage in &scale.stages {
        for &input in &stage.inputs {
            let _ = writeln!(text, "  {:?} -> {:?};", scale.stages[input].name, stage.name);
        }
    }
    for claim in &scale.claims {
        let node = format!("claim {}", claim.id);
        let _ = writeln!(text, "  {node:?} [shape=ellipse];");
        for stage in stages_of(claim, scale) {
            let _ = writeln!(text, "  {stage:?} -> {node:?};");
        }
    }
    text.push_str("}\n");
    text
}

const WIDTH: usize = 214;
const HEIGHT: usize = 62;
const ACROSS: usize = 44;
const DOWN: usize = 18;

/// The graph as an SVG element whose colours are those of the page it stands in, with fall-backs for standing alone.
pub fn svg(scale: &AtScale) -> String {
    let levels = levels(scale);
    let mut used = vec![0; levels.iter().max().map_or(0, |most| most + 1)];
    let mut corner = vec![(0, 0); scale.stages.len()];
    for &nth in &scale.order {
        let level = levels[nth];
        corner[nth] = (12 + level * (WIDTH + ACROSS), 12 + used[level] * (HEIGHT + DOWN));
        used[level] += 1;
    }
    let (columns, rows) = (used.len().max(1), used.iter().copied().max().unwrap_or(1).max(1));
    let (width, height) = (24 + columns * (WIDTH + ACROSS) - ACROSS, 24 + rows * (HEIGHT + DOWN) - DOWN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"stages\" font-family=\"system-ui, sans-serif\">\n"
    );
    for (nth, stage) in scale.stages.iter().enumerate() {
        for &input in &stage.inputs {
            let (x1, y1) = (corner[input].0 + WIDTH, corner[input].1 + HEIGHT / 2);
            let (x2, y2) = (corner[nth].0, corner[nth].1 + HEIGHT / 2);
            let half = (x2.max(x1) - x1) / 2 + 8;
            let _ = writeln!(
                svg,
                "<path d=\"M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"var(--text-soft, #777)\" stroke-width=\"1.4\"/>",
                x1 + half,
                x2.saturating_sub(half)
            );
        }
    }
    for (nth, stage) in scale.stages.iter().enumerate() {
        let (x, y) = corner[nth];
        let colour = match stage.kind.gives {
            OutputKind::Data => "var(--s5, #4d7d8c)",
            OutputKind::Index => "var(--s3, #7d4ba0)",
            OutputKind::Rankings => "var(--s0, #1f5fa8)",
            OutputKind::Model | OutputKind::Projection => "var(--s4, #a05a2c)",
            OutputKind::Numbers => "var(--s2, #2c7a4b)",
        };
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"var(--card, #fff)\" stroke=\"{colour}\" stroke-width=\"1.6\"/>"
        );
        let lines = [(20, "13", "600", stage.name.as_str()), (37, "11", "400", stage.kind.name)];
        for (down, size, weight, line) in lines {
            label(&mut svg, x + 10, y + down, size, weight, line, 26);
        }
        label(&mut svg, x + 10, y + 53, "10.5", "400", &caption(stage), 32);
    }
    svg.push_str("</svg>\n");
    svg
}

fn label(svg: &mut String, x: usize, y: usize, size: &str, weight: &str, text: &str, most: usize) {
    let mut shown: String = text.chars().take(most).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let shown = shown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"var(--text, #222)\">{shown}</text>"
    );
}
