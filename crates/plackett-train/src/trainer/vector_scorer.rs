//! Small scorers over vectors that are there already: features of candidates, or embeddings of queries and documents.

use super::{StepLoss, Task, weighted_sum};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::{Initializer, Mode};
use crate::objective::{Batch, Lists, Term, flat_lists};
use crate::tape::{Parameter, ParameterId, Parameters, Tape, Var};
use plackett_kernel::Activation;
use std::ops::Range;
use std::sync::Arc;

/// A scorer of candidates that are vectors.
#[derive(Clone, Debug)]
pub enum VectorScorer {
    /// w · x + b over features.
    Linear {
        /// 1 × features.
        weight: ParameterId,
    },
    /// One hidden layer with ReLU over features.
    Hidden {
        /// Hidden × features.
        first: ParameterId,
        /// 1 × hidden.
        bias: ParameterId,
        /// 1 × hidden.
        second: ParameterId,
    },
    /// (q + W q) · d over embeddings of a query and of documents.
    QueryProjection {
        /// Dimension × dimension.
        weight: ParameterId,
        /// Without it W q · d, which knows nothing at the start.
        is_residual: bool,
    },
}

impl VectorScorer {
    /// A linear scorer of features that begins with 0.
    pub fn linear(parameters: &mut Parameters, features: usize) -> VectorScorer {
        VectorScorer::Linear { weight: parameters.add("scorer.weight", (1, features), vec![0.0; features]) }
    }

    /// A scorer of features with a hidden layer.
    pub fn hidden(parameters: &mut Parameters, features: usize, hidden: usize, seed: u64) -> VectorScorer {
        let mut drawn = Initializer::new(seed);
        let bound = |inputs: usize| (1.0 / inputs.max(1) as f32).sqrt();
        let first = drawn.uniform(hidden * features, bound(features));
        let second = drawn.uniform(hidden, bound(hidden));
        VectorScorer::Hidden {
            first: parameters.add("scorer.0.weight", (hidden, features), first),
            bias: parameters.add("scorer.0.bias", (1, hidden), vec![0.0; hidden]),
            second: parameters.add("scorer.2.weight", (1, hidden), second),
        }
    }

    /// A projection of queries that begins as the identity, or, drawn from a seed, as no order at all.
    pub fn query_projection(
        parameters: &mut Parameters,
        dimension: usize,
        drawn: Option<u64>,
    ) -> VectorScorer {
        let weight = match drawn {
            None => vec![0.0; dimension * dimension],
            Some(seed) => {
                Initializer::new(seed).normal(dimension * dimension, (1.0 / dimension.max(1) as f32).sqrt())
            }
        };
        let weight = parameters.add("projection.weight", (dimension, dimension), weight);
        VectorScorer::QueryProjection { weight, is_residual: drawn.is_none() }
    }

    /// The scores of the candidates of some lists, n × 1.
    pub fn scores(&self, tape: &Tape, lists: &[&VectorList]) -> Var {
        let candidates = |list: &VectorList| {
            let columns = list.columns();
            tape.constant((list.labels.len(), columns), &list.candidates)
        };
        let score = |list: &&VectorList| {
            let x = candidates(list);
            match self {
                VectorScorer::Linear { weight } => tape.linear(&x, &tape.parameter(*weight), None, None),
                VectorScorer::Hidden { first, bias, second } => {
                    let bias = tape.parameter(*bias);
                    let hidden = tape.linear(&x, &tape.parameter(*first), Some(&bias), None);
                    tape.linear(
                        &tape.activation(&hidden, Activation::Relu),
                        &tape.parameter(*second),
                        None,
                        None,
                    )
                }
                VectorScorer::QueryProjection { weight, is_residual } => {
                    let query = tape.constant((1, list.query.len()), &list.query);
                    let residual = is_residual.then_some(&query);
                    let projected = tape.linear(&query, &tape.parameter(*weight), None, residual);
                    tape.linear(&x, &projected, None, None)
                }
            }
        };
        let scores: Vec<Var> = lists.iter().map(score).collect();
        tape.stack(&scores.iter().collect::<Vec<_>>())
    }

    /// A query's vector after the projection; as it is of other scorers.
    pub fn project(&self, parameters: &Parameters, query: &[f32]) -> Vec<f32> {
        let VectorScorer::QueryProjection { weight, is_residual } = self else { return query.to_vec() };
        let weight: &Parameter = &parameters[*weight];
        let row = |row: &[f32]| row.iter().zip(query).map(|(w, x)| w * x).sum::<f32>();
        let mut out: Vec<f32> = weight.value.chunks(query.len().max(1)).map(row).collect();
        if *is_residual {
            out.iter_mut().zip(query).for_each(|(out, x)| *out += x);
        }
        out
    }
}

/// A query with candidates that are vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorList {
    /// For messages.
    pub name: String,
    /// The query's vector; empty where features know the query.
    pub query: Vec<f32>,
    /// Candidates × dimension.
    pub candidates: Vec<f32>,
    /// A grade for each candidate.
    pub labels: Vec<f32>,
}

impl VectorList {
    fn columns(&self) -> usize {
        self.candidates.len() / self.labels.len().max(1)
    }
}

/// Lists by which a [`VectorScorer`] learns.
pub struct VectorTask<'l> {
    /// What is trained.
    pub scorer: VectorScorer,
    /// None of them is empty.
    pub lists: &'l [VectorList],
    /// What is minimised, over scores that are divided by the temperature.
    pub objective: Vec<Term>,
    /// Cosines need one far below 1.
    pub temperature: f32,
}

impl Task for VectorTask<'_> {
    fn count(&self) -> usize {
        self.lists.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("`{}`", self.lists[example].name)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], _mode: Mode) -> Result<StepLoss, TrainError> {
        let lists: Vec<&VectorList> = examples.iter().map(|at| &self.lists[*at]).collect();
        let scored = self.scored(tape, &lists);
        weighted_sum(tape, &self.objective, &Batch::Lists(scored.lists()), scored.labels.len())
    }
}

/// Lists with their scores.
struct Scored {
    scores: Var,
    ranges: Vec<Range<usize>>,
    labels: Vec<f32>,
}

impl Scored {
    fn lists(&self) -> Lists<'_> {
        Lists::new(&self.scores, &self.ranges, &self.labels)
    }
}

impl VectorTask<'_> {
    fn scored(&self, tape: &Tape, lists: &[&VectorList]) -> Scored {
        let scores = tape.scale(&self.scorer.scores(tape, lists), 1.0 / self.temperature);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for list in lists {
            let start = ranges.last().map_or(0, |range| range.end);
            ranges.push(start..start + list.labels.len());
        }
        let labels = lists.iter().flat_map(|list| list.labels.iter().copied()).collect();
        Scored { scores, ranges, labels }
    }

    /// The share of the lists from which a policy gradient has nothing to learn, among those for which it draws orders ([`flat_lists`]); 0 where none
    /// are counted.
    ///
    /// # Errors
    /// Labels without a meaning for the objective.
    pub fn flat_share(
        &self,
        parameters: &Parameters,
        compute: &Arc<crate::Compute>,
    ) -> Result<f64, TrainError> {
        let (mut flat, mut drawn) = (0, 0);
        for list in self.lists {
            let tape = Tape::inference(parameters, compute);
            let scored = self.scored(&tape, &[list]);
            let found = flat_lists(&tape, &self.objective, &scored.lists());
            let (own_flat, own_drawn) = found.map_err(|error| TrainError::Model(error.to_string()))?;
            (flat, drawn) = (flat + own_flat, drawn + own_drawn);
        }
        Ok(flat as f64 / drawn.max(1) as f64)
    }
}

/// The scores of lists, without gradients.
pub fn score_lists(
    scorer: &VectorScorer,
    parameters: &Parameters,
    compute: &Arc<crate::Compute>,
    lists: &[VectorList],
) -> Vec<Vec<f32>> {
    let score = |list: &VectorList| {
        let tape = Tape::inference(parameters, compute);
        scorer.scores(&tape, &[list]).value.to_vec()
    };
    lists.iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compute;
    use crate::objective::parse_sum;
    use crate::trainer::{Settings, train};

    /// Relevant candidates have the first feature, others the second.
    fn lists() -> Vec<VectorList> {
        let list = |n: usize| VectorList {
            name: n.to_string(),
            query: vec![1.0, 0.0],
            candidates: vec![0.2, 0.9, 0.9, 0.1, 0.1, 0.8, 0.0, 0.7 + n as f32 / 100.0],
            labels: vec![0.0, 1.0, 0.0, 0.0],
        };
        (0..8).map(list).collect()
    }

    #[test]
    fn every_scorer_learns_by_policy_gradient_to_put_the_relevant_first() {
        let compute = Compute::new(1);
        for kind in ["linear", "hidden", "projection"] {
            let mut parameters = Parameters::default();
            let scorer = match kind {
                "linear" => VectorScorer::linear(&mut parameters, 2),
                "hidden" => VectorScorer::hidden(&mut parameters, 2, 4, 1),
                _ => VectorScorer::query_projection(&mut parameters, 2, Some(3)),
            };
            let lists = lists();
            let objective = parse_sum("pg-rank(samples=16, k=1)").unwrap();
            let task = VectorTask { scorer: scorer.clone(), lists: &lists, objective, temperature: 0.5 };
            let settings =
                Settings { batch: 4, steps: 150, rate: 0.05, checkpoint: 0, ..Settings::default() };
            let report =
                train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
            assert!(report.final_loss() < -0.9, "{kind}: {}", report.final_loss());
            for scores in score_lists(&scorer, &parameters, &compute, &lists) {
                let best = (0..4).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
                assert_eq!(best, Some(1), "{kind}: {scores:?}");
            }
        }
    }

    #[test]
    fn a_fresh_projection_changes_nothing_and_scores_are_dot_products() {
        let mut parameters = Parameters::default();
        let scorer = VectorScorer::query_projection(&mut parameters, 2, None);
        assert_eq!(scorer.project(&parameters, &[0.3, -2.0]), [0.3, -2.0]);
        let scores = score_lists(&scorer, &parameters, &Compute::new(1), &lists()[..1]);
        assert_eq!(scores, [[0.2, 0.9, 0.1, 0.0]]);
    }
}
