//! What interactions take in memory, counted while they are read.

use crate::RecError;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Bytes of an event: 16, and as many again while its sequence grows.
const EVENT: u64 = 32;
/// Bytes of a user beside the name: places in the list of names, of sequences and of a split, and one in the table of names.
const USER: u64 = 360;
/// Bytes of an item beside the name: places in the list and in the table of names.
const ITEM: u64 = 200;
/// A name is in the list and in the table.
const NAMES: u64 = 2;

/// Events, users and items so far. Where they would take more than the budget, only counts are kept from there on, so that the refusal can
/// say how much is needed.
pub(super) struct Ledger {
    budget: Option<u64>,
    events: u64,
    users: u64,
    items: u64,
    name_bytes: u64,
    /// Hashes of the names of users and items, once nothing else is kept.
    seen: Option<[HashSet<u64>; 2]>,
    hasher: RandomState,
}

impl Ledger {
    pub(super) fn new(budget: Option<u64>) -> Ledger {
        let hasher = RandomState::new();
        Ledger { budget, events: 0, users: 0, items: 0, name_bytes: 0, seen: None, hasher }
    }

    /// Bytes that everything takes, from above.
    pub(super) fn bytes(&self) -> u64 {
        EVENT * self.events + USER * self.users + ITEM * self.items + NAMES * self.name_bytes
    }

    pub(super) fn is_over(&self) -> bool {
        self.budget.is_some_and(|budget| self.bytes() > budget)
    }

    /// Whether nothing but counts is kept.
    pub(super) fn only_counts(&self) -> bool {
        self.seen.is_some()
    }

    pub(super) fn add_event(&mut self) {
        self.events += 1;
    }

    pub(super) fn add_user(&mut self, name: &str) {
        self.users += 1;
        self.name_bytes += name.len() as u64;
    }

    pub(super) fn add_item(&mut self, name: &str) {
        self.items += 1;
        self.name_bytes += name.len() as u64;
    }

    /// From here on names are only counted; these were seen.
    pub(super) fn only_count<'n>(
        &mut self,
        users: impl Iterator<Item = &'n str>,
        items: impl Iterator<Item = &'n str>,
    ) {
        let users = users.map(|name| self.hasher.hash_one(name)).collect();
        let items = items.map(|name| self.hasher.hash_one(name)).collect();
        self.seen = Some([users, items]);
    }

    /// Counts an event of which nothing is kept.
    pub(super) fn count(&mut self, user: &str, item: &str) {
        let hashes = [user, item].map(|name| self.hasher.hash_one(name));
        let Some([users, items]) = &mut self.seen else { return };
        let is_new = [users.insert(hashes[0]), items.insert(hashes[1])];
        if is_new[0] {
            self.add_user(user);
        }
        if is_new[1] {
            self.add_item(item);
        }
    }

    /// # Errors
    /// Everything takes more than the budget.
    pub(super) fn check(&self) -> Result<(), RecError> {
        match self.budget {
            Some(budget) if self.bytes() > budget => Err(RecError::Memory {
                events: self.events,
                users: self.users,
                items: self.items,
                needed: self.bytes(),
                budget,
            }),
            _ => Ok(()),
        }
    }
}
