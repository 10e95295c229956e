//! Methods that stand in for one that failed, where the caller has named them.

use crate::ranker::{RankError, Ranker};
use plackett_core::{Document, RankRequest, Ranking, Status, TieReport, Trace};
use std::sync::Arc;

/// A method, and others that are tried in turn for requests that it cannot rank. Their rankings say so.
pub struct Fallback {
    first: Arc<dyn Ranker>,
    others: Vec<(String, Arc<dyn Ranker>)>,
}

impl Fallback {
    /// `others` with their names as the caller wrote them.
    pub fn new(first: Arc<dyn Ranker>, others: Vec<(String, Arc<dyn Ranker>)>) -> Fallback {
        Fallback { first, others }
    }
}

impl Ranker for Fallback {
    fn name(&self) -> &str {
        self.first.name()
    }

    fn asks_prompts(&self) -> bool {
        self.first.asks_prompts() || self.others.iter().any(|(_, ranker)| ranker.asks_prompts())
    }

    fn knows_vectors(&self) -> bool {
        self.first.knows_vectors()
    }

    fn know_vector(&self, document: &Document, vector: Vec<f32>) {
        self.first.know_vector(document, vector);
    }

    /// A request that no method can rank has the error of the first.
    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let mut results = self.first.rank(requests);
        for (name, ranker) in &self.others {
            let failed: Vec<usize> = (0..results.len()).filter(|n| results[*n].is_err()).collect();
            if failed.is_empty() {
                break;
            }
            let again: Vec<RankRequest> = failed.iter().map(|n| requests[*n].clone()).collect();
            for (n, ranking) in failed.into_iter().zip(ranker.rank(&again)) {
                let (Ok(mut ranking), Err(error)) = (ranking, &results[n]) else { continue };
                ranking.trace.status = Status::Fallback(name.clone());
                ranking.trace.facts.push(("fallback-because".into(), error.to_string()));
                results[n] = Ok(ranking);
            }
        }
        results
    }
}

/// Leaves candidates in the order in which they came. Only a fall-back: asked for by itself it would do nothing.
pub struct InputOrder;

impl InputOrder {
    /// The name behind `--fallback`.
    pub const NAME: &str = "input-order";
}

impl Ranker for InputOrder {
    fn name(&self) -> &str {
        InputOrder::NAME
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let one = |request: &RankRequest| {
            if let Some(error) = crate::batch::check(request) {
                return Err(error);
            }
            let count = request.candidates.len();
            let entries =
                request.candidates.iter().enumerate().map(|(place, candidate)| plackett_core::Ranked {
                    id: candidate.document.id.clone(),
                    score: (count - place) as f64,
                    rank: place + 1,
                });
            let ties = TieReport { broken_by: TieReport::INPUT.into(), ..TieReport::default() };
            let facts = vec![("scores".to_string(), crate::PLACES.to_string())];
            let trace = Trace { ties, facts, ..Trace::default() };
            Ok(Ranking { query_id: request.query.id.clone(), entries: entries.collect(), trace })
        };
        requests.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::tests::{ids, request};

    /// Fails on queries with a certain word.
    struct Fails(&'static str);

    impl Ranker for Fails {
        fn name(&self) -> &str {
            "fails"
        }
        fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
            let one = |request: &RankRequest| {
                if request.query.text.contains(self.0) {
                    let problem = format!("no {}", self.0);
                    return Err(RankError::Request { query: request.query.id.clone(), problem });
                }
                let scored = request.candidates.iter().map(|c| (c.document.id.clone(), 1.0));
                Ok(Ranking::from_scores(request.query.id.clone(), scored, Trace::default()))
            };
            requests.iter().map(one).collect()
        }
    }

    #[test]
    fn the_first_that_can_rank_it_does_and_says_so() {
        let others: Vec<(String, Arc<dyn Ranker>)> =
            vec![("b".into(), Arc::new(Fails("b"))), (InputOrder::NAME.into(), Arc::new(InputOrder))];
        let ranker = Fallback::new(Arc::new(Fails("a")), others);
        let requests = ["x", "a", "a b"].map(|query| request(query, &["one", "two"]));
        let results: Vec<Ranking> = ranker.rank(&requests).into_iter().map(Result::unwrap).collect();
        let statuses: Vec<Status> = results.iter().map(|ranking| ranking.trace.status.clone()).collect();
        let fallback = |name: &str| Status::Fallback(name.into());
        assert_eq!(statuses, [Status::Ranked, fallback("b"), fallback("input-order")]);
        assert_eq!(ids(&results[2]), ["d0", "d1"]);
        assert!(
            results[2]
                .trace
                .facts
                .iter()
                .any(|(name, why)| name == "fallback-because" && why.contains("no a"))
        );
    }

    #[test]
    fn what_none_can_rank_has_the_first_error() {
        let ranker = Fallback::new(Arc::new(Fails("a")), vec![("b".into(), Arc::new(Fails("b")))]);
        let error = ranker.rank(&[request("a b", &["one"])]).remove(0).unwrap_err().to_string();
        assert!(error.contains("no a"), "{error}");
    }
}
