//! `plackett index`: from a collection to a directory that can be searched.

mod blocks;
mod own_vectors;
mod report;

use super::documents::{CollectionBar, DocumentArguments};
use super::open::{listed, open_index, read_lines, remark_on_version};
use super::paths::Paths;
use super::{Global, Outcome, Output};
use anyhow::bail;
use blocks::BlockArguments;
use clap::{Args, ValueEnum};
use own_vectors::{VectorArguments, VectorSource};
use plackett::indexing::DocumentEmbedder;
use plackett::own_vectors::OwnVectors;
use plackett::pipeline::Models;
use plackett::sync::CollectionSync;
use plackett_core::formats::{DocumentOptions, Documents, FieldUse, Remarks};
use plackett_core::{Document, names_field};
use plackett_search::chunk::ChunkingError;
use plackett_search::{
    Chunking, Committed, Embedder, FieldType, HAS_HNSW, Index, IndexSettings, IndexWriter, MANIFEST,
    NewIndex, Put, SearchError, VectorFormat,
};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Make documents searchable, or change an index
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett index corpus.jsonl -o my.index\n  plackett index beir/scifact -o scifact.index\n  \
                  plackett index more.csv -o my.index --append        (adds; replaces documents with the same id)\n  \
                  plackett index corpus.jsonl -o my.index --vectors-from vectors.npy --model all-MiniLM-L6-v2\n  \
                  plackett index notes -o notes.index --sync          (makes the index, then keeps it in step with the folder)\n  \
                  plackett index -o my.index --delete d17,d18\n  \
                  plackett index books -o books.index --chunk 200/50   (passages of 200 tokens, of which 50 are shared)\n  \
                  plackett index -o my.index --graph always           (makes the graph for approximate search)\n  \
                  plackett index -o my.index --blocks SmolLM2-135M-Instruct\n  \
                  plackett search my.index -p 'bm25:20 >> block-rank' --model SmolLM2-135M-Instruct \"words\"\n  \
                  plackett index - --input-format csv -o my.index < corpus.csv\n\n  \
                  A collection is a BEIR folder, JSONL, CSV, TSV or Parquet (.gz and .zst too), a file or a folder of files \
                  that are\none document each (.txt, .md, .html; .pdf in a program built with it), or `-` for standard \
                  input (JSONL unless\n--input-format says otherwise); docs/formats.md says more. A new index appears when it \
                  is whole, and a change\nis there as a whole or not at all, whatever happens meanwhile."
)]
pub struct Arguments {
    /// Documents to index; `-` for standard input
    #[arg(required_unless_present_any = ["delete", "graph", "blocks", "drop_blocks"])]
    collection: Option<PathBuf>,
    /// Directory of the index
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Add to an existing index; documents with known ids are replaced
    #[arg(long, requires = "collection")]
    append: bool,
    /// Keep the index in step with the collection: what is unchanged is passed over, what is gone is removed; makes the index
    /// where there is none
    #[arg(long, requires = "collection", conflicts_with_all = ["append", "delete"])]
    sync: bool,
    /// Ids to remove from an existing index, separated by commas, or @FILE with one a line
    #[arg(long, value_name = "IDS")]
    delete: Option<String>,
    /// Words only: smaller and faster, and without `dense`
    #[arg(long)]
    no_vectors: bool,
    /// Embedding model: directory, Hugging Face id or built-in name [default: the bundled one]
    #[arg(long, env = "PLACKETT_MODEL")]
    model: Option<String>,
    /// How vectors are kept [default: f32]
    #[arg(long, value_enum, conflicts_with = "no_vectors")]
    vectors: Option<Vectors>,
    /// The graph for approximate search [default: auto, from 20000 vectors on in a program that has it]
    #[arg(long, value_enum, conflicts_with = "no_vectors")]
    graph: Option<Graph>,
    /// How texts become words: english, english-snowball, danish, dutch, finnish, french, german, italian, norwegian,
    /// portuguese, russian, spanish, swedish, standard (no stemming, no stop words) or whitespace [default: english]
    #[arg(long, value_name = "NAME")]
    analyzer: Option<String>,
    /// Cut documents into passages, each with a vector: SIZE/OVERLAP in tokens of the model (words without vectors),
    /// sentences:5, headings (of Markdown or HTML); docs/chunks.md has all [default: documents are whole]
    #[arg(long, value_name = "SIZE/OVERLAP", value_parser = super::number::by(chunking))]
    chunk: Option<Chunking>,
    /// Fields that are searched: title, text and names of metadata [default: title,text]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    fields: Option<Vec<String>>,
    /// Types of metadata fields, such as year=number,published=date, where what stands there does not say them; also text,
    /// keyword and boolean
    #[arg(long, value_delimiter = ',', value_name = "NAME=TYPE", value_parser = super::number::by(field_type))]
    field_types: Option<Vec<(String, FieldType)>>,
    #[command(flatten)]
    own: VectorArguments,
    #[command(flatten)]
    documents: DocumentArguments,
    #[command(flatten, next_help_heading = "Blocks for block-rank")]
    blocks: BlockArguments,
}

/// How vectors are kept.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Vectors {
    /// Four bytes a number
    F32,
    /// One byte a number: a quarter of the size, nearly the same order
    Int8,
}

impl Vectors {
    fn format(self) -> VectorFormat {
        match self {
            Vectors::F32 => VectorFormat::F32,
            Vectors::Int8 => VectorFormat::Int8,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Vectors::F32 => "f32",
            Vectors::Int8 => "int8",
        }
    }
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

fn chunking(text: &str) -> Result<Chunking, String> {
    text.parse().map_err(|error: ChunkingError| error.to_string())
}

/// What the documents go into.
enum Target {
    Old(Index),
    New(NewIndex),
}

impl Target {
    fn index(&mut self) -> &mut Index {
        match self {
            Target::Old(index) => index,
            Target::New(new) => new.index_mut(),
        }
    }

    fn finish(self) -> Result<Index, SearchError> {
        match self {
            Target::Old(index) => Ok(index),
            Target::New(new) => new.finish(),
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let started = Instant::now();
    let path = &arguments.output;
    if path.is_file() {
        return Err(anyhow::anyhow!(
            "{}: is a file, expected a folder for the index; name another",
            path.display()
        )
        .into());
    }
    let synced = arguments.sync && path.join(MANIFEST).is_file();
    let changing = arguments.append || arguments.collection.is_none() || synced;
    arguments.check(changing)?;
    if arguments.collection.is_none() {
        global.no_line_limit("no collection is read")?;
    }
    arguments.paths().check(output)?;
    let deleted = arguments.ids_to_delete()?;
    let models = Models::new(arguments.model.clone(), global.models());
    let bar = CollectionBar::new(output, "indexing", arguments.collection.as_deref());
    let (index, embedder) = if changing {
        let index = open_index(path)?;
        let asked = arguments.asked_model();
        arguments.check_settings(&index, asked)?;
        remark_on_version(&index, output);
        if arguments.append && asked.is_none() {
            arguments.own.remark_on_unknown(index.settings(), path, output);
        }
        let own = index.settings().model.clone();
        let bar = (!index.has_passages()).then_some(&bar);
        let embedder = own.map(|own| open_for(&models, asked.or(Some(&own.name)), bar)).transpose()?;
        (Some(index), embedder)
    } else {
        let bar = arguments.chunk.is_none().then_some(&bar);
        let embedder = (!arguments.no_vectors).then(|| open_for(&models, None, bar)).transpose()?;
        arguments.check_chunking(embedder.as_ref())?;
        (None, embedder)
    };
    let has_passages = index.as_ref().map_or(arguments.chunk.is_some(), Index::has_passages);
    let own = arguments.own.open(embedder.as_ref().map(DocumentEmbedder::identity), has_passages)?;
    let own = own.zip(embedder.as_ref()).map(|(source, embedder)| {
        (source, OwnVectors::new(embedder.identity().clone(), |count| bar.finished(count)))
    });
    arguments.blocks.check_drop(index.as_ref(), path)?;
    let follows = arguments.collection.is_some() || arguments.delete.is_some();
    let plan = arguments.blocks.plan(index.as_ref(), follows, &models)?;
    // The collection is opened before a folder is made, so that a wrong name leaves nothing behind.
    let collection = arguments.collection.as_deref();
    let remarks = Remarks::default();
    let sync = collection.filter(|_| arguments.sync).map(CollectionSync::new);
    let reading = DocumentOptions {
        unchanged: sync.as_ref().map(CollectionSync::file_check),
        bytes_read: Some(bar.count()),
        line_limit: global.max_line_bytes,
        remarks: remarks.clone(),
        ..arguments.reading(index.as_ref())
    };
    if reading.first_number > 1 {
        output.warn(&format!(
            "documents without ids of their own are numbered from {} on, behind those of the index",
            reading.first_number
        ));
    }
    let documents = collection.map(|path| arguments.documents.read(path, reading)).transpose()?;
    let mut target = match index {
        Some(index) => Target::Old(index),
        None => Target::New(NewIndex::begin(path, &arguments.settings(embedder.as_ref()))?),
    };
    let sync = sync.as_ref();
    let result =
        change(arguments, documents, sync, &deleted, &mut target, embedder.as_ref(), own, &bar, output);
    let made = match (&result, plan) {
        (Ok(_), Some(plan)) => plan.run(target.index(), &|message| bar.say(message)).map(Some),
        (Ok(_), None) => arguments.blocks.drop_asked(path, output).map(|()| None),
        _ => Ok(None),
    };
    bar.end();
    remarks.take().iter().for_each(|remark| output.warn(remark));
    match (result, made) {
        (Ok(committed), Ok(made)) => {
            let given = (arguments.own.is_given(), started);
            report::print(&target.finish()?, &committed, sync, made.as_ref(), given, output)
        }
        (Ok(_), Err(error)) => {
            let left = match target {
                Target::Old(_) if arguments.blocks.drops() => "the documents are committed",
                Target::Old(_) => {
                    "the documents are committed, and not all of them have blocks; `plackett index -o DIR --blocks MODEL` goes on"
                }
                Target::New(_) => "no index was made",
            };
            output.warn(&format!("{}: {left}", path.display()));
            Err(error.into())
        }
        (Err(error), _) => {
            let committed = error.downcast_ref::<SearchError>().is_some_and(SearchError::is_after_commit);
            match target {
                target if committed => drop(target.finish()?),
                Target::Old(_) => output.warn(&format!("{}: the index is as it was before", path.display())),
                Target::New(_) => output.warn(&format!("{}: no index was made", path.display())),
            }
            Err(error.into())
        }
    }
}

/// A model whose texts move a bar, where documents are embedded whole: of passages it does not know how many are a document.
fn open_for<'a>(
    models: &Models,
    name: Option<&str>,
    bar: Option<&'a CollectionBar>,
) -> anyhow::Result<DocumentEmbedder<'a>> {
    open_embedder(models, name, move |count| bar.iter().for_each(|bar| bar.finished(count)))
}

fn open_embedder<'a>(
    models: &Models,
    name: Option<&str>,
    progress: impl Fn(usize) + Send + Sync + 'a,
) -> anyhow::Result<DocumentEmbedder<'a>> {
    Ok(DocumentEmbedder::open(models, name, progress)?)
}

impl Arguments {
    /// Refuses flags that do not go together, before anything is opened.
    fn check(&self, changing: bool) -> anyhow::Result<()> {
        let path = self.output.display();
        let exists = self.output.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if exists && !changing {
            bail!(
                "{path}: the folder is not empty; add to the index in it with --append, or name a new folder"
            );
        }
        if self.delete.is_some() && !changing {
            bail!(
                "--delete: a new index has nothing to remove; name an index with --append, or leave the flag out"
            );
        }
        if let (None, Some(flag)) = (&self.collection, self.documents.given()) {
            bail!("{flag}: says how documents are kept, and there is no collection; leave it out");
        }
        if let (true, Some(model)) = (self.no_vectors, self.asked_model()) {
            bail!(
                "--model {model}: --no-vectors makes no vectors, so that no model is used; leave one of them out"
            );
        }
        let types = self.field_types.as_deref().unwrap_or_default();
        for (place, (name, kind)) in types.iter().enumerate() {
            if types.iter().take(place).any(|(other, _)| other == name) {
                bail!("--field-types {name}={kind}: the field `{name}` is named twice; give it one type");
            }
        }
        if self.graph == Some(Graph::Always) && !HAS_HNSW {
            return Err(SearchError::WithoutUsearch.into());
        }
        Ok(())
    }

    /// Refuses passages that are longer than the model reads.
    fn check_chunking(&self, embedder: Option<&DocumentEmbedder<'_>>) -> anyhow::Result<()> {
        let (Some(chunking), Some(embedder)) = (&self.chunk, embedder) else { return Ok(()) };
        let name = &embedder.identity().name;
        chunking
            .check(embedder)
            .map_err(|error| anyhow::anyhow!("--chunk {chunking}: {error} (model {name})"))
    }

    /// The model that was asked for. The environment's is a default, and an index has a model of its own.
    fn asked_model(&self) -> Option<&str> {
        let default = std::env::var("PLACKETT_MODEL").ok();
        self.model.as_deref().filter(|name| default.as_deref() != Some(*name))
    }

    /// Refuses settings that an index does not have: they hold for its whole life.
    fn check_settings(&self, index: &Index, model: Option<&str>) -> anyhow::Result<()> {
        let settings = index.settings();
        let refuse = |given: String, has: String| {
            let path = index.directory().display();
            anyhow::anyhow!(
                "{given}: the index {path} has {has}, which does not change; leave the flag out, or index the whole \
                 collection again into a new folder"
            )
        };
        if let Some(name) = self.analyzer.as_ref().filter(|name| **name != settings.analyzer) {
            return Err(refuse(format!("--analyzer {name}"), format!("the analyser {}", settings.analyzer)));
        }
        if let Some(fields) = self.fields.as_ref().filter(|fields| **fields != settings.fields) {
            let has = format!("the searched fields {}", settings.fields.join(","));
            return Err(refuse(format!("--fields {}", fields.join(",")), has));
        }
        for (name, kind) in self.field_types.iter().flatten() {
            let same = |own: &str| names_field(name, own) || names_field(own, name);
            let known = settings.types.iter().find(|(own, _)| same(own)).map(|(_, own)| own);
            let has = match known {
                Some(own) if own == kind => continue,
                Some(own) => format!("the type {own} for that field"),
                None => "no such type".into(),
            };
            return Err(refuse(format!("--field-types {name}={kind}"), has));
        }
        if let Some(chunking) = self.chunk.as_ref().filter(|own| settings.chunking.as_ref() != Some(own)) {
            let has = match &settings.chunking {
                Some(own) => format!("passages of {own}"),
                None => "whole documents".into(),
            };
            return Err(refuse(format!("--chunk {chunking}"), has));
        }
        let Some(own) = &settings.model else {
            let given = [
                model.map(|name| format!("--model {name}")),
                self.vectors.map(|format| format!("--vectors {}", format.name())),
                self.graph.map(|_| "--graph".to_string()),
            ];
            return match given.into_iter().flatten().next() {
                Some(given) => Err(refuse(given, "no vectors".into())),
                None => Ok(()),
            };
        };
        if self.no_vectors {
            return Err(refuse("--no-vectors".into(), format!("vectors of the model {}", own.name)));
        }
        if let Some(format) = self.vectors.filter(|format| format.format() != settings.vectors) {
            let has = if settings.vectors == VectorFormat::F32 { Vectors::F32 } else { Vectors::Int8 };
            return Err(refuse(format!("--vectors {}", format.name()), format!("{} vectors", has.name())));
        }
        match &self.collection {
            Some(_) => self.own.check_given(settings, index.directory(), self.sync, model),
            None => Ok(()),
        }
    }

    fn settings(&self, embedder: Option<&DocumentEmbedder<'_>>) -> IndexSettings {
        let usual = IndexSettings::default();
        IndexSettings {
            analyzer: self.analyzer.clone().unwrap_or(usual.analyzer),
            fields: self.fields.clone().unwrap_or(usual.fields),
            model: embedder.map(|embedder| embedder.identity().clone()),
            vectors: self.vectors.map_or(usual.vectors, Vectors::format),
            types: self.field_types.iter().flatten().cloned().collect(),
            chunking: self.chunk.clone(),
            given_vectors: Some(self.own.is_given()),
            ..usual
        }
    }

    /// What an index asks of the documents: fields, of which a new index needs every one, and numbers that go on behind
    /// those that are there.
    fn reading(&self, index: Option<&Index>) -> DocumentOptions {
        let Some(index) = index else {
            let field_use = FieldUse::SearchedAsAsked;
            let fields = self.fields.clone().unwrap_or_else(|| IndexSettings::default().fields);
            return DocumentOptions { field_use, fields, ..DocumentOptions::default() };
        };
        // The numbers of a collection that is synced are its own: a document keeps the one it had.
        let numbered = !self.sync && self.collection.is_some() && self.documents.are_numbered();
        let last = || index.ids().filter_map(|id| id.parse::<u64>().ok()).max().unwrap_or(0);
        DocumentOptions {
            field_use: FieldUse::Searched,
            fields: index.settings().fields.clone(),
            first_number: if numbered { last().saturating_add(1) } else { 1 },
            ..DocumentOptions::default()
        }
    }

    /// The files that are read.
    fn paths(&self) -> Paths {
        let ids = self.delete.as_deref().and_then(|delete| delete.strip_prefix('@'));
        let paths = Paths::default().reads("COLLECTION", &self.collection).reads("--delete", ids);
        paths.reads("--vectors-from", &self.own.vectors_from)
    }

    /// The ids as they stand: a blank may be a part of one.
    fn ids_to_delete(&self) -> anyhow::Result<Vec<String>> {
        let Some(delete) = &self.delete else { return Ok(Vec::new()) };
        let Some(file) = delete.strip_prefix('@') else {
            let ids: Vec<String> = delete.split(',').map(str::to_string).collect();
            if ids.iter().any(String::is_empty) {
                bail!(
                    "--delete: an id is empty; put one id between every two commas, or give a file as @FILE"
                );
            }
            return Ok(ids);
        };
        let mut ids = read_lines(Path::new(file))?;
        ids.retain(|id| !id.is_empty());
        if ids.is_empty() {
            bail!("--delete @{file}: there is no id in the file; it has one a line");
        }
        Ok(ids)
    }
}

/// Deletes and adds, in one commit.
fn change(
    arguments: &Arguments,
    documents: Option<Documents>,
    sync: Option<&CollectionSync>,
    deleted: &[String],
    target: &mut Target,
    embedder: Option<&DocumentEmbedder<'_>>,
    own: Option<(VectorSource, OwnVectors<'_>)>,
    bar: &CollectionBar,
    output: &Output,
) -> anyhow::Result<Committed> {
    // Vectors that somebody made stand in for those of the model.
    let (mut source, own) = own.unzip();
    let embedder: Option<&dyn Embedder> = match &own {
        Some(own) => Some(own),
        None => embedder.map(|embedder| embedder as &dyn Embedder),
    };
    let left = if let Target::New(new) = target { new.removed() } else { 0 };
    let directory = arguments.output.display().to_string();
    let target_fields = target.index().settings().fields.clone();
    let counts_documents = embedder.is_none() || target.index().has_passages();
    let writer = target.index().writer(embedder);
    let mut writer = writer.map_err(|error| report::unwritable(&directory, error))?;
    let left = left + writer.removed();
    if left > 0 {
        let megabytes = left as f64 / 1e6;
        output.warn(&format!("{directory}: removed {megabytes:.1} MB that an interrupted command had left"));
    }
    match arguments.graph {
        Some(Graph::Always) => writer.graph_from(1),
        Some(Graph::Never) => writer.graph_from(usize::MAX),
        Some(Graph::Auto) | None => {}
    }
    let mut blank = Vec::new();
    writer.on_graph_progress(|done, all| bar.say(graph_message(done, all)));
    if let Some(moved) = sync.map(|sync| sync.begin(&writer, &arguments.output)).transpose()?.flatten() {
        output.warn(&format!(
            "{directory}: the collection of the last sync, {moved}, is gone; this one takes its place"
        ));
    }
    let mut absent = Vec::new();
    for id in deleted {
        if !writer.delete(id)? {
            absent.push(id);
        }
    }
    if let (Some(collection), Some(documents)) = (&arguments.collection, documents) {
        let mut count = 0usize;
        let fields = target_fields.iter().all(|field| field == "title" || field == "text");
        for document in documents {
            let mut document = document?;
            if let (Some(source), Some(own)) = (&mut source, &own) {
                own.push(source.vector_of(&mut document)?);
            }
            if let Some(sync) = sync
                && sync.is_unchanged(&document, &writer)?
            {
                bar.read();
                bar.finished(1);
                continue;
            }
            if embedder.is_none() && fields && document.model_text().trim().is_empty() {
                blank.push(document.id.clone());
            }
            let id = document.id.clone();
            bar.read();
            count += 1;
            if writer.put(document)? == Put::Again {
                bail!(
                    "{}: the id `{id}` comes a second time, as document {count}; ids must be different",
                    collection.display()
                );
            }
            if counts_documents {
                bar.finished(1);
            }
        }
        if let Some(source) = &mut source {
            source.end(count)?;
        }
        if count == 0 && sync.is_none() {
            bail!("{}: there is no document in it", collection.display());
        }
    }
    let committed = commit(writer, sync, arguments.graph)?;
    if let Some(sync) = sync {
        report::remark_on_kept(&sync.kept(), &directory, output);
        report::remark_on_strangers(sync, &committed, &directory, output);
    }
    if !blank.is_empty() {
        output.warn(&format!(
            "no text in {}: it is in the index, and no search finds it",
            listed(&blank, "document", "documents")
        ));
    }
    if !absent.is_empty() {
        output.warn(&format!("--delete: not in the index: {}", listed(&absent, "id", "ids")));
    }
    Ok(committed)
}

/// Reads `year=number`.
fn field_type(text: &str) -> Result<(String, FieldType), String> {
    match text.rsplit_once('=') {
        Some((name, kind)) if !name.is_empty() => Ok((name.into(), kind.parse()?)),
        _ => Err("a field and its type are expected, as in year=number".into()),
    }
}

/// Commits, unless a sync has found nothing to change: then the index is left as it is.
fn commit(
    mut writer: IndexWriter<'_>,
    sync: Option<&CollectionSync>,
    graph: Option<Graph>,
) -> anyhow::Result<Committed> {
    let changes = sync.map(|sync| sync.finish(&mut writer)).transpose()?.unwrap_or(true);
    if changes || graph.is_some() {
        return Ok(writer.finish()?);
    }
    Ok(Committed { documents: writer.documents(), passages: writer.passages(), ..Committed::default() })
}

/// What stands beside the counter of documents while a graph is made.
fn graph_message(done: usize, all: usize) -> String {
    if done < all { format!("graph of vectors: {}%", 100 * done / all) } else { "indexing".into() }
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
    let mut new = NewIndex::begin(path, &settings)?;
    let mut writer = new.index_mut().writer(Some(&embedder))?;
    for document in documents {
        writer.put(document.clone())?;
    }
    writer.finish()?;
    Ok(new.finish()?)
}
