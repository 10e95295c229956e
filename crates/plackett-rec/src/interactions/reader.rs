//! Interactions from a file: columns with tabs or commas, with or without a header, RecBole's atomic files among them, or one
//! line a user with all items in their order.

use super::memory::Ledger;
use super::table::{is_table, read_table};
use super::{Event, Interactions};
use crate::RecError;
use plackett_core::formats::{DEFAULT_LINE_LIMIT, FormatError, Lines};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What columns are called in the files of the field; RecBole writes the type behind a colon.
pub(super) const NAMES: [&[&str]; 4] = [
    &["user", "user_id", "userid", "uid", "reviewerid", "customer_id", "customerid", "visitorid"],
    &[
        "item",
        "item_id",
        "itemid",
        "iid",
        "movie_id",
        "movieid",
        "asin",
        "parent_asin",
        "product_id",
        "productid",
    ],
    &["rating", "score", "overall", "stars"],
    &["timestamp", "time", "unixreviewtime", "unix_timestamp"],
];
/// For messages.
const COLUMNS: &str = "user, item, rating and timestamp (the last two may be missing)";

/// Reads interactions, packed or not. Lines have user, item, rating and timestamp, between tabs or commas, in the order that a
/// header names or in this one; or, between blanks, a user and all items in their order, whose times are then their places. A file whose
/// name ends in `.parquet` is a table with columns of these names.
/// Events below `least_rating` are left out. Times of a file with fractions are cut to whole numbers.
///
/// # Errors
/// The file cannot be read, a line has too few fields, a rating or time is no number, or no event is left.
pub fn read_interactions(path: &Path, least_rating: Option<f32>) -> Result<Interactions, RecError> {
    read_interactions_within(path, least_rating, ReadLimits::default())
}

/// What reading may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// The longest line, in bytes.
    pub line_bytes: usize,
    /// The most memory of all that is read and of a split of it, in bytes; `None` for no limit.
    pub memory: Option<u64>,
}

impl Default for ReadLimits {
    fn default() -> ReadLimits {
        ReadLimits { line_bytes: DEFAULT_LINE_LIMIT, memory: None }
    }
}

/// The same within limits. Where memory would not do, what was read is let go, and the rest of the file is only counted, to say how much is
/// needed.
///
/// # Errors
/// As [`read_interactions`], or a line is longer than the limit, or all of it takes more memory than it may.
pub fn read_interactions_within(
    path: &Path,
    least_rating: Option<f32>,
    limits: ReadLimits,
) -> Result<Interactions, RecError> {
    if least_rating.is_some_and(|least| !least.is_finite()) {
        return Err(RecError::Setting("the lowest rating is too large; give a smaller number".into()));
    }
    let mut collected = Collected::new(least_rating, limits.memory);
    match is_table(path) {
        true => read_table(path, &mut collected)?,
        false => read_lines(path, limits.line_bytes, &mut collected)?,
    }
    let expected = "interactions of users and items";
    match collected.interactions.account.read {
        0 => Err(FormatError::Empty { file: path.display().to_string(), expected }.into()),
        _ => collected.finish(path),
    }
}

fn read_lines(path: &Path, line_bytes: usize, collected: &mut Collected) -> Result<(), RecError> {
    let mut lines = Lines::open(path, line_bytes)?;
    let mut form: Option<Form> = None;
    while let Some(text) = lines.next()? {
        let text = text.trim_end_matches(['\r', '\n']).to_string();
        if text.trim().is_empty() {
            continue;
        }
        let form = match &form {
            Some(form) => form,
            None => {
                let (found, is_header, unused) = Form::of(&text);
                let account = &mut collected.interactions.account;
                account.unused_columns = unused;
                account.form = found.remark(&text, is_header);
                collected.check_rated(found.is_rated(), lines.file())?;
                let found = form.insert(found);
                if is_header {
                    continue;
                }
                found
            }
        };
        let place = Place { file: lines.file().to_string(), line: lines.line() };
        form.take(&text, &place, collected)?;
    }
    Ok(())
}

/// Where something stands, for messages.
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: u64,
}

/// How lines are written.
enum Form {
    /// The separator, how many columns there are, and which are user, item, rating and time.
    Columns { separator: char, count: usize, places: [Option<usize>; 4] },
    /// A user and all items.
    Sequences,
}

impl Form {
    /// The form of a file that begins with this line, whether the line is a header, and the columns that are not used.
    fn of(first: &str) -> (Form, bool, Vec<String>) {
        let separator = if first.contains('\t') { '\t' } else { ',' };
        if !first.contains(separator) {
            return (Form::Sequences, false, Vec::new());
        }
        // A quote that is not closed is told of with the line, where its fields are read.
        let own = fields_of(first, separator).unwrap_or_default();
        let fields: Vec<String> = own
            .iter()
            .map(|field| field.split(':').next().unwrap_or_default().trim().to_lowercase())
            .collect();
        let count = fields.len();
        let column = |names: &[&str]| fields.iter().position(|field| names.contains(&field.as_str()));
        let places = NAMES.map(column);
        match places {
            [Some(_), Some(_), ..] => {
                let unused = (0..count).filter(|at| !places.contains(&Some(*at))).map(|at| own[at].clone());
                (Form::Columns { separator, count, places }, true, unused.collect())
            }
            _ => {
                let places = [0, 1, 2, 3].map(|at| (at < count).then_some(at));
                let unused = (4..count).map(|at| format!("column {}", at + 1)).collect();
                (Form::Columns { separator, count, places }, false, unused)
            }
        }
    }

    /// Whether events have a rating.
    fn is_rated(&self) -> bool {
        matches!(self, Form::Columns { places: [_, _, Some(_), _], .. })
    }

    /// What has to be said of how the file is read: where that may be a mistake.
    fn remark(&self, first: &str, is_header: bool) -> Option<String> {
        match self {
            Form::Sequences => {
                let numbers = first.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).count();
                (numbers == 4 && first.split_whitespace().count() == 4).then(|| {
                    "lines are read as a user and items with blanks between them; user, item, rating and time need tabs or commas".into()
                })
            }
            Form::Columns { count, .. } => (!is_header && *count < 4).then(|| {
                format!("no header is recognised, so that the first line is an event: {}", first.trim())
            }),
        }
    }

    fn take(&self, text: &str, place: &Place, to: &mut Collected) -> Result<(), RecError> {
        let few = |found: usize, expected| {
            RecError::File(FormatError::Fields {
                file: place.file.clone(),
                line: place.line,
                expected,
                found,
                remedy: "mend the line or leave it out",
            })
        };
        match self {
            Form::Sequences => {
                let mut fields = text.split_whitespace();
                let user = fields.next().unwrap_or_default();
                let items: Vec<&str> = fields.collect();
                if items.is_empty() {
                    return Err(few(1, "a user and one or more items"));
                }
                let first = to.length(user) as i64;
                for (at, item) in items.into_iter().enumerate() {
                    to.add(user, item, (1.0, first + at as i64), place)?;
                }
            }
            Form::Columns { separator, count, places } => {
                let Some(fields) = fields_of(text, *separator) else {
                    let remedy = "a field that begins with a double quote ends with one";
                    return Err(wrong_value(text, "the line", place, remedy));
                };
                let found = places.map(|at| at.and_then(|at| fields.get(at)).map(String::as_str));
                let ([Some(user), Some(item), rating, time], true) = (found, fields.len() == *count) else {
                    return Err(few(fields.len(), COLUMNS));
                };
                let rating = rating.map(|text| rating_of(text, place)).transpose()?.unwrap_or(1.0);
                let time = time.map(|text| time_of(text, place)).transpose()?;
                let time = time.unwrap_or_else(|| to.length(user) as i64);
                to.add(user, item, (rating, time), place)?;
            }
        }
        Ok(())
    }
}

/// Names with commas between them, as a line of a file has them: one with a comma stands in double quotes. `None` for a quote that is not
/// closed.
pub fn split_names(text: &str) -> Option<Vec<String>> {
    fields_of(text, ',')
}

/// The fields of a line. One that begins with a double quote goes to the next one, in which two of them are one; a quote elsewhere is a sign like
/// any other. `None` for a quote that is not closed.
fn fields_of(line: &str, separator: char) -> Option<Vec<String>> {
    if !line.contains('"') {
        return Some(line.split(separator).map(|field| field.trim().to_string()).collect());
    }
    let (mut fields, mut rest) = (Vec::new(), line);
    loop {
        let own = rest.trim_start_matches(|c: char| c.is_whitespace() && c != separator);
        let (field, behind) = match own.strip_prefix('"') {
            None => match own.split_once(separator) {
                Some((field, behind)) => (field.trim().to_string(), Some(behind)),
                None => (own.trim().to_string(), None),
            },
            Some(quoted) => {
                let (field, behind) = unquoted(quoted)?;
                match behind.split_once(separator) {
                    Some((more, behind)) => (field + more.trim_end(), Some(behind)),
                    None => (field + behind.trim_end(), None),
                }
            }
        };
        fields.push(field);
        match behind {
            Some(behind) => rest = behind,
            None => return Some(fields),
        }
    }
}

/// What stands before the quote that ends a field, and what behind it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let (before, behind) = rest.split_once('"')?;
        field.push_str(before);
        match behind.strip_prefix('"') {
            Some(behind) => {
                field.push('"');
                rest = behind;
            }
            None => return Some((field, behind)),
        }
    }
}

fn wrong_value(text: &str, what: &'static str, place: &Place, remedy: &'static str) -> RecError {
    let (file, found) = (place.file.clone(), text.to_string());
    FormatError::Value { file, line: place.line, what, found, remedy }.into()
}

pub(super) fn rating_of(text: &str, place: &Place) -> Result<f32, RecError> {
    let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| wrong_value(text, "rating", place, "a number is expected"))
}

/// A time: a whole number, or one with a fraction, which is cut.
pub(super) fn time_of(text: &str, place: &Place) -> Result<i64, RecError> {
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(whole);
    }
    let number = text.parse::<f64>().ok().filter(|number| number.abs() < i64::MAX as f64);
    number.map(|number| number as i64).ok_or_else(|| {
        wrong_value(
            text,
            "timestamp",
            place,
            "a number is expected (seconds, or whatever unit all times have)",
        )
    })
}

/// Events on their way into sequences.
pub(super) struct Collected {
    interactions: Interactions,
    users: HashMap<String, usize>,
    items: HashMap<String, u32>,
    least_rating: Option<f32>,
    ledger: Ledger,
}

impl Collected {
    fn new(least_rating: Option<f32>, memory: Option<u64>) -> Collected {
        Collected {
            interactions: Interactions::default(),
            users: HashMap::new(),
            items: HashMap::new(),
            least_rating,
            ledger: Ledger::new(memory),
        }
    }

    /// Refuses a lowest rating where nothing is rated: it would leave out nothing or everything.
    pub(super) fn check_rated(&self, is_rated: bool, file: &str) -> Result<(), RecError> {
        match self.least_rating {
            Some(least) if !is_rated => {
                let problem = format!(
                    "has no ratings, and those below {least} are to be left out (--least-rating); give a file with a column `rating`, or leave \
                     the flag out"
                );
                Err(FormatError::File { file: file.into(), problem }.into())
            }
            _ => Ok(()),
        }
    }

    /// Names columns that are not used.
    pub(super) fn note_unused(&mut self, columns: Vec<String>) {
        self.interactions.account.unused_columns = columns;
    }

    /// How many events a user has so far.
    pub(super) fn length(&self, user: &str) -> usize {
        self.users.get(user).map_or(0, |user| self.interactions.sequences[*user].len())
    }

    /// # Errors
    /// A name is empty or has control characters, or there are more items than 32 bits count.
    pub(super) fn add(
        &mut self,
        user: &str,
        item: &str,
        (rating, time): (f32, i64),
        place: &Place,
    ) -> Result<(), RecError> {
        for (what, name) in [("the user", user), ("the item", item)] {
            if name.is_empty() || name.chars().any(char::is_control) {
                let remedy = "a name has one character at least, and no tab or other control character";
                return Err(wrong_value(&name.escape_debug().to_string(), what, place, remedy));
            }
        }
        let (all, ledger) = (&mut self.interactions, &mut self.ledger);
        all.account.read += 1;
        if self.least_rating.is_some_and(|least| rating < least) {
            all.account.below_rating += 1;
            return Ok(());
        }
        ledger.add_event();
        if ledger.only_counts() {
            ledger.count(user, item);
            return Ok(());
        }
        let next = self.users.len();
        let user = *self.users.entry(user.to_string()).or_insert_with(|| {
            ledger.add_user(user);
            all.users.push(user.to_string());
            all.sequences.push(Vec::new());
            next
        });
        let next = self.items.len() as u32;
        let item = *self.items.entry(item.to_string()).or_insert_with(|| {
            ledger.add_item(item);
            all.items.push(item.to_string());
            next
        });
        all.sequences[user].push(Event { item, rating, time });
        if self.ledger.is_over() {
            self.let_go();
        }
        Ok(())
    }

    /// Keeps nothing but counts from here on.
    fn let_go(&mut self) {
        self.ledger.only_count(self.users.keys().map(String::as_str), self.items.keys().map(String::as_str));
        (self.users, self.items) = (HashMap::new(), HashMap::new());
        let account = std::mem::take(&mut self.interactions.account);
        self.interactions = Interactions { account, ..Interactions::default() };
    }

    /// Puts every sequence in the order of time and takes out what stands twice.
    fn finish(mut self, path: &Path) -> Result<Interactions, RecError> {
        self.ledger.check()?;
        let all = &mut self.interactions;
        for sequence in &mut all.sequences {
            sequence.shrink_to_fit();
            sequence.sort_by_key(|event| event.time);
            let mut seen: HashSet<(u32, i64)> = HashSet::new();
            let before = sequence.len();
            sequence.retain(|event| seen.insert((event.item, event.time)));
            all.account.repeated += before - sequence.len();
            all.account.tied_times += sequence.windows(2).filter(|pair| pair[0].time == pair[1].time).count();
        }
        if all.items.is_empty() {
            let problem = format!("all {} events have a lower rating than is asked for", all.account.read);
            return Err(FormatError::File { file: path.display().to_string(), problem }.into());
        }
        Ok(self.interactions)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Account;
    use super::*;
    use std::fmt::Write;

    fn read(text: &str) -> Result<Interactions, RecError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("interactions");
        std::fs::write(&path, text).unwrap();
        read_interactions(&path, None)
    }

    fn items(all: &Interactions, user: usize) -> Vec<&str> {
        all.sequences[user].iter().map(|event| all.items[event.item as usize].as_str()).collect()
    }

    #[test]
    fn every_form_of_the_field_gives_the_same_sequences() {
        let forms = [
            "user\titem\trating\ttimestamp\nu\ta\t5\t1\nu\tb\t3\t2\nv\tb\t1\t7\n",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\ta\t5\t1\nu\tb\t3\t2\nv\tb\t1\t7\n",
            "timestamp,item,user\n1,a,u\n7,b,v\n2,b,u\n",
            "u\ta\t5\t1\nu\tb\t3\t2\nv\tb\t1\t7\n",
            "u a b\nv b\n",
        ];
        for form in forms {
            let all = read(form).unwrap();
            assert_eq!((items(&all, 0), items(&all, 1)), (vec!["a", "b"], vec!["b"]), "{form}");
            assert_eq!(all.counts(), [1, 2]);
        }
    }

    #[test]
    fn quotes_large_times_and_other_columns_are_read() {
        let all = read(
            "\"user\",\"item\",\"place\",\"timestamp\"\n\"u, the first\",\"a \"\"b\"\"\",x,1718000000000000001\n",
        );
        let all = all.unwrap();
        assert_eq!((all.users[0].as_str(), all.items[0].as_str()), ("u, the first", "a \"b\""));
        assert_eq!(all.sequences[0][0].time, 1_718_000_000_000_000_001);
        assert!(all.account.remarks()[0].contains("not used: place"));
        assert_eq!(
            split_names("a, \"b, c\" ,5\" d"),
            Some(["a", "b, c", "5\" d"].map(String::from).to_vec())
        );
        assert_eq!(split_names("a,\"b"), None);
        // A quote within a name is a part of it, and between tabs quotes are taken off too.
        let all = read("u,5\" disk\nv,5 disk\n").unwrap();
        assert_eq!(all.items, ["5\" disk", "5 disk"]);
        assert!(all.account.remarks()[0].contains("the first line is an event: u,5\" disk"));
        assert_eq!(read("\"user\"\t\"item\"\n\"u\"\t\"a\"\n").unwrap().items, ["a"]);
        let all = read("196 242 3 881250949\n").unwrap();
        assert!(all.account.remarks()[0].contains("need tabs or commas"));
    }

    #[test]
    fn a_lowest_rating_wants_ratings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("interactions");
        for unrated in ["u a b\nv b\n", "user,item\nu,a\n", "timestamp,item,user\n1,a,u\n"] {
            std::fs::write(&path, unrated).unwrap();
            for least in [0.5, 2.0] {
                let error = read_interactions(&path, Some(least)).unwrap_err().to_string();
                assert!(error.contains("has no ratings") && error.contains("--least-rating"), "{error}");
            }
        }
        std::fs::write(&path, "u,a,3\nu,b,1\n").unwrap();
        assert_eq!(read_interactions(&path, Some(2.0)).unwrap().items, ["a"]);
    }

    #[test]
    fn what_stands_twice_counts_once_and_ties_keep_their_order() {
        let all = read("u\tb\t5\t3\nu\ta\t5\t1\nu\tc\t4\t3\nu\tb\t5\t3\n").unwrap();
        assert_eq!(items(&all, 0), ["a", "b", "c"]);
        let expected = Account { read: 4, repeated: 1, tied_times: 1, ..Account::default() };
        assert_eq!(all.account, expected);
        assert_eq!(all.account.remarks().len(), 2);
    }

    #[test]
    fn a_budget_holds_and_a_refusal_says_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("interactions");
        std::fs::write(&path, "u\ta\t5\t1\nu\tb\t3\t2\nv\tb\t1\t7\nw\tcc\t1\t7\n").unwrap();
        let within = |memory: u64| {
            read_interactions_within(
                &path,
                None,
                ReadLimits { memory: Some(memory), ..ReadLimits::default() },
            )
        };
        let needed = |memory: u64| match within(memory) {
            Err(RecError::Memory { events: 4, users: 3, items: 3, needed, budget }) => {
                assert_eq!(budget, memory);
                needed
            }
            other => panic!("{other:?}"),
        };
        // 4 events, 3 users, 3 items, and 7 letters of names that are there twice.
        assert_eq!(needed(1), 4 * 32 + 3 * 360 + 3 * 200 + 2 * 7);
        assert_eq!(needed(needed(1) - 1), needed(1));
        assert_eq!(within(needed(1)).unwrap().events(), 4);
        let error = within(1).unwrap_err().to_string();
        assert!(error.contains("1822 bytes") && error.contains("--memory-budget gives 1 bytes"), "{error}");
        // An event that does not count takes nothing.
        let limits = ReadLimits { memory: Some(needed(1) - 1), ..ReadLimits::default() };
        assert_eq!(read_interactions_within(&path, Some(3.0), limits).unwrap().events(), 2);
    }

    #[test]
    fn two_hundred_thousand_events_stay_within_what_is_told_and_are_split_without_copies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("interactions");
        let mut text = String::from("user\titem\trating\ttimestamp\n");
        for at in 0..200_000 {
            writeln!(text, "user-{}\titem-{}\t5\t{at}", at % 2_000, at * 7 % 5_003).unwrap();
        }
        std::fs::write(&path, text).unwrap();
        let within =
            |memory| read_interactions_within(&path, None, ReadLimits { memory, ..ReadLimits::default() });
        let Err(RecError::Memory { events: 200_000, users: 2_000, items: 5_003, needed, .. }) =
            within(Some(1_000))
        else {
            panic!("a thousand bytes are too few")
        };
        let all = within(Some(needed)).unwrap();
        let split = crate::leave_last_out(&all, 0);
        let slices = size_of_val(&split.sequences[..]) + size_of_val(&split.cases[..]);
        let events: usize = all.sequences.iter().map(|events| 24 + 16 * events.capacity()).sum();
        let names: usize = all.users.iter().chain(&all.items).map(|name| 24 + name.capacity()).sum();
        assert!(((slices + events + names) as u64) < needed, "{slices} + {events} + {names}, {needed}");
        assert_eq!((all.events(), split.cases.len()), (200_000, 2_000));
        assert!(split.cases.iter().all(|case| std::ptr::eq(case.history, &all.sequences[case.user][..99])));
    }

    #[test]
    fn damaged_lines_are_named() {
        for (text, said) in [
            ("u\ta\tfive\t1\n", "line 1: rating is `five`"),
            ("user\titem\trating\ttimestamp\nu\ta\t5\n", "line 2"),
            ("user\titem\nu\n", "line 2"),
            ("", "the file is empty"),
            ("u\n", "a user and one or more items"),
            ("u,\"a\n", "line 1: the line is `u,\"a`"),
            ("u\ta\t1e300\t1\n", "line 1: rating is `1e300`"),
            ("u\ta\t1\tnan\n", "line 1: timestamp is `nan`"),
            ("u\t\t1\t1\n", "line 1: the item is ``"),
            ("u\ta\u{1}b\t1\t1\n", "the item is `a\\u{1}b`"),
            ("u\ta\t1\t1\nu\tb\t1\t2\t3\n", "line 2"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }
}
