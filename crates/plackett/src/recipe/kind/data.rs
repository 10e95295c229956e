//! `data`: queries, judgments, documents and candidates of a collection.

use crate::recipe::data::dataset::{Dataset, ORDERS, files};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training_fields::seed;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, no_numbers, nothing_to_check};
use crate::recipe::task::{Task, hash_file};

/// The declaration.
pub static DATA: StageKind = StageKind {
    name: "data",
    help: "a collection in BEIR form: queries, judgments, documents, and candidates in an order that is studied",
    version: 1,
    gives: OutputKind::Data,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "`papers` (bundled), a folder's name in PLACKETT_DATA, a path that begins with . or /, or with `made` a collection of that stage",
        ),
        FieldSpec::new(
            "made",
            FieldKind::Stage(&[OutputKind::Numbers]),
            Default::Absent,
            "a stage that makes the collection",
        ),
        FieldSpec::new(
            "split",
            FieldKind::Text,
            Default::Text("test"),
            "which judgments, as in qrels/SPLIT.tsv",
        ),
        FieldSpec::new(
            "queries",
            FieldKind::Whole(0, i64::MAX),
            Default::Whole(0),
            "how many queries, from the first; 0 for all",
        ),
        FieldSpec::new(
            "list",
            FieldKind::Text,
            Default::Absent,
            "candidates: a name in runs/ without .trec, or `judged` for the judged documents",
        ),
        FieldSpec::new(
            "depth",
            FieldKind::Whole(0, i64::MAX),
            Default::Whole(0),
            "candidates a query, from the best; 0 for all",
        ),
        FieldSpec::new(
            "order",
            FieldKind::Choice(ORDERS),
            Default::Text("given"),
            "the order in which candidates are handed on",
        ),
        FieldSpec::new(
            "duplicates",
            FieldKind::Whole(0, i64::MAX),
            Default::Whole(0),
            "how many of the best candidates stand in the list a second time, under another id",
        ),
        FieldSpec::new(
            "answered",
            FieldKind::Switch,
            Default::Absent,
            "whether only queries with a relevant document take part; without it all that are judged do",
        ),
        FieldSpec::new(
            "copies",
            FieldKind::Whole(1, 1000),
            Default::Absent,
            "how many times more every candidate stands in the list, under other ids",
        ),
        FieldSpec::new(
            "query",
            FieldKind::Text,
            Default::Absent,
            "a text that is asked instead of every query's own",
        ),
        seed("of the shuffle"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: no_numbers,
    outside: |values, environment| {
        if values.has("made") {
            return Ok(Vec::new());
        }
        let hash = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, hash_file(path)?))
        };
        files(values, environment)?.iter().map(hash).collect()
    },
    estimate: |task| {
        if !task.values.has("made") {
            files(task.values, task.environment)?;
        }
        Ok(Estimate {
            work: format!("reads {}", task.values.word("collection")),
            seconds: Some(1.0),
            ..Estimate::default()
        })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let dataset = Dataset::load(task, task.values)?;
    let mut facts = vec![("queries".to_string(), dataset.queries.len().to_string())];
    if let Some(lists) = &dataset.candidates {
        let count: usize = lists.iter().map(|list| list.entries.len()).sum();
        facts.push(("candidates".into(), count.to_string()));
    }
    Ok(StageOutput { facts, warnings: dataset.remarks, ..StageOutput::default() })
}
