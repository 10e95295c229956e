//! The kinds of stages and claims and the simulations as a page, read off the registry.

use crate::recipe::field::FieldSpec;
use crate::recipe::reading::file::{CLAIM_FIELDS, STAGE_FIELDS};
use crate::recipe::registry::Registry;
use serde_json::{Value, json};
use std::fmt::Write;

/// `docs/recipe-kinds.md`.
pub fn page(registry: &Registry) -> String {
    let mut text = String::from(
        "# What recipes are made of\n\nGenerated from the registry (`plackett recipe kinds`); a test holds this page to it.\n\n\
         A recipe has a `title`, perhaps a `system` (a name of `recipes/systems.toml`) and an `about`, stages `[stage.NAME]` and claims \
         `[claim.NAME]`.\nAny value of a stage or claim may be written by scale: `queries = { quick = 20, full = 0 }`.\n\n## Stages\n",
    );
    fields(&mut text, "Every stage has:", STAGE_FIELDS);
    for kind in &registry.stages {
        let _ = writeln!(text, "\n### `{}`\n\n{}. It gives {}.", kind.name, kind.help, kind.gives.words());
        fields(&mut text, "", kind.fields);
    }
    text.push_str("\n## Claims\n\nA claim is about quantities, written STAGE/NUMBER: a value for each query or seed, compared in pairs.\n");
    fields(&mut text, "Every claim has:", CLAIM_FIELDS);
    for kind in &registry.claims {
        let _ = writeln!(text, "\n### `{}`\n\n{}.", kind.name, kind.help);
        fields(&mut text, "", kind.fields);
    }
    text.push_str(
        "\n## Simulations\n\nFor stages of the kind `simulate`; their fields are written in the stage.\n",
    );
    for simulation in &registry.simulations {
        let _ = writeln!(text, "\n### `{}`\n\n{}.", simulation.name, simulation.help);
        fields(&mut text, "", simulation.fields);
    }
    text
}

fn fields(text: &mut String, head: &str, specs: &[FieldSpec]) {
    if !head.is_empty() {
        let _ = writeln!(text, "\n{head}");
    }
    if specs.is_empty() {
        return;
    }
    text.push_str("\n| field | holds | default | what it says |\n| --- | --- | --- | --- |\n");
    for spec in specs {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            spec.name,
            spec.kind.words(),
            spec.default_words(),
            spec.help
        );
    }
}

/// The same for `--json`.
pub fn json(registry: &Registry) -> Value {
    let fields = |specs: &[FieldSpec]| -> Vec<Value> {
        let one = |spec: &FieldSpec| json!({"name": spec.name, "holds": spec.kind.words(), "default": spec.default_words(), "help": spec.help});
        specs.iter().map(one).collect()
    };
    let stages: Vec<Value> = registry
        .stages
        .iter()
        .map(|kind| json!({"name": kind.name, "help": kind.help, "gives": kind.gives.words(), "version": kind.version, "fields": fields(kind.fields)}))
        .collect();
    let claims: Vec<Value> = registry
        .claims
        .iter()
        .map(|kind| json!({"name": kind.name, "help": kind.help, "fields": fields(kind.fields)}))
        .collect();
    let simulations: Vec<Value> = registry
        .simulations
        .iter()
        .map(|s| json!({"name": s.name, "help": s.help, "fields": fields(s.fields)}))
        .collect();
    json!({"stages": stages, "claims": claims, "simulations": simulations})
}
