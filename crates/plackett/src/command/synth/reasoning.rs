//! `plackett synth reasoning`: lists with a reasoning before their order, from which a decoder learns to reason and to rank.

use super::kept::{Kept, take_up};
use super::{model_hash, stream_remark};
use crate::command::failure::sentence;
use crate::command::number::whole;
use crate::command::open::many;
use crate::command::paths::{Paths, check_made};
use crate::command::{Failure, Global, Outcome, Output};
use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use plackett::listwise_examples::method_of;
use plackett::manifest::{InputHash, RunSettings};
use plackett::pipeline::Models;
use plackett::unfinished::Unfinished;
use plackett_core::formats::{AtomicFile, read_json_lines};
use plackett_core::{Document, Query, RankRequest, Ranking};
use plackett_rank::method::Family;
use plackett_rank::{Ranker, Settings};
use plackett_train::synth::reasoning::{
    ReasonedExample, UnreasonedList, UselessReply, clean_reasoning, needs_reasoning, split_reply,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Lists that a model is asked about together.
const TOGETHER: usize = 8;

/// Lists with a reasoning before their order, to teach a decoder `dear` or `reason-rank`
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett synth reasoning train.jsonl -o reasoned.jsonl\n  \
                        plackett synth reasoning replies.jsonl -o reasoned.jsonl --by replies\n  \
                        plackett synth reasoning train.jsonl -o reasoned.jsonl --by model --model SmolLM2-135M-Instruct\n  \
                        plackett synth reasoning train.jsonl -o reasoned.jsonl --by model --method 'dear(mode=free)' \\\n    \
                        --model 'remote:https://api.openai.com/v1/chat/completions#model=gpt-4o,key=OPENAI_API_KEY'\n\n\
                        Each line is {\"query\": …, \"candidates\": [{\"text\": …, \"label\": 1}, …]}, as `plackett train` reads it;\n\
                        with --by replies it has a \"reply\", which ends with all candidates as [2] > [1] > [3], where [1] is\n\
                        the first one of the line. With the others candidates are put in a drawn order first. Each line of\n\
                        the result has the `reasoning`, and the order as `teacher` scores. What a model has replied is kept\n\
                        in FILE.unfinished until all is there: the same command goes on after a kill.")]
pub struct Arguments {
    /// Lists, one JSON object a line
    lists: PathBuf,
    /// The file that is made
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Where reasonings come from
    #[arg(long, value_enum, default_value = "needs")]
    by: Source,
    /// Model that reasons and orders with --by model: directory, Hugging Face id, built-in name or remote:URL
    #[arg(long, short, value_name = "MODEL", required_if_eq("by", "model"))]
    model: Option<String>,
    /// How it is asked: dear or reason-rank, with options [default: dear]
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Seed of the orders in which candidates are shown [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..))]
    seed: Option<u64>,
}

/// Where reasonings come from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    /// A rule: the words of the query and the candidates that hold them, by the labels
    Needs,
    /// What a teacher has replied, in the lines
    Replies,
    /// A model, whose order is taken too
    Model,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Source::Needs => "needs",
            Source::Replies => "replies",
            Source::Model => "model",
        }
    }
}

/// A reasoning and an order, or why there is none of use.
type Reply = Result<(String, Vec<usize>), UselessReply>;

/// What became of a list, as it is kept until the lists are written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answered {
    /// There is a reply.
    Replied(Reply),
    /// Why it cannot be asked about, now or later.
    Failed(String),
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let files = Paths::default().reads("LISTS", [&arguments.lists]).opens("--model", &arguments.model);
    let files = files.writes("--output", [&arguments.output]);
    files.writes("the replies of --output", arguments.kept_file()).check(output)?;
    check_flags(arguments)?;
    check_made("--output", &arguments.output)?;
    let lists = read(arguments, global)?;
    let mut asked = match arguments.by {
        Source::Model => Some(Asked::new(arguments, &lists, global, output)?),
        _ => None,
    };
    let bar = output.progress("reasonings", lists.len() as u64);
    let mut file = AtomicFile::create(&arguments.output)?;
    let (count, mut written, mut failed, mut left_out) = (lists.len(), 0, 0_usize, Vec::new());
    let mut numbers = 0..;
    for group in lists.chunks(TOGETHER) {
        let replies = match &mut asked {
            Some(asked) => asked.replies(group.iter().zip(&mut numbers).collect())?,
            None => group.iter().map(|(_, list)| Answered::Replied(made(arguments.by, list))).collect(),
        };
        for ((_, list), reply) in group.iter().zip(replies) {
            match reply {
                Answered::Replied(Ok((reasoning, order))) => {
                    written += 1;
                    write(&mut file, &list.clone().reasoned(reasoning, &order))?;
                }
                Answered::Replied(Err(useless)) => left_out.push(useless),
                Answered::Failed(problem) => {
                    failed += 1;
                    output.part_failed(&bar, &problem);
                }
            }
        }
        bar.inc(group.len() as u64);
    }
    bar.finish_and_clear();
    let left_out = counts(&left_out);
    for (useless, lists) in &left_out {
        output.warn(&format!("left out: {}, {}", many(*lists, "list"), useless.words()));
    }
    if written > 0 {
        file.commit()?;
    }
    if let Some(asked) = asked {
        asked.kept.remove()?;
    }
    if written == 0 {
        return Err(anyhow!(
            "{}: none of {} gives a reasoning and an order; nothing was written",
            arguments.lists.display(),
            many(count, "list")
        )
        .into());
    }
    say(arguments, (count, written), &left_out, output)?;
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Check(format!(
            "{failed} of {} could not be asked about and are left out",
            many(count, "list")
        ))),
    }
}

impl Arguments {
    /// Where replies of a model are kept until the lists are written; `None` where none is asked, or what is read can be read once only.
    fn kept_file(&self) -> Option<PathBuf> {
        let is_kept = self.by == Source::Model && self.stream_remark().is_none();
        is_kept.then(|| Unfinished::path_for(&self.output))
    }

    /// What is to be said where replies cannot be kept.
    fn stream_remark(&self) -> Option<String> {
        stream_remark(&[("LISTS", self.lists.as_path()), ("--output", self.output.as_path())])
    }
}

/// Refuses flags without an effect.
fn check_flags(arguments: &Arguments) -> anyhow::Result<()> {
    let by = arguments.by;
    let of_model = [("--model", arguments.model.is_some()), ("--method", arguments.method.is_some())];
    if let (true, Some((flag, _))) = (by != Source::Model, of_model.iter().find(|(_, given)| *given)) {
        bail!("{flag}: --by {} asks no model; leave it out, or write --by model", by.name());
    }
    if by == Source::Replies && arguments.seed.is_some() {
        bail!("--seed: replies name candidates as they stand, and nothing is drawn; leave it out");
    }
    Ok(())
}

/// The lists as they are shown, with their lines.
fn read(arguments: &Arguments, global: &Global) -> anyhow::Result<Vec<(u64, UnreasonedList)>> {
    let (path, by) = (arguments.lists.display(), arguments.by);
    let expected = "{\"query\": …, \"candidates\": [{\"text\": …, \"label\": …}, …]}";
    let mut lists = read_json_lines::<UnreasonedList>(&arguments.lists, global.max_line_bytes, expected)?;
    if lists.is_empty() {
        bail!("{path}: there is no list; give at least one line");
    }
    for (line, list) in &mut lists {
        let problem = list.problem().or_else(|| match by {
            Source::Needs => list.order().err(),
            Source::Replies if list.reply.is_none() => {
                Some("there is no `reply`; give one, or leave out --by replies".into())
            }
            _ => None,
        });
        if let Some(problem) = problem {
            bail!("{path}, line {line}: {problem}");
        }
        // Only now: what is wrong names candidates as they stand in the line.
        if by != Source::Replies {
            list.shuffle(arguments.seed.unwrap_or(1), *line);
        }
    }
    Ok(lists)
}

/// What needs no model.
fn made(by: Source, list: &UnreasonedList) -> Reply {
    if by == Source::Replies {
        return split_reply(list.reply.as_deref().unwrap_or_default(), list.candidates.len());
    }
    // Lists without an order were refused when they were read.
    let order = list.order().map_err(|_| UselessReply::Order)?;
    Ok((needs_reasoning(&list.query, &list.texts(), &order), order))
}

/// A model that reasons, as a method asks it.
struct Asked {
    ranker: Arc<dyn Ranker>,
    /// Whether reasoning and order are one answer.
    is_free: bool,
    /// What it has replied, by the number of the list.
    kept: Kept<Answered>,
}

impl Asked {
    /// For lists, each of which has to be shown whole in one prompt.
    fn new(
        arguments: &Arguments,
        lists: &[(u64, UnreasonedList)],
        global: &Global,
        output: &Output,
    ) -> anyhow::Result<Asked> {
        let name = arguments.method.clone().unwrap_or_else(|| "dear".into());
        let flag = || format!("--method {name}");
        let (spec, options) = method_of(&name).map_err(|problem| anyhow!("{}: {problem}", flag()))?;
        if let Some((option, _)) =
            options.iter().find(|(option, _)| ["depth", "top"].contains(&option.as_str()))
        {
            bail!(
                "{}: {option} leaves candidates without a place, and an order of all is learned; leave it out",
                flag()
            );
        }
        // Two calls for two candidates are a reasoning and an order.
        let two = spec.calls.count.map(|of| of(2, &spec.defaults()));
        if spec.family != Family::Listwise || two != Some(2) {
            bail!("{}: it does not reason before it writes an order; use dear or reason-rank", flag());
        }
        let written = options.iter().map(|(option, value)| (option.as_str(), value.as_str()));
        let values = spec.values(written).with_context(flag)?;
        let models = Models::new(arguments.model.clone(), global.models());
        let model = models.reranker(None)?;
        let ranker = spec.ranker(model, values.clone(), Settings::default()).with_context(flag)?;
        let is_free = options.contains(&("mode".into(), "free".into()));
        // One window is one call with a free answer, else two.
        let calls = if is_free { 1 } else { 2 };
        for (line, list) in lists {
            let count = list.candidates.len();
            if spec.calls.count.is_none_or(|of| of(count, &values) != calls) {
                bail!(
                    "{}, line {line}: {name} does not show {count} candidates in one prompt; give it a window for all of them, as \
                     window={count}, or leave some out",
                    arguments.lists.display()
                );
            }
        }
        Ok(Asked { ranker, is_free, kept: kept(arguments, &name, global, output)? })
    }

    /// What it replies about lists, each with its number; those that it has replied about are not asked again.
    ///
    /// # Errors
    /// The model's server has failed; the replies about other lists are kept.
    fn replies(&mut self, lists: Vec<(&(u64, UnreasonedList), u64)>) -> Result<Vec<Answered>, Failure> {
        let is_open = |(_, number): &&(&(u64, UnreasonedList), u64)| !self.kept.known.contains_key(number);
        let open: Vec<_> = lists.iter().filter(is_open).collect();
        let mut requests = Vec::with_capacity(open.len());
        for ((line, list), _) in &open {
            let documents = list.texts().into_iter().enumerate();
            let documents = documents.map(|(at, text)| Document::new(at.to_string(), text));
            requests
                .push(RankRequest::new(Query::new(format!("line {line}"), list.query.as_str()), documents));
        }
        let (mut new, mut failure) = (Vec::with_capacity(open.len()), None);
        for ((_, number), ranking) in open.iter().zip(self.ranker.rank(&requests)) {
            match ranking {
                Ok(ranking) => new.push((*number, Answered::Replied(self.reply(&ranking)))),
                Err(error) if error.is_outage() => {
                    failure.get_or_insert(error);
                }
                Err(error) => new.push((*number, Answered::Failed(sentence(&anyhow::Error::new(error))))),
            }
        }
        self.kept.add(new)?;
        if let Some(error) = failure {
            let problem = sentence(&anyhow::Error::new(error));
            return Err(Failure::Service(anyhow!("{problem}; {}", self.kept.interrupted())));
        }
        Ok(lists.iter().filter_map(|(_, number)| self.kept.known.remove(number)).collect())
    }

    fn reply(&self, ranking: &Ranking) -> Reply {
        let fact = |name: &str| ranking.trace.facts.iter().find(|(own, _)| own == name);
        let said = fact("reasoning").map_or("", |(_, said)| said.as_str());
        if self.is_free {
            return split_reply(said, ranking.entries.len());
        }
        if fact("reasoning-cut-at-max-tokens").is_some() {
            return Err(UselessReply::Cut);
        }
        let places: Option<Vec<usize>> = ranking.entries.iter().map(|entry| entry.id.parse().ok()).collect();
        Ok((clean_reasoning(said, ranking.entries.len())?, places.ok_or(UselessReply::Order)?))
    }
}

/// What an interrupted run of the same settings has left of the model's replies, and where they are kept.
fn kept(
    arguments: &Arguments,
    method: &str,
    global: &Global,
    output: &Output,
) -> anyhow::Result<Kept<Answered>> {
    let Some(path) = arguments.kept_file() else {
        arguments.stream_remark().iter().for_each(|remark| output.warn(remark));
        return Ok(Kept::new(None));
    };
    let recorded = [
        ("method", json!(method)),
        ("model", json!(arguments.model)),
        ("seed", json!(arguments.seed.unwrap_or(1))),
    ];
    let recorded: Map<String, Value> =
        recorded.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    let models = vec![model_hash(arguments.model.as_deref(), global)?];
    let inputs = vec![InputHash::of("LISTS", &arguments.lists)?];
    let settings = RunSettings::without_stages("synth reasoning", recorded, models, inputs)?;
    Ok(Kept::new(Some(take_up(&path, &settings, output)?)))
}

fn write(file: &mut AtomicFile, example: &ReasonedExample) -> anyhow::Result<()> {
    Ok(writeln!(file, "{}", serde_json::to_string(example)?)?)
}

/// How many lists were left out for each reason that there is.
fn counts(left_out: &[UselessReply]) -> Vec<(UselessReply, usize)> {
    let of = |useless: &UselessReply| left_out.iter().filter(|own| *own == useless).count();
    let counted = UselessReply::ALL.into_iter().map(|useless| (useless, of(&useless)));
    counted.filter(|(_, lists)| *lists > 0).collect()
}

fn say(
    arguments: &Arguments,
    (count, written): (usize, usize),
    left_out: &[(UselessReply, usize)],
    output: &Output,
) -> Outcome {
    if output.json {
        let left_out: Map<String, Value> =
            left_out.iter().map(|(useless, lists)| (useless.words().into(), json!(lists))).collect();
        return Ok(output.print_json(&json!({
            "by": arguments.by.name(),
            "lists": count,
            "written": written,
            "left_out": left_out,
            "output": arguments.output,
        }))?);
    }
    let file = arguments.output.display();
    let by = arguments.by.name();
    Ok(output.print(&format!("{file}: {} of {count} with a reasoning by {by}\n", many(written, "list")))?)
}
