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

/// Reads histories, in one of two forms. Interactions, a line each: user, item, rating and time with tabs between them, perhaps under a
/// heading; events of a user are put in the order of time, equal times in that of the file. Or "sequential data", a line for each user:
/// the user and the items in the order of time, with blanks between them.
///
/// # Errors
/// The file cannot be read, a line has another form, or names an item that is not among `items`.
pub fn read_histories(path: &Path, items: &[Item], limit: usize) -> Result<Histories, IdsError> {
    let places: HashMap<&str, usize> =
        items.iter().enumerate().map(|(place, item)| (item.id.as_str(), place)).collect();
    let mut lines = Lines::open(path, limit)?;
    let mut users: Vec<String> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut events: Vec<Vec<Event>> = Vec::new();
    while let Some(text) = lines.next()? {
        let text = text.trim_end().to_string();
        let line = lines.line();
        if text.is_empty() || line == 1 && text.starts_with("user\t") {
            continue;
        }
        let place = |item: &str| {
            places.get(item).copied().ok_or_else(|| FormatError::Value {
                file: path.display().to_string(),
                line,
                what: "the item",
                found: item.to_string(),
                remedy: "it is not among the items; histories and items have to belong together",
            })
        };
        let (user, new) = match text.contains('\t') {
            true => {
                let fields: Vec<&str> = text.split('\t').collect();
                let [user, item, _, time] = fields[..] else {
                    let expected = "user, item, rating and time with tabs between them";
                    let (file, found) = (path.display().to_string(), fields.len());
                    let remedy = "write each event so";
                    return Err(FormatError::Fields { file, line, expected, found, remedy }.into());
                };
                let time = time.parse().ok().filter(|time: &f64| !time.is_nan());
                let time = time.ok_or_else(|| FormatError::Value {
                    file: path.display().to_string(),
                    line,
                    what: "the time",
                    found: fields[3].to_string(),
                    remedy: "a number is expected",
                })?;
                (user.to_string(), vec![Event { time, item: place(item)? }])
            }
            false => {
                let mut words = text.split_whitespace();
                let user = words.next().unwrap_or_default().to_string();
                let event = |(at, item)| Ok(Event { time: at as f64, item: place(item)? });
                (user, words.enumerate().map(event).collect::<Result<_, FormatError>>()?)
            }
        };
        let at = *known.entry(user.clone()).or_insert_with(|| {
            users.push(user);
            events.push(Vec::new());
            users.len() - 1
        });
        events[at].extend(new);
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
        assert!(read("u\ta\t1\tyesterday\n").unwrap_err().to_string().contains("`yesterday`"));
    }
}
