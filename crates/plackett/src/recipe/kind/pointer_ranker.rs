//! `pointer-ranker`: RichRAG's list ranker learns from silver lists and is tested on questions of other articles.

use super::facets::{Lists, MEASURES, measured};
use super::text_vectors::{VECTORS, vectors_of_input};
use super::{SEED, pointer_checks};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{batch, rate, settings_of, steps};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use crate::recipe::worlds::several_sides::faceted::Faceted;
use crate::recipe::worlds::several_sides::list_ranker_examples::{QuestionExample, QuestionExamples};
use plackett_train::list_ranker::{ListRanker, ListRankerJob, SilverExample};
use plackett_train::trainer::{Report, Settings};
use plackett_train::{Compute, Parameters};
use std::sync::Arc;

/// What the learned list is compared with.
const BASELINES: [&str; 4] = ["retriever", "round-robin", "mmr", "silver"];
/// The learned list.
pub const LIST: &str = "list";
/// The paper's temperature of the pointer's softmax.
const TEMPERATURE: f32 = 0.1;

/// The declaration.
pub static POINTER_RANKER: StageKind = StageKind {
    name: "pointer-ranker",
    help: "a small decoder over the vectors of a frozen encoder points at passages one after another, so that they cover the sides of a \
           question together (RichRAG's list ranker). It learns from silver lists: greedy ones that know the answers. Questions are drawn from \
           articles as `facets` makes them; every third article is there to test with. Gives by question of those RANKER/alpha_nDCG, RANKER/StRecall, \
           RANKER/div and RANKER/coverage of the first `k`, where RANKER is list (the learned one), retriever, round-robin, mmr or silver; reward (of the \
           learned list: Com-ROUGE of its first `words` words); after_1 and after_3 (utility of what follows random beginnings of one and three passages, over that \
           of a greedy continuation); of ten questions repeats (passages that stand twice or are missing in a list of all), moved (share of places that \
           change when the candidates are given in another order) and probability (sum over all lists of two of five candidates); with `timed` of so many \
           questions encode_seconds (of all candidates by the encoder) and list_seconds (of a list of ten with cached vectors); and by seed loss",
    version: 1,
    gives: OutputKind::Model,
    fields: &[
        VECTORS,
        FieldSpec::new(
            "learned",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(800),
            "questions to learn from",
        ),
        FieldSpec::new(
            "tested",
            FieldKind::Whole(1, 1000),
            Default::Whole(8),
            "questions of each article to test with",
        ),
        FieldSpec::new("k", FieldKind::Whole(4, 1000), Default::Whole(5), "passages of a list"),
        FieldSpec::new(
            "passages",
            FieldKind::Whole(2, 18),
            Default::Whole(4),
            "passages that a question is about; those to learn from are about up to two more",
        ),
        FieldSpec::new(
            "others",
            FieldKind::Whole(4, 100_000),
            Default::Whole(40),
            "candidates of other articles",
        ),
        FieldSpec::new(
            "depth",
            FieldKind::Whole(1, 100_000),
            Default::Whole(10),
            "candidates that each side finds, for round-robin",
        ),
        FieldSpec::new(
            "lambda",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.5),
            "of `mmr`: how much nearness counts against novelty",
        ),
        FieldSpec::new(
            "disturb",
            FieldKind::Number(0.0, 100.0),
            Default::Number(0.5),
            "weight of steps after random beginnings",
        ),
        FieldSpec::new("width", FieldKind::Whole(4, 4096), Default::Whole(128), "numbers of a state"),
        FieldSpec::new("heads", FieldKind::Whole(1, 64), Default::Whole(4), "heads of attention"),
        FieldSpec::new("layers", FieldKind::Whole(1, 24), Default::Whole(2), "layers of the decoder"),
        batch(16, "questions in a step"),
        steps((1, 1_000_000), 300, "of AdamW"),
        rate(1e-3),
        FieldSpec::new(
            "words",
            FieldKind::Whole(1, 100_000),
            Default::Whole(150),
            "of a list that the reader of the reward copies",
        ),
        FieldSpec::new(
            "timed",
            FieldKind::Whole(0, 1000),
            Default::Whole(0),
            "questions whose times are taken",
        ),
        SEED,
    ],
    chooses: None,
    check: |values, _| match values.count("width").is_multiple_of(values.count("heads").max(1)) {
        true => Ok(()),
        false => {
            let problem = format!("it is no multiple of {} heads", values.count("heads"));
            Err(values.wrong("width", 0, Problem::Said(problem)))
        }
    },
    numbers: |values, _| {
        let rankers = BASELINES.iter().chain(&[LIST]);
        let mut all: Vec<String> =
            rankers.flat_map(|ranker| MEASURES.map(|measure| format!("{ranker}/{measure}"))).collect();
        all.extend(["reward", "loss"].map(str::to_string));
        all.extend(pointer_checks::names(values.count("timed")));
        all
    },
    outside: nothing_outside,
    estimate: |task| {
        let (steps, batch) = (task.values.count("steps"), task.values.count("batch"));
        let (learned, timed) = (task.values.count("learned"), task.values.count("timed"));
        // Silver lists, steps, encodings.
        let seconds = learned as f64 * 0.01 + (steps * batch) as f64 * 0.01 + timed as f64 * 5.0 + 5.0;
        Ok(Estimate {
            work: format!("a training of {steps} steps of {batch} questions"),
            seconds: Some(seconds),
            ..Estimate::default()
        })
    },
    run,
};

/// The questions of a stage of this kind.
pub fn lessons_of(task: &Task<'_>, values: &Values) -> Result<QuestionExamples, StageError> {
    let (vectors, file) = vectors_of_input(task, values)?;
    QuestionExamples::draw(&file, values, &vectors)
}

fn learn(
    task: &Task<'_>,
    examples: &[SilverExample],
    parameters: &mut Parameters,
) -> Result<(ListRanker, Report), StageError> {
    let values = task.values;
    let steps = values.count("steps");
    let settings = Settings {
        batch: values.count("batch").min(examples.len()),
        warmup: steps / 20,
        seed: values.count("seed") as u64,
        ..settings_of(values)
    };
    let job = ListRankerJob {
        width: values.count("width"),
        heads: values.count("heads"),
        layers: values.count("layers"),
        temperature: TEMPERATURE,
        disturb: values.real("disturb"),
        settings,
    };
    let lesson = job.task(examples, parameters)?;
    let report = train_within(task, task.name, &lesson, parameters, &job.settings)?;
    Ok((lesson.ranker, report))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let lessons = lessons_of(task, values)?;
    let examples: Vec<SilverExample> = lessons.learned.iter().map(|lesson| lesson.example.clone()).collect();
    let mut parameters = Parameters::default();
    let (ranker, report) = learn(task, &examples, &mut parameters)?;
    ranker.save(&parameters, task.folder)?;
    let compute = Compute::new(rayon::current_num_threads());
    let found = found(&lessons, (&ranker, &parameters, &compute), values.count("k"))?;
    let mut lists = baselines(task, &lessons)?;
    lists.push(learned_lists(&lessons, &found)?);
    let mut made = measured(values.count("k"), &lessons.faceted, &lists)?;
    made.numbers.push(rewards(&lessons, &found, values.count("words")));
    made.numbers.push(Quantity::of_seed("loss", values.count("seed"), f64::from(report.final_loss())));
    made.numbers.extend(pointer_checks::measured(task, &lessons, (&ranker, &parameters, &compute))?);
    made.facts.extend(facts(&lessons, &parameters));
    if lessons.missing > 0 {
        made.warnings
            .push(format!("{} questions were not made: their articles are too short", lessons.missing));
    }
    Ok(made)
}

/// The ranker's list of each question to test with.
pub fn found(
    lessons: &QuestionExamples,
    (ranker, parameters, compute): (&ListRanker, &Parameters, &Arc<Compute>),
    k: usize,
) -> Result<Vec<Vec<usize>>, StageError> {
    let best = |lesson: &QuestionExample| ranker.best(parameters, compute, &lesson.example.question, k);
    Ok(lessons.tested.iter().map(best).collect::<Result<_, _>>()?)
}

fn baselines(task: &Task<'_>, lessons: &QuestionExamples) -> Result<Vec<Lists>, StageError> {
    let (vectors, _) = vectors_of_input(task, task.values)?;
    let mut lists: Vec<Lists> = BASELINES.iter().map(|name| Lists::new(name)).collect();
    for lesson in &lessons.tested {
        let asked = lesson.asked(&lessons.faceted.documents, task.values, &vectors)?;
        for (name, list) in BASELINES.iter().zip(&mut lists) {
            let positions = asked.positions(task.values, name)?;
            list.add(&asked, &lesson.example.coverage, &positions)?;
        }
    }
    Ok(lists)
}

/// The learned lists for their measures.
///
/// # Errors
/// A list with a candidate that is not there or stands twice.
pub fn learned_lists(lessons: &QuestionExamples, found: &[Vec<usize>]) -> Result<Lists, StageError> {
    let Faceted { documents, .. } = &lessons.faceted;
    let mut lists = Lists::new(LIST);
    for (lesson, positions) in lessons.tested.iter().zip(found) {
        let ids = positions.iter().map(|at| documents[lesson.places[*at]].id.clone()).collect();
        lists.add_ids(&lesson.question.id, &lesson.example.coverage, positions, ids)?;
    }
    Ok(lists)
}

/// The reward of each list.
pub fn rewards(lessons: &QuestionExamples, found: &[Vec<usize>], words: usize) -> Quantity {
    let keys = lessons.tested.iter().map(|lesson| lesson.question.id.clone()).collect();
    let of = |(lesson, list): (&QuestionExample, &Vec<usize>)| lessons.reward(lesson, list, words);
    Quantity::by_query("reward", keys, lessons.tested.iter().zip(found).map(of).collect())
}

/// What there is to say of a training.
pub fn facts(lessons: &QuestionExamples, parameters: &Parameters) -> Vec<(String, String)> {
    let [learned, tested] = lessons.articles;
    let count =
        |lessons: &[QuestionExample]| -> usize { lessons.iter().map(|lesson| lesson.places.len()).sum() };
    vec![
        ("articles".into(), format!("{learned} to learn from, {tested} to test with")),
        (
            "questions".into(),
            format!("{} to learn from, {} to test with", lessons.learned.len(), lessons.tested.len()),
        ),
        (
            "candidates of a question".into(),
            (count(&lessons.tested) / lessons.tested.len().max(1)).to_string(),
        ),
        ("weights".into(), parameters.count().to_string()),
    ]
}
