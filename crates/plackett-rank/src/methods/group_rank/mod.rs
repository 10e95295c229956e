//! GroupRank: groups of documents, drawn at random, each of which gets a sheet of scores in one call (GroupRank: A Groupwise
//! Paradigm for Effective and Efficient Passage Reranking with LLMs, 2025).

#[cfg(test)]
mod tests;

use super::first_stage;
use super::next_label::whole_answer;
use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::{
    AnswerForm, CallError, Finish, Generated, GenerationOptions, GenerationRequest, Need, Prompt, Sampling,
    Value,
};
use crate::prompt::{Labels, PROMPT, STYLE, TOKENS, Template, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::aggregation::{GroupScores, Grouping};
use plackett_core::fusion::Normalisation;
use plackett_core::parse::parse_scores;

const REASONS: &str = "group-rank-reasons";

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "group-rank",
    aliases: &["grouprank"],
    family: Family::Groupwise,
    gives_scores: |_| true,
    paper: "GroupRank: A Groupwise Paradigm for Effective and Efficient Passage Reranking with LLMs, 2025",
    summary: "Gives each document of a random group a score from 0 to 10 in one answer, and averages over repeats with new \
              groups.",
    needs: |options| match options.get_choice("mode") {
        Some("free") => vec![Need::Generation],
        _ => vec![Need::ConstrainedGeneration],
    },
    options: &[
        OptionSpec {
            name: "group",
            kind: OptionKind::Integer(1, 10_000),
            default: Some("20"),
            help: "documents in one prompt; the last group may be smaller",
        },
        OptionSpec {
            name: "repeats",
            kind: OptionKind::Integer(1, 1000),
            default: None,
            help: "how often all documents are scored, in new groups each time; without it 2, or 1 where all repeats would be \
                   equal (sorted groups at temperature 0)",
        },
        OptionSpec {
            name: "grouping",
            kind: OptionKind::Choice(&["random", "sorted"]),
            default: Some("random"),
            help: "whether groups are drawn at random or are neighbours in the given order, which the paper found worse",
        },
        OptionSpec {
            name: "mode",
            kind: OptionKind::Choice(&["constrained", "free"]),
            default: Some("constrained"),
            help: "whether the model can write nothing but a sheet of scores (constrained), or an analysis and a sheet, which is \
                   read and mended where it must be (free, as published); chooses between the method's own prompts",
        },
        OptionSpec {
            name: "max-tokens",
            kind: OptionKind::Integer(1, i64::MAX),
            default: None,
            help: "most tokens of an answer with mode=free; without it 8000, or half of what the model reads where that is less",
        },
        OptionSpec {
            name: "temperature",
            kind: OptionKind::Number(0.0, 10.0),
            default: Some("0"),
            help: "of the answers; 0 for the most probable token (published runs: 0.3)",
        },
        OptionSpec {
            name: "top-p",
            kind: OptionKind::Number(0.001, 1.0),
            default: Some("1"),
            help: "only the most probable tokens whose probabilities reach this sum are drawn; 1 for all (published runs: 0.8)",
        },
        OptionSpec {
            name: "fuse",
            kind: OptionKind::Number(0.0, 1.0),
            default: None,
            help: "weight of the first stage's scores, brought to 0 to 1, beside the mean score divided by 10 (as published: \
                   0.4); without it they only break ties, by their order",
        },
        OptionSpec {
            name: "seed",
            kind: OptionKind::Integer(0, i64::MAX),
            default: Some("0"),
            help: "seed of groups and of sampled answers",
        },
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
    ],
    calls: Calls {
        formula: "repeats × ⌈N / group⌉",
        count: Some(|n, options| {
            (repeats(options) * n.div_ceil(options.get_count("group").unwrap_or(1).max(1))) as u64
        }),
    },
    prompts: &[builtin_prompt!("group-rank"), builtin_prompt!("group-rank-reasons")],
    build: |build| {
        let options = &build.options;
        let template = match options.get_choice("mode") == Some("free") && !options.is_given("prompt") {
            true => Template::choose(Some(REASONS), build.spec.prompts)?,
            false => build.template()?,
        };
        let method = GroupRank::new(template.with(options), options)?;
        build.prompting(method)
    },
};

/// Scores are whole numbers from 0 to this.
const MOST: i64 = 10;

/// Most tokens of a free answer without an option.
const MAX_TOKENS: usize = 8000;

/// Tokens of a line of a constrained sheet at most, and of what stands around the lines.
const LINE: usize = 16;

/// Whether two repeats can differ.
fn varies(options: &OptionValues) -> bool {
    options.get_choice("grouping") != Some("sorted") || options.get_number("temperature").unwrap_or(0.0) > 0.0
}

fn repeats(options: &OptionValues) -> usize {
    options.get_count("repeats").unwrap_or(if varies(options) { 2 } else { 1 })
}

struct GroupRank {
    template: Template,
    group: usize,
    repeats: usize,
    random: bool,
    /// Tokens of free answers; `None` where answers are constrained.
    free: Option<usize>,
    temperature: f64,
    top_p: f64,
    fuse: Option<f64>,
    seed: u64,
}

/// One group in one repeat.
struct Sheet {
    repeat: usize,
    items: Vec<usize>,
    prompt: Prompt,
    form: AnswerForm,
}

impl GroupRank {
    fn new(template: Template, options: &OptionValues) -> Result<GroupRank, MethodError> {
        let temperature = options.get_number("temperature").unwrap_or(0.0);
        let free = options.get_choice("mode") == Some("free");
        let problem = if !varies(options) && options.get_count("repeats").is_some_and(|repeats| repeats > 1) {
            "repeats has no effect on sorted groups at temperature 0, because all repeats are equal; write grouping=random, or \
             a temperature"
        } else if !varies(options) && options.is_given("seed") {
            "seed has no effect on sorted groups at temperature 0, where nothing is drawn; leave it out"
        } else if temperature == 0.0 && options.is_given("top-p") {
            "top-p has no effect at temperature 0; leave it out, or write temperature=0.3, say"
        } else if !free && options.is_given("max-tokens") {
            "max-tokens has no effect on constrained answers, which end by themselves; leave it out, or write mode=free"
        } else {
            ""
        };
        if !problem.is_empty() {
            return Err(options.problem(problem).into());
        }
        if *template.alphabet() != Labels::Numbers {
            let problem = "sheets of scores name documents by number; write labels = \"numbers\"";
            return Err(template.lacks(problem).into());
        }
        Ok(GroupRank {
            group: options.get_count("group").unwrap_or(1).max(1),
            repeats: repeats(options),
            random: options.get_choice("grouping") != Some("sorted"),
            free: free.then(|| options.get_count("max-tokens").unwrap_or(MAX_TOKENS)),
            temperature,
            top_p: options.get_number("top-p").unwrap_or(1.0),
            fuse: options.get_number("fuse"),
            seed: options.get_integer("seed").unwrap_or(0).unsigned_abs(),
            template,
        })
    }

    /// All groups of all repeats, none of which depends on another.
    fn sheets(
        &self,
        context: &mut RankContext<'_>,
        max_tokens: Option<usize>,
    ) -> Result<Vec<Sheet>, CallError> {
        let seed = context.seed(self.seed);
        let grouping = if self.random { Grouping::Random { seed } } else { Grouping::Sorted };
        let mut sheets = Vec::new();
        for (repeat, groups) in
            grouping.groups(context.len(), self.group, self.repeats).into_iter().enumerate()
        {
            for items in groups {
                let labels = self
                    .template
                    .labels(items.len())
                    .map_err(|error| CallError::Argument(error.to_string()))?;
                let passages: Vec<(&str, usize)> =
                    labels.iter().map(String::as_str).zip(items.iter().copied()).collect();
                let answer = max_tokens.unwrap_or(LINE * (items.len() + 1));
                let prompt = context.prompt(&self.template, &passages, &[], answer)?;
                let form = match max_tokens {
                    Some(_) => AnswerForm::Text,
                    None => AnswerForm::Scores { labels, min: 0, max: MOST },
                };
                sheets.push(Sheet { repeat, items, prompt, form });
            }
        }
        context.count("groups", sheets.len() as u64);
        Ok(sheets)
    }

    /// Asks all sheets in one call and adds up what they say, divided by the greatest score.
    fn scores(&self, context: &mut RankContext<'_>) -> Result<GroupScores, CallError> {
        let max_tokens = self.free.map(|wanted| context.answer_limit("max-tokens", wanted));
        let sheets = self.sheets(context, max_tokens)?;
        let asked: Vec<GenerationRequest<'_>> = sheets
            .iter()
            .map(|sheet| GenerationRequest {
                prompt: &sheet.prompt,
                form: &sheet.form,
                sample: sheet.repeat as u64,
            })
            .collect();
        let options = GenerationOptions {
            max_tokens: max_tokens.unwrap_or(LINE * (self.group.min(context.len()) + 1)),
            min_tokens: 0,
            stop: Vec::new(),
            sampling: (self.temperature > 0.0).then(|| Sampling {
                seed: context.seed(self.seed),
                temperature: self.temperature,
                top_p: Some(self.top_p).filter(|top_p| *top_p < 1.0),
            }),
        };
        let answers = context.try_generate(&asked, &options);
        let mut sums = GroupScores::new(context.len());
        for (at, (sheet, answer)) in sheets.iter().zip(answers).enumerate() {
            let found = match answer {
                Ok(answer) => self.read(context, sheet, &answer),
                // One odd answer must not end a query; a server that fails must.
                Err(CallError::Answer { .. }) => None,
                Err(error) => return Err(error),
            };
            context.parsed(at, &found);
            let Some(scores) = found else {
                context.count("sheets-unreadable", 1);
                context.repaired("an answer had no sheet of scores; its group has no score in that repeat");
                continue;
            };
            for (item, score) in sheet.items.iter().zip(scores) {
                let Some(score) = score else { continue };
                sums.add(*item, score / MOST as f64)
                    .map_err(|error| CallError::Argument(error.to_string()))?;
            }
        }
        Ok(sums)
    }

    /// The scores of a group's documents; `None` where the answer has no sheet.
    fn read(
        &self,
        context: &mut RankContext<'_>,
        sheet: &Sheet,
        answer: &Generated,
    ) -> Option<Vec<Option<f64>>> {
        if self.free.is_none() {
            let Some(Value::Scores(scores)) = &answer.value else { return None };
            return Some(scores.iter().map(|score| Some(*score as f64)).collect());
        }
        if answer.finish == Finish::Length {
            context.count("answers-cut-at-max-tokens", 1);
        }
        let reply = whole_answer(&sheet.prompt, &answer.text);
        let found = parse_scores(&reply, sheet.items.len(), 0.0, MOST as f64);
        if !found.readable {
            return None;
        }
        if found.mended {
            context.count("sheets-mended", 1);
            context.repaired("the JSON of a sheet was mended");
        }
        if found.dropped > 0 {
            context.count("scores-dropped", found.dropped as u64);
            context.repaired("scores of unknown documents, or outside 0 to 10, were dropped");
        }
        if found.missing() > 0 {
            context.count("scores-missing", found.missing() as u64);
            context.repaired("a sheet left out documents, which have no score in that repeat");
        }
        Some(found.scores)
    }
}

impl PromptMethod for GroupRank {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let first = match self.fuse {
            Some(weight) => {
                let scores = first_stage::scores(context)?;
                Some((weight, first_stage::normalised(context, &scores, Normalisation::MinMax)?))
            }
            None => None,
        };
        let sums = self.scores(context)?;
        if sums.unscored() > 0 {
            let count = sums.unscored();
            context.count("documents-without-score", count as u64);
            let order = if first.is_some() { "by their first-stage scores" } else { "in the given order" };
            let told = format!("{count} documents never got one; they stand last, {order}, with -1 or less");
            context.note("without-score", told);
        }
        let found = match &first {
            Some((weight, first)) => {
                sums.fused(first, *weight).map_err(|error| CallError::Argument(error.to_string()))?
            }
            None => sums.means(),
        };
        let score = |(item, score): (usize, &Option<f64>)| match (score, &first) {
            (Some(score), _) => *score,
            (None, None) => -1.0,
            // Behind all others whatever the weight.
            (None, Some((_, first))) => first[item] - 2.0,
        };
        Ok(Order::Scores(found.iter().enumerate().map(score).collect()))
    }
}
