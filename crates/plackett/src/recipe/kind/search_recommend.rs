//! `search-recommend`: SynerGen, one model that searches and recommends, retrieves and ranks.

use super::text_vectors::{VECTORS, vectors_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{large_batch, rate, settings_of, steps};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Input, Task, hash_file};
use crate::recipe::worlds::choosing;
use crate::recipe::worlds::film::FilmSearches;
use crate::recipe::worlds::recommending::catalogue_index::CatalogueIndex;
use crate::recipe::worlds::recommending::floor_cases::{FloorCase, FloorCases};
use crate::recipe::worlds::recommending::four_modes::{Answers, AskedUser, FourModes, names, quantities};
use plackett_rec::synergen::{
    Labels, Occurrence, SynerGen, SynerGenConfig, SynerGenInference, SynerGenLearning, SynerGenTask,
    TextVectors,
};
use plackett_rec::{Event, Interactions, Training, leave_last_out, read_interactions};
use plackett_train::optimizer::Schedule;
use plackett_train::random::Stream;
use plackett_train::trainer::Settings;
use plackett_train::{Compute, Parameters};

const FILE: &str = "interactions.tsv.gz";
/// Events that a cold item keeps in the training.
const COLD_EVENTS: usize = 2;
/// Kinds of actions: ratings from 1 to 5.
const ACTIONS: usize = 5;
const HEADS: usize = 4;

/// The declaration.
pub static SEARCH_RECOMMEND: StageKind = StageKind {
    name: "search-recommend",
    help: "SynerGen: one decoder reads what somebody did and answers four ways, for the whole catalogue and for candidates, without and with the query of \
           a search (genre and decade, in words that were not learned). The last event of each user is asked for. Some drawn items are cold: the \
           training has two events of each. Ratings are the actions; ranking questions learn from two random items, two of the batch and four of \
           those that the model retrieves. Gives, by user, for `recommend` and `search`: `recall@10` and `ndcg@10` of the catalogue without what was \
           seen, `cascade_ndcg@10` when the first `depth` are ranked again, `auc` of the target among 50 drawn items, `cold_recall@10` of those \
           whose target is cold, `shuffled_ndcg@10` and `shuffled_auc` when times are shuffled among the events of a history; and by seed the greatest \
           change of a score when all times move by a year (`shift`), when candidates come in another order (`permuted`) and without the cache (`uncached`), \
           `calibration_error` and `brier` of the probabilities among those drawn items, and seconds of a user: `read_seconds`, `retrieve_seconds` (the \
           whole catalogue) and `rank_seconds` (50 candidates); with `index` also `index_recall` (share of the first `depth` of the whole catalogue that \
           the index finds) and `index_seconds`, and in the facts how it was searched",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        VECTORS,
        FieldSpec::new(
            "objective",
            FieldKind::Choice(&["joint", "retrieval", "ranking"]),
            Default::Text("joint"),
            "which of the two losses are learned from",
        ),
        FieldSpec::new(
            "samples",
            FieldKind::Choice(&["both", "search", "recommendation"]),
            Default::Text("both"),
            "what is learned: both in equal parts, or one of them",
        ),
        FieldSpec::new(
            "ids",
            FieldKind::Switch,
            Default::Switch(true),
            "whether items have a trained vector",
        ),
        FieldSpec::new(
            "semantic",
            FieldKind::Switch,
            Default::Switch(true),
            "whether items have the vector of their text",
        ),
        FieldSpec::new(
            "rotary",
            FieldKind::Choice(&["time", "place"]),
            Default::Text("time"),
            "whether half of the rotated pairs turn by time, or all by place",
        ),
        FieldSpec::new(
            "labels",
            FieldKind::Choice(&["drawn", "last"]),
            Default::Text("drawn"),
            "which events are learned from: `places` drawn ones of each user and step, or the last one alone, as the authors do it",
        ),
        FieldSpec::new(
            "places",
            FieldKind::Whole(1, 10_000),
            Default::Whole(6),
            "drawn events of a user and step",
        ),
        FieldSpec::new(
            "ranked",
            FieldKind::Whole(1, 10_000),
            Default::Whole(6),
            "of them those that have ranking questions, too",
        ),
        FieldSpec::new(
            "cold",
            FieldKind::Number(0.0, 0.9),
            Default::Number(0.15),
            "share of the items that are cold",
        ),
        FieldSpec::new(
            "width",
            FieldKind::Whole(16, 4096),
            Default::Whole(64),
            "numbers of a token, a multiple of 16",
        ),
        FieldSpec::new("blocks", FieldKind::Whole(1, 100), Default::Whole(2), "layers"),
        FieldSpec::new(
            "events",
            FieldKind::Whole(1, 10_000),
            Default::Whole(50),
            "events of a history, the newest",
        ),
        FieldSpec::new(
            "depth",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(100),
            "retrieved items that are ranked again",
        ),
        FieldSpec::new(
            "index",
            FieldKind::Switch,
            Default::Switch(false),
            "whether an index over the vectors of the catalogue is asked too: a graph (HNSW) where the program is built with usearch, else every vector",
        ),
        FieldSpec::new(
            "gamma",
            FieldKind::Number(0.0, 1e6),
            Default::Number(1.0),
            "weight of the pairwise part of the ranking loss",
        ),
        FieldSpec::new(
            "lambda",
            FieldKind::Number(0.0, 1e6),
            Default::Number(1.0),
            "weight of the ranking loss",
        ),
        steps((1, 10_000_000), 300, "of the training"),
        large_batch(24, "users of a step"),
        rate(2e-3),
        FieldSpec::new(
            "id_rate",
            FieldKind::Number(0.0, 1.0),
            Default::Number(1e-2),
            "that of the trained vectors of items",
        ),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(1), "how many"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |values, _| names(values.on("index")),
    outside: |values, environment| {
        let path = environment.collection(values.word("collection"))?.join(FILE);
        Ok(vec![("interactions".into(), hash_file(&path)?)])
    },
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let seconds = Some(seeds as f64 * (30.0 + 0.3 * steps as f64));
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

/// What is learned from and what is asked for.
struct World {
    films: FilmSearches,
    learned: Vec<Vec<Occurrence>>,
    asked: Vec<AskedUser>,
    texts: TextVectors,
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let folder = task.environment.collection(values.word("collection"))?;
    let all = read_interactions(&folder.join(FILE), None)?;
    let (vectors, films) = vectors_of(task)?;
    let films = FilmSearches::load(&films, &all.items)?;
    let (world, cut) = world_of(&all, films, &vectors, values.real("cold"))?;
    let mut answers = Vec::new();
    for seed in 1..=values.count("seeds") {
        answers.push(measure(task, &world, all.items.len(), seed as u64)?);
    }
    let count = |wanted: &dyn Fn(&AskedUser) -> bool| {
        world.asked.iter().filter(|user| wanted(user)).count().to_string()
    };
    let mut warnings = all.account.remarks();
    warnings.push(format!("{cut} events of cold items are left out of the training"));
    let mut facts = vec![
        ("users".into(), count(&|_| true)),
        ("users with a search".into(), count(&|user| user.query.is_some())),
        ("cold targets".into(), count(&|user| user.is_cold)),
        ("queries".into(), world.films.queries.len().to_string()),
    ];
    let used = answers.iter().find_map(Answers::index_used);
    facts.extend(used.map(|used| ("search of the index".into(), used.to_string())));
    Ok(StageOutput { numbers: quantities(&world.asked, &answers), warnings, facts })
}

fn occurrence(event: &Event) -> Occurrence {
    let action = (event.rating.round() - 1.0).clamp(0.0, ACTIONS as f32 - 1.0) as u32;
    Occurrence { item: event.item, action, time: Some(event.time), query: None }
}

/// What is learned from.
struct Lesson {
    /// The events of everybody but the last, without most of those of cold items.
    learned: Vec<Vec<Event>>,
    /// Which items are cold.
    cold: Vec<bool>,
    /// Events that are left out.
    cut: usize,
}

fn lesson_of(split: &Training<'_>, items: usize, share: f64) -> Lesson {
    let stream = Stream::new(43, 1);
    let cold: Vec<bool> = (0..items).map(|item| f64::from(stream.uniform(item as u64)) < share).collect();
    let (mut kept, mut cut) = (vec![0; items], 0);
    let mut learned = Vec::new();
    for events in &split.sequences {
        let mut own = Vec::with_capacity(events.len());
        for event in events.iter() {
            let kept = &mut kept[event.item as usize];
            *kept += 1;
            match cold[event.item as usize] && *kept > COLD_EVENTS {
                true => cut += 1,
                false => own.push(*event),
            }
        }
        learned.push(own);
    }
    Lesson { learned, cold, cut }
}

/// What is learned from, and the last event of each to ask for.
pub(super) fn floor_cases(task: &Task<'_>, input: &Input<'_>) -> Result<FloorCases, StageError> {
    let folder = task.environment.collection(input.values.word("collection"))?;
    let all = read_interactions(&folder.join(FILE), None)?;
    let split = leave_last_out(&all, 0);
    let lesson = lesson_of(&split, all.items.len(), input.values.real("cold"));
    let items = |events: &[Event]| events.iter().map(|event| event.item).collect::<Vec<u32>>();
    let cases = split.cases.iter().map(|case| FloorCase {
        key: all.users[case.user].clone(),
        history: items(case.history),
        targets: vec![case.target.item],
    });
    Ok(FloorCases {
        catalogue: all.items.len(),
        cases: cases.collect(),
        learned: lesson.learned.iter().map(|events| items(events)).collect(),
        exclude_seen: true,
    })
}

/// What is learned from and asked for, and how many events of cold items are left out.
fn world_of(
    all: &Interactions,
    films: FilmSearches,
    vectors: &choosing::TextVectors,
    share: f64,
) -> Result<(World, usize), StageError> {
    let split = leave_last_out(all, 0);
    let Lesson { learned, cold, cut } = lesson_of(&split, all.items.len(), share);
    let learned = learned.iter().map(|events| events.iter().map(occurrence).collect()).collect();
    let asked = split.cases.iter().enumerate().map(|(at, case)| {
        let queries = &films.held_out[case.target.item as usize];
        let drawn = Stream::new(43, 2 + at as u64).below(0, queries.len().max(1));
        AskedUser {
            user: all.users[case.user].clone(),
            history: case.history.iter().map(occurrence).collect(),
            target: (case.target.item, Some(case.target.time)),
            query: queries.get(drawn).copied(),
            is_cold: cold[case.target.item as usize],
        }
    });
    let asked = asked.collect();
    let of = |texts: &[String]| -> Result<Vec<f32>, StageError> {
        let mut all = Vec::new();
        for text in texts {
            all.extend_from_slice(vectors.get(text)?);
        }
        Ok(all)
    };
    let texts =
        TextVectors { items: of(&films.texts)?, queries: of(&films.queries)?, width: vectors.dimension() };
    Ok((World { films, learned, asked, texts }, cut))
}

fn config_of(values: &Values) -> SynerGenConfig {
    let width = values.count("width");
    SynerGenConfig {
        width,
        blocks: values.count("blocks"),
        heads: HEADS,
        inner: width * 5 / 2,
        max_events: values.count("events"),
        actions: ACTIONS,
        ids: values.on("ids"),
        semantic: values.on("semantic"),
        time: values.word("rotary") == "time",
    }
}

fn measure(task: &Task<'_>, world: &World, items: usize, seed: u64) -> Result<Answers, StageError> {
    let values = task.values;
    let number = |name: &str| values.real(name);
    let mut parameters = Parameters::default();
    let model = SynerGen::new(config_of(values), world.texts.clone(), &mut parameters, seed)?;
    let learning = SynerGenLearning {
        labels: match values.word("labels") {
            "last" => Labels::Last,
            _ => Labels::Drawn(values.count("places")),
        },
        search: match values.word("samples") {
            "search" => 1.0,
            "recommendation" => 0.0,
            _ => 0.5,
        },
        ranked: values.count("ranked"),
        retrieval: if values.word("objective") == "ranking" { 0.0 } else { 1.0 },
        ranking: if values.word("objective") == "retrieval" { 0.0 } else { number("lambda") as f32 },
        gamma: number("gamma") as f32,
        ..SynerGenLearning::default()
    };
    let lesson = SynerGenTask::new(&model, &world.learned, &world.films.learned, learning)?;
    let steps = values.count("steps");
    let settings = Settings {
        head_rate: number("id_rate") as f32,
        warmup: steps / 50,
        schedule: Schedule::Cosine,
        decay: 0.01,
        dropout: 0.1,
        seed,
        ..settings_of(values)
    };
    train_within(task, &format!("{}, seed {seed}", task.name), &lesson, &mut parameters, &settings)?;
    let mut counts = vec![0; items];
    world.learned.iter().flatten().for_each(|event| counts[event.item as usize] += 1);
    model.fill_cold_items(&mut parameters, &counts);
    // Users are asked about side by side, each on one thread.
    let inference = SynerGenInference::new(&model, &parameters, Compute::new(1));
    let index = values.on("index").then(|| {
        let folder = task.folder.join(format!("catalogue-{seed}"));
        CatalogueIndex::make(&folder, inference.item_vectors(), values.count("width"))
    });
    let (index, depth) = (index.transpose()?, values.count("depth"));
    let modes = FourModes { inference, users: &world.asked, items, depth, index: index.as_ref(), seed };
    modes.ask()
}
