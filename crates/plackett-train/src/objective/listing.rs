//! The registry as text: for help and for docs/objectives.md.

use super::{Group, Input, OBJECTIVES, ObjectiveSpec};
use std::fmt::Write;

/// The objectives with one sentence each, for a terminal.
pub fn listing() -> String {
    let mut text = String::new();
    for spec in OBJECTIVES {
        let _ = writeln!(text, "{:<24} {:<13} {}", spec.name, spec.group.name(), spec.summary);
    }
    text
}

/// Everything that is declared of an objective, for a terminal.
pub fn show(spec: &ObjectiveSpec) -> String {
    let mut text = format!("{} ({})\n{}\n\n", spec.name, spec.group.name(), spec.summary);
    if !spec.aliases.is_empty() {
        let _ = writeln!(text, "also    {}", spec.aliases.join(", "));
    }
    let _ =
        writeln!(text, "loss    {}\ntakes   {}\nsource  {}", spec.formula, worded(spec.takes), spec.source);
    if !spec.options.is_empty() {
        text.push_str("\noptions\n");
    }
    for option in spec.options {
        let _ = writeln!(text, "  {:<18} {} ({})", option.name, option.help, option.expects());
    }
    text
}

fn worded(takes: &[Input]) -> String {
    takes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The groups in the order of the page.
const GROUPS: &[Group] = &[
    Group::Pointwise,
    Group::Pairwise,
    Group::Listwise,
    Group::Contrastive,
    Group::Distillation,
    Group::Preference,
    Group::Language,
    Group::Auxiliary,
];

/// The objectives as sections of a page.
pub fn markdown() -> String {
    let mut text = String::from("| objective | group | takes |\n| --- | --- | --- |\n");
    let ordered =
        || GROUPS.iter().flat_map(|group| OBJECTIVES.iter().filter(move |spec| spec.group == *group));
    for spec in ordered() {
        let _ =
            writeln!(text, "| [`{0}`](#{0}) | {1} | {2} |", spec.name, spec.group.name(), worded(spec.takes));
    }
    for spec in ordered() {
        let _ = write!(text, "\n## {}\n\n{}\n\n", spec.name, spec.summary);
        let _ = writeln!(text, "- loss: {}", spec.formula);
        let _ = writeln!(text, "- takes: {}", worded(spec.takes));
        let _ = writeln!(text, "- source: {}", spec.source);
        if !spec.aliases.is_empty() {
            let names: Vec<String> = spec.aliases.iter().map(|alias| format!("`{alias}`")).collect();
            let _ = writeln!(text, "- also: {}", names.join(", "));
        }
        for option in spec.options {
            let _ = writeln!(text, "- `{}` ({}): {}", option.name, option.expects(), option.help);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    /// The file of the example from its declaration on.
    fn example() -> &'static str {
        include_str!("example.rs").split_once("a squared hinge.\n").map_or("", |(_, text)| text)
    }

    fn page() -> String {
        format!(
            "# Training objectives\n\n\
             Made from the registry (`plackett_train::objective::OBJECTIVES`); a test compares the two.\n\
             A training file writes `name` or `name(option=value, …)`, and weighted sums:\n\
             `language + 10*weighted-ranknet` (FIRST), `0.9*softmax-cross-entropy + 0.1*kl-distillation` (DeAR).\n\n\
             Labels are grades, or any numbers of which a greater one is better. Lists are ragged: no candidate is\n\
             padding. The loss of a batch is the mean over its lists (sequences, pairs, rows); those that cannot teach,\n\
             as a list with one candidate, are counted. Numbers without a meaning are refused with the list and the\n\
             place. `s` are scores, `y` labels, `σ` the sigmoid, `ln` the natural logarithm.\n\n\
             {}\n\
             ## A new objective\n\n\
             An objective is some ten lines: a declaration in `crates/plackett-train/src/objective` and a line in\n\
             `OBJECTIVES`. It says what the objective is and how the loss of a list comes from its scores. Checks,\n\
             averages, weights, what is skipped, parsing, help and this page come from the declaration, and gradients\n\
             from the tape. This one stands in the file `example.rs` with its test, which runs with the others:\n\n\
             ```rust\n{}```\n\n\
             `on_pairs` gives the differences of scores of all pairs in their wanted order. For anything else\n\
             `on_lists` gives each list: `Ok(None)` says that it cannot teach, `list.teacher()?` asks for the scores of a\n\
             teacher, `list.check_labels(…)?` refuses labels without a meaning; `on_graded_lists` takes several logits a\n\
             candidate. What is no list of candidates implements `Objective` for its kind of `Batch`. An operation that\n\
             the tape lacks goes into `tape/small.rs` with a line in its test of gradients. Options are declared beside\n\
             and read in `build`, as `hinge` does with its margin.\n\n\
             After a change `PLACKETT_BLESS=1 cargo test -p plackett-train` writes this page anew.\n",
            markdown(),
            example()
        )
    }

    #[test]
    fn the_page_in_docs_is_the_registry() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/objectives.md");
        if std::env::var_os("PLACKETT_BLESS").is_some() {
            std::fs::write(path, page()).unwrap();
            return;
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, page(), "run the tests with PLACKETT_BLESS=1 to write docs/objectives.md anew");
    }

    #[test]
    fn listings_hold_every_objective_once() {
        assert_eq!(markdown().matches("\n## ").count(), OBJECTIVES.len(), "a group is missing");
        assert_eq!(listing().lines().count(), OBJECTIVES.len());
        let shown = show(find("lambdarank").unwrap());
        for part in ["lambda-loss (listwise)", "also    lambdaloss", "ndcg-loss2++", "default lambdarank"] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
