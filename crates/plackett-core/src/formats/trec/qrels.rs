//! Reading judgments: TREC's four columns, BEIR's three with a header or tabs, or nested JSON.

use super::qrels_header::{Columns, columns_of};
use super::{Duplicates, ReadOptions, nested, nothing, split};
use crate::Qrels;
use crate::formats::error::shown;
use crate::formats::foreign::foreign;
use crate::formats::input::{name_of, unmarked};
use crate::formats::{FormatError, Lines, read_all};
use indexmap::IndexMap;
use indexmap::map::Entry;
use std::path::Path;

/// Reads judgments; `-` is standard input. Columns are told apart by the first line. A file without any is an error, and
/// so is one with three columns that has neither a header nor tabs: the grade may be what is missing.
pub fn read_qrels(path: &Path, options: &ReadOptions) -> Result<Qrels, FormatError> {
    parse_qrels(&read_all(path)?, &name_of(path), options)
}

/// Reads judgments from bytes. The same document under different iterations (subtopics) is no duplicate.
pub fn parse_qrels(bytes: &[u8], file: &str, options: &ReadOptions) -> Result<Qrels, FormatError> {
    let plain = unmarked(bytes);
    if let Some(problem) = foreign(plain.get(..512).unwrap_or(plain)) {
        return Err(FormatError::File { file: file.into(), problem: problem.into() });
    }
    if plain.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
        return nested::qrels(plain, file, options);
    }
    let mut lines = Lines::of_bytes(bytes, file, options.line_limit);
    let mut collected = Collected::default();
    let (mut columns, mut comments) = (None, 0);
    while let Some(line) = lines.next()? {
        if options.comments.is_comment(line) {
            comments += 1;
            continue;
        }
        let fields: Vec<String> = split(line).map(str::to_string).collect();
        if fields.is_empty() {
            continue;
        }
        // Only the first line is asked for its tabs.
        let tabs =
            columns.is_none() && line.split('\t').filter(|field| !field.trim().is_empty()).count() == 3;
        let number = lines.line();
        let columns = match columns {
            Some(known) => known,
            None => {
                let (found, is_header) = columns_of(&fields, tabs, file, number)?;
                columns = Some(found);
                if is_header {
                    continue;
                }
                found
            }
        };
        let (key, grade) = judgment(fields, columns, file, number, options)?;
        collected.add(key, grade, number, options.duplicates).map_err(|((query, _, document), first)| {
            let what = format!("the judgment of `{}` for query `{}`", shown(&document), shown(&query));
            FormatError::Duplicate { file: file.into(), line: number, first, what, remedy: super::DUPLICATE }
        })?;
    }
    if collected.is_empty() {
        let expected = "judgments with lines `qid iter docno rel`";
        return Err(nothing(file, expected, options.comments, comments));
    }
    if comments > 0 {
        options.remarks.add(options.comments.remark(file, comments));
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
    columns: Columns,
    file: &str,
    line: u64,
    options: &ReadOptions,
) -> Result<(Key, i32), FormatError> {
    let count = fields.len();
    let commas = count == 1 && fields.iter().any(|field| field.contains(','));
    let mut fields = fields.into_iter();
    let mut next = || fields.next();
    let (key, text) = match (columns, next(), next(), next(), next(), next()) {
        (Columns::Beir, Some(query), Some(document), Some(grade), None, None) => {
            ((query, "0".to_string(), document), grade)
        }
        (Columns::Trec, Some(query), Some(iteration), Some(document), Some(grade), None) => {
            ((query, iteration, document), grade)
        }
        (columns, ..) => {
            return Err(FormatError::Fields {
                file: file.into(),
                line,
                found: count,
                expected: match columns {
                    Columns::Beir => "the three fields `query-id corpus-id score`",
                    Columns::Trec => "the four fields `qid iter docno rel`",
                },
                remedy: if commas {
                    "put tabs or blanks between the fields in the place of commas"
                } else {
                    "mend the line; ids must have no blanks, comments begin with `#` and a blank"
                },
            });
        }
    };
    match grade(&text, options.truncate_grades) {
        Ok(grade) => Ok((key, grade)),
        Err(remedy) => Err(FormatError::Value {
            file: file.into(),
            line,
            what: "the grade",
            found: shown(&text),
            remedy,
        }),
    }
}

/// The grade that stands in a text, or what it must be.
fn grade(text: &str, truncate: bool) -> Result<i32, &'static str> {
    if let Ok(grade) = text.parse() {
        return Ok(grade);
    }
    text.parse().map_or(Err(WHOLE), |value| whole(value, truncate))
}

/// The grade of a number, or what it must be.
pub(super) fn whole(value: f64, truncate: bool) -> Result<i32, &'static str> {
    if value.is_nan() {
        Err(WHOLE)
    } else if value.abs() > f64::from(i32::MAX) {
        Err("grades lie between -2147483647 and 2147483647")
    } else if truncate || value.fract() == 0.0 {
        Ok(value as i32)
    } else {
        Err(WHOLE)
    }
}

/// What a grade is.
const WHOLE: &str = "it must be a whole number; --compat trec_eval-9 and trec_eval-10 cut fractions";
