//! `optimize-relevance`: a retriever learns to prefer docids of relevant documents to those of others (DDRO).

use super::generate::retriever_of;
use super::generative_retriever::FOLDER;
use super::{dataset_of, index};
use crate::recipe::data::docids::Corpus;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{batch, rate, seed};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use plackett_genir::learning::settings;
use plackett_genir::relevance_optimization::{
    AnsweredQuery, DrawnTriples, NegativeSource, ReferenceLogs, RelevanceOptimization, TripleDrawing,
};
use plackett_genir::{GenirError, RetrieverFiles};
use plackett_search::{Bm25, Index};
use plackett_train::random::Stream;
use plackett_train::trainer::LanguageModel;
use plackett_train::{Compute, Parameters};
use std::sync::PoisonError;

/// The file of reference log-probabilities.
const REFERENCE: &str = "reference.json";

const NUMBERS: [&str; 8] = [
    "first_loss",
    "first_margin",
    "accuracy",
    "margin",
    "chosen_before",
    "chosen_after",
    "rejected_before",
    "rejected_after",
];

/// The declaration.
pub static OPTIMIZE_RELEVANCE: StageKind = StageKind {
    name: "optimize-relevance",
    help: "a retriever goes on from what it is: for labelled queries of the split `train` it learns to prefer the docid of the relevant \
           document to those of negatives, compared with itself as it was (DPO with docids; reference log-probabilities are computed once \
           and kept). Negatives are drawn from BM25's ranks 1–100, 101–500 and 501–1000 in equal shares (`bands`), from the first hundred \
           (`top`), or from all documents (`random`). Gives `first_loss` and `first_margin` (of the first step), and over all triples \
           afterwards `accuracy` (share with a positive margin) and `margin`, and before and after mean log-probabilities: `chosen_before`, \
           `chosen_after`, `rejected_before`, `rejected_after`",
    version: 1,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required(
            "retriever",
            FieldKind::Stage(&[OutputKind::Model]),
            "a stage `generative-retriever`",
        ),
        FieldSpec::new(
            "negatives",
            FieldKind::Choice(NegativeSource::NAMES),
            Default::Text("bands"),
            "where negatives come from",
        ),
        FieldSpec::new("each", FieldKind::Whole(1, 1000), Default::Whole(3), "negatives of a query"),
        FieldSpec::new(
            "queries",
            FieldKind::Whole(0, i64::MAX),
            Default::Whole(0),
            "labelled queries that are used, drawn; 0 for all",
        ),
        FieldSpec::new("beta", FieldKind::Number(0.0001, 1000.0), Default::Number(0.4), "β of the loss"),
        FieldSpec::new(
            "epochs",
            FieldKind::Whole(1, 1000),
            Default::Whole(1),
            "times that all triples are seen",
        ),
        batch(64, "triples in a step"),
        rate(1e-4),
        seed("of all that is drawn"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        retriever_of(task, task.values.word("retriever"))?;
        Ok(Estimate { work: "a training on triples".into(), seconds: Some(60.0), ..Estimate::default() })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let start = task.input(values.word("retriever"))?;
    let files = RetrieverFiles::open(&start.folder.join(FOLDER))?;
    files.check_plain("relevance optimisation")?;
    let mut parameters = Parameters::default();
    let model = LanguageModel::open(&start.folder.join(FOLDER), &mut parameters)?;
    let DrawnTriples { triples, missing } = triples(task, &files)?;
    let compute = Compute::new(rayon::current_num_threads());
    let path = task.folder.join(REFERENCE);
    let (reference, _) = ReferenceLogs::kept(&path, &model, &parameters, &triples, &compute)?;
    let beta = values.real("beta");
    let learning = RelevanceOptimization::new(&model, &triples, &reference, beta)?;
    let before = learning.measure(&parameters, &compute)?;
    let steps = (triples.len() * values.count("epochs")).div_ceil(values.count("batch"));
    let rate = values.real("rate") as f32;
    let settings = settings((values.count("batch"), steps), rate, values.count("seed") as u64);
    train_within(task, task.name, &learning, &mut parameters, &settings)?;
    let first = learning.records.lock().unwrap_or_else(PoisonError::into_inner).first().copied();
    let (first, after) = (first.unwrap_or_default(), learning.measure(&parameters, &compute)?);
    files.save(&task.folder.join(FOLDER), &model, &parameters)?;
    let own = [
        first.loss,
        first.margin,
        after.accuracy,
        after.margin,
        before.chosen,
        after.chosen,
        before.rejected,
        after.rejected,
    ];
    let seed = values.count("seed");
    let mut made = StageOutput {
        numbers: NUMBERS.iter().zip(own).map(|(name, own)| Quantity::of_seed(*name, seed, own)).collect(),
        facts: vec![("triples".into(), triples.len().to_string()), ("steps".into(), steps.to_string())],
        ..StageOutput::default()
    };
    if missing > 0 {
        made.warnings.push(format!("{missing} negatives are missing, for want of documents in their band"));
    }
    Ok(made)
}

/// Triples of labelled queries, and how many negatives are missing.
fn triples(task: &Task<'_>, files: &RetrieverFiles) -> Result<DrawnTriples, StageError> {
    let values = task.values;
    let (retriever, _) = retriever_of(task, values.word("retriever"))?;
    let dataset = dataset_of(task, retriever.word("index"))?;
    let index = Index::open(index_folder(task, retriever.word("index"))?)?;
    let corpus = Corpus::read(&dataset)?;
    let seed = values.count("seed") as u64;
    let labelled = dataset.answered_in("train")?;
    let order = Stream::new(seed, 7 << 40).permutation(labelled.len());
    let used = match values.count("queries") {
        0 => labelled.len(),
        used => used.min(labelled.len()),
    };
    let answered = |at: usize| {
        let (query, relevant) = &labelled[at];
        let positives = relevant.iter().filter_map(|id| corpus.place(id)).collect();
        AnsweredQuery { number: at, text: &query.text, positives }
    };
    let queries: Vec<AnsweredQuery<'_>> = order.into_iter().take(used).map(answered).collect();
    let ranked = |text: &str, depth: usize| -> Result<Vec<usize>, GenirError> {
        let found = index.search_bm25(text, &Bm25::default(), depth);
        let found = found.map_err(|error| GenirError::Setting(error.to_string()))?;
        Ok(found.iter().filter_map(|(id, _)| corpus.place(id)).collect())
    };
    let negatives = values.word("negatives").parse::<NegativeSource>().map_err(GenirError::Setting)?;
    Ok(TripleDrawing { negatives, each: values.count("each"), seed }.triples(&queries, files, &ranked)?)
}

fn index_folder(task: &Task<'_>, stage: &str) -> Result<std::path::PathBuf, StageError> {
    Ok(task.input(stage)?.folder.join(index::FOLDER))
}
