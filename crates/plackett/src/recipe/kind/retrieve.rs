//! `retrieve`: a pipeline over an index, for all queries of its collection.

use super::{dataset_of, index, rank};
use crate::pipeline::Pipeline;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::reading::expression::{self, Begins};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, no_numbers};
use crate::recipe::task::Task;
use plackett_core::Query;
use plackett_rank::Settings;
use plackett_search::Index;

/// Queries that are searched together.
const TOGETHER: usize = 256;

/// The declaration.
pub static RETRIEVE: StageKind = StageKind {
    name: "retrieve",
    help: "a pipeline that begins with a first stage or a fusion, over an index",
    version: 1,
    gives: OutputKind::Rankings,
    fields: &[
        FieldSpec::required(
            "index",
            FieldKind::Stage(&[OutputKind::Index]),
            "the index; its collection's queries are asked",
        ),
        FieldSpec::new(
            "data",
            FieldKind::Stage(&[OutputKind::Data]),
            Default::Absent,
            "a collection whose queries are asked in place of those",
        ),
        FieldSpec::required("pipeline", FieldKind::Text, "as in `plackett search --pipeline`"),
        FieldSpec::new(
            "model",
            FieldKind::Text,
            Default::Absent,
            "for rerankers that name no model of their own",
        ),
        FieldSpec::new("depth", FieldKind::Whole(1, i64::MAX), Default::Whole(100), "documents a query"),
    ],
    chooses: None,
    check: |values, _| expression::check(values, Begins::WithIndex),
    numbers: no_numbers,
    outside: rank::fingerprints,
    estimate: |task| {
        let dataset = dataset_of(task, asked(task.values))?;
        let queries = dataset.queries.len();
        let work = format!("{} for {queries} queries", task.values.word("pipeline"));
        let mut estimate =
            Estimate { work, seconds: Some(1.0 + queries as f64 / 50.0), ..Estimate::default() };
        rank::add_models(&mut estimate, task, queries * task.values.count("depth"))?;
        Ok(estimate)
    },
    run,
};

/// The stage whose queries are asked.
fn asked(values: &Values) -> &str {
    values.text("data").unwrap_or(values.word("index"))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, asked(values))?;
    let index = Index::open(task.input(values.word("index"))?.folder.join(index::FOLDER))?;
    let models = task.environment.models(values.text("model"));
    let pipeline = Pipeline::resolve(values.word("pipeline"), Some(&index), &models, &Settings::default())?;
    let depth = values.count("depth");
    rank::in_groups(
        task,
        TOGETHER,
        &dataset.queries,
        |query| &query.id,
        |group: &[Query]| pipeline.search(&index, group, depth),
    )
}
