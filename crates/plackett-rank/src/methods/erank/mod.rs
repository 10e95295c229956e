//! ERank: one document at a time gets a level of a scale, after written reasoning or without, and its score is weighed by how
//! sure the model is of the level (Cai et al., ERank: Fusing Supervised Fine-Tuning and Reinforcement Learning for Effective
//! and Efficient Text Reranking, 2025).

mod levels;
#[cfg(test)]
mod tests;

use self::levels::{Chances, Levels};
use super::first_stage;
use super::next_label::whole_answer;
use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::{
    AnswerForm, CallError, Finish, Generated, GenerationOptions, GenerationRequest, Need, Prompt,
};
use crate::prompt::{PROMPT, STYLE, TOKENS, Template, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::fusion::Normalisation;
use plackett_core::parse::answer_text;

const DIRECT: &str = "erank-direct";

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "erank",
    aliases: &["graded"],
    family: Family::Pointwise,
    gives_scores: |_| true,
    paper: "Cai et al., ERank: Fusing Supervised Fine-Tuning and Reinforcement Learning for Effective and Efficient Text \
            Reranking, 2025",
    summary: "Gives each document a level from 0 to 10, after reasoning or without, times the probability of that level.",
    needs: |options| match (options.switch("reasoning"), options.get_choice("score")) {
        (true, Some("hard")) => vec![Need::Generation],
        (true, _) => vec![Need::Generation, Need::LabelLogits],
        (false, _) => vec![Need::LabelLogits],
    },
    options: &[
        OptionSpec {
            name: "levels",
            kind: OptionKind::Choice(&["0-10", "0-3", "yes-no"]),
            default: Some("0-10"),
            help: "the scale; yes-no is worth 1 and 0. Reasoning models are nearly always sure of yes or no, so that few levels \
                   make many ties",
        },
        OptionSpec {
            name: "score",
            kind: OptionKind::Choice(&["weighted", "hard", "expected"]),
            default: Some("weighted"),
            help: "the level times its probability (weighted, as published; not monotone in the level), the level itself (hard), \
                   or the expected level over the probabilities of all of them (expected)",
        },
        OptionSpec {
            name: "reasoning",
            kind: OptionKind::Switch,
            default: Some("true"),
            help: "whether the model writes its reasoning and a level, or the most probable level is read where the answer would \
                   begin and nothing is written; chooses between the method's own prompts",
        },
        OptionSpec {
            name: "max-tokens",
            kind: OptionKind::Integer(1, i64::MAX),
            default: None,
            help: "most tokens of reasoning and level; without it 2048, or half of what the model reads where that is less",
        },
        OptionSpec {
            name: "instruction",
            kind: OptionKind::Text("TEXT"),
            default: None,
            help: "what relevant means, in the prompt; without it as the prompt's file says",
        },
        OptionSpec {
            name: "fuse",
            kind: OptionKind::Number(0.0, 1.0),
            default: None,
            help: "weight of the first stage's scores, mixed in after both are turned into z-scores (as published: 0.2); \
                   without it they are not mixed in",
        },
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
    ],
    calls: Calls {
        formula: "N with reasoning=false or score=hard; else N and one more for each answer in which a level was found; where \
                  levels are several tokens, one more for each of them and each document whose levels are read",
        count: None,
    },
    prompts: &[builtin_prompt!("erank", ["scale"]), builtin_prompt!("erank-direct", ["scale"])],
    build: |build| {
        let options = &build.options;
        let template = match options.switch("reasoning") || options.is_given("prompt") {
            true => build.template()?,
            false => Template::choose(Some(DIRECT), build.spec.prompts)?,
        };
        let method = ERank::new(template.with(options), options)?;
        build.prompting(method)
    },
};

/// Most tokens of an answer without an option; longer ones were dropped from the training data of the paper.
const MAX_TOKENS: usize = 2048;

/// What becomes of levels and probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scoring {
    Hard,
    Weighted,
    Expected,
}

struct ERank {
    template: Template,
    levels: Levels,
    scoring: Scoring,
    reasoning: bool,
    max_tokens: usize,
    instruction: Option<String>,
    /// The words of the prompt about the levels.
    scale: String,
    fuse: Option<f64>,
}

impl ERank {
    fn new(template: Template, options: &OptionValues) -> Result<ERank, MethodError> {
        let reasoning = options.switch("reasoning");
        if !reasoning && options.is_given("max-tokens") {
            let problem =
                "max-tokens has no effect with reasoning=false, where nothing is written; leave it out";
            return Err(options.problem(problem).into());
        }
        let levels = options.get_choice("levels").unwrap_or("0-10");
        let Some(scale) = template.part(levels, &[]) else {
            let problem = format!(
                "it does not say how levels are asked for; write [parts] and in it {levels} = \"choose …\", and {{scale}} \
                 where it is to stand"
            );
            return Err(template.lacks(problem).into());
        };
        Ok(ERank {
            levels: Levels::named(levels),
            scoring: match options.get_choice("score") {
                Some("hard") => Scoring::Hard,
                Some("expected") => Scoring::Expected,
                _ => Scoring::Weighted,
            },
            reasoning,
            max_tokens: options.get_count("max-tokens").unwrap_or(MAX_TOKENS),
            instruction: options.get_text("instruction").map(str::to_string),
            scale,
            fuse: options.get_number("fuse"),
            template,
        })
    }

    fn prompts(&self, context: &mut RankContext<'_>, answer: usize) -> Result<Vec<Prompt>, CallError> {
        let mut values = vec![("scale", self.scale.as_str())];
        values.extend(self.instruction.as_deref().map(|text| ("instruction", text)));
        (0..context.len())
            .map(|candidate| context.prompt(&self.template, &[("", candidate)], &values, answer))
            .collect()
    }

    /// The score of a level; `written` when the model wrote it, and did not just find it the most probable one.
    fn score(&self, level: usize, chances: &Chances, written: bool) -> f64 {
        match self.scoring {
            Scoring::Hard => level as f64,
            // A level that was written competed with all that could be written, one that was read with other levels only.
            Scoring::Weighted if written => level as f64 * chances.of(level),
            Scoring::Weighted => level as f64 * chances.among_levels(level),
            Scoring::Expected => chances.expected(),
        }
    }

    fn direct(&self, context: &mut RankContext<'_>) -> Result<Vec<f64>, CallError> {
        // The longest level is 10, of two digits.
        let prompts = self.prompts(context, 2)?;
        let found = self.levels.chances(context, &prompts)?;
        Ok(found.iter().map(|chances| self.score(chances.most(), chances, false)).collect())
    }

    fn reasoned(&self, context: &mut RankContext<'_>) -> Result<Vec<f64>, CallError> {
        let max_tokens = context.answer_limit("max-tokens", self.max_tokens);
        // The level that is read again stands where it was written.
        let prompts = self.prompts(context, max_tokens + 2)?;
        let form = AnswerForm::Text;
        let requests: Vec<GenerationRequest<'_>> =
            prompts.iter().map(|prompt| GenerationRequest { prompt, form: &form, sample: 0 }).collect();
        let stop = vec!["</answer>".to_string()];
        let options = GenerationOptions { max_tokens, stop, ..GenerationOptions::default() };
        let answers = context.try_generate(&requests, &options);
        let mut written: Vec<Option<(usize, Prompt)>> = Vec::with_capacity(prompts.len());
        for (at, (prompt, answer)) in prompts.iter().zip(answers).enumerate() {
            let answer = match answer {
                Ok(answer) => Some(answer),
                // One odd answer must not end a query; a server that fails must.
                Err(CallError::Answer { .. }) => None,
                Err(error) => return Err(error),
            };
            if answer.as_ref().is_some_and(|answer| answer.finish == Finish::Length) {
                context.count("answers-cut-at-max-tokens", 1);
            }
            let found = answer.and_then(|answer| self.find(prompt, &answer));
            context.parsed(at, &found.as_ref().map(|(level, _)| *level));
            if found.is_none() {
                context.count("answers-without-level", 1);
                context.repaired("an answer had no level in it; its document got the score 0");
            }
            written.push(found);
        }
        if self.scoring == Scoring::Hard {
            let level =
                |found: &Option<(usize, Prompt)>| found.as_ref().map_or(0.0, |(level, _)| *level as f64);
            return Ok(written.iter().map(level).collect());
        }
        let slots: Vec<Prompt> = written.iter().flatten().map(|(_, slot)| slot.clone()).collect();
        let mut chances = self.levels.chances(context, &slots)?.into_iter();
        let score = |found: &Option<(usize, Prompt)>| {
            let Some((level, _)) = found else { return 0.0 };
            chances.next().map_or(0.0, |chances| self.score(*level, &chances, true))
        };
        Ok(written.iter().map(score).collect())
    }

    /// The level in an answer, and the prompt up to the place where it was written, blanks before it included.
    fn find(&self, prompt: &Prompt, answer: &Generated) -> Option<(usize, Prompt)> {
        let reply = whole_answer(prompt, &answer.text);
        let found = answer_text(&reply);
        if !found.tagged || found.unfinished_reasoning {
            return None;
        }
        let level = self.levels.position(found.text)?;
        let slot = found.text.trim_start().as_ptr() as usize - reply.as_ptr() as usize;
        let before = reply.get(prompt.answer().len()..slot).unwrap_or_default();
        Some((level, prompt.clone().with_answer(before)))
    }
}

impl PromptMethod for ERank {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        // What is missing for the fusion is said before the model is asked.
        if self.fuse.is_some() {
            first_stage::scores(context)?;
        }
        let own = if self.reasoning { self.reasoned(context)? } else { self.direct(context)? };
        Ok(Order::Scores(match self.fuse {
            Some(weight) => first_stage::fused(context, &own, weight, Normalisation::ZScore)?,
            None => own,
        }))
    }
}
