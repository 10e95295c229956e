//! Writing runs and judgments.

use super::qrels_header::QUERY as HEADERS;
use crate::formats::{FormatError, atomic};
use crate::{Qrels, Run};
use std::io::{self, Write};
use std::path::Path;

/// An id that would fall apart in a file of blank-separated columns.
pub(in crate::formats) fn check(id: &str) -> io::Result<&str> {
    // Readers in Python and elsewhere part columns at every blank of Unicode.
    if id.is_empty() || id.contains(char::is_whitespace) {
        let problem =
            format!("`{id}` is empty or has a blank, which this format cannot hold; write JSON instead");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    Ok(id)
}

/// An id that stands first in a line, or even in the file, where some words mean something else to readers.
pub(in crate::formats) fn check_start<'a>(
    id: &'a str,
    in_file: bool,
    headers: &[&str],
) -> io::Result<&'a str> {
    let other = match id.chars().next() {
        Some('#') => "a comment",
        Some('{') if in_file => "JSON",
        Some('\u{feff}') if in_file => "a byte order mark",
        _ if in_file && headers.iter().any(|name| id.eq_ignore_ascii_case(name)) => "a header",
        _ => return check(id),
    };
    let problem = format!("query id `{id}` would be read as {other}; choose another id");
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

/// Refuses what the lines of a query in a TREC run cannot hold: ids and tags with blanks or without any character, and ids
/// of queries that readers take for a comment or, on the first line of a file, for another format.
pub fn check_run_line<'a>(
    query: &str,
    documents: impl IntoIterator<Item = &'a str>,
    tag: &str,
    first: bool,
) -> io::Result<()> {
    check_start(query, first, &[])?;
    check(tag)?;
    documents.into_iter().try_for_each(|id| check(id).map(|_| ()))
}

/// Writes a run in TREC's six columns: queries in order of arrival, documents by [`crate::order_by_score`], ranks from 1,
/// scores so that reading gives the same doubles. NaN is refused. See [`atomic::write`] for `-`, `.gz` and `.zst`.
pub fn write_run(path: &Path, run: &Run) -> Result<(), FormatError> {
    atomic::write(path, |out| write_run_to(run, out))
}

/// The same to a writer.
pub fn write_run_to(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let tag = if run.tag.is_empty() { "plackett" } else { check(&run.tag)? };
    let mut first = true;
    for query in run.queries().iter().filter(|query| !query.is_empty()) {
        let id = check_start(query.id(), std::mem::take(&mut first), &[])?;
        for (place, (document, score)) in query.ranked().into_iter().enumerate() {
            if score.is_nan() {
                let problem = format!("query `{id}`, document `{document}`: the score is NaN");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
            writeln!(out, "{id} Q0 {} {} {score} {tag}", check(document)?, place + 1)?;
        }
    }
    Ok(())
}

/// Writes judgments in TREC's four columns. See [`atomic::write`] for `-`, `.gz` and `.zst`.
pub fn write_qrels(path: &Path, qrels: &Qrels) -> Result<(), FormatError> {
    atomic::write(path, |out| write_qrels_to(qrels, out))
}

/// The same to a writer.
pub fn write_qrels_to(qrels: &Qrels, out: &mut dyn Write) -> io::Result<()> {
    let mut first = true;
    for query in qrels.queries() {
        for one in query.iter() {
            let id = check_start(query.id(), std::mem::take(&mut first), &HEADERS)?;
            let document = check(one.document)?;
            writeln!(out, "{id} {} {document} {}", check(one.iteration)?, one.grade)?;
        }
    }
    Ok(())
}
