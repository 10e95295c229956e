//! Reading judgments: TREC's four columns, BEIR's three with or without header, or nested JSON.

use super::{Duplicates, ReadOptions, nested, split};
use crate::Qrels;
use crate::formats::error::shown;
use crate::formats::input::{name_of, unmarked};
use crate::formats::{FormatError, Lines, read_all};
use indexmap::IndexMap;
use indexmap::map::Entry;
use std::path::Path;

/// Names of the first column that tell a header line, in lower case.
pub(super) const HEADERS: [&str; 3] = ["query-id", "query_id", "qid"];

/// Reads judgments; `-` is standard input. Columns are told apart by the first line. A file without any is an error.
pub fn read_qrels(path: &Path, options: &ReadOptions) -> Result<Qrels, FormatError> {
    parse_qrels(&read_all(path)?, &name_of(path), options)
}

/// Reads judgments from bytes. The same document under different iterations (subtopics) is no duplicate.
pub fn parse_qrels(bytes: &[u8], file: &str, options: &ReadOptions) -> Result<Qrels, FormatError> {
    let plain = unmarked(bytes);
    if plain.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
        return nested::qrels(plain, file, options);
    }
    let mut lines = Lines::of_bytes(bytes, file, options.line_limit);
    let mut collected = Collected::default();
    let mut columns = None;
    while let Some(line) = lines.next()? {
        if options.comments && line.starts_with('#') {
            continue;
        }
        let fields: Vec<String> = split(line).map(str::to_string).collect();
        if fields.is_empty() {
            continue;
        }
        let number = lines.line();
        if columns.is_none() {
            columns = Some(if fields.len() == 3 { 3 } else { 4 });
            let first = fields.first().map(|f| f.to_ascii_lowercase()).unwrap_or_default();
            if HEADERS.contains(&first.as_str()) && fields.len() <= 4 {
                continue;
            }
        }
        let (key, grade) = judgment(fields, columns, file, number, options)?;
        collected.add(key, grade, number, options.duplicates).map_err(|((query, _, document), first)| {
            let what = format!("the judgment of `{}` for query `{}`", shown(&document), shown(&query));
            FormatError::Duplicate { file: file.into(), line: number, first, what }
        })?;
    }
    if collected.is_empty() {
        let expected = "judgments with lines `qid iter docno rel`";
        return Err(FormatError::Empty { file: file.into(), expected });
    }
    collected.append_to(Qrels::new(), file)
}

/// Query, iteration, document.
pub(super) type Key = (String, String, String);

/// Judgments in their order, with one rule for those that stand twice.
#[derive(Default)]
pub(super) struct Collected {
    /// Grade, and the line it is from.
    found: IndexMap<Key, (i32, u64), foldhash::fast::RandomState>,
    /// With [`Duplicates::KeepAll`] all of them, in place of the map.
    all: Vec<(Key, i32)>,
}

impl Collected {
    /// Adds a judgment; `Err` is the key and the line where it stood before, when that is an error.
    pub(super) fn add(
        &mut self,
        key: Key,
        grade: i32,
        line: u64,
        rule: Duplicates,
    ) -> Result<(), (Key, u64)> {
        if rule == Duplicates::KeepAll {
            self.all.push((key, grade));
            return Ok(());
        }
        match self.found.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert((grade, line));
            }
            Entry::Occupied(mut entry) => match rule {
                Duplicates::Error => return Err((entry.key().clone(), entry.get().1)),
                Duplicates::KeepLast => entry.get_mut().0 = grade,
                Duplicates::KeepMax => entry.get_mut().0 = grade.max(entry.get().0),
                Duplicates::KeepFirst | Duplicates::KeepAll => {}
            },
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.all.is_empty()
    }

    /// Appends what was collected to `qrels`.
    pub(super) fn append_to(self, mut qrels: Qrels, file: &str) -> Result<Qrels, FormatError> {
        let found = self.found.into_iter().map(|(key, (grade, _))| (key, grade));
        for ((query, iteration, document), grade) in self.all.into_iter().chain(found) {
            let pushed = qrels.query_mut(&query).push(&iteration, &document, grade);
            pushed.map_err(|source| FormatError::Full { file: file.into(), source })?;
        }
        Ok(qrels)
    }
}

fn judgment(
    fields: Vec<String>,
    columns: Option<usize>,
    file: &str,
    line: u64,
    options: &ReadOptions,
) -> Result<(Key, i32), FormatError> {
    let count = fields.len();
    let mut fields = fields.into_iter();
    let mut next = || fields.next();
    let (key, text) = match (columns, next(), next(), next(), next()) {
        (Some(3), Some(query), Some(document), Some(grade), None) => {
            ((query, "0".to_string(), document), grade)
        }
        (Some(4), Some(query), Some(iteration), Some(document), Some(grade)) => {
            ((query, iteration, document), grade)
        }
        (columns, ..) => {
            return Err(FormatError::Fields {
                file: file.into(),
                line,
                found: count,
                expected: if columns == Some(3) {
                    "the three fields `query-id corpus-id score`"
                } else {
                    "the four fields `qid iter docno rel`"
                },
                remedy: "mend the line; ids must have no blanks",
            });
        }
    };
    match grade(&text, options.truncate_grades) {
        Some(grade) => Ok((key, grade)),
        None => Err(FormatError::Value {
            file: file.into(),
            line,
            what: "the grade",
            found: shown(&text),
            remedy: "it must be a whole number; set `truncate_grades` to cut fractions as trec_eval does",
        }),
    }
}

fn grade(text: &str, truncate: bool) -> Option<i32> {
    if let Ok(grade) = text.parse() {
        return Some(grade);
    }
    let value: f64 = text.parse().ok()?;
    let fits = value.abs() <= f64::from(i32::MAX);
    (fits && (truncate || value.fract() == 0.0)).then_some(value as i32)
}
