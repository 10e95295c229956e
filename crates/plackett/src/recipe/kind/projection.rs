//! `train-projection` and `project`: a matrix by which the vectors of queries are changed before they are compared with those of
//! an index.

use super::{CANDIDATES, SEED, dataset_of, index, rankings_of, train, vectors};
use crate::recipe::data::dataset::Dataset;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, no_numbers, nothing_outside};
use crate::recipe::running::rankings::RankingLog;
use crate::recipe::task::Task;
use plackett_core::{Query, Ranking, Trace};
use plackett_lm::LmError;
use plackett_rank::model::Role;
use plackett_search::Index;
use plackett_train::Parameters;
use plackett_train::nn::{SafetensorsSource, WeightSource, save};
use plackett_train::trainer::{VectorList, VectorScorer};

const FILE: &str = "projection.safetensors";
const WEIGHT: &str = "projection.weight";
/// Queries that are embedded together.
const TOGETHER: usize = 64;

const JUDGED: FieldSpec = FieldSpec::new(
    "judged",
    FieldKind::Switch,
    Default::Switch(true),
    "whether relevant documents of the judgments are added to the candidates",
);

/// The declaration.
pub static TRAIN_PROJECTION: StageKind = StageKind {
    name: "train-projection",
    help: "a matrix by which a query's vector is changed, learned from candidates and judgments; the documents' vectors stay. It gives a \
           projection, and loss_1 to loss_4 (mean loss of each quarter of the steps), loss (of the last tenth), skipped (the share of \
           lists that could not teach), step_seconds, flat_begin and flat_end (before and \
           after, the share of lists of which all orders that `pg-rank` draws are worth the same, so that they teach nothing)",
    version: 2,
    gives: OutputKind::Projection,
    fields: &[
        FieldSpec::required("index", FieldKind::Stage(&[OutputKind::Index]), "whose vectors are compared"),
        CANDIDATES,
        JUDGED,
        FieldSpec::new(
            "start",
            FieldKind::Choice(&["identity", "random"]),
            Default::Text("identity"),
            "identity: queries as they are; random: a matrix that knows nothing",
        ),
        vectors::OBJECTIVE,
        FieldSpec { default: Default::Number(0.05), ..vectors::TEMPERATURE },
        vectors::RATE,
        vectors::BATCH,
        vectors::STEPS,
        SEED,
    ],
    chooses: None,
    check: vectors::check,
    numbers: |_, _| vectors::NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        Ok(Estimate {
            work: "learns a projection of queries".into(),
            seconds: Some(task.values.count("steps") as f64 / 20.0),
            ..Estimate::default()
        })
    },
    run: train_projection,
};

/// The declaration.
pub static PROJECT: StageKind = StageKind {
    name: "project",
    help: "documents by the dot product of their vectors with a query's vector after a projection: of `candidates`, or of all documents of \
           the projection's index for the queries of `data`",
    version: 1,
    gives: OutputKind::Rankings,
    fields: &[
        FieldSpec::required(
            "projection",
            FieldKind::Stage(&[OutputKind::Projection]),
            "what changes queries",
        ),
        FieldSpec::new(
            "candidates",
            FieldKind::Stage(&[OutputKind::Data, OutputKind::Rankings]),
            Default::Absent,
            "what is ranked",
        ),
        FieldSpec::new(
            "data",
            FieldKind::Stage(&[OutputKind::Data]),
            Default::Absent,
            "queries for which the whole index is ranked",
        ),
        JUDGED,
        FieldSpec::new(
            "depth",
            FieldKind::Whole(1, i64::MAX),
            Default::Whole(100),
            "documents a query, where the whole index is ranked",
        ),
    ],
    chooses: None,
    check: |values, _| {
        if values.has("candidates") != values.has("data") {
            return Ok(());
        }
        let problem = "name candidates, or data whose queries search the whole index, one of the two";
        Err(values.wrong("candidates", 0, Problem::Said(problem.into())))
    },
    numbers: no_numbers,
    outside: nothing_outside,
    estimate: |_| Ok(Estimate { work: "compares vectors".into(), seconds: Some(5.0), ..Estimate::default() }),
    run: project,
};

fn train_projection(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let mut made = StageOutput::default();
    let index = Index::open(task.input(task.values.word("index"))?.folder.join(index::FOLDER))?;
    let lists = lists(task, "index", &index, &mut made)?;
    let dimension = lists.first().map_or(0, |list| list.query.len());
    let mut parameters = Parameters::default();
    let drawn = (task.values.word("start") == "random").then(|| task.values.count("seed") as u64);
    let scorer = VectorScorer::query_projection(&mut parameters, dimension, drawn);
    vectors::learn(task, &scorer, &mut parameters, &lists, &mut made)?;
    let mut whole = vec![0.0; dimension * dimension];
    for column in 0..dimension {
        let mut unit = vec![0.0; dimension];
        unit[column] = 1.0;
        for (row, value) in scorer.project(&parameters, &unit).into_iter().enumerate() {
            whole[row * dimension + column] = value;
        }
    }
    let mut saved = Parameters::default();
    saved.add(WEIGHT, (dimension, dimension), whole);
    save(&task.folder.join(FILE), &saved, |name| Some(name.to_string()))?;
    made.facts.push(("queries".into(), lists.len().to_string()));
    Ok(made)
}

fn project(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let mut made = StageOutput::default();
    let projection = task.input(task.values.word("projection"))?;
    let name = projection.values.word("index");
    let index = Index::open(task.input(name)?.folder.join(index::FOLDER))?;
    let mut found = Vec::new();
    if task.values.has("candidates") {
        let lists = lists_of(task, name, &index, &mut made)?;
        let matrix = Matrix::open(&projection.folder, lists.first().map_or(0, |(list, _)| list.query.len()))?;
        for (list, ids) in lists {
            let query = matrix.times(&list.query);
            let score =
                |row: &[f32]| row.iter().zip(&query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let scores = list.candidates.chunks(query.len().max(1)).map(score);
            found.push(Ranking::from_scores(list.name, ids.into_iter().zip(scores), Trace::default()));
        }
    } else {
        let queries = dataset_of(task, task.values.word("data"))?.queries;
        let embedded = embed(task, name, &queries)?;
        let matrix = Matrix::open(&projection.folder, embedded.first().map_or(0, Vec::len))?;
        for (query, vector) in queries.iter().zip(&embedded) {
            let hits = index.search_vector(&matrix.times(vector), task.values.count("depth"))?;
            found.push(Ranking::from_scores(query.id.clone(), hits, Trace::default()));
        }
    }
    let mut log = RankingLog::open(task.folder)?;
    let done = log.found.len();
    log.add(&found[done.min(found.len())..])?;
    made.facts.push(("queries".into(), found.len().to_string()));
    Ok(made)
}

/// A projection that a stage has left.
struct Matrix {
    rows: Vec<f32>,
    dimension: usize,
}

impl Matrix {
    fn open(folder: &std::path::Path, dimension: usize) -> Result<Matrix, StageError> {
        let mut source = SafetensorsSource::open(&folder.join(FILE))?;
        Ok(Matrix { rows: source.take(WEIGHT, (dimension, dimension))?, dimension })
    }

    fn times(&self, vector: &[f32]) -> Vec<f32> {
        let row = |row: &[f32]| row.iter().zip(vector).map(|(a, b)| a * b).sum();
        self.rows.chunks(self.dimension.max(1)).map(row).collect()
    }
}

/// Lists to learn from: those in which nothing is relevant teach nothing and are left out.
fn lists(
    task: &Task<'_>,
    field: &str,
    index: &Index,
    made: &mut StageOutput,
) -> Result<Vec<VectorList>, StageError> {
    let all = lists_of(task, task.values.word(field), index, made)?;
    let count = all.len();
    let is_taught = |list: &VectorList| list.labels.iter().any(|label| *label > 0.0);
    let lists: Vec<VectorList> = all.into_iter().map(|(list, _)| list).filter(is_taught).collect();
    if lists.len() < count {
        made.warnings.push(format!(
            "{} of {count} queries have nothing relevant and are left out",
            count - lists.len()
        ));
    }
    if lists.is_empty() {
        let problem = "no query has a relevant candidate with a vector; nothing can be learned".to_string();
        return Err(StageError::Field { field: "candidates", problem });
    }
    Ok(lists)
}

/// A query with the vectors of its candidates, and their ids.
type Listed = (VectorList, Vec<String>);

/// The candidates of a stage, with the vectors of an index; those without any are left out, and said to be.
fn lists_of(
    task: &Task<'_>,
    stage: &str,
    index: &Index,
    made: &mut StageOutput,
) -> Result<Vec<Listed>, StageError> {
    let name = task.values.word("candidates");
    let (dataset, rankings) = (dataset_of(task, name)?, rankings_of(task, name)?);
    let vectors = embed(task, stage, &dataset.queries)?;
    let (mut lists, mut without) = (Vec::with_capacity(rankings.len()), 0);
    for ((query, vector), ranking) in dataset.queries.iter().zip(vectors).zip(&rankings) {
        let mut list = VectorList { name: query.id.clone(), query: vector, ..VectorList::default() };
        let ids = candidates(&dataset, query, ranking, task.values.on("judged"));
        let grades = dataset.qrels.grades_of(&query.id, ids.iter().map(String::as_str));
        let mut kept = Vec::with_capacity(ids.len());
        for (id, grade) in ids.into_iter().zip(grades) {
            let Some(vector) = index.vector(&id)? else {
                without += 1;
                continue;
            };
            list.labels.push(grade.max(0) as f32);
            list.candidates.extend(vector);
            kept.push(id);
        }
        if !kept.is_empty() {
            lists.push((list, kept));
        }
    }
    if without > 0 {
        made.warnings.push(format!("{without} candidates have no vector in the index and are left out"));
    }
    Ok(lists)
}

/// The ids of a ranking, and after them relevant documents that it lacks, in the order of the judgments.
fn candidates(dataset: &Dataset, query: &Query, ranking: &Ranking, judged: bool) -> Vec<String> {
    let mut ids: Vec<String> = ranking.entries.iter().map(|entry| entry.id.clone()).collect();
    if judged {
        let known: std::collections::HashSet<String> = ids.iter().cloned().collect();
        let relevant = dataset.qrels.relevant(&query.id);
        let lacking = relevant.filter(|judgment| !known.contains(judgment.document));
        ids.extend(lacking.map(|judgment| judgment.document.to_string()));
    }
    ids
}

/// The vectors of queries, by the model that made those of an index.
fn embed(task: &Task<'_>, stage: &str, queries: &[Query]) -> Result<Vec<Vec<f32>>, StageError> {
    let input = task.input(stage)?;
    let trained =
        input.values.text("trained").map(|stage| train::model_of(task, stage, &train::MODELS)).transpose()?;
    let trained = trained.as_deref().map(|folder| folder.to_string_lossy());
    let models = task.environment.models(trained.as_deref().or(Some(input.values.word("model"))));
    let model = models.open(None)?;
    let unfit = |problem| StageError::Field { field: "index", problem };
    let embedder = model.abilities().text_embedder().map_err(unfit)?;
    let mut vectors = Vec::with_capacity(queries.len());
    for group in queries.chunks(TOGETHER) {
        (task.progress)("embedding", vectors.len() as u64, queries.len() as u64);
        let texts: Vec<&str> = group.iter().map(|query| query.text.as_str()).collect();
        let failed = |error: LmError| StageError::Field { field: "index", problem: error.to_string() };
        vectors.extend(
            embedder.embed_texts(Role::Query, &texts).map_err(failed)?.into_iter().map(|text| text.values),
        );
    }
    Ok(vectors)
}
