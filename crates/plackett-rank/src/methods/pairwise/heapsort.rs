//! PRP-Sorting: the best k by heapsort.

use super::comparator::{Comparator, Judge};
use super::{INPUT, MARGIN, MAX_TOKENS, MODE, PAPER, PROMPTS, SEED, account, needs, places};
use crate::method::{Calls, Family, MethodSpec, OptionKind, OptionSpec};
use crate::model::CallError;
use crate::prompt::{PROMPT, STYLE, TOKENS, WORDS};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::sorting::PairwiseHeapsort;

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "prp-heapsort",
    aliases: &["prp-sorting"],
    family: Family::Pairwise,
    gives_scores: |_| false,
    paper: PAPER,
    summary: "Sorts out the best k with a heap whose comparisons ask, in both orders, which of two passages is more relevant.",
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
            name: "k",
            kind: OptionKind::Integer(1, 10_000),
            default: Some("10"),
            help: "how many are sorted out; the others follow in the order in which they came",
        },
        INPUT,
        SEED,
    ],
    calls: Calls { formula: "at most 4 N + 4 k log₂ N", count: None },
    prompts: PROMPTS,
    build: |build| {
        let judge = Judge::new(&build)?;
        let top = build.options.get_count("k").unwrap_or_default();
        build.prompting(Heapsort { judge, top })
    },
};

struct Heapsort {
    judge: Judge,
    top: usize,
}

impl PromptMethod for Heapsort {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let mut comparator = Comparator::new(&self.judge, context);
        let mut sort = PairwiseHeapsort::new(context.len(), self.top);
        comparator.settle(context, &mut sort)?;
        account(context, sort.counts());
        Ok(places(&comparator, &sort.order()))
    }
}
