//! Evaluations as the JSON document that scripts rely on.

use crate::compare::Comparison;
use crate::evaluate::{Evaluation, Measured};
use crate::measure::Aggregate;
use serde_json::{Map, Value, json};

/// `{"runs":[{"name":…,"measures":{"nDCG@10":{"mean":…,"ci95":[lo,hi],"n":…}}}],"policy":{…}}`, with the account of each
/// run beside its measures. `ci95` is null where there is no interval.
pub fn results_json(evaluations: &[Evaluation], per_query: bool) -> Value {
    let runs: Vec<Value> = evaluations.iter().map(|evaluation| run_json(evaluation, per_query)).collect();
    let policy = evaluations.first().map(|evaluation| json!(evaluation.policy));
    json!({ "runs": runs, "policy": policy })
}

/// The document of [`results_json`] with the comparison under `"comparison"`.
pub fn comparison_json(evaluations: &[Evaluation], comparison: &Comparison, per_query: bool) -> Value {
    let mut document = results_json(evaluations, per_query);
    if let Some(object) = document.as_object_mut() {
        object.insert("comparison".into(), json!(comparison));
    }
    document
}

fn run_json(evaluation: &Evaluation, per_query: bool) -> Value {
    let mut measures = Map::new();
    for measured in &evaluation.measures {
        measures.insert(measured.measure.to_string(), measured_json(measured));
    }
    let mut run = json!({ "name": evaluation.name, "measures": measures, "account": evaluation.account });
    if per_query && let Some(object) = run.as_object_mut() {
        let queries: Map<String, Value> = evaluation
            .queries
            .iter()
            .enumerate()
            .map(|(place, query)| {
                let numbers = evaluation
                    .measures
                    .iter()
                    .map(|m| (m.measure.to_string(), m.values.get(place).copied().into()));
                let texts = evaluation
                    .texts
                    .iter()
                    .map(|t| (t.measure.to_string(), t.values.get(place).cloned().into()));
                let values: Map<String, Value> = numbers.chain(texts).collect();
                (query.clone(), values.into())
            })
            .collect();
        object.insert("queries".into(), queries.into());
    }
    run
}

fn measured_json(measured: &Measured) -> Value {
    let mut value = json!({
        "mean": measured.mean,
        "ci95": measured.intervals.best(),
        "n": measured.values.len(),
        "intervals": measured.intervals,
    });
    let kind = match measured.measure.declaration().aggregate {
        Aggregate::Mean => None,
        Aggregate::Sum => Some("sum"),
        Aggregate::GeometricMean => Some("geometric mean"),
    };
    if let (Some(kind), Some(object)) = (kind, value.as_object_mut()) {
        object.insert("aggregate".into(), kind.into());
    }
    value
}
