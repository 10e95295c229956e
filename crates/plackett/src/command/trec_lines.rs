//! The lines that trec_eval prints: name, query, value.

use plackett_eval::measure::{Aggregate, RUN_ID};
use plackett_eval::{Evaluation, Measure, Measured};
use std::fmt::Write;

/// What is printed of an evaluation.
pub struct TrecLines {
    /// The values of each query, queries in byte order.
    pub per_query: bool,
    /// The values over all queries.
    pub summary: bool,
    /// Whether values are standard scores, which have a `Z` before the name.
    pub standard: bool,
    /// The name of the run.
    pub run_id: bool,
    /// Whether measures come in trec_eval's order in place of that of the command line.
    pub trec_order: bool,
    /// Decimals.
    pub digits: usize,
}

impl TrecLines {
    /// The lines of one run.
    pub fn of(&self, evaluation: &Evaluation) -> String {
        let mut text = String::new();
        if self.per_query {
            let mut order: Vec<usize> = (0..evaluation.queries.len()).collect();
            order.sort_by(|&a, &b| evaluation.queries[a].as_bytes().cmp(evaluation.queries[b].as_bytes()));
            for place in order {
                self.query(evaluation, place, &mut text);
            }
        }
        if self.summary {
            if self.run_id {
                let _ = writeln!(text, "{RUN_ID:<22}\tall\t{}", evaluation.name);
            }
            let mut lines: Vec<(usize, String)> = evaluation
                .measures
                .iter()
                .map(|m| (self.place(&m.measure), self.line(m, "all", m.mean)))
                .collect();
            lines.sort_by_key(|(place, _)| *place);
            lines.iter().for_each(|(_, line)| text.push_str(line));
        }
        text
    }

    fn query(&self, evaluation: &Evaluation, place: usize, text: &mut String) {
        let query = &evaluation.queries[place];
        let values = evaluation.measures.iter().filter(|measured| {
            let declaration = measured.measure.declaration();
            declaration.aggregate != Aggregate::GeometricMean && declaration.name != "NumQ"
        });
        let values = values.map(|m| (self.place(&m.measure), self.line(m, query, m.values[place])));
        let texts = evaluation.texts.iter().map(|t| {
            let line = format!("{:<22}\t{query}\t'{}'\n", name(&t.measure), t.values[place]);
            (self.place(&t.measure), line)
        });
        let mut lines: Vec<(usize, String)> = values.chain(texts).collect();
        lines.sort_by_key(|(place, _)| *place);
        lines.iter().for_each(|(_, line)| text.push_str(line));
    }

    /// Measures that trec_eval does not have come last.
    fn place(&self, measure: &Measure) -> usize {
        if self.trec_order { measure.trec_place().unwrap_or(usize::MAX) } else { 0 }
    }

    fn line(&self, measured: &Measured, query: &str, value: f64) -> String {
        let name = name(&measured.measure);
        let sum = measured.measure.declaration().aggregate == Aggregate::Sum;
        let digits = if sum && !self.standard { 0 } else { self.digits };
        let mark = if self.standard { "Z" } else { "" };
        format!("{mark}{name:<22}\t{query}\t{value:.digits$}\n")
    }
}

fn name(measure: &Measure) -> String {
    measure.trec_name().unwrap_or_else(|| measure.to_string())
}
