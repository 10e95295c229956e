//! `answers`: the parser of listwise answers over answers that real models gave.

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Environment, Task, hash_file};
use plackett_core::formats::{DEFAULT_LINE_LIMIT, Lines};
use plackett_core::parse::{AnswerClass, OrderFormat, parse_order};
use plackett_core::permutation::Permutation;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Shares of the answers of one model.
const SHARES: [&str; 6] = ["permutation", "read", "ok", "repetition", "missing_documents", "as_sorted"];
/// How many answers there are in all.
const COUNT: &str = "answers";

/// The declaration.
pub static ANSWERS: StageKind = StageKind {
    name: "answers",
    help: "reads saved answers of listwise rerankers (lines with `model`, `passages`, `response`, `count`, `kind`); gives `answers`, how many \
           there are, and for each model shares of its answers: `permutation` (an order of all passages came out), `read` (a label was \
           found), `ok`, `repetition`, `missing_documents` (what was right or wrong with it), and `as_sorted` (the class is the one under \
           which the file lists it)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::new(
            "collection",
            FieldKind::Text,
            Default::Text("llm-rank-responses"),
            "a folder's name in PLACKETT_DATA, or a path that begins with . or /",
        ),
        FieldSpec::new("file", FieldKind::Text, Default::Text("responses.jsonl.gz"), "the file in it"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| std::iter::once(COUNT).chain(SHARES).map(str::to_string).collect(),
    outside: |values, environment| Ok(vec![("answers".into(), hash_file(&path(values, environment)?)?)]),
    estimate: |task| {
        path(task.values, task.environment)?;
        Ok(Estimate { work: "reads answers".into(), seconds: Some(2.0), ..Estimate::default() })
    },
    run,
};

#[derive(Deserialize)]
struct Saved {
    model: String,
    passages: usize,
    response: String,
    #[serde(default = "one")]
    count: u64,
    kind: String,
}

fn one() -> u64 {
    1
}

fn path(values: &Values, environment: &Environment) -> Result<PathBuf, StageError> {
    Ok(environment.collection(values.word("collection"))?.join(values.word("file")))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let path = path(task.values, task.environment)?;
    let mut lines = Lines::open(&path, DEFAULT_LINE_LIMIT)?;
    let mut of_models: BTreeMap<String, (u64, [u64; SHARES.len()])> = BTreeMap::new();
    while let Some(line) = lines.next()? {
        if line.trim().is_empty() {
            continue;
        }
        let saved = serde_json::from_str::<Saved>(line);
        let line = lines.line();
        let saved = saved.map_err(|error| {
            let problem = format!("{}, line {line} is no saved answer: {error}", path.display());
            StageError::Field { field: "file", problem }
        })?;
        let flags = read(&saved);
        let (all, sums) = of_models.entry(saved.model).or_default();
        *all += saved.count;
        sums.iter_mut().zip(flags).for_each(|(sum, flag)| *sum += saved.count * u64::from(flag));
    }
    if of_models.is_empty() {
        let problem = format!("{} has no answers", path.display());
        return Err(StageError::Field { field: "file", problem });
    }
    let keys: Vec<String> = of_models.keys().cloned().collect();
    let quantity = |(nth, name): (usize, &&str)| {
        let share = |(all, sums): &(u64, [u64; SHARES.len()])| sums[nth] as f64 / (*all).max(1) as f64;
        let values = of_models.values().map(share).collect();
        Quantity { name: (*name).into(), unit: "model".into(), keys: keys.clone(), values }
    };
    let total: u64 = of_models.values().map(|(all, _)| all).sum();
    let total = Quantity {
        name: COUNT.into(),
        unit: "file".into(),
        keys: vec![task.values.word("file").into()],
        values: vec![total as f64],
    };
    let numbers = std::iter::once(total).chain(SHARES.iter().enumerate().map(quantity)).collect();
    Ok(StageOutput {
        numbers,
        facts: vec![("models".into(), keys.len().to_string())],
        ..StageOutput::default()
    })
}

/// What is true of an answer, in the order of [`SHARES`].
fn read(saved: &Saved) -> [bool; SHARES.len()] {
    let parsed = parse_order(&saved.response, saved.passages, &OrderFormat::default());
    let permutation =
        parsed.order.len() == saved.passages && Permutation::new(parsed.order.items().to_vec()).is_ok();
    let sorted = match saved.kind.as_str() {
        "ok" => parsed.class == AnswerClass::Ok,
        "repeats" => parsed.class == AnswerClass::Repetition,
        "missing" => parsed.class == AnswerClass::MissingDocuments,
        "out-of-range" => parsed.class == AnswerClass::WrongFormat,
        // Anything may stand under it.
        _ => true,
    };
    let is = |class| parsed.class == class;
    let classes = [is(AnswerClass::Ok), is(AnswerClass::Repetition), is(AnswerClass::MissingDocuments)];
    [permutation, parsed.read > 0, classes[0], classes[1], classes[2], sorted]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_looked_at_from_all_sides() {
        let saved = |response: &str, kind: &str| Saved {
            model: "m".into(),
            passages: 3,
            response: response.into(),
            count: 1,
            kind: kind.into(),
        };
        assert_eq!(read(&saved("[2] > [1] > [3]", "ok")), [true, true, true, false, false, true]);
        assert_eq!(read(&saved("[2] > [1] > [2] > [3]", "ok")), [true, true, false, true, false, false]);
        assert_eq!(read(&saved("[2] > [1]", "missing")), [true, true, false, false, true, true]);
        assert_eq!(
            read(&saved("3 passages are provided.", "other-text")),
            [true, false, false, false, false, true]
        );
    }
}
