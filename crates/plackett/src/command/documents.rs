//! Collections of documents: the flags that say how they are kept, their reading, and the bar that goes with it.

use super::Output;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use plackett_core::formats::{
    BeirFolder, BytesRead, DocumentFormat, DocumentOptions, Documents, FormatError, SingleKind,
    document_bytes, names_records, open_documents,
};
use plackett_search::MANIFEST;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// How documents are kept and what their fields are called.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
pub struct DocumentArguments {
    /// How the documents are kept [default: by the ending of the name; JSONL on standard input]
    #[arg(long, value_enum, value_name = "FORMAT")]
    input_format: Option<InputFormat>,
    /// Field of a document's id [default: _id, docid, id …]
    #[arg(long, value_name = "NAME")]
    id_field: Option<String>,
    /// Field of a document's title
    #[arg(long, value_name = "NAME")]
    title_field: Option<String>,
    /// Field of a document's text [default: text, contents, body …]
    #[arg(long, value_name = "NAME")]
    text_field: Option<String>,
    /// Number documents that have no id by their line, with `index --append` behind the numbers of the index
    #[arg(long)]
    number_missing_ids: bool,
}

/// How documents are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum InputFormat {
    /// One JSON object per line
    Jsonl,
    /// Comma-separated, the first line names the fields
    Csv,
    /// Tab-separated, with or without names
    Tsv,
    /// A Parquet table
    Parquet,
    /// One text per line, numbered from 1, with --append behind the numbers of the index
    Text,
    /// A file of Markdown that is one document
    Markdown,
    /// A page that is one document
    Html,
    /// A PDF that is one document; needs a program built with the feature `pdf`, as it is by itself
    Pdf,
}

impl DocumentArguments {
    /// The first of the flags that was given.
    pub fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--input-format", self.input_format.is_some()),
            ("--id-field", self.id_field.is_some()),
            ("--title-field", self.title_field.is_some()),
            ("--text-field", self.text_field.is_some()),
            ("--number-missing-ids", self.number_missing_ids),
        ];
        flags.into_iter().find_map(|(flag, given)| given.then_some(flag))
    }

    /// Whether documents of a collection are named by the numbers of their lines or rows.
    pub fn are_numbered(&self) -> bool {
        self.number_missing_ids || self.input_format == Some(InputFormat::Text)
    }

    /// Whether a file that may as well hold a text on each line is one of documents, by the flags or by the ending of its name.
    pub fn names_documents(&self, path: &Path) -> bool {
        self.input_format.is_some() || names_records(path)
    }

    /// Documents of a collection: a BEIR folder, any file that holds documents or is one, a folder of such files, or `-`. The format and
    /// the names of fields are those of the flags, the rest is that of the options.
    pub fn read(&self, path: &Path, options: DocumentOptions) -> Result<Documents, FormatError> {
        let options = DocumentOptions {
            format: match self.input_format {
                None => DocumentFormat::Auto,
                Some(InputFormat::Jsonl) => DocumentFormat::JsonLines,
                Some(InputFormat::Csv) => DocumentFormat::Csv,
                Some(InputFormat::Tsv) => DocumentFormat::Tsv,
                Some(InputFormat::Parquet) => DocumentFormat::Parquet,
                Some(InputFormat::Text) => DocumentFormat::Lines,
                Some(InputFormat::Markdown) => DocumentFormat::Single(SingleKind::Markdown),
                Some(InputFormat::Html) => DocumentFormat::Single(SingleKind::Html),
                Some(InputFormat::Pdf) => DocumentFormat::Single(SingleKind::Pdf),
            },
            id_field: self.id_field.clone(),
            title_field: self.title_field.clone(),
            text_field: self.text_field.clone(),
            number_missing_ids: self.number_missing_ids,
            ..options
        };
        if path.join(MANIFEST).is_file() {
            let problem = format!(
                "is an index, expected the documents themselves; name the collection (`plackett index COLLECTION -o {} \
                 --append` adds one to this index)",
                path.display()
            );
            return Err(FormatError::File { file: path.display().to_string(), problem });
        }
        match beir(path) {
            Some(beir) if self.input_format.is_none() => beir.corpus_with(&options),
            _ => open_documents(path, &options),
        }
    }
}

fn beir(path: &Path) -> Option<BeirFolder> {
    if path.is_dir() { BeirFolder::open(path).ok() } else { None }
}

/// The bytes that will be read of a collection, where they are known.
fn bytes(path: &Path) -> Option<u64> {
    match beir(path).map(|beir| beir.corpus_file()) {
        Some(Ok(corpus)) => document_bytes(&corpus),
        _ => document_bytes(path),
    }
}

/// A bar that stands where the last finished document ends in its file; a counter of documents where the size of the
/// collection is not known. Documents are finished in the order in which they were read.
pub struct CollectionBar {
    bar: ProgressBar,
    what: &'static str,
    count: BytesRead,
    sized: bool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// How far reading had come with each document that is not finished yet.
    ends: VecDeque<u64>,
    finished: u64,
}

impl CollectionBar {
    /// A bar for one collection; without any it counts.
    pub fn new(output: &Output, what: &'static str, collection: Option<&Path>) -> Self {
        let size = collection.and_then(bytes).filter(|size| *size > 0);
        let bar = size.map_or_else(|| output.counter(what), |size| output.bytes(what, size));
        let (count, waiting) = (BytesRead::default(), Mutex::default());
        CollectionBar { bar, what, count, sized: size.is_some(), waiting }
    }

    /// What the reader of the collection is to count with.
    pub fn count(&self) -> BytesRead {
        self.count.clone()
    }

    /// Another document has been read.
    pub fn read(&self) {
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.ends.push_back(self.count.load(Ordering::Relaxed));
        }
    }

    /// So many documents more have been finished.
    pub fn finished(&self, documents: usize) {
        let Ok(mut waiting) = self.waiting.lock() else { return };
        let documents_there = documents.min(waiting.ends.len());
        let end = waiting.ends.drain(..documents_there).next_back();
        waiting.finished += documents as u64;
        if !self.sized {
            return self.bar.set_position(waiting.finished);
        }
        if let Some(end) = end {
            self.bar.set_position(end);
        }
        if waiting.finished.is_multiple_of(32) {
            self.bar.set_message(format!("{}: {} documents", self.what, waiting.finished));
        }
    }

    /// Shows another message meanwhile.
    pub fn say(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(bar: &CollectionBar) -> DocumentOptions {
        DocumentOptions { bytes_read: Some(bar.count()), ..DocumentOptions::default() }
    }

    #[test]
    fn the_bar_stands_at_the_end_of_the_last_finished_document() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        let rows: String = (0..30_000).map(|n| format!("{n},some words\n")).collect();
        std::fs::write(&path, format!("docid,text\n{rows}")).unwrap();
        let bar = CollectionBar::new(&Output::kept(), "reading", Some(&path));
        let size = std::fs::metadata(&path).unwrap().len();
        assert_eq!(bar.bar.length(), Some(size));
        let mut places = Vec::new();
        for document in DocumentArguments::default().read(&path, counting(&bar)).unwrap() {
            document.unwrap();
            bar.read();
            // Embedding goes in parts and lags behind.
            if bar.waiting.lock().unwrap().ends.len() == 256 {
                bar.finished(200);
                places.push(bar.bar.position());
            }
        }
        let left = bar.waiting.lock().unwrap().ends.len();
        bar.finished(left);
        assert!(places.windows(2).all(|pair| pair[0] <= pair[1]) && places[0] < size / 4, "{places:?}");
        assert_eq!(bar.bar.position(), size);
        let counter = CollectionBar::new(&Output::kept(), "reading", Some(Path::new("-")));
        counter.read();
        counter.finished(1);
        assert_eq!((counter.bar.length(), counter.bar.position()), (None, 1));
    }

    #[test]
    fn folders_are_read_by_what_they_are_and_names_of_fields_count_there_too() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("corpus.jsonl"), "{\"key\": \"a\", \"words\": \"b\"}\n").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "one\ntwo\n").unwrap();
        let arguments = DocumentArguments {
            id_field: Some("key".into()),
            text_field: Some("words".into()),
            ..DocumentArguments::default()
        };
        let ids = |arguments: &DocumentArguments, path: &Path| -> Vec<String> {
            arguments
                .read(path, DocumentOptions::default())
                .unwrap()
                .map(|document| document.unwrap().id)
                .collect()
        };
        assert_eq!(ids(&arguments, folder.path()), ["a"]);
        let arguments =
            DocumentArguments { input_format: Some(InputFormat::Text), ..DocumentArguments::default() };
        assert!(arguments.read(folder.path(), DocumentOptions::default()).is_err(), "a folder has no lines");
        assert_eq!(ids(&arguments, &folder.path().join("notes.txt")), ["1", "2"]);
        assert_eq!((arguments.given(), DocumentArguments::default().given()), (Some("--input-format"), None));
        let usual = DocumentArguments::default();
        let names = ["c.jsonl", "c.TSV.gz", "c.parquet", "c.csv.zst", "notes.txt", "-", "jsonl"];
        let named = names.map(|name| usual.names_documents(Path::new(name)));
        assert_eq!(named, [true, true, true, true, false, false, false]);
        assert!(arguments.names_documents(Path::new("-")), "the flag says so");
    }
}
