//! `film-lists`: a small decoder that learns to answer with a list of titles.

use super::train::FOLDER;
use crate::recipe::error::{RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives, Values};
use crate::recipe::film::{
    Demonstrations, FILES, FilmLanguage, FilmWorld, Measured, Talk, demonstrations, measure,
};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, Hashes, Made, Registry, StageKind};
use crate::recipe::task::{Surroundings, Task, hash_file};
use plackett_train::nn::LlamaConfig;
use plackett_train::objective::parse_sum;
use plackett_train::optimizer::Schedule;
use plackett_train::rl::Rollouts;
use plackett_train::trainer::{LanguageModel, LanguageTask, Settings, StepRecord, WordVocabulary, train};
use plackett_train::{Compute, Parameters};
use std::path::PathBuf;

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
    version: 1,
    gives: Gives::Model,
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
        FieldSpec::new("layers", FieldKind::Whole(1, 100), Default::Whole(2), "layers of the decoder"),
        FieldSpec::new(
            "width",
            FieldKind::Whole(8, 4096),
            Default::Whole(96),
            "numbers of a token; a multiple of 8",
        ),
        FieldSpec::new("batch", FieldKind::Whole(1, 4096), Default::Whole(32), "talks in a step"),
        FieldSpec::required("steps", FieldKind::Whole(1, i64::MAX), "steps"),
        FieldSpec::new("rate", FieldKind::Number(0.0, 1.0), Default::Number(3e-3), "the learning rate"),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(2), "how many"),
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

/// Heads of attention; the width of each is even.
pub(super) const HEADS: usize = 4;

/// Refuses a width that heads do not cut into even parts.
pub(super) fn check_width(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    use crate::recipe::error::Problem;
    match values.count("width").is_multiple_of(2 * HEADS) {
        true => Ok(()),
        false => {
            Err(values.wrong("width", 0, Problem::Said(format!("a multiple of {} is expected", 2 * HEADS))))
        }
    }
}

/// The files that the world is made of.
pub(super) fn outside(values: &Values, surroundings: &Surroundings) -> Result<Hashes, StageError> {
    let folder = surroundings.collection(values.word("collection"))?;
    let of = |name: &str| Ok((name.to_string(), hash_file(&folder.join(name))?));
    FILES.into_iter().map(of).collect()
}

/// The world that a stage of this kind is about.
pub(super) fn world_of(values: &Values, surroundings: &Surroundings) -> Result<FilmWorld, StageError> {
    let folder = surroundings.collection(values.word("collection"))?;
    FilmWorld::load(&folder, values.count("catalogue"), WORLD)
}

/// The folder of the model of a seed.
pub(super) fn folder_of(stage: &std::path::Path, seed: usize) -> PathBuf {
    stage.join(format!("{FOLDER}-{seed}"))
}

/// The most tokens of an answer with so many lines: titles of MovieLens have up to a dozen words.
pub(super) fn most_tokens(items: usize) -> usize {
    14 * items + 1
}

/// Positions of the decoder.
fn context_of(items: usize) -> usize {
    most_tokens(items) + 48
}

fn run(task: &Task<'_>) -> Result<Made, StageError> {
    let values = task.values;
    let world = world_of(values, task.surroundings)?;
    let language = FilmLanguage::new(&world);
    let compute = Compute::new(rayon::current_num_threads());
    let items = values.count("items");
    let mut all = Vec::new();
    for seed in 1..=values.count("seeds") {
        let mut parameters = Parameters::default();
        let width = values.count("width");
        let vocabulary = &language.vocabulary;
        let config = LlamaConfig::small(vocabulary.len(), values.count("layers"), (width, 3 * width), HEADS);
        let config = LlamaConfig { tie_word_embeddings: true, ..config };
        let mut model =
            LanguageModel::of_words(vocabulary, &config, context_of(items), seed as u64, &mut parameters)?;
        learn(task, (&world, &language), (&model, seed), &compute, &mut parameters)?;
        let folder = folder_of(task.folder, seed);
        model.save(&folder, &parameters)?;
        vocabulary.save(&folder)?;
        let engine = Rollouts::open(&model, &parameters, &folder)?;
        all.push(measure(&engine, (&world, &language), &world.talks[2], (items, most_tokens(items)))?);
    }
    let mut made = Made { numbers: numbers(&world.talks[2], &all), ..Made::default() };
    let talks = world.talks.each_ref().map(|talks| talks.len().to_string());
    made.facts.push((
        "talks".into(),
        format!("{} to learn from, {} to choose by, {} to test", talks[0], talks[1], talks[2]),
    ));
    made.facts.push(("words".into(), language.vocabulary.len().to_string()));
    Ok(made)
}

fn learn(
    task: &Task<'_>,
    (world, language): (&FilmWorld, &FilmLanguage),
    (model, seed): (&LanguageModel, usize),
    compute: &std::sync::Arc<Compute>,
    parameters: &mut Parameters,
) -> Result<(), StageError> {
    let values = task.values;
    let kind = match values.word("lists") {
        "teacher" => Demonstrations::Teacher,
        _ => Demonstrations::Remapped,
    };
    let talks = &world.talks[0];
    let lists = demonstrations(world, talks, (values.count("items"), kind), seed as u64);
    let pair =
        |(talk, list): (&Talk, &Vec<usize>)| (language.prompt(world, talk), language.list(world, list));
    let pairs = talks.iter().zip(&lists).map(pair).collect();
    let objective = parse_sum("language").map_err(|error| StageError::Simulation(error.to_string()))?;
    let learning = LanguageTask::of_pairs(model, pairs, objective)?;
    let steps = values.count("steps");
    let settings = Settings {
        batch: values.count("batch"),
        steps,
        rate: values.number("rate").unwrap_or_default() as f32,
        warmup: steps / 20,
        schedule: Schedule::Cosine,
        seed: seed as u64,
        checkpoint: 0,
        ..Settings::default()
    };
    let name = format!("{}, seed {seed}", task.name);
    let mut progress = |record: &StepRecord, total: usize| {
        (task.progress)(&name, record.step as u64, total as u64);
    };
    train(&learning, compute, parameters, &settings, (None, ""), None, &mut progress)?;
    Ok(())
}

/// The numbers of [`MEASURES`] from what each seed has measured.
pub(super) fn numbers(talks: &[Talk], all: &[Measured]) -> Vec<Quantity> {
    let keys: Vec<String> = talks
        .iter()
        .enumerate()
        .map(|(at, talk)| format!("{}: {} {} ({at})", talk.user, talk.genre, talk.decade))
        .collect();
    let by_talk = |of: &dyn Fn(&Measured) -> &Vec<f64>| -> Vec<f64> {
        (0..talks.len()).map(|at| mean(&all.iter().map(|seed| of(seed)[at]).collect::<Vec<_>>())).collect()
    };
    let by_seed =
        |of: &dyn Fn(&Measured) -> &Vec<f64>| -> Vec<f64> { all.iter().map(|seed| mean(of(seed))).collect() };
    vec![
        Quantity::by_query(MEASURES[0], keys.clone(), by_talk(&|seed| &seed.ndcg)),
        Quantity::by_query(MEASURES[1], keys, by_talk(&|seed| &seed.recall)),
        of_seeds(MEASURES[2], by_seed(&|seed| &seed.in_catalogue)),
        of_seeds(MEASURES[3], by_seed(&|seed| &seed.exact)),
    ]
}

/// A number of each seed, from 1.
pub(super) fn of_seeds(name: &str, values: Vec<f64>) -> Quantity {
    let keys = (1..=values.len()).map(|seed| seed.to_string()).collect();
    Quantity { name: name.into(), unit: "seed".into(), keys, values }
}

/// The language of a model that a stage of this kind has written.
pub(super) fn language_of(folder: &std::path::Path) -> Result<FilmLanguage, StageError> {
    Ok(FilmLanguage::of(WordVocabulary::open(folder)?))
}
