//! PRP-Allpair: every pair is compared, and all comparisons become one order.

use super::aggregate::{Aggregate, Aggregated, NAMES, check_path};
use super::comparator::{Comparator, Judge};
use super::{INPUT, MARGIN, MAX_TOKENS, MODE, PAPER, PROMPTS, SEED, account, needs, places};
use crate::method::{Calls, Family, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::CallError;
use crate::prompt::{PROMPT, STYLE, TOKENS, WORDS};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::sorting::{AllPairs, top_then_initial};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "prp-allpair",
    aliases: &["pairwise"],
    family: Family::Pairwise,
    gives_scores,
    paper: PAPER,
    summary: "Asks for every pair, in both orders, which passage is more relevant, and ranks by points: 1 for a win, half \
              for a tie.",
    needs,
    options: &[
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
        MODE,
        MARGIN,
        MAX_TOKENS,
        OptionSpec {
            name: "aggregate",
            kind: OptionKind::Choice(NAMES),
            default: Some("copeland"),
            help: "how comparisons become an order: points for wins and ties (copeland, the paper's), sums of preference \
                   (borda, the same without margin), strengths (bradley-terry), greedy order, or best path (tsp)",
        },
        OptionSpec {
            name: "k",
            kind: OptionKind::Integer(1, 10_000),
            default: None,
            help: "how many are ranked; the others follow in the order in which they came; without it all",
        },
        INPUT,
        SEED,
    ],
    calls: Calls { formula: "N (N − 1)", count: Some(|n, _| prompts(n)) },
    prompts: PROMPTS,
    build: |build| {
        let judge = Judge::new(&build)?;
        let aggregate = Aggregate::new(&build.options);
        let top = build.options.get_count("k");
        build.prompting(AllPair { judge, aggregate, top })
    },
};

/// Points and strengths are scores where all candidates are ranked and enter in the order in which they came.
fn gives_scores(options: &OptionValues) -> bool {
    let is_order = matches!(Aggregate::new(options), Aggregate::Greedy | Aggregate::Tsp);
    let enters_otherwise = matches!(options.get_choice("input"), Some("inverted" | "shuffled"));
    !is_order && !enters_otherwise && options.get_count("k").is_none()
}

/// Prompts for all pairs in both orders.
pub(super) fn prompts(candidates: usize) -> u64 {
    let count = candidates as u64;
    count.saturating_mul(count.saturating_sub(1))
}

/// Most candidates of which all pairs are asked: close to a million prompts.
const MOST: usize = 1000;

/// Pairs in one call at most, which bounds memory.
const BATCH: usize = 512;

struct AllPair {
    judge: Judge,
    aggregate: Aggregate,
    top: Option<usize>,
}

/// Asks all pairs of a request.
pub(super) fn compare_all(
    context: &mut RankContext<'_>,
    comparator: &mut Comparator<'_>,
) -> Result<AllPairs, CallError> {
    let count = context.len();
    if count > MOST {
        return Err(CallError::Argument(format!(
            "all pairs of {count} candidates are {} prompts; the most is {MOST} candidates: give fewer, or use prp-sliding",
            prompts(count)
        )));
    }
    let mut all = AllPairs::in_batches(count, BATCH);
    comparator.settle(context, &mut all)?;
    account(context, all.counts());
    Ok(all)
}

impl PromptMethod for AllPair {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        if self.aggregate == Aggregate::Tsp {
            check_path(context.len())?;
        }
        let mut comparator = Comparator::new(&self.judge, context);
        let all = compare_all(context, &mut comparator)?;
        if context.len() < 2 {
            return Ok(Order::Places(vec![0]));
        }
        let found = self.aggregate.of(context, &all, &comparator, self.judge.has_margins())?;
        match (found, self.top) {
            // Scores keep the order of the request among equal ones, so that candidates must have entered in it.
            (Aggregated::Scores(scores), None) if self.judge.keeps_input() => Ok(Order::Scores(scores)),
            (found, top) => {
                let order = found.order();
                let top = top.unwrap_or(order.len()).min(order.len());
                Ok(places(&comparator, &top_then_initial(&order.items()[..top], order.len())))
            }
        }
    }
}
