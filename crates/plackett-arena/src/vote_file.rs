//! Files of votes: JSON lines and CSV with two models and a winner, several votes a line, and the log of a voting platform.

use super::ArenaError;
use super::vote::{Verdict, Vote, VoteAccount, Votes};
use indexmap::IndexSet;
use plackett_core::formats::{DEFAULT_LINE_LIMIT, FormatError, Lines, json_problem};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// How votes are read.
#[derive(Clone, Debug)]
pub struct VoteOptions {
    /// Longest line.
    pub line_limit: usize,
    /// Models that are left out, with all their votes.
    pub exclude: Vec<String>,
    /// Voters that are left out.
    pub ban: Vec<String>,
    /// What models of this arena begin with; the rest is their name, and others are left out.
    pub prefix: String,
    /// The field that votes are told apart by in boards of their own: `category` where it is there, else `task` or `prompt`.
    pub category: Option<String>,
}

impl Default for VoteOptions {
    fn default() -> Self {
        VoteOptions {
            line_limit: DEFAULT_LINE_LIMIT,
            exclude: Vec::new(),
            ban: Vec::new(),
            prefix: String::new(),
            category: None,
        }
    }
}

/// Names under which the fields of a vote stand in the files of the field.
const LEFT: [&str; 3] = ["model_a", "a", "left"];
const RIGHT: [&str; 3] = ["model_b", "b", "right"];
const VOTER: [&str; 5] = ["judge", "voter", "annotator", "user", "ip"];
const CATEGORY: [&str; 3] = ["category", "task", "prompt"];

/// What a line looks like.
const EXPECTED: &str = "a vote such as {\"model_a\": …, \"model_b\": …, \"winner\": \"model_a\"}";

/// Reads a file; gzip and zstd are undone, `-` is standard input. Lines are JSON objects; a file whose first line is no object is
/// CSV with a heading. Where all lines have a time, votes are put in its order.
///
/// # Errors
/// A file that cannot be read, or a line that is no vote, with its place.
pub fn read_votes(path: &Path, options: &VoteOptions) -> Result<Votes, ArenaError> {
    read(Lines::open(path, options.line_limit)?, options)
}

/// The same of bytes; `file` is their name in messages.
///
/// # Errors
/// As [`read_votes`].
pub fn parse_votes(bytes: &[u8], file: &str, options: &VoteOptions) -> Result<Votes, ArenaError> {
    read(Lines::of_bytes(bytes, file, options.line_limit), options)
}

fn read(mut lines: Lines<'_>, options: &VoteOptions) -> Result<Votes, ArenaError> {
    let file = lines.file().to_string();
    let mut reader = Reader { file: file.clone(), ..Reader::new(options) };
    match lines.peek()? {
        None => return Err(FormatError::Empty { file, expected: EXPECTED }.into()),
        Some(b'{') => {
            while let Some(text) = lines.next()? {
                let text = text.trim().to_string();
                if !text.is_empty() {
                    reader.json(&text, lines.line())?;
                }
            }
        }
        Some(_) => reader.table(&lines.rest()?)?,
    }
    Ok(reader.end())
}

/// A line, understood.
struct Raw<'l> {
    left: &'l str,
    right: &'l str,
    verdicts: Vec<Verdict>,
    voter: Option<String>,
    category: Option<String>,
    named: bool,
    time: Option<f64>,
}

/// Reads lines into votes.
struct Reader<'o> {
    options: &'o VoteOptions,
    file: String,
    banned: HashSet<&'o str>,
    models: IndexSet<String>,
    voters: IndexSet<String>,
    categories: IndexSet<String>,
    votes: Vec<Vote>,
    account: VoteAccount,
    left_out: BTreeSet<String>,
}

impl<'o> Reader<'o> {
    fn new(options: &'o VoteOptions) -> Reader<'o> {
        Reader {
            options,
            file: String::new(),
            banned: options.ban.iter().map(String::as_str).collect(),
            models: IndexSet::new(),
            voters: IndexSet::new(),
            categories: IndexSet::new(),
            votes: Vec::new(),
            account: VoteAccount::default(),
            left_out: BTreeSet::new(),
        }
    }

    fn json(&mut self, text: &str, line: u64) -> Result<(), ArenaError> {
        let wrong = |problem: String| FormatError::Json {
            file: self.file.clone(),
            line,
            expected: EXPECTED,
            problem,
        };
        let fields: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| wrong(json_problem(text, &error)))?;
        let is_event =
            fields.contains_key("type") && !fields.contains_key("winner") && !fields.contains_key("votes");
        if is_event || fields.contains_key("states") {
            return self.logged(&fields, line);
        }
        let get = |key: &str| fields.get(key).and_then(word);
        let raw_verdicts: Vec<String> = match (fields.get("votes"), get("winner")) {
            (Some(Value::Array(several)), _) => several.iter().filter_map(word).collect(),
            (_, Some(one)) => vec![one],
            _ => Vec::new(),
        };
        self.fields(&get, &raw_verdicts, line)
    }

    /// CSV with a heading.
    fn table(&mut self, bytes: &[u8]) -> Result<(), ArenaError> {
        let file = self.file.clone();
        let mut records = csv::ReaderBuilder::new().from_reader(bytes);
        let broken = |error: &csv::Error| FormatError::Json {
            file: file.clone(),
            line: error.position().map_or(1, csv::Position::line),
            expected: "a line of a CSV file with a heading, or JSON lines",
            problem: match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("and found {len} fields where the heading has {expected_len}")
                }
                csv::ErrorKind::Utf8 { .. } => "and found bytes that are not UTF-8".to_string(),
                _ => "and the line is broken".to_string(),
            },
        };
        let heading = records.headers().map_err(|error| broken(&error))?.clone();
        for names in [&LEFT[..], &RIGHT, &["winner"]] {
            if !heading.iter().any(|name| names.contains(&name.trim())) {
                return Err(FormatError::Missing {
                    file,
                    line: 1,
                    field: format!("column `{}`", names[0]),
                    remedy: "a CSV file of votes has a heading with model_a, model_b and winner; every other file has a JSON object a line",
                }
                .into());
            }
        }
        for record in records.records() {
            let record = record.map_err(|error| broken(&error))?;
            let line = record.position().map_or(0, csv::Position::line);
            let get = |key: &str| {
                let at = heading.iter().position(|name| name.trim() == key)?;
                record.get(at).map(|text| text.trim().to_string()).filter(|text| !text.is_empty())
            };
            let verdicts: Vec<String> = get("winner").into_iter().collect();
            self.fields(&get, &verdicts, line)?;
        }
        Ok(())
    }

    /// A line of fields.
    fn fields(
        &mut self,
        get: &dyn Fn(&str) -> Option<String>,
        verdicts: &[String],
        line: u64,
    ) -> Result<(), ArenaError> {
        let first = |names: &[&str]| names.iter().find_map(|name| get(name));
        let missing = |field: &str| FormatError::Missing {
            file: self.file.clone(),
            line,
            field: field.to_string(),
            remedy: "each vote names two models and its winner: model_a, model_b, winner",
        };
        let left = first(&LEFT).ok_or_else(|| missing("`model_a`"))?;
        let right = first(&RIGHT).ok_or_else(|| missing("`model_b`"))?;
        if let Some(name) = [&left, &right].into_iter().find(|name| !is_printable(name)) {
            return Err(FormatError::Value {
                file: self.file.clone(),
                line,
                what: "the name of a model",
                found: name.chars().take(60).collect::<String>().escape_debug().to_string(),
                remedy: "it is empty or has characters that are not printed",
            }
            .into());
        }
        if verdicts.is_empty() {
            return Err(missing("`winner`").into());
        }
        let verdict = |text: &String| {
            let by_name = match (*text == left, *text == right) {
                (true, false) => Some(Verdict::Left),
                (false, true) => Some(Verdict::Right),
                _ => None,
            };
            let wrong = |remedy: &'static str| FormatError::Value {
                file: self.file.clone(),
                line,
                what: "the winner",
                found: text.chars().take(60).collect(),
                remedy,
            };
            match (by_name, Verdict::parse(text)) {
                (Some(name), Some(word)) if name != word => Err(wrong(
                    "it is a side and also the name of the model on the other one; write model_a or model_b",
                )),
                (Some(verdict), _) | (None, Some(verdict)) => Ok(verdict),
                (None, None) => Err(wrong("write model_a, model_b, tie or tie (bothbad)")),
            }
        };
        let verdicts = verdicts.iter().map(verdict).collect::<Result<Vec<_>, _>>()?;
        let category = match &self.options.category {
            Some(field) => Some(get(field).ok_or_else(|| missing(&format!("`{field}`")))?),
            None => first(&CATEGORY),
        };
        let named = get("anony").is_some_and(|anonymous| anonymous.eq_ignore_ascii_case("false"));
        let time = get("tstamp").and_then(|time| time.parse().ok());
        let voter = first(&VOTER);
        self.add(Raw { left: &left, right: &right, verdicts, voter, category, named, time });
        Ok(())
    }

    /// A line of a platform's log (GenAI-Arena and FastChat): `models` has the names that were shown, `states` those that
    /// answered.
    fn logged(&mut self, fields: &Map<String, Value>, line: u64) -> Result<(), ArenaError> {
        let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
        let verdict = match kind.ends_with("vote") {
            true => Verdict::parse(kind),
            false => None,
        };
        let Some(verdict) = verdict else {
            self.account.not_votes += 1;
            return Ok(());
        };
        let pair = |key: &str, name: &dyn Fn(&Value) -> Option<String>| -> Option<[Option<String>; 2]> {
            match fields.get(key).and_then(Value::as_array).map(Vec::as_slice) {
                Some([left, right]) => Some([name(left), name(right)]),
                _ => None,
            }
        };
        let hidden = pair("states", &|state| state.get("model_name").and_then(word));
        let shown = pair("models", &|name| name.as_str().map(str::to_string));
        let (Some(hidden), Some(shown)) = (hidden, shown) else {
            let field = "`models` and `states` of two sides".to_string();
            let remedy = "a logged vote has both";
            return Err(FormatError::Missing { file: self.file.clone(), line, field, remedy }.into());
        };
        let [Some(left), Some(right)] = hidden else {
            self.account.invalid += 1;
            return Ok(());
        };
        if ![&left, &right].into_iter().all(|name| is_printable(name)) {
            self.account.invalid += 1;
            return Ok(());
        }
        let [Some(shown_left), Some(shown_right)] = shown else {
            self.account.invalid += 1;
            return Ok(());
        };
        let named = !is_anonymous(&shown_left);
        let contradicts = named && (shown_left != left || shown_right != right);
        if shown_left.is_empty() != shown_right.is_empty() || contradicts {
            self.account.invalid += 1;
            return Ok(());
        }
        let time = fields.get("tstamp").and_then(Value::as_f64);
        let voter = VOTER.iter().find_map(|name| fields.get(*name).and_then(word));
        let verdicts = vec![verdict];
        self.add(Raw { left: &left, right: &right, verdicts, voter, category: None, named, time });
        Ok(())
    }

    fn add(&mut self, raw: Raw<'_>) {
        let count = raw.verdicts.len();
        if let Some(voter) = raw.voter.as_deref().filter(|voter| self.banned.contains(voter)) {
            self.left_out.insert(voter.to_string());
            self.account.banned += count;
            return;
        }
        let prefix = &self.options.prefix;
        let (Some(left), Some(right)) = (raw.left.strip_prefix(prefix), raw.right.strip_prefix(prefix))
        else {
            self.account.excluded += count;
            return;
        };
        let excluded = |name: &&str| self.options.exclude.iter().any(|excluded| excluded == name);
        let out: Vec<String> = [left, right].into_iter().filter(excluded).map(str::to_string).collect();
        if !out.is_empty() {
            self.left_out.extend(out);
            self.account.excluded += count;
            return;
        }
        if left == right {
            self.account.with_itself += count;
            return;
        }
        let place = |set: &mut IndexSet<String>, name: String| set.insert_full(name).0;
        let (left, right) =
            (place(&mut self.models, left.to_string()), place(&mut self.models, right.to_string()));
        let category = raw.category.map(|name| place(&mut self.categories, name));
        for (at, &verdict) in raw.verdicts.iter().enumerate() {
            // Of several votes on a line the place tells voters apart.
            let voter = raw.voter.clone().or_else(|| (count > 1).then(|| format!("vote {}", at + 1)));
            let voter = voter.map(|name| place(&mut self.voters, name));
            self.account.read += 1;
            self.account.named += usize::from(raw.named);
            self.account.both_bad += usize::from(verdict == Verdict::BothBad);
            self.votes.push(Vote { left, right, verdict, voter, category, named: raw.named, time: raw.time });
        }
    }

    fn end(self) -> Votes {
        let mut votes = Votes {
            models: self.models.into_iter().collect(),
            voters: self.voters.into_iter().collect(),
            categories: self.categories.into_iter().collect(),
            all: self.votes,
            account: self.account,
            left_out: self.left_out,
        };
        votes.sort_by_time();
        votes
    }
}

/// Whether a name can stand on a line.
fn is_printable(name: &str) -> bool {
    !name.trim().is_empty() && !name.chars().any(char::is_control)
}

/// Whether a name is what a platform shows in place of a model's on the left.
fn is_anonymous(shown: &str) -> bool {
    shown.is_empty() || shown == "Model A"
}

/// A text or number as a name.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Votes, String> {
        parse_votes(text.as_bytes(), "f", &VoteOptions::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_and_tables_say_the_same() {
        let lines = parse(
            "{\"a\": \"x\", \"b\": \"y\", \"winner\": \"tie\", \"prompt\": \"8\", \"judge\": 5}\n\n{\"a\": \"y\", \"b\": \"z\", \"winner\": \"b\"}\n",
        )
        .unwrap();
        assert_eq!(lines.models, ["x", "y", "z"]);
        assert_eq!(lines.voters, ["5"]);
        assert_eq!(lines.categories, ["8"]);
        assert_eq!(lines.all[0].verdict, Verdict::Tie);
        assert_eq!((lines.all[1].left, lines.all[1].right, lines.all[1].verdict), (1, 2, Verdict::Right));
        let table = parse("model_a,model_b,winner\nx,y,tie\ny,z,model_b\n").unwrap();
        let told = |votes: &Votes| votes.all.iter().map(|v| (v.left, v.right, v.verdict)).collect::<Vec<_>>();
        assert_eq!(told(&lines), told(&table));
        let several = parse("{\"a\": \"x\", \"b\": \"y\", \"votes\": [\"a\", \"tie\", \"b\"]}").unwrap();
        assert_eq!((several.all.len(), several.voters.len()), (3, 3));
    }

    #[test]
    fn a_platforms_log_is_cleaned_and_what_is_left_out_is_counted() {
        let line = |kind: &str, shown: [&str; 2], hidden: [&str; 2], time: f64, ip: &str| {
            serde_json::json!({"tstamp": time, "type": kind, "models": shown, "ip": ip,
                "states": [{"model_name": hidden[0]}, {"model_name": hidden[1]}]})
            .to_string()
        };
        let log = [
            line("leftvote", ["Model A", "Model B"], ["g_x", "g_y"], 3.0, "1"),
            line("rightvote", ["", ""], ["g_y", "g_z"], 1.0, "2"),
            line("tievote", ["g_x", "g_y"], ["g_x", "g_y"], 2.0, "1"),
            line("bothbad_vote", ["g_x", "g_y"], ["g_x", "g_z"], 4.0, "1"),
            line("leftvote", ["", "g_y"], ["g_x", "g_y"], 5.0, "1"),
            line("chat", ["", ""], ["g_x", "g_y"], 6.0, "1"),
            line("leftvote", ["", ""], ["g_x", "other"], 7.0, "1"),
            line("leftvote", ["", ""], ["g_x", "g_y"], 8.0, "bad"),
            line("leftvote", ["", ""], ["g_x", "g_x"], 9.0, "1"),
        ]
        .join("\n");
        let options = VoteOptions { prefix: "g_".into(), ban: vec!["bad".into()], ..VoteOptions::default() };
        let votes = parse_votes(log.as_bytes(), "f", &options).unwrap();
        // In the order of time, which is not that of the lines.
        let told: Vec<_> = votes
            .all
            .iter()
            .map(|v| (&*votes.models[v.left], &*votes.models[v.right], v.verdict, v.named))
            .collect();
        assert_eq!(
            told,
            [
                ("y", "z", Verdict::Right, false),
                ("x", "y", Verdict::Tie, true),
                ("x", "y", Verdict::Left, false)
            ]
        );
        let expected = VoteAccount {
            read: 3,
            named: 1,
            not_votes: 1,
            invalid: 2,
            banned: 1,
            excluded: 1,
            with_itself: 1,
            ..VoteAccount::default()
        };
        assert_eq!(votes.account, expected);
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, expected) in [
            ("", "expected a vote"),
            ("{\"a\": \"x\", \"winner\": \"a\"}", "f, line 1: no `model_b`"),
            ("{\"a\": \"x\", \"b\": \"y\"}", "f, line 1: no `winner`"),
            ("{\"a\": \"x\", \"b\": \"y\", \"winner\": \"won\"}", "the winner is `won`"),
            (
                "{\"a\": \"b\", \"b\": \"a\", \"winner\": \"a\"}",
                "also the name of the model on the other one",
            ),
            ("{\"a\": \"x\", \"b\": \"y\", \"winner\": \"a\"}\n{\"a\"", "f, line 2"),
            ("model_a,model_b,winner\nx,y\n", "f, line 2"),
            ("model_a,winner\nx,a\n", "no column `model_b`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        // A winner may also be told by its name.
        let named = parse("{\"a\": \"x\", \"b\": \"y\", \"winner\": \"y\"}").unwrap();
        assert_eq!(named.all[0].verdict, Verdict::Right);
    }
}
