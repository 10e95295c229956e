//! Setwise as first described: one label of a few, read from logits or from what is written.

use super::chooser::{Chooser, Mode};
use super::{SEED, SORT, Showing, Sorting, TOP, VOTES};
use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::{CallError, Need};
use crate::prompt::{PROMPT, STYLE, TOKENS, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "setwise",
    aliases: &[],
    family: Family::Setwise,
    gives_scores: |_| false,
    paper: "Zhuang et al., A Setwise Approach for Effective and Highly Efficient Zero-shot Ranking with Large Language Models, \
            2024",
    summary: "Sorts out the best k by asking which of a few passages is the most relevant.",
    needs: |options| {
        vec![if options.get_choice("mode") == Some("generation") {
            Need::Generation
        } else {
            Need::LabelLogits
        }]
    },
    options: &[
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
        SORT,
        TOP,
        OptionSpec {
            name: "children",
            kind: OptionKind::Integer(1, 25),
            default: Some("3"),
            help: "how many passages stand in a prompt beside the one whose place they want",
        },
        OptionSpec {
            name: "mode",
            kind: OptionKind::Choice(&["likelihood", "generation"]),
            default: Some("likelihood"),
            help: "whether the logits of the labels decide, or the text that the model writes",
        },
        OptionSpec {
            name: "max-tokens",
            kind: OptionKind::Integer(1, 4096),
            default: Some("8"),
            help: "with mode=generation: most tokens of an answer",
        },
        OptionSpec {
            name: "shuffle",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "whether passages of a set are shown in a random order, not with the one whose place they want first",
        },
        VOTES,
        SEED,
    ],
    calls: Calls {
        formula: "votes × comparisons: at most Σ ⌈(N − 1 − i) / c⌉ over the k passes of a bubblesort with c children, about \
                  N / (c − 1) + k log N / log c for a heapsort",
        count: None,
    },
    prompts: &[builtin_prompt!("setwise"), builtin_prompt!("setwise-chat")],
    build: |build| {
        let options = &build.options;
        let sorting = Sorting::new(options);
        let (mode, showing) = (mode(options)?, Showing::new(options)?);
        let template = build.template()?.with(options);
        let chooser = Chooser::new(template, sorting.children + 1, mode, showing)?;
        build.prompting(Setwise { chooser, sorting })
    },
};

fn mode(options: &OptionValues) -> Result<Mode, MethodError> {
    if options.get_choice("mode") == Some("generation") {
        let max_tokens = options.get_count("max-tokens").unwrap_or(1);
        return Ok(Mode::Generation { max_tokens, tagged: false, again: false });
    }
    if options.is_given("max-tokens") {
        let problem =
            "max-tokens has no effect with mode=likelihood, which reads the next token only; leave it out";
        return Err(options.problem(problem).into());
    }
    Ok(Mode::Likelihood)
}

struct Setwise {
    chooser: Chooser,
    sorting: Sorting,
}

impl PromptMethod for Setwise {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        self.sorting.rank(context, &self.chooser)
    }
}
