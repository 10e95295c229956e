//! Line-oriented files of any size, cut at line ends and parsed on all cores.

use crate::formats::error::FormatError;
use crate::formats::input::not_utf8;
use rayon::prelude::*;

/// Bytes per piece: small enough to balance the work, large enough that a piece costs nothing.
const PIECE: usize = 1 << 20;

/// What stands on one line: the fields up to six, how many there are, and the line itself.
pub(super) struct Fields<'a> {
    /// The line without its end.
    pub line: &'a str,
    /// The first fields; the rest are empty.
    pub fields: [&'a str; 6],
    /// How many fields the line has, further ones included.
    pub count: usize,
}

/// The parsed lines of one piece, and the number of lines it has.
pub(super) struct Piece<T> {
    pub rows: Vec<T>,
    pub first_line: u64,
}

/// Parses each line by `parse` (`Ok(None)` for a line without content; the error gets the line number within the file).
/// Blank lines are skipped, and those that begin with `#` if `comments`. `first_line` is the number of the first line.
pub(super) fn parse_lines<'a, T: Send>(
    name: &str,
    bytes: &'a [u8],
    first_line: u64,
    comments: bool,
    piece: usize,
    parse: impl Fn(&Fields<'a>, u32) -> Result<Option<T>, Problem> + Sync,
) -> Result<Vec<Piece<T>>, FormatError> {
    let pieces = cut(bytes, piece);
    let parsed: Vec<(Result<Vec<T>, (u64, Problem)>, u64)> =
        pieces.par_iter().map(|piece| parse_piece(piece, comments, &parse)).collect();
    let mut line = first_line;
    let mut result = Vec::with_capacity(parsed.len());
    for (rows, lines) in parsed {
        match rows {
            Ok(rows) => result.push(Piece { rows, first_line: line }),
            Err((within, problem)) => return Err(problem.at(name, line + within)),
        }
        line += lines;
    }
    Ok(result)
}

/// The usual size of a piece.
pub(super) fn usual_piece() -> usize {
    PIECE
}

/// What is wrong with a line.
pub(super) enum Problem {
    /// Bytes that are not UTF-8: the line and where.
    NotText(Vec<u8>, usize),
    /// Expected, found, remedy.
    Line(String, String, String),
}

impl Problem {
    pub fn new(expected: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Problem::Line(expected.into(), found.into(), remedy.into())
    }

    fn at(self, name: &str, line: u64) -> FormatError {
        match self {
            Problem::NotText(bytes, at) => not_utf8(name, line, &bytes, at),
            Problem::Line(expected, found, remedy) => FormatError::line(name, line, expected, found, remedy),
        }
    }
}

fn cut(bytes: &[u8], piece: usize) -> Vec<&[u8]> {
    let mut pieces = Vec::with_capacity(bytes.len() / piece.max(1) + 1);
    let mut rest = bytes;
    while !rest.is_empty() {
        let from = piece.max(1).min(rest.len()) - 1;
        let end = memchr::memchr(b'\n', &rest[from..]).map_or(rest.len(), |at| from + at + 1);
        let (head, tail) = rest.split_at(end);
        pieces.push(head);
        rest = tail;
    }
    pieces
}

type Parsed<T> = (Result<Vec<T>, (u64, Problem)>, u64);

fn parse_piece<'a, T>(
    bytes: &'a [u8],
    comments: bool,
    parse: &impl Fn(&Fields<'a>, u32) -> Result<Option<T>, Problem>,
) -> Parsed<T> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return (Err(not_text(bytes, error.valid_up_to())), 0),
    };
    let mut rows = Vec::with_capacity(bytes.len() / 40);
    let mut start = 0;
    let mut number = 0;
    while start < text.len() {
        let end = memchr::memchr(b'\n', &bytes[start..]).map_or(text.len(), |at| start + at);
        let fields = split(&text[start..end]);
        if fields.count > 0 && !(comments && fields.line.starts_with('#')) {
            match parse(&fields, number) {
                Ok(Some(row)) => rows.push(row),
                Ok(None) => {}
                Err(problem) => return (Err((u64::from(number), problem)), 0),
            }
        }
        number += 1;
        start = end + 1;
    }
    (Ok(rows), u64::from(number))
}

fn not_text(bytes: &[u8], at: usize) -> (u64, Problem) {
    let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |end| end + 1);
    let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end);
    let before = memchr::memchr_iter(b'\n', &bytes[..at]).count() as u64;
    (before, Problem::NotText(bytes[start..end].to_vec(), at - start))
}

/// Fields between blanks and tabs; a carriage return at the end is a blank too.
fn split(line: &str) -> Fields<'_> {
    let bytes = line.as_bytes();
    let mut fields = [""; 6];
    let mut count = 0;
    let mut at = 0;
    loop {
        while at < bytes.len() && is_blank(bytes[at]) {
            at += 1;
        }
        if at == bytes.len() {
            return Fields { line, fields, count };
        }
        let start = at;
        while at < bytes.len() && !is_blank(bytes[at]) {
            at += 1;
        }
        if let Some(field) = fields.get_mut(count) {
            *field = &line[start..at];
        }
        count += 1;
    }
}

/// C's `isspace`, as trec_eval splits.
fn is_blank(byte: u8) -> bool {
    byte == b' ' || (9..=13).contains(&byte)
}
