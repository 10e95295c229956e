//! Where answers go: in order, to standard output or to a file.

use super::arguments::{Arguments, Format};
use super::budget::Overruns;
use super::remarks::Remarks;
use super::requests::Incoming;
use super::{Unranked, repaired};
use crate::command::results::{Writer, to_json};
use crate::command::search::{Format as Shape, USUAL_TAG};
use crate::command::{Failure, Outcome, Output};
use indicatif::ProgressBar;
use plackett::content_hash::{Content, RunningHash};
use plackett::manifest::Cost;
use plackett_core::Ranking;
use plackett_core::formats::AtomicFile;
use plackett_rank::budget::Budget;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;

/// What the bar says.
pub(super) const DOES: &str = "reranking";

/// What takes answers.
pub(super) enum Target {
    /// Standard output.
    Screen,
    /// A file, of which the hash is wanted; without one the hash alone.
    File {
        /// The file.
        file: Option<Box<AtomicFile>>,
        /// The hash of what was written.
        hash: Box<RunningHash>,
    },
}

/// Writes answers in order and counts what failed.
pub(super) struct Sink<'a> {
    output: &'a Output,
    format: Format,
    writer: Writer<'a>,
    target: Target,
    strict: bool,
    pub ranked: usize,
    pub failed: usize,
    /// How many of those because a server failed.
    outages: usize,
    pub cost: Cost,
    /// Prompt templates that answers were made with.
    pub prompts: BTreeSet<String>,
    remarks: Remarks,
    budget: Option<Budget>,
    overruns: Overruns,
    bar: ProgressBar,
}

impl<'a> Sink<'a> {
    pub fn new(arguments: &'a Arguments, format: Format, target: Target, output: &'a Output) -> Self {
        let shape = match format {
            Format::Trec => Shape::Trec,
            Format::Json => Shape::Json,
            Format::Document => Shape::Document,
            Format::Jsonl | Format::Requests => Shape::Jsonl,
        };
        let bar = output.counter(DOES);
        let tag = arguments.tag.as_deref().unwrap_or(USUAL_TAG);
        let writer = Writer::new(shape, tag, &output.envelope);
        let (strict, cost, prompts) = (arguments.strict, Cost::default(), BTreeSet::new());
        let (ranked, failed, outages, remarks) = (0, 0, 0, Remarks::default());
        let (budget, overruns) = (arguments.budget(), Overruns::default());
        Sink {
            output,
            format,
            writer,
            target,
            strict,
            ranked,
            failed,
            outages,
            cost,
            prompts,
            remarks,
            budget,
            overruns,
            bar,
        }
    }

    /// The bar that counts requests.
    pub fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// Takes the answer of a request.
    pub fn take(&mut self, incoming: Incoming, answer: Result<Ranking, Unranked>) -> Outcome {
        let line = incoming.line;
        match answer {
            Ok(ranking) => match repaired(line, &ranking).filter(|_| self.strict) {
                Some(unranked) => Err(unranked.end()),
                None => Ok(self.write(incoming, &ranking)?),
            },
            Err(unranked) => self.fail(unranked.at(&format!("line {line}"))),
        }
    }

    fn write(&mut self, incoming: Incoming, ranking: &Ranking) -> anyhow::Result<()> {
        self.bar.inc(1);
        self.remarks.take(ranking);
        self.remarks.take_query(&incoming.request.query);
        self.cost.add(&ranking.trace);
        self.overruns.take(self.budget, &ranking.trace);
        let prompts = ranking.trace.facts.iter().filter(|(name, _)| name == "prompt");
        self.prompts.extend(prompts.map(|(_, id)| id.clone()));
        if self.format == Format::Requests {
            self.remarks.take_rounded(incoming.source.as_ref().and_then(|source| source.rounded.as_ref()));
        }
        let text = match self.format {
            Format::Requests => format!("{}\n", self.kept(incoming.reordered(ranking)?)),
            Format::Trec => self.writer.entry(ranking)?,
            _ => {
                let object = self.kept(to_json(ranking));
                self.writer.object(&object)
            }
        };
        self.print(&text)?;
        self.ranked += 1;
        Ok(())
    }

    /// An answer as it is written. Seconds are never twice the same, so a file has none: they are in the manifest.
    fn kept(&self, mut object: Value) -> Value {
        if matches!(self.target, Target::File { .. })
            && let Some(trace) = object.get_mut("trace").and_then(Value::as_object_mut)
        {
            trace.remove("seconds");
        }
        object
    }

    fn print(&mut self, text: &str) -> anyhow::Result<()> {
        match &mut self.target {
            Target::Screen => self.output.print_data(text)?,
            Target::File { file, hash } => {
                hash.update(text.as_bytes());
                if let Some(file) = file {
                    file.write_all(text.as_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// Reports a request that was not ranked. It is left out of the output: in its old order it would look ranked.
    pub fn fail(&mut self, unranked: Unranked) -> Outcome {
        self.bar.inc(1);
        if self.strict {
            return Err(unranked.end());
        }
        self.failed += 1;
        self.outages += usize::from(unranked.outage);
        self.output.part_failed(&self.bar, &unranked.problem);
        Ok(())
    }

    /// Ends the list of answers. A file takes its name, unless none could be ranked.
    /// What was written to a file is given back.
    pub fn close(&mut self) -> anyhow::Result<Option<Content>> {
        self.bar.finish_and_clear();
        self.remarks.tell(self.output);
        self.overruns.tell(self.budget, self.output);
        let end = self.writer.end();
        self.print(&end)?;
        match std::mem::replace(&mut self.target, Target::Screen) {
            Target::File { file, hash } if self.ranked > 0 || self.failed == 0 => {
                file.map(|file| file.commit()).transpose()?;
                Ok(Some(hash.content()))
            }
            _ => Ok(None),
        }
    }

    /// How it went.
    pub fn outcome(&self) -> Outcome {
        match (self.ranked, self.failed) {
            (_, 0) => Ok(()),
            (0, failed) if failed == self.outages => Err(Failure::Service(anyhow::anyhow!(
                "none of the {failed} requests could be ranked, because servers failed"
            ))),
            (0, failed) => Err(anyhow::anyhow!("none of the {failed} requests could be ranked").into()),
            (ranked, failed) => Err(Failure::Check(format!(
                "{failed} of {} requests could not be ranked and are left out",
                ranked + failed
            ))),
        }
    }
}
