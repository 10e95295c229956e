//! The table of every query under every measure and run.

use super::Report;
use crate::evaluate::{Evaluation, Measured};
use crate::measure::Aggregate;
use std::collections::{HashMap, HashSet};

/// The table as the template shows it.
pub(super) struct QueryTable {
    pub columns: Vec<QueryColumn>,
    /// The measures in their order, to choose one of them.
    pub measures: Vec<String>,
    pub rows: Vec<QueryRow>,
    pub has_texts: bool,
}

/// One measure of one run.
pub(super) struct QueryColumn {
    pub heading: String,
    /// Place in [`QueryTable::measures`].
    pub measure: usize,
}

pub(super) struct QueryRow {
    pub query: String,
    pub text: String,
    /// One per column; `None` where a run was not measured on the query.
    pub values: Vec<Option<String>>,
}

impl QueryTable {
    /// Measures come in their order, under each the runs in theirs. The queries are those of any run, those of the first
    /// before the others.
    pub(super) fn new(report: &Report<'_>, evaluations: &[&Evaluation]) -> QueryTable {
        let Some(first) = evaluations.first() else {
            return QueryTable { columns: vec![], measures: vec![], rows: vec![], has_texts: false };
        };
        let shown: Vec<&Measured> = first.measures.iter().filter(|measured| has_values(measured)).collect();
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for (place, measured) in shown.iter().enumerate() {
            let name = measured.measure.to_string();
            for evaluation in evaluations {
                let heading = match evaluations.len() {
                    1 => name.clone(),
                    _ => format!("{} {name}", evaluation.name),
                };
                columns.push(QueryColumn { heading, measure: place });
                values.push(by_query(evaluation, measured, report.digits));
            }
        }
        let row = |query: &String| QueryRow {
            query: query.clone(),
            text: (report.queries)(query).unwrap_or_default(),
            values: values.iter().map(|column| column.get(query.as_str()).cloned()).collect(),
        };
        let rows: Vec<QueryRow> = all_queries(evaluations).into_iter().map(row).collect();
        QueryTable {
            has_texts: rows.iter().any(|row| !row.text.is_empty()),
            columns,
            measures: shown.iter().map(|measured| measured.measure.to_string()).collect(),
            rows,
        }
    }
}

/// Queries of any of the runs.
pub(super) fn all_queries<'a>(evaluations: &[&'a Evaluation]) -> Vec<&'a String> {
    let mut seen = HashSet::new();
    evaluations
        .iter()
        .flat_map(|evaluation| &evaluation.queries)
        .filter(|query| seen.insert(*query))
        .collect()
}

/// Geometric means keep logarithms by query, and the number of queries says nothing of one.
fn has_values(measured: &Measured) -> bool {
    let declaration = measured.measure.declaration();
    declaration.aggregate != Aggregate::GeometricMean && declaration.name != "NumQ"
}

/// The values of one measure of one run as they are shown. Counts have no decimals.
fn by_query<'a>(evaluation: &'a Evaluation, like: &Measured, digits: usize) -> HashMap<&'a str, String> {
    let Some(measured) = evaluation.measured(&like.measure) else { return HashMap::new() };
    let sum = measured.measure.declaration().aggregate == Aggregate::Sum;
    let digits = if sum { 0 } else { digits };
    let values = measured.values.iter().map(|value| format!("{value:.digits$}"));
    evaluation.queries.iter().map(String::as_str).zip(values).collect()
}
