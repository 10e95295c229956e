//! `plackett synth labels`: the scores of a teacher beside the labels of lists, from any reranking method.

use super::kept::{Kept, take_up};
use super::stream_remark;
use crate::command::cut_texts::CutTexts;
use crate::command::failure::sentence;
use crate::command::number::{real, whole};
use crate::command::open::{LongTextArguments, many};
use crate::command::paths::Paths;
use crate::command::within::Within;
use crate::command::{Failure, Global, Outcome, Output};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use indicatif::ProgressBar;
use plackett::Pipeline;
use plackett::content_hash::is_stream;
use plackett::manifest::{Cost, InputHash, RunSettings};
use plackett::pipeline::Models;
use plackett::teacher_labels::{TeacherLabels, in_several_orders};
use plackett::training_lists::{TrainingCandidate, TrainingList};
use plackett::unfinished::{Finished, Unfinished};
use plackett_core::formats::requests::{SourcedRequest, open_requests};
use plackett_core::formats::{AtomicFile, FormatError};
use plackett_core::pipeline::Pipeline as Expression;
use plackett_core::{RankRequest, Ranking, Status};
use plackett_rank::method::Family;
use plackett_rank::{MethodSpec, Settings};
use plackett_train::trainer::Candidate;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Answers that a model is asked for together. A method gives those of a call at once, since their texts or prompts share passes of the model,
/// so that a kill loses as many at most; one by one, all of them would be slower.
const TOGETHER: usize = 8;
/// What the bar says.
const DOES: &str = "labels";

/// The scores of a teacher for the candidates of lists, from any reranking method, for a student that copies them (distillation)
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett synth labels train.jsonl -o labelled.jsonl --method cross-encoder --model ./teacher\n  \
                        plackett synth labels requests.jsonl -o labelled.jsonl --method 'listwise(window=20, stride=10)' \\\n    \
                        --model 'remote:https://api.openai.com/v1/chat/completions#model=gpt-4o,key=OPENAI_API_KEY' \\\n    \
                        --repeats 3\n  \
                        plackett synth labels train.jsonl -o labelled.jsonl --method listwise \\\n    \
                        --model SmolLM2-135M-Instruct --repeats 5 --agreement 0.5\n\n\
                        Each line is {\"query\": …, \"candidates\": [{\"text\": …, \"label\": 1}, …]}, as `plackett train` reads it,\n\
                        or a request as `plackett rerank` reads it. What is written has a `teacher` score beside each label:\n\
                        the method's score, or for methods that only order the number of candidates for the best one down to\n\
                        1. Candidates stay in their order; those without a label get 0. Fields beside query, candidates and\n\
                        their ids are left out.\n\n\
                        With --repeats each list is asked about several times, its candidates in another order each time:\n\
                        scores become means, and orders the one that is nearest to all (permutation self-consistency).\n\
                        Answers are kept in FILE.unfinished until all are there: after a kill, or where a server dies (exit\n\
                        code 3), the same command goes on.")]
pub struct Arguments {
    /// Lists or requests, one JSON object a line; `-` for standard input
    #[arg(value_name = "LISTS")]
    lists: PathBuf,
    /// The file that is made
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// How the teacher is asked: any reranking method with options (`plackett method list`)
    #[arg(long, value_name = "METHOD")]
    method: String,
    /// The teacher: directory, Hugging Face id, built-in name or remote:URL [default: the bundled embedding model]
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,
    /// How often each list is asked about, its candidates in another order each time
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<usize>(1..=1000))]
    repeats: usize,
    /// Leave out lists whose answers agree less: the mean of Kendall's tau of each two of them
    #[arg(long, value_name = "TAU", value_parser = real(" from -1 to 1", |x| (-1.0..=1.0).contains(&x)))]
    agreement: Option<f64>,
    /// Seed of the orders in which candidates are shown when a list is asked about again [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..))]
    seed: Option<u64>,
    #[command(flatten)]
    long_text: LongTextArguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    arguments.check(output)?;
    let within = Within::default();
    let teacher = Teacher::open(arguments, &within, global)?;
    arguments.written(Paths::default().opens_methods(&teacher.pipeline)).check(output)?;
    let file = AtomicFile::create(&arguments.output)?;
    let answers = answers(arguments, &teacher, output)?;
    let bar = output.counter(DOES);
    within.show_behind(&bar, DOES);
    let mut labelling =
        Labelling { arguments, output, teacher, answers, file, bar, account: Account::default() };
    let mut numbered = (0..).zip(open_requests(&arguments.lists, global.max_line_bytes)?);
    let together = lists_together(arguments.repeats);
    loop {
        let group: Vec<Numbered> = numbered.by_ref().take(together).collect();
        if group.is_empty() {
            break;
        }
        labelling.ask(&group)?;
        for (number, request) in group {
            labelling.take(number, request)?;
        }
    }
    within.hide();
    labelling.end()
}

/// How many lists are asked about together, each so many times.
fn lists_together(repeats: usize) -> usize {
    (TOGETHER / repeats.max(1)).max(1)
}

/// A list with its number in the file, from 0, or why it cannot be read.
type Numbered = (u64, Result<SourcedRequest, FormatError>);

impl Arguments {
    /// Refuses flags without an effect, and files that would be written over while they are read.
    fn check(&self, output: &Output) -> anyhow::Result<()> {
        let files = Paths::default().reads("LISTS", [&self.lists]).opens("--model", &self.model);
        self.written(files).check(output)?;
        if is_stream(&self.output) {
            bail!("--output {}: a file is expected, beside which answers can be kept", self.output.display());
        }
        let of_several = [("--agreement", self.agreement.is_some()), ("--seed", self.seed.is_some())];
        if let (1, Some((flag, _))) = (self.repeats, of_several.iter().find(|(_, given)| *given)) {
            bail!(
                "{flag}: each list is asked about once, as it stands; leave it out, or give --repeats 3, say"
            );
        }
        stream_remark(&[("LISTS", self.lists.as_path())]).iter().for_each(|remark| output.warn(remark));
        Ok(())
    }

    /// All files that are written.
    fn written(&self, files: Paths) -> Paths {
        let kept = Unfinished::path_for(&self.output);
        files.writes("--output", [&self.output]).writes("the answers of --output", [kept])
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }
}

/// A model as a method asks it.
struct Teacher {
    models: Models,
    pipeline: Pipeline,
    /// Whether scores are the method's own, and do not only count places.
    has_scores: bool,
}

impl Teacher {
    fn open(arguments: &Arguments, within: &Within, global: &Global) -> anyhow::Result<Teacher> {
        let flag = || format!("--method {}", arguments.method);
        let parsed: Expression = arguments.method.parse().with_context(flag)?;
        let [stage] = &parsed.stages[..] else {
            bail!("{}: one method is expected, without `>>`", flag());
        };
        let spec = MethodSpec::find(&stage.name).with_context(flag)?;
        if !stage.inputs.is_empty() || stage.depth.is_some() {
            bail!(
                "{}: a method with options is expected, as `listwise(window=20)`, which scores all candidates",
                flag()
            );
        }
        let written = stage.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let values = spec.values(written).with_context(flag)?;
        if arguments.repeats > 1 && matches!(spec.family, Family::Embedding | Family::Pointwise) {
            bail!(
                "--repeats: {} looks at each candidate by itself, so that other orders of them change nothing; leave it out",
                spec.name
            );
        }
        let models = Models::new(arguments.model.clone(), global.models());
        let mut settings: Settings = arguments.long_text.settings()?;
        settings.progress = Some(within.progress());
        let pipeline = Pipeline::resolve(&arguments.method, None, &models, &settings).context("--method")?;
        if let (Some(model), false) = (&arguments.model, models.default_is_used()) {
            bail!("--model {model}: the method names a model of its own; leave one of them out");
        }
        Ok(Teacher { models, pipeline, has_scores: (spec.gives_scores)(&values) })
    }
}

/// What the teacher has said, by the number of the list and of the repeat: begins to keep it, or takes up what an interrupted run has left.
fn answers(arguments: &Arguments, teacher: &Teacher, output: &Output) -> anyhow::Result<Kept<Finished>> {
    if is_stream(&arguments.lists) {
        return Ok(Kept::new(None));
    }
    let path = Unfinished::path_for(&arguments.output);
    Ok(Kept::new(Some(take_up(&path, &settings(arguments, teacher)?, output)?)))
}

/// What answers depend on.
fn settings(arguments: &Arguments, teacher: &Teacher) -> anyhow::Result<RunSettings> {
    let recorded = [
        ("method", json!(arguments.method)),
        ("model", json!(arguments.model)),
        ("repeats", json!(arguments.repeats)),
        ("seed", json!(arguments.seed())),
        ("long_text", arguments.long_text.reading()),
    ];
    let recorded: Map<String, Value> =
        recorded.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    let inputs = vec![InputHash::of("LISTS", &arguments.lists)?];
    Ok(RunSettings::of("synth labels", recorded, &teacher.pipeline, &teacher.models, inputs)?)
}

/// What came of the lists.
#[derive(Default)]
struct Account {
    lists: usize,
    written: usize,
    /// Lists that could not be labelled.
    failed: usize,
    /// Lists whose answers agree too little.
    disagreed: usize,
    /// Lists of which one answer is left where answers are to agree.
    alone: usize,
    /// Answers that failed, of lists that go by the others.
    lost: usize,
    /// Answers of the model that had to be repaired.
    repaired: usize,
    /// Candidates without a label.
    unlabelled: usize,
    /// Lists whose candidates have all the same score.
    equal: usize,
    /// Agreements of the lists that have several answers.
    agreements: Vec<f64>,
    cut: CutTexts,
    cost: Cost,
}

/// Why a list that the teacher has answered about is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeftOut {
    /// Its answers agree too little.
    Disagreed,
    /// All its answers but one failed: there is none to agree with.
    Alone,
}

impl LeftOut {
    /// `None` for a list that is kept; `least` is the agreement that is asked for.
    fn of(labels: &TeacherLabels, least: Option<f64>) -> Option<LeftOut> {
        let least = least?;
        match labels.agreement {
            None => Some(LeftOut::Alone),
            Some(own) => (own < least).then_some(LeftOut::Disagreed),
        }
    }
}

/// A run on its way.
struct Labelling<'a> {
    arguments: &'a Arguments,
    output: &'a Output,
    teacher: Teacher,
    answers: Kept<Finished>,
    file: AtomicFile,
    bar: ProgressBar,
    account: Account,
}

impl Labelling<'_> {
    /// The numbers of the answers about a list.
    fn numbers(&self, list: u64) -> std::ops::Range<u64> {
        let repeats = self.arguments.repeats as u64;
        list * repeats..(list + 1) * repeats
    }

    /// Asks about all lists of a group that have no answer yet.
    ///
    /// # Errors
    /// A server fails; what it had answered is kept.
    fn ask(&mut self, group: &[Numbered]) -> Outcome {
        let mut open: Vec<(u64, u64, RankRequest)> = Vec::new();
        for (number, source) in group {
            let Ok(source) = source else { continue };
            // What cannot be labelled is not paid for.
            if labels_of(source).is_err() {
                continue;
            }
            let seed = self.arguments.seed().wrapping_add(*number);
            let shown = in_several_orders(&source.request, self.arguments.repeats, seed);
            let numbered = self.numbers(*number).zip(shown);
            let missing = numbered.filter(|(own, _)| !self.answers.known.contains_key(own));
            open.extend(missing.map(|(own, request)| (own, source.line, request)));
        }
        let requests: Vec<RankRequest> = open.iter().map(|(.., request)| request.clone()).collect();
        let (mut new, mut outage) = (Vec::with_capacity(open.len()), None);
        for ((own, line, _), answer) in open.iter().zip(self.teacher.pipeline.rerank(&requests)) {
            match answer {
                Ok(ranking) => new.push((*own, Finished::Ranking(Box::new(ranking)))),
                Err(error) => {
                    let is_outage = error.is_outage();
                    let problem = sentence(&anyhow::Error::new(error));
                    if is_outage {
                        outage.get_or_insert_with(|| format!("line {line}: {problem}"));
                    } else {
                        new.push((*own, Finished::Failed(problem)));
                    }
                }
            }
        }
        self.answers.add(new)?;
        match outage {
            None => Ok(()),
            Some(problem) => Err(Failure::Service(anyhow!("{problem}; {}", self.answers.interrupted()))),
        }
    }

    /// Writes a list, or counts why not.
    fn take(&mut self, number: u64, source: Result<SourcedRequest, FormatError>) -> anyhow::Result<()> {
        self.bar.inc(1);
        self.account.lists += 1;
        let labelled = match source {
            Ok(source) => {
                let line = source.line;
                self.labelled(number, &source).map_err(|problem| format!("line {line}: {problem}"))
            }
            Err(error) => Err(sentence(&anyhow::Error::new(error))),
        };
        match labelled {
            Ok(Ok(list)) => {
                self.account.written += 1;
                list.write(&mut self.file)?;
            }
            Ok(Err(LeftOut::Disagreed)) => self.account.disagreed += 1,
            Ok(Err(LeftOut::Alone)) => self.account.alone += 1,
            Err(problem) => {
                self.account.failed += 1;
                self.output.part_failed(&self.bar, &problem);
            }
        }
        Ok(())
    }

    /// A list with the scores of the teacher, or why it is left out.
    ///
    /// # Errors
    /// Why it cannot be labelled, in a sentence.
    fn labelled(
        &mut self,
        number: u64,
        source: &SourcedRequest,
    ) -> Result<Result<TrainingList, LeftOut>, String> {
        let (given, unlabelled) = labels_of(source)?;
        let (mut rankings, mut problems) = (Vec::new(), Vec::new());
        for own in self.numbers(number) {
            match self.answers.known.remove(&own) {
                Some(Finished::Ranking(ranking)) => rankings.push(*ranking),
                Some(Finished::Failed(problem)) => problems.push(problem),
                None => problems.push("no answer".into()),
            }
        }
        if rankings.is_empty() {
            return Err(problems.swap_remove(0));
        }
        let labels = TeacherLabels::join(&source.request, &rankings, self.teacher.has_scores)
            .map_err(|error| error.to_string())?;
        self.account.take(&rankings, &labels);
        let left_out = LeftOut::of(&labels, self.arguments.agreement);
        if left_out != Some(LeftOut::Alone) {
            self.account.lost += problems.len();
        }
        if let Some(left_out) = left_out {
            return Ok(Err(left_out));
        }
        self.account.unlabelled += unlabelled;
        self.account.equal += usize::from(labels.are_equal());
        Ok(Ok(list_of(&source.request, &given, &labels)))
    }

    /// Gives the file its name and says how it went.
    fn end(self) -> Outcome {
        let Labelling { arguments, output, answers, file, bar, account, .. } = self;
        bar.finish_and_clear();
        account.remarks(arguments.agreement).iter().for_each(|remark| output.warn(remark));
        if account.written == 0 {
            // Answers that agree too little, or are alone, may be enough for another --agreement, or without it.
            if account.disagreed + account.alone == 0 {
                answers.remove()?;
            }
            let (path, lists) = (arguments.lists.display(), many(account.lists, "list"));
            if account.lists == 0 {
                return Err(anyhow!("{path}: there is no list; give at least one line").into());
            }
            return Err(anyhow!("{path}: none of {lists} is labelled; nothing was written").into());
        }
        file.commit()?;
        let resumed = answers.resumed;
        answers.remove()?;
        say(arguments, &account, resumed, output)?;
        match account.failed {
            0 => Ok(()),
            failed => Err(Failure::Check(format!(
                "{failed} of {} could not be labelled and are left out",
                many(account.lists, "list")
            ))),
        }
    }
}

/// The labels of the candidates, 0 for those without one, and how many those are.
///
/// # Errors
/// There are no candidates, or a label is no number.
fn labels_of(source: &SourcedRequest) -> Result<(Vec<f32>, usize), String> {
    if source.items().is_empty() {
        return Err("there are no candidates; leave it out".into());
    }
    let (mut labels, mut unlabelled) = (Vec::new(), 0);
    for (place, item) in source.items().iter().enumerate() {
        let given = item.get("label").filter(|label| !label.is_null());
        unlabelled += usize::from(given.is_none());
        let label = given.map_or(Some(0.0), |label| label.as_f64().map(|label| label as f32));
        match label.filter(|label| label.is_finite()) {
            Some(label) => labels.push(label),
            None => return Err(format!("`label` of candidate {} is no number; write one", place + 1)),
        }
    }
    Ok((labels, unlabelled))
}

fn list_of(request: &RankRequest, given: &[f32], labels: &TeacherLabels) -> TrainingList {
    let scored = request.candidates.iter().zip(given).zip(&labels.scores);
    let candidates = scored.map(|((candidate, label), score)| {
        let document = &candidate.document;
        let text = document.model_text().into_owned();
        let candidate = Candidate { text, label: *label, teacher: Some(*score) };
        TrainingCandidate { docid: document.id.clone(), candidate }
    });
    let query = &request.query;
    TrainingList { qid: query.id.clone(), query: query.text.clone(), candidates: candidates.collect() }
}

impl Account {
    /// Takes the answers about a list.
    fn take(&mut self, rankings: &[Ranking], labels: &TeacherLabels) {
        self.agreements.extend(labels.agreement);
        for ranking in rankings {
            self.repaired += usize::from(ranking.trace.status == Status::Repaired);
            self.cut.take(ranking);
            self.cost.add(&ranking.trace);
        }
    }

    /// The mean agreement of the lists that have several answers.
    fn agreement(&self) -> Option<f64> {
        let count = self.agreements.len();
        (count > 0).then(|| self.agreements.iter().sum::<f64>() / count as f64)
    }

    /// What the result does not show; `least` is the agreement that is asked for.
    fn remarks(&self, least: Option<f64>) -> Vec<String> {
        let least = least.unwrap_or_default();
        let disagreed = format!("lists are left out, whose answers agree less than --agreement {least}");
        let counted = [
            (self.disagreed, disagreed),
            (
                self.alone,
                "lists are left out: all answers but one failed, and --agreement compares several".into(),
            ),
            (self.lost, "answers failed, of lists that go by the others".into()),
            (self.repaired, "answers of the model had to be repaired".into()),
            (
                self.unlabelled,
                "candidates have no `label` and get 0: train with an objective of the teacher's scores"
                    .into(),
            ),
            (self.equal, "lists have the same teacher score for all candidates, and teach no order".into()),
        ];
        let counted = counted.into_iter().filter(|(count, _)| *count > 0);
        let mut remarks: Vec<String> = counted.map(|(count, what)| format!("{count} {what}")).collect();
        remarks.extend(self.cut.sentences("the teacher's scores are of what it read"));
        remarks
    }
}

fn say(arguments: &Arguments, account: &Account, resumed: usize, output: &Output) -> Outcome {
    if output.json {
        return Ok(output.print_json(&json!({
            "lists": account.lists,
            "written": account.written,
            "failed": account.failed,
            "disagreed": account.disagreed,
            "alone": account.alone,
            "lost": account.lost,
            "repaired": account.repaired,
            "unlabelled": account.unlabelled,
            "equal": account.equal,
            "agreement": account.agreement(),
            "resumed": resumed,
            "cost": account.cost,
            "output": arguments.output,
        }))?);
    }
    let path = arguments.output.display();
    let lists = many(account.lists, "list");
    output.print(&format!(
        "{path}: {} of {lists} with scores of the teacher; {} read and {} written by it\n",
        account.written,
        many(account.cost.prompt_tokens as usize, "token"),
        account.cost.generated_tokens
    ))?;
    if let Some(agreement) = account.agreement() {
        output.print(&format!("{agreement:.4} mean Kendall tau between answers about the same list\n"))?;
    }
    Ok(output.print(&format!(
        "\nTry next: plackett train FILE.toml -o DIR, with examples = \"{path}\" and objective = \"kl-distillation\"\n"
    ))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::formats::requests::parse_requests;

    fn source(text: &str) -> SourcedRequest {
        parse_requests(text.as_bytes(), "r").unwrap().next().unwrap().unwrap()
    }

    #[test]
    fn labels_are_those_that_came_and_0_where_there_is_none() {
        let list = source(
            "{\"query\": \"q\", \"candidates\": [{\"text\": \"a\", \"label\": 2}, \"b\", {\"text\": \"c\", \"label\": null}]}",
        );
        assert_eq!(labels_of(&list), Ok((vec![2.0, 0.0, 0.0], 2)));
        let none = source("{\"query\": \"q\", \"candidates\": []}");
        assert!(labels_of(&none).unwrap_err().contains("no candidates"));
        let wrong = source("{\"query\": \"q\", \"candidates\": [{\"text\": \"a\", \"label\": \"2\"}]}");
        assert!(labels_of(&wrong).unwrap_err().contains("candidate 1 is no number"));
    }

    #[test]
    fn a_kill_loses_no_more_answers_where_lists_are_asked_about_several_times() {
        assert_eq!([1, 2, 3, 8, 1000].map(lists_together), [8, 4, 2, 1, 1]);
    }

    #[test]
    fn a_list_of_one_answer_is_not_told_as_one_of_answers_that_disagree() {
        let of = |agreement: Option<f64>, least: Option<f64>| {
            LeftOut::of(&TeacherLabels { scores: vec![1.0], agreement }, least)
        };
        assert_eq!((of(None, None), of(Some(-1.0), None), of(Some(0.5), Some(0.5))), (None, None, None));
        assert_eq!(of(Some(0.25), Some(0.5)), Some(LeftOut::Disagreed));
        assert_eq!(of(None, Some(-1.0)), Some(LeftOut::Alone));
        let said = Account { alone: 2, ..Account::default() }.remarks(Some(0.5));
        assert!(said.len() == 1 && said[0].starts_with("2 lists are left out: all"), "{said:?}");
    }

    #[test]
    fn lists_have_the_scores_in_the_order_that_came() {
        let list = source(
            "{\"query\": {\"qid\": \"7\", \"text\": \"q\"}, \"candidates\": [{\"docid\": \"x\", \"doc\": {\"title\": \"T\", \"text\": \"a\"}}, \"b\"]}",
        );
        let labels = TeacherLabels { scores: vec![0.5, 2.0], agreement: None };
        let made = list_of(&list.request, &[1.0, 0.0], &labels);
        let of = |docid: &str, text: &str, label: f32, score: f32| TrainingCandidate {
            docid: docid.into(),
            candidate: Candidate { text: text.into(), label, teacher: Some(score) },
        };
        let candidates = vec![of("x", "T a", 1.0, 0.5), of("2", "b", 0.0, 2.0)];
        assert_eq!(made, TrainingList { qid: "7".into(), query: "q".into(), candidates });
    }
}
