//! `parallel-collection`: questions in one language and texts in another, as collections.

use super::SEED;
use crate::recipe::data::dataset::seed_of;
use crate::recipe::data::parallel_texts::ParallelTexts;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use plackett_core::formats::{BeirWriter, FormatError};
use plackett_core::{Document, Qrels, Query};
use plackett_train::random::Stream;
use std::collections::HashMap;

/// How many questions there are.
const COUNT: &str = "questions";

/// The declaration.
pub static PARALLEL_COLLECTION: StageKind = StageKind {
    name: "parallel-collection",
    help: "makes a collection of each pair of languages `QUESTIONS-TEXTS` of a collection in several languages: some questions about the second half of the \
           texts, and for each the right text and wrong ones, drawn at random, in a random order (judgments `test`). Gives `questions`, how many there are",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "a folder's name in PLACKETT_DATA, or a path, with corpus.LANGUAGE.jsonl and queries.LANGUAGE.jsonl",
        ),
        FieldSpec::required("pairs", FieldKind::Texts, "such as en-es, one a text"),
        FieldSpec::new(
            "questions",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(100),
            "how many, drawn by the seed",
        ),
        FieldSpec::new(
            "candidates",
            FieldKind::Whole(2, 100_000),
            Default::Whole(40),
            "texts of each question",
        ),
        SEED,
    ],
    chooses: None,
    check: |values, _| {
        for (nth, pair) in values.texts("pairs").into_iter().enumerate() {
            if pair.split_once('-').is_none_or(|(first, second)| first.is_empty() || second.is_empty()) {
                let problem = format!("`{pair}` is no pair of languages such as en-es");
                return Err(values.wrong("pairs", nth, Problem::Said(problem)));
            }
        }
        Ok(())
    },
    numbers: |_, _| vec![COUNT.to_string()],
    outside: |values, environment| {
        let texts = ParallelTexts::open(environment, values.word("collection"))?;
        let pairs = pairs(values);
        let of = |side: fn(&(&'_ str, &'_ str)) -> String| pairs.iter().map(side).collect::<Vec<_>>();
        let (questions, documents) = (of(|pair| pair.0.to_string()), of(|pair| pair.1.to_string()));
        let [questions, documents] =
            [&questions, &documents].map(|of| of.iter().map(String::as_str).collect::<Vec<_>>());
        texts.hashes(&documents, &questions)
    },
    estimate: |_| {
        Ok(Estimate { work: "pairs questions and texts".into(), seconds: Some(1.0), ..Estimate::default() })
    },
    run,
};

fn pairs(values: &Values) -> Vec<(&str, &str)> {
    values.texts("pairs").into_iter().filter_map(|pair| pair.split_once('-')).collect()
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let texts = ParallelTexts::open(task.environment, values.word("collection"))?;
    let mut count = 0;
    for (asked, told) in pairs(values) {
        let [_, documents] = texts.halves(told)?;
        let (questions, judged) = texts.judged(asked)?;
        let chosen = choose(task, &documents, questions, &judged)?;
        count = chosen.len();
        if count == 0 {
            let problem =
                format!("no question in `{asked}` is about the second half of the texts in `{told}`");
            return Err(StageError::Field { field: "pairs", problem });
        }
        let folder = task.folder.join(format!("{asked}-{told}"));
        let writer = BeirWriter::create(&folder)?;
        let queries: Vec<Query> = chosen.iter().map(|(query, _)| query.clone()).collect();
        writer.queries(&queries)?;
        writer.corpus(documents.iter().cloned().map(Ok))?;
        let mut qrels = Qrels::new();
        for (query, candidates) in &chosen {
            for (id, grade) in candidates {
                let full = |source| FormatError::Full { file: folder.display().to_string(), source };
                qrels.query_mut(&query.id).push("0", id, *grade).map_err(full)?;
            }
        }
        writer.qrels("test", &qrels)?;
    }
    let number = Quantity::of_seed(COUNT, values.count("seed"), count as f64);
    Ok(StageOutput { numbers: vec![number], ..StageOutput::default() })
}

/// A question with the ids of its candidates and their grades.
type Listed = (Query, Vec<(String, i32)>);

/// Some questions with candidates, in a random order.
fn choose(
    task: &Task<'_>,
    documents: &[Document],
    questions: Vec<Query>,
    judged: &Qrels,
) -> Result<Vec<Listed>, StageError> {
    let values = task.values;
    let place: HashMap<&str, usize> =
        documents.iter().enumerate().map(|(at, document)| (document.id.as_str(), at)).collect();
    let right = |query: &Query| -> Vec<usize> {
        judged.relevant(&query.id).filter_map(|one| place.get(one.document).copied()).collect()
    };
    let about: Vec<(Query, Vec<usize>)> = questions
        .into_iter()
        .map(|query| (right(&query), query))
        .filter(|(right, _)| !right.is_empty())
        .map(|(right, query)| (query, right))
        .collect();
    let seed = values.count("seed") as u64;
    // The same questions and candidates in every pair of languages: ids are the same.
    let mut order = Stream::new(seed, 1 << 33).permutation(about.len());
    order.truncate(values.count("questions"));
    order.sort_unstable();
    let chosen = order.into_iter().map(|at| {
        let (query, right) = &about[at];
        let stream = Stream::new(seed_of(seed, &query.id), 0);
        let mut places = stream.permutation(documents.len());
        places.retain(|place| !right.contains(place));
        places.truncate(values.count("candidates").saturating_sub(right.len()));
        places.extend(right);
        places.sort_unstable();
        let shuffled = Stream::new(seed_of(seed, &query.id), 1).permutation(places.len());
        let candidate =
            |at: usize| (documents[places[at]].id.clone(), i32::from(right.contains(&places[at])));
        (query.clone(), shuffled.into_iter().map(candidate).collect())
    });
    Ok(chosen.collect())
}
