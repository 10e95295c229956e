//! `plackett index`: from a collection to a directory that can be searched.

mod blocks;
mod change;
mod check;
mod own_vectors;
mod report;

use super::documents::{CollectionBar, DocumentArguments};
use super::open::{open_index, read_lines, remark_on_version};
use super::paths::Paths;
use super::{Global, Outcome, Output};
use anyhow::bail;
use blocks::BlockArguments;
use change::{Change, Target};
use clap::{Args, ValueEnum};
use own_vectors::{VectorArguments, VectorSource};
use plackett::indexing::DocumentEmbedder;
use plackett::own_vectors::OwnVectors;
use plackett::pipeline::Models;
use plackett::sync::CollectionSync;
use plackett_core::Document;
use plackett_core::formats::{DocumentOptions, Documents, FieldUse, Remarks};
use plackett_search::chunk::ChunkingError;
use plackett_search::{
    Chunking, FieldType, Index, IndexSettings, MANIFEST, NewIndex, SearchError, VectorFormat,
};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Make documents searchable, or change an index
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett index corpus.jsonl -o my.index\n  \
                        plackett index beir/scifact -o scifact.index\n  \
                        plackett index more.csv -o my.index --append        (adds; replaces documents with the same id)\n  \
                        plackett index corpus.jsonl -o my.index --overwrite  (makes it anew; the old one stays until then)\n  \
                        plackett index corpus.jsonl -o my.index --vectors-from vectors.npy --model all-MiniLM-L6-v2\n  \
                        plackett index notes -o notes.index --sync          (keeps it in step with the folder)\n  \
                        plackett index -o my.index --delete d17,d18\n  \
                        plackett index books -o books.index --chunk 200/50   (passages of 200 tokens that share 50)\n  \
                        plackett index -o my.index --graph always           (makes the graph for approximate search)\n  \
                        plackett index -o my.index --blocks SmolLM2-135M-Instruct\n  \
                        plackett search my.index -p 'bm25:20 >> block-rank' --model SmolLM2-135M-Instruct \"words\"\n  \
                        plackett index - --input-format csv -o my.index < corpus.csv\n\n\
                        A collection is a BEIR folder, JSONL, CSV, TSV or Parquet (.gz and .zst too), a file or a folder of\n\
                        files that are one document each (.txt, .md, .html; .pdf in a program built with it), or `-` for\n\
                        standard input (JSONL unless --input-format says otherwise); docs/formats.md says more. A new index\n\
                        appears when it is whole, and a change is there as a whole or not at all, whatever happens\n\
                        meanwhile.")]
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
    /// Make the index anew where there is one: the old one stays until the new one is whole
    #[arg(long, requires = "collection", conflicts_with_all = ["append", "sync", "delete"])]
    overwrite: bool,
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

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let started = Instant::now();
    let path = &arguments.output;
    let changing = arguments.check_changing()?;
    if arguments.collection.is_none() {
        global.no_line_limit("no collection is read")?;
    }
    arguments.paths().check(output)?;
    let deleted = arguments.ids_to_delete()?;
    let models = Models::new(arguments.model.clone(), global.models());
    let bar = CollectionBar::new(output, "indexing", arguments.collection.as_deref());
    let (index, embedder) = match changing {
        true => arguments.open_index(&models, &bar, output)?,
        false => (None, arguments.open_new_model(&models, &bar)?),
    };
    let own = arguments.open_vectors(index.as_ref(), embedder.as_ref(), &bar)?;
    arguments.blocks.check_drop(index.as_ref(), path)?;
    let follows = arguments.collection.is_some() || arguments.delete.is_some();
    let plan = arguments.blocks.plan(index.as_ref(), follows, &models)?;
    // The collection is opened before a folder is made, so that a wrong name leaves nothing behind.
    let remarks = Remarks::default();
    let sync = arguments.collection.as_deref().filter(|_| arguments.sync).map(CollectionSync::new);
    let reading = DocumentOptions {
        unchanged: sync.as_ref().map(CollectionSync::file_check),
        bytes_read: Some(bar.count()),
        line_limit: global.max_line_bytes,
        remarks: remarks.clone(),
        ..arguments.reading(index.as_ref())
    };
    let documents = arguments.open_documents(reading, output)?;
    let mut target = match index {
        Some(index) => Target::Old(index),
        None => Target::New(arguments.begin(&arguments.settings(embedder.as_ref()))?),
    };
    let change = Change { arguments, sync: sync.as_ref(), deleted: &deleted, bar: &bar, output };
    let result = change.run(documents, embedder.as_ref(), own, &mut target);
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
            report::print(&target.finish()?, &committed, sync.as_ref(), made.as_ref(), given, output)
        }
        (Ok(_), Err(error)) => {
            let left = target.without_blocks(arguments.blocks.drops());
            output.warn(&format!("{}: {left}", path.display()));
            Err(error.into())
        }
        (Err(error), _) => {
            target.give_up(&error, path, output)?;
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
    /// Whether an index that is there is changed, and not a new one made. Refuses flags that do not go together.
    fn check_changing(&self) -> anyhow::Result<bool> {
        let path = &self.output;
        if path.is_file() {
            bail!("{}: is a file, expected a folder for the index; name another", path.display());
        }
        let synced = self.sync && path.join(MANIFEST).is_file();
        let changing = self.append || self.collection.is_none() || synced;
        self.check(changing)?;
        Ok(changing)
    }

    /// The index that is changed, and its model if it has one.
    fn open_index<'b>(
        &self,
        models: &Models,
        bar: &'b CollectionBar,
        output: &Output,
    ) -> anyhow::Result<(Option<Index>, Option<DocumentEmbedder<'b>>)> {
        let index = open_index(&self.output)?;
        let asked = self.asked_model();
        self.check_settings(&index, asked)?;
        remark_on_version(&index, output);
        if self.append && asked.is_none() {
            self.own.remark_on_unknown(index.settings(), &self.output, output);
        }
        let own = index.settings().model.clone();
        let bar = (!index.has_passages()).then_some(bar);
        let embedder = own.map(|own| open_for(models, asked.or(Some(&own.name)), bar)).transpose()?;
        Ok((Some(index), embedder))
    }

    /// The model of a new index; `None` for one of words only.
    fn open_new_model<'b>(
        &self,
        models: &Models,
        bar: &'b CollectionBar,
    ) -> anyhow::Result<Option<DocumentEmbedder<'b>>> {
        let bar = self.chunk.is_none().then_some(bar);
        let embedder = (!self.no_vectors).then(|| open_for(models, None, bar)).transpose()?;
        self.check_chunking(embedder.as_ref())?;
        Ok(embedder)
    }

    /// Vectors that come with the documents, where they are asked for.
    fn open_vectors<'b>(
        &self,
        index: Option<&Index>,
        embedder: Option<&DocumentEmbedder<'_>>,
        bar: &'b CollectionBar,
    ) -> anyhow::Result<Option<(VectorSource, OwnVectors<'b>)>> {
        let has_passages = index.map_or(self.chunk.is_some(), Index::has_passages);
        let model = embedder.map(|embedder| embedder.identity());
        let source = self.own.open(model, has_passages)?;
        Ok(source.zip(model).map(|(source, model)| {
            (source, OwnVectors::new(model.clone(), move |count| bar.finished(count)))
        }))
    }

    /// The documents of the collection, if there is one.
    fn open_documents(&self, reading: DocumentOptions, output: &Output) -> anyhow::Result<Option<Documents>> {
        if reading.first_number > 1 {
            output.warn(&format!(
                "documents without ids of their own are numbered from {} on, behind those of the index",
                reading.first_number
            ));
        }
        let collection = self.collection.as_deref();
        Ok(collection.map(|path| self.documents.read(path, reading)).transpose()?)
    }

    /// The folder of a new index.
    fn begin(&self, settings: &IndexSettings) -> Result<NewIndex, SearchError> {
        match self.overwrite {
            true => NewIndex::begin_over(&self.output, settings),
            false => NewIndex::begin(&self.output, settings),
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

/// Reads `year=number`.
fn field_type(text: &str) -> Result<(String, FieldType), String> {
    match text.rsplit_once('=') {
        Some((name, kind)) if !name.is_empty() => Ok((name.into(), kind.parse()?)),
        _ => Err("a field and its type are expected, as in year=number".into()),
    }
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
