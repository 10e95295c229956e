//! `plackett ids update`: a retriever gets to know the documents that came into its index later, and forgets those that are gone.

use super::labelled::labelled;
use super::learn::{RECALLED, documents_of};
use crate::command::number::{real, whole};
use crate::command::open::open_index;
use crate::command::output_folder::{check_output_folder, remark_on_replaced};
use crate::command::paths::Paths;
use crate::command::training_folder::{self, TrainingLock};
use crate::command::{Global, Outcome, Output};
use anyhow::bail;
use clap::Args;
use plackett_core::Document;
use plackett_genir::incremental::{NewRow, RetrieverUpdate, UpdateTexts};
use plackett_genir::learning::recalled;
use plackett_genir::representation::{PairSource, TextPair};
use plackett_genir::{GenerativeRetriever, GenirError, RETRIEVER_FILE};
use plackett_ids::Catalogue;
use plackett_train::Compute;
use plackett_train::trainer::words_of;
use serde_json::json;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Add documents that came into an index later to a model of `ids learn`, without a training
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett index more-papers -o papers.index --append\n  \
                        plackett ids update papers.index --model papers.docids -o newer.docids\n  \
                        plackett ids update papers.index --model papers.docids -o newer.docids \\\n    \
                        --queries new.jsonl --qrels new.tsv\n\n\
                        For docids of one token (`--scheme atomic`). Each new document gets a docid whose weights are\n\
                        found beside those of the others: its texts are to make it likelier than every other document,\n\
                        and each known one is to stay likelier after the text of its own that is nearest to being lost\n\
                        (IncDSI). No weight that was there changes. Documents that are gone from the index leave the\n\
                        catalogue. Texts that changed under their old id are not learned; learn the index anew then.")]
pub struct Arguments {
    /// Index directory, made by `plackett index`
    index: PathBuf,
    /// The folder of the model, made by `plackett ids learn`; it is left as it is
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The folder of the new model
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Queries that stand for their documents too, with --qrels
    #[arg(long, value_name = "FILE", requires = "qrels")]
    queries: Option<PathBuf>,
    /// Which documents answer them: grades above 0
    #[arg(long, value_name = "FILE", requires = "queries")]
    qrels: Option<PathBuf>,
    /// First words of each document that are a text of it
    #[arg(long, value_name = "N", default_value = "24", value_parser = whole::<usize>(0..=10_000))]
    first: usize,
    /// Chunks of each document that are texts of it
    #[arg(long, value_name = "N", default_value = "2", value_parser = whole::<usize>(0..=10_000))]
    chunks: usize,
    /// Pseudo queries of each document
    #[arg(long, value_name = "N", default_value = "4", value_parser = whole::<usize>(0..=10_000))]
    pseudo_queries: usize,
    /// How much the texts of a new document weigh against those of known ones
    #[arg(long, value_name = "X", default_value = "0.5", value_parser = real(" from 0 to 1", |x| (0.0..=1.0).contains(&x)))]
    lambda: f64,
    /// By how much the logit of a new document is to be above all others after its texts
    #[arg(long, value_name = "X", default_value = "1", value_parser = real(" from 0 to 100", |x| (0.0..=100.0).contains(&x)))]
    margin: f64,
    /// By how much the logit of a known document is to be above that of a new one after its text
    #[arg(long, value_name = "X", default_value = "1", value_parser = real(" from 0 to 100", |x| (0.0..=100.0).contains(&x)))]
    margin_old: f64,
    /// From which what is drawn follows
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..))]
    seed: u64,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default()
        .opens("INDEX", [&arguments.index])
        .opens("--model", [&arguments.model])
        .reads("--queries", &arguments.queries)
        .reads("--qrels", &arguments.qrels)
        .writes("--output", [&arguments.output])
        .check(output)?;
    global.no_memory_budget("an update does not keep to one")?;
    check_other_folder(&arguments.model, &arguments.output)?;
    training_folder::check_finished("--model", &arguments.model)?;
    let _alone = keep_out_trainings(&arguments.output)?;
    training_folder::check_finished("--output", &arguments.output)?;
    check_output_folder(&arguments.output, Some(RETRIEVER_FILE))?;
    remark_on_replaced(&arguments.output, RETRIEVER_FILE, output);
    let begun = Instant::now();
    let update = RetrieverUpdate::open(&arguments.model)?;
    let catalogue = &update.files().catalogue;
    let found = documents_of(&open_index(&arguments.index)?)?;
    let (documents, known) = in_order(arguments, catalogue, found, output)?;
    let sources = sources(arguments, (&documents[..], update.files().language.most_words()), global, output)?;
    let texts: Vec<TextPair> = sources.iter().flat_map(|source| source.pairs.iter().cloned()).collect();
    let options = NewRow {
        lambda: arguments.lambda,
        margin_new: arguments.margin,
        margin_old: arguments.margin_old,
        ..NewRow::default()
    };
    let compute = Compute::new(rayon::current_num_threads());
    update.with_documents(&documents, &texts, &options, &compute)?.save(&arguments.output)?;
    let open = |folder: &Path| GenerativeRetriever::open(folder, true);
    let (before, after) = (open(&arguments.model)?, open(&arguments.output)?);
    let share = |retriever: &GenerativeRetriever, of: Range<usize>| {
        known_by_heart(retriever, &documents, &sources, of)
    };
    let updated = Updated {
        documents: documents.len(),
        added: documents.len() - known,
        removed: catalogue.len() - known,
        texts: texts.len(),
        known_before: share(&before, 0..known)?,
        known_after: share(&after, 0..known)?,
        known_added: share(&after, known..documents.len())?,
        seconds: begun.elapsed().as_secs_f64(),
    };
    updated.say(arguments, output)
}

/// What came of it; shares of the texts of documents after which their docid is written first.
struct Updated {
    documents: usize,
    added: usize,
    removed: usize,
    texts: usize,
    known_before: Option<f64>,
    known_after: Option<f64>,
    known_added: Option<f64>,
    seconds: f64,
}

impl Updated {
    fn say(&self, arguments: &Arguments, output: &Output) -> Outcome {
        let Updated { documents, added, removed, texts, seconds, .. } = self;
        if output.json {
            return Ok(output.print_json(&json!({
                "output": arguments.output, "documents": documents, "added": added, "removed": removed, "texts": texts,
                "known_before": self.known_before, "known_after": self.known_after, "known_added": self.known_added,
                "seconds": seconds,
            }))?);
        }
        let percent = |share: Option<f64>| match share {
            Some(share) => format!("{:.0} %", 100.0 * share),
            None => "none".to_string(),
        };
        Ok(output.print(&format!(
            "{}: {documents} documents, of which {added} are new ({removed} are gone), from {texts} texts in {seconds:.1} s; the docid is written \
             first after {} of the texts of documents that stayed (before: {}), and {} of those of new ones\n",
            arguments.output.display(),
            percent(self.known_after),
            percent(self.known_before),
            percent(self.known_added)
        ))?)
    }
}

/// Refuses a folder in which a learning is on its way that has no checkpoint yet, and lets none begin there where an earlier one has left
/// its folder.
fn keep_out_trainings(folder: &Path) -> anyhow::Result<Option<TrainingLock>> {
    let work = training_folder::folder_in(folder);
    work.is_dir().then(|| training_folder::lock(&work)).transpose()
}

/// Refuses the folder of the model as that of the new one: it is still read when the new one is written.
pub(super) fn check_other_folder(model: &Path, output: &Path) -> anyhow::Result<()> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let folder = real(model);
    if folder.is_some() && folder == real(output) {
        bail!("--output {}: is the model that is read; name another folder", output.display());
    }
    Ok(())
}

/// The documents that are known, in the order of the catalogue, and behind them the new ones that have words; with how many are known.
fn in_order(
    arguments: &Arguments,
    catalogue: &Catalogue,
    documents: Vec<Document>,
    output: &Output,
) -> anyhow::Result<(Vec<Document>, usize)> {
    let place = |document: &Document| catalogue.place(&document.id);
    let (mut all, mut new): (Vec<Document>, Vec<Document>) =
        documents.into_iter().partition(|document| place(document).is_some());
    all.sort_by_key(place);
    let (known, found) = (all.len(), new.len());
    if known == 0 {
        bail!(
            "--model {}: none of its {} documents is in the index; it is a model of another collection: learn this one with `plackett ids learn`",
            arguments.model.display(),
            catalogue.len()
        );
    }
    new.retain(|document| words_of(&document.model_text()).next().is_some());
    if new.len() < found {
        let wordless = found - new.len();
        output.warn(&format!("{wordless} new documents have no words and get no docid"));
    }
    all.extend(new);
    Ok((all, known))
}

/// The texts that stand for the documents, by their kinds.
fn sources(
    arguments: &Arguments,
    (documents, words): (&[Document], usize),
    global: &Global,
    output: &Output,
) -> anyhow::Result<Vec<PairSource>> {
    let texts = UpdateTexts {
        first: arguments.first,
        chunks: (arguments.chunks, words),
        queries: arguments.pseudo_queries,
        seed: arguments.seed,
    };
    if arguments.first + arguments.chunks + arguments.pseudo_queries == 0 {
        bail!("no text stands for a document: ask for --first words, --chunks or --pseudo-queries");
    }
    let places: HashMap<&str, usize> =
        documents.iter().enumerate().map(|(at, document)| (document.id.as_str(), at)).collect();
    let given = (arguments.queries.as_ref(), arguments.qrels.as_ref());
    let mut sources = Vec::from(texts.of(documents));
    sources.push(labelled(given, false, &places, global, output)?);
    Ok(sources)
}

/// The share of drawn texts of the documents at these places after which their docid is written first; `None` without such texts.
fn known_by_heart(
    retriever: &GenerativeRetriever,
    documents: &[Document],
    sources: &[PairSource],
    of: Range<usize>,
) -> Result<Option<f64>, GenirError> {
    let catalogue = &retriever.files().catalogue;
    let placed = |pair: &TextPair| {
        let asked = documents.get(pair.document).filter(|_| of.contains(&pair.document))?;
        Some(TextPair { text: pair.text.clone(), document: catalogue.place(&asked.id)? })
    };
    let own = |source: &PairSource| PairSource::new(source.pairs.iter().filter_map(placed).collect());
    let own: Vec<PairSource> = sources.iter().map(own).collect();
    if own.iter().all(|source| source.pairs.is_empty()) {
        return Ok(None);
    }
    recalled(retriever, &retriever.files().docids()?, &own, RECALLED).map(Some)
}
