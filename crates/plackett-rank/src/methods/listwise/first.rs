//! FIRST: the order of a window from the logits of its labels as the first token of the answer (Reddy et al., FIRST: Faster
//! Improved Listwise Reranking with Single Token Decoding, 2024; Chen et al., An Early FIRST Reproduction and Improvements to
//! Single-Token Decoding for Fast Listwise Reranking, 2024).

use super::answers::{MAX_TOKENS, MIN_TOKENS, OrderWriter, prompt};
use super::generation::CALLS;
use super::plan::{DEPTH, PASSES, PIVOT, Plan, SCHEDULE, SEED, STRIDE, TOURNAMENTS, WINDOW};
use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::{CallError, LabelLogits, LabelRequest, Need, Prompt};
use crate::prompt::{Labels, PROMPT, STYLE, TOKENS, Template, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::permutation::Permutation;
use plackett_core::windows::Window;

const MODE: OptionSpec = OptionSpec {
    name: "mode",
    kind: OptionKind::Choice(&["logits", "constrained", "free"]),
    default: Some("logits"),
    help: "how the order of a window is read from the same prompt: logits of the labels as the first token, a whole order that \
           the model is held to, or free text",
};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "first",
    aliases: &["first-token"],
    family: Family::Listwise,
    gives_scores: |_| false,
    paper: "Reddy et al., FIRST: Faster Improved Listwise Reranking with Single Token Decoding, 2024; Chen et al., An Early FIRST \
            Reproduction and Improvements to Single-Token Decoding for Fast Listwise Reranking, 2024",
    summary: "Orders a window by the logits of its passages' letters where the answer's first letter would be written, so that \
              nothing is generated.",
    needs: |options| {
        vec![match options.get_choice("mode") {
            Some("free") => Need::Generation,
            Some("constrained") => Need::ConstrainedGeneration,
            _ => Need::LabelLogits,
        }]
    },
    options: &[
        MODE,
        SCHEDULE,
        WINDOW,
        STRIDE,
        PASSES,
        DEPTH,
        PIVOT,
        TOURNAMENTS,
        SEED,
        MAX_TOKENS,
        MIN_TOKENS,
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
    ],
    calls: Calls {
        formula: CALLS,
        count: Some(|n, options| Plan::read(options, false).map_or(0, |plan| plan.windows(n))),
    },
    prompts: &[builtin_prompt!("first", ["example"])],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = First::new(template, &build.options)?;
        build.prompting(method)
    },
};

/// Labels, and what is written before the first of them.
struct Alphabet {
    labels: Vec<String>,
    opening: String,
}

struct First {
    plan: Plan,
    /// The template's own labels behind the opening bracket; then what is tried when the model writes one of them with
    /// several tokens.
    alphabets: Vec<Alphabet>,
    writer: OrderWriter,
    logits: bool,
}

impl First {
    fn new(template: Template, options: &OptionValues) -> Result<First, MethodError> {
        let plan = Plan::read(options, false)?;
        let logits = options.get_choice("mode") == Some("logits");
        for name in ["max-tokens", "min-tokens"] {
            if options.get_choice("mode") != Some("free") && options.is_given(name) {
                let problem =
                    format!("{name} has no effect unless answers are free; leave it out, or write mode=free");
                return Err(options.problem(problem).into());
            }
        }
        // One label more than the alphabet has is an error before any text is read.
        if let Some(most) = plan.most() {
            template.labels(most)?;
        }
        let alphabets = alphabets(&template);
        Ok(First { plan, alphabets, writer: OrderWriter::new(template, options)?, logits })
    }

    /// Orders of windows by logits. `at` is the alphabet that this model can write.
    fn orders(
        &self,
        context: &mut RankContext<'_>,
        windows: &[Window],
        at: &mut usize,
    ) -> Result<Vec<Permutation>, CallError> {
        let mut refused = None;
        while let Some(alphabet) = self.alphabets.get(*at) {
            let (mut prompts, mut labels) = (Vec::new(), Vec::new());
            for window in windows {
                let count = window.items.len();
                let own = match alphabet.labels.get(..count) {
                    Some(own) => own.to_vec(),
                    None => self.writer.labels(count)?,
                };
                let prompt = prompt(&self.writer.template, context, &own, &window.items, ROOM)?;
                prompts.push(prompt.with_answer(&alphabet.opening));
                labels.push(own);
            }
            match self.ask(context, &prompts, &labels)? {
                Ok(orders) => return Ok(orders),
                Err(error) => {
                    refused.get_or_insert(error);
                    *at += 1;
                    if let (Some(next), Some(reason)) = (self.alphabets.get(*at), &refused) {
                        let (first, opening) =
                            (next.labels.first().map_or("", String::as_str), &next.opening);
                        context.note("labels", format!("{opening}{first} and so on, because {reason}"));
                    }
                }
            }
        }
        Err(refused.unwrap_or_else(|| CallError::Argument("there is no alphabet of labels".into())))
    }

    /// One call; within it the error of a label that is not one token.
    fn ask(
        &self,
        context: &mut RankContext<'_>,
        prompts: &[Prompt],
        labels: &[Vec<String>],
    ) -> Result<Result<Vec<Permutation>, CallError>, CallError> {
        let asked: Vec<LabelRequest<'_>> = prompts
            .iter()
            .zip(labels)
            .map(|(prompt, labels)| LabelRequest { prompt, labels, normalizer: false })
            .collect();
        let replies = context.try_label_logits(&asked);
        let mut orders = Vec::with_capacity(replies.len());
        for reply in replies {
            match reply {
                Ok(reply) => orders.push(reply),
                Err(error @ CallError::Label { .. }) => return Ok(Err(error)),
                Err(error) => return Err(error),
            }
        }
        let untold: u64 = orders.iter().map(|reply| reply.untold() as u64).sum();
        if untold > 0 {
            context.count("labels-not-told", untold);
        }
        let orders: Vec<Permutation> = orders.iter().map(order).collect();
        orders.iter().enumerate().for_each(|(n, order)| context.parsed(n, &order.items()));
        Ok(Ok(orders))
    }
}

/// Tokens that are left for the opening bracket and the label.
const ROOM: usize = 8;

/// Labels by descending logit, equal ones in the order shown; labels that a server did not tell follow in that order.
fn order(reply: &LabelLogits) -> Permutation {
    let logits: Vec<f64> = reply.logits.iter().map(|logit| logit.unwrap_or(f64::NEG_INFINITY)).collect();
    Permutation::by_descending(&logits)
}

/// The alphabets of a template, in the order in which they are tried.
fn alphabets(template: &Template) -> Vec<Alphabet> {
    let count = match template.alphabet() {
        // So many numbers are read only if each is one token, which the model says.
        Labels::Numbers => 999,
        other => other.most(),
    };
    let labels = template.alphabet().first(count).unwrap_or_default();
    let opening = |label: &str| {
        let mark = template.mark(label);
        mark.split_once(label).map_or_else(String::new, |(opening, _)| opening.to_string())
    };
    let opening = labels.first().map_or_else(String::new, |label| opening(label));
    let mut all = vec![Alphabet { labels: labels.clone(), opening: opening.clone() }];
    if *template.alphabet() == Labels::Letters {
        let small: Vec<String> = labels.iter().map(|label| label.to_lowercase()).collect();
        all.push(Alphabet { labels: small, opening: opening.clone() });
    }
    if !opening.is_empty() {
        all.push(Alphabet { labels, opening: String::new() });
    }
    all
}

impl PromptMethod for First {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        if !self.logits {
            return self.plan.rank(context, &mut |context, windows| self.writer.orders(context, windows));
        }
        let mut at = 0;
        self.plan.rank(context, &mut |context, windows| self.orders(context, windows, &mut at))
    }
}
