//! `plackett ids tune`: a retriever learns to prefer docids of documents that answer queries to those of others (DDRO).

use super::labelled::{Answered, answered};
use super::learn::check_whole_documents;
use super::update::check_other_folder;
use crate::command::means::Change;
use crate::command::number::{by, real, whole};
use crate::command::open::open_index;
use crate::command::output_folder::{check_output_folder, remark_on_replaced};
use crate::command::paths::Paths;
use crate::command::{Global, Outcome, Output, training_folder};
use anyhow::bail;
use clap::Args;
use plackett_genir::learning::settings;
use plackett_genir::relevance_optimization::{
    AnsweredQuery, DrawnTriples, NegativeSource, PreferenceRecord, ReferenceLogs, RelevanceOptimization,
    TripleDrawing,
};
use plackett_genir::{
    Decoding, GenerativeRetriever, GenirError, RETRIEVER_FILE, RetrieverFiles, writes_paths,
};
use plackett_ids::Catalogue;
use plackett_search::{Bm25, Index};
use plackett_train::trainer::{Checkpointing, LanguageModel, Report, StepRecord, train};
use plackett_train::{Compute, Parameters};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The file of reference log-probabilities, among the checkpoints.
const REFERENCE: &str = "reference.json";
/// Beams of the searches that hits are counted in.
const BEAMS: usize = 10;
/// Ranks among which hits are counted.
const RANKS: [usize; 2] = [1, BEAMS];
/// Queries that are asked together.
const TOGETHER: usize = 64;

/// Tune a model of `ids learn` on labelled queries, so that documents that answer are preferred to others
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett ids tune papers.index --model papers.docids -o tuned.docids \\\n    \
                        --queries train.jsonl --qrels train.tsv\n  \
                        plackett ids tune papers.index --model papers.docids -o tuned.docids \\\n    \
                        --queries train.jsonl --qrels train.tsv --negatives top --each 8 \\\n    \
                        --test-queries test.jsonl --test-qrels test.tsv\n\n\
                        For each query the docid of a document that answers it and those of negatives make pairs, of which\n\
                        the first is to become likelier compared with the model as it was (DDRO: DPO with docids, whose\n\
                        loss begins at ln 2 = 0.6931). Hits among the first and the first ten are counted before and\n\
                        after, of the test queries where some are given, else of those that the model was tuned on.\n\n\
                        A run that was killed goes on where its last checkpoint is when the same command is given again, to\n\
                        the same numbers.")]
pub struct Arguments {
    /// Index directory that the model was learned from, made by `plackett index`
    index: PathBuf,
    /// The folder of the model, made by `plackett ids learn`; it is left as it is
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The folder of the tuned model
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Queries to tune on
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Which documents answer them: grades above 0
    #[arg(long, value_name = "FILE")]
    qrels: PathBuf,
    /// Queries that hits are counted of, before and after
    #[arg(long, value_name = "FILE", requires = "test_qrels")]
    test_queries: Option<PathBuf>,
    /// Which documents answer those
    #[arg(long, value_name = "FILE", requires = "test_queries")]
    test_qrels: Option<PathBuf>,
    /// Where negatives come from: `bands` (ranks 1–100, 101–500 and 501–1000 of BM25, in equal shares), `top` (ranks 1–100) or `random` (all
    /// documents)
    #[arg(long, value_name = "SOURCE", default_value = "bands", value_parser = by(|text| text.parse::<NegativeSource>()))]
    negatives: NegativeSource,
    /// Negatives of a query
    #[arg(long, value_name = "N", default_value = "3", value_parser = whole::<usize>(1..=1000))]
    each: usize,
    /// β of the loss: how much a preference weighs against staying as it was
    #[arg(long, value_name = "X", default_value = "0.4", value_parser = real(" from 0.0001 to 1000", |x| (1e-4..=1000.0).contains(&x)))]
    beta: f64,
    /// Times that all pairs are seen
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<usize>(1..=1000))]
    epochs: usize,
    /// Pairs in a step
    #[arg(long, value_name = "N", default_value = "64", value_parser = whole::<usize>(1..=4096))]
    batch: usize,
    /// The learning rate
    #[arg(long, value_name = "X", default_value = "0.0001", value_parser = real(" from 0.0000001 to 1", |x| (1e-7..=1.0).contains(&x)))]
    rate: f64,
    /// Steps between two checkpoints, from which the same command goes on after a kill
    #[arg(long, value_name = "N", default_value_t = training_folder::EVERY, value_parser = whole::<usize>(1..))]
    checkpoint: usize,
    /// From which what is drawn follows
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..))]
    seed: u64,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default()
        .opens("INDEX", [&arguments.index])
        .opens("--model", [&arguments.model])
        .reads("--queries", [&arguments.queries])
        .reads("--qrels", [&arguments.qrels])
        .reads("--test-queries", &arguments.test_queries)
        .reads("--test-qrels", &arguments.test_qrels)
        .writes("--output", [&arguments.output])
        .check(output)?;
    global.no_memory_budget("a training does not keep to one; a smaller --batch takes less")?;
    check_other_folder(&arguments.model, &arguments.output)?;
    training_folder::check_finished("--model", &arguments.model)?;
    let work = training_folder::folder_in(&arguments.output);
    if !training_folder::is_begun(&work) {
        check_output_folder(&arguments.output, Some(RETRIEVER_FILE))?;
        remark_on_replaced(&arguments.output, RETRIEVER_FILE, output);
    }
    let begun = Instant::now();
    let before = GenerativeRetriever::open(&arguments.model, true)?;
    let files = before.files();
    check_tunable(&arguments.model, files)?;
    let index = open_index(&arguments.index)?;
    check_known(&arguments.model, &files.catalogue, &index)?;
    let (queries, test) = queries(arguments, &files.catalogue, global, output)?;
    let drawn = drawn(arguments, &queries, files, &index)?;
    if drawn.missing > 0 {
        let missing = drawn.missing;
        output.warn(&format!("{missing} negatives are missing, for want of documents in their band"));
    }
    let tuning = tuned(arguments, files, &drawn, output)?;
    let after = GenerativeRetriever::open(&arguments.output, true)?;
    let measured = test.as_ref().unwrap_or(&queries);
    let (ranks_before, ranks_after) = (first_ranks(&before, measured)?, first_ranks(&after, measured)?);
    let hits = RANKS.map(|k| Change::of_pairs(&hits(&ranks_before, k), &hits(&ranks_after, k)));
    let tuned = Tuned {
        queries: queries.len(),
        drawn: (drawn.triples.len(), drawn.missing),
        tuning,
        measured_on: if test.is_some() { "test" } else { "tuned" },
        hits,
        seconds: begun.elapsed().as_secs_f64(),
    };
    tuned.say(arguments, output)
}

/// What came of it.
struct Tuned {
    queries: usize,
    /// Triples, and negatives that are missing.
    drawn: (usize, usize),
    tuning: Tuning,
    /// Of which queries hits were counted.
    measured_on: &'static str,
    /// One for each of [`RANKS`].
    hits: [Change; 2],
    seconds: f64,
}

/// What the training was like.
struct Tuning {
    report: Report,
    /// Over all triples, by the tuned model.
    after: PreferenceRecord,
}

impl Tuned {
    fn say(&self, arguments: &Arguments, output: &Output) -> Outcome {
        let Tuned { queries, drawn: (triples, missing), tuning, measured_on, seconds, .. } = self;
        let (after, steps) = (&tuning.after, tuning.report.steps.len());
        let first_loss = tuning.report.first_loss();
        if output.json {
            let hits: Vec<Value> = RANKS.iter().zip(&self.hits).map(told).collect();
            return Ok(output.print_json(&json!({
                "output": arguments.output, "queries": queries, "triples": triples, "missing": missing, "steps": steps,
                "resumed": tuning.report.resumed, "first_loss": first_loss, "loss": after.loss, "margin": after.margin,
                "accuracy": after.accuracy, "measured_on": measured_on, "hits": hits, "seconds": seconds,
            }))?);
        }
        let mut text = format!(
            "{}: tuned on {triples} pairs of {queries} queries in {steps} steps, {seconds:.1} s; loss {first_loss:.4} in the first step and {:.4} over \
             all pairs afterwards; the docid that answers gained on the other in {:.0} % of them\n",
            arguments.output.display(),
            after.loss,
            100.0 * after.accuracy
        );
        let of = if *measured_on == "test" { "test queries" } else { "queries that it was tuned on" };
        for (k, change) in RANKS.iter().zip(&self.hits) {
            let Change { before, after, .. } = change;
            text += &format!("hits@{k} {before:.4} before, {after:.4} after, {}\n", change.words(of));
        }
        Ok(output.print(&text)?)
    }
}

/// Hits among the first `k` before and after, for scripts.
fn told((k, change): (&usize, &Change)) -> Value {
    json!({
        "k": k, "before": change.before, "after": change.after, "difference": change.difference, "ci95": change.ci95,
        "p": change.p, "n": change.n,
    })
}

/// Refuses a model that writes more than docids by its output matrix.
fn check_tunable(model: &Path, files: &RetrieverFiles) -> anyhow::Result<()> {
    files.check_plain("relevance optimisation")?;
    if writes_paths(model) {
        bail!(
            "--model {}: it writes category paths before docids, and relevance optimisation is of docids alone; name a model without paths",
            model.display()
        );
    }
    Ok(())
}

/// Refuses a model that knows documents which the index does not have.
fn check_known(model: &Path, catalogue: &Catalogue, index: &Index) -> anyhow::Result<()> {
    check_whole_documents(index)?;
    let missing = catalogue.len() - index.ids().filter(|id| catalogue.place(id).is_some()).count();
    if missing > 0 {
        bail!(
            "--model {}: {missing} of its {} documents are not in the index; name the index that it was learned from, or take them out of \
             docids of one token (`plackett ids update`)",
            model.display(),
            catalogue.len()
        );
    }
    Ok(())
}

/// The queries to tune on, and those to measure with where some are given.
fn queries(
    arguments: &Arguments,
    catalogue: &Catalogue,
    global: &Global,
    output: &Output,
) -> anyhow::Result<(Vec<Answered>, Option<Vec<Answered>>)> {
    let places: HashMap<&str, usize> =
        catalogue.items().iter().enumerate().map(|(at, item)| (item.id.as_str(), at)).collect();
    let files = (arguments.queries.as_path(), arguments.qrels.as_path());
    let queries = answered(files, ["--queries", "--qrels"], &places, global, output)?;
    let (Some(texts), Some(judgments)) = (&arguments.test_queries, &arguments.test_qrels) else {
        return Ok((queries, None));
    };
    let files = (texts.as_path(), judgments.as_path());
    let test = answered(files, ["--test-queries", "--test-qrels"], &places, global, output)?;
    Ok((queries, Some(test)))
}

/// Triples of the queries, with negatives from the index.
fn drawn(
    arguments: &Arguments,
    queries: &[Answered],
    files: &RetrieverFiles,
    index: &Index,
) -> Result<DrawnTriples, GenirError> {
    let mut asked = Vec::with_capacity(queries.len());
    for (number, query) in queries.iter().enumerate() {
        let positives = query.documents.clone();
        asked.push(AnsweredQuery { number, text: &query.text, positives });
    }
    let ranked = |text: &str, depth: usize| -> Result<Vec<usize>, GenirError> {
        let found = index.search_bm25(text, &Bm25::default(), depth);
        let found = found.map_err(|error| GenirError::Setting(error.to_string()))?;
        Ok(found.iter().filter_map(|(id, _)| files.catalogue.place(id)).collect())
    };
    let Arguments { negatives, each, seed, .. } = *arguments;
    TripleDrawing { negatives, each, seed }.triples(&asked, files, &ranked)
}

/// Trains, or goes on with a training that was killed, and writes the tuned model.
fn tuned(
    arguments: &Arguments,
    files: &RetrieverFiles,
    drawn: &DrawnTriples,
    output: &Output,
) -> anyhow::Result<Tuning> {
    let work = training_folder::folder_in(&arguments.output);
    let _alone = training_folder::lock(&work)?;
    let mut parameters = Parameters::default();
    let model = LanguageModel::open(&arguments.model, &mut parameters)?;
    let compute = Compute::new(rayon::current_num_threads());
    let (reference, _) =
        ReferenceLogs::kept(&work.join(REFERENCE), &model, &parameters, &drawn.triples, &compute)?;
    let task = RelevanceOptimization::new(&model, &drawn.triples, &reference, arguments.beta)?;
    let report = trained(arguments, (&task, &reference), &compute, &mut parameters, output)?;
    let after = task.measure(&parameters, &compute)?;
    files.save(&arguments.output, &model, &parameters)?;
    training_folder::remove(&work)?;
    Ok(Tuning { report, after })
}

/// All steps, with checkpoints.
fn trained(
    arguments: &Arguments,
    (task, reference): (&RelevanceOptimization<'_>, &ReferenceLogs),
    compute: &Arc<Compute>,
    parameters: &mut Parameters,
    output: &Output,
) -> anyhow::Result<Report> {
    let steps = (reference.chosen.len() * arguments.epochs).div_ceil(arguments.batch);
    let mut settings = settings((arguments.batch, steps), arguments.rate as f32, arguments.seed);
    let identity = json!({
        "of": reference.identity(), "beta": arguments.beta, "epochs": arguments.epochs, "batch": arguments.batch,
        "rate": arguments.rate, "seed": arguments.seed,
    })
    .to_string();
    let work = training_folder::folder_in(&arguments.output);
    let checkpointing = Checkpointing { folder: &work, identity: &identity, every: arguments.checkpoint };
    let folder = checkpointing.begin("part-1", &mut settings)?;
    let bar = output.progress("steps", steps as u64);
    let mut progress = |record: &StepRecord, _: usize| bar.set_position(record.step as u64);
    let place = (Some(folder.as_path()), &identity[..]);
    let report = train(task, compute, parameters, &settings, place, None, &mut progress)?;
    bar.finish_and_clear();
    if report.resumed > 0 {
        output.note(&format!("went on after {} steps of an earlier run", report.resumed));
    }
    Ok(report)
}

/// For each query the rank, from 0, of the first document that answers it; `None` where none is found.
fn first_ranks(
    retriever: &GenerativeRetriever,
    queries: &[Answered],
) -> Result<Vec<Option<usize>>, GenirError> {
    let mut ranks = Vec::with_capacity(queries.len());
    for queries in queries.chunks(TOGETHER) {
        let texts: Vec<&str> = queries.iter().map(|query| &query.text[..]).collect();
        let found = retriever.search(&texts, &Decoding::Beams { width: BEAMS }, 0)?;
        for (query, found) in queries.iter().zip(found) {
            let mut documents = found.documents.iter();
            ranks.push(documents.position(|(document, _)| query.documents.contains(document)));
        }
    }
    Ok(ranks)
}

/// 1 for each rank among the first `k`, else 0.
fn hits(ranks: &[Option<usize>], k: usize) -> Vec<f64> {
    ranks.iter().map(|rank| f64::from(u8::from(rank.is_some_and(|rank| rank < k)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_is_a_rank_among_the_first() {
        let ranks = [Some(0), Some(9), Some(10), None];
        assert_eq!(hits(&ranks, 1), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(hits(&ranks, 10), [1.0, 1.0, 0.0, 0.0]);
    }
}
