//! `evaluate`: measures of rankings, query by query.

use super::{dataset_of, rankings_of};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{StageKind, StageOutput, a_moment, nothing_outside};
use crate::recipe::task::Task;
use plackett_core::Run;
use plackett_eval::measure::parse_list;
use plackett_eval::{Evaluator, IntervalOptions, Measure, Policy};

/// The declaration.
pub static EVALUATE: StageKind = StageKind {
    name: "evaluate",
    help: "measures of rankings against the judgments of a collection; gives RUN/MEASURE",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("data", FieldKind::Stage(&[OutputKind::Data]), "whose judgments"),
        FieldSpec::required(
            "runs",
            FieldKind::Stages(&[OutputKind::Data, OutputKind::Rankings]),
            "what is measured",
        ),
        FieldSpec::required("measures", FieldKind::Texts, "such as nDCG@10 and AP, one a text"),
    ],
    chooses: None,
    check: |values, _| {
        for (nth, text) in values.texts("measures").into_iter().enumerate() {
            measure(text).map_err(|problem| values.wrong("measures", nth, Problem::Said(problem)))?;
        }
        Ok(())
    },
    numbers: |values, _| {
        let measures = values.texts("measures");
        values
            .texts("runs")
            .iter()
            .flat_map(|run| measures.iter().map(move |measure| format!("{run}/{measure}")))
            .collect()
    },
    outside: nothing_outside,
    estimate: a_moment,
    run,
};

fn measure(text: &str) -> Result<Measure, String> {
    match parse_list(text) {
        Ok(measures) => match <[Measure; 1]>::try_from(measures) {
            Ok([measure]) => Ok(measure),
            Err(several) => Err(format!("`{text}` is {} measures; write one a text", several.len())),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn measures(values: &Values) -> Result<Vec<Measure>, StageError> {
    let parsed = values.texts("measures").into_iter().map(measure).collect::<Result<_, _>>();
    parsed.map_err(|problem| StageError::Field { field: "measures", problem })
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let dataset = dataset_of(task, task.values.word("data"))?;
    let intervals = IntervalOptions { bootstrap: false, analytic: false, ..IntervalOptions::default() };
    let evaluator = Evaluator { measures: measures(task.values)?, policy: Policy::default(), intervals };
    let mut made = StageOutput::default();
    for name in task.values.texts("runs") {
        let rankings = rankings_of(task, name)?;
        let full = |source| plackett_core::formats::FormatError::Full { file: name.to_string(), source };
        let evaluation =
            evaluator.evaluate(&dataset.qrels, &Run::from_rankings(name, &rankings).map_err(full)?)?;
        for (measured, written) in evaluation.measures.iter().zip(task.values.texts("measures")) {
            let number = format!("{name}/{written}");
            made.numbers.push(Quantity::by_query(
                number,
                evaluation.queries.clone(),
                measured.values.clone(),
            ));
        }
        made.warnings.extend(evaluation.remarks().into_iter().map(|remark| format!("{name}: {remark}")));
    }
    made.facts.push(("rules".into(), evaluator.policy.to_string()));
    Ok(made)
}
