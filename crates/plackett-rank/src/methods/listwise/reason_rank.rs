//! ReasonRank: a reasoning about query and passages, then their order (Liu et al., ReasonRank: Empowering Passage Ranking with
//! Strong Reasoning Ability, 2025).

use super::plan::{DEPTH, PASSES, PIVOT, SCHEDULE, SEED, STRIDE, TOP, TOURNAMENTS, WINDOW};
use super::reasoned::{MAX_TOKENS, MIN_TOKENS, MODE, Reasoned, TEMPERATURE, TOP_P, calls, needs};
use crate::method::{Calls, Family, MethodSpec};
use crate::prompt::{PROMPT, STYLE, TOKENS, WORDS, builtin_prompt};

/// The declaration. With mode=free an answer without `<answer>` leaves its window as it was and is counted: digits of a
/// reasoning are no ranking.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "reason-rank",
    aliases: &["reasonrank"],
    family: Family::Listwise,
    gives_scores: |_| false,
    paper: "Liu et al., ReasonRank: Empowering Passage Ranking with Strong Reasoning Ability, 2025",
    summary: "Reasons about the query and a window's passages between tags, then writes their order, and slides the window from \
              the tail of the list to its head.",
    needs,
    options: &[
        SCHEDULE,
        WINDOW,
        STRIDE,
        PASSES,
        DEPTH,
        TOP,
        PIVOT,
        TOURNAMENTS,
        MODE,
        MAX_TOKENS,
        MIN_TOKENS,
        TEMPERATURE,
        TOP_P,
        SEED,
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
    ],
    calls: Calls { formula: REASONED_CALLS, count: Some(calls) },
    prompts: &[
        builtin_prompt!("reason-rank", ["example"]),
        builtin_prompt!("reason-rank-native", ["example"]),
    ],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = Reasoned::new(template, &build.options, true)?;
        build.prompting(method)
    },
};

/// That of `listwise` with what a reasoning adds.
pub(super) const REASONED_CALLS: &str = "windows with mode=free, 2 × windows constrained (reasoning, then order); windows as \
                                         those of listwise";
