//! `docs/papers.md`: every system, its recipe, its claims, when last checked.

use super::results::{Results, State};
use crate::recipe::error::RecipeError;
use crate::recipe::field::Scale;
use crate::recipe::reading::file::Recipe;
use crate::recipe::reading::systems::{RecipeStore, System, systems};
use crate::recipe::registry::Registry;
use std::fmt::Write;

/// The page, from the table of systems, the recipes and their recorded results.
///
/// # Errors
/// A recipe or a file of results is wrong.
pub fn papers_page(store: &RecipeStore, registry: &Registry) -> Result<String, RecipeError> {
    let systems = systems()?;
    let mut recipes = Vec::new();
    for name in store.names()? {
        recipes.push((store.recipe(&name, registry)?, Results::read(store, &name)?));
    }
    let of =
        |system: &System| recipes.iter().find(|(recipe, _)| recipe.system.as_deref() == Some(&system.name));
    let covered = systems.iter().filter(|system| of(system).is_some()).count();
    let mut text = format!(
        "# Published systems and their recipes\n\nWritten by `plackett recipe list --markdown`; a test holds this page to the files in \
         `recipes/`. {covered} of {} systems have a recipe.\n\n| system | paper | year | recipe | claims | last checked |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        systems.len()
    );
    for system in &systems {
        let paper = match &system.arxiv {
            Some(id) => format!("{} (arXiv {id})", system.paper),
            None => system.paper.clone(),
        };
        let (recipe, claims, checked) = match of(system) {
            Some((recipe, results)) => (
                format!("`{}`", recipe.name),
                counts(recipe, results.as_ref()),
                when(recipe, results.as_ref()),
            ),
            None => ("none yet".into(), "–".into(), "–".into()),
        };
        let _ = writeln!(
            text,
            "| {} | {paper} | {} | {recipe} | {claims} | {checked} |",
            system.title, system.year
        );
    }
    for (recipe, results) in &recipes {
        section(&mut text, recipe, results.as_ref());
    }
    Ok(text)
}

/// The state of a live claim in the recorded results; `None` for one that was not judged.
fn state(results: Option<&Results>, id: &str) -> Option<(State, String)> {
    let claim = results?.judged(id)?;
    Some((claim.state, claim.numbers.clone()))
}

fn counts(recipe: &Recipe, results: Option<&Results>) -> String {
    let scale = recipe.at(Scale::Quick);
    let count = |wanted: State| {
        scale.claims.iter().filter(|c| state(results, &c.id).is_some_and(|(s, _)| s == wanted)).count()
    };
    let (held, failed) = (count(State::Held), count(State::Failed));
    let unchecked = scale.claims.len() - held - failed;
    let parts =
        [(held, "held"), (failed, "failed"), (unchecked, "not checked"), (scale.waiting.len(), "waiting")];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    parts.join(", ")
}

fn when(recipe: &Recipe, results: Option<&Results>) -> String {
    match results {
        None => "never".into(),
        Some(results) if !results.is_of(recipe) => {
            format!("{} ({}; the recipe has changed since)", results.checked, results.scale)
        }
        Some(results) => format!("{} ({})", results.checked, results.scale),
    }
}

fn section(text: &mut String, recipe: &Recipe, results: Option<&Results>) {
    let _ = writeln!(text, "\n## {}\n\n{}\n", recipe.name, recipe.title);
    if let Some(results) = results {
        let _ =
            writeln!(text, "Last checked {}, {} s of work.\n", when(recipe, Some(results)), results.seconds);
    }
    text.push_str("| claim | | state | numbers |\n| --- | --- | --- | --- |\n");
    let scale = recipe.at(Scale::Quick);
    for claim in &scale.claims {
        let (state, numbers) = state(results, &claim.id)
            .map_or(("not checked", String::new()), |(state, numbers)| (state.name(), numbers));
        let kind = match (claim.main, claim.expected) {
            (true, true) => "main",
            (true, false) => "main, not expected to hold here",
            (false, true) => "",
            (false, false) => "not expected to hold here",
        };
        row(text, &claim.text, kind, state, &numbers);
    }
    for claim in &scale.waiting {
        row(
            text,
            &claim.text,
            if claim.main { "main" } else { "" },
            "waiting",
            &format!("for {}", claim.needs),
        );
    }
}

fn row(text: &mut String, claim: &str, kind: &str, state: &str, numbers: &str) {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let _ = writeln!(text, "| {} | {kind} | {state} | {} |", plain(claim), plain(numbers));
}

#[cfg(test)]
mod tests {
    use super::super::results::ClaimResult;
    use super::*;
    use crate::recipe::reading::source::Source;

    const TEXT: &str = "title = \"t\"\n[stage.s]\nkind = \"simulate\"\nsimulation = \"windows\"\nschedule = \"full\"\nseeds = 3\n\
                        [claim.live]\ntext = \"one call\"\nkind = \"equal\"\nof = \"s/windows\"\nvalue = 1\n\
                        [claim.later]\ntext = \"one day\"\nwaiting = \"data\"\n";

    /// A record of a day on which both claims stood as they are given.
    fn record(recipe: &Recipe, live: State) -> Results {
        let claim =
            |id: &str, state, numbers: &str| ClaimResult { id: id.into(), state, numbers: numbers.into() };
        Results {
            checked: "2026-01-31".into(),
            scale: "quick".into(),
            version: "0".into(),
            recipe: recipe.hash(),
            seconds: 1.0,
            claims: vec![
                claim("live", live, "waits for training"),
                claim("later", State::Waiting, "waits for data"),
            ],
        }
    }

    #[test]
    fn a_live_claim_that_waited_when_it_was_recorded_is_not_checked_in_head_and_table() {
        let recipe = Recipe::read("t", Source::of_text("t.toml", TEXT), &Registry::default())
            .unwrap_or_else(|e| panic!("{e}"));
        let old = record(&recipe, State::Waiting);
        assert_eq!(counts(&recipe, Some(&old)), "1 not checked, 1 waiting");
        let mut text = String::new();
        section(&mut text, &recipe, Some(&old));
        assert!(text.contains("| one call |  | not checked |  |\n"), "{text}");
        assert!(text.contains("| one day |  | waiting | for data |\n"), "{text}");
        let held = record(&recipe, State::Held);
        assert_eq!(counts(&recipe, Some(&held)), "1 held, 1 waiting");
    }
}
