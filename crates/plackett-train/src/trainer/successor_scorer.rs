//! Scorers of groups of vectors that are to be ordered: TSPRank's score of "j comes right after i" for every ordered pair, and, on
//! the same embedding, one number an item, as a reference.

use super::{Hooks, StepLoss, Task, weighted_sum};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::{Initializer, Mode};
use crate::objective::{Batch, Lists, PairScores, Term};
use crate::tape::{Compute, ParameterId, Parameters, Tape, Var};
use plackett_core::tsp::{SuccessorScores, TspError};
use plackett_kernel::Activation;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What an item's vector becomes before it is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedding {
    /// It stays as it is.
    None,
    /// A linear map to so many numbers.
    Linear(usize),
    /// One hidden layer with ReLU, then a linear map: hidden units and numbers.
    Hidden(usize, usize),
}

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupHead {
    /// Every ordered pair: A(i, j) = e_i · W e_j. A constant is left out: all paths have n − 1 arcs, so it would change nothing. One W
    /// serves both sides of the diagonal, so that the order in which items are given does not matter (the published code has two).
    Successor,
    /// Every item.
    Item,
}

/// What the drawn weights of pairs are multiplied with: a score is of the second order in an embedding, and one that is great before anything is
/// learned keeps what is learned from other groups from showing.
const BEGINNING: f32 = 0.005;

/// A linear map: outputs × inputs, and a bias.
type Layer = (ParameterId, ParameterId);

/// A scorer of groups.
#[derive(Clone, Debug)]
pub struct GroupScorer {
    layers: Vec<Layer>,
    head: GroupHead,
    weight: ParameterId,
}

impl GroupScorer {
    /// A scorer of vectors of so many numbers, whose weights (Xavier, evenly) follow from a seed.
    ///
    /// # Errors
    /// A width of 0.
    pub fn new(
        parameters: &mut Parameters,
        inputs: usize,
        embedding: Embedding,
        head: GroupHead,
        seed: u64,
    ) -> Result<GroupScorer, TrainError> {
        let widths = match embedding {
            Embedding::None => vec![inputs],
            Embedding::Linear(width) => vec![inputs, width],
            Embedding::Hidden(hidden, width) => vec![inputs, hidden, width],
        };
        if widths.contains(&0) {
            return Err(TrainError::Setting(
                "a scorer of groups needs a width of 1 at least everywhere".into(),
            ));
        }
        let mut drawn = Initializer::new(seed);
        let mut xavier = |rows: usize, columns: usize| {
            drawn.uniform(rows * columns, (6.0 / (rows + columns) as f32).sqrt())
        };
        let mut layers = Vec::new();
        for (at, pair) in widths.windows(2).enumerate() {
            let weight = xavier(pair[1], pair[0]);
            layers.push((
                parameters.add(format!("embedding.{at}.weight"), (pair[1], pair[0]), weight),
                parameters.add(format!("embedding.{at}.bias"), (1, pair[1]), vec![0.0; pair[1]]),
            ));
        }
        let width = widths.last().copied().unwrap_or(inputs);
        let weight = match head {
            GroupHead::Successor => {
                let weight = xavier(width, width).into_iter().map(|x| BEGINNING * x).collect();
                parameters.add("successor.weight", (width, width), weight)
            }
            GroupHead::Item => {
                let weight = xavier(1, width);
                parameters.add("classifier.weight", (1, width), weight)
            }
        };
        Ok(GroupScorer { layers, head, weight })
    }

    /// What is scored.
    pub fn head(&self) -> GroupHead {
        self.head
    }

    fn embed(&self, tape: &Tape, items: &Var, mode: Mode) -> Var {
        let mut x = items.clone();
        for (at, (weight, bias)) in self.layers.iter().enumerate() {
            if at > 0 {
                x = tape.activation(&x, Activation::Relu);
                if mode.dropout > 0.0 {
                    x = tape.dropout(&x, mode.dropout, mode.key);
                }
            }
            x = tape.linear(&x, &tape.parameter(*weight), Some(&tape.parameter(*bias)), None);
        }
        x
    }

    /// The scores of some groups, one group after another, as one column: the matrix of each, row by row, or one number an item.
    pub fn scores(&self, tape: &Tape, groups: &[&ItemGroup], mode: Mode) -> Var {
        let (items, rows) = (items_of(tape, groups), rows_of(groups));
        let embedded = self.embed(tape, &items, mode);
        let weight = tape.parameter(self.weight);
        let scored = tape.linear(&embedded, &weight, None, None);
        match self.head {
            GroupHead::Item => scored,
            GroupHead::Successor => {
                let matrix = |rows: &Range<usize>| {
                    let own: Vec<usize> = rows.clone().collect();
                    let (first, second) =
                        (tape.select_rows(&scored, &own), tape.select_rows(&embedded, &own));
                    let matrix = tape.linear(&first, &second, None, None);
                    tape.reshape(&matrix, (own.len() * own.len(), 1))
                };
                let matrices: Vec<Var> = rows.iter().map(matrix).collect();
                tape.stack(&matrices.iter().collect::<Vec<_>>())
            }
        }
    }

    /// The scores of one group without gradients.
    fn values(&self, parameters: &Parameters, compute: &Arc<Compute>, group: &ItemGroup) -> Vec<f64> {
        let tape = Tape::inference(parameters, compute);
        let scores = self.scores(&tape, &[group], Mode::default());
        scores.value.iter().map(|score| f64::from(*score)).collect()
    }

    /// The matrix of successor scores of a group, for the decoders of `plackett_core::tsp`.
    ///
    /// # Errors
    /// A score that is no number, or a scorer of items.
    pub fn successor_scores(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
        group: &ItemGroup,
    ) -> Result<SuccessorScores, TspError> {
        SuccessorScores::new(group.ranks.len(), self.values(parameters, compute, group))
    }

    /// One score for each item of a group; of a scorer of pairs the row sums of its matrix.
    pub fn item_scores(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
        group: &ItemGroup,
    ) -> Vec<f64> {
        let values = self.values(parameters, compute, group);
        match self.head {
            GroupHead::Item => values,
            GroupHead::Successor => {
                values.chunks(group.ranks.len().max(1)).map(|row| row.iter().sum()).collect()
            }
        }
    }
}

/// A group of items with their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemGroup {
    /// For messages.
    pub name: String,
    /// Items × numbers.
    pub items: Vec<f32>,
    /// The rank of each item, from 1; each rank once.
    pub ranks: Vec<usize>,
}

fn items_of(tape: &Tape, groups: &[&ItemGroup]) -> Var {
    let count: usize = groups.iter().map(|group| group.ranks.len()).sum();
    let all: Vec<f32> = groups.iter().flat_map(|group| group.items.iter().copied()).collect();
    tape.constant((count, all.len() / count.max(1)), &all)
}

fn rows_of(groups: &[&ItemGroup]) -> Vec<Range<usize>> {
    let mut rows: Vec<Range<usize>> = Vec::with_capacity(groups.len());
    for group in groups {
        let start = rows.last().map_or(0, |range| range.end);
        rows.push(start..start + group.ranks.len());
    }
    rows
}

/// Which pass of a training it is, for objectives that take turns from batch to batch. It is the training's hooks, so that a checkpoint has it too.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin(Arc<AtomicUsize>);

impl RoundRobin {
    /// Which one of so many is minimised: the first pass is that of the first.
    fn index(&self, count: usize) -> usize {
        self.0.load(Ordering::Relaxed).saturating_sub(1) % count.max(1)
    }
}

impl Hooks for RoundRobin {
    fn begin_pass(&mut self, _pass: u64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn state(&self) -> Vec<u8> {
        (self.0.load(Ordering::Relaxed) as u64).to_le_bytes().to_vec()
    }

    fn set_state(&mut self, state: &[u8]) -> Result<(), TrainError> {
        let bytes: [u8; 8] = state.try_into().map_err(|_| {
            TrainError::Setting(format!("a checkpoint's turn has {} bytes, and 8 are expected", state.len()))
        })?;
        self.0.store(u64::from_le_bytes(bytes) as usize, Ordering::Relaxed);
        Ok(())
    }
}

/// Groups by which a [`GroupScorer`] learns.
pub struct GroupTask<'g> {
    /// What is trained.
    pub scorer: GroupScorer,
    /// None of them is empty.
    pub groups: &'g [ItemGroup],
    /// What is minimised: one objective, or several that take turns from batch to batch (TSPRank's hybrid training is the local loss and
    /// the global one).
    pub objectives: Vec<Vec<Term>>,
    /// Whose turn it is; give a clone to the trainer as hooks.
    pub turns: RoundRobin,
}

impl Task for GroupTask<'_> {
    fn count(&self) -> usize {
        self.groups.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("`{}`", self.groups[example].name)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let groups: Vec<&ItemGroup> = examples.iter().map(|at| &self.groups[*at]).collect();
        let scores = self.scorer.scores(tape, &groups, mode);
        let ranks: Vec<usize> = groups.iter().flat_map(|group| group.ranks.iter().copied()).collect();
        let none = Vec::new();
        let objective = self.objectives.get(self.turns.index(self.objectives.len())).unwrap_or(&none);
        match self.scorer.head {
            GroupHead::Successor => {
                let sizes: Vec<usize> = groups.iter().map(|group| group.ranks.len()).collect();
                let pairs = PairScores { scores: &scores, sizes: &sizes, ranks: &ranks, search: None };
                weighted_sum(tape, objective, &Batch::PairScores(pairs), ranks.len())
            }
            GroupHead::Item => {
                let labels: Vec<f32> = ranks.iter().map(|rank| -(*rank as f32)).collect();
                let lists = rows_of(&groups);
                let batch = Batch::Lists(Lists::new(&scores, &lists, &labels));
                weighted_sum(tape, objective, &batch, ranks.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::parse_sum;
    use crate::trainer::{Settings, train};
    use plackett_core::tsp::{TspOptions, solve};

    /// Five items that are their own names, in an order that is the same in every group, with different items left out.
    fn groups() -> Vec<ItemGroup> {
        let group = |out: usize| {
            let kept: Vec<usize> = [3, 0, 4, 1, 2].into_iter().filter(|item| *item != out).collect();
            let mut items = vec![0.0; kept.len() * 5];
            kept.iter().enumerate().for_each(|(row, item)| items[row * 5 + item] = 1.0);
            // The order wanted is 0, 1, 2, 3, 4.
            let rank = |item: &usize| kept.iter().filter(|other| *other < item).count() + 1;
            ItemGroup { name: out.to_string(), items, ranks: kept.iter().map(rank).collect() }
        };
        (0..5).map(group).collect()
    }

    fn learned(
        objectives: &[&str],
        head: GroupHead,
        embedding: Embedding,
    ) -> (GroupScorer, Parameters, Vec<f32>) {
        let mut parameters = Parameters::default();
        let scorer = GroupScorer::new(&mut parameters, 5, embedding, head, 1).unwrap();
        let groups = groups();
        let turns = RoundRobin::default();
        let objectives = objectives.iter().map(|text| parse_sum(text).unwrap()).collect();
        let task = GroupTask { scorer: scorer.clone(), groups: &groups, objectives, turns: turns.clone() };
        let settings = Settings { batch: 5, steps: 200, rate: 0.03, checkpoint: 0, ..Settings::default() };
        let mut hooks = turns;
        let report = train(
            &task,
            &Compute::new(1),
            &mut parameters,
            &settings,
            (None, ""),
            Some(&mut hooks),
            &mut |_, _| {},
        )
        .unwrap();
        (scorer, parameters, report.steps.iter().map(|step| step.loss).collect())
    }

    #[test]
    fn a_matrix_is_bilinear_and_knows_no_order_of_items() {
        let mut parameters = Parameters::default();
        let scorer = GroupScorer::new(&mut parameters, 2, Embedding::None, GroupHead::Successor, 1).unwrap();
        parameters[scorer.weight].values_mut().copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        let compute = Compute::new(1);
        let matrix = |items: &[f32]| {
            let group = ItemGroup { items: items.to_vec(), ranks: vec![1, 2], ..ItemGroup::default() };
            scorer.values(&parameters, &compute, &group)
        };
        // With W = (1 2; 3 4) of outputs × inputs: A(i, j) = e_j · W e_i, so that A(0, 1) of the unit vectors is 3.
        assert_eq!(matrix(&[1.0, 0.0, 0.0, 1.0]), [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(matrix(&[0.0, 1.0, 1.0, 0.0]), [4.0, 2.0, 3.0, 1.0]);
    }

    #[test]
    fn every_objective_finds_the_order() {
        let cases: [(&[&str], GroupHead, Embedding); 3] = [
            (&["tsprank-max-margin"], GroupHead::Successor, Embedding::Linear(5)),
            (&["tsprank-local", "tsprank-max-margin"], GroupHead::Successor, Embedding::Hidden(16, 5)),
            (&["ranknet"], GroupHead::Item, Embedding::Hidden(16, 5)),
        ];
        for (objectives, head, embedding) in cases {
            let (scorer, parameters, losses) = learned(objectives, head, embedding);
            assert!(losses[losses.len() - 2..].iter().all(|loss| loss.is_finite()), "{objectives:?}");
            let compute = Compute::new(1);
            for group in groups() {
                let order = match head {
                    GroupHead::Successor => {
                        let scores = scorer.successor_scores(&parameters, &compute, &group).unwrap();
                        solve(&scores, &TspOptions::default()).order
                    }
                    GroupHead::Item => {
                        let scores = scorer.item_scores(&parameters, &compute, &group);
                        plackett_core::permutation::Permutation::by_descending(&scores)
                    }
                };
                let ranks: Vec<usize> = order.items().iter().map(|item| group.ranks[*item]).collect();
                assert_eq!(ranks, [1, 2, 3, 4], "{objectives:?}");
            }
        }
    }

    #[test]
    fn the_local_loss_finds_the_successor_of_each_item() {
        let (scorer, parameters, _) = learned(&["tsprank-local"], GroupHead::Successor, Embedding::None);
        for group in groups() {
            let scores = scorer.values(&parameters, &Compute::new(1), &group);
            let count = group.ranks.len();
            // The row of the last item is not learned, so that the best path may begin elsewhere; each other row is.
            for i in (0..count).filter(|i| group.ranks[*i] < count) {
                let others = (0..count).filter(|j| *j != i);
                let likeliest =
                    others.max_by(|a, b| scores[i * count + a].total_cmp(&scores[i * count + b])).unwrap();
                assert_eq!(group.ranks[likeliest], group.ranks[i] + 1, "{}", group.name);
            }
        }
    }

    #[test]
    fn objectives_take_turns_and_a_checkpoint_knows_whose_it_is() {
        let mut turns = RoundRobin::default();
        assert_eq!(turns.index(2), 0);
        let seen: Vec<usize> = (0..4)
            .map(|pass| {
                turns.begin_pass(pass);
                turns.index(2)
            })
            .collect();
        assert_eq!(seen, [0, 1, 0, 1]);
        let mut resumed = RoundRobin::default();
        resumed.set_state(&turns.state()).unwrap();
        resumed.begin_pass(4);
        assert_eq!(resumed.index(2), 0);
        assert!(resumed.set_state(&[1]).unwrap_err().to_string().contains("1 bytes"));
    }
}
