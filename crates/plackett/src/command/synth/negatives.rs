//! `plackett synth negatives`: judged queries with hard negatives of a search, to learn from.

use super::kept::{Kept, take_up};
use super::stream_remark;
use crate::command::failure::sentence;
use crate::command::number::{by, real, whole};
use crate::command::open::{
    listed, many, many_queries, open_index, read_qrels, read_queries_with, remark_on_version,
};
use crate::command::paths::{Paths, check_made};
use crate::command::{Failure, Global, Outcome, Output};
use anyhow::{Context, anyhow};
use clap::Args;
use plackett::Pipeline;
use plackett::manifest::{InputHash, RunSettings};
use plackett::negative_mining::{Mined, MinedQuery, NegativeMining, RankBand, UnminableQuery};
use plackett::pipeline::Models;
use plackett::training_lists::{TrainingCandidate, TrainingList};
use plackett::unfinished::Unfinished;
use plackett_core::formats::{AtomicFile, BeirFolder, Remarks};
use plackett_core::{Qrels, Query};
use plackett_rank::Settings;
use plackett_search::{Index, SearchError};
use plackett_train::trainer::Candidate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::path::PathBuf;

/// Lists to train a reranker on: judged queries with hard negatives, documents of certain ranks of a search that are not relevant
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett synth negatives my.index --queries q.jsonl --qrels train.tsv -o train.jsonl\n  \
                        plackett synth negatives my.index --queries beir --qrels beir -o train.jsonl --pipeline dense \\\n    \
                        --ranks 30-100 --seed 1\n  \
                        plackett synth negatives my.index --queries q.jsonl --qrels train.tsv -o train.jsonl \\\n    \
                        --pipeline 'bm25:100 >> cross-encoder(model=./teacher)' --ranks 1-100 --margin 0.5\n\n\
                        Each line is {\"query\": …, \"candidates\": [{\"text\": …, \"label\": 2}, …]}, as `plackett train` reads it:\n\
                        relevant documents with their grades, the best first, and negatives with the label 0. Documents on\n\
                        the first ranks that nobody judged may well be relevant: begin deeper, or let --margin leave out\n\
                        what scores nearly as a relevant document. A killed run goes on when the same command is given\n\
                        again: what it has found is kept in FILE.unfinished.")]
pub struct Arguments {
    /// Index directory, made by `plackett index`
    index: PathBuf,
    /// Queries: JSONL ({"_id", "text"}), TSV (id, tab, text), TREC topics, or a BEIR folder
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Judgments: a TREC qrels file, a BEIR qrels file (.tsv), or a BEIR folder, of which it is qrels/train.tsv
    #[arg(long, value_name = "FILE")]
    qrels: PathBuf,
    /// The file that is made
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// How to search, as in `plackett search`: bm25, dense, a fusion, with rerankers behind it
    #[arg(long, short, value_name = "EXPR", default_value = "bm25")]
    pipeline: String,
    /// Ranks of the search, from 1, among which negatives are
    #[arg(long, value_name = "FROM-TO", default_value = "10-100", value_parser = by(band))]
    ranks: RankBand,
    /// Negatives of a query, at most
    #[arg(long, value_name = "N", default_value = "4", value_parser = whole::<usize>(1..))]
    count: usize,
    /// Relevant documents of a query, at most, those with the best grades first [default: all]
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..))]
    positives: Option<usize>,
    /// Leave out documents whose score is greater than the best one of a relevant document minus this; what was judged with
    /// the grade 0 stays
    #[arg(long, value_name = "M", value_parser = real(" from 0", |x| x >= 0.0))]
    margin: Option<f64>,
    /// Seed by which negatives are drawn among the ranks [default: the first ones are taken]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..))]
    seed: Option<u64>,
}

/// Two ranks, as 10-100.
pub(super) fn band(text: &str) -> Result<RankBand, String> {
    text.parse()
}

/// Queries that are searched together.
const TOGETHER: usize = 64;

/// What became of a query, as it is kept until the lists are written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MinedOrFailed {
    /// It was searched for.
    Mined(Mined),
    /// Why it cannot be searched for, now or later.
    Failed(String),
}

/// What came of the queries.
#[derive(Default)]
struct Account {
    written: usize,
    positives: usize,
    negatives: usize,
    /// Relevant documents that the index does not have.
    absent: usize,
    /// Documents that the margin has left out.
    suspected: usize,
    /// Lists with fewer negatives than were asked for.
    short: usize,
    useless: Vec<UnminableQuery>,
    /// Queries that could not be searched for.
    failed: usize,
    /// How many of those because a server failed.
    outages: usize,
}

impl Account {
    /// How many queries were left out for each reason that there is.
    fn left_out(&self) -> Vec<(UnminableQuery, usize)> {
        let of = |reason: UnminableQuery| self.useless.iter().filter(|own| **own == reason).count();
        let counted = UnminableQuery::ALL.into_iter().map(|reason| (reason, of(reason)));
        counted.filter(|(_, queries)| *queries > 0).collect()
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let files = Paths::default().opens("INDEX", [&arguments.index]).reads("--queries", [&arguments.queries]);
    let files = files.reads("--qrels", [&arguments.qrels]);
    arguments.written(files).check(output)?;
    check_made("--output", &arguments.output)?;
    let index = open_index(&arguments.index)?;
    remark_on_version(&index, output);
    let (queries, qrels) = read(arguments, global, output)?;
    let models = Models::new(None, global.models());
    let settings = Settings::default();
    let pipeline = Pipeline::resolve(&arguments.pipeline, Some(&index), &models, &settings);
    let pipeline = pipeline.context("--pipeline")?;
    arguments.written(Paths::default().opens_methods(&pipeline)).check(output)?;
    remarks_before(arguments, (&index, &pipeline), (&queries, &qrels), output);
    let mut kept = arguments.kept((&pipeline, &models), output)?;
    let mut file = AtomicFile::create(&arguments.output)?;
    let searched = find(arguments, (&index, &pipeline), (&queries, &qrels), &mut kept, output)?;
    let account = write(searched, &queries, (&index, arguments.count), &mut file)?;
    remarks_after(&account, arguments).iter().for_each(|remark| output.warn(remark));
    if account.written > 0 {
        file.commit()?;
    }
    // What a server has failed on is asked again by the same command; all else is kept for it.
    if account.outages == 0 {
        kept.remove()?;
    } else if arguments.stream_remark().is_none() {
        output.warn(&kept.interrupted());
    }
    if account.written == 0 {
        return Err(nothing(&account, queries.len()));
    }
    say(arguments, &account, queries.len(), output)?;
    match account.failed {
        0 => Ok(()),
        failed => Err(Failure::Check(format!(
            "{failed} of {} could not be searched for and are left out",
            many_queries(queries.len())
        ))),
    }
}

impl Arguments {
    /// All files that are written.
    fn written(&self, files: Paths) -> Paths {
        let kept = self.stream_remark().is_none().then(|| Unfinished::path_for(&self.output));
        files.writes("--output", [&self.output]).writes("what is kept for --output", kept)
    }

    /// What is to be said where nothing can be kept.
    fn stream_remark(&self) -> Option<String> {
        let files = [("--queries", &self.queries), ("--qrels", &self.qrels), ("--output", &self.output)];
        stream_remark(&files.map(|(flag, path)| (flag, path.as_path())))
    }

    /// What an interrupted run of the same settings has found, and where it is kept.
    fn kept(
        &self,
        (pipeline, models): (&Pipeline, &Models),
        output: &Output,
    ) -> anyhow::Result<Kept<MinedOrFailed>> {
        if let Some(remark) = self.stream_remark() {
            output.warn(&remark);
            return Ok(Kept::new(None));
        }
        let recorded = [
            ("pipeline", json!(self.pipeline)),
            ("ranks", json!(self.ranks.to_string())),
            ("count", json!(self.count)),
            ("positives", json!(self.positives)),
            ("margin", json!(self.margin)),
            ("seed", json!(self.seed)),
        ];
        let recorded: Map<String, Value> =
            recorded.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let inputs = [("INDEX", &self.index), ("--queries", &self.queries), ("--qrels", &self.qrels)];
        let inputs = inputs.into_iter().map(|(flag, path)| InputHash::of(flag, path));
        let inputs = inputs.collect::<Result<Vec<InputHash>, _>>()?;
        let settings = RunSettings::of("synth negatives", recorded, pipeline, models, inputs)?;
        Ok(Kept::new(Some(take_up(&Unfinished::path_for(&self.output), &settings, output)?)))
    }
}

fn read(arguments: &Arguments, global: &Global, output: &Output) -> anyhow::Result<(Vec<Query>, Qrels)> {
    let remarks = Remarks::default();
    let queries = read_queries_with(&arguments.queries, global.max_line_bytes, &remarks)?;
    remarks.take().iter().for_each(|remark| output.warn(remark));
    let qrels = match arguments.qrels.is_dir() {
        true => read_qrels(&BeirFolder::at(&arguments.qrels).qrels_file("train")?)?,
        false => read_qrels(&arguments.qrels)?,
    };
    Ok((queries, qrels))
}

/// What is known before the search.
fn remarks_before(
    arguments: &Arguments,
    (index, pipeline): (&Index, &Pipeline),
    (queries, qrels): (&[Query], &Qrels),
    output: &Output,
) {
    if let Some(remark) = pipeline.shortened(arguments.ranks.last()) {
        output.warn(&format!("--ranks {}: {remark}", arguments.ranks));
    }
    if index.has_passages() {
        output.warn(
            "the index has passages, and documents are written whole: what was found may stand behind the `tokens` that a \
             training reads",
        );
    }
    let known: HashSet<&str> = queries.iter().map(|query| query.id.as_str()).collect();
    let judged = qrels.queries().iter().map(|judged| judged.id()).filter(|id| !known.contains(id));
    let unknown: Vec<&str> = judged.collect();
    if !unknown.is_empty() {
        output.warn(&format!(
            "the judgments have {} that the queries do not have",
            listed(&unknown, "query", "queries")
        ));
    }
}

/// What became of each query; `None` where a server has failed.
type Searched = Vec<Option<MinedOrFailed>>;

/// Searches for the queries that no earlier run has searched for, a bounded number at a time.
fn find(
    arguments: &Arguments,
    (index, pipeline): (&Index, &Pipeline),
    (queries, qrels): (&[Query], &Qrels),
    kept: &mut Kept<MinedOrFailed>,
    output: &Output,
) -> anyhow::Result<Searched> {
    let mining = NegativeMining {
        ranks: arguments.ranks,
        count: arguments.count,
        positives: arguments.positives.unwrap_or(0),
        margin: arguments.margin,
        seed: arguments.seed,
    };
    let numbered = (0..).zip(queries);
    let open: Vec<(u64, &Query)> = numbered.filter(|(nth, _)| !kept.known.contains_key(nth)).collect();
    let bar = output.progress("mining", queries.len() as u64);
    bar.inc((queries.len() - open.len()) as u64);
    for known in kept.known.values() {
        if let MinedOrFailed::Failed(problem) = known {
            output.part_failed(&bar, problem);
        }
    }
    let is_there = |id: &str| Ok::<bool, SearchError>(index.document(id)?.is_some());
    for part in open.chunks(TOGETHER) {
        let asked: Vec<Query> = part.iter().map(|(_, query)| (*query).clone()).collect();
        let mut new = Vec::with_capacity(part.len());
        for ((nth, _), found) in part.iter().zip(pipeline.search(index, &asked, arguments.ranks.last())) {
            match found {
                Ok(found) => {
                    new.push((*nth, MinedOrFailed::Mined(mining.mine(*nth, &found, qrels, is_there)?)));
                }
                Err(error) => {
                    let is_outage = error.is_outage();
                    let problem = sentence(&anyhow::Error::new(error));
                    output.part_failed(&bar, &problem);
                    if !is_outage {
                        new.push((*nth, MinedOrFailed::Failed(problem)));
                    }
                }
            }
        }
        kept.add(new)?;
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    Ok((0..queries.len() as u64).map(|nth| kept.known.remove(&nth)).collect())
}

/// Writes a list for each query that teaches something.
fn write(
    searched: Searched,
    queries: &[Query],
    (index, count): (&Index, usize),
    file: &mut AtomicFile,
) -> anyhow::Result<Account> {
    let mut account = Account::default();
    for (query, searched) in queries.iter().zip(searched) {
        match searched {
            Some(MinedOrFailed::Mined(Ok(mined))) => {
                account.short += usize::from(mined.negatives.len() < count);
                list_of(query, mined, index, &mut account)?.write(file)?;
            }
            Some(MinedOrFailed::Mined(Err(useless))) => account.useless.push(useless),
            Some(MinedOrFailed::Failed(_)) => account.failed += 1,
            None => {
                account.failed += 1;
                account.outages += 1;
            }
        }
    }
    Ok(account)
}

/// The list of a query, with the texts of its documents.
fn list_of(
    query: &Query,
    mined: MinedQuery,
    index: &Index,
    account: &mut Account,
) -> anyhow::Result<TrainingList> {
    account.written += 1;
    account.positives += mined.positives.len();
    account.negatives += mined.negatives.len();
    account.absent += mined.absent;
    account.suspected += mined.suspected;
    let right = mined.positives.into_iter().map(|(id, grade)| (id, grade as f32));
    let labelled = right.chain(mined.negatives.into_iter().map(|id| (id, 0.0)));
    let candidate = |(docid, label): (String, f32)| -> anyhow::Result<TrainingCandidate> {
        let document = index.document(&docid)?;
        let lost = || format!("the index has no document `{docid}`, which was found in it");
        let document = document.with_context(lost)?;
        let text = document.model_text().into_owned();
        Ok(TrainingCandidate { docid, candidate: Candidate { text, label, teacher: None } })
    };
    let candidates = labelled.map(candidate).collect::<anyhow::Result<_>>()?;
    Ok(TrainingList { qid: query.id.clone(), query: query.text.clone(), candidates })
}

/// What was left out.
fn remarks_after(account: &Account, arguments: &Arguments) -> Vec<String> {
    let left_out = account.left_out();
    let mut remarks: Vec<String> = left_out
        .into_iter()
        .map(|(reason, count)| format!("left out: {} {}", many_queries(count), reason.words()))
        .collect();
    if account.absent > 0 {
        let documents = many(account.absent, "relevant document");
        remarks
            .push(format!("left out: {documents} that the index does not have, of queries that have others"));
    }
    if account.suspected > 0 {
        let documents = many(account.suspected, "document");
        remarks.push(format!(
            "left out: {documents} on the ranks that may be relevant, by --margin {}",
            arguments.margin.unwrap_or_default()
        ));
    }
    if account.short > 0 {
        let short = many_queries(account.short);
        remarks.push(format!("{short} with fewer negatives than --count {}", arguments.count));
    }
    remarks
}

/// Why no list was written.
fn nothing(account: &Account, queries: usize) -> Failure {
    if account.failed > 0 && account.outages == queries {
        return Failure::Service(anyhow!(
            "none of the queries could be searched for, because servers failed"
        ));
    }
    let error = anyhow!(
        "no query has a relevant document in the index and a negative on the ranks; nothing was written. Look at the ids of \
         queries and documents in the judgments, or give other --ranks"
    );
    Failure::Input(error)
}

fn say(arguments: &Arguments, account: &Account, queries: usize, output: &Output) -> Outcome {
    if output.json {
        let mut left_out: Map<String, Value> = account
            .left_out()
            .into_iter()
            .map(|(reason, queries)| (reason.words().to_string(), json!(queries)))
            .collect();
        if account.failed > 0 {
            left_out.insert("that could not be searched for".into(), json!(account.failed));
        }
        return Ok(output.print_json(&json!({
            "queries": queries,
            "written": account.written,
            "positives": account.positives,
            "negatives": account.negatives,
            "absent": account.absent,
            "suspected": account.suspected,
            "short": account.short,
            "left_out": left_out,
            "output": arguments.output,
        }))?);
    }
    let path = arguments.output.display();
    let (lists, queries) = (many(account.written, "list"), many_queries(queries));
    output.print(&format!(
        "{path}: {lists} of {queries}, with {} relevant documents and {} negatives\n\n\
         Try next: plackett train FILE.toml -o DIR, with examples = \"{path}\"\n",
        account.positives, account.negatives
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_are_counted_by_reason() {
        let useless = vec![UnminableQuery::Absent, UnminableQuery::Unjudged, UnminableQuery::Absent];
        let account = Account { useless, ..Account::default() };
        assert_eq!(account.left_out(), [(UnminableQuery::Unjudged, 1), (UnminableQuery::Absent, 2)]);
    }
}
