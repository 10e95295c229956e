//! `generated-queries`: a decoder writes a query for each of a few documents that stand for a collection (DUQGen).

use super::diverse_sample::with_vectors;
use super::{SEED, attention, index};
use crate::recipe::data_card::DataCard;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::kept_replies::{Reply, replies};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use plackett_core::formats::{BeirWriter, FormatError};
use plackett_core::{Document, Qrels, Query};
use plackett_lm::sha256::Sha256;
use plackett_rank::model::{GenerationOptions, LanguageModel, Prompt};
use plackett_search::{Bm25, Index};
use plackett_train::synth::{DiverseSample, UselessQuery, clean_queries};
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
    let index = Index::open(task.input(task.values.word("index"))?.folder.join(index::FOLDER))?;
    let mut made = StageOutput::default();
    let chosen = choose(task.values, &index, &mut made)?;
    let (sampled, source) = (chosen.len(), hash_of(&chosen));
    let replies = written(task, &chosen)?;
    let (kept, useless) = useful(&index, chosen, &replies, task.values.count("round_trip"))?;
    for (reason, number) in &useless {
        made.warnings.push(format!("{number} of {sampled} documents are left out: {}", reason.words()));
    }
    if kept.is_empty() {
        let problem = "none of its queries is of use; a stronger model is needed".into();
        return Err(StageError::Field { field: "model", problem });
    }
    write(task, &kept)?;
    write_card(task, source, (sampled, kept.len(), &useless))?;
    let mut columns = [Vec::new(), Vec::new()];
    for (document, query) in &kept {
        let place = place(&index, document, query, FOUND)?;
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

/// Where BM25 finds a query's own document among the first so many, from 0.
fn place(
    index: &Index,
    document: &Document,
    query: &str,
    within: usize,
) -> Result<Option<usize>, StageError> {
    let found = index.search_bm25(query, &Bm25::default(), within)?;
    Ok(found.iter().position(|(id, _)| *id == document.id))
}

/// SHA-256 of documents, with their ids and titles.
fn hash_of(documents: &[Document]) -> String {
    let mut hasher = Sha256::new();
    for document in documents {
        [&document.id, &document.title, &document.text].into_iter().for_each(|part| hasher.update_part(part));
    }
    hasher.hex_digest()
}

/// The documents that stand for the index.
fn choose(values: &Values, index: &Index, made: &mut StageOutput) -> Result<Vec<Document>, StageError> {
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

/// What the model writes behind each document.
fn written(task: &Task<'_>, chosen: &[Document]) -> Result<Vec<Reply>, StageError> {
    let values = task.values;
    let model = attention::model(task)?;
    let examples = values.texts("examples");
    let asked = |document| Prompt::text(prompt(&examples, document, values.count("words")));
    ask(task, &*model, &chosen.iter().map(asked).collect::<Vec<Prompt>>())
}

fn ask(task: &Task<'_>, model: &dyn LanguageModel, prompts: &[Prompt]) -> Result<Vec<Reply>, StageError> {
    let options = GenerationOptions {
        max_tokens: task.values.count("tokens"),
        stop: vec!["\n".into()],
        ..GenerationOptions::default()
    };
    replies(task, model, &options, TOGETHER, prompts)
}

/// Documents with queries of use, and how many are of none, by kind.
type Useful = (Vec<(Document, String)>, BTreeMap<UselessQuery, usize>);

/// The queries in what was written for documents. One whose own document is not among the first `round_trip` that BM25 finds is of no use,
/// where that is not 0.
fn useful(
    index: &Index,
    chosen: Vec<Document>,
    replies: &[Reply],
    round_trip: usize,
) -> Result<Useful, StageError> {
    let (mut kept, mut useless) = (Vec::new(), BTreeMap::<UselessQuery, usize>::new());
    for (document, query) in chosen.into_iter().zip(clean_queries(replies.iter().map(Reply::text))) {
        let reason = match &query {
            Ok(query) if round_trip > 0 => {
                let place = place(index, &document, query, round_trip)?;
                place.is_none().then_some(UselessQuery::NotFound)
            }
            Ok(_) => None,
            Err(reason) => Some(*reason),
        };
        match (reason, query) {
            (None, Ok(query)) => kept.push((document, query)),
            (Some(reason), _) | (None, Err(reason)) => *useless.entry(reason).or_default() += 1,
        }
    }
    Ok((kept, useless))
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

/// The data card, of so many documents asked about and queries kept.
fn write_card(
    task: &Task<'_>,
    source: String,
    (sampled, kept, useless): (usize, usize, &BTreeMap<UselessQuery, usize>),
) -> Result<(), StageError> {
    let values = task.values;
    let open = Document { text: "[the document's first words]".into(), ..Document::default() };
    let mut sources = vec![("the documents that are asked about".to_string(), source)];
    sources.extend(attention::fingerprint(values, task.environment)?);
    let mut counts =
        vec![("documents asked about".to_string(), sampled), ("queries that are kept".to_string(), kept)];
    let left_out = |reason: UselessQuery| {
        (format!("left out: {}", reason.words()), useless.get(&reason).copied().unwrap_or_default())
    };
    counts.extend(UselessQuery::ALL.map(left_out));
    let card = DataCard {
        title: "Queries for documents",
        model: values.word("model"),
        prompt: &prompt(&values.texts("examples"), &open, usize::MAX),
        seed: values.count("seed"),
        sources,
        counts,
    };
    card.write(&task.folder.join(MADE.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_search::IndexSettings;

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

    #[test]
    fn queries_of_no_use_are_counted_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = Index::create(folder.path().join("index"), &IndexSettings::default()).unwrap();
        let documents =
            [("1", "green tea"), ("2", "black tea"), ("3", "figs"), ("4", "dates"), ("5", "plums")]
                .map(|(id, text)| Document::new(id, text));
        let mut writer = index.writer(None).unwrap();
        for document in &documents {
            writer.put(document.clone()).unwrap();
        }
        writer.finish().unwrap();
        let replies = ["green tea", "Green tea?", "?", "plums", "caf\u{e9}"];
        let replies = replies.map(|text| Reply::Whole(text.into()));
        let ids = |round_trip| {
            let (kept, useless) = useful(&index, documents.to_vec(), &replies, round_trip).unwrap();
            (kept.into_iter().map(|(document, _)| document.id).collect::<Vec<_>>(), useless)
        };
        let (kept, useless) = ids(0);
        assert_eq!(kept, ["1", "4"]);
        let of = [(UselessQuery::Empty, 1), (UselessQuery::NotAscii, 1), (UselessQuery::Duplicate, 1)];
        assert_eq!(useless, BTreeMap::from(of));
        let (kept, useless) = ids(2);
        assert_eq!((kept, useless[&UselessQuery::NotFound]), (vec!["1".to_string()], 1));
    }
}
