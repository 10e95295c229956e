//! How much two runs order alike, query by query.

use crate::correlation::{kendall_tau_b, rank_biased_overlap};
use crate::judging::ranked;
use crate::numbers::mean;
use crate::policy::Policy;
use plackett_core::{Run, RunQuery};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::HashMap;

/// Agreement of two runs, averaged over the queries that both have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Queries in both runs.
    pub queries: usize,
    /// Mean extrapolated rank-biased overlap with persistence [`Agreement::PERSISTENCE`].
    pub rbo: f64,
    /// Mean Kendall τ-b of the scores of documents that both return; `None` where no query has two such documents with
    /// different scores.
    pub tau_b: Option<f64>,
    /// Queries in the mean of τ-b.
    pub tau_queries: usize,
    /// Mean number of documents that both return.
    pub common_documents: f64,
}

impl Agreement {
    /// The persistence of the overlap: the first ten ranks hold about 86 % of its weight.
    pub const PERSISTENCE: f64 = 0.9;

    /// Compares the lists of two runs, ordered by the policy's tie rule; `None` without a common query.
    pub fn of(a: &Run, b: &Run, policy: &Policy) -> Option<Agreement> {
        let pairs: Vec<(&RunQuery, &RunQuery)> =
            a.queries().iter().filter_map(|query| Some((query, b.query(query.id())?))).collect();
        let each: Vec<(f64, Option<f64>, usize)> =
            pairs.par_iter().map(|(a, b)| of_query(a, b, policy)).collect();
        if each.is_empty() {
            return None;
        }
        let overlaps: Vec<f64> = each.iter().map(|query| query.0).collect();
        let taus: Vec<f64> = each.iter().filter_map(|query| query.1).collect();
        let common: Vec<f64> = each.iter().map(|query| query.2 as f64).collect();
        Some(Agreement {
            queries: each.len(),
            rbo: mean(&overlaps),
            tau_b: (!taus.is_empty()).then(|| mean(&taus)),
            tau_queries: taus.len(),
            common_documents: mean(&common),
        })
    }
}

fn of_query(a: &RunQuery, b: &RunQuery, policy: &Policy) -> (f64, Option<f64>, usize) {
    let (first, second) = (ranked(a, policy), ranked(b, policy));
    // Lists are free of duplicates and the persistence is a constant, so this cannot fail.
    let overlap =
        rank_biased_overlap(&first, &second, Agreement::PERSISTENCE).map_or(0.0, |o| o.extrapolated);
    let scores: HashMap<&str, f64> = b.iter().collect();
    let common: Vec<(f64, f64)> = a.iter().filter_map(|(id, x)| Some((x, *scores.get(id)?))).collect();
    let (x, y): (Vec<f64>, Vec<f64>) =
        common.iter().copied().filter(|(x, y)| !x.is_nan() && !y.is_nan()).unzip();
    (overlap, kendall_tau_b(&x, &y).ok(), common.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lists: &[(&str, &[(&str, f64)])]) -> Run {
        let mut run = Run::new("r");
        for (query, documents) in lists {
            for (document, score) in *documents {
                run.query_mut(query).push(document, *score).unwrap();
            }
        }
        run
    }

    #[test]
    fn by_hand() {
        let a = run(&[("1", &[("x", 3.0), ("y", 2.0), ("z", 1.0)]), ("2", &[("x", 1.0)])]);
        let same = Agreement::of(&a, &a, &Policy::default()).unwrap();
        assert!((same.rbo - 1.0).abs() < 1e-12);
        assert_eq!(
            (same.queries, same.tau_b, same.tau_queries, same.common_documents),
            (2, Some(1.0), 1, 2.0)
        );
        let b = run(&[("1", &[("z", 3.0), ("y", 2.0), ("x", 1.0)])]);
        assert_eq!(Agreement::of(&a, &b, &Policy::default()).unwrap().tau_b, Some(-1.0));
        assert_eq!(Agreement::of(&a, &Run::new("none"), &Policy::default()), None);
    }
}
