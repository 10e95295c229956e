//! Documents from JSON lines, CSV, TSV, Parquet, plain lines, a file that is one document (text, Markdown, HTML, PDF), or a
//! folder of such files.

mod folder;
mod front_matter;
mod html;
mod json;
mod lines;
mod making;
mod markdown;
mod moment;
mod not_json;
mod parquet;
mod pdf;
mod quotes;
mod seen;
mod single;
mod table;
mod tally;

pub(super) use self::parquet::{PlainRows, plain_rows};
pub use self::parquet::{TableRows, parquet_rows};
pub use json::parse_json_lines;
pub use single::{LARGEST_SINGLE, SingleKind, parse_single};
pub use table::parse_table;

use super::input::open_counted;
use super::{BytesRead, DEFAULT_LINE_LIMIT, FormatError, Lines, Remarks};
use crate::Document;
use making::Making;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// How documents are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DocumentFormat {
    /// By the name's ending; a folder is a folder of files; anything else, and `-`, is JSON lines.
    #[default]
    Auto,
    /// One JSON object per line, or one array of objects, which is read whole.
    JsonLines,
    /// Comma-separated with a header line.
    Csv,
    /// Tab-separated with a header line that names an id column, otherwise `id<TAB>text`, `id<TAB>title<TAB>text` or MS
    /// MARCO's `id<TAB>url<TAB>title<TAB>text`.
    Tsv,
    /// Parquet. Where it is packed or standard input, an unpacked copy is kept among the temporary files meanwhile.
    Parquet,
    /// One text per line; the id is the number of the line. A folder has no lines.
    Lines,
    /// Files of the kinds that are one document each, also with `.gz` or `.zst`; the id is the path inside the folder.
    Folder,
    /// The whole file is one document; the id is the file's name.
    Single(SingleKind),
}

/// How to read documents.
#[derive(Clone, Debug)]
pub struct DocumentOptions {
    /// How they are kept.
    pub format: DocumentFormat,
    /// The field of the id; `None` looks for `_id`, `docid`, `doc_id`, `docno`, `id`, `pid`.
    pub id_field: Option<String>,
    /// The field of the title; `None` is `title`.
    pub title_field: Option<String>,
    /// The field of the text; `None` looks for `text`, `segment`, `contents`, `content`, `body`, `passage`.
    pub text_field: Option<String>,
    /// Numbers documents without id by their line or row; otherwise such a document is an error.
    pub number_missing_ids: bool,
    /// The number of the first line or row. Behind documents that are numbered already it is the next number, so that no
    /// document takes the place of another.
    pub first_number: u64,
    /// What becomes of the fields, which says what must be there and what is worth a remark.
    pub field_use: FieldUse,
    /// The fields that are searched: `title`, `text` and names of others.
    pub fields: Vec<String>,
    /// Longest line in bytes.
    pub line_limit: usize,
    /// Grows while the file is read, up to [`document_bytes`].
    pub bytes_read: Option<BytesRead>,
    /// Takes what is left out: hidden files of a folder, texts that nobody searches.
    pub remarks: Remarks,
    /// Asked of each file that is one document, before it is read as one: a file that is known is passed over.
    pub unchanged: Option<FileCheck>,
}

/// Tells files that are known as they are, by id, kind and bytes (unpacked, without a byte order mark).
#[derive(Clone)]
pub struct FileCheck {
    known: Arc<Check>,
    unread: Option<Arc<Unread>>,
}

type Check = dyn Fn(&str, SingleKind, &[u8]) -> bool + Send + Sync;
type Unread = dyn Fn(&str) + Send + Sync;

impl FileCheck {
    /// A check that asks a function, once for each file.
    pub fn new(check: impl Fn(&str, SingleKind, &[u8]) -> bool + Send + Sync + 'static) -> FileCheck {
        FileCheck { known: Arc::new(check), unread: None }
    }

    /// Tells a function the id of each file of a folder that is there and cannot be read, so that it does not count as gone;
    /// of a folder in it that cannot be read, its path with a `/` at the end.
    pub fn on_unread(self, unread: impl Fn(&str) + Send + Sync + 'static) -> FileCheck {
        FileCheck { unread: Some(Arc::new(unread)), ..self }
    }

    pub(super) fn is_known(&self, id: &str, kind: SingleKind, bytes: &[u8]) -> bool {
        (self.known)(id, kind, bytes)
    }

    pub(super) fn is_unread(&self, id: &str) {
        self.unread.iter().for_each(|unread| unread(id));
    }
}

impl fmt::Debug for FileCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileCheck")
    }
}

/// What becomes of the fields of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldUse {
    /// Nobody asked.
    #[default]
    Any,
    /// [`DocumentOptions::fields`] are searched, and a user named them now: each of them must be in some document.
    SearchedAsAsked,
    /// They are searched, since an index has them: documents without them are as good as others.
    Searched,
    /// Models read the title and the text.
    Read,
}

impl Default for DocumentOptions {
    fn default() -> Self {
        DocumentOptions {
            format: DocumentFormat::Auto,
            id_field: None,
            title_field: None,
            text_field: None,
            number_missing_ids: false,
            first_number: 1,
            field_use: FieldUse::Any,
            fields: Vec::new(),
            line_limit: DEFAULT_LINE_LIMIT,
            bytes_read: None,
            remarks: Remarks::default(),
            unchanged: None,
        }
    }
}

/// Documents one at a time. Ids are not checked for being unique: that would hold all of them in memory.
pub type Documents = Box<dyn Iterator<Item = Result<Document, FormatError>> + Send>;

/// Opens documents; `-` is standard input. A bad record is an error in its place, and so is the end of a file that had
/// none, or none with a field that was asked for.
pub fn open_documents(path: &Path, options: &DocumentOptions) -> Result<Documents, FormatError> {
    let file = super::input::name_of(path);
    let kind = kind(path, options.format);
    if kind == DocumentFormat::Lines && path.is_dir() {
        let problem = "--input-format text: is a folder, in which each file is one document of the kind that its name says; leave the \
                       flag out, or name a file that has a text on each line";
        return Err(FormatError::File { file, problem: problem.into() });
    }
    let of_files = matches!(kind, DocumentFormat::Folder | DocumentFormat::Single(_));
    if of_files || kind == DocumentFormat::Lines {
        check_texts(kind, &file, options)?;
    }
    let making = Making::new(options.clone());
    let mut documents = open_kind(kind, path, &file, making.clone())?;
    // Every row of a table has the same fields, so that the first one tells what others find only at the end.
    let mut unchecked = matches!(kind, DocumentFormat::Csv | DocumentFormat::Tsv | DocumentFormat::Parquet);
    // Files that are known are passed over, and a folder says itself when there is nothing in it.
    let (mut any, mut bad, mut done) = (of_files, false, false);
    Ok(Box::new(std::iter::from_fn(move || {
        if done {
            return None;
        }
        let next = documents.next();
        bad |= matches!(next, Some(Err(_)));
        let ended = next.is_none();
        if ended && !any {
            done = true;
            return Some(Err(FormatError::Empty { file: file.clone(), expected: "documents" }));
        }
        any = true;
        if (ended || unchecked) && !bad && kind != DocumentFormat::Lines {
            unchecked = false;
            if let Err(error) = making.seen().check(&file, &making.options) {
                done = true;
                return Some(Err(error));
            }
        }
        if ended {
            done = true;
            making.seen().remark(&file, &making.options);
        }
        next
    })))
}

/// Refuses names of fields for texts, which have none, and numbers for texts that have ids.
fn check_texts(kind: DocumentFormat, file: &str, options: &DocumentOptions) -> Result<(), FormatError> {
    let refused = |problem: String| Err(FormatError::File { file: file.into(), problem });
    for (flag, asked) in [
        ("--id-field", &options.id_field),
        ("--title-field", &options.title_field),
        ("--text-field", &options.text_field),
    ] {
        if let Some(name) = asked {
            return refused(match kind {
                DocumentFormat::Lines => format!(
                    "{flag} {name}: documents of plain text have no fields of their own; leave it out"
                ),
                _ => format!(
                    "{flag} {name}: a file that is one document has the title and the text that its kind gives it \
                     (docs/formats.md); leave it out"
                ),
            });
        }
    }
    if options.number_missing_ids {
        return refused(match kind {
            DocumentFormat::Folder => {
                "--number-missing-ids: the files of a folder have their paths for ids; leave it out".into()
            }
            DocumentFormat::Single(_) => {
                "--number-missing-ids: the document has the file's name for its id; leave it out".into()
            }
            _ => "--number-missing-ids: texts are numbered by their lines already; leave it out".into(),
        });
    }
    if kind == DocumentFormat::Lines && options.field_use == FieldUse::SearchedAsAsked {
        let mut seen = seen::Seen::default();
        seen.taken(None, None, Some("text"));
        seen.check(file, options)?;
    }
    Ok(())
}

fn open_kind(
    kind: DocumentFormat,
    path: &Path,
    file: &str,
    making: Making,
) -> Result<Documents, FormatError> {
    let options = &making.options;
    match kind {
        DocumentFormat::Folder => return folder::open(path, making),
        DocumentFormat::Single(kind) => return single::open(path, kind, making),
        DocumentFormat::Parquet => return parquet::open(path, making),
        _ => {}
    }
    let input = open_counted(path, options.bytes_read.as_ref())?;
    let limit = options.line_limit;
    Ok(match kind {
        DocumentFormat::Csv => table::open(input, file.into(), b',', making),
        DocumentFormat::Tsv => table::open(input, file.into(), b'\t', making),
        DocumentFormat::Lines => {
            let first = options.first_number;
            lines::open(Lines::over(input, file.into(), limit), first)
        }
        _ => Box::new(json::JsonLines::new(Lines::over(input, file.into(), limit), making)),
    })
}

/// The bytes that [`open_documents`] will read of a file, or of the files of a folder; `None` for standard input, pipes
/// and what cannot be asked.
pub fn document_bytes(path: &Path) -> Option<u64> {
    if path.is_dir() {
        return folder::bytes(path).ok();
    }
    std::fs::metadata(path).ok().filter(|data| data.is_file()).map(|data| data.len())
}

/// Whether the ending of a file's name says that it holds records with fields of their own names: `.jsonl`, `.ndjson`, `.json`,
/// `.csv`, `.tsv` or `.parquet`, packed or not.
pub fn names_records(path: &Path) -> bool {
    matches!(single::ending(path).as_deref(), Some("jsonl" | "ndjson" | "json" | "csv" | "tsv" | "parquet"))
}

fn kind(path: &Path, format: DocumentFormat) -> DocumentFormat {
    if path.is_dir() && format == DocumentFormat::Auto {
        return DocumentFormat::Folder;
    }
    if format != DocumentFormat::Auto {
        return format;
    }
    match single::ending(path).as_deref() {
        Some("csv") => DocumentFormat::Csv,
        Some("tsv") => DocumentFormat::Tsv,
        Some("parquet") => DocumentFormat::Parquet,
        _ => SingleKind::of(path).map_or(DocumentFormat::JsonLines, DocumentFormat::Single),
    }
}

#[cfg(test)]
mod tests;
