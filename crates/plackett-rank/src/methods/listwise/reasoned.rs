//! Windows that are thought about before their order is written.

use super::answers::{self, OrderWriter, constrained};
use super::plan::Plan;
use crate::method::{MethodError, OptionKind, OptionSpec, OptionValues};
use crate::model::{
    AnswerForm, CallError, Finish, GenerationOptions, GenerationRequest, Need, Prompt, Sampling,
};
use crate::prompt::Template;
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::permutation::Permutation;
use plackett_core::windows::Window;

pub(super) const MODE: OptionSpec = OptionSpec {
    name: "mode",
    kind: OptionKind::Choice(&["constrained", "free"]),
    default: Some("constrained"),
    help: "whether the model is held to an order after its reasoning (constrained, a second call), or reasoning and order are \
           one free answer from which the order is read (free, as published)",
};

pub(super) const MAX_TOKENS: OptionSpec = OptionSpec {
    name: "max-tokens",
    kind: OptionKind::Integer(1, i64::MAX),
    default: Some("3172"),
    help: "most tokens of the reasoning, with mode=free of reasoning and order together",
};

pub(super) const MIN_TOKENS: OptionSpec = OptionSpec {
    help: "least tokens of the reasoning, with mode=free of reasoning and order together, before which the model cannot end it; \
           without it the model ends it",
    ..answers::MIN_TOKENS
};

pub(super) const TEMPERATURE: OptionSpec = OptionSpec {
    name: "temperature",
    kind: OptionKind::Number(0.0, 10.0),
    default: Some("0"),
    help: "of the reasoning; 0 for the most probable token",
};

pub(super) const TOP_P: OptionSpec = OptionSpec {
    name: "top-p",
    kind: OptionKind::Number(0.001, 1.0),
    default: Some("1"),
    help: "only the most probable tokens whose probabilities reach this sum are drawn; 1 for all, which servers need",
};

/// What the modes ask of a model.
pub(super) fn needs(options: &OptionValues) -> Vec<Need> {
    let mut needs = vec![Need::Generation];
    if options.get_choice("mode") != Some("free") {
        needs.push(Need::ConstrainedGeneration);
    }
    needs
}

/// Calls for so many candidates: one a window, or two where the order is written under a constraint.
pub(super) fn calls(candidates: usize, options: &OptionValues) -> u64 {
    let windows = Plan::read(options, true).map_or(0, |plan| plan.windows(candidates));
    windows * if options.get_choice("mode") == Some("free") { 1 } else { 2 }
}

/// Reasoning, then an order.
pub(super) struct Reasoned {
    plan: Plan,
    writer: OrderWriter,
    /// Whether an order counts only behind `<answer>`.
    needs_answer_tag: bool,
    max_tokens: usize,
    temperature: f64,
    top_p: f64,
    /// What the model's answer begins with, and what ends its reasoning, where the order is written under a constraint.
    think: String,
    close: String,
}

impl Reasoned {
    /// With the options of [`MODE`], [`MAX_TOKENS`], [`MIN_TOKENS`], [`TEMPERATURE`] and [`TOP_P`].
    ///
    /// # Errors
    /// Options that do not go together; a template with fewer labels than a window has passages.
    pub fn new(
        template: Template,
        options: &OptionValues,
        needs_answer_tag: bool,
    ) -> Result<Reasoned, MethodError> {
        let temperature = options.get_number("temperature").unwrap_or(0.0);
        let plan = Plan::read(options, temperature > 0.0)?;
        if temperature == 0.0 && options.is_given("top-p") {
            let problem = "top-p has no effect at temperature 0; leave it out, or write temperature=0.6, say";
            return Err(options.problem(problem).into());
        }
        if let Some(most) = plan.most() {
            template.labels(most)?;
        }
        let part = |name: &str, other: &str| template.part(name, &[]).unwrap_or_else(|| other.to_string());
        let (think, close) = (part("think", ""), part("close", "\n"));
        Ok(Reasoned {
            plan,
            needs_answer_tag,
            max_tokens: options.get_count("max-tokens").unwrap_or(1024),
            temperature,
            top_p: options.get_number("top-p").unwrap_or(1.0),
            think,
            close,
            writer: OrderWriter::new(template, options)?,
        })
    }

    fn reasoning(&self, context: &RankContext<'_>, stop: &[&str]) -> GenerationOptions {
        let sampling = (self.temperature > 0.0).then(|| Sampling {
            seed: context.seed(self.plan.seed()),
            temperature: self.temperature,
            top_p: Some(self.top_p).filter(|top_p| *top_p < 1.0),
        });
        let stop = stop.iter().map(ToString::to_string).collect();
        let min_tokens = self.writer.min_tokens;
        GenerationOptions { stop, sampling, min_tokens, ..GenerationOptions::default() }
    }

    /// What ends a reasoning before its order is asked for: tags, or the words that the template puts between both, since a
    /// model that has learned such answers writes these itself.
    fn ends(&self) -> Vec<&str> {
        let mut ends = vec!["</think>", "<answer>"];
        let has_tag = ends.iter().any(|tag| self.close.contains(*tag));
        if !has_tag && !self.close.trim().is_empty() {
            ends.push(&self.close);
        }
        ends
    }

    /// Orders of windows; `reasoning` becomes that of the last one.
    fn orders(
        &self,
        context: &mut RankContext<'_>,
        windows: &[Window],
        reasoning: &mut String,
    ) -> Result<Vec<Permutation>, CallError> {
        let free = self.writer.is_free();
        let most = context.answer_limit("max-tokens", self.max_tokens);
        let mut prompts = Vec::with_capacity(windows.len());
        for Window { items, wanted } in windows {
            let order = match free {
                true => 0,
                // Also for what stands before and after the reasoning.
                false => self.writer.budget(context, items.len(), *wanted)? + AROUND,
            };
            let prompt = self.writer.prompt(context, items, most + order)?;
            prompts.push(if free { prompt } else { prompt.with_answer(&self.think) });
        }
        let form = AnswerForm::Text;
        let asked: Vec<GenerationRequest<'_>> =
            prompts.iter().map(|prompt| GenerationRequest { prompt, form: &form, sample: 0 }).collect();
        let stop = if free { Vec::new() } else { self.ends() };
        let options = GenerationOptions { max_tokens: most, ..self.reasoning(context, &stop) };
        let thoughts = context.generate(&asked, &options)?;
        if let Some(last) = thoughts.last() {
            reasoning.clone_from(&last.text);
        }
        if free {
            let mut orders = Vec::with_capacity(windows.len());
            for (n, (answer, window)) in thoughts.iter().zip(windows).enumerate() {
                let parsed = self.writer.read(&answer.text, window, self.needs_answer_tag);
                // Words beside the order are what was asked for.
                let odd = parsed.read == 0 || parsed.missing + parsed.repeated + parsed.out_of_range > 0;
                self.writer.account(context, n, answer, &parsed, odd);
                orders.push(parsed.order);
            }
            return Ok(orders);
        }
        let cut = thoughts.iter().filter(|thought| thought.finish == Finish::Length).count() as u64;
        if cut > 0 {
            context.count("reasoning-cut-at-max-tokens", cut);
        }
        let prompts: Vec<Prompt> = prompts
            .into_iter()
            .zip(&thoughts)
            .map(|(prompt, thought)| prompt.with_answer(&thought.text).with_answer(&self.close))
            .collect();
        self.constrained(context, windows, &prompts)
    }

    /// The orders behind reasoning that is written already.
    fn constrained(
        &self,
        context: &mut RankContext<'_>,
        windows: &[Window],
        prompts: &[Prompt],
    ) -> Result<Vec<Permutation>, CallError> {
        let forms = windows.iter().map(|window| self.writer.form(window.items.len(), window.wanted));
        let forms = forms.collect::<Result<Vec<AnswerForm>, CallError>>()?;
        let asked: Vec<GenerationRequest<'_>> = prompts
            .iter()
            .zip(&forms)
            .map(|(prompt, form)| GenerationRequest { prompt, form, sample: 0 })
            .collect();
        let answers = context.generate(&asked, &GenerationOptions::default())?;
        answers.iter().zip(windows).map(|(answer, window)| constrained(answer, window)).collect()
    }
}

/// Tokens of the tags around a reasoning.
const AROUND: usize = 32;

impl PromptMethod for Reasoned {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let mut reasoning = String::new();
        let order =
            self.plan.rank(context, &mut |context, windows| self.orders(context, windows, &mut reasoning))?;
        if !reasoning.is_empty() {
            context.note("reasoning", reasoning);
        }
        Ok(order)
    }
}
