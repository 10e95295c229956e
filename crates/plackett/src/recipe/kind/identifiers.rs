//! `identifiers`: a catalogue of identifiers for the items of a collection.

use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Hashes, Registry, StageKind, StageOutput};
use crate::recipe::task::{Environment, Task, hash_file};
use crate::recipe::worlds::shopping::{FILES, HELD_OUT, ShoppingWorld};
use plackett_ids::scheme::{Source, parse};
use plackett_ids::{CATALOGUE_FILE, Catalogue, Origin};

/// The numbers that it gives.
const NUMBERS: [&str; 6] =
    ["colliding_items", "prefix_clashes", "mean_length", "dead_tokens", "first_entropy", "unseen_items"];

/// The declaration.
pub static IDENTIFIERS: StageKind = StageKind {
    name: "identifiers",
    help: "gives the items of a collection of histories identifiers that a decoder can write, by a scheme of `plackett ids schemes`, from the \
           training positions of each history (all but the last two) alone. `leaky` makes them from whole histories, which gives the answers \
           away and is there to be seen; `shuffled` deals the finished identifiers to other items. Gives `colliding_items` (that share theirs), \
           `prefix_clashes` (identifiers that others begin with), `mean_length`, `dead_tokens`, `first_entropy` (bits of the first token) and \
           `unseen_items` (in no training position)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::new(
            "catalogue",
            FieldKind::Whole(0, 10_000_000),
            Default::Whole(0),
            "the items that were bought most often; 0 for all",
        ),
        FieldSpec::new(
            "least",
            FieldKind::Whole(3, 1_000_000),
            Default::Whole(5),
            "items that somebody bought at least, of those of the catalogue",
        ),
        FieldSpec::required(
            "scheme",
            FieldKind::Text,
            "such as `atomic` or `collaborative(clusters=10, most=200)`",
        ),
        FieldSpec::new(
            "leaky",
            FieldKind::Switch,
            Default::Switch(false),
            "whether held-out positions are seen too",
        ),
        FieldSpec::new(
            "shuffled",
            FieldKind::Switch,
            Default::Switch(false),
            "whether identifiers are dealt to other items in the end",
        ),
        super::SEED,
    ],
    chooses: None,
    check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside,
    estimate: |task| {
        let work = format!("identifiers by {}", task.values.word("scheme"));
        Ok(Estimate { work, seconds: Some(15.0), ..Estimate::default() })
    },
    run,
};

/// Refuses a scheme that is none before anything runs.
fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    let refused = |error: plackett_ids::IdsError| values.wrong("scheme", 0, Problem::Said(error.to_string()));
    parse(values.word("scheme")).map(|_| ()).map_err(refused)
}

/// The files that the world is made of.
fn outside(values: &Values, environment: &Environment) -> Result<Hashes, StageError> {
    let folder = environment.collection(values.word("collection"))?;
    let of = |name: &str| Ok((name.to_string(), hash_file(&folder.join(name))?));
    FILES.into_iter().map(of).collect()
}

/// The world that a stage of this kind is about.
pub(super) fn world_of(values: &Values, environment: &Environment) -> Result<ShoppingWorld, StageError> {
    let folder = environment.collection(values.word("collection"))?;
    ShoppingWorld::load(&folder, values.count("catalogue"), values.count("least"))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let world = world_of(values, task.environment)?;
    let training = world.training();
    let seen = if values.on("leaky") { &world.histories.items } else { &training };
    let source =
        Source { histories: Some(seen), ..Source::of_items(&world.items, values.count("seed") as u64) };
    let mut catalogue = parse(values.word("scheme"))?.catalogue(&source)?;
    let held_out = Some(if values.on("leaky") { 0 } else { HELD_OUT });
    let origin = Origin { held_out, ..catalogue.origin().clone() };
    catalogue = catalogue.with_origin(origin);
    if values.on("shuffled") {
        catalogue = catalogue.shuffled(source.seed)?;
    }
    catalogue.save(&task.folder.join(CATALOGUE_FILE))?;
    let mut is_seen = vec![false; world.items.len()];
    seen.iter().flatten().for_each(|item| is_seen[*item] = true);
    Ok(made(&catalogue, is_seen.iter().filter(|seen| !**seen).count()))
}

fn made(catalogue: &Catalogue, unseen: usize) -> StageOutput {
    let statistics = catalogue.statistics();
    let tokens: usize = statistics.lengths.iter().map(|(length, items)| length * items).sum();
    let numbers = [
        statistics.colliding_items as f64,
        statistics.prefix_clashes as f64,
        tokens as f64 / statistics.items as f64,
        statistics.dead_tokens as f64,
        statistics.levels.first().map_or(0.0, |level| level.entropy),
        unseen as f64,
    ];
    let facts = [("items", statistics.items), ("tokens", statistics.tokens)];
    StageOutput {
        numbers: NUMBERS
            .into_iter()
            .zip(numbers)
            .map(|(name, number)| Quantity::of_seeds(name, vec![number]))
            .collect(),
        warnings: catalogue.remarks().to_vec(),
        facts: facts.into_iter().map(|(name, count)| (name.to_string(), count.to_string())).collect(),
    }
}
