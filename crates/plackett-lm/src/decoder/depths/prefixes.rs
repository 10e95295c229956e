//! Prefixes by the ids that are given out for them.

use crate::decode::model::{Branch, PrefixId};
use crate::error::LmError;
use std::collections::BTreeMap;

/// The prefixes of a session; the root, which is empty, is always there.
pub(super) struct Prefixes<P> {
    all: BTreeMap<PrefixId, P>,
    next: u64,
}

impl<P: Clone> Prefixes<P> {
    /// The root.
    pub(super) const ROOT: PrefixId = PrefixId(0);

    pub(super) fn new(root: P) -> Prefixes<P> {
        Prefixes { all: BTreeMap::from([(Self::ROOT, root)]), next: 1 }
    }

    /// Copies of the parents of some branches, to be extended.
    pub(super) fn parents(&self, branches: &[Branch<'_>]) -> Result<Vec<P>, LmError> {
        let parent = |(index, branch): (usize, &Branch)| {
            let found = self.all.get(&branch.parent).cloned();
            found.ok_or_else(|| {
                LmError::Argument(format!("branch {index}: there is no prefix {}", branch.parent.0))
            })
        };
        branches.iter().enumerate().map(parent).collect()
    }

    pub(super) fn add(&mut self, prefix: P) -> PrefixId {
        let id = PrefixId(self.next);
        self.next += 1;
        self.all.insert(id, prefix);
        id
    }

    pub(super) fn release(&mut self, prefixes: &[PrefixId]) {
        prefixes.iter().filter(|prefix| **prefix != Self::ROOT).for_each(|prefix| {
            self.all.remove(prefix);
        });
    }

    /// Those that are kept now, the root among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &P> {
        self.all.values()
    }
}
