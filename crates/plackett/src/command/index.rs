//! `plackett index`: from a collection to a directory that can be searched.

use super::documents::{CollectionBar, DocumentArguments};
use super::open::open_index;
use super::{Global, Outcome, Output};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use console::style;
use plackett::indexing::DocumentEmbedder;
use plackett::pipeline::Models;
use plackett_core::Document;
use plackett_core::formats::Documents;
use plackett_search::{Committed, Embedder, HAS_HNSW, Index, IndexSettings, SearchError, VectorFormat};
use serde_json::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Documents between two commits: what a crash can cost, and what bounds the memory.
const COMMIT_EVERY: usize = 50_000;

/// Make documents searchable, or change an index
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett index corpus.jsonl -o my.index\n  plackett index beir/scifact -o scifact.index\n  \
                  plackett index more.csv -o my.index --append        (adds; replaces documents with the same id)\n  \
                  plackett index -o my.index --delete d17,d18\n  \
                  plackett index -o my.index --graph always           (makes the graph for approximate search)\n\n\
                  plackett index - --input-format csv -o my.index < corpus.csv\n  \
                  A collection is a BEIR folder, JSONL, CSV, TSV or Parquet (.gz and .zst too), a folder of .txt and \
                  .md files,\nor `-` for standard input (JSONL unless --input-format says otherwise). Every commit is atomic: a crash leaves the last \
                  committed state."
)]
pub struct Arguments {
    /// Documents to index; `-` for standard input
    #[arg(required_unless_present_any = ["delete", "graph"])]
    collection: Option<PathBuf>,
    /// Directory of the index
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Add to an existing index; documents with known ids are replaced
    #[arg(long)]
    append: bool,
    /// Ids to remove from an existing index, separated by commas, or @FILE with one a line
    #[arg(long, value_name = "IDS")]
    delete: Option<String>,
    /// Words only: smaller and faster, and without `dense`
    #[arg(long, conflicts_with = "model")]
    no_vectors: bool,
    /// Embedding model: directory, Hugging Face id or built-in name [default: the bundled one]
    #[arg(long, env = "PLACKETT_MODEL")]
    model: Option<String>,
    /// How vectors are kept
    #[arg(long, value_enum, default_value = "f32")]
    vectors: Vectors,
    /// The graph for approximate search [default: auto, from 20000 vectors on in a program that has it]
    #[arg(long, value_enum, conflicts_with = "no_vectors")]
    graph: Option<Graph>,
    /// How texts become words: english, english-snowball, danish, dutch, finnish, french, german, italian, norwegian,
    /// portuguese, russian, spanish, swedish, standard (no stemming, no stop words) or whitespace
    #[arg(long, default_value = "english", value_name = "NAME")]
    analyzer: String,
    /// Fields that are searched: title, text and names of metadata
    #[arg(long, value_delimiter = ',', default_value = "title,text", value_name = "NAMES")]
    fields: Vec<String>,
    #[command(flatten)]
    documents: DocumentArguments,
}

/// How vectors are kept.
#[derive(Clone, Copy, ValueEnum)]
enum Vectors {
    /// Four bytes a number
    F32,
    /// One byte a number: a quarter of the size, nearly the same order
    Int8,
}

/// When the graph for approximate search is made.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Graph {
    /// From 20000 vectors on
    Auto,
    /// Whatever the number of vectors
    Always,
    /// Not now
    Never,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let started = Instant::now();
    let path = &arguments.output;
    let exists = path.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    let changing = arguments.append || arguments.collection.is_none();
    if exists && !changing {
        let text = "is not empty; add to the index in it with --append, or name a new folder";
        return Err(anyhow::anyhow!("{}: the folder {text}", path.display()).into());
    }
    if arguments.graph == Some(Graph::Always) && !HAS_HNSW {
        return Err(SearchError::WithoutUsearch.into());
    }
    let models = Models::new(arguments.model.clone(), global.models());
    let bar = CollectionBar::new(output, "indexing", arguments.collection.as_deref());
    let open = |name: Option<&str>| open_embedder(&models, name, |count| bar.finished(count));
    let (index, embedder) = if exists || changing {
        let index = open_index(path)?;
        let own = index.settings().model.clone();
        // A model that is asked for is opened and refused when it is not the index's; the environment's is a default.
        let default = std::env::var("PLACKETT_MODEL").ok();
        let asked = arguments.model.as_deref().filter(|name| default.as_deref() != Some(*name));
        let embedder = own.map(|own| open(asked.or(Some(&own.name)))).transpose()?;
        (Some(index), embedder)
    } else {
        (None, (!arguments.no_vectors).then(|| open(None)).transpose()?)
    };
    // The collection is opened before a folder is made, so that a wrong name leaves nothing behind.
    let collection = arguments.collection.as_deref();
    let documents = collection.map(|path| arguments.documents.read(path, Some(bar.count()))).transpose()?;
    let mut index = match index {
        Some(index) => index,
        None => Index::create(path, &arguments.settings(embedder.as_ref()))?,
    };
    let result = change(arguments, documents, &mut index, embedder.as_ref(), &bar);
    bar.end();
    if result.is_err() && !exists && Index::open(path).is_ok_and(|index| index.is_empty()) {
        // Nothing was committed into a folder that this command made.
        drop(index);
        std::fs::remove_dir_all(path).with_context(|| path.display().to_string())?;
        return result.map(|_| ()).map_err(Into::into);
    }
    let (committed, deleted) = result?;
    report(&index, &committed, deleted, started, output)
}

fn open_embedder<'a>(
    models: &Models,
    name: Option<&str>,
    progress: impl Fn(usize) + Send + Sync + 'a,
) -> anyhow::Result<DocumentEmbedder<'a>> {
    Ok(DocumentEmbedder::open(models, name, progress)?)
}

impl Arguments {
    fn settings(&self, embedder: Option<&DocumentEmbedder<'_>>) -> IndexSettings {
        IndexSettings {
            analyzer: self.analyzer.clone(),
            fields: self.fields.clone(),
            model: embedder.map(|embedder| embedder.identity().clone()),
            vectors: match self.vectors {
                Vectors::F32 => VectorFormat::F32,
                Vectors::Int8 => VectorFormat::Int8,
            },
        }
    }

    fn ids_to_delete(&self) -> anyhow::Result<Vec<String>> {
        let Some(delete) = &self.delete else { return Ok(Vec::new()) };
        let Some(file) = delete.strip_prefix('@') else {
            return Ok(delete
                .split(',')
                .map(str::trim)
                .filter(|id| !id.is_empty())
                .map(str::to_string)
                .collect());
        };
        let text = std::fs::read_to_string(file).with_context(|| file.to_string())?;
        Ok(text.lines().map(str::trim).filter(|id| !id.is_empty()).map(str::to_string).collect())
    }
}

/// Deletes and adds; the last commit's account has the sums of all.
fn change(
    arguments: &Arguments,
    documents: Option<Documents>,
    index: &mut Index,
    embedder: Option<&DocumentEmbedder<'_>>,
    bar: &CollectionBar,
) -> anyhow::Result<(Committed, usize)> {
    let ids = arguments.ids_to_delete()?;
    let mut writer = index.writer(embedder.map(|embedder| embedder as &dyn Embedder))?;
    let before = writer.documents();
    match arguments.graph {
        Some(Graph::Always) => writer.graph_from(1),
        Some(Graph::Never) => writer.graph_from(usize::MAX),
        Some(Graph::Auto) | None => {}
    }
    writer.on_graph_progress(|done, all| bar.say(graph_message(done, all)));
    for id in &ids {
        writer.delete(id)?;
    }
    let mut total = writer.commit()?;
    let deleted = before - total.documents;
    if let (Some(collection), Some(documents)) = (&arguments.collection, documents) {
        let mut seen = HashSet::new();
        for (nth, document) in documents.enumerate() {
            let document = document?;
            if !seen.insert(document.id.clone()) {
                anyhow::bail!(
                    "{}: the id `{}` comes a second time, as document {}; ids must be different",
                    collection.display(),
                    document.id,
                    nth + 1
                );
            }
            bar.read();
            writer.put(document)?;
            if embedder.is_none() {
                bar.finished(1);
            }
            if (nth + 1) % COMMIT_EVERY == 0 {
                add(&mut total, writer.commit()?);
            }
        }
        add(&mut total, writer.finish()?);
        if total.documents == 0 {
            bail!("{}: there is no document in it", collection.display());
        }
    }
    Ok((total, deleted))
}

/// What stands beside the counter of documents while a graph is made.
fn graph_message(done: usize, all: usize) -> String {
    if done < all { format!("graph of vectors: {}%", 100 * done / all) } else { "indexing".into() }
}

fn add(total: &mut Committed, commit: Committed) {
    total.documents = commit.documents;
    total.written += commit.written;
    total.truncated.extend(commit.truncated);
}

fn report(index: &Index, done: &Committed, deleted: usize, started: Instant, output: &Output) -> Outcome {
    let stats = index.stats();
    let seconds = started.elapsed().as_secs_f64();
    let directory = index.directory().display();
    if output.json {
        let value = json!({
            "index": directory.to_string(), "documents": done.documents, "written": done.written, "deleted": deleted,
            "vectors": index.settings().model, "bytes": stats.bytes, "graph_vectors": stats.graph_vectors, "truncated": done.truncated, "seconds": seconds,
        });
        return Ok(output.print_json(&value)?);
    }
    let mut text = format!(
        "{} {directory}: {} documents, {} written, {deleted} deleted, {:.1} MB, {seconds:.1} s\n",
        style("indexed").green().bold(),
        done.documents,
        done.written,
        stats.bytes as f64 / 1e6
    );
    if let (Some(model), false) = (&index.settings().model, done.truncated.is_empty()) {
        text.push_str(&format!(
            "  {} texts are longer than {} reads: their vectors see the beginning (ids with --json); words see all\n",
            done.truncated.len(),
            model.name
        ));
    }
    text.push_str(&format!("  try: plackett search {directory} \"your words\"\n"));
    Ok(output.print(&text)?)
}

/// Indexes documents into a new folder with vectors of the default model: what the quickstart does. `progress` is told
/// how many have been read since last time.
pub fn build(
    path: &Path,
    documents: &[Document],
    models: &Models,
    progress: impl Fn(usize) + Send + Sync,
) -> anyhow::Result<Index> {
    let embedder = open_embedder(models, None, progress)?;
    let settings = IndexSettings { model: Some(embedder.identity().clone()), ..IndexSettings::default() };
    let mut index = Index::create(path, &settings)?;
    let mut writer = index.writer(Some(&embedder))?;
    for document in documents {
        writer.put(document.clone())?;
    }
    writer.finish()?;
    Ok(index)
}
