//! `question-passages`: a collection of a chosen size, made of pairs of a question and the passage that answers it.

use crate::recipe::data::question_pairs::{self, Collection, PAIRS};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::seed;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput, no_numbers};
use crate::recipe::task::{Task, hash_file};
use std::collections::HashSet;

/// The declaration.
pub static QUESTION_PASSAGES: StageKind = StageKind {
    name: question_pairs::QUESTION_PASSAGES,
    help: "a collection in BEIR form made of pairs of a question and its passage (`pairs.jsonl.gz`; pairs with the label 0 are left out): \
           first the passages that are asked for, then others in a drawn order, so that a smaller collection is a part of a greater one and \
           both have the same test queries. Of each passage that is asked for some questions are held out as the split `test`; all others \
           are the split `train`, without those that a held-out question repeats. With `unseen` that many of the passages that are asked \
           for have no question in `train`, and `part` takes the test queries of those or of the others alone",
    version: 1,
    gives: OutputKind::Data,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::required("sets", FieldKind::Texts, "the sets of pairs that take part"),
        FieldSpec::new(
            "passages",
            FieldKind::Whole(0, i64::MAX),
            Default::Whole(0),
            "documents of the collection; 0 for all",
        ),
        FieldSpec::new(
            "asked",
            FieldKind::Whole(1, i64::MAX),
            Default::Whole(300),
            "passages whose held-out questions are the test queries",
        ),
        FieldSpec::new(
            "held_out",
            FieldKind::Whole(1, 1000),
            Default::Whole(1),
            "questions of such a passage that are held out; it has one more at least",
        ),
        seed("of all that is drawn"),
        FieldSpec::new(
            "unseen",
            FieldKind::Whole(0, i64::MAX),
            Default::Absent,
            "passages that are asked for of whose questions none is learned from",
        ),
        FieldSpec::new(
            "part",
            FieldKind::Choice(&["seen", "unseen"]),
            Default::Absent,
            "test queries of passages with or without questions to learn from; all, where it is not said",
        ),
    ],
    chooses: None,
    check,
    numbers: no_numbers,
    outside: |values, environment| {
        Ok(vec![(PAIRS.into(), hash_file(&environment.collection(values.word("collection"))?.join(PAIRS))?)])
    },
    estimate: |task| {
        let work = format!("reads {}", task.values.word("collection"));
        Ok(Estimate { work, seconds: Some(1.0), ..Estimate::default() })
    },
    run,
};

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    let (asked, unseen) = (values.count("asked"), values.count("unseen"));
    let said = |problem: String| Err(values.wrong("unseen", 0, Problem::Said(problem)));
    match unseen {
        0 if values.has("part") => {
            said("`part` needs `unseen`, how many passages have no question to learn from".into())
        }
        _ if unseen > asked => {
            said(format!("{unseen} of {asked} passages that are asked for cannot be unseen"))
        }
        _ => Ok(()),
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let made = Collection::load(task.values, task.environment)?;
    let asked = made.documents.len().min(task.values.count("asked"));
    let covered: HashSet<usize> = made.train.iter().map(|(_, passage)| *passage).collect();
    let coverage = 100.0 * covered.len() as f64 / made.documents.len() as f64;
    Ok(StageOutput {
        facts: vec![
            ("documents".into(), made.documents.len().to_string()),
            ("test queries".into(), format!("{}, about {asked} passages", made.test.len())),
            (
                "train queries".into(),
                format!("{}; {coverage:.1} % of the passages have one", made.train.len()),
            ),
        ],
        warnings: made.remarks,
        ..StageOutput::default()
    })
}
