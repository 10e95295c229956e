//! Pairwise ranking prompting: which of two passages is more relevant, asked in both orders (Qin et al., Large Language
//! Models are Effective Text Rankers with Pairwise Ranking Prompting, 2024).
//!
//! [`comparator`] asks pairs and makes verdicts of the answers; the sorts are those of `plackett_core::sorting`.
//! [`aggregate`] makes an order of all comparisons.

mod aggregate;
pub(crate) mod allpair;
mod comparator;
pub(crate) mod heapsort;
pub(crate) mod sliding;
mod successor_path;
#[cfg(test)]
mod tests;
pub(crate) mod tsprank;

use crate::method::{OptionError, OptionKind, OptionSpec, OptionValues};
use crate::model::Need;
use crate::prompt::{BuiltinPrompt, builtin_prompt};
use crate::prompting::{Order, RankContext};
use comparator::Comparator;
use plackett_core::permutation::Permutation;
use plackett_core::sorting::PairCounts;

const PAPER: &str =
    "Qin et al., Large Language Models are Effective Text Rankers with Pairwise Ranking Prompting, 2024";

const PROMPTS: &[BuiltinPrompt] = &[builtin_prompt!("prp"), builtin_prompt!("prp-chat")];

const MODE: OptionSpec = OptionSpec {
    name: "mode",
    kind: OptionKind::Choice(&["scoring", "generation"]),
    default: Some("scoring"),
    help: "whether the logits of the two labels decide, or the text that the model writes",
};

const MARGIN: OptionSpec = OptionSpec {
    name: "margin",
    kind: OptionKind::Switch,
    default: Some("false"),
    help: "with mode=scoring: the sign of the difference between both orders' margins decides, so that answers that \
           contradict each other are no tie (an extension of the paper)",
};

const MAX_TOKENS: OptionSpec = OptionSpec {
    name: "max-tokens",
    kind: OptionKind::Integer(1, 4096),
    default: Some("8"),
    help: "with mode=generation: most tokens of an answer",
};

const INPUT: OptionSpec = OptionSpec {
    name: "input",
    kind: OptionKind::Choice(&["given", "inverted", "shuffled"]),
    default: Some("given"),
    help: "the order in which candidates enter, for studies of robustness; ties and the rest keep that order",
};

const SEED: OptionSpec = OptionSpec {
    name: "seed",
    kind: OptionKind::Integer(0, i64::MAX),
    default: Some("0"),
    help: "with input=shuffled: seed of the shuffle",
};

/// What the comparisons of a method ask of a model.
fn needs(options: &OptionValues) -> Vec<Need> {
    vec![if options.get_choice("mode") == Some("generation") { Need::Generation } else { Need::LabelLogits }]
}

/// The order in which candidates enter a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Given,
    Inverted,
    Shuffled(u64),
}

impl Input {
    fn new(options: &OptionValues) -> Result<Input, OptionError> {
        let seed = options.get_integer("seed").unwrap_or_default().unsigned_abs();
        match options.get_choice("input") {
            Some("shuffled") => Ok(Input::Shuffled(seed)),
            _ if options.is_given("seed") => {
                Err(options.problem("seed has no effect without input=shuffled; leave it out"))
            }
            Some("inverted") => Ok(Input::Inverted),
            _ => Ok(Input::Given),
        }
    }

    /// Positions of the candidates in the order in which they enter.
    fn start(self, context: &RankContext<'_>) -> Vec<usize> {
        let count = context.len();
        match self {
            Input::Given => (0..count).collect(),
            Input::Inverted => (0..count).rev().collect(),
            Input::Shuffled(seed) => {
                // The first of the orders is the initial one.
                let mut orders = plackett_core::aggregation::shuffles(count, 2, context.seed(seed));
                orders.pop().map_or_else(Vec::new, |order| order.items().to_vec())
            }
        }
    }
}

/// The order of a sort as positions of candidates.
fn places(comparator: &Comparator<'_>, order: &Permutation) -> Order {
    Order::Places(order.items().iter().map(|&item| comparator.candidate(item)).collect())
}

/// Says what a sort has cost.
fn account(context: &mut RankContext<'_>, counts: PairCounts) {
    context.count("comparisons", counts.comparisons as u64);
    context.count("pairs", counts.asked as u64);
    context.count("ties", counts.ties as u64);
}
