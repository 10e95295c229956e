//! Full ranking: all candidates in one prompt of a model with a long context (Liu et al., Sliding Windows Are Not the End:
//! Exploring Full Ranking with Long-Context Large Language Models, 2025). Everything but the size of the window is shared
//! with sliding windows; passages are cut further where the prompt is longer than the context.

use super::answers::{MAX_TOKENS, MIN_TOKENS, MODE, need};
use super::generation::{CONSISTENCY, Listwise, SHUFFLES, calls};
use super::plan::{DEPTH, PASSES, SCHEDULE, SEED, STRIDE, TOP, WINDOW};
use crate::method::{Calls, Family, MethodSpec, OptionSpec};
use crate::prompt::{PROMPT, STYLE, TOKENS, WORDS, builtin_prompt};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "full-rank",
    aliases: &["fullrank"],
    family: Family::Listwise,
    gives_scores: |_| false,
    paper: "Liu et al., Sliding Windows Are Not the End: Exploring Full Ranking with Long-Context Large Language Models, 2025",
    summary: "Writes the labels of all passages, or of the top ones, in one answer to one prompt that shows the whole list.",
    needs: |options| vec![need(options)],
    options: &[
        OptionSpec { default: Some("full"), ..SCHEDULE },
        WINDOW,
        STRIDE,
        PASSES,
        DEPTH,
        TOP,
        MODE,
        MAX_TOKENS,
        MIN_TOKENS,
        SHUFFLES,
        CONSISTENCY,
        SEED,
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
    ],
    calls: Calls { formula: "shuffles × passes; with schedule=sliding as listwise", count: Some(calls) },
    prompts: &[
        builtin_prompt!("full-rank", ["example"]),
        builtin_prompt!("full-rank-plain", ["example"]),
        builtin_prompt!("full-rank-turns", ["example"]),
    ],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = Listwise::new(template, &build.options)?;
        build.prompting(method)
    },
};
