//! How far a list covers the aspects of which it is known which passages answer them.

use anyhow::bail;
use plackett_core::{Qrels, Ranking, Run, Trace};
use plackett_eval::measure::parse_list;
use plackett_eval::{Evaluator, IntervalOptions, Policy};
use plackett_rank::ask::Aspect;
use plackett_search::Index;
use plackett_search::chunk::{document_of, passage_id};

/// Measures of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListCoverage {
    /// How many passages were wanted: so many of them count.
    pub k: usize,
    /// Aspects of which it is known which passages answer them; the others do not count.
    pub aspects: usize,
    /// nDCG in which a passage gains half by an aspect that one passage above it answers, a quarter where two do
    /// (Clarke et al., 2008).
    pub alpha_ndcg: f64,
    /// Share of these aspects that a passage of the list answers (Zhai et al., 2003).
    pub subtopic_recall: f64,
}

/// The identifier under which the list is measured.
const QUESTION: &str = "question";

/// Refuses ids that no list can hold.
///
/// # Errors
/// An id that the index does not have, or one of a whole document where the index is cut into passages.
pub fn check(aspects: &[Aspect], index: &Index) -> anyhow::Result<()> {
    for aspect in aspects {
        for id in &aspect.answered_by {
            let of = format!("the aspect `{}` is answered_by `{id}`", aspect.text);
            if index.document(id)?.is_none() {
                bail!("{of}, which the index does not have; write ids as `plackett ask` lists them");
            }
            if index.has_passages() && document_of(id).is_none() {
                let first = passage_id(id, 1);
                bail!("{of}, a document that is cut into passages; name those, as in `{first}`");
            }
        }
    }
    Ok(())
}

/// Measures the ids of a list, best first, of which `k` were wanted; `None` where nothing is known of any aspect.
///
/// # Errors
/// Ids of more than 4 GiB.
pub fn measured(aspects: &[Aspect], list: &[&str], k: usize) -> anyhow::Result<Option<ListCoverage>> {
    let known: Vec<&Aspect> = aspects.iter().filter(|aspect| !aspect.answered_by.is_empty()).collect();
    let mut coverage = ListCoverage { k, aspects: known.len(), alpha_ndcg: 0.0, subtopic_recall: 0.0 };
    if known.is_empty() {
        return Ok(None);
    }
    if list.is_empty() {
        return Ok(Some(coverage));
    }
    let mut qrels = Qrels::new();
    let judged = qrels.query_mut(QUESTION);
    for (at, aspect) in known.iter().enumerate() {
        for id in &aspect.answered_by {
            judged.push(&(at + 1).to_string(), id, 1)?;
        }
    }
    // Behind the list and all that could stand in an ideal one nothing is gained.
    let answers: usize = known.iter().map(|aspect| aspect.answered_by.len()).sum();
    let depth = k.min(list.len() + answers).max(1);
    let measures = parse_list(&format!("alpha_nDCG@{depth} StRecall@{depth}"))?;
    let scored = list.iter().enumerate().map(|(place, id)| ((*id).to_string(), (list.len() - place) as f64));
    let ranking = Ranking::from_scores(QUESTION, scored, Trace::default());
    let run = Run::from_rankings("list", [&ranking])?;
    let intervals = IntervalOptions { bootstrap: false, analytic: false, ..IntervalOptions::default() };
    let evaluation = Evaluator { measures, policy: Policy::default(), intervals }.evaluate(&qrels, &run)?;
    if let [alpha_ndcg, recall] = &evaluation.measures[..] {
        (coverage.alpha_ndcg, coverage.subtopic_recall) = (alpha_ndcg.mean, recall.mean);
    }
    Ok(Some(coverage))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aspect(text: &str, answered_by: &[&str]) -> Aspect {
        let answered_by = answered_by.iter().map(|id| id.to_string()).collect();
        Aspect { answered_by, ..Aspect::new(text) }
    }

    fn close(found: Option<ListCoverage>, aspects: usize, alpha_ndcg: f64, subtopic_recall: f64) {
        let found = found.unwrap();
        assert_eq!(found.aspects, aspects, "{found:?}");
        let off = [found.alpha_ndcg - alpha_ndcg, found.subtopic_recall - subtopic_recall];
        assert!(off.iter().all(|off| off.abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn a_second_answer_to_the_same_aspect_gains_half() {
        let aspects = [aspect("origins", &["a", "b"]), aspect("sales", &["c"]), aspect("styles", &[])];
        let of = |list: &[&str], k: usize| measured(&aspects, list, k).unwrap();
        // 1 + 0.5 / log2 3 + 1 / log2 4, over 1 + 1 / log2 3 + 0.5 / log2 4.
        close(of(&["a", "b", "c"], 3), 2, 1.8154649 / 1.8809298, 1.0);
        close(of(&["a", "c", "b"], 3), 2, 1.0, 1.0);
        // The ideal list has two places too: 1 + 1 / log2 3.
        close(of(&["a", "b"], 2), 2, 1.3154649 / 1.6309298, 0.5);
        // Fewer were found than were wanted: the ideal list has all three.
        close(of(&["a", "b"], 4_000_000_000), 2, 1.3154649 / 1.8809298, 0.5);
        close(of(&["x"], 1), 2, 0.0, 0.0);
        close(of(&[], 3), 2, 0.0, 0.0);
    }

    #[test]
    fn nothing_is_measured_where_nothing_is_known() {
        assert_eq!(measured(&[Aspect::new("origins")], &["a"], 3).unwrap(), None);
        assert_eq!(measured(&[], &["a"], 3).unwrap(), None);
    }
}
