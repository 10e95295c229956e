//! What must be said of many files at once: counted, with the names of a few.

use crate::formats::remarks::counted;
use indexmap::IndexMap;
use std::borrow::Cow;
use std::sync::Mutex;

/// Names that are shown of all that are counted.
const SHOWN: usize = 3;

/// Files by what must be said of them.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

/// How many files and the first names of them, by what is said.
type Counts = IndexMap<Cow<'static, str>, (u64, Vec<String>)>;

impl Tally {
    /// Counts a file under what is said of it, such as "left out, as there is no text in it".
    pub(super) fn add(&self, what: impl Into<Cow<'static, str>>, file: &str) {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (count, names) = all.entry(what.into()).or_default();
        *count += 1;
        if names.len() < SHOWN {
            names.push(file.to_string());
        }
    }

    /// One sentence for each kind, in the order in which they came.
    pub(super) fn remarks(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let sentence = |(what, (count, names)): (&Cow<'static, str>, &(u64, Vec<String>))| {
            format!("{what}: {} ({})", counted(*count, "file"), some(names, *count as usize))
        };
        all.iter().map(sentence).collect()
    }
}

/// A few names, and a mark where there are more.
pub(super) fn some(names: &[String], all: usize) -> String {
    let more = if all > names.len().min(SHOWN) { ", …" } else { "" };
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_and_a_few_are_named() {
        let tally = Tally::default();
        for name in ["a", "b", "c", "d"] {
            tally.add("no text", name);
        }
        tally.add("locked", "x");
        assert_eq!(tally.remarks(), ["no text: 4 files (a, b, c, …)", "locked: 1 file (x)"]);
    }
}
