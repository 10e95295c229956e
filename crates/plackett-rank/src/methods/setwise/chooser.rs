//! Asks which passage of a set is the most relevant.

use super::Showing;
use crate::methods::next_label::{LabelQuestion, NextLabel, whole_answer};
use crate::model::{AnswerForm, CallError, Generated, GenerationOptions, GenerationRequest, Prompt, Value};
use crate::prompt::{Template, TemplateError};
use crate::prompting::RankContext;
use plackett_core::parse::{LabelStyle, answer_text, parse_choice};
use plackett_core::permutation::Permutation;
use plackett_core::sorting::{Set, majority_vote};

/// How a set is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The greatest logit among the labels.
    Likelihood,
    /// What is written.
    Generation {
        max_tokens: usize,
        /// Whether an answer is expected behind an `<answer>` tag, and one without it counted.
        tagged: bool,
        /// Whether an answer that names no passage is followed by a choice among the labels.
        again: bool,
    },
}

/// Room for the tags and the label of a choice that follows an answer.
const AGAIN_TOKENS: usize = 32;

/// How sets are asked, for all requests.
pub(super) struct Chooser {
    template: Template,
    /// As many as the largest set has passages.
    labels: Vec<String>,
    style: LabelStyle,
    mode: Mode,
    showing: Showing,
}

impl Chooser {
    /// For sets of up to `passages`.
    pub fn new(
        template: Template,
        passages: usize,
        mode: Mode,
        showing: Showing,
    ) -> Result<Chooser, TemplateError> {
        let labels = template.labels(passages)?;
        let bare = || labels.iter().map(|label| label.trim());
        let letters = bare().eq(('A'..='Z').map(String::from).take(labels.len()));
        let numbers = bare().eq((1..=labels.len()).map(|n| n.to_string()));
        if mode != Mode::Likelihood && !letters && !numbers {
            let problem = "written answers are read where labels are numbers or letters; write labels = \"numbers\" or \"letters\"";
            return Err(template.lacks(problem));
        }
        let style = if letters { LabelStyle::Letters } else { LabelStyle::Numbers };
        Ok(Chooser { template, labels, style, mode, showing })
    }
}

/// The choices of one request.
pub(super) struct Choosing<'c> {
    chooser: &'c Chooser,
    next_label: NextLabel,
    comparisons: u64,
    mode: Mode,
}

/// A prompt, and which place of the set each of its passages has.
struct Shown {
    prompt: Prompt,
    order: Permutation,
}

impl<'c> Choosing<'c> {
    /// The choices of a request.
    pub fn new(chooser: &'c Chooser, context: &mut RankContext<'_>) -> Choosing<'c> {
        for name in ["prompts", "unusable"] {
            context.count(name, 0);
        }
        let mut mode = chooser.mode;
        if let Mode::Generation { max_tokens, tagged, .. } = &mut mode {
            if *tagged {
                context.count("untagged", 0);
            }
            *max_tokens = context.answer_limit("max-tokens", *max_tokens);
        }
        Choosing { chooser, next_label: NextLabel::default(), comparisons: 0, mode }
    }

    /// The winner of each set as a place in it; `None` where no answer named one. All prompts are one call.
    pub fn winners(
        &mut self,
        context: &mut RankContext<'_>,
        sets: &[Set],
    ) -> Result<Vec<Option<usize>>, CallError> {
        let showing = self.chooser.showing;
        let mut shown = Vec::with_capacity(sets.len() * showing.votes);
        for (set, number) in sets.iter().zip(self.comparisons..) {
            for order in showing.orders(context, set.items.len(), number) {
                shown.push(Shown { prompt: self.prompt(context, set, &order)?, order });
            }
        }
        context.count("prompts", shown.len() as u64);
        let chosen = match self.mode {
            Mode::Likelihood => self.likely(context, &shown)?,
            Mode::Generation { max_tokens, tagged, again } => {
                self.written(context, &shown, max_tokens, tagged, again)?
            }
        };
        let votes: Vec<Option<usize>> = chosen
            .iter()
            .zip(&shown)
            .map(|(choice, shown)| choice.and_then(|at| shown.order.items().get(at).copied()))
            .collect();
        let winners = votes
            .chunks(showing.votes)
            .zip(self.comparisons..)
            .map(|(votes, number)| majority_vote(votes, showing.draw(context, number)))
            .collect();
        self.comparisons += sets.len() as u64;
        Ok(winners)
    }

    fn prompt(
        &self,
        context: &mut RankContext<'_>,
        set: &Set,
        order: &Permutation,
    ) -> Result<Prompt, CallError> {
        let answer = match self.mode {
            Mode::Likelihood => 1,
            Mode::Generation { max_tokens, again, .. } => max_tokens + if again { AGAIN_TOKENS } else { 0 },
        };
        let labels = self.chooser.labels.iter().map(String::as_str);
        let items = order.items().iter().filter_map(|&place| set.items.get(place).copied());
        let passages: Vec<(&str, usize)> = labels.zip(items).collect();
        context.prompt(&self.chooser.template, &passages, &[], answer)
    }

    /// The place with the greatest score; of equal ones the first.
    fn likely(
        &mut self,
        context: &mut RankContext<'_>,
        shown: &[Shown],
    ) -> Result<Vec<Option<usize>>, CallError> {
        let question = |shown: &Shown| LabelQuestion {
            prompt: shown.prompt.clone(),
            labels: self.chooser.labels[..shown.order.len()].to_vec(),
        };
        let questions: Vec<LabelQuestion> = shown.iter().map(question).collect();
        let scores = self.next_label.scores(context, &questions)?;
        let mut chosen = Vec::with_capacity(shown.len());
        for scores in &scores {
            let best = Permutation::by_descending(scores).items().first().copied();
            let best = best.filter(|&at| !scores[at].is_nan());
            if best.is_none() {
                unusable(context);
            }
            chosen.push(best);
        }
        Ok(chosen)
    }

    fn written(
        &self,
        context: &mut RankContext<'_>,
        shown: &[Shown],
        max_tokens: usize,
        tagged: bool,
        again: bool,
    ) -> Result<Vec<Option<usize>>, CallError> {
        let requests: Vec<GenerationRequest<'_>> = shown
            .iter()
            .map(|shown| GenerationRequest { prompt: &shown.prompt, form: &AnswerForm::Text, sample: 0 })
            .collect();
        let options = GenerationOptions { max_tokens, ..GenerationOptions::default() };
        let answers = context.try_generate(&requests, &options);
        let mut chosen = Vec::with_capacity(shown.len());
        let mut open = Vec::new();
        for (at, (shown, answer)) in shown.iter().zip(answers).enumerate() {
            let text = match answer {
                Ok(Generated { text, .. }) => text,
                // One odd answer must not end a query; a server that fails must.
                Err(CallError::Answer { .. }) => String::new(),
                Err(error) => return Err(error),
            };
            let reply = whole_answer(&shown.prompt, &text);
            let choice = parse_choice(&reply, shown.order.len(), self.chooser.style);
            if tagged && choice.is_some() && !answer_text(&reply).tagged {
                context.count("untagged", 1);
            }
            context.parsed(at, &choice.map(|at| self.chooser.labels[at].trim()));
            match choice {
                None if again => open.push((at, text)),
                None => unusable(context),
                Some(_) => {}
            }
            chosen.push(choice);
        }
        for (at, choice) in self.again(context, shown, &open)? {
            chosen[at] = Some(choice);
        }
        Ok(chosen)
    }

    /// Choices among the labels after answers that named none: a reasoning without end is ended.
    fn again(
        &self,
        context: &mut RankContext<'_>,
        shown: &[Shown],
        open: &[(usize, String)],
    ) -> Result<Vec<(usize, usize)>, CallError> {
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let mut asked = Vec::with_capacity(open.len());
        for (at, text) in open {
            let shown = &shown[*at];
            let end =
                if answer_text(text).unfinished_reasoning { "\n</think>\n<answer>" } else { "\n<answer>" };
            let labels = &self.chooser.labels[..shown.order.len()];
            let marks = labels.iter().map(|label| self.chooser.template.mark(label.trim())).collect();
            asked.push((shown.prompt.clone().with_answer(text).with_answer(end), AnswerForm::OneOf(marks)));
        }
        let requests: Vec<GenerationRequest<'_>> =
            asked.iter().map(|(prompt, form)| GenerationRequest { prompt, form, sample: 0 }).collect();
        let options = GenerationOptions { max_tokens: AGAIN_TOKENS, ..GenerationOptions::default() };
        let answers = context.generate(&requests, &options)?;
        context.count("chosen-again", answers.len() as u64);
        let mut chosen = Vec::with_capacity(open.len());
        for ((at, _), answer) in open.iter().zip(answers) {
            context.repaired(
                "an answer named no passage of its set; it was followed by a choice among the labels",
            );
            match answer.value {
                Some(Value::Choice(place)) => chosen.push((*at, place)),
                _ => unusable(context),
            }
        }
        Ok(chosen)
    }
}

fn unusable(context: &mut RankContext<'_>) {
    context.count("unusable", 1);
    context.repaired("an answer named no passage of its set, or several; it has no vote");
}
