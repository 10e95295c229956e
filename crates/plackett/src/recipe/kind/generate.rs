//! `generate`: a retriever writes docids for all queries of its collection.

use super::{dataset_of, generative_retriever, rank};
use crate::pipeline::QueryError;
use crate::recipe::data::docids::Corpus;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::seed;
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use plackett_core::{Query, Ranking, Trace};
use plackett_genir::reverse_annealing::ReverseAnnealing;
use plackett_genir::{Decoding, GenerativeRetriever, GenirError};
use std::collections::HashSet;
use std::time::Instant;

/// Queries of one call of the engine.
pub(super) const TOGETHER: usize = 25;
const NUMBERS: [&str; 2] = ["distinct", "valid"];

/// The declaration.
pub static GENERATE: StageKind = StageKind {
    name: "generate",
    help: "docids that a retriever writes for each query of its collection, inside the tree of the docids that there are: beams, or draws \
           without replacement at a rising temperature. Gives, by query, `distinct` (different documents as a share of as many as were \
           asked for or there are) and `valid` (share that is documents of the corpus). A trace has the sequences that went through the \
           model as passes",
    version: 1,
    gives: OutputKind::Rankings,
    fields: &[
        FieldSpec::required(
            "retriever",
            FieldKind::Stage(&[OutputKind::Model]),
            "a stage `generative-retriever`, or one that goes on from it",
        ),
        FieldSpec::new(
            "search",
            FieldKind::Choice(&["beams", "reverse-annealing"]),
            Default::Text("beams"),
            "how docids are looked for",
        ),
        FieldSpec::new("depth", FieldKind::Whole(1, 100_000), Default::Whole(100), "beams, or draws"),
        FieldSpec::new(
            "temperature",
            FieldKind::Number(0.0, 1000.0),
            Default::Number(1.5),
            "which reverse annealing reaches at the end",
        ),
        FieldSpec::new(
            "shortened",
            FieldKind::Switch,
            Default::Switch(true),
            "whether docids end as soon as they are unique",
        ),
        FieldSpec::new(
            "queries",
            FieldKind::Whole(0, i64::MAX),
            Default::Whole(0),
            "how many, from the first; 0 for all",
        ),
        seed("of draws"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let queries = dataset_of(task, data_of(task)?)?.queries.len();
        let work = format!("{} docids for {queries} queries", task.values.count("depth"));
        let seconds = Some((queries * task.values.count("depth")) as f64 * 3e-4);
        Ok(Estimate { work, seconds, ..Estimate::default() })
    },
    run,
};

/// The stage whose collection a retriever was made of.
fn data_of<'t>(task: &'t Task<'_>) -> Result<&'t str, StageError> {
    Ok(retriever_of(task, task.values.word("retriever"))?.0.word("index"))
}

/// The fields of the stage `generative-retriever` that a retriever began as, and the name of that stage.
pub(super) fn retriever_of<'t>(
    task: &'t Task<'_>,
    stage: &'t str,
) -> Result<(&'t Values, &'t str), StageError> {
    let input = task.input(stage)?;
    match input.kind.name {
        "generative-retriever" if input.values.has("paths") => {
            let problem =
                format!("`{stage}` writes category paths before docids; ask it with `generate-with-paths`");
            Err(StageError::Field { field: "retriever", problem })
        }
        "generative-retriever" => Ok((input.values, stage)),
        "optimize-relevance" => retriever_of(task, input.values.word("retriever")),
        other => {
            let problem = format!("`{stage}` is of the kind `{other}`; one that writes docids is expected");
            Err(StageError::Field { field: "retriever", problem })
        }
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, data_of(task)?)?;
    let folder = task.input(values.word("retriever"))?.folder.join(generative_retriever::FOLDER);
    let retriever = GenerativeRetriever::open(&folder, values.on("shortened"))?;
    let depth = values.count("depth");
    let decoding = match values.word("search") {
        "beams" => Decoding::Beams { width: depth },
        _ => Decoding::ReverseAnnealing {
            annealing: ReverseAnnealing {
                draws: depth,
                max_temperature: values.real("temperature"),
                ..ReverseAnnealing::default()
            },
            seed: values.count("seed") as u64,
        },
    };
    let queries = match values.count("queries") {
        0 => &dataset.queries[..],
        most => &dataset.queries[..most.min(dataset.queries.len())],
    };
    let first =
        |group: &[Query]| queries.iter().position(|query| query.id == group[0].id).unwrap_or(0) as u64;
    let mut made = rank::in_groups(
        task,
        TOGETHER,
        queries,
        |query| &query.id,
        |group: &[Query]| match answers(&retriever, group, &decoding, first(group)) {
            Ok(rankings) => rankings.into_iter().map(Ok).collect(),
            Err(error) => {
                let source = Box::new(error);
                vec![Err(QueryError::Search { query: group[0].id.clone(), source })]
            }
        },
    )?;
    let rankings = crate::recipe::running::rankings::read(task.folder)?;
    made.numbers.extend(distinct_and_valid(&rankings, &Corpus::read(&dataset)?, depth));
    Ok(made)
}

/// By query, different documents as a share of as many as were asked for or there are, and the share that is documents of the corpus.
pub(super) fn distinct_and_valid(rankings: &[Ranking], corpus: &Corpus, depth: usize) -> [Quantity; 2] {
    let keys: Vec<String> = rankings.iter().map(|ranking| ranking.query_id.clone()).collect();
    let distinct = rankings.iter().map(|ranking| {
        let ids: HashSet<&str> = ranking.entries.iter().map(|entry| &entry.id[..]).collect();
        ids.len() as f64 / depth.min(corpus.documents.len()) as f64
    });
    let valid = rankings.iter().map(|ranking| {
        let known = ranking.entries.iter().filter(|entry| corpus.place(&entry.id).is_some()).count();
        known as f64 / ranking.entries.len().max(1) as f64
    });
    [
        Quantity::by_query(NUMBERS[0], keys.clone(), distinct.collect()),
        Quantity::by_query(NUMBERS[1], keys, valid.collect()),
    ]
}

fn answers(
    retriever: &GenerativeRetriever,
    queries: &[Query],
    decoding: &Decoding,
    first: u64,
) -> Result<Vec<Ranking>, GenirError> {
    let begun = Instant::now();
    let texts: Vec<&str> = queries.iter().map(|query| &query.text[..]).collect();
    let found = retriever.search(&texts, decoding, first)?;
    let seconds = begun.elapsed().as_secs_f64() / queries.len().max(1) as f64;
    let documents = retriever.files().catalogue.items();
    let ranking = |(query, found): (&Query, plackett_genir::Retrieved)| {
        let trace = Trace { passes: found.branches as u64, seconds, ..Trace::default() };
        let scored =
            found.documents.into_iter().map(|(document, score)| (documents[document].id.clone(), score));
        Ranking::from_scores(query.id.clone(), scored, trace)
    };
    Ok(queries.iter().zip(found).map(ranking).collect())
}
