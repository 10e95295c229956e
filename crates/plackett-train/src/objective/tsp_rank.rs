//! TSPRank: scores of ordered pairs whose best path is the order.

use super::error::{DIVERGED, check_finite, check_length};
use super::{Batch, Group, Input, Loss, Objective, ObjectiveSpec, Problem};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};
use plackett_core::tsp::{SuccessorScores, TspOptions, solve};

/// TSPRank's local loss.
pub const LOCAL: ObjectiveSpec = ObjectiveSpec {
    name: "tsprank-local",
    aliases: &["tsp-local"],
    group: Group::Listwise,
    summary: "Makes the right successor of each item the likeliest in its row of pair scores.",
    formula: "−(1/n) Σ_i w_j ln softmax_j(A_i), j the item right after i; the last item has none",
    source: "Li and others, TSPRank: Bridging Pairwise and Listwise Methods, 2024 (local learning; weights there by rank)",
    takes: &[Input::PairScores, Input::Ranks],
    options: &[
        OptionSpec {
            name: "weights",
            kind: OptionKind::Choice(&["one", "rank", "logarithmic"]),
            default: Some("one"),
            help: "w of a successor: 1, its rank, which stresses the tail, or 1/log2(1 + rank)",
        },
        OptionSpec {
            name: "diagonal",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "lets an item be its own successor in the softmax, as the published training does",
        },
    ],
    build: |options| {
        let (kind, diagonal) = (options.choice("weights"), options.switch("diagonal"));
        Ok(on_groups(move |tape, group| {
            let count = group.order.len();
            let row = |i: usize| (0..count).filter(move |j| diagonal || *j != i).map(move |j| (i, j));
            let arcs = || group.order.windows(2).map(|arc| (arc[0], arc[1]));
            let rows: Vec<(usize, usize)> = arcs().flat_map(|(i, _)| row(i)).collect();
            let width = count - usize::from(!diagonal);
            let logs = tape.log_softmax(&group.gather(tape, &rows, (count - 1, width)));
            let place = |(at, arc): (usize, (usize, usize))| {
                at * width + row(arc.0).position(|other| other == arc).unwrap_or_default()
            };
            let places: Vec<usize> = arcs().enumerate().map(place).collect();
            // The successor of the item at rank r has the rank r + 1.
            let weight = |rank: usize| match kind {
                "rank" => rank as f32,
                "logarithmic" => 1.0 / (1.0 + rank as f32).log2(),
                _ => 1.0,
            };
            let weights: Vec<f32> = (2..=count).map(|rank| -weight(rank) / count as f32).collect();
            let logs = tape.gather(&logs, &places, (count - 1, 1));
            tape.sum(&tape.times(&logs, &tape.constant((count - 1, 1), &weights)))
        }))
    },
};

/// TSPRank's global loss.
pub const MAX_MARGIN: ObjectiveSpec = ObjectiveSpec {
    name: "tsprank-max-margin",
    aliases: &["tsp-max-margin", "tsprank-global"],
    group: Group::Listwise,
    summary: "Makes the path of the right order better than any other by the number of arcs in which they differ.",
    formula: "(max over paths x of ⟨x, A + 1 − x*⟩ − ⟨x*, A⟩) / n, x* the right path; the gradient is (x − x*) / n",
    source: "Li and others, TSPRank: Bridging Pairwise and Listwise Methods, 2024 (global learning)",
    takes: &[Input::PairScores, Input::Ranks],
    options: &[],
    build: |_| {
        Ok(on_groups(|tape, group| {
            let count = group.order.len();
            let right: Vec<(usize, usize)> = group.order.windows(2).map(|arc| (arc[0], arc[1])).collect();
            let found = group.best_arcs(&right);
            let wrong = found.iter().filter(|arc| !right.contains(arc)).count();
            let sum = |arcs: &[(usize, usize)]| tape.sum(&group.gather(tape, arcs, (arcs.len(), 1)));
            let margin = tape.shift(&tape.minus(&sum(&found), &sum(&right)), wrong as f32);
            tape.scale(&margin, 1.0 / count as f32)
        }))
    },
};

/// The pair scores of one group of at least two items.
struct ItemGroup<'a> {
    scores: &'a Var,
    /// Where its matrix begins.
    start: usize,
    /// Its items by rank.
    order: Vec<usize>,
    search: TspOptions,
}

impl ItemGroup<'_> {
    fn gather(&self, tape: &Tape, arcs: &[(usize, usize)], shape: (usize, usize)) -> Var {
        let places: Vec<usize> = arcs.iter().map(|(i, j)| self.start + i * self.order.len() + j).collect();
        tape.gather(self.scores, &places, shape)
    }

    /// The arcs of the best path where each arc that is not right gets 1 more. Long paths are searched and not
    /// proven: where the right one is better it is taken, so that the loss is never negative.
    fn best_arcs(&self, right: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let count = self.order.len();
        let matrix = &self.scores.value[self.start..][..count * count];
        let mut raised: Vec<f64> = matrix.iter().map(|score| f64::from(*score) + 1.0).collect();
        right.iter().for_each(|(i, j)| raised[i * count + j] -= 1.0);
        // Scores are checked to be finite, and there are count² of them.
        let Ok(scores) = SuccessorScores::new(count, raised) else { return right.to_vec() };
        let path = solve(&scores, &self.search);
        if path.value <= scores.value(&self.order) {
            return right.to_vec();
        }
        path.order.items().windows(2).map(|arc| (arc[0], arc[1])).collect()
    }
}

/// An objective that is the mean over groups; a group of one item has no pairs.
fn on_groups(loss: impl Fn(&Tape, &ItemGroup) -> Var + Send + Sync + 'static) -> Box<dyn Objective> {
    Box::new(move |tape: &Tape, batch: &Batch| {
        let Batch::PairScores(batch) = batch else {
            return Err(Problem::Batch { expected: "scores of ordered pairs", given: batch.name() });
        };
        check_length(
            "pair scores",
            batch.scores.value.len(),
            "pairs",
            batch.sizes.iter().map(|n| n * n).sum(),
        )?;
        check_length("ranks", batch.ranks.len(), "items", batch.sizes.iter().sum())?;
        let (mut start, mut first, mut units) = (0, 0, Vec::new());
        for (index, count) in batch.sizes.iter().copied().enumerate() {
            if count == 0 {
                return Err(Problem::Empty { what: "group", at: index });
            }
            let matrix = &batch.scores.value[start..][..count * count];
            check_finite("pair score", matrix, ("group", index), DIVERGED)?;
            let order = order_of(&batch.ranks[first..first + count], index)?;
            let search = batch.search.copied().unwrap_or_default();
            let group = ItemGroup { scores: batch.scores, start, order, search };
            units.push((1.0, (count > 1).then(|| loss(tape, &group))));
            (start, first) = (start + count * count, first + count);
        }
        Ok(Loss::mean(tape, &units))
    })
}

/// Items by their ranks, which are 1 … n.
fn order_of(ranks: &[usize], group: usize) -> Result<Vec<usize>, Problem> {
    let count = ranks.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|item| ranks[*item]);
    match order.iter().enumerate().all(|(place, item)| ranks[*item] == place + 1) {
        true => Ok(order),
        false => Err(Problem::Ranks { group, ranks: ranks.to_vec(), count }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, on_tape};
    use super::super::{ObjectiveError, PairScores, parse};
    use super::*;
    use crate::tape::assert_gradients;
    use proptest::prelude::*;

    fn batch<'a>(scores: &'a Var, sizes: &'a [usize], ranks: &'a [usize]) -> Batch<'a> {
        Batch::PairScores(PairScores { scores, sizes, ranks, search: None })
    }

    fn loss_of(
        text: &str,
        scores: &[f32],
        sizes: &[usize],
        ranks: &[usize],
    ) -> Result<(f32, usize, usize), ObjectiveError> {
        on_tape(|tape| {
            let scores = tape.constant((scores.len(), 1), scores);
            let loss = parse(text).unwrap().loss(tape, &batch(&scores, sizes, ranks))?;
            Ok((loss.value.item(), loss.used, loss.skipped))
        })
    }

    // Three items, right order 0, 1, 2. Paths (sum, wrong arcs): 012: 1 + 0.5; 021: 2 + 0 + 2; 102: −1 + 2 + 2;
    // 120: 0.5 + 0 + 1; 201: 0 + 1 + 1; 210: 0 − 1 + 2.
    const SCORES: [f32; 9] = [9.0, 1.0, 2.0, -1.0, 9.0, 0.5, 0.0, 0.0, 9.0];

    #[test]
    fn local_by_hand() {
        let value = |text: &str| loss_of(text, &SCORES, &[3], &[1, 2, 3]).unwrap().0;
        // Row 0 without its diagonal: 1 against 2: ln(1 + e¹) = 1.313262; row 1: 0.5 against −1: ln(1 + e⁻¹·⁵) =
        // 0.201413.
        assert_close("local", value("tsprank-local"), (1.313262 + 0.201413) / 3.0);
        assert_close("rank", value("tsprank-local(weights=rank)"), (2.0 * 1.313262 + 3.0 * 0.201413) / 3.0);
        // 1/log2(3) and 1/log2(4).
        assert_close(
            "log",
            value("tsprank-local(weights=logarithmic)"),
            (0.630930 * 1.313262 + 0.5 * 0.201413) / 3.0,
        );
        // With the diagonal of 9: ln(1 + e¹ + e⁸) = 8.001247 and ln(1 + e⁻¹·⁵ + e⁸·⁵) = 8.500249.
        assert_close("diagonal", value("tsprank-local(diagonal=true)"), (8.001247 + 8.500249) / 3.0);
    }

    #[test]
    fn max_margin_by_hand() {
        // The best raised path is 021 with 4: (4 − 1.5) / 3.
        let scores = [&SCORES[..], &[7.0]].concat();
        let (value, used, skipped) = loss_of("tsprank-max-margin", &scores, &[3, 1], &[1, 2, 3, 1]).unwrap();
        assert_close("max margin", value, 2.5 / 3.0);
        assert_eq!((used, skipped), (1, 1));
    }

    #[test]
    fn right_arcs_far_ahead_cost_nothing() {
        // A = 10 Y for the order 2, 0, 3, 1.
        let mut scores = [0.0; 16];
        [(2, 0), (0, 3), (3, 1)].iter().for_each(|(i, j)| scores[i * 4 + j] = 10.0);
        for text in ["tsprank-local", "tsprank-max-margin"] {
            let value = loss_of(text, &scores, &[4], &[2, 4, 1, 3]).unwrap().0;
            assert!((0.0..1e-3).contains(&value), "{text}: {value}");
        }
    }

    #[test]
    fn gradients_are_differences() {
        // The best paths are more than 0.3 ahead of all others, so that no step changes them.
        let scores: Vec<f32> =
            (0..25).map(|at| at as f32).map(|at| (2.0 * at + 0.3 * at * at).sin()).collect();
        for text in ["tsprank-local", "tsprank-local(diagonal=true, weights=rank)", "tsprank-max-margin"] {
            assert_gradients(&[((25, 1), scores.clone())], |tape, inputs| {
                parse(text)
                    .unwrap()
                    .loss(tape, &batch(&inputs[0], &[4, 3], &[3, 1, 4, 2, 2, 3, 1]))
                    .unwrap()
                    .value
            });
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let message = |sizes: &[usize], ranks: &[usize]| {
            loss_of("tsprank-local", &SCORES, sizes, ranks).unwrap_err().to_string()
        };
        assert!(
            message(&[3], &[1, 1, 3]).contains("ranks of group 0 are [1, 1, 3]; give each of 1..=3 once")
        );
        assert!(message(&[2], &[1, 2]).contains("9 pair scores for 4 pairs"));
        assert!(message(&[3, 0], &[1, 2, 3]).contains("group 1 is empty"));
        assert!(message(&[3], &[1, 2]).contains("2 ranks for 3 items"));
        let nan =
            loss_of("tsprank-local", &[0.0, f32::NAN, 0.0, 0.0], &[2], &[1, 2]).unwrap_err().to_string();
        assert!(nan.contains("pair score 1 of group 0 is NaN"), "{nan}");
    }

    proptest! {
        #[test]
        fn losses_are_not_negative_and_know_no_order_of_items(
            scores in proptest::collection::vec(-3.0f32..3.0, 25),
            order in Just([0usize, 1, 2, 3, 4]).prop_shuffle(),
        ) {
            let ranks = [2, 5, 1, 4, 3];
            let mut moved = vec![0.0; 25];
            for i in 0..5 {
                for j in 0..5 {
                    moved[i * 5 + j] = scores[order[i] * 5 + order[j]];
                }
            }
            let moved_ranks = order.map(|item| ranks[item]);
            for text in ["tsprank-local", "tsprank-max-margin"] {
                let value = loss_of(text, &scores, &[5], &ranks).unwrap().0;
                prop_assert!(value >= 0.0);
                let other = loss_of(text, &moved, &[5], &moved_ranks).unwrap().0;
                prop_assert!((value - other).abs() < 1e-4, "{text}: {value} and {other}");
            }
        }
    }
}
