//! PRP-Sliding-K: bubble passes from the bottom up.

use super::comparator::{Comparator, Judge};
use super::{INPUT, MARGIN, MAX_TOKENS, MODE, PAPER, PROMPTS, SEED, account, needs, places};
use crate::method::{Calls, Family, MethodSpec, OptionKind, OptionSpec};
use crate::model::CallError;
use crate::prompt::{PROMPT, STYLE, TOKENS, WORDS};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::sorting::SlidingPasses;

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "prp-sliding",
    aliases: &["prp"],
    family: Family::Pairwise,
    gives_scores: |_| false,
    paper: PAPER,
    summary: "Passes from the last candidate to the first and exchanges neighbours when the lower one wins in both orders of \
              the prompt; each pass settles one place.",
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
            name: "passes",
            kind: OptionKind::Integer(1, 10_000),
            default: Some("10"),
            help: "how many passes, each of which settles one place",
        },
        OptionSpec {
            name: "k",
            kind: OptionKind::Integer(1, 10_000),
            default: None,
            help: "how many places are taken from the passes, the others following in the order in which they came; without \
                   it as many as there are passes",
        },
        INPUT,
        SEED,
    ],
    // Pairs that meet again in a later pass are not asked again.
    calls: Calls { formula: "at most K (2 N − K − 1) in K passes", count: None },
    prompts: PROMPTS,
    build: |build| {
        let judge = Judge::new(&build)?;
        let passes = build.options.get_count("passes").unwrap_or_default();
        let top = build.options.get_count("k").unwrap_or(passes);
        if top < passes {
            let problem = format!(
                "k is {top} and passes {passes}: the passes beyond k would change nothing; use passes={top}"
            );
            return Err(build.options.problem(problem).into());
        }
        build.prompting(Sliding { judge, passes, top })
    },
};

struct Sliding {
    judge: Judge,
    passes: usize,
    top: usize,
}

impl PromptMethod for Sliding {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let mut comparator = Comparator::new(&self.judge, context);
        let mut sort = SlidingPasses::new(context.len(), self.passes, true);
        comparator.settle(context, &mut sort)?;
        account(context, sort.counts());
        Ok(places(&comparator, &sort.order(self.top)))
    }
}
