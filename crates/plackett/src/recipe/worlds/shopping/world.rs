//! Items and histories of a collection, cut to what a recipe has time for.

use crate::recipe::error::StageError;
use plackett_core::formats::DEFAULT_LINE_LIMIT;
use plackett_ids::{Histories, Item, read_histories, read_items};
use std::collections::HashSet;
use std::path::Path;

/// The files that are read.
pub const FILES: [&str; 2] = ["items.jsonl.gz", "interactions.tsv.gz"];
/// Positions at the end of each history that are held out: the last is tested, the one before it is for choosing.
pub const HELD_OUT: usize = 2;

/// Somebody whose last item is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shopper {
    /// Who.
    pub user: String,
    /// The place among the people of the world.
    pub place: usize,
    /// All items before, the oldest first.
    pub before: Vec<usize>,
    /// The last one.
    pub next: usize,
    /// Whether nobody before in the file has it, nor the person before: numbers in the order of first purchase, made of all positions, give it away.
    pub is_new: bool,
}

/// Items, and who bought them in which order.
#[derive(Clone, Debug)]
pub struct ShoppingWorld {
    /// The items, in the order of the file.
    pub items: Vec<Item>,
    /// Histories of the people who are left, in the order of the file.
    pub histories: Histories,
}

impl ShoppingWorld {
    /// From a folder with [`FILES`]: the `catalogue` items that were bought most often (0 for all; of equally frequent ones the first of the file),
    /// and people who bought `least` of them or more.
    ///
    /// # Errors
    /// A file cannot be read or is damaged, or nobody is left.
    pub fn load(folder: &Path, catalogue: usize, least: usize) -> Result<ShoppingWorld, StageError> {
        let items = read_items(&folder.join(FILES[0]), DEFAULT_LINE_LIMIT)?;
        let histories = read_histories(&folder.join(FILES[1]), &items, DEFAULT_LINE_LIMIT)?;
        let mut bought = vec![0usize; items.len()];
        histories.items.iter().flatten().for_each(|item| bought[*item] += 1);
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|item| std::cmp::Reverse(bought[*item]));
        order.truncate(if catalogue == 0 { items.len() } else { catalogue });
        order.sort_unstable();
        let mut places = vec![None; items.len()];
        order.iter().enumerate().for_each(|(place, item)| places[*item] = Some(place));
        let mut left = Histories::default();
        for (user, history) in histories.users.into_iter().zip(histories.items) {
            let history: Vec<usize> = history.into_iter().filter_map(|item| places[item]).collect();
            if history.len() >= least {
                left.users.push(user);
                left.items.push(history);
            }
        }
        if left.users.is_empty() {
            let problem =
                format!("nobody bought {least} of the items or more; take more items, or fewer for each");
            return Err(StageError::Field { field: "least", problem });
        }
        Ok(ShoppingWorld {
            items: order.into_iter().map(|item| items[item].clone()).collect(),
            histories: left,
        })
    }

    /// What a model, and identifiers, may be made from: histories without the positions that are held out.
    pub fn training(&self) -> Vec<Vec<usize>> {
        self.histories.training(HELD_OUT)
    }

    /// `count` people, spread over the file, whose last item is asked for.
    pub fn tested(&self, count: usize) -> Vec<Shopper> {
        let all = self.histories.users.len();
        let count = count.min(all);
        let is_new = self.new_in_the_end();
        let shopper = |at: usize| {
            let history = &self.histories.items[at];
            let (next, before) = history.split_last()?;
            let user = self.histories.users[at].clone();
            Some(Shopper { user, place: at, before: before.to_vec(), next: *next, is_new: is_new[at] })
        };
        (0..count).filter_map(|nth| shopper(nth * all / count)).collect()
    }

    /// Of each person whether the last item stands there for the first time in the file.
    fn new_in_the_end(&self) -> Vec<bool> {
        let mut met = HashSet::new();
        let is_new = |history: &Vec<usize>| {
            let new: Vec<bool> = history.iter().map(|item| met.insert(*item)).collect();
            new.last().copied().unwrap_or_default()
        };
        self.histories.items.iter().map(is_new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn frequent_items_and_long_histories_are_left() {
        let folder = tempfile::tempdir().unwrap();
        // Files are told by their first bytes, not by their names.
        let write = |name: &str, text: &str| {
            std::fs::File::create(folder.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        };
        write(FILES[0], "{\"item\": \"a\"}\n{\"item\": \"b\"}\n{\"item\": \"c\"}\n");
        write(FILES[1], "u\ta\t1\t0\nu\tb\t1\t1\nu\tc\t1\t2\nu\ta\t1\t3\nv\tc\t1\t0\nv\ta\t1\t1\n");
        let world = ShoppingWorld::load(folder.path(), 2, 3).unwrap();
        assert_eq!(world.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(world.histories.items, [vec![0, 1, 0]]);
        assert_eq!(world.training(), [vec![0]]);
        let shopper = Shopper { user: "u".into(), place: 0, before: vec![0, 1], next: 0, is_new: false };
        assert_eq!(world.tested(9), [shopper]);
        assert!(ShoppingWorld::load(folder.path(), 1, 3).is_err());
    }

    #[test]
    fn a_last_item_is_new_where_it_stands_for_the_first_time() {
        let items = vec![vec![0, 1], vec![1, 2, 2], vec![3, 0], vec![0, 4]];
        let users = ["a", "b", "c", "d"].map(String::from).to_vec();
        let world = ShoppingWorld { items: Vec::new(), histories: Histories { users, items } };
        let new: Vec<bool> = world.tested(4).iter().map(|shopper| shopper.is_new).collect();
        assert_eq!(new, [true, false, false, true]);
    }
}
