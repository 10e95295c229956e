//! `incremental-docids`: documents that come later, for docids of one token over a frozen query encoder.

use super::{SEED, dataset_of};
use crate::pipeline::ModelError;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Made, StageKind, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::training_fields::steps;
use plackett_genir::incremental::{AtomicRows, LabelledQuery, NewRow, RowTraining};
use plackett_lm::EmbedOptions;
use plackett_lm::store::BUNDLED;
use plackett_train::Compute;
use plackett_train::random::Stream;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Growths of the corpus, each by a tenth of what it began with.
const GROWTHS: usize = 5;
/// A hit is among so many.
const DEPTH: usize = 10;
/// Numbers by query.
const NUMBERS: [&str; 3] = ["old_before", "old_after", "new_after"];

/// The declaration.
pub static INCREMENTAL_DOCIDS: StageKind = StageKind {
    name: "incremental-docids",
    help: "two thirds of a collection's passages get a row each, which is trained on their labelled questions over the frozen vectors of the bundled \
           encoder; then five times a tenth as many come later: all rows are trained on the new questions alone (`naive`), on those and old ones (`replay`), \
           the new rows alone are optimised (`incdsi`), or all rows are trained anew on everything (`anew`, for comparison). Gives, by test question, 1 for a passage that is found among ten, else 0: `old_before` and \
           `old_after` of the first passages before and after the growths, `new_after` of those that came later",
    version: 1,
    gives: Gives::Numbers,
    fields: &[
        FieldSpec::required(
            "data",
            FieldKind::Stage(&[Gives::Data]),
            "a collection whose passages all have questions to learn from and to test",
        ),
        FieldSpec::new(
            "update",
            FieldKind::Choice(&["incdsi", "replay", "naive", "anew"]),
            Default::Text("incdsi"),
            "how documents are added",
        ),
        steps((1, 100_000), 40, "steps of a training over all its questions"),
        FieldSpec::new(
            "rate",
            FieldKind::Number(0.0, 1.0),
            Default::Number(2e-3),
            "the learning rate of a growth; the first rows are trained with 0.01",
        ),
        FieldSpec::new(
            "replayed",
            FieldKind::Number(0.0, 100.0),
            Default::Number(10.0),
            "old questions for each new one, with `replay`",
        ),
        FieldSpec::new(
            "lambda",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.5),
            "weight of a new passage's questions against old ones, with `incdsi`",
        ),
        FieldSpec::new(
            "margin",
            FieldKind::Number(0.0, 10.0),
            Default::Number(0.05),
            "by how much a question is to find its row above the others, with `incdsi`",
        ),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |_, surroundings| Ok(vec![("model".into(), surroundings.fingerprint(BUNDLED)?)]),
    estimate: |_| {
        Ok(Estimate {
            work: "embeds questions and trains rows".into(),
            seconds: Some(60.0),
            ..Estimate::default()
        })
    },
    run,
};

/// Questions to learn from and to test, with the places of their passages.
struct Questions {
    documents: usize,
    train: Vec<LabelledQuery>,
    test: Vec<(String, LabelledQuery)>,
}

fn questions(task: &Task<'_>) -> Result<Questions, StageError> {
    let dataset = dataset_of(task, task.values.word("data"))?;
    let mut places: HashMap<String, usize> = HashMap::new();
    for document in dataset.corpus()? {
        let place = places.len();
        places.insert(document?.id, place);
    }
    let model = task.surroundings.models(Some(BUNDLED)).open(None)?;
    let split = |name: &str| -> Result<Vec<(String, LabelledQuery)>, StageError> {
        let answered = dataset.answered_in(name)?;
        let texts: Vec<&str> = answered.iter().map(|(query, _)| query.text.as_str()).collect();
        let made = model.embed(&texts, &EmbedOptions::default()).map_err(ModelError::from)?;
        let vectors = made.data.chunks_exact(made.dim.max(1));
        let labelled = answered.iter().zip(vectors).filter_map(|((query, relevant), vector)| {
            let document = *places.get(relevant.first()?)?;
            Some((query.id.clone(), LabelledQuery { vector: vector.to_vec(), document }))
        });
        Ok(labelled.collect())
    };
    let train = split("train")?.into_iter().map(|(_, query)| query).collect();
    Ok(Questions { documents: places.len(), train, test: split("test")? })
}

fn run(task: &Task<'_>) -> Result<Made, StageError> {
    let values = task.values;
    let all = questions(task)?;
    let first = all.documents * 2 / 3;
    let part = first / 10;
    if part == 0 {
        let problem = format!("{} passages are too few to grow by tenths", all.documents);
        return Err(StageError::Field { field: "data", problem });
    }
    let end = first + GROWTHS * part;
    let of = |range: Range<usize>| -> Vec<LabelledQuery> {
        all.train.iter().filter(|query| range.contains(&query.document)).cloned().collect()
    };
    let compute = Compute::new(rayon::current_num_threads());
    let training = RowTraining { steps: values.count("steps"), ..RowTraining::default() };
    let mut rows = AtomicRows::default();
    rows.append_means(&of(0..first), first)?;
    rows.train(&of(0..first), &training, &compute)?;
    let before = hits(&all, &rows, 0..first);
    for growth in 0..GROWTHS {
        (task.progress)(task.name, growth as u64, GROWTHS as u64);
        let there = first + growth * part;
        let grown =
            Grown { old: &of(0..there), new: &of(there..there + part), from: there, to: there + part };
        add(task, &mut rows, &grown, (&training, &compute))?;
    }
    let numbers = [before, hits(&all, &rows, 0..first), hits(&all, &rows, first..end)];
    let quantity =
        |(name, (keys, values)): (&str, (Vec<String>, Vec<f64>))| Quantity::by_query(name, keys, values);
    let mut made =
        Made { numbers: NUMBERS.into_iter().zip(numbers).map(quantity).collect(), ..Made::default() };
    made.facts.push(("passages".into(), format!("{first}, and five times {part}")));
    if end < all.documents {
        made.warnings.push(format!(
            "{} of {} passages take no part: tenths are whole numbers",
            all.documents - end,
            all.documents
        ));
    }
    Ok(made)
}

/// Questions of the documents that are there and of those that come, which have these places.
struct Grown<'q> {
    old: &'q [LabelledQuery],
    new: &'q [LabelledQuery],
    from: usize,
    to: usize,
}

fn add(
    task: &Task<'_>,
    rows: &mut AtomicRows,
    grown: &Grown<'_>,
    (training, compute): (&RowTraining, &Arc<Compute>),
) -> Result<(), StageError> {
    let values = task.values;
    let number = |name| values.real(name);
    if values.word("update") == "incdsi" {
        let options = NewRow {
            lambda: number("lambda"),
            margin_new: number("margin"),
            margin_old: number("margin"),
            ..NewRow::default()
        };
        let mut representatives = means(grown.old, 0..grown.from);
        for document in grown.from..grown.to {
            let own: Vec<Vec<f32>> = vectors_of(grown.new, document);
            rows.add(&own, &representatives, &options)?;
            representatives.extend(means(grown.new, document..document + 1));
        }
        return Ok(());
    }
    if values.word("update") == "anew" {
        let all = [grown.old, grown.new].concat();
        *rows = AtomicRows::default();
        rows.append_means(&all, grown.to)?;
        return Ok(rows.train(&all, training, compute)?);
    }
    rows.append_means(grown.new, grown.to)?;
    let mut learned = grown.new.to_vec();
    let training = RowTraining { rate: number("rate") as f32, ..*training };
    if values.word("update") == "replay" {
        let count = (number("replayed") * grown.new.len() as f64) as usize;
        let order = Stream::new(values.count("seed") as u64, grown.from as u64).permutation(grown.old.len());
        learned.extend(order.into_iter().take(count).map(|at| grown.old[at].clone()));
    }
    Ok(rows.train(&learned, &training, compute)?)
}

fn vectors_of(queries: &[LabelledQuery], document: usize) -> Vec<Vec<f32>> {
    queries.iter().filter(|query| query.document == document).map(|query| query.vector.clone()).collect()
}

/// The mean of the questions of each document.
fn means(queries: &[LabelledQuery], documents: Range<usize>) -> Vec<Vec<f32>> {
    let mean = |document: usize| {
        let own = vectors_of(queries, document);
        let mut sum = vec![0.0; own.first().map_or(0, Vec::len)];
        for vector in &own {
            sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x / own.len() as f32);
        }
        sum
    };
    documents.map(mean).collect()
}

/// For each test question about documents at these places, whether its passage is found.
fn hits(all: &Questions, rows: &AtomicRows, documents: Range<usize>) -> (Vec<String>, Vec<f64>) {
    let asked = all.test.iter().filter(|(_, query)| documents.contains(&query.document));
    let hit = |(id, query): &(String, LabelledQuery)| {
        let is_found = rows.rank(&query.vector, DEPTH).contains(&query.document);
        (id.clone(), f64::from(u8::from(is_found)))
    };
    asked.map(hit).unzip()
}
