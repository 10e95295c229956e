//! The registry as text: for `plackett eval --list-measures` and for `docs/measures.md`.

use super::declaration::{CutoffKind, Declaration, Kind, TrecName};
use super::{MEASURES, Value};
use crate::policy::{Compat, Policy};
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// The measures with their parameters, for a terminal.
pub fn listing() -> String {
    let mut text = String::new();
    for measure in MEASURES {
        let _ = writeln!(text, "{:<22} {}", usage(measure), measure.description);
        for parameter in measure.parameters {
            let _ = writeln!(
                text,
                "{:<22}   {}: {} [{}]",
                "",
                parameter.name,
                parameter.help,
                default(&parameter.default)
            );
        }
    }
    text.push_str("\nCase, - and _ do not matter. trec_eval's, ranx's and BEIR's names are understood too (ndcg_cut_10, map@100-l2, Recall@20).\n");
    text
}

/// The measures with their parameters, for scripts.
pub fn listing_json() -> Json {
    let of = |measure: &Declaration| {
        let parameters: Vec<Json> = measure
            .parameters
            .iter()
            .map(|p| json!({"name": p.name, "values": kind(p.kind), "default": default(&p.default), "help": p.help}))
            .collect();
        json!({
            "name": measure.name,
            "written": usage(measure),
            "aliases": measure.aliases,
            "description": measure.description,
            "parameters": parameters,
            "source": measure.citation,
        })
    };
    json!({"measures": MEASURES.iter().map(of).collect::<Vec<_>>()})
}

/// The measures as a page.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Measures\n\n\
         Made from the registry (`plackett_eval::measure::MEASURES`); a test compares the two.\n\
         Spelling: `Name(parameter=value,…)@cutoff`. Case, `-` and `_` do not matter.\n",
    );
    text.push_str(
        "\n## Rules\n\nOne set of rules governs all measures of an evaluation and is printed with every result. \
         `--compat` takes those of a tool:\n\n| tool | rules |\n| --- | --- |\n",
    );
    let _ = writeln!(text, "| (default) | `{}` |", Policy::default());
    for tool in Compat::ALL {
        let _ = writeln!(text, "| `{tool}` | `{}` |", tool.policy());
    }
    for measure in MEASURES {
        let _ = write!(
            text,
            "\n## {}\n\n**{}.** {}\n\n",
            measure.name,
            capital(measure.pretty),
            measure.description
        );
        let _ = writeln!(text, "- written: `{}`", usage(measure));
        let names: Vec<String> =
            measure.aliases.iter().map(|alias| format!("`{alias}`")).chain(trec(measure)).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "- also: {}", names.join(", "));
        }
        for parameter in measure.parameters {
            let _ = writeln!(
                text,
                "- `{}` ({}; default {}): {}",
                parameter.name,
                kind(parameter.kind),
                default(&parameter.default),
                parameter.help
            );
        }
        let _ = writeln!(text, "- source: {}", measure.citation);
    }
    text
}

fn usage(measure: &Declaration) -> String {
    match measure.cutoff {
        CutoffKind::None => measure.name.to_string(),
        CutoffKind::OptionalRank => format!("{0} or {0}@k", measure.name),
        CutoffKind::Rank => format!("{}@k", measure.name),
        CutoffKind::Recall => format!("{}@recall", measure.name),
        CutoffKind::Multiple => format!("{}@multiple", measure.name),
    }
}

fn trec(measure: &Declaration) -> Vec<String> {
    match measure.trec_eval {
        TrecName::None => super::trec_eval::special_name(measure.name).into_iter().collect(),
        TrecName::Whole(name) => vec![format!("trec_eval's `{name}`")],
        TrecName::Cut(prefix) => vec![format!("trec_eval's `{prefix}k`")],
        TrecName::Both(name, prefix) => vec![format!("trec_eval's `{name}` and `{prefix}k`")],
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Integer(low, high) if low <= -1_000_000 || high >= 1_000_000 => "whole number".into(),
        Kind::Integer(low, high) => format!("whole number from {low} to {high}"),
        Kind::Number(low, _) if low <= -1e6 => "number".into(),
        Kind::Number(low, high) if high < 1e6 => format!("number from {low} to {high}"),
        Kind::Number(low, _) => format!("number from {low}"),
        Kind::Switch => "True or False".into(),
        Kind::Gains => "name or table".into(),
        Kind::Numbers(low, high) => format!("numbers from {low} to {high} in braces"),
    }
}

fn default(value: &Value) -> String {
    value.to_string()
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_entry_is_complete() {
        let mut spellings = HashSet::new();
        for measure in MEASURES {
            for (field, text) in [
                ("name", measure.name),
                ("pretty", measure.pretty),
                ("description", measure.description),
                ("citation", measure.citation),
            ] {
                assert!(!text.is_empty(), "{}: {field} is missing", measure.name);
            }
            assert!(measure.description.ends_with('.'), "{}: one sentence", measure.name);
            assert_eq!(measure.description.matches(". ").count(), 0, "{}: one sentence", measure.name);
            assert!(
                measure.parameters.iter().all(|p| !p.help.is_empty() && !p.name.is_empty()),
                "{}",
                measure.name
            );
            let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
            let own: HashSet<String> =
                std::iter::once(&measure.name).chain(measure.aliases).map(|s| plain(s)).collect();
            for spelling in own {
                assert!(spellings.insert(spelling.clone()), "two measures are spelled {spelling}");
            }
        }
    }

    #[test]
    fn the_page_in_docs_is_the_registry() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/measures.md");
        if std::env::var_os("PLACKETT_BLESS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap();
        assert_eq!(page, markdown(), "run the tests with PLACKETT_BLESS=1 to write docs/measures.md anew");
    }
}
