//! `generated-queries`: a decoder writes a query for each of a few documents that stand for a collection (DUQGen).

use super::{SEED, attention, index};
use crate::pipeline::Pipeline;
use crate::query_synthesis::{
    CleanedQueries, DocumentSample, QueryCollection, QueryPrompt, QuerySearch, QueryWriter, RoundTrip,
    SampleBy,
};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::running::kept_replies::KeptReplies;
use crate::recipe::task::Task;
use plackett_core::Document;
use plackett_rank::Settings;
use plackett_search::Index;
use plackett_train::synth::{QueryLetters, WithinCluster};

/// Numbers by document, and one of all.
const NUMBERS: [&str; 3] = ["found", "words", "kept"];
/// The collection that is made.
const MADE: &str = "queries";
/// How far a query's own document is looked for.
const FOUND: usize = 10;

/// The declaration.
pub static GENERATED_QUERIES: StageKind = StageKind {
    name: "generated-queries",
    help: "a decoder writes one query for each of a few documents of an index, which are sampled from clusters of its vectors (DUQGen) or drawn at \
           random, behind a few examples; what it writes is cut to its first line and question, and empty, long or non-ASCII queries are left \
           out, also such that are written for an earlier document too or do not find their own one (`round_trip`); how many, by kind, is in \
           the data card `README.md` of the collection. Makes the collection `queries` (judgments `train`: each query's own document). A killed \
           stage goes on with what is written. Gives, by document, `found` (RR@10 of the document \
           when BM25 searches for its query) and `words` of the query, and `kept` (share of the sampled documents that have one)",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("index", FieldKind::Stage(&[OutputKind::Index]), "with vectors"),
        attention::MODEL,
        FieldSpec::required(
            "examples",
            FieldKind::Texts,
            "documents and the queries that are asked about them, in turn: what the model continues",
        ),
        FieldSpec::new(
            "sampling",
            FieldKind::Choice(&["clusters", "random"]),
            Default::Text("clusters"),
            "how documents are chosen",
        ),
        FieldSpec::new("documents", FieldKind::Whole(1, 1_000_000), Default::Whole(100), "how many"),
        FieldSpec::new(
            "clusters",
            FieldKind::Whole(1, 1_000_000),
            Default::Absent,
            "how many; as many as documents, where it is not said",
        ),
        FieldSpec::new(
            "characters",
            FieldKind::Whole(0, 1_000_000),
            Default::Whole(300),
            "documents with fewer take no part",
        ),
        FieldSpec::new(
            "words",
            FieldKind::Whole(1, 100_000),
            Default::Whole(80),
            "words of a document that the model reads",
        ),
        FieldSpec::new("tokens", FieldKind::Whole(1, 4096), Default::Whole(32), "most tokens of a query"),
        FieldSpec::new(
            "round_trip",
            FieldKind::Whole(0, 1_000_000),
            Default::Whole(0),
            "rank within which BM25 over the index has to find a query's own document, or the query is left out; 0 keeps all",
        ),
        SEED,
    ],
    chooses: None,
    check: |values, _| {
        let count = values.texts("examples").len();
        if count.is_multiple_of(2) {
            return Ok(());
        }
        let problem = format!("{count} texts are no pairs of a document and its query; write both, in turn");
        Err(values.wrong("examples", count - 1, Problem::Said(problem)))
    },
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: attention::fingerprint,
    estimate: |task| {
        let documents = task.values.count("documents");
        Ok(Estimate {
            work: format!("writes {documents} queries"),
            seconds: Some(documents as f64 * 1.2),
            ..Estimate::default()
        })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let index = Index::open(task.input(values.word("index"))?.folder.join(index::FOLDER))?;
    let mut made = StageOutput::default();
    let sample = sample(values);
    let sampled = sample.of(&index)?;
    if sampled.too_short > 0 {
        let short = format!("{} of {}", sampled.too_short, sampled.all);
        made.facts.push(("documents too short to take part".into(), short));
    }
    if sampled.without_vector > 0 {
        let without = sampled.without_vector.to_string();
        made.facts.push(("documents without a vector to be clustered by".into(), without));
    }
    let documents = sampled.documents;
    let prompt = prompt(values);
    let written = written(task, &prompt, &documents)?;
    let models = task.environment.models(None);
    let pipeline = Pipeline::resolve("bm25", Some(&index), &models, &Settings::default())?;
    let search = QuerySearch { index: &index, pipeline: &pipeline };
    let round_trip = RoundTrip { search, depth: values.count("round_trip") };
    let round_trip = (round_trip.depth > 0).then_some(&round_trip);
    let queries = CleanedQueries::read(&documents, &written, QueryLetters::Ascii, round_trip, &|_| {})?;
    for (reason, number) in &queries.left_out {
        let warning = format!("{number} of {} documents are left out: {}", documents.len(), reason.words());
        made.warnings.push(warning);
    }
    if queries.kept.is_empty() {
        let problem = "none of its queries is of use; a stronger model is needed".into();
        return Err(StageError::Field { field: "model", problem });
    }
    let collection = QueryCollection {
        documents: &documents,
        queries: &queries,
        sample,
        model: values.word("model"),
        prompt: &prompt,
        sampling: None,
        round_trip,
        sources: attention::fingerprint(values, task.environment)?,
    };
    collection.write(&task.folder.join(MADE), true)?;
    let found = RoundTrip { search, depth: FOUND }.places(&documents, &queries.kept, &|_| {})?;
    made.numbers = numbers(task, &queries, &found);
    made.facts.push(("queries".into(), queries.kept.len().to_string()));
    Ok(made)
}

/// How well each kept query finds its document and how long it is, and how many are kept.
fn numbers(task: &Task<'_>, queries: &CleanedQueries, found: &[Option<usize>]) -> Vec<Quantity> {
    let keys: Vec<String> = queries.kept.iter().map(|query| query.id.clone()).collect();
    let columns = [
        found.iter().map(|place| place.map_or(0.0, |place| 1.0 / (place + 1) as f64)).collect(),
        queries.kept.iter().map(|query| query.text.split(' ').count() as f64).collect::<Vec<f64>>(),
    ];
    let by_document = NUMBERS.into_iter().zip(columns);
    let mut numbers: Vec<Quantity> =
        by_document.map(|(name, values)| Quantity::by_query(name, keys.clone(), values)).collect();
    let share = queries.kept.len() as f64 / queries.written.max(1) as f64;
    numbers.push(Quantity::of_seed(NUMBERS[2], task.values.count("seed"), share));
    numbers
}

/// How documents are sampled.
fn sample(values: &Values) -> DocumentSample {
    let clusters = values.has("clusters").then(|| values.count("clusters"));
    DocumentSample {
        documents: values.count("documents"),
        by: match values.word("sampling") {
            "random" => SampleBy::Uniform,
            _ => SampleBy::Clusters(clusters, WithinCluster::Drawn),
        },
        characters: values.count("characters"),
        seed: values.count("seed") as u64,
    }
}

/// What the model continues.
fn prompt(values: &Values) -> QueryPrompt {
    let texts = values.texts("examples");
    let examples: Vec<(&str, &str)> = texts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    QueryPrompt::of_examples(&examples, values.count("words"))
}

/// What the model writes behind each document.
fn written(task: &Task<'_>, prompt: &QueryPrompt, documents: &[Document]) -> Result<Vec<String>, StageError> {
    let model = attention::model(task)?;
    let tokens = task.values.count("tokens");
    let writer = QueryWriter { model: &*model, prompt, chat: false, tokens, each: 1, sampling: None };
    let count = documents.len() as u64;
    let progress = |done: usize| (task.progress)(task.name, done as u64, count);
    let options = writer.options();
    let replies = KeptReplies { folder: task.folder, replies: writer.replies(&options, &progress) };
    let replies = replies.to(&writer.prompts(documents))?;
    Ok(replies.iter().map(|reply| reply.text().to_string()).collect())
}
