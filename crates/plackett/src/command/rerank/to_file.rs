//! Results that are a file: finished requests are kept while the work goes on, and a manifest is written at the end.

use super::arguments::Arguments;
use super::requests::{Groups, Incoming};
use super::sink::{Sink, Target};
use super::{Prepared, Unranked, rank};
use crate::command::failure::sentence;
use crate::command::memory::line_bytes;
use crate::command::{Failure, Global, Outcome, Output};
use anyhow::Context;
use plackett::content_hash::{Content, is_stream};
use plackett::manifest::{Difference, MANIFEST_VERSION, Manifest, OutputHash, RunSettings};
use plackett::unfinished::{Finished, Unfinished};
use plackett_core::formats::AtomicFile;
use plackett_remote::PREFIX;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Requests that go through local models together, when all methods read texts by themselves.
const TEXTS_TOGETHER: usize = 64;
/// The same where methods ask prompts or servers: so many are asked again after a kill, at most.
const PROMPTS_TOGETHER: usize = 8;

/// The name of the argument that says how long lines may be: a global flag on which what is read depends.
const LINE_LIMIT: &str = "max_line_bytes";

/// Runs the command with `--output`.
pub(super) fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let path = output_path(arguments)?;
    let manifest_path = manifest_path(arguments)?;
    let kept = Unfinished::path_for(&path);
    let stream = arguments.stream().map(|(flag, path)| {
        format!("{flag} {} is standard input or a pipe, which cannot be read again", path.display())
    });
    match (arguments.to_file.resume, &stream) {
        (true, Some(stream)) => {
            let problem = format!("--resume: {stream}; put what comes there into a file, and begin anew");
            return Err(anyhow::anyhow!(problem).into());
        }
        (false, None) => Unfinished::<Finished>::check_absent(&kept)?,
        (false, Some(stream)) => {
            output.warn(&format!("{stream}: an interrupted run cannot be resumed, nor this one be replayed"))
        }
        (true, None) => {}
    }
    let journal: Option<Unfinished> =
        arguments.to_file.resume.then(|| Unfinished::open(&kept)).transpose()?;
    let mut arguments = arguments.clone();
    if let Some(journal) = &journal {
        // What a budget allowed was measured once.
        let chosen = journal.settings.arguments.get("chosen").cloned().unwrap_or_default();
        arguments.chosen = serde_json::from_value(chosen)
            .with_context(|| format!("{}: what the budget allowed", kept.display()))?;
        arguments.check_values().with_context(|| kept.display().to_string())?;
    }
    let mut prepared = Prepared::new(&arguments, global, output)?;
    let settings = settings(&prepared, global)?;
    // Before anything is kept: a place that cannot be written is no run.
    let file = AtomicFile::create(&path)?;
    let mut keeper = match journal {
        Some(journal) => Keeper::resume(journal, &settings, output)?,
        None if stream.is_none() => Keeper::new(Some(Unfinished::create(&kept, &settings)?)),
        None => Keeper::new(None),
    };
    let (mut sink, requests) = keeper.fill(&arguments, global, output, &mut prepared, Some(file))?;
    if let Some(Content { sha256, bytes }) = sink.close()? {
        let manifest = Manifest {
            manifest_version: MANIFEST_VERSION,
            settings,
            requests,
            ranked: sink.ranked,
            failed: sink.failed,
            prompts: sink.prompts.clone(),
            output: OutputHash { path, sha256, bytes },
            cost: sink.cost.clone(),
            finished: jiff::Timestamp::now().to_string(),
        };
        manifest.write(&manifest_path)?;
        tell(&manifest, &manifest_path, keeper.resumed, output)?;
    }
    keeper.journal.map(Unfinished::remove).transpose()?;
    sink.outcome()
}

/// The file that `--output` names.
fn output_path(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let path = arguments.to_file.output.clone().context("--output: no file")?;
    if is_stream(&path) {
        anyhow::bail!(
            "--output {}: a file is expected, beside which finished requests can be kept; leave the flag out for standard output",
            path.display()
        );
    }
    AtomicFile::create(&path).map(drop)?;
    Ok(path)
}

/// The place of the manifest. A wrong one is refused before the work and not after it.
fn manifest_path(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let path = arguments.to_file.manifest_path().context("--manifest: no --output")?;
    if is_stream(&path) {
        anyhow::bail!("--manifest {}: a file is expected, which can be read again", path.display());
    }
    AtomicFile::create(&path).map(drop).context("--manifest")?;
    Ok(path)
}

/// What the result depends on.
fn settings(prepared: &Prepared, global: &Global) -> anyhow::Result<RunSettings> {
    let arguments = &prepared.arguments;
    let mut recorded = arguments.recorded()?;
    if !prepared.models.default_is_used() {
        // It comes from the environment, and no stage uses it.
        recorded.remove("model");
    }
    recorded.insert(LINE_LIMIT.into(), json!(global.max_line_bytes));
    let inputs = arguments.inputs()?;
    Ok(RunSettings::of("rerank", recorded, &prepared.pipeline, &prepared.models, inputs)?)
}

fn tell(manifest: &Manifest, path: &Path, resumed: usize, output: &Output) -> anyhow::Result<()> {
    let Manifest { requests, ranked, failed, output: written, cost, .. } = manifest;
    if output.json {
        return output.print_json(&json!({
            "output": written.path,
            "manifest": path,
            "requests": requests,
            "ranked": ranked,
            "failed": failed,
            "resumed": resumed,
            "cost": cost,
        }));
    }
    output.note(&format!(
        "{ranked} of {requests} requests are in {}; {} says what they were made of",
        written.path.display(),
        path.display()
    ));
    Ok(())
}

/// Keeps what is finished.
struct Keeper {
    journal: Option<Unfinished>,
    /// Answers that were there when the run began, or wait for being written.
    finished: BTreeMap<u64, Finished>,
    /// How many were there.
    resumed: usize,
    /// How many are kept now.
    kept: usize,
}

impl Keeper {
    fn new(mut journal: Option<Unfinished>) -> Keeper {
        let finished =
            journal.as_mut().map(|journal| std::mem::take(&mut journal.finished)).unwrap_or_default();
        let resumed = finished.len();
        Keeper { journal, finished, resumed, kept: resumed }
    }

    /// Takes up an interrupted run of the same settings.
    fn resume(journal: Unfinished, settings: &RunSettings, output: &Output) -> anyhow::Result<Keeper> {
        let path = journal.path().to_path_buf();
        let differences = settings.differences(&journal.settings);
        if !differences.is_empty() {
            anyhow::bail!(
                "--resume: {} was begun with other settings: {}; give the old ones, or remove the file to begin anew",
                path.display(),
                said(&differences)
            );
        }
        if journal.damaged > 0 {
            let (lines, are) = if journal.damaged == 1 { ("line", "is") } else { ("lines", "are") };
            output.warn(&format!(
                "{}: {} damaged {lines} {are} dropped; their requests are ranked again",
                path.display(),
                journal.damaged
            ));
        }
        let keeper = Keeper::new(Some(journal));
        output.note(&format!("{} requests were finished before; going on", keeper.resumed));
        Ok(keeper)
    }

    /// Ranks what is not finished and writes all in order. The second is the number of requests.
    fn fill<'a>(
        &mut self,
        arguments: &'a Arguments,
        global: &Global,
        output: &'a Output,
        prepared: &mut Prepared,
        file: Option<AtomicFile>,
    ) -> Result<(Sink<'a>, usize), Failure> {
        let requests = prepared.requests(global, output)?;
        let together = Together::of(prepared);
        let target = Target::File { file: file.map(Box::new), hash: Box::default() };
        let mut sink = Sink::new(arguments, prepared.format, target, output);
        prepared.within.show_behind(sink.bar(), super::sink::DOES);
        let mut count = 0;
        for group in (Groups { requests, most: together.most }) {
            let members: Vec<(u64, anyhow::Result<Incoming>)> = (count..).zip(group).collect();
            count += members.len() as u64;
            self.rank(&members, arguments, prepared, together.apart)?;
            for (number, request) in members {
                match request {
                    Err(error) => sink.fail(sentence(&error).into())?,
                    Ok(incoming) => {
                        let answer = match self.finished.remove(&number) {
                            Some(Finished::Ranking(ranking)) => Ok(*ranking),
                            Some(Finished::Failed(problem)) => Err(problem.into()),
                            None => Err(Unranked::lost()),
                        };
                        sink.take(incoming, answer)?;
                    }
                }
            }
        }
        Ok((sink, usize::try_from(count).unwrap_or(usize::MAX)))
    }

    /// Finishes the requests of a group and keeps their answers.
    fn rank(
        &mut self,
        group: &[(u64, anyhow::Result<Incoming>)],
        arguments: &Arguments,
        prepared: &Prepared,
        apart: bool,
    ) -> Result<(), Failure> {
        let read = || group.iter().filter(|(_, request)| request.is_ok());
        let missing = read().filter(|(number, _)| !self.finished.contains_key(number)).count();
        if missing == 0 {
            return Ok(());
        }
        // What requests of a group share is accounted to the first of them: a group that was interrupted is asked again
        // whole, unless its requests share nothing.
        let open: Vec<&(u64, anyhow::Result<Incoming>)> =
            read().filter(|(number, _)| !(apart && self.finished.contains_key(number))).collect();
        let answers = rank(
            &prepared.pipeline,
            open.iter().map(|(_, request)| request),
            arguments.top_k,
            prepared.calibration.as_ref(),
        );
        let mut outage = None;
        let mut new = Vec::new();
        for ((number, request), answer) in open.iter().zip(answers) {
            let line = request.as_ref().map_or(0, |incoming| incoming.line);
            match answer {
                Ok(ranking) => new.push((*number, Finished::Ranking(Box::new(ranking)))),
                Err(Unranked { problem, outage: true }) => {
                    outage.get_or_insert_with(|| format!("line {line}: {problem}"));
                }
                Err(Unranked { problem, .. }) => new.push((*number, Finished::Failed(problem))),
            }
        }
        self.kept += new.iter().filter(|(number, _)| !self.finished.contains_key(number)).count();
        if let Some(journal) = &mut self.journal {
            journal.add(new.iter().map(|(number, finished)| (*number, finished)))?;
        }
        self.finished.extend(new);
        prepared.check_trace()?;
        match outage {
            None => Ok(()),
            Some(problem) => Err(Failure::Service(self.interrupted(&problem))),
        }
    }

    /// What is said when a server fails.
    fn interrupted(&self, problem: &str) -> anyhow::Error {
        match &self.journal {
            Some(journal) => anyhow::anyhow!(
                "{problem}; {} finished requests are kept in {}: the same command with --resume goes on",
                self.kept,
                journal.path().display()
            ),
            None => anyhow::anyhow!("{problem}; nothing was written"),
        }
    }
}

fn said(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Which requests go through the models together.
struct Together {
    most: usize,
    /// Whether an answer and its account depend on nothing else in the group.
    apart: bool,
}

impl Together {
    fn of(prepared: &Prepared) -> Together {
        let stages = prepared.pipeline.descriptions();
        let remote = |model: &str| model.starts_with(PREFIX);
        let prompts = stages.iter().any(|stage| !stage.prompts.is_empty());
        match stages.iter().filter(|stage| remote(&stage.model)).count() {
            0 if prompts => Together { most: PROMPTS_TOGETHER, apart: false },
            0 => Together { most: TEXTS_TOGETHER, apart: false },
            // A server that fails can leave a group half done.
            servers
                if servers == stages.len()
                    && stages.iter().all(|stage| asks_each_request_alone(&stage.method)) =>
            {
                Together { most: PROMPTS_TOGETHER, apart: true }
            }
            _ => Together { most: 1, apart: true },
        }
    }
}

/// Whether a server is asked for each request by itself, and not for texts that requests share.
fn asks_each_request_alone(method: &str) -> bool {
    !matches!(method, "bi-encoder" | "late-interaction")
}

/// A run that was made again.
pub struct Rerun {
    /// What it wrote.
    pub written: Option<Content>,
    /// How it went.
    pub outcome: Outcome,
}

/// Makes the run of a manifest again, into a file or for the hash alone. The working folder is the run's.
///
/// # Errors
/// Arguments that this version does not know, an input or model that has changed, a server that fails.
pub fn again(
    manifest: &Manifest,
    file: Option<&Path>,
    global: &Global,
    output: &Output,
) -> Result<Rerun, Failure> {
    let before = &manifest.settings;
    let mut recorded = before.arguments.clone();
    let limit = recorded.remove(LINE_LIMIT);
    let arguments: Arguments = serde_json::from_value(Value::Object(recorded))
        .map_err(|error| anyhow::anyhow!("its arguments are not those of `plackett rerank`: {error}"))?;
    arguments.check_values()?;
    // The result is a file, whatever is said about it.
    let mut global = Global { json: false, ..global.clone() };
    if let Some(limit) = limit {
        let limit = limit.to_string();
        global.max_line_bytes =
            line_bytes(&limit).map_err(|expected| anyhow::anyhow!("--max-line-bytes {limit}: {expected}"))?;
    }
    if let Some(input) = before.inputs.iter().find(|input| input.sha256.is_none()) {
        let flag = &input.flag;
        return Err(anyhow::anyhow!(
            "{flag} was standard input or a pipe, which cannot be read again; keep it in a file"
        )
        .into());
    }
    let mut prepared = Prepared::new(&arguments, &global, output)?;
    let now = settings(&prepared, &global)?;
    let (versions, changed): (Vec<Difference>, Vec<Difference>) = now
        .differences(before)
        .into_iter()
        .partition(|difference| matches!(difference, Difference::Version { .. }));
    if !changed.is_empty() {
        return Err(anyhow::anyhow!("it cannot be made again: {}", said(&changed)).into());
    }
    if !versions.is_empty() {
        output.warn(&format!("plackett {} made it, and this is {}", before.plackett, now.plackett));
    }
    let file = file.map(AtomicFile::create).transpose()?;
    let mut keeper = Keeper::new(None);
    let (mut sink, _) = keeper.fill(&arguments, &global, output, &mut prepared, file)?;
    let written = sink.close()?;
    Ok(Rerun { written, outcome: sink.outcome() })
}
