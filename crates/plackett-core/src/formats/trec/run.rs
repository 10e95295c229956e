//! Reading runs: cut at line borders, parsed by all cores, put together in order of arrival.

use super::{Duplicates, Nan, ReadOptions, RunFormat, nested, nothing, split};
use crate::formats::error::shown;
use crate::formats::foreign::foreign;
use crate::formats::input::{name_of, trimmed, unmarked};
use crate::formats::remarks::counted;
use crate::formats::{FormatError, read_all};
use crate::{IdListFull, Run, RunQuery};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Bytes that one task parses.
const CHUNK: usize = 1 << 20;

type Hashed<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Reads a run; `-` is standard input. Queries keep the order of their first lines, documents that of the file. A file
/// without any entry is an error: an empty run is hardly ever what was meant, and its measures would all be 0.
pub fn read_run(path: &Path, options: &ReadOptions) -> Result<Run, FormatError> {
    parse_run(&read_all(path)?, &name_of(path), options)
}

/// Reads a run from bytes. `file` is its name in messages.
pub fn parse_run(bytes: &[u8], file: &str, options: &ReadOptions) -> Result<Run, FormatError> {
    let bytes = unmarked(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(nothing(file, EXPECTED, options.comments, 0));
    }
    if let Some(problem) = foreign(bytes.get(..512).unwrap_or(bytes)) {
        return Err(FormatError::File { file: file.into(), problem: problem.into() });
    }
    let json = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if json && options.run_format == RunFormat::Auto {
        return nested::run(bytes, file, options);
    }
    let run_format = match options.run_format {
        RunFormat::Auto if has_three_fields(bytes, options) => RunFormat::MsMarco,
        RunFormat::Auto => RunFormat::Trec,
        named => named,
    };
    let options = &ReadOptions { run_format, ..options.clone() };
    let pieces: Result<Vec<Piece>, (usize, Problem)> = chunks(bytes)
        .into_par_iter()
        .map(|(start, chunk)| parse_chunk(chunk, options).map_err(|(line, problem)| (start, line, problem)))
        .collect::<Vec<_>>()
        .into_iter()
        // The first bad line of the file is reported, whichever task found one first.
        .map(|result| result.map_err(|(start, line, problem)| (line + newlines(bytes, start), problem)))
        .collect();
    let pieces = pieces.map_err(|(line, problem)| problem.into_error(file, line as u64 + 1, options))?;
    let full = |source| FormatError::Full { file: file.into(), source };
    let (comments, extra) = pieces.iter().fold((0, 0), |(a, b), piece| (a + piece.comments, b + piece.extra));
    let (tag, mut queries) = join(pieces).map_err(full)?;
    if options.duplicates != Duplicates::KeepAll {
        let found = queries.par_iter_mut().map(|query| settle(query, options.duplicates)).collect::<Vec<_>>();
        for (settled, query) in found.into_iter().zip(&queries) {
            if let Some(document) = settled.map_err(full)? {
                return Err(duplicate(bytes, file, query.id(), &document, options));
            }
        }
    }
    if queries.is_empty() {
        return Err(nothing(file, EXPECTED, options.comments, comments));
    }
    if comments > 0 {
        options.remarks.add(options.comments.remark(file, comments));
    }
    if extra > 0 {
        let lines = counted(extra, "line");
        let text = format!("{file}: fields behind the sixth are ignored on {lines}, as trec_eval does");
        options.remarks.add(text);
    }
    let mut run = Run::new(tag);
    for query in queries {
        // Joined by id, so that none is there twice.
        let _ = run.insert(query);
    }
    Ok(run)
}

/// What is expected of a file, for messages.
const EXPECTED: &str = "a run with lines `qid Q0 docno rank score tag`";

/// Whether the first line with data has MS MARCO's three fields.
fn has_three_fields(bytes: &[u8], options: &ReadOptions) -> bool {
    let lines = bytes.split(|&byte| byte == b'\n').map_while(|line| std::str::from_utf8(line).ok());
    let mut data =
        lines.filter(|line| !line.trim_ascii().is_empty() && !options.comments.is_comment(line.trim_end()));
    data.next().is_some_and(|line| split(line).count() == 3)
}

fn newlines(bytes: &[u8], end: usize) -> usize {
    memchr::memchr_iter(b'\n', bytes.get(..end).unwrap_or(bytes)).count()
}

/// Pieces of about [`CHUNK`] bytes that end at line ends, with their offsets.
fn chunks(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut chunks, mut start, mut rest) = (Vec::new(), 0, bytes);
    while !rest.is_empty() {
        let tail = rest.get(CHUNK..).unwrap_or_default();
        let end = memchr::memchr(b'\n', tail).map_or(rest.len(), |at| CHUNK + at + 1);
        let (chunk, after) = rest.split_at(end);
        chunks.push((start, chunk));
        (start, rest) = (start + end, after);
    }
    chunks
}

/// What a chunk held: its queries in order of arrival and the tag of its last line.
#[derive(Default)]
struct Piece {
    queries: Vec<RunQuery>,
    tag: Option<String>,
    /// Lines that were passed over as comments.
    comments: u64,
    /// Lines with fields behind the last that counts.
    extra: u64,
}

enum Problem {
    Fields(usize),
    Score(String),
    Rank(String),
    NotANumber,
    Utf8(usize),
    TooLong,
    Full(IdListFull),
}

impl Problem {
    fn into_error(self, file: &str, line: u64, options: &ReadOptions) -> FormatError {
        let file = file.to_string();
        match self {
            Problem::Fields(found) if options.run_format == RunFormat::MsMarco => FormatError::Fields {
                file,
                line,
                found,
                expected: "the three fields `qid docid rank`",
                remedy: "mend the line; the first line has three fields, and so must all",
            },
            Problem::Fields(found) => FormatError::Fields {
                file,
                line,
                found,
                expected: "the six fields `qid Q0 docno rank score tag`",
                remedy: if found > 6 {
                    "ids and tags must have no blanks, comments begin with `#` and a blank; eval and compare ignore \
                     further fields with --compat trec_eval-10"
                } else {
                    "add what is missing; ids must have no blanks"
                },
            },
            Problem::Score(found) => {
                FormatError::Value { file, line, what: "the score", found, remedy: "it must be a number" }
            }
            Problem::Rank(found) => FormatError::Value {
                file,
                line,
                what: "the rank",
                found,
                remedy: "it must be a whole number from 1",
            },
            Problem::NotANumber => FormatError::NotANumber { file, line },
            Problem::Utf8(byte) => FormatError::Utf8 { file, line, byte },
            Problem::TooLong => FormatError::LineTooLong { file, line, limit: options.line_limit },
            Problem::Full(source) => FormatError::Full { file, source },
        }
    }
}

fn parse_chunk(chunk: &[u8], options: &ReadOptions) -> Result<Piece, (usize, Problem)> {
    let mut piece = Piece::default();
    let mut places: Hashed<String, usize> = Hashed::default();
    let (mut current, mut tag) = (None, "");
    let mut rest = chunk;
    let mut number = 0;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        let parsed = parse_line(trimmed(line), options).map_err(|problem| (number, problem))?;
        piece.comments += u64::from(matches!(parsed, Line::Comment));
        if let Line::Entry(Entry { query, document, score, tag: name, extra }) = parsed {
            piece.extra += u64::from(extra);
            let place = match current {
                Some((id, place)) if id == query => place,
                _ => *places.entry(query.to_string()).or_insert_with(|| {
                    piece.queries.push(RunQuery::new(query));
                    piece.queries.len() - 1
                }),
            };
            current = Some((query, place));
            if let Some(entry) = piece.queries.get_mut(place) {
                entry.push(document, score).map_err(|full| (number, Problem::Full(full)))?;
            }
            tag = name;
        }
        number += 1;
    }
    piece.tag = current.map(|_| tag.to_string());
    Ok(piece)
}

/// A line of a run.
enum Line<'a> {
    Blank,
    Comment,
    Entry(Entry<'a>),
}

struct Entry<'a> {
    query: &'a str,
    document: &'a str,
    score: f64,
    tag: &'a str,
    /// Whether there are more fields.
    extra: bool,
}

fn parse_line<'a>(line: &'a [u8], options: &ReadOptions) -> Result<Line<'a>, Problem> {
    if line.len() > options.line_limit {
        return Err(Problem::TooLong);
    }
    let line = std::str::from_utf8(line).map_err(|error| Problem::Utf8(error.valid_up_to() + 1))?;
    if options.comments.is_comment(line) {
        return Ok(Line::Comment);
    }
    let mut fields = split(line);
    let Some(query) = fields.next() else { return Ok(Line::Blank) };
    let three = options.run_format == RunFormat::MsMarco;
    let (document, score, tag) = if three {
        let (Some(document), Some(rank)) = (fields.next(), fields.next()) else {
            return Err(Problem::Fields(split(line).count()));
        };
        (document, rank, "")
    } else {
        let six = (fields.next(), fields.next(), fields.next(), fields.next(), fields.next());
        let (Some(_), Some(document), Some(_), Some(score), Some(tag)) = six else {
            return Err(Problem::Fields(split(line).count()));
        };
        (document, score, tag)
    };
    let extra = fields.next().is_some();
    if extra && (three || !options.extra_fields) {
        return Err(Problem::Fields(split(line).count()));
    }
    let score = if three {
        match score.parse::<u32>() {
            Ok(rank) if rank > 0 => -f64::from(rank),
            _ => return Err(Problem::Rank(shown(score))),
        }
    } else {
        score.parse::<f64>().map_err(|_| Problem::Score(shown(score)))?
    };
    if score.is_nan() && options.nan == Nan::Error {
        return Err(Problem::NotANumber);
    }
    Ok(Line::Entry(Entry { query, document, score, tag, extra }))
}

fn join(pieces: Vec<Piece>) -> Result<(String, Vec<RunQuery>), IdListFull> {
    let mut tag = String::new();
    let mut queries: Vec<RunQuery> = Vec::new();
    let mut places: Hashed<String, usize> = Hashed::default();
    for piece in pieces {
        for query in piece.queries {
            match places.get(query.id()).and_then(|&place| queries.get_mut(place)) {
                Some(entry) => {
                    for (document, score) in query.iter() {
                        entry.push(document, score)?;
                    }
                }
                None => {
                    places.insert(query.id().to_string(), queries.len());
                    queries.push(query);
                }
            }
        }
        tag = piece.tag.unwrap_or(tag);
    }
    Ok((tag, queries))
}

/// Applies the rule for duplicates to a query; a duplicate that is an error comes back.
pub(super) fn settle(query: &mut RunQuery, rule: Duplicates) -> Result<Option<String>, IdListFull> {
    let mut places: Hashed<&str, usize> = Hashed::with_capacity_and_hasher(query.len(), Default::default());
    let mut kept: Vec<(&str, f64)> = Vec::new();
    let mut twice = false;
    for (place, (document, _)) in query.iter().enumerate() {
        if places.insert(document, place).is_some() {
            if rule == Duplicates::Error {
                return Ok(Some(document.to_string()));
            }
            twice = true;
        }
    }
    if !twice {
        return Ok(None);
    }
    places.clear();
    for (document, score) in query.iter() {
        match places.get(document).and_then(|&place| kept.get_mut(place)) {
            None => {
                places.insert(document, kept.len());
                kept.push((document, score));
            }
            Some(entry) => {
                let better = score > entry.1 || (entry.1.is_nan() && !score.is_nan());
                if rule == Duplicates::KeepLast || (rule == Duplicates::KeepMax && better) {
                    entry.1 = score;
                }
            }
        }
    }
    let mut settled = RunQuery::new(query.id());
    for (document, score) in kept {
        settled.push(document, score)?;
    }
    *query = settled;
    Ok(None)
}

/// Finds the two lines of a duplicate: they are not kept while reading, since hardly any file has one.
fn duplicate(bytes: &[u8], file: &str, query: &str, document: &str, options: &ReadOptions) -> FormatError {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    let mut found = lines.filter_map(|(number, line)| {
        let Ok(Line::Entry(entry)) = parse_line(trimmed(line), options) else { return None };
        (entry.query == query && entry.document == document).then_some(number as u64 + 1)
    });
    let (first, line) = (found.next().unwrap_or(1), found.next().unwrap_or(1));
    let what = format!("document `{}` of query `{}`", shown(document), shown(query));
    FormatError::Duplicate { file: file.into(), line, first, what, remedy: super::DUPLICATE }
}
