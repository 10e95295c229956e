//! The queries that gained and lost most, with what stood on top before and after.

use super::Report;
use crate::compare::Compared;
use crate::judging::ranked;
use crate::policy::Policy;
use plackett_core::{QueryQrels, Run};

/// A query on which a run and the baseline differ.
pub struct Example {
    pub query: String,
    pub text: Option<String>,
    pub before: f64,
    pub after: f64,
    pub difference: f64,
    pub top_before: Vec<TopDocument>,
    pub top_after: Vec<TopDocument>,
}

/// One of the first documents of a list.
pub struct TopDocument {
    pub rank: usize,
    pub id: String,
    pub grade: Option<i32>,
    pub text: Option<String>,
}

/// Documents shown of each list.
const TOP: usize = 3;

/// Characters shown of a document's text.
const TEXT: usize = 220;

/// The most gained and the most lost queries.
pub struct Examples {
    pub gained: Vec<Example>,
    pub lost: Vec<Example>,
}

impl Examples {
    /// Up to `report.examples` of each kind; queries without a difference are none.
    pub fn of(report: &Report<'_>, compared: &Compared, baseline: &str) -> Examples {
        let mut order: Vec<usize> = (0..compared.differences.len()).collect();
        order.sort_by(|&a, &b| compared.differences[b].total_cmp(&compared.differences[a]));
        let example = |place: usize| example(report, compared, baseline, place);
        let gained = order.iter().copied().filter(|&place| compared.differences[place] > 0.0);
        let lost = order.iter().rev().copied().filter(|&place| compared.differences[place] < 0.0);
        Examples {
            gained: gained.take(report.examples).filter_map(example).collect(),
            lost: lost.take(report.examples).filter_map(example).collect(),
        }
    }
}

fn example(report: &Report<'_>, compared: &Compared, baseline: &str, place: usize) -> Option<Example> {
    let query = compared.queries.get(place)?;
    let value = |name: &str| {
        let (_, evaluation) = report.runs.iter().find(|(_, evaluation)| evaluation.name == name)?;
        let at = evaluation.queries.iter().position(|id| id == query)?;
        evaluation.measured(&compared.measure)?.values.get(at).copied()
    };
    let top = |name: &str| {
        let run = report.runs.iter().find(|(_, evaluation)| evaluation.name == name);
        run.map(|(run, evaluation)| top(report, run, query, &evaluation.policy)).unwrap_or_default()
    };
    Some(Example {
        text: (report.queries)(query),
        before: value(baseline)?,
        after: value(&compared.run)?,
        difference: compared.differences[place],
        top_before: top(baseline),
        top_after: top(&compared.run),
        query: query.clone(),
    })
}

fn top(report: &Report<'_>, run: &Run, query: &str, policy: &Policy) -> Vec<TopDocument> {
    let Some(returned) = run.query(query) else { return Vec::new() };
    let judgments = report.qrels.query(query);
    ranked(returned, policy)
        .into_iter()
        .take(TOP)
        .enumerate()
        .map(|(place, id)| TopDocument {
            rank: place + 1,
            grade: judgments.and_then(|judgments| grade(judgments, id)),
            text: (report.documents)(id).map(|text| shortened(&text)),
            id: id.to_string(),
        })
        .collect()
}

fn grade(judgments: &QueryQrels, document: &str) -> Option<i32> {
    judgments.iter().filter(|judgment| judgment.document == document).map(|judgment| judgment.grade).max()
}

/// The beginning of a text, cut between words, with an ellipsis where something was cut.
fn shortened(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(TEXT) {
        None => text,
        Some((end, _)) => {
            let end = text[..end].rfind(' ').unwrap_or(end);
            format!("{} …", &text[..end])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_words() {
        let text = "wörter ".repeat(60);
        let short = shortened(&text);
        assert!(short.ends_with("wörter …"), "{short}");
        assert_eq!(shortened(" a  b\n"), "a b");
    }
}
