//! From passages to documents: the last step of a search in an index whose documents are cut into passages.
//!
//! First stages and rerankers see passages. A document has the score of its best passage, or that and the mean of all its
//! passages that were found; the trace says which passage stands for it.

use super::REMARK;
use plackett_core::declaration::{
    Expression, OptionError, OptionKind, OptionSpec, OptionValues, find, suggestion,
};
use plackett_core::{Ranked, Ranking, TieReport, order_by_score};
use plackett_search::chunk::document_of;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// From the scores of a document's passages to its own, best first; there is one at least.
type Score = fn(&[f64]) -> f64;

/// The ways to score a document.
const SCORES: &[(&str, Score)] = &[("max", best), ("max+mean", best_and_mean)];
/// Their names.
const SCORE_NAMES: &[&str] = &["max", "max+mean"];

fn best(scores: &[f64]) -> f64 {
    scores.first().copied().unwrap_or(f64::NEG_INFINITY)
}

fn best_and_mean(scores: &[f64]) -> f64 {
    best(scores) + scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

/// What a search answers with: a line of [`GROUPINGS`].
pub struct GroupingSpec {
    /// The name in expressions.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence without a full stop.
    pub summary: &'static str,
    /// What can be chosen.
    pub options: &'static [OptionSpec],
}

plackett_core::impl_declaration!(GroupingSpec);

/// All that a search can answer with.
pub static GROUPINGS: &[&GroupingSpec] = &[&DOCUMENT, &PASSAGE];

static DOCUMENT: GroupingSpec = GroupingSpec {
    name: "document",
    aliases: &["documents"],
    summary: "documents, each with its best passage",
    options: &[OptionSpec {
        name: "score",
        kind: OptionKind::Choice(SCORE_NAMES),
        default: Some("max"),
        help: "The score of the best passage, or that plus the mean of the document's passages that were found",
    }],
};

static PASSAGE: GroupingSpec = GroupingSpec {
    name: "passage",
    aliases: &["passages"],
    summary: "passages as they were ranked",
    options: &[],
};

/// What a search in an index of passages answers with: `document`, `document(score=max+mean)` or `passage`.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    /// As it is written, with all its options.
    written: String,
    /// The score of documents, by its name; `None` where passages are the answer.
    score: Option<&'static str>,
}

/// Documents with the score of their best passage.
impl Default for Grouping {
    fn default() -> Grouping {
        let score = SCORE_NAMES[0];
        Grouping { written: format!("{}(score={score})", DOCUMENT.name), score: Some(score) }
    }
}

/// Why a grouping cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GroupingError {
    /// A name that is not declared.
    #[error("`{name}` is nothing that a search answers with; use {known}{}", suggestion(.nearest))]
    Unknown {
        /// What was written.
        name: String,
        /// The names there are.
        known: String,
        /// The one that is written most alike.
        nearest: Option<&'static str>,
    },
    /// An option or its value.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The form.
    #[error("{0}; write document, document(score=max+mean) or passage")]
    Form(String),
}

impl FromStr for Grouping {
    type Err = GroupingError;

    fn from_str(text: &str) -> Result<Grouping, GroupingError> {
        let written = Expression::split(text).map_err(GroupingError::Form)?;
        let spec = find(GROUPINGS, written.name).map_err(|unknown| GroupingError::Unknown {
            name: written.name.into(),
            known: unknown.known,
            nearest: unknown.nearest,
        })?;
        let options = written.options().map_err(GroupingError::Form)?;
        let options = OptionValues::parse(spec.name, spec.options, options)?;
        let all: Vec<String> = options.all().map(|(name, value)| format!("{name}={value}")).collect();
        let behind = if all.is_empty() { String::new() } else { format!("({})", all.join(", ")) };
        Ok(Grouping { written: format!("{}{behind}", spec.name), score: options.get_choice("score") })
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Grouping {
    /// Passages as they were ranked.
    pub fn passages() -> Grouping {
        Grouping { written: PASSAGE.name.into(), score: None }
    }

    /// How a document is scored; `None` where passages are the answer.
    pub(super) fn score(&self) -> Option<Score> {
        let name = self.score?;
        SCORES.iter().find(|(known, _)| *known == name).map(|(_, score)| *score)
    }

    /// Documents in the place of the passages of a ranking.
    pub(super) fn group(&self, ranking: Ranking, score: Score) -> Ranking {
        let Ranking { query_id, entries, mut trace } = ranking;
        let (mut documents, mut places) = (Vec::<Grouped>::new(), HashMap::<String, usize>::new());
        for (at, Ranked { id, score, .. }) in entries.into_iter().enumerate() {
            let document = document_of(&id).unwrap_or(&id);
            match places.get(document) {
                Some(place) => documents[*place].scores.push(score),
                None => {
                    places.insert(document.into(), documents.len());
                    let activated = trace.activated.get(at).copied();
                    documents.push(Grouped {
                        id: document.into(),
                        passage: id,
                        scores: vec![score],
                        activated,
                    });
                }
            }
        }
        let with_score = |grouped: Grouped| {
            let score = score(&grouped.scores);
            (grouped, score)
        };
        let mut scored: Vec<(Grouped, f64)> = documents.into_iter().map(with_score).collect();
        // Documents come in the order of their best passages, which stands where the order of passages decided ties.
        match trace.ties.broken_by == TieReport::DOCNO {
            true => scored.sort_by(|a, b| order_by_score((&a.0.id, a.1), (&b.0.id, b.1))),
            false => scored.sort_by(|a, b| b.1.total_cmp(&a.1)),
        }
        trace.ties = TieReport {
            broken_by: trace.ties.broken_by,
            ..TieReport::of(scored.iter().map(|(_, score)| *score))
        };
        trace.activated = scored.iter().filter_map(|(grouped, _)| grouped.activated).collect();
        trace.passages = scored.iter().map(|(grouped, _)| grouped.passage.clone()).collect();
        trace.facts.push(("group".into(), self.to_string()));
        let ranked = |(place, (grouped, score)): (usize, (Grouped, f64))| Ranked {
            id: grouped.id,
            score,
            rank: place + 1,
        };
        Ranking { query_id, entries: scored.into_iter().enumerate().map(ranked).collect(), trace }
    }
}

/// The passages of one document.
struct Grouped {
    id: String,
    /// The best of them.
    passage: String,
    scores: Vec<f64>,
    activated: Option<f64>,
}

/// Documents that a ranking of passages leads to.
pub(super) fn count(ranking: &Ranking) -> usize {
    let documents = ranking.entries.iter().map(|entry| document_of(&entry.id).unwrap_or(&entry.id));
    documents.collect::<std::collections::HashSet<&str>>().len()
}

/// Says that a depth that is written in a pipeline keeps an answer shorter than it was asked to be.
pub(super) fn remark_on_depth(ranking: &mut Ranking, k: usize, (depth, stage): &(usize, String)) {
    let passages = if *depth == 1 { "1 passage".into() } else { format!("{depth} passages") };
    let remark = format!(
        "`{stage}` passes on {passages}, of fewer than the {k} documents that are asked for; write a larger depth behind it \
         for longer answers"
    );
    ranking.trace.facts.push((format!("{REMARK}group"), remark));
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::Trace;

    fn passages() -> Ranking {
        let scored = [("a#1", 1.0), ("b#3", 4.0), ("a#2", 3.0), ("b#1", 1.0), ("c#1", 3.0)];
        let mut ranking =
            Ranking::from_scores("q", scored.map(|(id, score)| (id.to_string(), score)), Trace::default());
        ranking.trace.activated = vec![0.9, 0.8, 0.7, 0.2, 0.1];
        ranking
    }

    fn grouped(grouping: &str, ranking: Ranking) -> Ranking {
        let grouping: Grouping = grouping.parse().unwrap();
        let score = grouping.score().unwrap();
        grouping.group(ranking, score)
    }

    fn told(ranking: &Ranking) -> Vec<(&str, f64, usize)> {
        ranking.entries.iter().map(|entry| (entry.id.as_str(), entry.score, entry.rank)).collect()
    }

    #[test]
    fn the_best_passage_stands_for_its_document() {
        let ranking = grouped("document", passages());
        assert_eq!(told(&ranking), [("b", 4.0, 1), ("c", 3.0, 2), ("a", 3.0, 3)]);
        assert_eq!(ranking.trace.passages, ["b#3", "c#1", "a#2"]);
        assert_eq!(ranking.trace.activated, [0.9, 0.8, 0.7]);
        assert_eq!((ranking.trace.ties.groups, ranking.trace.ties.documents), (1, 2));
        assert!(ranking.trace.facts.contains(&("group".into(), "document(score=max)".into())));
        assert_eq!(count(&passages()), 3);
    }

    #[test]
    fn the_mean_of_all_that_was_found_is_added() {
        // c: 3 + 3; b: 4 + 5/2; a: 3 + 4/2.
        let ranking = grouped("document(score=max+mean)", passages());
        assert_eq!(told(&ranking), [("b", 6.5, 1), ("c", 6.0, 2), ("a", 5.0, 3)]);
        assert_eq!(ranking.trace.passages, ["b#3", "c#1", "a#2"]);
    }

    #[test]
    fn an_order_that_ids_did_not_decide_stays() {
        let mut ranking = passages();
        ranking.trace.ties.broken_by = TieReport::INPUT.into();
        ranking.entries.swap(1, 2);
        assert_eq!(told(&grouped("document", ranking)), [("b", 4.0, 1), ("a", 3.0, 2), ("c", 3.0, 3)]);
    }

    #[test]
    fn what_a_search_answers_with_is_read_and_refused() {
        assert!("passage".parse::<Grouping>().unwrap().score().is_none());
        assert_eq!("passages".parse::<Grouping>().unwrap(), Grouping::passages());
        assert_eq!("Documents".parse::<Grouping>().unwrap(), Grouping::default());
        for (written, said) in [
            ("passages(score=max)", "it has none"),
            ("document(score=mean)", "one of max, max+mean"),
            ("docment", "did you mean `document`?"),
            ("", "nothing is written"),
        ] {
            let error = written.parse::<Grouping>().map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(said), "{written}: {error}");
        }
    }

    #[test]
    fn every_declared_score_is_there() {
        assert!(SCORES.iter().map(|(name, _)| name).eq(SCORE_NAMES));
    }
}
