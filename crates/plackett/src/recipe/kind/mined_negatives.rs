//! `mined-negatives`: queries with their relevant documents and wrong ones of certain ranks of a search, as a collection to learn from.

use super::{dataset_of, index, rank};
use crate::negative_mining::{MinedQuery, NegativeMining, RankBand};
use crate::pipeline::Pipeline;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::reading::expression::{self, Begins};
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use plackett_core::formats::{BeirWriter, FormatError};
use plackett_core::{Document, Qrels, Query};
use plackett_rank::Settings;
use plackett_search::{Index, SearchError};
use std::collections::HashSet;

/// Numbers by query.
const NUMBERS: [&str; 2] = ["positives", "negatives"];
/// The collection that is made, and its judgments.
const MADE: (&str, &str) = ("mined", "train");
/// Queries that are searched together.
const TOGETHER: usize = 64;

/// The declaration.
pub static MINED_NEGATIVES: StageKind = StageKind {
    name: "mined-negatives",
    help: "for each query of a collection its relevant documents and, of the documents that a search finds on some ranks, the first that are not \
           relevant (DUQGen: 93 to 100, four of them). Makes the collection `mined` (judgments `train`, wrong ones with the grade 0). Gives, by \
           query, `positives` and `negatives`, how many there are",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "data",
            FieldKind::Stage(&[OutputKind::Data]),
            "the queries and what is relevant",
        ),
        FieldSpec::required("index", FieldKind::Stage(&[OutputKind::Index]), "what is searched"),
        FieldSpec::new(
            "pipeline",
            FieldKind::Text,
            Default::Text("dense"),
            "how, as in `plackett search --pipeline`",
        ),
        FieldSpec::new("from", FieldKind::Whole(1, 1_000_000), Default::Whole(93), "the first rank, from 1"),
        FieldSpec::new("to", FieldKind::Whole(1, 1_000_000), Default::Whole(100), "the last one"),
        FieldSpec::new("negatives", FieldKind::Whole(1, 1000), Default::Whole(4), "of a query, at most"),
        FieldSpec::new(
            "positives",
            FieldKind::Whole(0, 1000),
            Default::Whole(0),
            "of a query, at most, those with the best grades first; 0 for all",
        ),
    ],
    chooses: None,
    check: |values, _| {
        if band(values).is_none() {
            let problem = "the last rank comes before `from`".into();
            return Err(values.wrong("to", 0, Problem::Said(problem)));
        }
        expression::check(values, Begins::WithIndex)
    },
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: rank::fingerprints,
    estimate: |task| {
        let queries = dataset_of(task, task.values.word("data"))?.queries.len();
        Ok(Estimate {
            work: format!("searches for {queries} queries"),
            seconds: Some(1.0 + queries as f64 / 50.0),
            ..Estimate::default()
        })
    },
    run,
};

/// The ranks that are looked at; `None` where the last one comes before the first.
fn band(values: &Values) -> Option<RankBand> {
    RankBand::new(values.count("from"), values.count("to"))
}

/// A query with what it is to be learned from.
struct Mined {
    query: Query,
    of: MinedQuery,
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, values.word("data"))?;
    let index = Index::open(task.input(values.word("index"))?.folder.join(index::FOLDER))?;
    let models = task.environment.models(None);
    let pipeline = Pipeline::resolve(values.word("pipeline"), Some(&index), &models, &Settings::default())?;
    let before = || StageError::Field { field: "to", problem: "the last rank comes before `from`".into() };
    let ranks = band(values).ok_or_else(before)?;
    let mining = NegativeMining {
        ranks,
        count: values.count("negatives"),
        positives: values.count("positives"),
        margin: None,
        seed: None,
    };
    let mut mined = Vec::new();
    for (nth, part) in dataset.queries.chunks(TOGETHER).enumerate() {
        (task.progress)(task.name, (nth * TOGETHER) as u64, dataset.queries.len() as u64);
        for (query, found) in part.iter().zip(pipeline.search(&index, part, ranks.last())) {
            let is_there = |id: &str| Ok::<bool, SearchError>(index.document(id)?.is_some());
            // Nothing is drawn, so that the number of the query does not matter.
            if let Ok(of) = mining.mine(0, &found?, &dataset.qrels, is_there)? {
                mined.push(Mined { query: query.clone(), of });
            }
        }
    }
    if mined.is_empty() {
        let (from, to) = (ranks.first(), ranks.last());
        let problem = format!(
            "no query has a relevant document in the index and a wrong one on the ranks {from} to {to}"
        );
        return Err(StageError::Field { field: "from", problem });
    }
    let mut made = StageOutput::default();
    let before = dataset.queries.len();
    if mined.len() < before {
        made.warnings.push(format!(
            "{} of {before} queries have no relevant document in the index, or no wrong one on these ranks, and are left out",
            before - mined.len()
        ));
    }
    write(task, &mined, &index)?;
    let keys: Vec<String> = mined.iter().map(|one| one.query.id.clone()).collect();
    let columns = [
        mined.iter().map(|one| one.of.positives.len() as f64).collect(),
        mined.iter().map(|one| one.of.negatives.len() as f64).collect::<Vec<f64>>(),
    ];
    let numbers = NUMBERS.into_iter().zip(columns);
    made.numbers = numbers.map(|(name, values)| Quantity::by_query(name, keys.clone(), values)).collect();
    made.facts.push(("queries".into(), mined.len().to_string()));
    Ok(made)
}

/// The collection: documents that some query learns from, each once, and judgments.
fn write(task: &Task<'_>, mined: &[Mined], index: &Index) -> Result<(), StageError> {
    let folder = task.folder.join(MADE.0);
    let writer = BeirWriter::create(&folder)?;
    let (mut documents, mut seen): (Vec<Document>, HashSet<&str>) = (Vec::new(), HashSet::new());
    let mut qrels = Qrels::new();
    for one in mined {
        let graded = one.of.positives.iter().map(|(id, grade)| (id.as_str(), *grade));
        for (id, grade) in graded.chain(one.of.negatives.iter().map(|id| (id.as_str(), 0))) {
            let full = |source| FormatError::Full { file: folder.display().to_string(), source };
            qrels.query_mut(&one.query.id).push("0", id, grade).map_err(full)?;
            if seen.insert(id) {
                documents.extend(index.document(id)?);
            }
        }
    }
    writer.corpus(documents.into_iter().map(Ok))?;
    writer.queries(&mined.iter().map(|one| one.query.clone()).collect::<Vec<_>>())?;
    Ok(writer.qrels(MADE.1, &qrels)?)
}
