//! Writing runs and judgments.

use crate::formats::{FormatError, atomic};
use crate::{Qrels, Run};
use std::io::{self, Write};
use std::path::Path;

/// An id that would fall apart in a file of blank-separated columns.
fn check(id: &str) -> io::Result<&str> {
    if id.is_empty() || id.contains(|c: char| c.is_ascii_whitespace() || c == '\u{b}') {
        let problem =
            format!("`{id}` is empty or has a blank, which this format cannot hold; write JSON instead");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    Ok(id)
}

/// Writes a run in TREC's six columns: queries in order of arrival, documents by [`crate::order_by_score`], ranks from 1,
/// scores so that reading gives the same doubles. NaN is refused. See [`atomic::write`] for `-`, `.gz` and `.zst`.
pub fn write_run(path: &Path, run: &Run) -> Result<(), FormatError> {
    atomic::write(path, |out| run_to(run, out))
}

fn run_to(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let tag = if run.tag.is_empty() { "plackett" } else { check(&run.tag)? };
    for query in run.queries() {
        let id = check(query.id())?;
        if id.starts_with('#') {
            let problem = format!("query id `{id}` would be read as a comment; choose another id");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
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

/// Writes judgments in TREC's four columns.
pub fn write_qrels(path: &Path, qrels: &Qrels) -> Result<(), FormatError> {
    atomic::write(path, |out| {
        for query in qrels.queries() {
            for one in query.iter() {
                let (id, document) = (check(query.id())?, check(one.document)?);
                writeln!(out, "{id} {} {document} {}", check(one.iteration)?, one.grade)?;
            }
        }
        Ok(())
    })
}
