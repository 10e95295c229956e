//! `facets`: how far rankers cover the sides of broad questions.

use crate::pipeline::ModelError;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::kind::index;
use crate::recipe::models::training_fields::seed;
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::{Task, hash_file};
use crate::recipe::worlds::several_sides::asked_question::Asked;
use crate::recipe::worlds::several_sides::faceted::{self, Faceted, Making};
use plackett_core::diversity::Coverage;
use plackett_core::{Document, Qrels, Ranking, Run, Trace};
use plackett_eval::measure::parse_list;
use plackett_eval::{Evaluator, IntervalOptions, Policy};
use plackett_lm::store::BUNDLED;
use plackett_rank::ask::{RANKERS, coverage_of, unit_vectors};
use plackett_rank::model::{Role, TextEmbedder};

/// The declaration.
pub static FACETS: StageKind = StageKind {
    name: "facets",
    help: "broad questions with several sides, made of pairs of questions and passages: the title of an article asks, questions about \
           some of its passages are the sides. Candidates are the passages of the article and those of others that are nearest to the \
           title by vectors; each side has them in its own order. Gives RANKER/alpha_nDCG, RANKER/StRecall, RANKER/div and \
           RANKER/coverage of the first `k`",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "a folder's name in PLACKETT_DATA, or a path, with pairs.jsonl (query, passage, title, label): pairs without a title say which \
             sentence answers",
        ),
        FieldSpec::required(
            "rankers",
            FieldKind::Texts,
            "`random`, or those of `plackett ask --ranker` that ask no model for a list",
        ),
        FieldSpec::new("k", FieldKind::Whole(1, 1000), Default::Whole(5), "passages of a list that count"),
        FieldSpec::new(
            "passages",
            FieldKind::Whole(2, 100),
            Default::Whole(4),
            "passages of an article that a question is about",
        ),
        FieldSpec::new(
            "sides",
            FieldKind::Whole(1, 100),
            Default::Whole(2),
            "sides that a passage answers, at most",
        ),
        FieldSpec::new(
            "questions",
            FieldKind::Whole(1, 1000),
            Default::Whole(3),
            "questions of an article, at most",
        ),
        FieldSpec::new(
            "others",
            FieldKind::Whole(0, 100_000),
            Default::Whole(40),
            "candidates of other articles",
        ),
        FieldSpec::new(
            "depth",
            FieldKind::Whole(1, 100_000),
            Default::Whole(10),
            "candidates that each side finds",
        ),
        FieldSpec::new(
            "lambda",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.5),
            "of `mmr`: how much nearness counts against novelty",
        ),
        FieldSpec::new(
            "model",
            FieldKind::Text,
            Default::Absent,
            "of the vectors; the bundled one if left out",
        ),
        seed("of `random`"),
    ],
    chooses: None,
    check: |values, _| {
        let mut seen = Vec::new();
        for (nth, name) in values.texts("rankers").into_iter().enumerate() {
            let problem = match () {
                () if !names().contains(&name) => {
                    format!("there is no ranker `{name}` here; there are: {}", names().join(", "))
                }
                () if seen.contains(&name) => format!("`{name}` stands twice; remove one"),
                () => {
                    seen.push(name);
                    continue;
                }
            };
            return Err(values.wrong("rankers", nth, Problem::Said(problem)));
        }
        Ok(())
    },
    numbers: |values, _| {
        let rankers = values.texts("rankers");
        rankers.iter().flat_map(|ranker| MEASURES.map(|measure| format!("{ranker}/{measure}"))).collect()
    },
    outside: |values, environment| {
        let path = faceted::file(&environment.collection(values.word("collection"))?)?;
        let model = values.text("model").unwrap_or(BUNDLED);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(vec![(name, hash_file(&path)?), (format!("model {model}"), environment.fingerprint(model)?)])
    },
    estimate: |task| {
        let faceted = read(task)?;
        let (texts, questions) = (faceted.documents.len(), faceted.questions.len());
        let work = format!("vectors of {texts} passages, lists for {questions} questions");
        let mut estimate = Estimate { work, seconds: Some(questions as f64 / 20.0), ..Estimate::default() };
        let model = task.values.text("model").unwrap_or(BUNDLED);
        index::add_model(&mut estimate, task.environment, model, texts, super::USUAL_WORDS)?;
        Ok(estimate)
    },
    run,
};

const RANDOM: &str = "random";
/// What is measured of each ranker.
pub const MEASURES: [&str; 4] = ["alpha_nDCG", "StRecall", "div", "coverage"];

fn names() -> Vec<&'static str> {
    let alone = RANKERS.iter().filter(|ranker| !ranker.asks_model && !ranker.is_trained);
    let rankers = alone.map(|ranker| ranker.name);
    std::iter::once(RANDOM).chain(rankers).collect()
}

fn read(task: &Task<'_>) -> Result<Faceted, StageError> {
    let values = task.values;
    let path = faceted::file(&task.environment.collection(values.word("collection"))?)?;
    let making = Making {
        passages: values.count("passages"),
        sides: values.count("sides"),
        questions: values.count("questions"),
    };
    Faceted::read(&path, &making)
}

/// The lists of one ranker.
#[derive(Clone, Debug)]
pub struct Lists {
    name: String,
    rankings: Vec<Ranking>,
    div: Vec<f64>,
    coverage: Vec<f64>,
}

impl Lists {
    /// None yet.
    pub fn new(name: &str) -> Lists {
        Lists { name: name.into(), rankings: Vec::new(), div: Vec::new(), coverage: Vec::new() }
    }

    /// Adds the list of a question.
    ///
    /// # Errors
    /// A list with a candidate that is not there or stands twice.
    pub fn add(
        &mut self,
        asked: &Asked<'_>,
        coverage: &Coverage,
        positions: &[usize],
    ) -> Result<(), StageError> {
        let ids = positions.iter().map(|place| asked.documents[*place].id.clone()).collect();
        self.add_ids(&asked.question.id, coverage, positions, ids)
    }

    /// The same by the ids of the documents.
    ///
    /// # Errors
    /// As [`Lists::add`].
    pub fn add_ids(
        &mut self,
        question: &str,
        coverage: &Coverage,
        positions: &[usize],
        ids: Vec<String>,
    ) -> Result<(), StageError> {
        self.div.push(coverage.div(positions).map_err(broken)?);
        self.coverage.push(coverage.mean_covered(positions).map_err(broken)?);
        let count = ids.len();
        let scored = ids.into_iter().enumerate().map(|(at, id)| (id, (count - at) as f64));
        self.rankings.push(Ranking::from_scores(question, scored, Trace::default()));
        Ok(())
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let faceted = read(task)?;
    let models = task.environment.models(task.values.text("model"));
    let model = models.open(None)?;
    let unfit = |problem| StageError::Field { field: "model", problem };
    let embedder = model.abilities().text_embedder().map_err(unfit)?;
    let documents = vectors(task, embedder.as_ref(), &faceted.documents)?;
    let mut lists: Vec<Lists> = task.values.texts("rankers").into_iter().map(Lists::new).collect();
    let mut candidates = 0;
    for (nth, question) in faceted.questions.iter().enumerate() {
        (task.progress)(task.name, nth as u64, faceted.questions.len() as u64);
        let asked = Asked::new(task.values, &faceted, question, &documents, embedder.as_ref())?;
        candidates += asked.pool.len();
        enter(&asked, task.values, &mut lists)?;
    }
    let mut made = measured(task.values.count("k"), &faceted, &lists)?;
    let sides: usize = faceted.questions.iter().map(|question| question.aspects.len()).sum();
    for (name, count) in [
        ("questions", faceted.questions.len()),
        ("sides", sides),
        ("candidates", candidates),
        ("passages", documents.len()),
    ] {
        made.facts.push((name.into(), count.to_string()));
    }
    Ok(made)
}

/// Texts that are read together.
const TOGETHER: usize = 64;

/// Vectors of all passages, each of length 1.
fn vectors(
    task: &Task<'_>,
    model: &dyn TextEmbedder,
    documents: &[Document],
) -> Result<Vec<Vec<f32>>, StageError> {
    let mut all = Vec::with_capacity(documents.len());
    for group in documents.chunks(TOGETHER) {
        (task.progress)(task.name, all.len() as u64, documents.len() as u64);
        let texts: Vec<_> = group.iter().map(Document::model_text).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let found = unit_vectors(model, Role::Document, &texts).map_err(ModelError::from)?;
        all.extend(found.into_iter().map(|vector| vector.values));
    }
    Ok(all)
}

/// Adds the lists of all rankers for a question.
fn enter(asked: &Asked<'_>, values: &Values, lists: &mut [Lists]) -> Result<(), StageError> {
    let coverage = coverage_of(&asked.question.aspects, &asked.documents).map_err(broken)?;
    for list in lists {
        let positions = asked.positions(values, &list.name)?;
        list.add(asked, &coverage, &positions)?;
    }
    Ok(())
}

fn broken(error: impl std::error::Error) -> StageError {
    StageError::Work(error.to_string())
}

/// Measures of all lists, question by question.
///
/// # Errors
/// A measure that cannot be taken of these questions.
pub fn measured(k: usize, faceted: &Faceted, lists: &[Lists]) -> Result<StageOutput, StageError> {
    let full = |source| plackett_core::formats::FormatError::Full { file: "questions".into(), source };
    let mut qrels = Qrels::new();
    for question in &faceted.questions {
        for (side, at) in question.answered_by.iter().enumerate() {
            let judged = qrels.query_mut(&question.id);
            judged.push(&(side + 1).to_string(), &faceted.documents[*at].id, 1).map_err(full)?;
        }
    }
    let written = format!("alpha_nDCG@{k} StRecall@{k}");
    let measures = parse_list(&written).map_err(broken)?;
    let intervals = IntervalOptions { bootstrap: false, analytic: false, ..IntervalOptions::default() };
    let evaluator = Evaluator { measures, policy: Policy::default(), intervals };
    let keys: Vec<String> = faceted.questions.iter().map(|question| question.id.clone()).collect();
    let mut made = StageOutput::default();
    for list in lists {
        let run = Run::from_rankings(&list.name, &list.rankings).map_err(full)?;
        let evaluation = evaluator.evaluate(&qrels, &run)?;
        let quantity = |measure: &str, keys: &[String], values: &[f64]| {
            Quantity::by_query(format!("{}/{measure}", list.name), keys.to_vec(), values.to_vec())
        };
        for (measured, measure) in evaluation.measures.iter().zip(MEASURES) {
            made.numbers.push(quantity(measure, &evaluation.queries, &measured.values));
        }
        made.numbers.push(quantity("div", &keys, &list.div));
        made.numbers.push(quantity("coverage", &keys, &list.coverage));
        made.warnings
            .extend(evaluation.remarks().into_iter().map(|remark| format!("{}: {remark}", list.name)));
    }
    made.facts.push(("rules".into(), evaluator.policy.to_string()));
    Ok(made)
}
