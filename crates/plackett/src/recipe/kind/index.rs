//! `index`: the documents of a collection, searchable by words and by vectors.

use super::{USUAL_WORDS, dataset_of, model_seconds, train};
use crate::indexing::DocumentEmbedder;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, no_numbers};
use crate::recipe::task::{Environment, Task};
use plackett_lm::store::BUNDLED;
use plackett_search::{Analyzer, Embedder, Index, IndexSettings};
use std::sync::atomic::{AtomicU64, Ordering};

/// Name of the index in the stage's folder.
pub const FOLDER: &str = "index";

/// The declaration.
pub static INDEX: StageKind = StageKind {
    name: "index",
    help: "an index of all documents of a collection",
    version: 1,
    gives: OutputKind::Index,
    fields: &[
        FieldSpec::required("data", FieldKind::Stage(&[OutputKind::Data]), "the collection"),
        FieldSpec::new(
            "vectors",
            FieldKind::Switch,
            Default::Switch(true),
            "whether a model embeds the documents too",
        ),
        FieldSpec::new("model", FieldKind::Text, Default::Text(BUNDLED), "the model that embeds them"),
        FieldSpec::new(
            "trained",
            FieldKind::Stage(&[OutputKind::Model]),
            Default::Absent,
            "a stage whose model takes the place of `model`",
        ),
        FieldSpec::new("analyzer", FieldKind::Text, Default::Text("english"), "how texts are cut into words"),
    ],
    chooses: None,
    check: |values, _| match Analyzer::named(values.word("analyzer")) {
        Ok(_) => Ok(()),
        Err(error) => Err(values.wrong("analyzer", 0, Problem::Said(error.to_string()))),
    },
    numbers: no_numbers,
    outside: |values, environment| match model(values) {
        Some(name) => Ok(vec![("model".into(), environment.fingerprint(name)?)]),
        None => Ok(Vec::new()),
    },
    estimate,
    run,
};

fn model(values: &Values) -> Option<&str> {
    // What a stage has made is known by that stage.
    (values.on("vectors") && !values.has("trained")).then(|| values.word("model"))
}

fn estimate(task: &Task<'_>) -> Result<Estimate, StageError> {
    let dataset = dataset_of(task, task.values.word("data"))?;
    let count = dataset.corpus()?.count();
    let mut estimate = Estimate {
        work: format!("indexes {count} documents"),
        seconds: Some(1.0 + count as f64 / 5000.0),
        ..Estimate::default()
    };
    if let Some(name) = model(task.values) {
        add_model(&mut estimate, task.environment, name, count, USUAL_WORDS)?;
    }
    Ok(estimate)
}

/// What a model that reads texts adds to an estimate.
pub fn add_model(
    estimate: &mut Estimate,
    environment: &Environment,
    name: &str,
    texts: usize,
    words: usize,
) -> Result<(), StageError> {
    match environment.model_size(name)? {
        Ok(bytes) => {
            estimate.memory = estimate.memory.max(bytes);
            estimate.seconds = estimate.seconds.map(|seconds| seconds + model_seconds(bytes, texts, words));
        }
        Err(missing) => {
            estimate.seconds = None;
            estimate.missing.push(missing);
        }
    }
    Ok(())
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let folder = task.folder.join(FOLDER);
    // What a killed run left is no index.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(StageError::cache(&folder))?;
    }
    let dataset = dataset_of(task, task.values.word("data"))?;
    let count = dataset.corpus()?.count() as u64;
    let done = AtomicU64::new(0);
    let progress = |more: usize| {
        let done = done.fetch_add(more as u64, Ordering::Relaxed) + more as u64;
        (task.progress)("embedding", done, count);
    };
    let trained =
        task.values.text("trained").map(|stage| train::model_of(task, stage, &train::MODELS)).transpose()?;
    let trained = trained.as_deref().map(|folder| folder.to_string_lossy());
    let embedder = match trained.as_deref().or(model(task.values)) {
        Some(name) => Some(DocumentEmbedder::open(&task.environment.models(Some(name)), None, progress)?),
        None => None,
    };
    let settings = IndexSettings {
        analyzer: task.values.word("analyzer").to_string(),
        model: embedder.as_ref().map(|embedder| embedder.identity().clone()),
        ..IndexSettings::default()
    };
    let mut index = Index::create(&folder, &settings)?;
    let mut writer = index.writer(embedder.as_ref().map(|embedder| embedder as &dyn Embedder))?;
    for document in dataset.corpus()? {
        writer.put(document?)?;
    }
    writer.finish()?;
    let facts = vec![
        ("documents".into(), index.len().to_string()),
        ("bytes".into(), index.stats().bytes.to_string()),
    ];
    Ok(StageOutput { facts, ..StageOutput::default() })
}
