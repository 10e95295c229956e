//! The answer to a request, together with the account of how it came about.

use crate::order_by_score;
use serde::{Deserialize, Serialize};

/// One document at its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Document identifier.
    pub id: String,
    /// The score of the method that placed it (never a number made up from the place).
    pub score: f64,
    /// Place, from 1.
    pub rank: usize,
}

/// A complete order of a request's candidates, best first, and its trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The query's identifier.
    pub query_id: String,
    /// Documents, best first; ranks count from 1.
    #[serde(rename = "ranking")]
    pub entries: Vec<Ranked>,
    /// What was done to get here.
    pub trace: Trace,
}

impl Ranking {
    /// Orders `(id, score)` pairs by descending score with the rule of [`order_by_score`] and fills the trace's ties.
    pub fn from_scores(
        query_id: impl Into<String>,
        scored: impl IntoIterator<Item = (String, f64)>,
        mut trace: Trace,
    ) -> Ranking {
        let mut scored: Vec<(String, f64)> = scored.into_iter().collect();
        scored.sort_by(|a, b| order_by_score((&a.0, a.1), (&b.0, b.1)));
        trace.ties = TieReport::of(scored.iter().map(|(_, score)| *score));
        let entries = scored
            .into_iter()
            .enumerate()
            .map(|(place, (id, score))| Ranked { id, score, rank: place + 1 })
            .collect();
        Ranking { query_id: query_id.into(), entries, trace }
    }

    /// Keeps the `count` best documents.
    pub fn keep_best(&mut self, count: usize) {
        self.entries.truncate(count);
        self.trace.activated.truncate(count);
        self.trace.passages.truncate(count);
    }
}

/// What happened to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The method that was asked for gave the whole order.
    #[default]
    Ranked,
    /// An answer of the model was not as it should be, and was repaired as the trace says.
    Repaired,
    /// Another method, which the caller had named as fall-back, gave the order.
    Fallback(String),
}

/// A text that a model did not see whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncation {
    /// The document's identifier, or the query's.
    pub id: String,
    /// Tokens of the whole text (with special tokens).
    pub tokens: usize,
    /// Tokens that the model saw.
    pub kept: usize,
    /// Whether `tokens` is extrapolated from the beginning of the text, as for texts of more than 64 KiB.
    #[serde(default)]
    pub estimated: bool,
    /// Whether it is the query's text: a document may go by the same identifier.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_query: bool,
}

/// Equal scores in a ranking and the rule that ordered them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TieReport {
    /// Groups of at least two documents with the same score.
    pub groups: usize,
    /// Documents in those groups.
    pub documents: usize,
    /// How they were ordered.
    pub broken_by: String,
}

impl TieReport {
    /// The rule that equal scores are ordered by descending document identifiers, as trec_eval does.
    pub const DOCNO: &str = "docno-desc";
    /// The rule that equal scores keep the order in which candidates came.
    pub const INPUT: &str = "input-order";
}

impl Default for TieReport {
    fn default() -> Self {
        TieReport { groups: 0, documents: 0, broken_by: TieReport::DOCNO.into() }
    }
}

impl TieReport {
    /// Counts runs of equal scores in an already ordered list.
    pub fn of(ordered_scores: impl IntoIterator<Item = f64>) -> TieReport {
        let mut report = TieReport::default();
        let mut previous: Option<f64> = None;
        let mut in_group = false;
        for score in ordered_scores {
            let equal = previous.is_some_and(|p| p == score);
            match (equal, in_group) {
                (true, true) => report.documents += 1,
                (true, false) => {
                    report.groups += 1;
                    report.documents += 2;
                }
                _ => {}
            }
            in_group = equal;
            previous = Some(score);
        }
        report
    }
}

/// The next score that every reader of runs takes for a lower one, also in single precision, and that is written with few
/// digits: a step of two parts in ten million, or of 10⁻⁹ beside zero.
///
/// A score that no single-precision number holds has the next lower double below it.
pub fn next_score_below(score: f64) -> f64 {
    let single = score as f32;
    if !single.is_finite() {
        return score.next_down();
    }
    let below = single - (single.abs() * f32::EPSILON).max(1e-9);
    // The shortest digits of the single-precision number, not those of its double.
    let written = below.to_string().parse().unwrap_or(f64::from(below));
    if below.is_finite() && below < single && written < score { written } else { score.next_down() }
}

/// The account of one ranking: cost, and everything that was cut, tied or replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Whether the method asked for gave the order.
    #[serde(default)]
    pub status: Status,
    /// Sequences that went through a model.
    pub passes: u64,
    /// Tokens read by models.
    pub prompt_tokens: u64,
    /// Tokens written by models.
    pub generated_tokens: u64,
    /// Passes or parts of passes answered from a cache.
    #[serde(default)]
    pub cache_hits: u64,
    /// Wall time in seconds. When requests were packed together, their shared time is divided by tokens.
    pub seconds: f64,
    /// Texts that a model did not see whole.
    pub truncated: Vec<Truncation>,
    /// Equal scores and how they were ordered.
    pub ties: TieReport,
    /// The scores after the model's own activation (a sigmoid, say) in the order of the ranking; empty when the method
    /// has none. They never decide the order: an activation can round different scores to the same number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activated: Vec<f64>,
    /// Identifiers of the passages that stand for the documents, in the order of the ranking; empty where no document was
    /// found by a passage of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passages: Vec<String>,
    /// Named depths, policies and other facts that are part of the result, such as `("depth:bm25", "1000")`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<(String, String)>,
}

impl Trace {
    /// Adds the account of a later stage of a cascade to this one. Ties, activated scores and passages are those of
    /// the last stage.
    pub fn then(mut self, later: Trace) -> Trace {
        if later.status != Status::Ranked {
            self.status = later.status;
        }
        self.passes += later.passes;
        self.prompt_tokens += later.prompt_tokens;
        self.generated_tokens += later.generated_tokens;
        self.cache_hits += later.cache_hits;
        self.seconds += later.seconds;
        self.truncated.extend(later.truncated);
        self.facts.extend(later.facts);
        self.ties = later.ties;
        self.activated = later.activated;
        self.passages = later.passages;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_counted_and_broken_by_descending_id() {
        let scored = [("a", 1.0), ("b", 2.0), ("c", 1.0), ("d", 1.0), ("e", 0.5)];
        let ranking = Ranking::from_scores("q", scored.map(|(id, s)| (id.to_string(), s)), Trace::default());
        let ids: Vec<&str> = ranking.entries.iter().map(|e| e.id.as_str()).collect();
        assert_eq!(ids, ["b", "d", "c", "a", "e"]);
        assert_eq!((ranking.trace.ties.groups, ranking.trace.ties.documents), (1, 3));
    }
}
