//! Rank-R1: a model that may reason first and then names the most relevant passage of a large set.

use super::chooser::{Chooser, Mode};
use super::{SEED, SORT, Showing, Sorting, TOP, VOTES};
use crate::method::{Calls, Family, MethodSpec, OptionKind, OptionSpec};
use crate::methods::first_stage;
use crate::model::{CallError, Need};
use crate::prompt::{PROMPT, STYLE, TOKENS, Template, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::fusion::Normalisation;

const DIRECT: &str = "rank-r1-direct";

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "rank-r1",
    aliases: &[],
    family: Family::Setwise,
    gives_scores: |options| options.is_given("fuse"),
    paper: "Zhuang et al., Rank-R1: Enhancing Reasoning in LLM-based Document Rerankers via Reinforcement Learning, 2025",
    summary: "Sorts out the best k by asking which of up to twenty shuffled passages is the most relevant, after written \
              reasoning or without.",
    needs: |options| match options.get_choice("failure") {
        Some("choose") => vec![Need::Generation, Need::ConstrainedGeneration],
        _ => vec![Need::Generation],
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
            kind: OptionKind::Integer(1, 99),
            default: Some("19"),
            help: "how many passages stand in a prompt beside the one whose place they want",
        },
        OptionSpec {
            name: "reasoning",
            kind: OptionKind::Switch,
            default: Some("true"),
            help: "whether the model is asked to reason first; chooses between the method's own prompts",
        },
        OptionSpec {
            name: "max-tokens",
            kind: OptionKind::Integer(1, i64::MAX),
            default: Some("2048"),
            help: "most tokens of an answer, reasoning included; one that does not come to its end names no passage",
        },
        OptionSpec {
            name: "failure",
            kind: OptionKind::Choice(&["keep", "choose"]),
            default: Some("keep"),
            help: "what follows an answer that names no passage: the one whose place is wanted keeps it, or the model must \
                   choose among the labels",
        },
        OptionSpec {
            name: "shuffle",
            kind: OptionKind::Switch,
            default: Some("true"),
            help: "whether passages of a set are shown in a random order, so that a preference for some labels cancels out",
        },
        VOTES,
        SEED,
        OptionSpec {
            name: "fuse",
            kind: OptionKind::Number(0.0, 1.0),
            default: None,
            help: "weight of the first stage's scores, mixed in after they and the places of this ranking are brought to 0 to 1 (as \
                   published: 0.1); without it they are not mixed in",
        },
    ],
    calls: Calls {
        formula: "votes × comparisons, about N / (c − 1) + k log N / log c for a heapsort with c children: 20 to 25 for N = \
                  100, c = 19, k = 10",
        count: None,
    },
    prompts: &[builtin_prompt!("rank-r1"), builtin_prompt!("rank-r1-direct")],
    build: |build| {
        let options = &build.options;
        let sorting = Sorting::new(options);
        let max_tokens = options.get_count("max-tokens").unwrap_or(1);
        let mode = Mode::Generation {
            max_tokens,
            tagged: true,
            again: options.get_choice("failure") == Some("choose"),
        };
        let showing = Showing::new(options)?;
        if options.is_given("reasoning") && options.is_given("prompt") {
            let problem =
                "reasoning chooses the method's own prompt, and prompt another one; give one of both";
            return Err(options.problem(problem).into());
        }
        let template = match options.switch("reasoning") || options.is_given("prompt") {
            true => build.template()?,
            false => Template::choose(Some(DIRECT), build.spec.prompts)?,
        };
        let chooser = Chooser::new(template.with(options), sorting.children + 1, mode, showing)?;
        let fuse = options.get_number("fuse");
        build.prompting(RankR1 { chooser, sorting, fuse })
    },
};

struct RankR1 {
    chooser: Chooser,
    sorting: Sorting,
    fuse: Option<f64>,
}

impl PromptMethod for RankR1 {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let Some(weight) = self.fuse else { return self.sorting.rank(context, &self.chooser) };
        // A candidate without a score is told before the model is asked.
        first_stage::scores(context)?;
        let places = self.sorting.places(context, &self.chooser)?;
        let mut own = vec![0.0; places.len()];
        for (place, candidate) in places.iter().enumerate() {
            own[*candidate] = -(place as f64);
        }
        Ok(Order::Scores(first_stage::fused(context, &own, weight, Normalisation::MinMax)?))
    }
}
