//! `generated-queries`: a decoder writes a query for each of a few documents that stand for a collection (DUQGen).

use super::diverse_sample::with_vectors;
use super::{SEED, attention, index};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Made, StageKind};
use crate::recipe::task::Task;
use plackett_core::formats::{BeirWriter, FormatError};
use plackett_core::{Document, Qrels, Query};
use plackett_rank::model::{
    AnswerForm, CallError, GenerationOptions, GenerationRequest, LanguageModel, Prompt,
};
use plackett_search::{Bm25, Index};
use plackett_train::synth::{DiverseSample, UselessQuery, clean_query};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Numbers by document, and one of all.
const NUMBERS: [&str; 3] = ["found", "words", "kept"];
/// The collection that is made, and its judgments.
const MADE: (&str, &str) = ("queries", "train");
/// Prompts of one call of the model.
const TOGETHER: usize = 32;
/// How far a query's own document is looked for.
const FOUND: usize = 10;

/// The declaration.
pub static GENERATED_QUERIES: StageKind = StageKind {
    name: "generated-queries",
    help: "a decoder writes one query for each of a few documents of an index, which are sampled from clusters of its vectors (DUQGen) or drawn at \
           random, behind a few examples; what it writes is cut to its first line and question, and empty, long or non-ASCII queries are left \
           out. Makes the collection `queries` (judgments `train`: each query's own document). Gives, by document, `found` (RR@10 of the document \
           when BM25 searches for its query) and `words` of the query, and `kept` (share of the sampled documents that have one)",
    version: 1,
    gives: Gives::Numbers,
    fields: &[
        FieldSpec::required("index", FieldKind::Stage(&[Gives::Index]), "with vectors"),
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

fn run(task: &Task<'_>) -> Result<Made, StageError> {
    let index = Index::open(task.input(task.values.word("index"))?.folder.join(index::FOLDER))?;
    let mut made = Made::default();
    let chosen = choose(task.values, &index, &mut made)?;
    let sampled = chosen.len();
    let kept = write_queries(task, chosen, &mut made)?;
    if kept.is_empty() {
        let problem = "none of its queries is of use; a stronger model is needed".into();
        return Err(StageError::Field { field: "model", problem });
    }
    write(task, &kept)?;
    let mut columns = [Vec::new(), Vec::new()];
    for (document, query) in &kept {
        let found = index.search_bm25(query, &Bm25::default(), FOUND)?;
        let place = found.iter().position(|(id, _)| *id == document.id);
        columns[0].push(place.map_or(0.0, |place| 1.0 / (place + 1) as f64));
        columns[1].push(query.split(' ').count() as f64);
    }
    let keys: Vec<String> = kept.iter().map(|(document, _)| document.id.clone()).collect();
    let by_document = NUMBERS.into_iter().zip(columns);
    made.numbers = by_document.map(|(name, values)| Quantity::by_query(name, keys.clone(), values)).collect();
    let share = kept.len() as f64 / sampled.max(1) as f64;
    made.numbers.push(Quantity::of_seed(NUMBERS[2], task.values.count("seed"), share));
    made.facts.push(("queries".into(), kept.len().to_string()));
    Ok(made)
}

/// The documents that stand for the index.
fn choose(values: &Values, index: &Index, made: &mut Made) -> Result<Vec<Document>, StageError> {
    let (ids, vectors) = with_vectors(index)?;
    let (mut pool, mut kept) = (Vec::new(), Vec::new());
    let all = ids.len();
    for (id, vector) in ids.iter().zip(vectors) {
        let document = index.document(id)?;
        let Some(document) = document.filter(|d| d.text.chars().count() >= values.count("characters")) else {
            continue;
        };
        pool.push(document);
        kept.push(vector);
    }
    if pool.len() < all {
        made.facts
            .push(("documents too short to take part".into(), format!("{} of {all}", all - pool.len())));
    }
    let documents = values.count("documents");
    if documents > pool.len() {
        let problem =
            format!("{documents} are to be sampled, and {} have a vector and text enough", pool.len());
        return Err(StageError::Field { field: "documents", problem });
    }
    let seed = values.count("seed") as u64;
    let mut places = match values.word("sampling") {
        "random" => sample(&mut ChaCha8Rng::seed_from_u64(seed), pool.len(), documents).into_vec(),
        _ => {
            let clusters = if values.has("clusters") { values.count("clusters") } else { documents };
            DiverseSample { clusters, documents, seed, ..DiverseSample::default() }.run(&kept)?.0
        }
    };
    places.sort_unstable();
    Ok(places.into_iter().map(|at| pool[at].clone()).collect())
}

/// Documents with the queries that the model has written for them.
fn write_queries(
    task: &Task<'_>,
    chosen: Vec<Document>,
    made: &mut Made,
) -> Result<Vec<(Document, String)>, StageError> {
    let values = task.values;
    let model = attention::model(task)?;
    let options = GenerationOptions {
        max_tokens: values.count("tokens"),
        stop: vec!["\n".into()],
        ..GenerationOptions::default()
    };
    let examples = values.texts("examples");
    let count = chosen.len();
    let (mut kept, mut useless) = (Vec::new(), BTreeMap::<UselessQuery, usize>::new());
    for (nth, part) in chosen.chunks(TOGETHER).enumerate() {
        (task.progress)(task.name, (nth * TOGETHER) as u64, count as u64);
        let prompts: Vec<String> =
            part.iter().map(|document| prompt(&examples, document, values.count("words"))).collect();
        for (document, written) in part.iter().zip(generate(&*model, prompts, &options)?) {
            match clean_query(&written) {
                Ok(query) => kept.push((document.clone(), query)),
                Err(reason) => *useless.entry(reason).or_default() += 1,
            }
        }
    }
    for (reason, number) in useless {
        made.warnings.push(format!("{number} of {count} documents are left out: {}", reason.words()));
    }
    Ok(kept)
}

/// The examples, and a document whose query is open.
fn prompt(examples: &[&str], document: &Document, words: usize) -> String {
    let text = document.model_text();
    let read = text.split_whitespace().take(words).collect::<Vec<_>>().join(" ");
    let pairs = examples.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    let shown: Vec<String> = pairs
        .chain([(read.as_str(), "")])
        .enumerate()
        .map(|(at, (document, query))| {
            format!("Example {}:\nDocument: {document}\nRelevant Query: {query}", at + 1)
        })
        .collect();
    shown.join("\n\n").trim_end().to_string()
}

fn generate(
    model: &dyn LanguageModel,
    prompts: Vec<String>,
    options: &GenerationOptions,
) -> Result<Vec<String>, StageError> {
    let prompts: Vec<Prompt> = prompts.into_iter().map(Prompt::text).collect();
    let request = |prompt| GenerationRequest { prompt, form: &AnswerForm::Text, sample: 0 };
    let requests: Vec<GenerationRequest<'_>> = prompts.iter().map(request).collect();
    let said = |error: CallError| StageError::Answer(error.to_string());
    model.generate(&requests, options).into_iter().map(|reply| Ok(reply.map_err(said)?.text)).collect()
}

/// The collection: each query has its document's id.
fn write(task: &Task<'_>, kept: &[(Document, String)]) -> Result<(), StageError> {
    let folder = task.folder.join(MADE.0);
    let writer = BeirWriter::create(&folder)?;
    writer.corpus(kept.iter().map(|(document, _)| Ok(document.clone())))?;
    let queries: Vec<Query> =
        kept.iter().map(|(document, query)| Query::new(document.id.clone(), query.clone())).collect();
    writer.queries(&queries)?;
    let mut qrels = Qrels::new();
    for (document, _) in kept {
        let full = |source| FormatError::Full { file: folder.display().to_string(), source };
        qrels.query_mut(&document.id).push("0", &document.id, 1).map_err(full)?;
    }
    Ok(writer.qrels(MADE.1, &qrels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_ends_where_the_query_is_to_be_written() {
        let document = Document::new("d", "tea was drunk by ten people");
        let prompt = prompt(&["figs are sweet", "sugar of figs"], &document, 4);
        assert_eq!(
            prompt,
            "Example 1:\nDocument: figs are sweet\nRelevant Query: sugar of figs\n\n\
             Example 2:\nDocument: tea was drunk by\nRelevant Query:"
        );
    }
}
