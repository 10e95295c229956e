//! `feedback`: the query's vector is moved to what a reranker said, and the index is searched by it once more (Reddy et al.,
//! FIRST, 2024, relevance feedback). It stands behind a reranker, as in `dense:100 >> first >> feedback:100`.

use super::build::{reranking_method, wrong};
use super::run::{Answers, BoxError, Collection};
use super::specs::{EF, FILTER, FROM, SEARCH, dense_search};
use super::{PipelineError, QueryError};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_core::permutation::Permutation;
use plackett_core::pipeline as syntax;
use plackett_core::{Query, Ranking, Trace};
use plackett_rank::PLACES;
use plackett_rank::feedback::{FeedbackOptions, FeedbackTarget, relevance_feedback};
use plackett_search::{DenseSearch, Filter};

/// The stage's name in expressions and in the trace.
pub const FEEDBACK: &str = "feedback";

/// What of a reranker's answer the vector is drawn to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The softmax of its scores.
    Scores,
    /// Its order.
    Order,
    /// The scores first, then the order.
    Both,
}

/// A second search by a vector that a reranker has moved, with its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedbackStage {
    /// What the vector is drawn to; `None` for all that the reranker before it gives.
    pub target: Option<Target>,
    /// Steps and rates.
    pub options: FeedbackOptions,
    /// Exactly or approximately.
    pub search: DenseSearch,
    /// Documents that may be found; all without one.
    pub filter: Option<Filter>,
}

/// A vector that was moved, and what there is to say of it.
pub(super) struct Moved {
    pub query: Vec<f32>,
    pub facts: Vec<(String, String)>,
}

/// What it does, in one sentence without a full stop.
pub const SUMMARY: &str =
    "moves the query's vector to what the reranker before it said, and finds documents by the moved vector";

/// Steps of a part at most: each query waits for all of them, and rates of use are done long before.
const MOST_STEPS: i64 = 100_000;

/// What can be chosen.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "target",
        kind: OptionKind::Choice(&["scores", "order", "both"]),
        default: None,
        help: "what the vector is drawn to; without it all that the reranker gives",
    },
    OptionSpec {
        name: "score-steps",
        kind: OptionKind::Integer(1, MOST_STEPS),
        default: Some("100"),
        help: "steps to the scores",
    },
    OptionSpec {
        name: "score-rate",
        kind: OptionKind::Number(0.0, 1.0),
        default: Some("0.005"),
        help: "how far a step to the scores goes",
    },
    OptionSpec {
        name: "order-steps",
        kind: OptionKind::Integer(1, MOST_STEPS),
        default: Some("20"),
        help: "steps to the order",
    },
    OptionSpec {
        name: "order-rate",
        kind: OptionKind::Number(0.0, 1.0),
        default: Some("0.001"),
        help: "how far a step to the order goes",
    },
    SEARCH,
    EF,
    FROM,
    FILTER,
];

/// What was written of the stage. The filter was read already.
pub(super) fn settings(
    stage: &syntax::Stage,
    written: &OptionValues,
    filter: Option<Filter>,
) -> Result<FeedbackStage, PipelineError> {
    let target = written.get_choice("target").map(|choice| match choice {
        "scores" => Target::Scores,
        "order" => Target::Order,
        _ => Target::Both,
    });
    let unused = match target {
        Some(Target::Scores) => Some("order-"),
        Some(Target::Order) => Some("score-"),
        _ => None,
    };
    let given = written.given();
    let unused = unused.and_then(|prefix| given.iter().find(|(key, _)| key.starts_with(prefix)));
    if let Some((key, _)) = unused {
        let problem = format!("`{key}` has no effect with this target; leave it out, or write target=both");
        return Err(wrong(&stage.to_string(), problem));
    }
    let options = FeedbackOptions {
        scores: (written.count("score-steps"), written.number("score-rate")),
        order: (written.count("order-steps"), written.number("order-rate")),
    };
    Ok(FeedbackStage { target, options, search: dense_search(stage, written)?, filter })
}

/// Whether a stage, or one of its inputs, leaves documents out by a filter.
pub(super) fn filters(stage: &syntax::Stage) -> bool {
    stage.option("filter").is_some() || stage.inputs.iter().flat_map(|input| &input.stages).any(filters)
}

/// The options that say how scores are learned from.
const OF_SCORES: [&str; 2] = ["score-steps", "score-rate"];

/// Why a stage cannot learn from the scores that it asks for: the reranker before it is declared to have none. `None` where it can, and
/// where what is written of either is wrong in another way. Whether a method that has scores for few candidates alone gave some, the
/// trace says later.
pub(crate) fn lacks_scores(stage: &syntax::Stage, reranker: &syntax::Stage) -> Option<String> {
    let remedy = match stage.option("target") {
        Some("scores" | "both") => "write target=order, or leave the target out".to_string(),
        Some(_) => return None,
        // Without a target it learns from the order alone then.
        None => {
            let unused = OF_SCORES.into_iter().find(|name| stage.option(name).is_some())?;
            format!("leave `{unused}` out, which has no effect")
        }
    };
    let (method, options) = reranking_method(reranker).ok()?;
    (!(method.gives_scores)(&options))
        .then(|| format!("`{}` before it gives an order without scores; {remedy}", reranker.name))
}

/// Searches again for the queries that were reranked; those that failed stay failed.
pub(super) fn again(
    stage: &FeedbackStage,
    collection: &dyn Collection,
    queries: &[Query],
    reranked: Answers,
    depth: usize,
) -> Answers {
    let asked: Vec<(&Query, &Ranking)> = queries
        .iter()
        .zip(&reranked)
        .filter_map(|(query, answer)| answer.as_ref().ok().map(|ranking| (query, ranking)))
        .collect();
    let mut found = collection.search_again(stage, &asked, depth).into_iter();
    let mut one = |(query, answer): (&Query, Result<Ranking, QueryError>)| {
        let before = answer?.trace;
        let result = found.next().unwrap_or_else(|| Err("no ranking came back".into()));
        let failed = |source| QueryError::Search { query: query.id.clone(), source };
        let mut ranking = result.map_err(failed)?;
        ranking.keep_best(depth);
        ranking.trace.facts.push((format!("depth:{FEEDBACK}"), depth.to_string()));
        ranking.trace = before.then(ranking.trace);
        Ok(ranking)
    };
    queries.iter().zip(reranked).map(&mut one).collect()
}

/// Whether the scores of the last reranker are its own. Where a method has none, they count places, and the trace says so.
fn has_scores(trace: &Trace) -> bool {
    let is_depth = |name: &str| name.starts_with("depth:");
    // The last depth is that of the last reranker; its own facts stand between that and the depth of the stage before.
    let up_to_it = trace.facts.iter().rev().skip_while(|(name, _)| !is_depth(name)).skip(1);
    !up_to_it.take_while(|(name, _)| !is_depth(name)).any(|(name, value)| name == "scores" && value == PLACES)
}

impl FeedbackStage {
    /// What the vector is drawn to, scores and order, after a reranker with this account.
    fn targets(&self, trace: &Trace) -> Result<(bool, bool), BoxError> {
        let scored = has_scores(trace);
        match self.target {
            None => Ok((scored, true)),
            Some(Target::Order) => Ok((false, true)),
            Some(_) if !scored => {
                Err("feedback: the reranker before it gives an order without scores; write target=order"
                    .into())
            }
            Some(target) => Ok((true, target == Target::Both)),
        }
    }

    /// Moves a query's vector. `known` are the scores and vectors of the reranked passages that have a vector, best first.
    pub(super) fn moved(
        &self,
        query: &[f32],
        known: &[(f64, Vec<f32>)],
        reranked: &Ranking,
    ) -> Result<Moved, BoxError> {
        let (by_scores, by_order) = self.targets(&reranked.trace)?;
        let passages: Vec<&[f32]> = known.iter().map(|(_, vector)| vector.as_slice()).collect();
        let scores: Vec<f64> = known.iter().map(|(score, _)| *score).collect();
        let order = Permutation::identity(known.len());
        let target = FeedbackTarget {
            scores: by_scores.then_some(scores.as_slice()),
            order: by_order.then_some(&order),
        };
        let (count, all) = (known.len(), reranked.entries.len());
        if count < 2 {
            let learned = format!("{count} of {all}; fewer than two teach nothing");
            let facts = vec![(format!("{FEEDBACK}:passages"), learned)];
            return Ok(Moved { query: query.to_vec(), facts });
        }
        let found = relevance_feedback(query, &passages, target, &self.options)?;
        let learned = match all - count {
            0 => count.to_string(),
            without => format!("{count} of {all}; {without} have no vector"),
        };
        let mut facts = vec![("passages", learned)];
        let course = |[before, after]: [f64; 2], (steps, rate): (usize, f64)| {
            format!("{before:.6}, after {steps} steps of {rate} {after:.6}")
        };
        if let Some(divergence) = found.divergence {
            facts.push(("scaler", format!("{:.6}", found.scaler)));
            facts.push(("divergence", course(divergence, self.options.scores)));
        }
        if let Some(loss) = found.ranking_loss {
            facts.push(("ranking-loss", course(loss, self.options.order)));
        }
        let gap = |(new, old): (&f32, &f32)| (f64::from(*new) - f64::from(*old)).powi(2);
        let distance = found.query.iter().zip(query).map(gap).sum::<f64>().sqrt();
        facts.push(("moved", format!("{distance:.6}")));
        let facts = facts.into_iter().map(|(name, value)| (format!("{FEEDBACK}:{name}"), value)).collect();
        Ok(Moved { query: found.query, facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(target: Option<Target>) -> FeedbackStage {
        let options = FeedbackOptions { scores: (1, 0.25), order: (1, 0.25) };
        FeedbackStage { target, options, search: DenseSearch::default(), filter: None }
    }

    /// Two passages that a reranker without scores put in this order, behind a reranker with scores.
    fn reranked(own_scores: bool) -> Ranking {
        let mut facts = vec![("depth:dense".to_string(), "2".to_string())];
        if !own_scores {
            facts.push(("scores".into(), PLACES.into()));
        }
        facts.push(("depth:first".into(), "2".into()));
        let trace = Trace { facts, ..Trace::default() };
        Ranking::from_scores("q", [("a".to_string(), 2.0), ("b".to_string(), 1.0)], trace)
    }

    fn known() -> Vec<(f64, Vec<f32>)> {
        vec![(2.0, vec![0.0, 1.0]), (1.0, vec![1.0, 0.0])]
    }

    fn fact<'a>(moved: &'a Moved, name: &str) -> Option<&'a str> {
        moved.facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_first_step_to_an_order_is_the_rate_in_every_direction() {
        // Products 1 and 0 where b is nearest, wanted the other way round: ln(1 + e) / 3. One step of Adam is the rate
        // against the sign of the slope: (1 − ¼, 0 + ¼), at a distance of √2 / 4, with a loss of ln(1 + e^½) / 3.
        let moved = stage(None).moved(&[1.0, 0.0], &known(), &reranked(false)).unwrap();
        assert!((moved.query[0] - 0.75).abs() < 1e-6 && (moved.query[1] - 0.25).abs() < 1e-6);
        assert_eq!(fact(&moved, "feedback:ranking-loss"), Some("0.437754, after 1 steps of 0.25 0.324692"));
        assert_eq!(fact(&moved, "feedback:moved"), Some("0.353553"));
        assert_eq!((fact(&moved, "feedback:passages"), fact(&moved, "feedback:scaler")), (Some("2"), None));
    }

    #[test]
    fn declared_defaults_are_those_of_the_method() {
        let parsed: syntax::Pipeline = "dense >> first >> feedback".parse().unwrap();
        let stage = &parsed.stages[2];
        let written = super::super::specs::read(FEEDBACK, OPTIONS, stage).unwrap();
        assert_eq!(settings(stage, &written, None).unwrap().options, FeedbackOptions::default());
    }

    #[test]
    fn scores_are_learned_from_where_the_reranker_has_some() {
        // Scores 2 and 1, products 0 and 1: the scaler is 1, half of which the products are multiplied by.
        let moved = stage(None).moved(&[1.0, 0.0], &known(), &reranked(true)).unwrap();
        assert_eq!(fact(&moved, "feedback:scaler"), Some("1.000000"));
        assert!(
            fact(&moved, "feedback:divergence").is_some() && fact(&moved, "feedback:ranking-loss").is_some()
        );
        let only = stage(Some(Target::Scores)).moved(&[1.0, 0.0], &known(), &reranked(true)).unwrap();
        assert!(fact(&only, "feedback:ranking-loss").is_none());
        let refused = stage(Some(Target::Both)).moved(&[1.0, 0.0], &known(), &reranked(false));
        assert!(refused.err().unwrap().to_string().contains("write target=order"));
    }

    #[test]
    fn passages_without_a_vector_are_counted_and_one_teaches_nothing() {
        let one = stage(None).moved(&[1.0, 0.0], &known()[..1], &reranked(false)).unwrap();
        assert_eq!(one.query, [1.0, 0.0]);
        assert_eq!(fact(&one, "feedback:passages"), Some("1 of 2; fewer than two teach nothing"));
        let none = stage(None).moved(&[1.0, 0.0], &[], &reranked(true)).unwrap();
        assert_eq!(none.query, [1.0, 0.0]);
    }
}
