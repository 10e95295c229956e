//! Scorers of groups of vectors that are to be ordered: TSPRank's score of "j comes right after i" for every ordered pair, and, on
//! the same embedding, one number an item, as a reference.

use super::group_encoder::{GroupEncoder, GroupEncoderShape};
use super::{Hooks, StepLoss, Task, weighted_sum};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::{Initializer, Linear, Mode, WeightSource};
use crate::objective::{Batch, Lists, PairScores, Term};
use crate::tape::{Compute, ParameterId, Parameters, Tape, Var};
use plackett_core::tsp::{SuccessorScores, TspError};
use plackett_kernel::Activation;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What an item's vector becomes before it is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Embedding {
    /// It stays as it is.
    None,
    /// A linear map to so many numbers.
    Linear(usize),
    /// One hidden layer with ReLU, then a linear map: hidden units and numbers.
    Hidden(usize, usize),
}

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupHead {
    /// Every ordered pair: A(i, j) = e_j · W e_i. A constant is left out: all paths have n − 1 arcs, so it would change nothing. One W
    /// serves both sides of the diagonal, so that the order in which items are given does not matter (the published code has two).
    Successor,
    /// Every item.
    Item,
}

/// The shape of a scorer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupShape {
    /// Numbers of an item.
    pub inputs: usize,
    /// What they become.
    pub embedding: Embedding,
    /// The encoder in which the items of a group see each other after that, where there is one.
    pub encoder: Option<GroupEncoderShape>,
    /// What is scored.
    pub head: GroupHead,
}

/// What the drawn weights of pairs are multiplied with: a score is of the second order in an embedding, and one that is great before anything is
/// learned keeps what is learned from other groups from showing.
const BEGINNING: f32 = 0.005;

/// The name of the weights of pairs.
const SUCCESSOR: &str = "successor.weight";

/// Weights before their training: matrices evenly from ±√(6 / (rows + columns)) (Xavier), those of pairs smaller.
struct Drawn(Initializer);

impl WeightSource for Drawn {
    fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
        if name.ends_with("norm.weight") {
            return Ok(vec![1.0; rows * columns]);
        }
        if name.ends_with(".bias") {
            return Ok(vec![0.0; rows * columns]);
        }
        let mut drawn = self.0.uniform(rows * columns, (6.0 / (rows + columns) as f32).sqrt());
        if name == SUCCESSOR {
            drawn.iter_mut().for_each(|x| *x *= BEGINNING);
        }
        Ok(drawn)
    }
}

/// A scorer of groups.
#[derive(Clone, Debug)]
pub struct GroupScorer {
    pub(super) shape: GroupShape,
    layers: Vec<Linear>,
    encoder: Option<GroupEncoder>,
    weight: ParameterId,
}

impl GroupScorer {
    /// A scorer whose weights follow from a seed.
    ///
    /// # Errors
    /// A width of 0, or an encoder that does not fit the width.
    pub fn new(parameters: &mut Parameters, shape: GroupShape, seed: u64) -> Result<GroupScorer, TrainError> {
        GroupScorer::load(parameters, &mut Drawn(Initializer::new(seed)), shape)
    }

    /// A scorer whose weights come from `source`.
    ///
    /// # Errors
    /// As [`GroupScorer::new`]; a weight that the source does not have.
    pub(super) fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        shape: GroupShape,
    ) -> Result<GroupScorer, TrainError> {
        let inputs = shape.inputs;
        let widths = match shape.embedding {
            Embedding::None => vec![inputs],
            Embedding::Linear(width) => vec![inputs, width],
            Embedding::Hidden(hidden, width) => vec![inputs, hidden, width],
        };
        if widths.contains(&0) {
            return Err(TrainError::Setting(
                "a scorer of groups needs a width of 1 at least everywhere".into(),
            ));
        }
        let mut layers = Vec::new();
        for (at, pair) in widths.windows(2).enumerate() {
            let name = format!("embedding.{at}");
            layers.push(Linear::load(parameters, source, &name, (pair[1], pair[0]), true)?);
        }
        let width = widths.last().copied().unwrap_or(inputs);
        let encoder = match shape.encoder {
            Some(encoder) => Some(GroupEncoder::load(parameters, source, encoder, width)?),
            None => None,
        };
        let (name, rows) = match shape.head {
            GroupHead::Successor => (SUCCESSOR, width),
            GroupHead::Item => ("classifier.weight", 1),
        };
        let values = source.take(name, (rows, width))?;
        let weight = parameters.add(name, (rows, width), values);
        Ok(GroupScorer { shape, layers, encoder, weight })
    }

    /// Its shape.
    pub fn shape(&self) -> GroupShape {
        self.shape
    }

    /// What is scored.
    pub fn head(&self) -> GroupHead {
        self.shape.head
    }

    fn embed(&self, tape: &Tape, items: &Var, rows: &[Range<usize>], mode: Mode) -> Var {
        let mut x = items.clone();
        for (at, layer) in self.layers.iter().enumerate() {
            if at > 0 {
                x = tape.activation(&x, Activation::Relu);
                if mode.dropout > 0.0 {
                    let depth = self.encoder.as_ref().map_or(0, GroupEncoder::depth);
                    x = tape.dropout(&x, mode.dropout, mode.place(depth, 0));
                }
            }
            x = layer.forward(tape, &x, None);
        }
        match &self.encoder {
            Some(encoder) => encoder.forward(tape, &x, rows, mode),
            None => x,
        }
    }

    /// The scores of some groups, one group after another, as one column: the matrix of each, row by row, or one number an item.
    pub fn scores(&self, tape: &Tape, groups: &[&ItemGroup], mode: Mode) -> Var {
        let (items, rows) = (items_of(tape, groups), rows_of(groups));
        let embedded = self.embed(tape, &items, &rows, mode);
        let weight = tape.parameter(self.weight);
        let scored = tape.linear(&embedded, &weight, None, None);
        match self.shape.head {
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

    /// The scores of one group without gradients: its matrix row by row, or one number an item.
    pub fn values(&self, parameters: &Parameters, compute: &Arc<Compute>, group: &ItemGroup) -> Vec<f64> {
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
        match self.shape.head {
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
    /// The rank of each item, from 1; each rank once. Where nothing is learned they say only how many items there are.
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
        match self.scorer.shape.head {
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
        encoder: Option<GroupEncoderShape>,
    ) -> (GroupScorer, Parameters, Vec<f32>) {
        let mut parameters = Parameters::default();
        let shape = GroupShape { inputs: 5, embedding, encoder, head };
        let scorer = GroupScorer::new(&mut parameters, shape, 1).unwrap();
        let groups = groups();
        let turns = RoundRobin::default();
        let objectives = objectives.iter().map(|text| parse_sum(text).unwrap()).collect();
        let task = GroupTask { scorer: scorer.clone(), groups: &groups, objectives, turns: turns.clone() };
        // Norms behind each part want smaller steps.
        let rate = if encoder.is_some() { 0.003 } else { 0.03 };
        let settings = Settings { batch: 5, steps: 200, rate, checkpoint: 0, ..Settings::default() };
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
        let (embedding, head) = (Embedding::None, GroupHead::Successor);
        let shape = GroupShape { inputs: 2, embedding, encoder: None, head };
        let scorer = GroupScorer::new(&mut parameters, shape, 1).unwrap();
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
            let (scorer, parameters, losses) = learned(objectives, head, embedding, None);
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
        let (scorer, parameters, _) =
            learned(&["tsprank-local"], GroupHead::Successor, Embedding::None, None);
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
    fn an_encoder_knows_no_order_of_items_and_learns() {
        let encoder = Some(GroupEncoderShape { layers: 2, heads: 2, inner: 8 });
        let (scorer, parameters, losses) =
            learned(&["tsprank-local"], GroupHead::Successor, Embedding::Linear(4), encoder);
        assert!(losses[losses.len() - 1] < losses[0], "{losses:?}");
        let group = groups().swap_remove(0);
        let count = group.ranks.len();
        let order: [usize; 4] = [2, 0, 3, 1];
        let items = order.iter().flat_map(|item| group.items[item * 5..][..5].to_vec()).collect();
        let moved = ItemGroup { items, ..group.clone() };
        let of = |group: &ItemGroup| scorer.values(&parameters, &Compute::new(1), group);
        let (as_given, as_moved) = (of(&group), of(&moved));
        for i in 0..count {
            for j in 0..count {
                let (one, other) = (as_moved[i * count + j], as_given[order[i] * count + order[j]]);
                assert!((one - other).abs() < 1e-4 * (1.0 + one.abs()), "{i} {j}: {one} and {other}");
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
