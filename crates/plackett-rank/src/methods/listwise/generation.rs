//! Listwise reranking by writing permutations over windows (Sun et al., Is ChatGPT Good at Search?, 2023; Pradeep et al.,
//! RankZephyr, 2023), with permutation self-consistency (Tang et al., Found in the Middle, 2023).

use super::answers::{MAX_TOKENS, MIN_TOKENS, MODE, OrderWriter, need};
use super::plan::{DEPTH, PASSES, PIVOT, Plan, SCHEDULE, SEED, STRIDE, TOP, TOURNAMENTS, WINDOW};
use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::CallError;
use crate::prompt::{PROMPT, STYLE, TOKENS, Template, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::aggregation::{Preferences, borda, kemeny, kendall_taus, shuffles};
use plackett_core::permutation::Permutation;
use plackett_core::windows::Window;

pub(super) const SHUFFLES: OptionSpec = OptionSpec {
    name: "shuffles",
    kind: OptionKind::Integer(1, 1000),
    default: Some("1"),
    help: "how often each window is asked, with its passages in another order each time; the central ranking of the answers \
           counts (permutation self-consistency, Tang et al. 2023)",
};

pub(super) const CONSISTENCY: OptionSpec = OptionSpec {
    name: "consistency",
    kind: OptionKind::Choice(&["kemeny", "borda"]),
    default: Some("kemeny"),
    help: "how the answers to shuffled windows become one: the order nearest to all of them in Kendall distance, or by points",
};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "listwise",
    aliases: &["rankgpt", "rankzephyr"],
    family: Family::Listwise,
    gives_scores: |_| false,
    paper: "Sun et al., Is ChatGPT Good at Search? Investigating Large Language Models as Re-Ranking Agents, 2023; Pradeep et \
            al., RankZephyr, 2023; Tang et al., Found in the Middle: Permutation Self-Consistency, 2023",
    summary: "Writes the labels of a window's passages in their order of relevance, and slides the window from the tail of the \
              list to its head.",
    needs: |options| vec![need(options)],
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
        SHUFFLES,
        CONSISTENCY,
        SEED,
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
    ],
    calls: Calls { formula: CALLS, count: Some(calls) },
    prompts: &[
        builtin_prompt!("listwise", ["example"]),
        builtin_prompt!("listwise-turns", ["example"]),
        builtin_prompt!("richrag", ["example"]),
    ],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = Listwise::new(template, &build.options)?;
        build.prompting(method)
    },
};

pub(super) const CALLS: &str = "shuffles × windows; windows: passes × (⌈(N − window) / stride⌉ + 1) sliding, passes where N ≤ \
                                window or full; multi-pass those of N, of N − (window − stride) and so on down to one; \
                                tournaments × Σ ⌈left / window⌉ while halves go on; top-down 1 + ⌈(N − window) / (window − 1)⌉, \
                                and more where candidates beat the pivot";

pub(super) fn calls(candidates: usize, options: &OptionValues) -> u64 {
    let windows = Plan::read(options, true).map_or(0, |plan| plan.windows(candidates));
    windows * options.get_count("shuffles").unwrap_or(1) as u64
}

/// A window's order, written by the model.
pub(super) struct Listwise {
    plan: Plan,
    writer: OrderWriter,
    shuffles: usize,
    borda: bool,
}

impl Listwise {
    /// With the options of [`SPEC`].
    pub fn new(template: Template, options: &OptionValues) -> Result<Listwise, MethodError> {
        let shuffles = options.get_count("shuffles").unwrap_or(1);
        let plan = Plan::read(options, shuffles > 1)?;
        if shuffles == 1 && options.is_given("consistency") {
            let problem =
                "consistency has no effect without shuffles; write shuffles=3, say, or leave it out";
            return Err(options.problem(problem).into());
        }
        if shuffles > 1 && plan.is_partial() {
            let problem = "shuffled windows are written whole, because passages that are not named would keep the shuffled \
                           order; leave out top or shuffles";
            return Err(options.problem(problem).into());
        }
        for name in ["max-tokens", "min-tokens"] {
            if options.get_choice("mode") != Some("free") && options.is_given(name) {
                return Err(options
                    .problem(format!(
                        "{name} has no effect on constrained answers, which end by themselves; leave it out, or write mode=free"
                    ))
                    .into());
            }
        }
        if let Some(most) = plan.most() {
            template.labels(most)?;
        }
        let borda = options.get_choice("consistency") == Some("borda");
        Ok(Listwise { plan, writer: OrderWriter::new(template, options)?, shuffles, borda })
    }

    /// The central orders of windows that are each asked several times.
    fn central(
        &self,
        context: &mut RankContext<'_>,
        windows: &[Window],
        agreement: &mut Agreement,
    ) -> Result<Vec<Permutation>, CallError> {
        let mut shown = Vec::new();
        let mut copies = Vec::new();
        for window in windows {
            let seed = context.seed(self.plan.seed().wrapping_add(agreement.windows));
            agreement.windows += 1;
            for shuffle in shuffles(window.items.len(), self.shuffles, seed) {
                let items = shuffle.items().iter().map(|&place| window.items[place]).collect();
                copies.push(Window { items, wanted: window.items.len() });
                shown.push(shuffle);
            }
        }
        let answers = self.writer.orders(context, &copies)?;
        let wrong = |error: &dyn std::error::Error| CallError::Argument(error.to_string());
        let turned = shown.iter().zip(&answers).map(|(shown, answer)| shown.compose(answer));
        let turned: Vec<Permutation> = turned.collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
        let mut orders = Vec::with_capacity(windows.len());
        for orders_of_window in turned.chunks(self.shuffles) {
            agreement.enter(orders_of_window);
            let preferences = Preferences::from_rankings(orders_of_window).map_err(|error| wrong(&error))?;
            if self.borda {
                orders.push(Permutation::by_descending(&borda(&preferences)));
                continue;
            }
            let central = kemeny(&preferences);
            if !central.optimal {
                context.count("central-rankings-not-proven-best", 1);
            }
            orders.push(central.order);
        }
        Ok(orders)
    }
}

/// How far the answers to shuffled copies of a window agree.
#[derive(Default)]
struct Agreement {
    windows: u64,
    pairs: u64,
    tau: f64,
}

impl Agreement {
    fn enter(&mut self, orders: &[Permutation]) {
        for tau in kendall_taus(orders) {
            self.pairs += 1;
            self.tau += tau;
        }
    }
}

impl PromptMethod for Listwise {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        if self.shuffles == 1 {
            return self.plan.rank(context, &mut |context, windows| self.writer.orders(context, windows));
        }
        let mut agreement = Agreement::default();
        let order = self
            .plan
            .rank(context, &mut |context, windows| self.central(context, windows, &mut agreement))?;
        if agreement.pairs > 0 {
            let tau = agreement.tau / agreement.pairs as f64;
            context.note(
                "consistency",
                format!("{tau:.4} mean Kendall tau between answers to shuffled windows"),
            );
        }
        Ok(order)
    }
}
