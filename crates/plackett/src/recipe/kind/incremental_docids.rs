//! `incremental-docids`: documents that come later, for docids of one token over a frozen query encoder.

use super::{SEED, dataset_of};
use crate::pipeline::ModelError;
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::steps;
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput};
use crate::recipe::task::Task;
use plackett_genir::GenirError;
use plackett_genir::incremental::{AtomicRows, LabelledQuery, NewRow, Representative, RowTraining};
use plackett_lm::EmbedOptions;
use plackett_lm::store::BUNDLED;
use plackett_train::Compute;
use plackett_train::random::Stream;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Growths of the corpus, each by a tenth of what it began with.
const GROWTHS: usize = 5;
/// A hit is among so many.
const DEPTH: usize = 10;
/// How much more the rank of an old passage counts than that of a new one, where weights are searched (IncDSI: β of the harmonic mean).
const BETA: f64 = 5.0;
/// What is searched: λ and both margins.
const LAMBDAS: [f64; 3] = [0.1, 0.3, 0.5];
const MARGINS_NEW: [f64; 3] = [0.0, 0.05, 0.1];
const MARGINS_OLD: [f64; 3] = [0.05, 0.1, 0.2];
/// Numbers by query.
const NUMBERS: [&str; 3] = ["old_before", "old_after", "new_after"];

/// The declaration.
pub static INCREMENTAL_DOCIDS: StageKind = StageKind {
    name: "incremental-docids",
    help: "two thirds of a collection's passages get a row each, which is trained on their labelled questions over the frozen vectors of the bundled \
           encoder; then five times a tenth as many come later: all rows are trained on the new questions alone (`naive`), on those and old ones (`replay`), \
           the new rows alone are optimised (`incdsi`), or all rows are trained anew on everything (`anew`, for comparison). Gives, by test question, 1 for a passage that is found among ten, else 0: `old_before` and \
           `old_after` of the first passages before and after the growths, `new_after` of those that came later",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "data",
            FieldKind::Stage(&[OutputKind::Data]),
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
            "by how much a new passage's question is to find its row above the others, with `incdsi`",
        ),
        FieldSpec::new(
            "margin_old",
            FieldKind::Number(0.0, 10.0),
            Default::Number(0.05),
            "by how much what stands for an old passage is to find its row above a new one, with `incdsi`",
        ),
        FieldSpec::new(
            "representative",
            FieldKind::Choice(&["mean", "lowest"]),
            Default::Text("mean"),
            "what stands for an old passage, with `incdsi`: the mean of its questions, or that one with the smallest product with its row; for a passage \
             that came later it is the mean in any case",
        ),
        FieldSpec::new(
            "search",
            FieldKind::Switch,
            Default::Switch(false),
            "whether `lambda` (0.1, 0.3, 0.5), `margin` (0, 0.05, 0.1) and `margin_old` (0.05, 0.1, 0.2) are searched, with `incdsi`: by the harmonic mean, \
             with β = 5 for old passages, of the reciprocal ranks of labelled questions that are held out, one a passage",
        ),
        SEED,
    ],
    chooses: None,
    check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |_, environment| Ok(vec![("model".into(), environment.fingerprint(BUNDLED)?)]),
    estimate: |task| {
        let seconds = Some(if task.values.on("search") { 300.0 } else { 60.0 });
        Ok(Estimate { work: "embeds questions and trains rows".into(), seconds, ..Estimate::default() })
    },
    run,
};

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    let update = values.word("update");
    if values.on("search") && update != "incdsi" {
        let problem = format!("with `{update}` there is nothing to search; `incdsi` has weights");
        return Err(values.wrong("search", 0, Problem::Said(problem)));
    }
    Ok(())
}

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
    let model = task.environment.models(Some(BUNDLED)).open(None)?;
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

/// One growth of the corpus: questions of the documents that are there and of those that come, which have these places.
struct Growth {
    old: Vec<LabelledQuery>,
    new: Vec<LabelledQuery>,
    /// Documents that the corpus began with.
    first: usize,
    from: usize,
    to: usize,
}

impl Growth {
    /// What stands for a document: the first ones have what is asked for, and those that came later the mean, as IncDSI appends it with
    /// their rows.
    fn representative(&self, document: usize, asked: Representative) -> Representative {
        if document < self.first { asked } else { Representative::Mean }
    }
}

/// All growths of a corpus that begins with `first` documents and gets `part` more each time.
fn growths(train: &[LabelledQuery], (first, part): (usize, usize)) -> Vec<Growth> {
    let growth = |nth: usize| {
        let (from, to) = (first + nth * part, first + (nth + 1) * part);
        Growth { old: about(train, 0..from), new: about(train, from..to), first, from, to }
    };
    (0..GROWTHS).map(growth).collect()
}

/// The questions about documents at these places.
fn about(queries: &[LabelledQuery], documents: Range<usize>) -> Vec<LabelledQuery> {
    queries.iter().filter(|query| documents.contains(&query.document)).cloned().collect()
}

/// The rows of the first documents.
fn begin(
    train: &[LabelledQuery],
    first: usize,
    (training, compute): (&RowTraining, &Arc<Compute>),
) -> Result<AtomicRows, GenirError> {
    let mut rows = AtomicRows::default();
    let own = about(train, 0..first);
    rows.append_means(&own, first)?;
    rows.train(&own, training, compute)?;
    Ok(rows)
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let all = questions(task)?;
    let first = all.documents * 2 / 3;
    let part = first / 10;
    if part == 0 {
        let problem = format!("{} passages are too few to grow by tenths", all.documents);
        return Err(StageError::Field { field: "data", problem });
    }
    let end = first + GROWTHS * part;
    let compute = Compute::new(rayon::current_num_threads());
    let training = RowTraining { steps: values.count("steps"), ..RowTraining::default() };
    let options = match values.on("search") {
        true => searched(&all.train, (first, part), which(values), (&training, &compute))?,
        false => NewRow {
            lambda: values.real("lambda"),
            margin_new: values.real("margin"),
            margin_old: values.real("margin_old"),
            ..NewRow::default()
        },
    };
    let mut rows = begin(&all.train, first, (&training, &compute))?;
    let before = hits(&all, &rows, 0..first);
    for (nth, growth) in growths(&all.train, (first, part)).iter().enumerate() {
        (task.progress)(task.name, nth as u64, GROWTHS as u64);
        add(values, &mut rows, growth, (&options, &training, &compute))?;
    }
    let numbers = [before, hits(&all, &rows, 0..first), hits(&all, &rows, first..end)];
    let quantity =
        |(name, (keys, values)): (&str, (Vec<String>, Vec<f64>))| Quantity::by_query(name, keys, values);
    let mut made = StageOutput {
        numbers: NUMBERS.into_iter().zip(numbers).map(quantity).collect(),
        ..StageOutput::default()
    };
    made.facts.push(("passages".into(), format!("{first}, and five times {part}")));
    if values.word("update") == "incdsi" {
        let NewRow { lambda, margin_new, margin_old, .. } = options;
        let weights = format!("{lambda}, {margin_new}, {margin_old}");
        made.facts.push(("lambda, margin and margin_old".into(), weights));
    }
    if end < all.documents {
        made.warnings.push(format!(
            "{} of {} passages take no part: tenths are whole numbers",
            all.documents - end,
            all.documents
        ));
    }
    Ok(made)
}

/// What stands for an old document.
fn which(values: &Values) -> Representative {
    match values.word("representative") {
        "lowest" => Representative::Lowest,
        _ => Representative::Mean,
    }
}

/// The weights of the grid under which held-out questions of old and new documents are found best after all growths; of equal ones the first.
fn searched(
    train: &[LabelledQuery],
    (first, part): (usize, usize),
    which: Representative,
    trained: (&RowTraining, &Arc<Compute>),
) -> Result<NewRow, StageError> {
    let (learned, held) = held_out(&about(train, 0..first + GROWTHS * part));
    if held.is_empty() {
        let problem = "no passage has two labelled questions, so that none can be held out".into();
        return Err(StageError::Field { field: "search", problem });
    }
    let begun = begin(&learned, first, trained)?;
    let growths = growths(&learned, (first, part));
    let after = |options: &NewRow| {
        let mut rows = begun.clone();
        growths.iter().try_for_each(|growth| add_optimised(&mut rows, growth, (options, which)))?;
        Ok::<f64, GenirError>(balance(&rows, &held, first))
    };
    let grid = grid();
    let scores = grid.par_iter().map(after).collect::<Result<Vec<f64>, GenirError>>()?;
    let mut best = 0;
    for (at, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = at;
        }
    }
    Ok(grid[best])
}

/// All that is searched.
fn grid() -> Vec<NewRow> {
    let mut grid = Vec::new();
    for lambda in LAMBDAS {
        for margin_new in MARGINS_NEW {
            let row = |margin_old| NewRow { lambda, margin_new, margin_old, ..NewRow::default() };
            grid.extend(MARGINS_OLD.map(row));
        }
    }
    grid
}

/// Questions that are learned from, and the last one of each passage that has several.
fn held_out(train: &[LabelledQuery]) -> (Vec<LabelledQuery>, Vec<LabelledQuery>) {
    let mut left: HashMap<usize, usize> = HashMap::new();
    train.iter().for_each(|query| *left.entry(query.document).or_default() += 1);
    let several: HashSet<usize> =
        left.iter().filter(|(_, count)| **count > 1).map(|(document, _)| *document).collect();
    let (mut learned, mut held) = (Vec::new(), Vec::new());
    for query in train {
        let left = left.entry(query.document).or_default();
        *left = left.saturating_sub(1);
        match *left == 0 && several.contains(&query.document) {
            true => held.push(query.clone()),
            false => learned.push(query.clone()),
        }
    }
    (learned, held)
}

/// The harmonic mean of the reciprocal ranks (among ten) of old and new passages, with weight β² on the old ones: (1 + β²)·old·new / (β²·new + old).
fn balance(rows: &AtomicRows, held: &[LabelledQuery], first: usize) -> f64 {
    let reciprocal = |query: &LabelledQuery| {
        let place = rows.rank(&query.vector, DEPTH).iter().position(|document| *document == query.document);
        place.map_or(0.0, |place| 1.0 / (place + 1) as f64)
    };
    let mean = |is_old: bool| {
        let asked = held.iter().filter(|query| (query.document < first) == is_old);
        let ranks: Vec<f64> = asked.map(reciprocal).collect();
        ranks.iter().sum::<f64>() / ranks.len().max(1) as f64
    };
    let (old, new) = (mean(true), mean(false));
    let below = BETA * BETA * new + old;
    if below > 0.0 { (1.0 + BETA * BETA) * old * new / below } else { 0.0 }
}

fn add(
    values: &Values,
    rows: &mut AtomicRows,
    growth: &Growth,
    (options, training, compute): (&NewRow, &RowTraining, &Arc<Compute>),
) -> Result<(), StageError> {
    if values.word("update") == "incdsi" {
        return Ok(add_optimised(rows, growth, (options, which(values)))?);
    }
    if values.word("update") == "anew" {
        let all = [&growth.old[..], &growth.new[..]].concat();
        *rows = AtomicRows::default();
        rows.append_means(&all, growth.to)?;
        return Ok(rows.train(&all, training, compute)?);
    }
    rows.append_means(&growth.new, growth.to)?;
    let mut learned = growth.new.clone();
    let training = RowTraining { rate: values.real("rate") as f32, ..*training };
    if values.word("update") == "replay" {
        let count = (values.real("replayed") * growth.new.len() as f64) as usize;
        let order =
            Stream::new(values.count("seed") as u64, growth.from as u64).permutation(growth.old.len());
        learned.extend(order.into_iter().take(count).map(|at| growth.old[at].clone()));
    }
    Ok(rows.train(&learned, &training, compute)?)
}

/// Adds the documents of a growth one by one, each with a row that is optimised beside those that are there.
fn add_optimised(
    rows: &mut AtomicRows,
    growth: &Growth,
    (options, which): (&NewRow, Representative),
) -> Result<(), GenirError> {
    let of = |rows: &AtomicRows, document: usize, queries: &[LabelledQuery]| {
        let which = growth.representative(document, which);
        rows.representative(document, &vectors_of(queries, document), which)
    };
    let mut representatives = (0..growth.from)
        .map(|document| of(rows, document, &growth.old))
        .collect::<Result<Vec<Vec<f32>>, GenirError>>()?;
    for document in growth.from..growth.to {
        rows.add(&vectors_of(&growth.new, document), &representatives, options)?;
        representatives.push(of(rows, document, &growth.new)?);
    }
    Ok(())
}

fn vectors_of(queries: &[LabelledQuery], document: usize) -> Vec<Vec<f32>> {
    queries.iter().filter(|query| query.document == document).map(|query| query.vector.clone()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn query(document: usize, vector: [f32; 3]) -> LabelledQuery {
        LabelledQuery { vector: vector.to_vec(), document }
    }

    #[test]
    fn the_last_question_of_each_passage_with_several_is_held_out() {
        let at = |document: usize, nth: f32| query(document, [nth, 0.0, 0.0]);
        let train = [at(0, 1.0), at(1, 2.0), at(0, 3.0), at(2, 4.0), at(0, 5.0), at(2, 6.0)];
        let (learned, held) = held_out(&train);
        assert_eq!(learned, [at(0, 1.0), at(1, 2.0), at(0, 3.0), at(2, 4.0)]);
        assert_eq!(held, [at(0, 5.0), at(2, 6.0)]);
    }

    #[test]
    fn old_passages_count_more_in_the_balance() {
        let rows = AtomicRows::new(vec![vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 0.0, 1.0]]);
        // The old one is first (reciprocal rank 1), the new one second (1/2).
        let held = [query(0, [1.0, 0.0, 0.0]), query(2, [0.0, 1.0, 0.5])];
        let expected = 26.0 * 1.0 * 0.5 / (25.0 * 0.5 + 1.0);
        assert!((balance(&rows, &held, 2) - expected).abs() < 1e-12);
        let swapped = [query(0, [0.5, 1.0, 0.0]), query(2, [0.0, 0.0, 1.0])];
        let expected = 26.0 * 0.5 * 1.0 / (25.0 * 1.0 + 0.5);
        assert!((balance(&rows, &swapped, 2) - expected).abs() < 1e-12);
        assert_eq!(balance(&rows, &held[..1], 2), 0.0, "no new one is found");
    }

    #[test]
    fn passages_that_came_later_are_stood_for_by_the_mean_of_their_questions() {
        let (lowest, mean) = (Representative::Lowest, Representative::Mean);
        for growth in growths(&[], (10, 1)) {
            let found =
                [0, 9, 10, growth.from, growth.to].map(|document| growth.representative(document, lowest));
            assert_eq!(found, [lowest, lowest, mean, mean, mean]);
            assert_eq!(growth.representative(0, mean), mean);
        }
    }

    #[test]
    fn the_grid_has_all_combinations_once() {
        let grid = grid();
        assert_eq!(grid.len(), 27);
        assert!((0..grid.len()).all(|at| !grid[..at].contains(&grid[at])));
    }
}
