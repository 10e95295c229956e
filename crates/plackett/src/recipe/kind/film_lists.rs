//! `film-lists`: a small decoder that learns to answer with a list of titles.

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::small_decoder::{
    BATCH, LAYERS, RATE, SEEDS, STEPS, WIDTH, check_width, folder_of, learn_pairs, new_decoder,
};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, Hashes, StageKind, StageOutput};
use crate::recipe::task::{Environment, Input, Task, hash_file};
use crate::recipe::worlds::film::{
    Demonstrations, FILES, FilmLanguage, FilmWorld, Measured, Talk, demonstrations, measure,
};
use crate::recipe::worlds::recommending::floor_cases::{FloorCase, FloorCases};
use plackett_train::Parameters;
use plackett_train::rl::Rollouts;
use plackett_train::trainer::WordVocabulary;
use std::collections::HashSet;

/// Names of the numbers of a policy over films, of which the first two are by talk.
pub(super) const MEASURES: [&str; 4] = ["ndcg", "recall", "in_catalogue", "exact"];
/// The seed of the world: films, people and talks are the same for all seeds of a training.
const WORLD: u64 = 1;

/// The declaration.
pub static FILM_LISTS: StageKind = StageKind {
    name: "film-lists",
    help: "a small decoder over words, from drawn weights, learns to answer people who liked two films and want others of a genre and \
           decade (made of MovieLens's ratings; people are split 7 : 1 : 2) with a list of titles. The lists to imitate are those of a \
           teacher that names films of the kind by how many people liked them and does not know the catalogue, or the same mapped onto \
           it. Gives of greedy answers to the test people `ndcg` and `recall` (by talk, mean of the seeds; what was named or is not in \
           the catalogue is taken out first), `in_catalogue` (share of lines that name a film of it) and `exact` (share of lists with as \
           many lines as asked for; both by seed)",
    version: 2,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::new(
            "catalogue",
            FieldKind::Whole(10, 100_000),
            Default::Whole(500),
            "films that may be recommended, those liked most",
        ),
        FieldSpec::new("items", FieldKind::Whole(1, 100), Default::Whole(5), "lines of a list"),
        FieldSpec::new(
            "lists",
            FieldKind::Choice(&["remapped", "teacher"]),
            Default::Text("remapped"),
            "the lists to imitate",
        ),
        LAYERS,
        WIDTH,
        BATCH,
        STEPS,
        RATE,
        SEEDS,
    ],
    chooses: None,
    check: check_width,
    numbers: |_, _| MEASURES.map(str::to_string).to_vec(),
    outside,
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let seconds = Some(seeds as f64 * steps as f64 * 0.12);
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

/// The files that the world is made of.
pub(super) fn outside(values: &Values, environment: &Environment) -> Result<Hashes, StageError> {
    let folder = environment.collection(values.word("collection"))?;
    let of = |name: &str| Ok((name.to_string(), hash_file(&folder.join(name))?));
    FILES.into_iter().map(of).collect()
}

/// The world that a stage of this kind is about.
pub(super) fn world_of(values: &Values, environment: &Environment) -> Result<FilmWorld, StageError> {
    let folder = environment.collection(values.word("collection"))?;
    FilmWorld::load(&folder, values.count("catalogue"), WORLD)
}

/// The most tokens of an answer with so many lines: titles of MovieLens have up to a dozen words.
pub(super) fn most_tokens(items: usize) -> usize {
    14 * items + 1
}

/// Positions of the decoder.
fn context_of(items: usize) -> usize {
    most_tokens(items) + 48
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let world = world_of(values, task.environment)?;
    let language = FilmLanguage::new(&world);
    let items = values.count("items");
    let mut all = Vec::new();
    for seed in 1..=values.count("seeds") {
        let mut parameters = Parameters::default();
        let vocabulary = &language.vocabulary;
        let mut model = new_decoder(values, vocabulary, context_of(items), seed, &mut parameters)?;
        learn_pairs(task, pairs(values, (&world, &language), seed), (&model, seed), &mut parameters)?;
        let folder = folder_of(task.folder, seed);
        model.save(&folder, &parameters)?;
        vocabulary.save(&folder)?;
        let engine = Rollouts::open(&model, &parameters, &folder)?;
        all.push(measure(&engine, (&world, &language), &world.talks[2], (items, most_tokens(items)))?);
    }
    let mut made = StageOutput { numbers: numbers(&world.talks[2], &all), ..StageOutput::default() };
    let talks = world.talks.each_ref().map(|talks| talks.len().to_string());
    made.facts.push((
        "talks".into(),
        format!("{} to learn from, {} to choose by, {} to test", talks[0], talks[1], talks[2]),
    ));
    made.facts.push(("words".into(), language.vocabulary.len().to_string()));
    Ok(made)
}

/// Talks to learn from and the lists to imitate.
fn pairs(
    values: &Values,
    (world, language): (&FilmWorld, &FilmLanguage),
    seed: usize,
) -> Vec<(Vec<u32>, Vec<u32>)> {
    let kind = match values.word("lists") {
        "teacher" => Demonstrations::Teacher,
        _ => Demonstrations::Remapped,
    };
    let talks = &world.talks[0];
    let lists = demonstrations(world, talks, (values.count("items"), kind), seed as u64);
    let pair =
        |(talk, list): (&Talk, &Vec<usize>)| (language.prompt(world, talk), language.list(world, list));
    talks.iter().zip(&lists).map(pair).collect()
}

/// What people liked who are not asked for the test, and its talks. A floor knows the films that were named and does not hear what is asked for.
pub(super) fn floor_cases(task: &Task<'_>, input: &Input<'_>) -> Result<FloorCases, StageError> {
    let world = world_of(input.values, task.environment)?;
    let talks = &world.talks[2];
    let tested: HashSet<&str> = talks.iter().map(|talk| talk.user.as_str()).collect();
    let places = |places: &[usize]| places.iter().map(|place| *place as u32).collect::<Vec<u32>>();
    let others = world.histories.iter().filter(|(user, _)| !tested.contains(user.as_str()));
    let case = |(key, talk): (String, &Talk)| FloorCase {
        key,
        history: places(&talk.mentioned),
        targets: places(&talk.wanted),
    };
    Ok(FloorCases {
        catalogue: world.catalogue,
        learned: others.map(|(_, liked)| places(liked)).collect(),
        cases: keys(talks).into_iter().zip(talks).map(case).collect(),
        exclude_seen: true,
    })
}

/// The key of each talk.
fn keys(talks: &[Talk]) -> Vec<String> {
    let key = |(at, talk): (usize, &Talk)| format!("{}: {} {} ({at})", talk.user, talk.genre, talk.decade);
    talks.iter().enumerate().map(key).collect()
}

/// The numbers of [`MEASURES`] from what each seed has measured.
pub(super) fn numbers(talks: &[Talk], all: &[Measured]) -> Vec<Quantity> {
    let keys = keys(talks);
    let by_talk = |of: &dyn Fn(&Measured) -> &Vec<f64>| -> Vec<f64> {
        (0..talks.len()).map(|at| mean(&all.iter().map(|seed| of(seed)[at]).collect::<Vec<_>>())).collect()
    };
    let by_seed =
        |of: &dyn Fn(&Measured) -> &Vec<f64>| -> Vec<f64> { all.iter().map(|seed| mean(of(seed))).collect() };
    vec![
        Quantity::by_query(MEASURES[0], keys.clone(), by_talk(&|seed| &seed.ndcg)),
        Quantity::by_query(MEASURES[1], keys, by_talk(&|seed| &seed.recall)),
        Quantity::of_seeds(MEASURES[2], by_seed(&|seed| &seed.in_catalogue)),
        Quantity::of_seeds(MEASURES[3], by_seed(&|seed| &seed.exact)),
    ]
}

/// The language of a model that a stage of this kind has written.
pub(super) fn language_of(folder: &std::path::Path) -> Result<FilmLanguage, StageError> {
    Ok(FilmLanguage::of(WordVocabulary::open(folder)?))
}
