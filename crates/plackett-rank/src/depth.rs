//! Reranking of the first candidates only.

use crate::ranker::{RankError, Ranker};
use plackett_core::{Document, RankRequest, Ranked, Ranking, next_score_below};
use std::sync::Arc;

/// A method that reranks the first so many candidates of a request. The others follow behind them, in the order in which
/// they came.
pub struct Depth {
    ranker: Arc<dyn Ranker>,
    depth: usize,
}

impl Depth {
    /// A method and how many candidates it gets.
    pub fn new(ranker: Arc<dyn Ranker>, depth: usize) -> Depth {
        Depth { ranker, depth }
    }

    fn append(&self, mut ranking: Ranking, request: &RankRequest) -> Ranking {
        let count = request.candidates.len();
        if count <= self.depth {
            return ranking;
        }
        let mut score = ranking.entries.last().map_or(0.0, |entry| entry.score);
        for candidate in &request.candidates[self.depth..] {
            score = next_score_below(score);
            let rank = ranking.entries.len() + 1;
            ranking.entries.push(Ranked { id: candidate.document.id.clone(), score, rank });
        }
        let fact = format!("{} of {count}; the others follow in the order in which they came", self.depth);
        ranking.trace.facts.push(("depth:reranked".into(), fact));
        ranking
    }
}

impl Ranker for Depth {
    fn name(&self) -> &str {
        self.ranker.name()
    }

    fn asks_prompts(&self) -> bool {
        self.ranker.asks_prompts()
    }

    fn knows_vectors(&self) -> bool {
        self.ranker.knows_vectors()
    }

    fn know_vector(&self, document: &Document, vector: Vec<f32>) {
        self.ranker.know_vector(document, vector);
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let first = |request: &RankRequest| RankRequest {
            query: request.query.clone(),
            candidates: request.candidates.iter().take(self.depth).cloned().collect(),
        };
        let cut: Vec<RankRequest> = requests.iter().map(first).collect();
        let whole = |(request, result): (&RankRequest, Result<Ranking, RankError>)| {
            // What is wrong behind the depth is wrong all the same.
            match crate::batch::check(request) {
                Some(error) => Err(error),
                None => result.map(|ranking| self.append(ranking, request)),
            }
        };
        requests.iter().zip(self.ranker.rank(&cut)).map(whole).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::tests::{ids, request};
    use crate::testing::ScriptedModel;
    use crate::{MethodSpec, Settings};

    #[test]
    fn the_rest_follows_in_its_order_with_lower_scores() {
        let model = Arc::new(ScriptedModel::new().likelihoods(|text, _| Ok(text.len() as f64)));
        let method = MethodSpec::find("query-likelihood").unwrap();
        let ranker = method.ranker(model.clone(), method.defaults(), Settings::default()).unwrap();
        let ranker = Depth::new(ranker, 2);
        let all = request("q", &["a", "bbb", "cccccc", "d"]);
        let ranking = ranker.rank(std::slice::from_ref(&all)).remove(0).unwrap();
        assert_eq!(ids(&ranking), ["d1", "d0", "d2", "d3"]);
        assert_eq!(model.prompts(), 2);
        let scores: Vec<f32> = ranking.entries.iter().map(|entry| entry.score as f32).collect();
        assert!(scores.windows(2).all(|pair| pair[0] > pair[1]), "{scores:?}");
        assert_eq!(ranking.entries.iter().map(|entry| entry.rank).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(
            ranking
                .trace
                .facts
                .iter()
                .any(|(name, fact)| name == "depth:reranked" && fact.starts_with("2 of 4"))
        );
        let mut twice = all;
        twice.candidates[3].document.id = "d2".into();
        assert!(ranker.rank(&[twice]).remove(0).is_err());
    }
}
