//! Setwise ranking: which of several passages is the most relevant (Zhuang et al., A Setwise Approach for Effective and
//! Highly Efficient Zero-shot Ranking with Large Language Models, 2024; Zhuang et al., Rank-R1, 2025).
//!
//! [`chooser`] asks sets and finds the winner of each; the sorts are those of `plackett_core::sorting`.

mod chooser;
pub(crate) mod rank_r1;
#[cfg(test)]
mod tests;
pub(crate) mod zero_shot;

use crate::method::{OptionError, OptionKind, OptionSpec, OptionValues};
use crate::model::CallError;
use crate::prompting::{Order, RankContext};
use chooser::{Chooser, Choosing};
use plackett_core::ask_tell::AskTell;
use plackett_core::permutation::Permutation;
use plackett_core::sorting::{Set, SetCounts, SetwiseBubblesort, SetwiseHeapsort};

const SORT: OptionSpec = OptionSpec {
    name: "sort",
    kind: OptionKind::Choice(&["heapsort", "bubblesort"]),
    default: Some("heapsort"),
    help: "how the best k are found: by a heap, or by passes from the last candidate to the first",
};

const TOP: OptionSpec = OptionSpec {
    name: "k",
    kind: OptionKind::Integer(1, 10_000),
    default: Some("10"),
    help: "how many are sorted out; the others follow in the order in which they came",
};

const VOTES: OptionSpec = OptionSpec {
    name: "votes",
    kind: OptionKind::Integer(1, 1000),
    default: Some("1"),
    help: "how often each set is asked, each time in another order; the passage with most votes wins",
};

const SEED: OptionSpec = OptionSpec {
    name: "seed",
    kind: OptionKind::Integer(0, i64::MAX),
    default: Some("0"),
    help: "seed of shuffled sets and of draws between passages with equal votes",
};

/// The sort and its size.
#[derive(Clone, Copy, Debug)]
struct Sorting {
    bubble: bool,
    children: usize,
    top: usize,
}

impl Sorting {
    fn new(options: &OptionValues) -> Sorting {
        Sorting {
            bubble: options.get_choice("sort") == Some("bubblesort"),
            children: options.get_count("children").unwrap_or(1),
            top: options.get_count("k").unwrap_or_default(),
        }
    }

    /// Sorts the candidates of a request.
    fn rank(self, context: &mut RankContext<'_>, chooser: &Chooser) -> Result<Order, CallError> {
        Ok(Order::Places(self.places(context, chooser)?))
    }

    /// The candidates of a request, best first.
    fn places(self, context: &mut RankContext<'_>, chooser: &Chooser) -> Result<Vec<usize>, CallError> {
        let mut choosing = Choosing::new(chooser, context);
        let count = context.len();
        let (order, counts): (Permutation, SetCounts) = if self.bubble {
            let mut sort = SetwiseBubblesort::new(count, self.top, self.children);
            settle(context, &mut choosing, &mut sort)?;
            (sort.order(), sort.counts())
        } else {
            let mut sort = SetwiseHeapsort::new(count, self.top, self.children);
            settle(context, &mut choosing, &mut sort)?;
            (sort.order(), sort.counts())
        };
        context.count("comparisons", counts.asked as u64);
        context.count("undecided", counts.unusable as u64);
        Ok(order.items().to_vec())
    }
}

fn settle<S>(
    context: &mut RankContext<'_>,
    choosing: &mut Choosing<'_>,
    sort: &mut S,
) -> Result<(), CallError>
where
    S: AskTell<Question = Set, Answer = Option<usize>>,
{
    while !sort.is_finished() {
        let winners = choosing.winners(context, sort.ask())?;
        sort.tell(winners).map_err(|error| CallError::Argument(error.to_string()))?;
    }
    Ok(())
}

/// How sets are shown.
#[derive(Clone, Copy, Debug)]
struct Showing {
    /// Whether the first order is a shuffled one too.
    shuffle: bool,
    votes: usize,
    seed: u64,
}

impl Showing {
    fn new(options: &OptionValues) -> Result<Showing, OptionError> {
        let (shuffle, votes) = (options.switch("shuffle"), options.get_count("votes").unwrap_or(1));
        if !shuffle && votes == 1 && options.is_given("seed") {
            return Err(options.problem("seed has no effect without shuffle=true or votes; leave it out"));
        }
        Ok(Showing { shuffle, votes, seed: options.get_integer("seed").unwrap_or_default().unsigned_abs() })
    }

    /// Orders in which a set is shown, from places in them to places in the set. They depend on the query and the number of
    /// the comparison, not on what else is ranked.
    fn orders(self, context: &RankContext<'_>, items: usize, comparison: u64) -> Vec<Permutation> {
        let mut orders =
            plackett_core::aggregation::shuffles(items, self.votes + 1, self.draw(context, comparison));
        // The first of them is the set's own.
        let from = usize::from(self.shuffle);
        orders.drain(from..from + self.votes).collect()
    }

    /// A seed of one comparison.
    fn draw(self, context: &RankContext<'_>, comparison: u64) -> u64 {
        context.seed(self.seed.wrapping_add(comparison.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}
