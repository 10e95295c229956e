//! What users did with items, in the order of time.

mod k_core;
mod memory;
mod reader;
mod split;
mod table;
mod titles;

pub use k_core::k_core;
pub use reader::{ReadLimits, read_interactions, read_interactions_within, split_names};
pub use split::{TestCase, Training, leave_last_out, split_at};
pub use titles::{ItemWords, read_item_texts, read_item_texts_within, read_item_words, read_titles};

/// Something that a user did with an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// The item's place in the catalogue.
    pub item: u32,
    /// What it was rated; 1 where nothing is said.
    pub rating: f32,
    /// When, in the unit of the file (Unix seconds, or the place in the sequence).
    pub time: i64,
}

/// Sequences as what is learned from: borrowed, so that no event is there twice.
pub fn borrowed(sequences: &[Vec<Event>]) -> Vec<&[Event]> {
    sequences.iter().map(Vec::as_slice).collect()
}

/// What was found in a file and what became of it. Nothing is left out that is not counted here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Events that were read.
    pub read: usize,
    /// The same user, item and time again: left out.
    pub repeated: usize,
    /// Events below the lowest rating that counts: left out.
    pub below_rating: usize,
    /// Events at the same time as the one before of the same user, which keep the order of the file.
    pub tied_times: usize,
    /// How the file is read, where that may be a mistake.
    pub form: Option<String>,
    /// Columns of the file that are not used.
    pub unused_columns: Vec<String>,
    /// Users and items that a k-core has left out.
    pub outside_core: [usize; 2],
}

impl Account {
    /// What whoever uses the data has to know, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        let [users, items] = self.outside_core;
        let columns = self.unused_columns.join(", ");
        let said = [
            (self.unused_columns.len(), format!("columns that are not used: {columns}")),
            (self.repeated, format!("{} events stood twice and count once", self.repeated)),
            (self.below_rating, format!("{} events have a lower rating and are left out", self.below_rating)),
            (
                self.tied_times,
                format!(
                    "{} events have the time of the one before and keep the order of the file",
                    self.tied_times
                ),
            ),
            (users + items, format!("{users} users and {items} items have too few events and are left out")),
        ];
        let counted = said.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text);
        self.form.iter().cloned().chain(counted).collect()
    }
}

/// Users, items and what happened between them.
#[derive(Clone, Debug, Default)]
pub struct Interactions {
    /// Names of the users, in the order in which they first appear.
    pub users: Vec<String>,
    /// Names of the items, likewise: the catalogue.
    pub items: Vec<String>,
    /// The events of each user, the oldest first.
    pub sequences: Vec<Vec<Event>>,
    /// What was read, and what left out.
    pub account: Account,
}

impl Interactions {
    /// How many events there are.
    pub fn events(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }

    /// How often each item occurs.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.items.len()];
        self.sequences.iter().flatten().for_each(|event| counts[event.item as usize] += 1);
        counts
    }
}
