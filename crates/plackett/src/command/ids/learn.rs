//! `plackett ids learn`: a model that writes the docids of an index.

use super::labelled::labelled;
use super::with_trainer;
use crate::command::number::{by, real, whole};
use crate::command::open::open_index;
use crate::command::output_folder::{check_output_folder, remark_on_replaced};
use crate::command::paths::Paths;
use crate::command::{Global, Outcome, Output, training_folder};
use anyhow::{anyhow, bail};
use clap::Args;
use plackett_core::{Document, counted};
use plackett_genir::category_paths::{DocumentPaths, PathExamples};
use plackett_genir::learning::{LearnedRetriever, LearningData, RetrieverTraining, catalogue_of};
use plackett_genir::representation::{SourceWeights, TextPair};
use plackett_genir::{DocidDecoder, GenirError, RETRIEVER_FILE, decoders_help};
use plackett_ids::scheme::{Reads, parse};
use plackett_ids::{Catalogue, Origin, QuantizerTrainer, VectorTable};
use plackett_lm::sha256::Sha256;
use plackett_search::{Bm25, Index};
use plackett_train::Compute;
use plackett_train::trainer::{Checkpointing, StepRecord, words_of};
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

/// Texts of each kind on which it is measured how much is known by heart.
pub(super) const RECALLED: usize = 300;

/// Categories of a path that are kept, where nobody says how many; the paper has four.
const PATH_DEPTH: usize = 4;

/// Learn the documents of an index by heart: a small model that writes their docids, for `generate` in pipelines
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett ids learn papers.index -o papers.docids\n  \
                        plackett ids learn papers.index -o papers.docids --scheme 'hierarchical(clusters=8)' --steps 3000\n  \
                        plackett ids learn papers.index -o papers.docids --scheme hierarchical --decoder prefix-aware\n  \
                        plackett ids learn papers.index -o papers.docids --catalogue docids.jsonl\n  \
                        plackett ids learn papers.index -o papers.docids --queries train.jsonl --qrels train.tsv\n  \
                        plackett ids learn papers.index -o papers.docids --paths categories.tsv\n  \
                        plackett ids learn papers.index -o papers.docids --titles 2 --queries q.jsonl --qrels q.tsv\n  \
                        plackett search papers.index \\\n    \
                        --pipeline 'generate(model=papers.docids):20 >> late-interaction' \"vague words\"\n\n\
                        The model has drawn weights and learns each document's docid after its first words, after chunks of\n\
                        it, after pseudo queries (words drawn from its sentences), and after labelled queries where some are\n\
                        given. Schemes that read vectors take those of the index. The model knows no document that comes\n\
                        into the index later: `plackett ids update` adds it to docids of one token; learn others anew.\n\
                        With --paths it writes a path of categories before the docid, as the reason for a hit (HyPE).\n\n\
                        A run that was killed goes on where its last checkpoint is when the same command is given again, to\n\
                        the same numbers.")]
pub struct Arguments {
    /// Index directory, made by `plackett index`
    index: PathBuf,
    /// The folder of the model
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// How docids are made (`plackett ids schemes`)
    #[arg(long, value_name = "SCHEME", default_value = "atomic")]
    scheme: String,
    /// Learn docids that are there: a catalogue of documents of the index, made by `plackett ids build`
    #[arg(long, value_name = "FILE", conflicts_with = "scheme")]
    catalogue: Option<PathBuf>,
    #[arg(long, value_name = "DECODER", default_value = "plain", help = decoders_help(), value_parser = by(|text| text.parse::<DocidDecoder>()))]
    decoder: DocidDecoder,
    /// Queries to learn from, with --qrels
    #[arg(long, value_name = "FILE", requires = "qrels")]
    queries: Option<PathBuf>,
    /// Which documents answer them: grades above 0
    #[arg(long, value_name = "FILE", requires = "queries")]
    qrels: Option<PathBuf>,
    /// Category paths to write before docids: lines of an id, a tab and a path such as `Art >> Music`; several lines of an id give it several
    /// paths, of which a text takes that with which it has the most words in common
    #[arg(long, value_name = "FILE")]
    paths: Option<PathBuf>,
    /// Categories of a path that are kept, the broadest first [default: 4]
    #[arg(long, value_name = "N", requires = "paths", value_parser = whole::<usize>(1..=100))]
    path_depth: Option<usize>,
    /// Write up to so many docids one after another for labelled queries with several answers, for generate(titles=N); with --queries
    #[arg(long, value_name = "N", requires = "queries", conflicts_with = "paths", value_parser = whole::<usize>(2..=100))]
    titles: Option<usize>,
    /// First words of each document that are a text to learn from
    #[arg(long, value_name = "N", default_value = "24", value_parser = whole::<usize>(0..=10_000))]
    first: usize,
    /// Chunks of each document that are texts to learn from
    #[arg(long, value_name = "N", default_value = "2", value_parser = whole::<usize>(0..=10_000))]
    chunks: usize,
    /// Pseudo queries of each document
    #[arg(long, value_name = "N", default_value = "4", value_parser = whole::<usize>(0..=10_000))]
    pseudo_queries: usize,
    /// Shares of first words and chunks, pseudo queries and labelled queries in what is trained on, such as 1:2:1, with 0 for what there is
    /// not; as many of each as there are, if nothing is said
    #[arg(long, value_name = "T:P:L", value_parser = by(|text| text.parse::<SourceWeights>()))]
    weights: Option<SourceWeights>,
    /// Words of a query that are read, and of a chunk
    #[arg(long, value_name = "N", default_value = "24", value_parser = whole::<usize>(1..=1000))]
    words: usize,
    /// Layers of the model
    #[arg(long, value_name = "N", default_value = "2", value_parser = whole::<usize>(1..=100))]
    layers: usize,
    /// Numbers of a token; a multiple of 8
    #[arg(long, value_name = "N", default_value = "64", value_parser = whole::<usize>(8..=4096))]
    width: usize,
    /// Steps of the training
    #[arg(long, value_name = "N", default_value = "2000", value_parser = whole::<usize>(1..))]
    steps: usize,
    /// Texts in a step
    #[arg(long, value_name = "N", default_value = "64", value_parser = whole::<usize>(1..=4096))]
    batch: usize,
    /// The learning rate
    #[arg(long, value_name = "X", default_value = "0.003", value_parser = real(" from 0.000001 to 1", |x| (1e-6..=1.0).contains(&x)))]
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
        .reads("--catalogue", &arguments.catalogue)
        .reads("--queries", &arguments.queries)
        .reads("--qrels", &arguments.qrels)
        .reads("--paths", &arguments.paths)
        .writes("--output", [&arguments.output])
        .check(output)?;
    global.no_memory_budget("a training does not keep to one; a smaller --batch or --width takes less")?;
    let work = training_folder::folder_in(&arguments.output);
    if !training_folder::is_begun(&work) {
        check_output_folder(&arguments.output, Some(RETRIEVER_FILE))?;
        remark_on_replaced(&arguments.output, RETRIEVER_FILE, output);
    }
    let training = training(arguments);
    training.check()?;
    check_paths(arguments)?;
    let index = open_index(&arguments.index)?;
    let (documents, catalogue) = docids(arguments, &index, global, output)?;
    training.check_docids(&catalogue)?;
    let places: HashMap<&str, usize> =
        documents.iter().enumerate().map(|(at, document)| (document.id.as_str(), at)).collect();
    let given = (arguments.queries.as_ref(), arguments.qrels.as_ref());
    let labelled = labelled(given, arguments.titles.is_some(), &places, global, output)?;
    training.check_titles(&labelled, &catalogue)?;
    let similar = |text: &str, count: usize| {
        let found = index.search_bm25(text, &Bm25::default(), count);
        let found = found.map_err(|error| GenirError::Setting(error.to_string()))?;
        Ok(found.iter().filter_map(|(id, _)| places.get(id.as_str()).copied()).collect())
    };
    let assigned = document_paths(arguments, &places, output)?;
    let choose = |texts: &[&TextPair]| -> Result<Vec<usize>, GenirError> {
        Ok(assigned.as_ref().map_or_else(Vec::new, |assigned| assigned.most_words_in_common(texts)))
    };
    let paths = assigned.as_ref().map(|assigned| PathExamples {
        hierarchy: &assigned.hierarchy,
        documents: &assigned.documents,
        choose: &choose,
    });
    let data = LearningData { documents: &documents, labelled: &labelled, similar: &similar, paths };
    catalogue.remarks().iter().for_each(|remark| output.warn(remark));
    warn_of_wordless(&documents, output);
    let _alone = training_folder::lock(&work)?;
    let begun = Instant::now();
    let bar = output.progress("steps", arguments.steps as u64);
    let mut progress =
        |_: (usize, usize), record: &StepRecord, _: usize| bar.set_position(record.step as u64);
    let compute = Compute::new(rayon::current_num_threads());
    let identity = identity(&training, &catalogue, &data);
    let checkpointing = Checkpointing { folder: &work, identity: &identity, every: arguments.checkpoint };
    let learned = training.learn(&data, catalogue, &compute, Some(&checkpointing), &mut progress)?;
    bar.finish_and_clear();
    if learned.resumed > 0 {
        output.note(&format!("went on after {} steps of an earlier run", learned.resumed));
    }
    learned.save(&arguments.output)?;
    training_folder::remove(&work)?;
    let known = learned.known_by_heart(&arguments.output, RECALLED)?;
    say(arguments, &learned, (known, begun.elapsed().as_secs_f64()), output)
}

/// Refuses paths with a decoder that cannot write them.
fn check_paths(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.paths.is_some() && !arguments.decoder.is_plain() {
        bail!("--paths: category paths before docids go with --decoder plain alone; leave one of them out");
    }
    Ok(())
}

/// Counts the documents of which nothing can be learned but by labelled queries.
fn warn_of_wordless(documents: &[Document], output: &Output) {
    let wordless =
        documents.iter().filter(|document| words_of(&document.model_text()).next().is_none()).count();
    if wordless > 0 {
        output.warn(&counted(
            wordless,
            "document has no words; only labelled queries can teach its docid",
            "documents have no words; only labelled queries can teach their docids",
        ));
    }
}

/// Says what came out, how much of it is known by heart, and how long it took.
fn say(
    arguments: &Arguments,
    learned: &LearnedRetriever,
    (known, seconds): (f64, f64),
    output: &Output,
) -> Outcome {
    let texts: usize = learned.sources.iter().map(|source| source.pairs.len()).sum();
    let catalogue = &learned.files.catalogue;
    if output.json {
        return Ok(output.print_json(&json!({
            "output": arguments.output, "scheme": catalogue.scheme(), "documents": catalogue.len(), "texts": texts,
            "loss": learned.loss, "known_by_heart": known, "parameters": learned.parameters.count(), "seconds": seconds,
            "resumed": learned.resumed, "paths": learned.paths.as_ref().map(|(hierarchy, _)| hierarchy.paths().len()),
        }))?);
    }
    Ok(output.print(&format!(
        "{}: {} documents learned from {texts} texts in {seconds:.1} s; after {:.0} % of texts that were drawn from them their docid is \
         written first\n",
        arguments.output.display(),
        catalogue.len(),
        100.0 * known
    ))?)
}

fn training(arguments: &Arguments) -> RetrieverTraining {
    RetrieverTraining {
        first: arguments.first,
        chunks: arguments.chunks,
        chunk_words: arguments.words,
        queries: arguments.pseudo_queries,
        labelled: arguments.queries.is_some(),
        weights: arguments.weights,
        curriculum: false,
        rank_every: 0,
        layers: arguments.layers,
        width: arguments.width,
        words: arguments.words,
        batch: arguments.batch,
        steps: arguments.steps,
        rate: arguments.rate as f32,
        seed: arguments.seed,
        decoder: arguments.decoder,
        titles: arguments.titles,
    }
}

/// What a training is: one with other settings, docids or texts does not go on from its checkpoints.
fn identity(training: &RetrieverTraining, catalogue: &Catalogue, data: &LearningData<'_>) -> String {
    let mut hasher = Sha256::new();
    let of_documents = data.documents.iter().flat_map(|document| [&document.title, &document.text]);
    let of_queries = data.labelled.pairs.iter().map(|pair| &pair.text);
    for text in of_documents.chain(of_queries) {
        hasher.update_part(text);
    }
    data.labelled.pairs.iter().for_each(|pair| hasher.update((pair.document as u64).to_le_bytes()));
    if let Some(paths) = &data.paths {
        paths.hierarchy.paths().iter().for_each(|path| hasher.update_part(path.to_string()));
        for own in paths.documents {
            hasher.update((own.len() as u64).to_le_bytes());
            own.iter().for_each(|path| hasher.update((*path as u64).to_le_bytes()));
        }
    }
    let texts = hasher.hex_digest();
    json!({"training": training, "catalogue": catalogue.sha256(), "texts": texts}).to_string()
}

/// Refuses an index that is cut into passages.
pub(super) fn check_whole_documents(index: &Index) -> anyhow::Result<()> {
    if index.has_passages() {
        bail!(
            "{}: the index is cut into passages, and docids are of whole documents; index the collection without --chunk",
            index.directory().display()
        );
    }
    Ok(())
}

/// All documents of an index, in the order of their ids: the index has none of its own.
pub(super) fn documents_of(index: &Index) -> anyhow::Result<Vec<Document>> {
    check_whole_documents(index)?;
    let mut ids: Vec<&str> = index.ids().collect();
    ids.sort_unstable();
    let document = |id: &str| -> anyhow::Result<Document> {
        index.document(id)?.ok_or_else(|| anyhow!("the index has lost its document `{id}`; make it again"))
    };
    let documents: Vec<Document> = ids.into_iter().map(document).collect::<anyhow::Result<_>>()?;
    match documents.is_empty() {
        true => bail!("{}: the index has no document to learn", index.directory().display()),
        false => Ok(documents),
    }
}

/// The category paths of the documents, where some are given; each document has one.
fn document_paths(
    arguments: &Arguments,
    places: &HashMap<&str, usize>,
    output: &Output,
) -> anyhow::Result<Option<DocumentPaths>> {
    let Some(file) = &arguments.paths else { return Ok(None) };
    let place = |id: &str| places.get(id).copied();
    let depth = arguments.path_depth.unwrap_or(PATH_DEPTH);
    let found = DocumentPaths::read(file, depth, (places.len(), &place))?;
    let lacking: Vec<&str> =
        places.iter().filter(|(_, at)| found.documents[**at].is_empty()).map(|(id, _)| *id).collect();
    if let Some(first) = lacking.iter().min() {
        bail!(
            "--paths {}: {} of {} documents have no path, such as `{first}`; give each a line",
            file.display(),
            lacking.len(),
            places.len()
        );
    }
    let (unknown, cut) = (found.unknown, found.hierarchy.cut());
    if unknown > 0 {
        let lines = counted(unknown, "line is of a document", "lines are of documents");
        output.warn(&format!("--paths: {lines} that the index does not have"));
    }
    if cut > 0 {
        let (paths, depth) =
            (counted(cut, "path was", "paths were"), counted(depth, "category", "categories"));
        output.warn(&format!("--paths: {paths} cut to {depth}"));
    }
    Ok(Some(found))
}

/// The documents with their docids, in the order of the catalogue.
fn docids(
    arguments: &Arguments,
    index: &Index,
    global: &Global,
    output: &Output,
) -> anyhow::Result<(Vec<Document>, Catalogue)> {
    let documents = documents_of(index)?;
    let Some(path) = &arguments.catalogue else {
        let catalogue = catalogue(arguments, index, &documents, output)?;
        return Ok((documents, catalogue));
    };
    let catalogue = Catalogue::open_within(path, global.max_line_bytes)?;
    let there = documents.len();
    let mut by_id: HashMap<String, Document> =
        documents.into_iter().map(|document| (document.id.clone(), document)).collect();
    let ids = catalogue.items().iter().map(|item| item.id.as_str());
    let missing: Vec<&str> = ids.filter(|id| !by_id.contains_key(*id)).collect();
    if let Some(first) = missing.first() {
        bail!(
            "--catalogue {}: {} of {} documents are not in the index, such as `{first}`; build it from the documents of this index",
            path.display(),
            missing.len(),
            catalogue.len()
        );
    }
    let own: Vec<Document> = catalogue.items().iter().filter_map(|item| by_id.remove(&item.id)).collect();
    if own.len() < there {
        let without = there - own.len();
        output
            .warn(&format!("--catalogue: {without} of {there} documents have no docid and are not learned"));
    }
    Ok((own, catalogue))
}

fn catalogue(
    arguments: &Arguments,
    index: &Index,
    documents: &[Document],
    output: &Output,
) -> anyhow::Result<Catalogue> {
    let scheme = parse(&arguments.scheme)?;
    if scheme.spec.reads.contains(&Reads::Histories) {
        bail!("--scheme {}: documents have no histories of users; take another scheme", scheme.spec.name);
    }
    let vectors = match scheme.spec.reads.contains(&Reads::Vectors) {
        true => Some(vectors(index, documents, scheme.spec.name)?),
        false => None,
    };
    let made = with_trainer(output, |trainer| {
        let vectors = vectors.as_ref().map(|table| (table, trainer as &dyn QuantizerTrainer));
        Ok(catalogue_of(&scheme, documents, vectors, arguments.seed)?)
    })?;
    let model = index.settings().model.as_ref().filter(|_| vectors.is_some());
    let origin = Origin { vectors: model.map(|model| model.name.clone()), ..made.origin().clone() };
    Ok(made.with_origin(origin))
}

/// The index's vector of each document.
fn vectors(index: &Index, documents: &[Document], scheme: &str) -> anyhow::Result<VectorTable> {
    let mut table: Option<VectorTable> = None;
    for (row, document) in documents.iter().enumerate() {
        let vector = index.vector(&document.id)?.ok_or_else(|| {
            anyhow!(
                "--scheme {scheme}: the index has no vector of `{}`; make it without --no-vectors, or take another scheme",
                document.id
            )
        })?;
        let table = table.get_or_insert_with(|| VectorTable::in_memory(documents.len(), vector.len()));
        table.set(row, &document.id, &vector)?;
    }
    Ok(table.unwrap_or_else(|| VectorTable::in_memory(0, 0)))
}
