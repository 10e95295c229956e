//! `next-code`: a small decoder that learns to write the semantic id of what somebody bought next.

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::small_decoder::{BATCH, LAYERS, RATE, SEEDS, STEPS, WIDTH, check_width};
use crate::recipe::registry::{Estimate, StageKind};
use crate::recipe::task::{Environment, Input, Task, hash_file};
use crate::recipe::worlds::product::{Codes, FILES, ProductWorld, Tasks};
use crate::recipe::worlds::recommending::floor_cases::{FloorCase, FloorCases};
use crate::recipe::worlds::recommending::next_item::{BY_SEED, MEASURES, write_decoders};

/// The declaration.
pub static NEXT_CODE: StageKind = StageKind {
    name: "next-code",
    help: "a small decoder over codes and words, from drawn weights, learns to write the semantic id of the product that somebody bought next, after up to \
           ten before it (the rows of a validation file; tested on those of a test file, which are later). `tasks` = `all` adds ids to titles and back, and \
           histories of ids or titles to the next title, and of titles to the next id. Ids are searched in the trie of the catalogue with 16 beams. Gives \
           the numbers of `next-title`, by row",
    version: 2,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::new(
            "codes",
            FieldKind::Choice(&["given", "shuffled"]),
            Default::Text("given"),
            "the semantic ids of the file, or the same ids of other products",
        ),
        FieldSpec::new(
            "tasks",
            FieldKind::Choice(&["next", "all"]),
            Default::Text("next"),
            "what is learned",
        ),
        LAYERS,
        WIDTH,
        BATCH,
        STEPS,
        RATE,
        FieldSpec::new(
            "tested",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(500),
            "rows of the test, from the first",
        ),
        SEEDS,
    ],
    chooses: None,
    check: check_width,
    numbers: |_, _| MEASURES.iter().chain(&BY_SEED).map(ToString::to_string).collect(),
    outside: |values, environment| {
        let folder = environment.collection(values.word("collection"))?;
        FILES.into_iter().map(|name| Ok((name.to_string(), hash_file(&folder.join(name))?))).collect()
    },
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let seconds = Some(seeds as f64 * (20.0 + steps as f64 * 0.15));
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run: |task| {
        let values = task.values;
        let (world, codes, tasks) = world_and_items(values, task.environment)?;
        let context = world.context(tasks);
        let mut made =
            write_decoders(task, (&world.vocabulary, context), |seed| world.next_items(codes, tasks, seed))?;
        made.facts.extend(world.facts());
        Ok(made)
    },
};

/// The products of a stage of this kind, whose ids they have, and what is learned.
pub(super) fn world_and_items(
    values: &Values,
    environment: &Environment,
) -> Result<(ProductWorld, Codes, Tasks), StageError> {
    let world = ProductWorld::load(&environment.collection(values.word("collection"))?)?;
    let codes = if values.word("codes") == "shuffled" { Codes::Shuffled } else { Codes::Given };
    let tasks = if values.word("tasks") == "all" { Tasks::All } else { Tasks::Next };
    Ok((world, codes, tasks))
}

/// What people had bought in the rows to learn from, and the rows to test. Products are told apart here also where they share an id.
pub(super) fn floor_cases(task: &Task<'_>, input: &Input<'_>) -> Result<FloorCases, StageError> {
    let (world, _, _) = world_and_items(input.values, task.environment)?;
    let case = |(key, before, next): (String, Vec<u32>, u32)| FloorCase {
        key,
        history: before,
        targets: vec![next],
    };
    let tested = world.asked().into_iter().take(input.values.count("tested"));
    Ok(FloorCases {
        catalogue: world.products(),
        learned: world.bought(),
        cases: tested.map(case).collect(),
        exclude_seen: false,
    })
}
