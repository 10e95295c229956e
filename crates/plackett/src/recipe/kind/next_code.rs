//! `next-code`: a small decoder that learns to write the semantic id of what somebody bought next.

use super::next_title::BY_SEED;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives, Values};
use crate::recipe::next_item::{MEASURES, NextItems, NextMeasured, measured, unique_draws};
use crate::recipe::product::{Codes, FILES, Pairs, ProductWorld, Tasks};
use crate::recipe::quantity::mean;
use crate::recipe::registry::{Estimate, Made, StageKind};
use crate::recipe::small_decoder::{
    BATCH, LAYERS, RATE, SEEDS, STEPS, WIDTH, check_width, folder_of, learn_pairs, new_decoder, of_seeds,
};
use crate::recipe::task::{Surroundings, Task, hash_file};
use plackett_train::Parameters;
use plackett_train::rl::Rollouts;
use plackett_train::trainer::WordVocabulary;

/// Beams of a search, and draws that they are compared with.
pub(super) const BEAMS: usize = 16;

/// The declaration.
pub static NEXT_CODE: StageKind = StageKind {
    name: "next-code",
    help: "a small decoder over codes and words, from drawn weights, learns to write the semantic id of the product that somebody bought next, after up to \
           ten before it (the rows of a validation file; tested on those of a test file, which are later). `tasks` = `all` adds ids to titles and back, and \
           histories of ids or titles to the next title, and of titles to the next id. Ids are searched in the trie of the catalogue with 16 beams. Gives \
           the numbers of `next-title`, by row",
    version: 1,
    gives: Gives::Model,
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
    outside: |values, surroundings| {
        let folder = surroundings.collection(values.word("collection"))?;
        FILES.into_iter().map(|name| Ok((name.to_string(), hash_file(&folder.join(name))?))).collect()
    },
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let seconds = Some(seeds as f64 * (20.0 + steps as f64 * 0.15));
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run: |task| {
        let values = task.values;
        let (world, codes, tasks) = world_and_items(values, task.surroundings)?;
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
    surroundings: &Surroundings,
) -> Result<(ProductWorld, Codes, Tasks), StageError> {
    let world = ProductWorld::load(&surroundings.collection(values.word("collection"))?)?;
    let codes = if values.word("codes") == "shuffled" { Codes::Shuffled } else { Codes::Given };
    let tasks = if values.word("tasks") == "all" { Tasks::All } else { Tasks::Next };
    Ok((world, codes, tasks))
}

/// Trains a decoder of each seed on what `items` gives for it, writes it into the stage's folder and measures it.
pub(super) fn write_decoders(
    task: &Task<'_>,
    (vocabulary, context): (&WordVocabulary, usize),
    items: impl Fn(u64) -> Result<(NextItems, Pairs), StageError>,
) -> Result<Made, StageError> {
    let values = task.values;
    let (mut all, mut draws, mut tested) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 1..=values.count("seeds") {
        let (next, others) = items(seed as u64)?;
        tested = next.tested.iter().take(values.count("tested")).cloned().collect();
        let mut parameters = Parameters::default();
        let mut model = new_decoder(values, vocabulary, context, seed, &mut parameters)?;
        let pairs = next.pairs().into_iter().chain(others).collect();
        learn_pairs(task, pairs, (&model, seed), &mut parameters)?;
        let folder = folder_of(task.folder, seed);
        model.save(&folder, &parameters)?;
        vocabulary.save(&folder)?;
        let engine = Rollouts::open(&model, &parameters, &folder)?;
        all.push(NextMeasured::of(&engine, &next.trie, &tested, BEAMS)?);
        draws.push(unique_draws(&engine, &next.trie, &tested, (BEAMS, seed as u64))?);
    }
    let mut made = Made { numbers: measured(&tested, &all), ..Made::default() };
    let by_seed = |of: fn(&NextMeasured) -> &Vec<f64>| all.iter().map(|seed| mean(of(seed))).collect();
    let columns = [by_seed(|seed| &seed.unique), draws, by_seed(|seed| &seed.legal)];
    made.numbers.extend(BY_SEED.into_iter().zip(columns).map(|(name, values)| of_seeds(name, values)));
    made.facts.push(("words and codes".into(), vocabulary.len().to_string()));
    Ok(made)
}
