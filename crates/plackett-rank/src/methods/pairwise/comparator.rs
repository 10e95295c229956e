//! Asks pairs in both orders and makes one verdict of the two answers.

use super::Input;
use crate::method::{Build, MethodError, OptionValues};
use crate::methods::next_label::{LabelQuestion, NextLabel, whole_answer};
use crate::model::{AnswerForm, CallError, GenerationOptions, GenerationRequest, Prompt};
use crate::prompt::Template;
use crate::prompting::RankContext;
use plackett_core::ask_tell::AskTell;
use plackett_core::parse::parse_preferred;
use plackett_core::sorting::{Outcome, Pair, Preferred, outcome_of_both_orders};
use std::collections::BTreeMap;

/// How a pair is asked, for all requests.
pub(super) struct Judge {
    template: Template,
    /// The label of the first passage and that of the second, as they follow the beginning of the answer.
    labels: Vec<String>,
    mode: Mode,
    input: Input,
}

enum Mode {
    /// The greater of two logits; with `margin` the sign of the difference between both orders' margins.
    Scoring { margin: bool },
    /// What is written.
    Generation { max_tokens: usize },
}

impl Judge {
    /// From the options that pairwise methods share.
    pub fn new(build: &Build) -> Result<Judge, MethodError> {
        let options = &build.options;
        let template = build.template()?.with(options);
        let labels = template.labels(2)?;
        let mode = mode(options)?;
        let letters = labels.iter().map(|label| label.trim()).eq(["A", "B"]);
        if matches!(mode, Mode::Generation { .. }) && !letters {
            let problem = "with mode=generation answers are read as `Passage A` or `Passage B`; write labels = [\" A\", \" B\"]";
            return Err(template.lacks(problem).into());
        }
        Ok(Judge { template, labels, mode, input: Input::new(options)? })
    }

    /// Whether the margins of both orders are known, and decide.
    pub fn has_margins(&self) -> bool {
        matches!(self.mode, Mode::Scoring { margin: true })
    }

    /// Whether candidates enter in the order in which they were given.
    pub fn keeps_input(&self) -> bool {
        self.input == Input::Given
    }
}

fn mode(options: &OptionValues) -> Result<Mode, MethodError> {
    if options.get_choice("mode") == Some("generation") {
        if options.is_given("margin") {
            let problem = "margin needs the logits of mode=scoring; leave it out with mode=generation";
            return Err(options.problem(problem).into());
        }
        return Ok(Mode::Generation { max_tokens: options.get_count("max-tokens").unwrap_or(1) });
    }
    if options.is_given("max-tokens") {
        let problem =
            "max-tokens has no effect with mode=scoring, which reads the next token only; leave it out";
        return Err(options.problem(problem).into());
    }
    Ok(Mode::Scoring { margin: options.switch("margin") })
}

/// What was answered to one prompt.
#[derive(Clone, Copy, Debug)]
struct Reply {
    preferred: Preferred,
    /// Score of A minus that of B; 0 where the mode has none.
    lead: f64,
    unusable: bool,
}

impl Reply {
    fn of_scores(scores: &[f64]) -> Reply {
        let lead = match scores {
            [a, b] => a - b,
            _ => f64::NAN,
        };
        let preferred = match lead {
            lead if lead > 0.0 => Preferred::A,
            lead if lead < 0.0 => Preferred::B,
            _ => Preferred::Unusable,
        };
        // Equal scores are a tie and no failure.
        Reply { preferred, lead: if lead.is_nan() { 0.0 } else { lead }, unusable: lead.is_nan() }
    }

    fn of_text(preferred: Preferred) -> Reply {
        Reply { preferred, lead: 0.0, unusable: preferred == Preferred::Unusable }
    }
}

/// The comparisons of one request. Items are numbered in the order in which they enter the sort.
pub(super) struct Comparator<'j> {
    judge: &'j Judge,
    start: Vec<usize>,
    labels: NextLabel,
    /// For each pair that was asked, lower item first: score of A minus that of B with the lower item as A, then with it
    /// as B.
    leads: BTreeMap<(usize, usize), [f64; 2]>,
}

impl<'j> Comparator<'j> {
    /// The comparisons of a request.
    pub fn new(judge: &'j Judge, context: &mut RankContext<'_>) -> Comparator<'j> {
        if !judge.keeps_input() {
            let how = if judge.input == Input::Inverted { "inverted" } else { "shuffled" };
            context.note("input", how);
        }
        for name in ["prompts", "inconsistent", "unusable"] {
            context.count(name, 0);
        }
        let start = judge.input.start(context);
        Comparator { judge, start, labels: NextLabel::default(), leads: BTreeMap::new() }
    }

    /// The position in the request of an item.
    pub fn candidate(&self, item: usize) -> usize {
        self.start[item]
    }

    /// Margins of the pairs that were asked: see [`Comparator::leads`]; zeros where the mode has none.
    pub fn leads(&self) -> &BTreeMap<(usize, usize), [f64; 2]> {
        &self.leads
    }

    /// Answers all questions of a sort.
    pub fn settle<S>(&mut self, context: &mut RankContext<'_>, sort: &mut S) -> Result<(), CallError>
    where
        S: AskTell<Question = Pair, Answer = Outcome>,
    {
        while !sort.is_finished() {
            let verdicts = self.verdicts(context, sort.ask())?;
            sort.tell(verdicts).map_err(|error| CallError::Argument(error.to_string()))?;
        }
        Ok(())
    }

    /// Verdicts on pairs, all of whose prompts are one call.
    fn verdicts(&mut self, context: &mut RankContext<'_>, pairs: &[Pair]) -> Result<Vec<Outcome>, CallError> {
        let orders = pairs.iter().flat_map(|pair| [(pair.first, pair.second), (pair.second, pair.first)]);
        let prompts =
            orders.map(|(a, b)| self.prompt(context, a, b)).collect::<Result<Vec<Prompt>, CallError>>()?;
        let replies = match self.judge.mode {
            Mode::Scoring { .. } => self.scored(context, prompts)?,
            Mode::Generation { max_tokens } => generated(context, &prompts, max_tokens)?,
        };
        context.count("prompts", replies.len() as u64);
        Ok(pairs
            .iter()
            .zip(replies.chunks(2))
            .map(|(pair, both)| self.verdict(context, *pair, both))
            .collect())
    }

    fn prompt(&self, context: &mut RankContext<'_>, a: usize, b: usize) -> Result<Prompt, CallError> {
        let answer = match self.judge.mode {
            Mode::Scoring { .. } => 1,
            Mode::Generation { max_tokens } => max_tokens,
        };
        let [first, second] = &self.judge.labels[..] else {
            return Err(CallError::Argument("two labels are expected; the method's code is wrong".into()));
        };
        let passages = [(first.as_str(), self.candidate(a)), (second.as_str(), self.candidate(b))];
        context.prompt(&self.judge.template, &passages, &[], answer)
    }

    fn scored(
        &mut self,
        context: &mut RankContext<'_>,
        prompts: Vec<Prompt>,
    ) -> Result<Vec<Reply>, CallError> {
        let question = |prompt| LabelQuestion { prompt, labels: self.judge.labels.clone() };
        let questions: Vec<LabelQuestion> = prompts.into_iter().map(question).collect();
        let scores = self.labels.scores(context, &questions)?;
        Ok(scores.iter().map(|scores| Reply::of_scores(scores)).collect())
    }

    /// One verdict of the answers to both orders, as seen from the first item of the pair.
    fn verdict(&mut self, context: &mut RankContext<'_>, pair: Pair, both: &[Reply]) -> Outcome {
        let [given, swapped] = both else { return Outcome::Tie };
        let unusable = [given, swapped].iter().filter(|reply| reply.unusable).count();
        for _ in 0..unusable {
            context.count("unusable", 1);
            context.repaired("an answer named neither passage; the pair counts as a tie");
        }
        let same = given.preferred == swapped.preferred && given.preferred != Preferred::Unusable;
        context.count("inconsistent", u64::from(same));
        let (key, leads) = match pair.first < pair.second {
            true => ((pair.first, pair.second), [given.lead, swapped.lead]),
            false => ((pair.second, pair.first), [swapped.lead, given.lead]),
        };
        self.leads.insert(key, leads);
        if !self.judge.has_margins() {
            return outcome_of_both_orders(given.preferred, swapped.preferred);
        }
        match given.lead - swapped.lead {
            _ if unusable > 0 => Outcome::Tie,
            margin if margin > 0.0 => Outcome::First,
            margin if margin < 0.0 => Outcome::Second,
            _ => Outcome::Tie,
        }
    }
}

fn generated(
    context: &mut RankContext<'_>,
    prompts: &[Prompt],
    max_tokens: usize,
) -> Result<Vec<Reply>, CallError> {
    let request = |prompt| GenerationRequest { prompt, form: &AnswerForm::Text, sample: 0 };
    let requests: Vec<GenerationRequest<'_>> = prompts.iter().map(request).collect();
    let options = GenerationOptions { max_tokens, ..GenerationOptions::default() };
    let answers = context.try_generate(&requests, &options);
    let mut replies = Vec::with_capacity(prompts.len());
    for (at, (prompt, answer)) in prompts.iter().zip(answers).enumerate() {
        let preferred = match answer {
            Ok(answer) => parse_preferred(&whole_answer(prompt, &answer.text)),
            // One odd answer must not end a query; a server that fails must.
            Err(CallError::Answer { .. }) => Preferred::Unusable,
            Err(error) => return Err(error),
        };
        let word = match preferred {
            Preferred::A => "A",
            Preferred::B => "B",
            Preferred::Unusable => "unusable",
        };
        context.parsed(at, &word);
        replies.push(Reply::of_text(preferred));
    }
    Ok(replies)
}
