//! Documents from JSON lines, CSV, TSV, Parquet, plain lines, or a folder of text files.

mod folder;
mod json;
mod lines;
mod parquet;
mod table;

pub use json::parse_json_lines;
pub use table::parse_table;

use super::fields::{ID, TEXT};
use super::input::open_counted;
use super::{BytesRead, DEFAULT_LINE_LIMIT, FormatError, Lines};
use crate::{Document, Metadata};
use serde_json::Value;
use std::path::Path;

/// How documents are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DocumentFormat {
    /// By the name's ending; a folder is a folder of texts; anything else, and `-`, is JSON lines.
    #[default]
    Auto,
    /// One JSON object per line.
    JsonLines,
    /// Comma-separated with a header line.
    Csv,
    /// Tab-separated with a header line that names an id column, otherwise `id<TAB>text` or `id<TAB>title<TAB>text`.
    Tsv,
    /// Parquet. Where it is packed or standard input, an unpacked copy is kept among the temporary files meanwhile.
    Parquet,
    /// One text per line; the id is the number of the line, from 1. A folder is a folder of texts here too.
    Lines,
    /// `.txt` and `.md` files, also with `.gz` or `.zst`; the id is the path inside the folder.
    Folder,
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
    /// Numbers documents without id by their line or row, from 1; otherwise such a document is an error.
    pub number_missing_ids: bool,
    /// Longest line in bytes.
    pub line_limit: usize,
    /// Grows while the file is read, up to [`document_bytes`].
    pub bytes_read: Option<BytesRead>,
}

impl Default for DocumentOptions {
    fn default() -> Self {
        DocumentOptions {
            format: DocumentFormat::Auto,
            id_field: None,
            title_field: None,
            text_field: None,
            number_missing_ids: false,
            line_limit: DEFAULT_LINE_LIMIT,
            bytes_read: None,
        }
    }
}

/// Documents one at a time. Ids are not checked for being unique: that would hold all of them in memory.
pub type Documents = Box<dyn Iterator<Item = Result<Document, FormatError>> + Send>;

/// Opens documents; `-` is standard input. A bad record is an error in its place, and so is the end of a file that had
/// none.
pub fn open_documents(path: &Path, options: &DocumentOptions) -> Result<Documents, FormatError> {
    let file = super::input::name_of(path);
    let options = options.clone();
    let name = file.clone();
    let mut documents = open_kind(path, file, options)?;
    let mut any = false;
    Ok(Box::new(std::iter::from_fn(move || {
        let next = documents.next();
        if next.is_none() && !std::mem::replace(&mut any, true) {
            return Some(Err(FormatError::Empty { file: name.clone(), expected: "documents" }));
        }
        any = true;
        next
    })))
}

fn open_kind(path: &Path, file: String, options: DocumentOptions) -> Result<Documents, FormatError> {
    let kind = kind(path, options.format);
    match kind {
        DocumentFormat::Folder => return folder::open(path, options.bytes_read),
        DocumentFormat::Parquet => return parquet::open(path, options),
        _ => {}
    }
    let input = open_counted(path, options.bytes_read.as_ref())?;
    Ok(match kind {
        DocumentFormat::Csv => table::open(input, file, b',', options),
        DocumentFormat::Tsv => table::open(input, file, b'\t', options),
        DocumentFormat::Lines => lines::open(Lines::over(input, file, options.line_limit)),
        _ => Box::new(json::JsonLines::new(Lines::over(input, file, options.line_limit), options)),
    })
}

/// The bytes that [`open_documents`] will read of a file, or of the texts of a folder; `None` for standard input, pipes
/// and what cannot be asked.
pub fn document_bytes(path: &Path) -> Option<u64> {
    if path.is_dir() {
        return folder::bytes(path).ok();
    }
    std::fs::metadata(path).ok().filter(|data| data.is_file()).map(|data| data.len())
}

fn kind(path: &Path, format: DocumentFormat) -> DocumentFormat {
    if path.is_dir() && matches!(format, DocumentFormat::Auto | DocumentFormat::Lines) {
        return DocumentFormat::Folder;
    }
    if format != DocumentFormat::Auto {
        return format;
    }
    let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    match bare.rsplit_once('.').map(|(_, end)| end) {
        Some("csv") => DocumentFormat::Csv,
        Some("tsv") => DocumentFormat::Tsv,
        Some("parquet") => DocumentFormat::Parquet,
        _ => DocumentFormat::JsonLines,
    }
}

/// A document from named fields; what is not id, title or text becomes metadata.
fn document(
    mut fields: Metadata,
    file: &str,
    line: u64,
    options: &DocumentOptions,
) -> Result<Document, FormatError> {
    let chosen = |asked: &Option<String>, known: &[&str], fields: &Metadata| match asked {
        Some(name) => fields.contains_key(name).then(|| name.clone()),
        None => known.iter().find(|name| fields.contains_key(**name)).map(|name| name.to_string()),
    };
    let missing = |what: &str, asked: &Option<String>, known: &[&str], remedy| {
        let names = asked.clone().unwrap_or_else(|| known.join(", "));
        FormatError::Missing {
            file: file.into(),
            line,
            field: format!("{what} (looked for {names})"),
            remedy,
        }
    };
    let mut taken =
        |what: &str, asked: &Option<String>, known: &[&str], remedy| match chosen(asked, known, &fields)
            .and_then(|name| fields.shift_remove(&name))
        {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                super::fields::as_text(&value).map(Some).ok_or_else(|| missing(what, asked, known, remedy))
            }
        };
    let id = taken("id that is a string or a number", &options.id_field, &ID, "write the id as a string")?
        .filter(|id| !id.is_empty())
        .or_else(|| options.number_missing_ids.then(|| line.to_string()))
        .ok_or_else(|| {
            missing("id", &options.id_field, &ID, "name the field of the id, or ask for numbering")
        })?;
    let remedy = "write the title as a string, or name another field";
    let title =
        taken("title that is a string", &options.title_field, &["title"], remedy)?.unwrap_or_default();
    let text = match chosen(&options.text_field, &TEXT, &fields).and_then(|name| fields.shift_remove(&name)) {
        Some(Value::Null) => String::new(),
        Some(value) => super::fields::as_text(&value).ok_or_else(|| {
            missing("text that is a string", &options.text_field, &TEXT, "write the text as a string")
        })?,
        None if !title.is_empty() => String::new(),
        None => return Err(missing("text", &options.text_field, &TEXT, "name the field of the text")),
    };
    // BEIR's own `metadata` object is the metadata, not a field of it.
    let metadata = match fields.shift_remove("metadata") {
        Some(Value::Object(mut inner)) => {
            inner.extend(fields);
            inner
        }
        Some(other) => {
            fields.insert("metadata".into(), other);
            fields
        }
        None => fields,
    };
    Ok(Document { id, title, text, metadata })
}

#[cfg(test)]
mod tests;
