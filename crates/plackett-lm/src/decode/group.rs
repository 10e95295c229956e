//! Branches that compete with each other, and which of them live on.

use crate::decode::candidates::{Candidate, Scored, keep_best};
use crate::decode::constraint::{Constraint, Transition};
use crate::decode::model::PrefixId;
use crate::decode::options::{Beam, EarlyStop};
use crate::error::decode::DecodeError;
use rayon::prelude::*;
use std::cmp::Ordering;

/// A branch: what was written, and what the model has not seen of it yet.
#[derive(Clone)]
pub(super) struct LiveBranch<S> {
    pub tokens: Vec<u32>,
    pub state: S,
    pub sum: f64,
    pub forced: usize,
    pub prefix: PrefixId,
    pub pending: Vec<u32>,
    pub next: NextToken,
}

#[derive(Clone, Copy)]
pub(super) enum NextToken {
    Forced(u32),
    // The row of this step whose logits decide.
    Row(usize),
}

/// A finished output.
pub(super) struct FinishedBranch<S> {
    pub tokens: Vec<u32>,
    pub state: S,
    pub sum: f64,
    pub score: f64,
    pub forced: usize,
}

impl<S> FinishedBranch<S> {
    pub fn order(&self, other: &FinishedBranch<S>) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.tokens.cmp(&other.tokens))
    }
}

/// Branches that compete with each other: a beam, one group of a diverse beam, or one sample.
pub(super) struct BranchGroup<S> {
    pub live: Vec<LiveBranch<S>>,
    pub done: Vec<FinishedBranch<S>>,
}

impl<S: Clone + Send + Sync> BranchGroup<S> {
    /// The best continuations of all live branches, in order.
    pub fn candidates(
        &self,
        rows: &[Scored],
        most: usize,
        penalty: impl Fn(u32) -> f64 + Sync,
    ) -> Vec<Candidate> {
        let of = |(parent, live): (usize, &LiveBranch<S>)| match live.next {
            NextToken::Forced(token) => {
                vec![Candidate { key: live.sum - penalty(token), sum: live.sum, token, parent }]
            }
            NextToken::Row(row) => {
                rows.get(row).map_or_else(Vec::new, |row| row.best(most, (parent, live.sum), &penalty))
            }
        };
        let lists: Vec<Vec<Candidate>> = self.live.par_iter().enumerate().map(of).collect();
        let mut all: Vec<Candidate> = lists.into_iter().flatten().collect();
        keep_best(&mut all, most);
        all.sort_unstable_by(Candidate::order);
        all
    }

    /// Follows a branch by a token: it lives on, or is kept as a result if `keep_finished`.
    pub fn follow<C: Constraint<State = S>>(
        &mut self,
        constraint: &C,
        parent: &LiveBranch<S>,
        (token, sum): (u32, f64),
        beam: &Beam,
        keep_finished: bool,
    ) -> Result<(), DecodeError> {
        let refused = || {
            DecodeError::Constraint(format!("token {token} is allowed by the constraint and then refused"))
        };
        let step = constraint.advance(&parent.state, token).ok_or_else(refused)?;
        let forced = parent.forced + usize::from(matches!(parent.next, NextToken::Forced(_)));
        let extended = |list: &[u32]| {
            let mut list = list.to_vec();
            list.push(token);
            list
        };
        let tokens = extended(&parent.tokens);
        match step {
            Transition::Continue(state) => {
                let pending = extended(&parent.pending);
                let (prefix, next) = (parent.prefix, parent.next);
                self.live.push(LiveBranch { tokens, state, sum, forced, prefix, pending, next });
            }
            Transition::Finished(state) if keep_finished => {
                let score = beam.length.score(sum, tokens.len());
                let done = FinishedBranch { tokens, state, sum, score, forced };
                let at = self.done.partition_point(|other| other.order(&done).is_lt());
                self.done.insert(at, done);
                self.done.truncate(beam.width);
            }
            Transition::Finished(_) => {}
        }
        Ok(())
    }

    /// Ends the search where the rule says so.
    pub fn stop(&mut self, beam: &Beam, max_tokens: usize) {
        let worst = match self.done.last() {
            Some(worst) if self.done.len() >= beam.width => worst.score,
            _ => return,
        };
        let best = self.live.iter().map(|live| live.sum).max_by(f64::total_cmp);
        let stops = match beam.stop {
            EarlyStop::Full => true,
            EarlyStop::Never => false,
            // Sums only fall, and the longest output divides them by most.
            EarlyStop::Exact => best.is_some_and(|sum| beam.length.score(sum, max_tokens) < worst),
        };
        if stops {
            self.live.clear();
        }
    }
}
