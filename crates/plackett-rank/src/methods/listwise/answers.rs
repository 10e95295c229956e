//! Orders that a model writes: the prompt over a window, the form of its answer, and how the answer is read.

use crate::method::{MethodError, OptionKind, OptionSpec, OptionValues};
use crate::model::{
    AnswerForm, CallError, Finish, Generated, GenerationOptions, GenerationRequest, Need, Prompt, Value,
};
use crate::prompt::{Labels, Template};
use crate::prompting::RankContext;
use plackett_core::parse::{LabelStyle, OrderFormat, ParsedOrder, parse_order};
use plackett_core::permutation::Permutation;
use plackett_core::sorting::top_then_initial;
use plackett_core::windows::Window;

pub(super) const MODE: OptionSpec = OptionSpec {
    name: "mode",
    kind: OptionKind::Choice(&["constrained", "free"]),
    default: Some("constrained"),
    help: "whether the model can write nothing but an order (constrained), or anything, from which an order is read and \
           repaired where it must be (free); servers that take no constraints need free",
};

pub(super) const MAX_TOKENS: OptionSpec = OptionSpec {
    name: "max-tokens",
    kind: OptionKind::Integer(1, i64::MAX),
    default: None,
    help: "most tokens of an answer with mode=free; without it twice those of the longest order and 64 more",
};

pub(super) const MIN_TOKENS: OptionSpec = OptionSpec {
    name: "min-tokens",
    kind: OptionKind::Integer(1, i64::MAX),
    default: None,
    help: "least tokens of a free answer, before which the model cannot end it: with as many as max-tokens all answers are \
           equally long, so that times compare; without it answers end where the model ends them",
};

/// What the modes ask of a model.
pub(super) fn need(options: &OptionValues) -> Need {
    if options.get_choice("mode") == Some("free") { Need::Generation } else { Need::ConstrainedGeneration }
}

/// Writes and reads orders.
pub(super) struct OrderWriter {
    pub template: Template,
    separator: String,
    /// How labels are found in free answers; `None` where answers are constrained.
    free: Option<LabelStyle>,
    max_tokens: Option<usize>,
    /// Least tokens of free answers.
    pub min_tokens: usize,
}

impl OrderWriter {
    /// A writer with the options `mode`, `max-tokens` and `min-tokens`.
    ///
    /// # Errors
    /// A template whose labels cannot be found in free answers; an option without effect.
    pub fn new(template: Template, options: &OptionValues) -> Result<OrderWriter, MethodError> {
        let style = match template.alphabet() {
            Labels::Numbers => Some(LabelStyle::Numbers),
            Labels::Letters => Some(LabelStyle::Letters),
            Labels::List(_) => None,
        };
        let free = options.get_choice("mode") == Some("free");
        if free && style.is_none() {
            let problem = "free answers are read for numbers or letters; write labels = \"numbers\", or use mode=constrained";
            return Err(template.lacks(problem).into());
        }
        let separator = template.part("between", &[]).unwrap_or_else(|| " > ".into());
        let max_tokens = options.get_count("max-tokens");
        let min_tokens = options.get_count("min-tokens").unwrap_or(0);
        if let Some(most) = max_tokens.filter(|most| *most < min_tokens) {
            let problem = format!("min-tokens is {min_tokens} and max-tokens {most}; no answer is both");
            return Err(options.problem(problem).into());
        }
        Ok(OrderWriter { template, separator, free: style.filter(|_| free), max_tokens, min_tokens })
    }

    /// Whether answers are free.
    pub fn is_free(&self) -> bool {
        self.free.is_some()
    }

    /// Labels of so many passages.
    pub fn labels(&self, count: usize) -> Result<Vec<String>, CallError> {
        self.template.labels(count).map_err(|error| CallError::Argument(error.to_string()))
    }

    /// The prompt over candidates in this order, with room for an answer of so many tokens.
    pub fn prompt(
        &self,
        context: &mut RankContext<'_>,
        items: &[usize],
        answer: usize,
    ) -> Result<Prompt, CallError> {
        let labels = self.labels(items.len())?;
        prompt(&self.template, context, &labels, items, answer)
    }

    /// A prompt that does not fit, in other words where `min-tokens` alone is as much as the model reads: no query is short
    /// enough then.
    fn too_long(&self, error: CallError) -> CallError {
        match error {
            CallError::QueryTooLong { limit, .. } | CallError::TooLong { limit, .. }
                if self.min_tokens >= limit =>
            {
                CallError::Argument(format!(
                    "min-tokens is {}, and the model reads {limit} tokens, prompt and answer together; write a smaller \
                     min-tokens",
                    self.min_tokens
                ))
            }
            error => error,
        }
    }

    /// The form of an order of whose ranks `wanted` are written.
    pub fn form(&self, count: usize, wanted: usize) -> Result<AnswerForm, CallError> {
        let labels = self.labels(count)?.iter().map(|label| self.template.mark(label)).collect();
        Ok(AnswerForm::Permutation { labels, length: wanted, separator: self.separator.clone() })
    }

    /// Tokens of the longest order of `wanted` among `count` passages. Where tokens are not told, more than any
    /// tokenizer makes of short labels.
    pub fn budget(&self, context: &RankContext<'_>, count: usize, wanted: usize) -> Result<usize, CallError> {
        let labels = self.labels(count)?;
        let last: Vec<String> =
            labels[count - wanted..].iter().map(|label| self.template.mark(label)).collect();
        let tokens = context.tokens_of(&last.join(&self.separator))?;
        // What is written need not be in the tokenizer's own tokens.
        Ok(if tokens == 0 { 6 * wanted } else { tokens + wanted })
    }

    /// The orders of windows, all asked in one call.
    pub fn orders(
        &self,
        context: &mut RankContext<'_>,
        windows: &[Window],
    ) -> Result<Vec<Permutation>, CallError> {
        let (mut prompts, mut forms, mut most) = (Vec::new(), Vec::new(), 0);
        for Window { items, wanted } in windows {
            let budget = self.budget(context, items.len(), *wanted)?;
            let answer = match (self.is_free(), self.max_tokens) {
                (false, _) => budget,
                (true, Some(tokens)) => tokens,
                (true, None) => (2 * budget + 64).max(self.min_tokens),
            };
            most = most.max(answer);
            prompts.push(self.prompt(context, items, answer).map_err(|error| self.too_long(error))?);
            forms.push(if self.is_free() { AnswerForm::Text } else { self.form(items.len(), *wanted)? });
        }
        let min_tokens = self.min_tokens;
        let options = GenerationOptions { max_tokens: most, min_tokens, ..GenerationOptions::default() };
        let asked: Vec<GenerationRequest<'_>> = prompts
            .iter()
            .zip(&forms)
            .map(|(prompt, form)| GenerationRequest { prompt, form, sample: 0 })
            .collect();
        let answers = context.generate(&asked, &options)?;
        let mut orders = Vec::with_capacity(windows.len());
        for (n, (answer, window)) in answers.iter().zip(windows).enumerate() {
            orders.push(if self.is_free() {
                let parsed = self.read(&answer.text, window, false);
                self.account(context, n, answer, &parsed, parsed.repaired());
                parsed.order
            } else {
                constrained(answer, window)?
            });
        }
        Ok(orders)
    }

    /// Reads a free answer.
    pub fn read(&self, text: &str, window: &Window, needs_answer_tag: bool) -> ParsedOrder {
        let labels = self.free.unwrap_or_default();
        let format = OrderFormat { labels, wanted: Some(window.wanted), needs_answer_tag };
        parse_order(text, window.items.len(), &format)
    }

    /// Says what was wrong with a free answer and what was made of it.
    pub fn account(
        &self,
        context: &mut RankContext<'_>,
        n: usize,
        answer: &Generated,
        parsed: &ParsedOrder,
        repaired: bool,
    ) {
        context.parsed(n, &parsed.order.items());
        if answer.finish == Finish::Length {
            context.count("answers-cut-at-max-tokens", 1);
        }
        if !repaired {
            return;
        }
        context.count("answers-repaired", 1);
        context.count("labels-missing", parsed.missing as u64);
        context.count("labels-repeated", parsed.repeated as u64);
        context.count("labels-out-of-range", parsed.out_of_range as u64);
        if parsed.read == 0 {
            context.count("answers-without-order", 1);
            context.repaired("an answer had no order in it, and its window stayed as it was");
        } else {
            let class = parsed.class.name();
            context.repaired(format!(
                "{class}: labels not named follow in the order shown, repeated and unknown ones were dropped"
            ));
        }
    }
}

/// The prompt of a template over candidates with labels. `{example}` is an order of the first two labels.
pub(super) fn prompt(
    template: &Template,
    context: &mut RankContext<'_>,
    labels: &[String],
    items: &[usize],
    answer: usize,
) -> Result<Prompt, CallError> {
    let passages: Vec<(&str, usize)> = labels.iter().map(String::as_str).zip(items.iter().copied()).collect();
    let example: Vec<String> = labels.iter().take(2).rev().map(|label| template.mark(label)).collect();
    let between = template.part("between", &[]).unwrap_or_else(|| " > ".into());
    let prompt = context.prompt(template, &passages, &[("example", &example.join(&between))], answer + 1)?;
    // Without a template's turn between them, the last sign of the question and a bracket would be one token.
    let plain = match &prompt {
        Prompt::Text { text, .. } => !text.ends_with(char::is_whitespace),
        Prompt::Chat { .. } => !context.model().has_chat_template(),
    };
    Ok(if plain && prompt.answer().is_empty() { prompt.with_answer("\n") } else { prompt })
}

/// The order of a constrained answer; what was not written follows in the order shown.
pub(super) fn constrained(answer: &Generated, window: &Window) -> Result<Permutation, CallError> {
    match &answer.value {
        Some(Value::Permutation(top)) => Ok(top_then_initial(top, window.items.len())),
        _ => Err(CallError::Answer {
            answer: answer.text.chars().take(80).collect(),
            problem: "an order of labels was asked for".into(),
        }),
    }
}
