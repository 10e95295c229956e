//! A PDF as one document: the pages one after another, and what the file says of itself.

use super::super::single::{LARGEST_SINGLE, Parts, Source, Unread};
use super::page::{PageText, Unreadable};
use crate::Metadata;
use crate::formats::FormatError;
use lopdf::{Document, Error, LoadOptions, decode_text_string};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes to which one stream may unpack.
pub(super) const LARGEST_STREAM: usize = 64 << 20;

const ENCRYPTED: &str = "left out, as a password protects it; save it without one";
const NO_TEXT: &str = "left out, as there is no text in it, which is so of scanned pages; let a program recognise it first (OCR)";
const DAMAGED: &str = "left out, as it is damaged and no page that can be read has text; save it anew";
const LOST_PAGES: &str = "pages, or parts of them, are left out that cannot be read; save it anew";
/// Pages that are named of a file that has lost some.
const PAGES_NAMED: usize = 5;
const UNKNOWN_LETTERS: &str = "letters of which its fonts do not say what they are, read as �";

pub(super) fn read(source: &Source<'_>) -> Result<Parts, Unread> {
    // The library promises errors for broken files; a panic that is left in it must not stop the program.
    let parts = catch_unwind(AssertUnwindSafe(|| parts(source)));
    parts.unwrap_or_else(|_| Err(broken(source, "its objects contradict themselves")))
}

fn broken(source: &Source<'_>, problem: &str) -> Unread {
    let problem = format!(
        "not a readable PDF ({problem}); save it anew, or take its text out, for example with `pdftotext`"
    );
    FormatError::File { file: source.file.into(), problem }.into()
}

fn parts(source: &Source<'_>) -> Result<Parts, Unread> {
    let options = LoadOptions::with_max_decompressed_size(LARGEST_STREAM);
    let document = match Document::load_mem_with_options(source.bytes, options) {
        Ok(document) => document,
        Err(Error::InvalidPassword | Error::Decryption(_) | Error::UnsupportedSecurityHandler(_)) => {
            return Err(Unread::Nothing(ENCRYPTED));
        }
        Err(error) => return Err(broken(source, &error.to_string())),
    };
    if document.is_encrypted() {
        return Err(Unread::Nothing(ENCRYPTED));
    }
    let mut text = String::new();
    let (mut damaged, mut pages) = (Vec::new(), 0);
    let mut page_text = PageText::new(&document);
    for page in document.page_iter() {
        pages += 1;
        let mut whole = page_text.is_whole(page);
        match page_text.of(page) {
            Ok(page) => {
                whole &= page_text.drew_whole();
                if !text.is_empty() && !page.is_empty() {
                    text.push_str("\n\n");
                }
                text.push_str(&page);
            }
            Err(Unreadable) => whole = false,
        }
        if !whole {
            damaged.push(pages);
        }
        if text.len() as u64 > LARGEST_SINGLE {
            return Err(broken(source, "it unpacks to more text than a document has"));
        }
    }
    let missing = promised(&document).map_or(0, |count| count.saturating_sub(pages).max(0));
    let lost = pages == 0 || missing > 0 || !damaged.is_empty();
    let is_empty = !text.chars().any(char::is_alphanumeric);
    if lost && is_empty {
        return Err(Unread::Nothing(DAMAGED));
    }
    if lost {
        source.tally.add(LOST_PAGES, &pages_of(source.file, &damaged, missing));
    }
    if text.contains(char::REPLACEMENT_CHARACTER) {
        source.tally.add(UNKNOWN_LETTERS, source.file);
    }
    if is_empty {
        return Err(Unread::Nothing(NO_TEXT));
    }
    let (title, metadata) = own_words(&document);
    Ok(Parts { title, text, metadata, headings: None })
}

/// A file with its pages that cannot be read whole, by their numbers from 1, and how many more it should have.
fn pages_of(file: &str, damaged: &[i64], missing: i64) -> String {
    let named: Vec<String> = damaged.iter().take(PAGES_NAMED).map(ToString::to_string).collect();
    let more = if damaged.len() > named.len() { ", …" } else { "" };
    let mut parts = Vec::new();
    if !damaged.is_empty() {
        let what = if damaged.len() == 1 { "page" } else { "pages" };
        parts.push(format!("{what} {}{more}", named.join(", ")));
    }
    if missing > 0 {
        parts.push(format!("{missing} missing {}", if missing == 1 { "page" } else { "pages" }));
    }
    format!("{} of {file}", parts.join(" and "))
}

/// How many pages the file says that it has.
fn promised(document: &Document) -> Option<i64> {
    let root = document.catalog().ok()?.get_deref(b"Pages", document).ok()?.as_dict().ok()?;
    root.get_deref(b"Count", document).ok()?.as_i64().ok()
}

/// The title, and what else the file says of itself in words.
fn own_words(document: &Document) -> (String, Metadata) {
    let info = document.trailer.get_deref(b"Info", document).and_then(|info| info.as_dict());
    let said = |name: &[u8]| {
        let value = info.as_ref().ok()?.get_deref(name, document).ok()?;
        let words = decode_text_string(value).ok()?;
        Some(words.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|words| !words.is_empty())
    };
    let mut metadata = Metadata::new();
    for (name, field) in [("author", &b"Author"[..]), ("subject", b"Subject"), ("keywords", b"Keywords")] {
        if let Some(words) = said(field) {
            metadata.insert(name.into(), words.into());
        }
    }
    (said(b"Title").unwrap_or_default(), metadata)
}
