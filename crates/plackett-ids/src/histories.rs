//! Who had which items, in the order of time, and the part of it that identifiers may be made from.

use crate::{IdsError, Item};
use plackett_core::formats::{FormatError, Lines};
use std::collections::HashMap;
use std::path::Path;

/// Histories of users: places in a list of items, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histories {
    /// The users, in the order of the file.
    pub users: Vec<String>,
    /// The history of each.
    pub items: Vec<Vec<usize>>,
}

impl Histories {
    /// Histories without the last `held_out` items of each user: all that identifiers of an honest test may be made from.
    pub fn training(&self, held_out: usize) -> Vec<Vec<usize>> {
        self.items.iter().map(|items| items[..items.len().saturating_sub(held_out)].to_vec()).collect()
    }
}

/// An event of a file of interactions.
struct Event {
    time: f64,
    item: usize,
}

/// What the columns of a heading are called, in their order.
const HEADING: [&[&str]; 4] =
    [&["user", "user_id"], &["item", "item_id"], &["rating", "score"], &["time", "timestamp"]];

/// Whether a line is the heading of a file of interactions; `None` for one with the right names in another order, or other names.
fn is_heading(text: &str) -> Option<bool> {
    let name = |field: &str| field.split(':').next().unwrap_or_default().trim().to_lowercase();
    let fields: Vec<String> = text.split('\t').map(name).collect();
    let known = |field: &String| HEADING.iter().any(|names| names.contains(&field.as_str()));
    let in_order = fields.len() == HEADING.len()
        && fields.iter().zip(HEADING).all(|(field, names)| names.contains(&field.as_str()));
    // A user or an item may be called so, all columns are not.
    match (in_order, fields.len() > 1 && fields.iter().filter(|field| known(field)).count() > 2) {
        (true, _) => Some(true),
        (false, true) => None,
        (false, false) => Some(false),
    }
}

/// Where items lie, and the file for messages.
struct Places<'i> {
    file: String,
    of: HashMap<&'i str, usize>,
}

impl Places<'_> {
    fn place(&self, item: &str, line: u64) -> Result<usize, FormatError> {
        self.of.get(item).copied().ok_or_else(|| FormatError::Value {
            file: self.file.clone(),
            line,
            what: "the item",
            found: item.to_string(),
            remedy: "it is not among the items; histories and items have to belong together",
        })
    }

    /// User, item, rating and time with tabs between them.
    fn interaction(&self, text: &str, line: u64) -> Result<(String, Vec<Event>), FormatError> {
        let fields: Vec<&str> = text.split('\t').collect();
        let [user, item, _, time] = fields[..] else {
            let expected = "user, item, rating and time with tabs between them";
            let (file, found) = (self.file.clone(), fields.len());
            return Err(FormatError::Fields { file, line, expected, found, remedy: "write each event so" });
        };
        let number = time.parse().ok().filter(|time: &f64| !time.is_nan());
        let number = number.ok_or_else(|| FormatError::Value {
            file: self.file.clone(),
            line,
            what: "the time",
            found: time.to_string(),
            remedy: "a number is expected",
        })?;
        Ok((user.to_string(), vec![Event { time: number, item: self.place(item, line)? }]))
    }

    /// A user and items with blanks between them.
    fn sequence(&self, text: &str, line: u64) -> Result<(String, Vec<Event>), FormatError> {
        let mut words = text.split_whitespace();
        let user = words.next().unwrap_or_default().to_string();
        let event = |(at, item)| Ok(Event { time: at as f64, item: self.place(item, line)? });
        let events: Vec<Event> = words.enumerate().map(event).collect::<Result<_, FormatError>>()?;
        if events.is_empty() {
            let expected = "a user and at least one item with blanks between them";
            let remedy =
                "put blanks (or tabs, with rating and time) between them, not commas, or leave the user out";
            return Err(FormatError::Fields { file: self.file.clone(), line, expected, found: 1, remedy });
        }
        Ok((user, events))
    }
}

/// Reads histories, in one of two forms. Interactions, a line each: user, item, rating and time with tabs between them, perhaps under a
/// heading; events of a user are put in the order of time, equal times in that of the file. Or "sequential data", a line for each user:
/// the user and the items in the order of time, with blanks between them.
///
/// # Errors
/// The file cannot be read or has no event, a line has another form or no item, or names an item that is not among `items`.
pub fn read_histories(path: &Path, items: &[Item], limit: usize) -> Result<Histories, IdsError> {
    let places = Places {
        file: path.display().to_string(),
        of: items.iter().enumerate().map(|(place, item)| (item.id.as_str(), place)).collect(),
    };
    let mut lines = Lines::open(path, limit)?;
    let mut users: Vec<String> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut events: Vec<Vec<Event>> = Vec::new();
    while let Some(text) = lines.next()? {
        let text = text.trim_end().to_string();
        let line = lines.line();
        if text.is_empty() {
            continue;
        }
        match if line == 1 { is_heading(&text) } else { Some(false) } {
            Some(true) => continue,
            Some(false) => {}
            None => {
                let remedy = "the columns are user, item, rating and time, in this order";
                let (file, what, found) = (places.file, "the heading", text);
                return Err(FormatError::Value { file, line, what, found, remedy }.into());
            }
        }
        let (user, new) = match text.contains('\t') {
            true => places.interaction(&text, line)?,
            false => places.sequence(&text, line)?,
        };
        let at = *known.entry(user.clone()).or_insert_with(|| {
            users.push(user);
            events.push(Vec::new());
            users.len() - 1
        });
        events[at].extend(new);
    }
    if events.is_empty() {
        let expected = "histories: lines of user, item, rating and time, or of a user and items";
        return Err(FormatError::Empty { file: places.file, expected }.into());
    }
    let ordered = |mut events: Vec<Event>| {
        events.sort_by(|a, b| a.time.total_cmp(&b.time));
        events.into_iter().map(|event| event.item).collect()
    };
    Ok(Histories { users, items: events.into_iter().map(ordered).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        ["a", "b", "c"].map(Item::new).to_vec()
    }

    #[test]
    fn both_forms_give_the_same_histories() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("histories");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_histories(&path, &items(), 1 << 20)
        };
        let lines = read("user\titem\trating\ttimestamp\nu\tb\t1\t7\nv\tc\t1\t1\nu\ta\t1\t3\n").unwrap();
        assert_eq!(lines.users, ["u", "v"]);
        assert_eq!(lines.items, [vec![0, 1], vec![2]]);
        assert_eq!(read("u a b\nv c\n").unwrap(), lines);
        assert_eq!(lines.training(1), [vec![0], vec![]]);
        let unknown = read("u a x\n").unwrap_err().to_string();
        assert!(unknown.contains("line 1") && unknown.contains("`x`"), "{unknown}");
        let short = read("u\ta\t1\n").unwrap_err().to_string();
        assert!(short.contains("found 3 fields"), "{short}");
        assert_eq!(
            read("user_id\titem_id\trating\ttime\nu\tb\t1\t7\nv\tc\t1\t1\nu\ta\t1\t3\n").unwrap(),
            lines
        );
        let commas = read("u a b\nv,c\n").unwrap_err().to_string();
        assert!(commas.contains("line 2") && commas.contains("not commas"), "{commas}");
        for empty in ["", "\n\n", "user\titem\trating\ttimestamp\n"] {
            let empty = read(empty).unwrap_err().to_string();
            assert!(empty.contains("expected histories"), "{empty}");
        }
        assert!(read("u\ta\t1\tyesterday\n").unwrap_err().to_string().contains("`yesterday`"));
    }
}
