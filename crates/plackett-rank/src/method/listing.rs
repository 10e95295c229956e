//! The registry as text: for `plackett method list|show`, for `--help` and for `docs/methods.md`.

use super::{METHODS, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::Need;
use crate::prompt::Template;
use serde_json::{Value, json};
use std::fmt::Write;

/// The names of all methods, for messages and help.
pub fn names() -> String {
    METHODS.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ")
}

/// The methods with one sentence each, for a terminal.
pub fn listing() -> String {
    let mut text = String::new();
    for spec in METHODS {
        let _ = writeln!(text, "{:<18} {:<11} {}", spec.name, spec.family.name(), spec.summary);
    }
    text.push_str("\n`plackett method show NAME` tells what a method needs, its options and its prompts.\n");
    text
}

/// Everything that is declared of a method, for a terminal.
pub fn show(spec: &MethodSpec) -> String {
    let mut text = format!("{} ({})\n{}\n\n", spec.name, spec.family.name(), spec.summary);
    if !spec.aliases.is_empty() {
        let _ = writeln!(text, "{:<12} {}", "also", spec.aliases.join(", "));
    }
    let _ = writeln!(text, "{:<12} {}", "paper", spec.paper);
    for (n, (when, needs)) in needs(spec).into_iter().enumerate() {
        let when = if when.is_empty() { String::new() } else { format!(" (with {when})") };
        let _ = writeln!(text, "{:<12} {}{when}", if n == 0 { "needs" } else { "" }, worded(&needs));
    }
    let _ = writeln!(text, "{:<12} {}", "model calls", spec.calls.formula);
    for (n, (id, _)) in prompts(spec).into_iter().enumerate() {
        let _ = writeln!(text, "{:<12} {id}", if n == 0 { "prompts" } else { "" });
    }
    text.push_str("\noptions\n");
    for option in spec.all_options() {
        let _ = writeln!(text, "  {:<10} {} ({}{})", option.name, option.help, option.kind, default(&option));
    }
    text
}

/// The methods, for scripts.
pub fn listing_json() -> Value {
    json!({"methods": METHODS.iter().map(|spec| method_json(spec)).collect::<Vec<_>>()})
}

/// Everything that is declared of a method, for scripts.
pub fn method_json(spec: &MethodSpec) -> Value {
    let option = |option: &OptionSpec| {
        json!({
            "name": option.name,
            "values": option.kind.to_string(),
            "default": option.default,
            "help": option.help,
        })
    };
    let needs = needs(spec).into_iter().map(|(when, needs)| {
        let names: Vec<&str> = needs.iter().map(|need| need.name()).collect();
        json!({"options": when, "needs": names})
    });
    let prompts = prompts(spec).into_iter().map(|(id, hash)| json!({"id": id, "sha256": hash}));
    json!({
        "name": spec.name,
        "aliases": spec.aliases,
        "family": spec.family.name(),
        "paper": spec.paper,
        "summary": spec.summary,
        "needs": needs.collect::<Vec<_>>(),
        "calls": spec.calls.formula,
        "prompts": prompts.collect::<Vec<_>>(),
        "options": spec.all_options().iter().map(option).collect::<Vec<_>>(),
    })
}

/// The methods as a page, up to the table of measurements, which a run writes.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Methods\n\n\
         Made from the registry (`plackett_rank::method::METHODS`); a test compares the two.\n\
         Spelling in pipelines and behind `--method`: `name(option=value, …)`; in names of options `-` and `_` are the same.\n\
         Beside its own options every method has `model=` and `long=`. In formulas `N` is the number of candidates; without candidates nothing is asked.\n\n\
         | method | compares | what it does |\n| --- | --- | --- |\n",
    );
    for spec in METHODS {
        let _ = writeln!(
            text,
            "| [`{0}`](#{0}) | {1} | {2} |",
            spec.name,
            spec.family.name(),
            spec.summary.trim_end_matches('.')
        );
    }
    for spec in METHODS {
        let _ = write!(text, "\n## {}\n\n{}\n\n", spec.name, spec.summary);
        let _ = writeln!(text, "- paper: {}", spec.paper);
        if !spec.aliases.is_empty() {
            let names: Vec<String> = spec.aliases.iter().map(|alias| format!("`{alias}`")).collect();
            let _ = writeln!(text, "- also: {}", names.join(", "));
        }
        for (when, needs) in needs(spec) {
            let when = if when.is_empty() { String::new() } else { format!(" with `{when}`") };
            let _ = writeln!(text, "- needs{when}: {}", worded(&needs));
        }
        let _ = writeln!(text, "- model calls: {}", spec.calls.formula);
        if !spec.prompts.is_empty() {
            let names: Vec<String> =
                spec.prompts.iter().map(|prompt| format!("`prompts/{}.toml`", prompt.name)).collect();
            let _ = writeln!(text, "- prompts: {}", names.join(", "));
        }
        for option in spec.options {
            let _ =
                writeln!(text, "- `{}` ({}{}): {}", option.name, option.kind, default(option), option.help);
        }
    }
    text
}

/// What a method needs with its defaults (without words), and where one choice of an option changes it.
fn needs(spec: &MethodSpec) -> Vec<(String, Vec<Need>)> {
    let usual = (spec.needs)(&spec.defaults());
    let mut all = vec![(String::new(), usual.clone())];
    for option in spec.options {
        let choices: &[&str] = match option.kind {
            OptionKind::Choice(words) => words,
            OptionKind::Switch => &["true", "false"],
            _ => &[],
        };
        for choice in choices {
            let values: Option<OptionValues> = spec.values([(option.name, *choice)]).ok();
            let needs = values.map(|values| (spec.needs)(&values));
            if let Some(needs) = needs.filter(|needs| *needs != usual) {
                all.push((format!("{}={choice}", option.name), needs));
            }
        }
    }
    all
}

fn worded(needs: &[Need]) -> String {
    needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn default(option: &OptionSpec) -> String {
    option.default.map(|default| format!("; default {default}")).unwrap_or_default()
}

/// Identifiers and hashes of a method's own prompts.
fn prompts(spec: &MethodSpec) -> Vec<(String, String)> {
    let read = |prompt: &crate::prompt::BuiltinPrompt| Template::choose(Some(prompt.name), spec.prompts).ok();
    spec.prompts
        .iter()
        .filter_map(read)
        .map(|template| (template.id(), template.hash().to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a run measured stands behind this line.
    const MEASURED: &str = "\n## Measured\n";

    #[test]
    fn the_page_in_docs_is_the_registry() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/methods.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        let (declared, measured) = match page.find(MEASURED) {
            Some(at) => page.split_at(at),
            None => (page.as_str(), ""),
        };
        if std::env::var_os("PLACKETT_BLESS").is_some() {
            std::fs::write(path, markdown() + measured).unwrap();
            return;
        }
        assert_eq!(declared, markdown(), "run the tests with PLACKETT_BLESS=1 to write docs/methods.md anew");
    }

    #[test]
    fn scripts_find_what_they_rely_on() {
        let all = listing_json();
        let first = &all["methods"][0];
        assert_eq!(first["name"], "bi-encoder");
        for field in ["name", "aliases", "paper", "options"] {
            assert!(!first[field].is_null(), "{field}");
        }
        let yes_no =
            all["methods"].as_array().unwrap().iter().find(|method| method["name"] == "yes-no").unwrap();
        assert!(yes_no["prompts"][0]["id"].as_str().unwrap().starts_with("yes-no@"));
        assert!(show(MethodSpec::find("yes-no").unwrap()).contains("logits of labels"));
    }
}
