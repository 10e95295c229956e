//! A path that may be anything.

use plackett_lm::decode::{Allowed, Constraint, Transition};

/// Any tokens until one that ends a path, or until so many are written that it has to end.
pub(super) struct FreePath {
    any: Allowed,
    ends: Vec<u32>,
    most: usize,
}

impl FreePath {
    /// Of at most `most` tokens of a vocabulary before one of `ends`, of which there is one at least.
    pub(super) fn new(vocabulary: usize, ends: &[u32], most: usize) -> FreePath {
        let any = Allowed::Except { below: vocabulary as u32, banned: [].into() };
        FreePath { any, ends: ends.to_vec(), most }
    }
}

impl Constraint for FreePath {
    /// Tokens so far, and whether the path has ended.
    type State = (usize, bool);
    type Output = ();

    fn start(&self) -> (usize, bool) {
        (0, false)
    }

    fn allowed(&self, (written, _): &(usize, bool)) -> Allowed {
        match *written < self.most {
            true => self.any.clone(),
            // The first end is that of paths; it is appended where a path does not end by itself.
            false => Allowed::only(self.ends[..1].to_vec()),
        }
    }

    fn advance(&self, state: &(usize, bool), token: u32) -> Option<Transition<(usize, bool)>> {
        if !self.allowed(state).contains(token) {
            return None;
        }
        Some(match self.ends.contains(&token) {
            true => Transition::Finished((state.0 + 1, true)),
            false => Transition::Continue((state.0 + 1, false)),
        })
    }

    fn output(&self, (_, ended): &(usize, bool)) -> Option<()> {
        ended.then_some(())
    }
}
