//! `plackett recipe list`.

use super::{StoreArguments, failure};
use crate::command::table::{Align, Table};
use crate::command::{Global, Outcome, Output};
use clap::Args;
use plackett::recipe::{ClaimResult, Recipe, Registry, Results, Scale, State, System, papers_page, systems};
use serde_json::{Value, json};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett recipe list\n  plackett recipe list --json | jq '.recipes[] | select(.claims == []) | .name'\n  \
                        plackett recipe list --markdown > docs/papers.md"
)]
pub(super) struct Arguments {
    /// Print the page docs/papers.md
    #[arg(long)]
    markdown: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// A line of the list: a recipe, or a system without one.
struct Entry {
    system: Option<System>,
    recipe: Option<(Recipe, Option<Results>)>,
}

pub(super) fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    global.form("--markdown", arguments.markdown)?;
    let store = arguments.store.store()?;
    let registry = Registry::default();
    if arguments.markdown {
        return Ok(output.print(&papers_page(&store, &registry).map_err(failure)?)?);
    }
    let mut recipes = Vec::new();
    for name in store.names().map_err(failure)? {
        let recipe = store.recipe(&name, &registry).map_err(failure)?;
        recipes.push((recipe, Results::read(&store, &name).map_err(failure)?));
    }
    let mut entries = Vec::new();
    for system in systems().map_err(failure)? {
        let own = recipes.iter().position(|(recipe, _)| recipe.system.as_deref() == Some(&system.name));
        entries.push(Entry { system: Some(system), recipe: own.map(|nth| recipes.remove(nth)) });
    }
    entries.extend(recipes.into_iter().map(|recipe| Entry { system: None, recipe: Some(recipe) }));
    if output.json {
        let listed: Vec<Value> = entries.iter().map(Entry::json).collect();
        return Ok(output.print_json(&json!({ "recipes": listed }))?);
    }
    Ok(output.print(&text(&entries))?)
}

impl Entry {
    fn name(&self) -> &str {
        let of_system = || self.system.as_ref().map_or("", |system| &system.name);
        self.recipe.as_ref().map_or_else(of_system, |(recipe, _)| &recipe.name)
    }

    fn json(&self) -> Value {
        let paper = self.system.as_ref();
        let (mut claims, mut waiting, mut checked) = (Vec::new(), Vec::new(), Value::Null);
        if let Some((recipe, results)) = &self.recipe {
            let scale = recipe.at(Scale::Quick);
            claims = scale
                .claims
                .iter()
                .map(|claim| {
                    let last = last(results.as_ref(), &claim.id);
                    let held = last.map(|last| last.state == State::Held);
                    json!({"id": claim.id, "text": claim.text, "main": claim.main, "expected": claim.expected, "held": held})
                })
                .collect();
            waiting = scale
                .waiting
                .iter()
                .map(|c| json!({"id": c.id, "text": c.text, "main": c.main, "waiting": c.needs}))
                .collect();
            checked = json!(results.as_ref().map(|results| &results.checked));
        }
        json!({
            "name": self.name(),
            "paper": paper.map(|system| &system.paper),
            "system": paper.map(|system| &system.title),
            "year": paper.map(|system| system.year),
            "recipe": self.recipe.is_some(),
            "claims": claims,
            "waiting": waiting,
            "checked": checked,
        })
    }
}

fn last<'a>(results: Option<&'a Results>, id: &str) -> Option<&'a ClaimResult> {
    results?.judged(id)
}

fn text(entries: &[Entry]) -> String {
    let mut table = Table::new([
        ("recipe".to_string(), Align::Left),
        ("system".into(), Align::Left),
        ("claims".into(), Align::Right),
        ("held".into(), Align::Right),
        ("waiting".into(), Align::Right),
        ("checked".into(), Align::Left),
    ]);
    for entry in entries.iter().filter(|entry| entry.recipe.is_some()) {
        let Some((recipe, results)) = &entry.recipe else { continue };
        let scale = recipe.at(Scale::Quick);
        let held = scale
            .claims
            .iter()
            .filter(|c| last(results.as_ref(), &c.id).is_some_and(|last| last.state == State::Held))
            .count();
        let checked = match results {
            None => "never".to_string(),
            Some(results) if !results.is_of(recipe) => format!("{}, changed since", results.checked),
            Some(results) => results.checked.clone(),
        };
        let system = entry
            .system
            .as_ref()
            .map_or_else(|| recipe.title.clone(), |system| format!("{} ({})", system.title, system.year));
        let held = if results.is_some() { held.to_string() } else { "–".into() };
        table.row([
            recipe.name.clone(),
            system,
            scale.claims.len().to_string(),
            held,
            scale.waiting.len().to_string(),
            checked,
        ]);
    }
    let without: Vec<&str> = entries.iter().filter(|entry| entry.recipe.is_none()).map(Entry::name).collect();
    let systems = entries.iter().filter(|entry| entry.system.is_some()).count();
    let mut text = table.render();
    if !without.is_empty() {
        text.push_str(&format!("\n  {} of {systems} published systems have no recipe yet:\n", without.len()));
        for line in without.chunks(6) {
            text.push_str(&format!("    {}\n", line.join(", ")));
        }
    }
    text
}
