//! Click logs in files: lines of what users were shown, read one at a time into the features of each query's documents.

use super::clicks::{ClickFeatures, Impression, add_session, count_query_clicks};
use plackett_core::formats::{FormatError, Lines};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Lines between two calls that say how far the reading is.
const TOLD: u64 = 4096;

/// Columns that a log must have, each under one of its names.
const NEEDED: [&[&str]; 4] = [QUERY, DOCID, &["rank"], &["clicked"]];
const QUERY: &[&str] = &["query", "qid"];
const DOCID: &[&str] = &["docid", "url"];

/// Why a line of a log is no impression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BadLine {
    /// It is longer than the limit, or not UTF-8.
    Unreadable,
    /// It is no object of texts, numbers and switches.
    NoObject,
    /// It has not as many columns as the header.
    Columns,
    /// It names no query.
    Query,
    /// It names no document.
    Document,
    /// Its rank is no whole number from 1.
    Rank,
    /// Whether there was a click is not said by 0, 1, false or true.
    Clicked,
    /// Its dwell is no number of seconds from 0.
    Dwell,
}

impl BadLine {
    /// What such lines are or lack, for people.
    pub fn words(self) -> &'static str {
        match self {
            BadLine::Unreadable => "too long, or not UTF-8",
            BadLine::NoObject => "no JSON object of texts and numbers",
            BadLine::Columns => "not as many columns as in the header",
            BadLine::Query => "without a query",
            BadLine::Document => "without a docid or url",
            BadLine::Rank => "without a rank from 1",
            BadLine::Clicked => "clicked is none of 0, 1, false and true",
            BadLine::Dwell => "dwell is no number of seconds from 0",
        }
    }
}

/// The documents that users were shown for a query, in the order in which they came up.
#[derive(Clone, Debug, Default)]
pub struct LoggedQuery {
    /// The query, as the log names it.
    pub id: String,
    /// The documents.
    pub documents: Vec<String>,
    /// What was done with each.
    pub features: Vec<ClickFeatures>,
    places: HashMap<String, usize>,
}

impl LoggedQuery {
    fn place(&mut self, document: String) -> usize {
        if let Some(place) = self.places.get(&document) {
            return *place;
        }
        let place = self.documents.len();
        self.documents.push(document.clone());
        self.features.push(ClickFeatures::default());
        self.places.insert(document, place);
        place
    }
}

/// What a log says: the memory it takes grows with queries and their documents, and by eight bytes or so with a named session.
#[derive(Clone, Debug, Default)]
pub struct ClickLog {
    /// The queries, in the order in which they came up.
    pub queries: Vec<LoggedQuery>,
    /// Sessions there were.
    pub sessions: usize,
    /// Lines that are impressions.
    pub impressions: usize,
    /// Of them those with a click.
    pub clicks: usize,
    /// Of those the ones that say how long it was.
    pub timed: usize,
    /// Lines that are none: how many of each kind, and the number of the first.
    pub bad: BTreeMap<BadLine, (usize, u64)>,
    /// Sessions that go on after another one: their parts count as sessions of their own.
    pub parted: usize,
    by_id: HashMap<String, usize>,
}

impl ClickLog {
    /// Reads a log. Its lines are JSON objects, or columns that are parted by tabs, under a header with their names: `query` (or `qid`),
    /// `docid` (or `url`), `rank` (from 1) and `clicked` (0, 1, false, true), and where they are known `session` and `dwell` (seconds);
    /// others are passed over. Lines of a session and query stand together; without `session`, another query begins a
    /// session, and so does a rank that is not below the one before. `moved` hears how many lines were read.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or its header lacks a column. Lines that are no impressions are counted.
    pub fn read(path: &Path, limit: usize, moved: &dyn Fn(u64)) -> Result<ClickLog, FormatError> {
        let mut lines = Lines::open(path, limit)?;
        let is_json = lines.peek()? == Some(b'{');
        let mut columns: Option<Vec<String>> = None;
        let mut reading = Reading::default();
        loop {
            let text = match lines.next() {
                Ok(Some(text)) => text,
                Ok(None) => break,
                Err(FormatError::Utf8 { line, .. } | FormatError::LineTooLong { line, .. }) => {
                    reading.count_bad(BadLine::Unreadable, line);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if text.trim().is_empty() {
                continue;
            }
            if !is_json && columns.is_none() {
                let names = header(text);
                if let Some(field) = lacking(&names) {
                    let (file, line) = (lines.file().to_string(), lines.line());
                    let remedy = "a log of columns begins with their names, parted by tabs: session, query, docid, rank, clicked, dwell";
                    return Err(FormatError::Missing { file, line, field, remedy });
                }
                columns = Some(names);
                continue;
            }
            let read = match &columns {
                Some(columns) => of_columns(text, columns),
                None => of_object(text),
            };
            let line = lines.line();
            match read {
                Ok(shown) => reading.take(shown),
                Err(reason) => reading.count_bad(reason, line),
            }
            if line.is_multiple_of(TOLD) {
                moved(line);
            }
        }
        if !is_json && columns.is_none() {
            let file = lines.file().to_string();
            return Err(FormatError::Empty { file, expected: "lines of a click log" });
        }
        Ok(reading.finish())
    }

    fn query_mut(&mut self, id: &str) -> &mut LoggedQuery {
        let place = match self.by_id.get(id) {
            Some(place) => *place,
            None => {
                self.queries.push(LoggedQuery { id: id.into(), ..LoggedQuery::default() });
                self.by_id.insert(id.into(), self.queries.len() - 1);
                self.queries.len() - 1
            }
        };
        &mut self.queries[place]
    }
}

/// A line of a log.
struct Shown {
    session: Option<String>,
    query: String,
    document: String,
    rank: u32,
    /// Seconds where it was clicked.
    dwell: Option<f64>,
    /// Whether the line said how many.
    is_timed: bool,
}

/// A session of which there may be more lines.
struct OpenSession {
    session: Option<String>,
    query: String,
    last_rank: u32,
    shown: Vec<(u32, String, Option<f64>)>,
}

impl OpenSession {
    fn has(&self, line: &Shown) -> bool {
        let is_same = self.session == line.session && self.query == line.query;
        is_same && (self.session.is_some() || line.rank > self.last_rank)
    }
}

#[derive(Default)]
struct Reading {
    log: ClickLog,
    open: Option<OpenSession>,
    /// Hashes of named sessions that are over.
    over: HashSet<u64>,
}

impl Reading {
    fn count_bad(&mut self, reason: BadLine, line: u64) {
        self.log.bad.entry(reason).or_insert((0, line)).0 += 1;
    }

    fn take(&mut self, line: Shown) {
        self.log.impressions += 1;
        self.log.clicks += usize::from(line.dwell.is_some());
        self.log.timed += usize::from(line.is_timed);
        let goes_on = self.open.as_ref().is_some_and(|open| open.has(&line));
        if !goes_on {
            self.close();
        }
        let Shown { session, query, document, rank, dwell, .. } = line;
        let begun = || OpenSession { session, query, last_rank: rank, shown: Vec::new() };
        let open = self.open.get_or_insert_with(begun);
        open.last_rank = rank;
        open.shown.push((rank, document, dwell));
    }

    fn close(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        if let Some(session) = &open.session {
            let mut hasher = DefaultHasher::new();
            (session, &open.query).hash(&mut hasher);
            let is_new = self.over.insert(hasher.finish());
            self.log.parted += usize::from(!is_new);
        }
        open.shown.sort_by_key(|(rank, ..)| *rank);
        self.log.sessions += 1;
        let query = self.log.query_mut(&open.query);
        let mut shown = Vec::with_capacity(open.shown.len());
        for (_, document, dwell) in open.shown {
            shown.push(Impression { document: query.place(document), dwell });
        }
        add_session(&mut query.features, &shown);
    }

    fn finish(mut self) -> ClickLog {
        self.close();
        self.log.queries.iter_mut().for_each(|query| count_query_clicks(&mut query.features));
        self.log
    }
}

/// The names of a header.
fn header(text: &str) -> Vec<String> {
    text.split('\t').map(|name| name.trim().to_lowercase()).collect()
}

/// The first column that a log must have and that is not among the names.
fn lacking(names: &[String]) -> Option<String> {
    let is_there = |needed: &[&str]| names.iter().any(|name| needed.contains(&name.as_str()));
    let lacking = NEEDED.into_iter().find(|needed| !is_there(needed))?;
    Some(format!("column `{}`", lacking.join("` or `")))
}

fn of_columns(text: &str, names: &[String]) -> Result<Shown, BadLine> {
    let values: Vec<&str> = text.split('\t').collect();
    if values.len() != names.len() {
        return Err(BadLine::Columns);
    }
    impression(|wanted| {
        let place = names.iter().position(|name| wanted.contains(&name.as_str()))?;
        Some(values[place].trim().to_string())
    })
}

fn of_object(text: &str) -> Result<Shown, BadLine> {
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|_| BadLine::NoObject)?;
    let mut known = NEEDED.into_iter().flatten().chain(&["session", "dwell"]);
    if known.any(|name| matches!(object.get(*name), Some(Value::Array(_) | Value::Object(_)))) {
        return Err(BadLine::NoObject);
    }
    impression(|wanted| match wanted.iter().find_map(|name| object.get(*name))? {
        Value::String(text) => Some(text.trim().to_string()),
        Value::Null => None,
        other => Some(other.to_string()),
    })
}

/// The impression of a line, by what stands in it under one of some names.
fn impression(field: impl Fn(&[&str]) -> Option<String>) -> Result<Shown, BadLine> {
    let said = |names: &[&str]| field(names).filter(|text| !text.is_empty());
    let query = said(QUERY).ok_or(BadLine::Query)?;
    let document = said(DOCID).ok_or(BadLine::Document)?;
    let rank = said(&["rank"]).and_then(|text| text.parse::<u32>().ok()).filter(|rank| *rank > 0);
    let rank = rank.ok_or(BadLine::Rank)?;
    let is_clicked = match said(&["clicked"]).map(|text| text.to_lowercase()).as_deref() {
        Some("1" | "true") => true,
        Some("0" | "false") => false,
        _ => return Err(BadLine::Clicked),
    };
    let seconds = match said(&["dwell"]) {
        Some(text) => {
            let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            Some(seconds.ok_or(BadLine::Dwell)?)
        }
        None => None,
    };
    let dwell = is_clicked.then(|| seconds.unwrap_or(0.0));
    Ok(Shown {
        session: said(&["session"]),
        query,
        document,
        rank,
        dwell,
        is_timed: is_clicked && seconds.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ClickLog, FormatError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, text).unwrap();
        ClickLog::read(&path, 200, &|_| {})
    }

    /// Clicks, long clicks, last clicks, skips and impressions of each document.
    fn counts(log: &ClickLog) -> Vec<(&str, [f64; 5])> {
        let query = &log.queries[0];
        let features = query.features.iter();
        let features = features.map(|f| [f.clicks, f.long_clicks, f.last_clicks, f.skips, f.impressions]);
        query.documents.iter().map(String::as_str).zip(features).collect()
    }

    const BY_HAND: [(&str, [f64; 5]); 4] = [
        ("c", [0.0, 0.0, 0.0, 1.0, 2.0]),
        ("a", [1.0, 1.0, 0.0, 0.0, 2.0]),
        ("b", [1.0, 0.0, 1.0, 0.0, 2.0]),
        ("d", [0.0, 0.0, 0.0, 0.0, 2.0]),
    ];

    #[test]
    fn columns_become_counts_by_rank_and_session() {
        // The lines of the first session are not in the order of their ranks, and those of the third are of another query.
        let text = "Session\tQuery\turl\tmore\trank\tclicked\tdwell\n\
                    1\tq\tb\t-\t3\t1\t5\n1\tq\tc\t-\t1\t0\t\n1\tq\ta\t-\t2\tTRUE\t40\n1\tq\td\t-\t4\tfalse\t\n\n\
                    2\tq\tc\t-\t1\t0\t\n2\tq\ta\t-\t2\t0\t\n2\tq\tb\t-\t3\t0\t\n2\tq\td\t-\t4\t0\t9\n\
                    2\tr\ta\t-\t1\t1\t\n";
        let log = read(text).unwrap();
        assert_eq!(counts(&log), BY_HAND);
        assert_eq!((log.sessions, log.impressions, log.clicks, log.timed, log.parted), (3, 9, 3, 2, 0));
        assert_eq!((log.queries.len(), log.bad.len()), (2, 0));
        assert_eq!(log.queries[0].features[1].query_clicks, 2.0);
        assert_eq!(log.queries[1].features[0].clicks, 1.0);
    }

    #[test]
    fn objects_without_a_session_begin_one_where_the_rank_does_not_rise() {
        let line = |document: &str, rank: usize, clicked: &str| {
            format!("{{\"qid\": 7, \"docid\": \"{document}\", \"rank\": {rank}, \"clicked\": {clicked}}}\n")
        };
        let first =
            [line("c", 1, "0"), line("a", 2, "1, \"dwell\": 40"), line("b", 3, "true, \"dwell\": 5.5")];
        let second = [line("d", 4, "false"), line("c", 1, "0"), line("a", 2, "0"), line("b", 3, "0")];
        let log = read(&[first.concat(), second.concat(), line("d", 4, "0")].concat()).unwrap();
        assert_eq!(counts(&log), BY_HAND);
        assert_eq!((log.sessions, log.queries[0].id.as_str()), (2, "7"));
    }

    #[test]
    fn bad_lines_are_counted_and_a_session_in_parts_is_told() {
        let good = "{\"session\": 1, \"query\": \"q\", \"url\": \"a\", \"rank\": 1, \"clicked\": 1}\n";
        let other = "{\"session\": 2, \"query\": \"q\", \"url\": \"a\", \"rank\": 1, \"clicked\": 1}\n";
        let bad = "{\"query\": \"q\"}\nwords\n{\"query\": \"q\", \"docid\": \"a\", \"rank\": 0, \"clicked\": 1}\n\
                   {\"query\": \"q\", \"docid\": \"a\", \"rank\": 1, \"clicked\": 2}\n\
                   {\"query\": \"q\", \"docid\": \"a\", \"rank\": 1, \"clicked\": 1, \"dwell\": -1}\n\
                   {\"query\": [1], \"docid\": \"a\", \"rank\": 1, \"clicked\": 1}\n{\"docid\": \"a\"}\n";
        let long = format!("{{\"query\": \"{}\"}}\n", "q".repeat(300));
        let log = read(&[good, other, good, bad, &long].concat()).unwrap();
        assert_eq!((log.parted, log.sessions, log.impressions), (1, 3, 3));
        let expected = [
            (BadLine::Unreadable, (1, 11)),
            (BadLine::NoObject, (2, 5)),
            (BadLine::Query, (1, 10)),
            (BadLine::Document, (1, 4)),
            (BadLine::Rank, (1, 6)),
            (BadLine::Clicked, (1, 7)),
            (BadLine::Dwell, (1, 8)),
        ];
        assert_eq!(log.bad, BTreeMap::from(expected));
        let log = read("query\tdocid\trank\tclicked\nq\ta\t1\n").unwrap();
        assert_eq!(log.bad, BTreeMap::from([(BadLine::Columns, (1, 2))]));
        let error = read("q\ta\t1\t0\n").unwrap_err().to_string();
        assert!(error.contains("line 1: no column `query` or `qid`"), "{error}");
        assert!(matches!(read("\n"), Err(FormatError::Empty { .. })));
    }
}
