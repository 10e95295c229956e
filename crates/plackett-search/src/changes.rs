//! What has happened to each id since the last commit, so that a commit can say what it did.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// What a document was to the index when it was put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Its id is new.
    Added,
    /// It takes the place of the committed document with its id.
    Replaced,
    /// It takes the place of a document that was put there since the last commit.
    Again,
}

/// What has happened to an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    /// A committed document has another text now.
    Replaced,
    Deleted,
    /// Added and deleted again.
    Undone,
}

/// Changes by id. Ids are kept as 128 bits that nobody can guess, so that memory does not depend on their length.
#[derive(Default)]
pub(crate) struct Changes {
    keys: [RandomState; 2],
    of: HashMap<u128, Change>,
}

impl Changes {
    fn key(&self, id: &str) -> u128 {
        let [high, low] = &self.keys;
        u128::from(high.hash_one(id)) << 64 | u128::from(low.hash_one(id))
    }

    /// A document is put there; `committed` says whether the last commit has one with its id.
    pub(crate) fn put<E>(&mut self, id: &str, committed: impl FnOnce() -> Result<bool, E>) -> Result<Put, E> {
        let key = self.key(id);
        let (put, change) = match self.of.get(&key) {
            Some(known @ (Change::Added | Change::Replaced)) => (Put::Again, *known),
            Some(Change::Undone) => (Put::Added, Change::Added),
            Some(Change::Deleted) => (Put::Added, Change::Replaced),
            None if committed()? => (Put::Replaced, Change::Replaced),
            None => (Put::Added, Change::Added),
        };
        self.of.insert(key, change);
        Ok(put)
    }

    /// A document is removed; `false` when there is none.
    pub(crate) fn delete<E>(
        &mut self,
        id: &str,
        committed: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let key = self.key(id);
        let change = match self.of.get(&key) {
            Some(Change::Added) => Change::Undone,
            Some(Change::Replaced) => Change::Deleted,
            None if committed()? => Change::Deleted,
            Some(Change::Deleted | Change::Undone) | None => return Ok(false),
        };
        self.of.insert(key, change);
        Ok(true)
    }

    /// Ids with this change.
    pub(crate) fn count(&self, change: Change) -> usize {
        self.of.values().filter(|known| **known == change).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn the_account_is_what_changed_from_commit_to_commit() {
        let mut changes = Changes::default();
        // `old` documents are committed.
        let committed = |id: &str| Ok::<bool, Infallible>(id.starts_with("old"));
        let mut put = |id: &str| changes.put(id, || committed(id)).unwrap();
        assert_eq!(
            [put("new1"), put("new1"), put("new2"), put("new3")],
            [Put::Added, Put::Again, Put::Added, Put::Added]
        );
        assert_eq!([put("old1"), put("old1"), put("old2")], [Put::Replaced, Put::Again, Put::Replaced]);
        let mut delete = |id: &str| changes.delete(id, || committed(id)).unwrap();
        assert!(delete("new2") && delete("old2") && delete("old3") && delete("old4"));
        assert!(!delete("new2") && !delete("old3") && !delete("none"));
        assert_eq!(changes.put("old4", || committed("old4")).unwrap(), Put::Added);
        assert_eq!(changes.put("new2", || committed("new2")).unwrap(), Put::Added);
        let counts =
            [Change::Added, Change::Replaced, Change::Deleted, Change::Undone].map(|c| changes.count(c));
        assert_eq!(counts, [3, 2, 2, 0], "new1 to new3; old1 and old4; old2 and old3");
    }
}
