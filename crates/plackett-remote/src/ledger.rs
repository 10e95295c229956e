//! What was spent, and the limit that is kept before sending.

use crate::config::Price;
use crate::reply::Usage;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};

/// The account of a client since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spent {
    /// Requests answered by the server.
    pub answered: u64,
    /// Requests answered from the log, at no cost.
    pub reused: u64,
    /// Requests that failed or were refused.
    pub failed: u64,
    /// Attempts beyond the first of a request.
    pub retries: u64,
    /// Tokens sent, as the server counted them.
    pub prompt_tokens: u64,
    /// Tokens generated, as the server counted them.
    pub completion_tokens: u64,
    /// Answers without a count of tokens; with prices, they are charged at the most they can have cost.
    pub uncounted: u64,
    /// What the answers cost.
    pub cost: f64,
    /// What attempts without a usable answer may have cost at most. It counts towards the limit.
    pub uncertain: f64,
}

/// Most tokens that a request can be charged for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bound {
    pub prompt: u64,
    pub completion: u64,
}

/// How an attempt ended, for the account.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Answered(Usage),
    /// It may have been charged.
    Unknown,
    /// It was refused before any work.
    Free,
}

#[derive(Default)]
struct State {
    spent: Spent,
    reserved: f64,
}

/// Counts, and reserves the most that an attempt can cost while it is under way.
pub(crate) struct Ledger {
    price: Price,
    limit: Option<f64>,
    state: Mutex<State>,
}

/// A request that could exceed the limit.
pub(crate) struct OverLimit {
    pub needed: f64,
    pub spent: f64,
    pub limit: f64,
}

impl Ledger {
    pub fn new(price: Price, limit: Option<f64>) -> Ledger {
        Ledger { price, limit, state: Mutex::default() }
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn spent(&self) -> Spent {
        self.with(|state| state.spent)
    }

    /// Sets the most that an attempt can cost aside.
    pub fn reserve(&self, bound: Bound) -> Result<(), OverLimit> {
        let needed = self.price.of(bound.prompt, bound.completion);
        self.with(|state| {
            let spent = state.spent.cost + state.spent.uncertain + state.reserved;
            match self.limit {
                Some(limit) if spent + needed > limit => Err(OverLimit { needed, spent, limit }),
                _ => {
                    state.reserved += needed;
                    Ok(())
                }
            }
        })
    }

    /// Enters an attempt for which [`Ledger::reserve`] was called, and gives its cost.
    pub fn settle(&self, bound: Bound, outcome: Outcome) -> f64 {
        let most = self.price.of(bound.prompt, bound.completion);
        self.with(|state| {
            state.reserved = (state.reserved - most).max(0.0);
            let spent = &mut state.spent;
            match outcome {
                Outcome::Free => 0.0,
                Outcome::Unknown => {
                    spent.uncertain += most;
                    most
                }
                Outcome::Answered(usage) => {
                    spent.answered += 1;
                    spent.uncounted += u64::from(usage.prompt_tokens.is_none());
                    spent.prompt_tokens =
                        spent.prompt_tokens.saturating_add(usage.prompt_tokens.unwrap_or(0));
                    spent.completion_tokens =
                        spent.completion_tokens.saturating_add(usage.completion_tokens.unwrap_or(0));
                    let prompt = usage.prompt_tokens.unwrap_or(bound.prompt);
                    let cost = self.price.of(prompt, usage.completion_tokens.unwrap_or(bound.completion));
                    spent.cost += cost;
                    cost
                }
            }
        })
    }

    pub fn reused(&self) {
        self.with(|state| state.spent.reused += 1);
    }

    pub fn failed(&self) {
        self.with(|state| state.spent.failed += 1);
    }

    pub fn retried(&self) {
        self.with(|state| state.spent.retries += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_with_requests_under_way() {
        let price = Price { prompt_per_million: 1e6, completion_per_million: 2e6, per_request: 0.5 };
        let ledger = Ledger::new(price, Some(10.0));
        let bound = Bound { prompt: 2, completion: 1 }; // 2 · 1 + 1 · 2 + 0.5
        assert!(ledger.reserve(bound).is_ok() && ledger.reserve(bound).is_ok());
        let over = ledger.reserve(bound).err().unwrap();
        assert_eq!((over.needed, over.spent, over.limit), (4.5, 9.0, 10.0));
        let usage = Usage { prompt_tokens: Some(1), completion_tokens: Some(0) };
        assert_eq!(ledger.settle(bound, Outcome::Answered(usage)), 1.5);
        assert_eq!(ledger.settle(bound, Outcome::Unknown), 4.5);
        let spent = ledger.spent();
        assert_eq!((spent.cost, spent.uncertain, spent.prompt_tokens), (1.5, 4.5, 1));
        // 6 of 10 are gone; one that turns out free gives its room back.
        assert!(ledger.reserve(bound).is_err());
        let small = Bound { prompt: 3, completion: 0 };
        assert!(ledger.reserve(small).is_ok() && ledger.reserve(small).is_err());
        ledger.settle(small, Outcome::Free);
        assert!(ledger.reserve(small).is_ok());
    }

    #[test]
    fn answers_without_counts_cost_the_most_they_can() {
        let ledger = Ledger::new(Price { prompt_per_million: 1e6, ..Price::default() }, None);
        let bound = Bound { prompt: 7, completion: 1 };
        ledger.reserve(bound).ok().unwrap();
        assert_eq!(ledger.settle(bound, Outcome::Answered(Usage::default())), 7.0);
        assert_eq!((ledger.spent().uncounted, ledger.spent().prompt_tokens), (1, 0));
    }
}
