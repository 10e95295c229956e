//! Which documents of a list are shown together, and what is asked about them.

use super::world::JudgedList;
use crate::recipe::field::Values;
use plackett_core::aggregation::Grouping;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The label of the best document (Rank-R1).
    Setwise,
    /// A grade for each document of a group (GroupRank).
    Groups,
    /// A grade for one document (ERank).
    Pointwise,
    /// All labels in order (ReasonRank).
    Listwise,
}

/// Lists of a world, and how they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What is asked for.
    pub format: Format,
    /// Documents of a list.
    pub items: usize,
    /// How many of them are relevant.
    pub relevant: usize,
    /// How many only look so.
    pub decoys: usize,
    /// Documents that are shown together.
    pub shown: usize,
}

/// Documents that are shown together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Showing {
    /// The list that they are of.
    pub list: usize,
    /// The documents as places in it, in the order shown.
    pub documents: Vec<usize>,
}

impl Shape {
    /// As the fields `format`, `items`, `relevant`, `decoys` and `shown` say.
    pub fn of(values: &Values) -> Shape {
        let format = match values.word("format") {
            "groups" => Format::Groups,
            "pointwise" => Format::Pointwise,
            "listwise" => Format::Listwise,
            _ => Format::Setwise,
        };
        let items = values.count("items");
        let shown = match (format, values.count("shown")) {
            (Format::Pointwise, _) => 1,
            (Format::Groups, shown) if shown > 0 => shown,
            _ => items,
        };
        Shape { format, items, relevant: values.count("relevant"), decoys: values.count("decoys"), shown }
    }

    /// How many showings a list has.
    pub fn showings_of_list(&self) -> usize {
        self.items / self.shown
    }

    /// What is shown of each list, list after list. Groups are drawn.
    pub fn showings(&self, lists: &[JudgedList], seed: u64) -> Vec<Showing> {
        let of_list = |list: usize| -> Vec<Showing> {
            let grouping = match self.format {
                Format::Groups => {
                    Grouping::Random { seed: seed.wrapping_mul(1 << 32).wrapping_add(list as u64) }
                }
                _ => Grouping::Sorted,
            };
            let groups = grouping.groups(self.items, self.shown, 1).into_iter().flatten();
            groups.map(|documents| Showing { list, documents }).collect()
        };
        (0..lists.len()).flat_map(of_list).collect()
    }
}
