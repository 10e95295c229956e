//! `next-title`: a small decoder that learns to write the title of what somebody liked next.

use super::film_lists::{HEADS, check_width, folder_of, of_seeds, outside, world_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives};
use crate::recipe::film::{FilmLanguage, FilmWorld, NextFilm, NextFilms, NextMeasured, measure_next};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, Made, StageKind};
use crate::recipe::task::Task;
use plackett_lm::decode::Sampling;
use plackett_train::nn::LlamaConfig;
use plackett_train::objective::parse_sum;
use plackett_train::optimizer::Schedule;
use plackett_train::rl::Rollouts;
use plackett_train::trainer::{LanguageModel, LanguageTask, Settings, StepRecord, train};
use plackett_train::{Compute, Parameters};
use std::collections::HashSet;

/// Beams of a search, and draws that they are compared with.
pub(super) const BEAMS: usize = 16;
/// Positions: ten films before, each with up to fourteen words, and one to write.
const CONTEXT: usize = 11 * 14 + 4;
/// Films whose draws are counted.
const DRAWN: usize = 100;
/// Numbers of what was measured on the films to test, by user.
pub(super) const MEASURES: [&str; 2] = ["ndcg", "hit"];

/// The declaration.
pub static NEXT_TITLE: StageKind = StageKind {
    name: "next-title",
    help: "a small decoder over words, from drawn weights, learns to write the title of the film that somebody liked next, after up to ten \
           titles (MovieLens, films of the catalogue; the last film of each person is held out). Titles are searched in the trie of the \
           catalogue with 16 beams. Gives, of held-out films, `ndcg` (at 10) and `hit` (of the first beam; both by user, mean of the \
           seeds), and by seed `unique_beams` and `unique_draws` (share of 16 beams, and of 16 titles drawn token by token in the trie, that \
           are different)",
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
        FieldSpec::new("layers", FieldKind::Whole(1, 100), Default::Whole(2), "layers of the decoder"),
        FieldSpec::new(
            "width",
            FieldKind::Whole(8, 4096),
            Default::Whole(96),
            "numbers of a token; a multiple of 8",
        ),
        FieldSpec::new("batch", FieldKind::Whole(1, 4096), Default::Whole(32), "films in a step"),
        FieldSpec::required("steps", FieldKind::Whole(1, i64::MAX), "steps"),
        FieldSpec::new("rate", FieldKind::Number(0.0, 1.0), Default::Number(3e-3), "the learning rate"),
        FieldSpec::new(
            "tested",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(400),
            "people whose last film is asked for",
        ),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(2), "how many"),
    ],
    chooses: None,
    check: check_width,
    numbers: |_, _| {
        MEASURES.iter().chain(&["unique_beams", "unique_draws"]).map(ToString::to_string).collect()
    },
    outside,
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let seconds = Some(seeds as f64 * (20.0 + steps as f64 * 0.2));
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<Made, StageError> {
    let values = task.values;
    let world = world_of(values, task.surroundings)?;
    let language = FilmLanguage::new(&world);
    let vocabulary = &language.vocabulary;
    let (mut all, mut draws) = (Vec::new(), Vec::new());
    for seed in 1..=values.count("seeds") {
        let films = NextFilms::of(&world, seed as u64);
        let tested = &films.tested[..films.tested.len().min(values.count("tested"))];
        let mut parameters = Parameters::default();
        let width = values.count("width");
        let config = LlamaConfig::small(vocabulary.len(), values.count("layers"), (width, 3 * width), HEADS);
        let config = LlamaConfig { tie_word_embeddings: true, ..config };
        let mut model = LanguageModel::of_words(vocabulary, &config, CONTEXT, seed as u64, &mut parameters)?;
        learn(task, (&world, &language), &films.learned, (&model, seed), &mut parameters)?;
        let folder = folder_of(task.folder, seed);
        model.save(&folder, &parameters)?;
        vocabulary.save(&folder)?;
        let engine = Rollouts::open(&model, &parameters, &folder)?;
        all.push(measure_next(&engine, (&world, &language), tested, BEAMS)?);
        draws.push(unique_draws(&engine, (&world, &language), tested, seed as u64)?);
    }
    let mut made = Made { numbers: numbers(&world, values.count("tested"), &all), ..Made::default() };
    made.numbers.push(of_seeds("unique_beams", all.iter().map(|seed| mean(&seed.unique)).collect()));
    made.numbers.push(of_seeds("unique_draws", draws));
    made.facts.push(("words".into(), vocabulary.len().to_string()));
    Ok(made)
}

fn learn(
    task: &Task<'_>,
    (world, language): (&FilmWorld, &FilmLanguage),
    films: &[NextFilm],
    (model, seed): (&LanguageModel, usize),
    parameters: &mut Parameters,
) -> Result<(), StageError> {
    let values = task.values;
    let pair = |film: &NextFilm| (language.next_prompt(world, film), language.line(world, film.next));
    let objective = parse_sum("language").map_err(|error| StageError::Simulation(error.to_string()))?;
    let learning = LanguageTask::of_pairs(model, films.iter().map(pair).collect(), objective)?;
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
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(&name, record.step as u64, total as u64);
    let compute = Compute::new(rayon::current_num_threads());
    train(&learning, &compute, parameters, &settings, (None, ""), None, &mut progress)?;
    Ok(())
}

/// The share of different titles among draws, a mean over films.
fn unique_draws(
    engine: &Rollouts,
    (world, language): (&FilmWorld, &FilmLanguage),
    films: &[NextFilm],
    seed: u64,
) -> Result<f64, StageError> {
    let (trie, _) = language.trie(world)?;
    let prompts: Vec<Vec<u32>> =
        films.iter().take(DRAWN).map(|film| language.next_prompt(world, film)).collect();
    let prompts: Vec<&[u32]> = prompts.iter().map(|prompt| &prompt[..]).collect();
    let sampling = Sampling { samples: BEAMS, ..Sampling::new(seed) };
    let drawn = engine.sample_trie(&prompts, (&trie, None), sampling)?;
    let distinct = |draws: &Vec<(usize, _)>| {
        let ranks: HashSet<usize> = draws.iter().map(|(rank, _)| *rank).collect();
        ranks.len() as f64 / draws.len().max(1) as f64
    };
    Ok(mean(&drawn.iter().map(distinct).collect::<Vec<_>>()))
}

/// The numbers of [`MEASURES`] from what each seed has measured.
pub(super) fn numbers(world: &FilmWorld, tested: usize, all: &[NextMeasured]) -> Vec<Quantity> {
    // People who are tested do not depend on the seed.
    let films = NextFilms::of(world, 1).tested;
    let users: Vec<String> = films.iter().take(tested).map(|film| film.user.clone()).collect();
    let by_user = |of: fn(&NextMeasured) -> &Vec<f64>| -> Vec<f64> {
        (0..users.len()).map(|at| mean(&all.iter().map(|seed| of(seed)[at]).collect::<Vec<_>>())).collect()
    };
    vec![
        Quantity::by_query(MEASURES[0], users.clone(), by_user(|seed| &seed.ndcg)),
        Quantity::by_query(MEASURES[1], users.clone(), by_user(|seed| &seed.hit)),
    ]
}
