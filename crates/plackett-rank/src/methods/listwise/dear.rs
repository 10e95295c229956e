//! DeAR, second stage: listwise reranking of the head of a list with a reasoning in steps (Abdallah et al., DeAR: Dual-Stage
//! Document Reranking with Reasoning Agents via LLM Distillation, 2025). The first stage is any pointwise scorer before it in
//! the pipeline.

use super::plan::{DEPTH, PASSES, PIVOT, SCHEDULE, SEED, STRIDE, TOP, TOURNAMENTS, WINDOW};
use super::reason_rank::REASONED_CALLS;
use super::reasoned::{MAX_TOKENS, MIN_TOKENS, MODE, Reasoned, TEMPERATURE, TOP_P, calls, needs};
use crate::method::{Calls, Family, MethodSpec, OptionSpec};
use crate::prompt::{PROMPT, STYLE, TOKENS, WORDS, builtin_prompt};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "dear",
    aliases: &["dear-listwise"],
    family: Family::Listwise,
    gives_scores: |_| false,
    paper: "Abdallah et al., DeAR: Dual-Stage Document Reranking with Reasoning Agents via LLM Distillation, 2025",
    summary: "Names the needs behind the query, finds the passages for each, and writes their order; only the first 30 \
              candidates are read.",
    needs,
    options: &[
        SCHEDULE,
        WINDOW,
        STRIDE,
        PASSES,
        OptionSpec { default: Some("30"), ..DEPTH },
        TOP,
        PIVOT,
        TOURNAMENTS,
        MODE,
        OptionSpec { default: Some("1024"), ..MAX_TOKENS },
        MIN_TOKENS,
        OptionSpec { default: Some("0.5"), ..TEMPERATURE },
        OptionSpec { default: Some("0.9"), ..TOP_P },
        SEED,
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
    ],
    calls: Calls { formula: REASONED_CALLS, count: Some(calls) },
    prompts: &[builtin_prompt!("dear", ["example"]), builtin_prompt!("dear-brief", ["example"])],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = Reasoned::new(template, &build.options, false)?;
        build.prompting(method)
    },
};
