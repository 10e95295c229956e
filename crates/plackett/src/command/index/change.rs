//! Documents and deletions into an index, in one commit.

use super::own_vectors::VectorSource;
use super::{Arguments, Graph, report};
use crate::command::Output;
use crate::command::documents::CollectionBar;
use crate::command::open::listed;
use anyhow::bail;
use plackett::indexing::DocumentEmbedder;
use plackett::own_vectors::OwnVectors;
use plackett::sync::CollectionSync;
use plackett_core::formats::Documents;
use plackett_search::{Committed, Embedder, Index, IndexWriter, NewIndex, Put, SearchError};
use std::path::Path;

/// What the documents go into.
pub(super) enum Target {
    Old(Index),
    New(NewIndex),
}

impl Target {
    /// The index itself.
    pub(super) fn index(&mut self) -> &mut Index {
        match self {
            Target::Old(index) => index,
            Target::New(new) => new.index_mut(),
        }
    }

    /// Gives a new index its place.
    pub(super) fn finish(self) -> Result<Index, SearchError> {
        match self {
            Target::Old(index) => Ok(index),
            Target::New(new) => new.finish(),
        }
    }

    /// Bytes of an interrupted build that were removed.
    fn removed(&self) -> u64 {
        match self {
            Target::Old(_) => 0,
            Target::New(new) => new.removed(),
        }
    }

    /// What there is when documents are committed and their blocks have failed.
    pub(super) fn without_blocks(&self, drops: bool) -> &'static str {
        match self {
            Target::Old(_) if drops => "the documents are committed",
            Target::Old(_) => {
                "the documents are committed, and not all of them have blocks; `plackett index -o DIR --blocks MODEL` goes on"
            }
            Target::New(new) if new.replaces() => "the index is as it was before",
            Target::New(_) => "no index was made",
        }
    }

    /// Leaves the index as it was before a change that has failed, and says so; what was committed before it failed stays.
    pub(super) fn give_up(
        self,
        error: &anyhow::Error,
        path: &Path,
        output: &Output,
    ) -> Result<(), SearchError> {
        if error.downcast_ref::<SearchError>().is_some_and(SearchError::is_after_commit) {
            return self.finish().map(drop);
        }
        let left = match &self {
            Target::New(new) if !new.replaces() => "no index was made",
            Target::Old(_) | Target::New(_) => "the index is as it was before",
        };
        output.warn(&format!("{}: {left}", path.display()));
        Ok(())
    }
}

/// A change of an index: what is asked for, and who is told.
pub(super) struct Change<'c> {
    pub(super) arguments: &'c Arguments,
    pub(super) sync: Option<&'c CollectionSync>,
    /// Ids that are to be deleted.
    pub(super) deleted: &'c [String],
    pub(super) bar: &'c CollectionBar,
    pub(super) output: &'c Output,
}

impl Change<'_> {
    /// Deletes and adds, in one commit.
    ///
    /// # Errors
    /// A document that cannot be read, comes twice or lacks its vector; the index cannot be written.
    pub(super) fn run(
        &self,
        documents: Option<Documents>,
        embedder: Option<&DocumentEmbedder<'_>>,
        own: Option<(VectorSource, OwnVectors<'_>)>,
        target: &mut Target,
    ) -> anyhow::Result<Committed> {
        // Vectors that somebody made stand in for those of the model.
        let (source, own) = own.unzip();
        let embedder: Option<&dyn Embedder> = match &own {
            Some(own) => Some(own),
            None => embedder.map(|embedder| embedder as &dyn Embedder),
        };
        let has_passages = target.index().has_passages();
        let searches_texts =
            target.index().settings().fields.iter().all(|field| field == "title" || field == "text");
        let puts = Puts {
            by_words_alone: embedder.is_none() && searches_texts,
            counts_documents: embedder.is_none() || has_passages,
        };
        let mut writer = self.writer(target, embedder)?;
        let absent = self.delete(&mut writer)?;
        let blank = match (self.arguments.collection.as_deref(), documents) {
            (Some(collection), Some(documents)) => {
                self.put_all((collection, documents), (source, own.as_ref()), &puts, &mut writer)?
            }
            _ => Vec::new(),
        };
        let committed = commit(writer, self.sync, self.arguments.graph)?;
        self.remark(&committed, &blank, &absent);
        Ok(committed)
    }

    fn directory(&self) -> String {
        self.arguments.output.display().to_string()
    }

    /// The writer, with what an interrupted command had left removed, and the sync begun.
    fn writer<'w>(
        &'w self,
        target: &'w mut Target,
        embedder: Option<&'w dyn Embedder>,
    ) -> anyhow::Result<IndexWriter<'w>> {
        let (directory, bar) = (self.directory(), self.bar);
        let left = target.removed();
        let writer = target.index().writer(embedder);
        let mut writer = writer.map_err(|error| report::unwritable(&directory, error))?;
        let left = left + writer.removed();
        if left > 0 {
            let megabytes = left as f64 / 1e6;
            self.output.warn(&format!(
                "{directory}: removed {megabytes:.1} MB that an interrupted command had left"
            ));
        }
        match self.arguments.graph {
            Some(Graph::Always) => writer.graph_from(1),
            Some(Graph::Never) => writer.graph_from(usize::MAX),
            Some(Graph::Auto) | None => {}
        }
        writer.on_graph_progress(move |done, all| bar.say(graph_message(done, all)));
        let before = self.sync.map(|sync| sync.begin(&writer, &self.arguments.output)).transpose()?.flatten();
        if let Some(before) = before {
            self.output.warn(&format!(
                "{directory}: the collection of the last sync, {before}, is gone; this one takes its place"
            ));
        }
        Ok(writer)
    }

    /// Deletes what is asked for, and says which ids there are not.
    fn delete(&self, writer: &mut IndexWriter<'_>) -> anyhow::Result<Vec<&str>> {
        let mut absent = Vec::new();
        for id in self.deleted {
            if !writer.delete(id)? {
                absent.push(id.as_str());
            }
        }
        Ok(absent)
    }

    /// Puts all documents of a collection in; the ids of those that no search finds.
    fn put_all(
        &self,
        (collection, documents): (&Path, Documents),
        (mut source, own): (Option<VectorSource>, Option<&OwnVectors<'_>>),
        puts: &Puts,
        writer: &mut IndexWriter<'_>,
    ) -> anyhow::Result<Vec<String>> {
        let (mut count, mut blank) = (0usize, Vec::new());
        for document in documents {
            let mut document = document?;
            if let (Some(source), Some(own)) = (&mut source, own) {
                own.push(source.vector_of(&mut document)?);
            }
            if let Some(sync) = self.sync
                && sync.is_unchanged(&document, writer)?
            {
                self.bar.read();
                self.bar.finished(1);
                continue;
            }
            if puts.by_words_alone && document.model_text().trim().is_empty() {
                blank.push(document.id.clone());
            }
            let id = document.id.clone();
            self.bar.read();
            count += 1;
            if writer.put(document)? == Put::Again {
                bail!(
                    "{}: the id `{id}` comes a second time, as document {count}; ids must be different",
                    collection.display()
                );
            }
            if puts.counts_documents {
                self.bar.finished(1);
            }
        }
        if let Some(source) = &mut source {
            source.end(count)?;
        }
        if count == 0 && self.sync.is_none() {
            bail!("{}: there is no document in it", collection.display());
        }
        Ok(blank)
    }

    /// Tells of what a commit has left as it was, of documents that no search finds and of ids that were not there.
    fn remark(&self, committed: &Committed, blank: &[String], absent: &[&str]) {
        let (directory, output) = (self.directory(), self.output);
        if let Some(sync) = self.sync {
            report::remark_on_kept(&sync.kept(), &directory, output);
            report::remark_on_strangers(sync, committed, &directory, output);
        }
        if !blank.is_empty() {
            output.warn(&format!(
                "no text in {}: it is in the index, and no search finds it",
                listed(blank, "document", "documents")
            ));
        }
        if !absent.is_empty() {
            output.warn(&format!("--delete: not in the index: {}", listed(absent, "id", "ids")));
        }
    }
}

/// How documents are put into an index.
struct Puts {
    /// Whether words of title and text are all that finds a document.
    by_words_alone: bool,
    /// Whether the bar counts documents as they are put, since nobody embeds them whole.
    counts_documents: bool,
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
