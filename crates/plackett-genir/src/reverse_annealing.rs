//! Docids drawn one after another without replacement, at a temperature that rises from 0: the head of the list is the model's best
//! guess, the tail is diverse (ZeroGR, 2025, reverse annealing).
//!
//! A draw walks down the tree of docids; at each node with several children that still have something, one is drawn by its logit
//! divided by the temperature of the draw, at temperature 0 the likeliest. Then the leaf is taken out, for this query alone. What the
//! model says at a node does not depend on the draw, so each node is asked for once a query: the work is that of the distinct nodes that
//! are visited, and all queries of a call ask together.

mod walk;

use crate::{DocidTrie, GenirError};
use plackett_lm::decode::{Branch, BranchOutput, DecodeModel, LogitIds, PrefixId};
use plackett_train::random::Stream;
use walk::{Step, Walk};

/// How many docids are drawn and how the temperature rises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReverseAnnealing {
    /// Draws, K; fewer where there are fewer docids.
    pub draws: usize,
    /// The temperature that would be reached after the last draw, T_max.
    pub max_temperature: f64,
    /// Slope of the logistic curve, k.
    pub slope: f64,
    /// Share of the draws at which the curve is in its middle, m.
    pub middle: f64,
}

impl Default for ReverseAnnealing {
    /// The numbers of the authors' code.
    fn default() -> ReverseAnnealing {
        ReverseAnnealing { draws: 100, max_temperature: 1.5, slope: 10.0, middle: 0.1 }
    }
}

impl ReverseAnnealing {
    /// The temperature of a draw, from 0: t_i = T_max (σ(k(i/K − m)) − σ(−km)) / (σ(k(1 − m)) − σ(−km)).
    pub fn temperature(&self, draw: usize) -> f64 {
        let curve = |share: f64| 1.0 / (1.0 + (-self.slope * (share - self.middle)).exp());
        let share = draw as f64 / self.draws.max(1) as f64;
        let (low, high) = (curve(0.0), curve(1.0));
        self.max_temperature * (curve(share) - low) / (high - low)
    }

    fn check(&self) -> Result<(), GenirError> {
        let refused = |problem: &str| Err(GenirError::Setting(format!("reverse annealing: {problem}")));
        if self.draws == 0 {
            return refused("0 draws");
        }
        if !(self.max_temperature >= 0.0 && self.max_temperature.is_finite()) {
            return refused("the greatest temperature is a number from 0");
        }
        if !(self.slope > 0.0 && self.slope.is_finite() && self.middle.is_finite()) {
            return refused("the slope is a number above 0, and the middle a number");
        }
        Ok(())
    }
}

/// The docids drawn for one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draws {
    /// Ranks in the tree, in the order of drawing; no two are the same.
    pub ranks: Vec<usize>,
    /// Nodes at which the model was asked.
    pub branches: usize,
    /// Tokens that the model read for it, the prompt among them.
    pub tokens: usize,
}

/// A query that docids are drawn for.
#[derive(Clone, Copy, Debug)]
pub struct DrawRequest<'a> {
    /// Its prompt, with at least one token.
    pub prompt: &'a [u32],
    /// Names the query in draws, so that it draws the same whatever call it is part of.
    pub index: u64,
}

/// Draws docids for queries. Every draw is a docid of the tree, and none comes twice for a query; where the tree is exhausted, a query
/// ends with fewer.
///
/// # Errors
/// A schedule that cannot be, a prompt without tokens, or what the model says, also where it gives no number.
pub fn draw<M: DecodeModel + ?Sized>(
    model: &mut M,
    requests: &[DrawRequest<'_>],
    docids: &DocidTrie,
    annealing: &ReverseAnnealing,
    seed: u64,
) -> Result<Vec<Draws>, GenirError> {
    annealing.check()?;
    if let Some(at) = requests.iter().position(|request| request.prompt.is_empty()) {
        return Err(GenirError::Setting(format!("query {}: its prompt has no tokens", at + 1)));
    }
    let root = model.root();
    let streams: Vec<Stream> = requests.iter().map(|request| Stream::new(seed, request.index)).collect();
    let mut walks: Vec<Walk<'_>> =
        requests.iter().map(|request| Walk::new(docids.trie(), request.prompt, root)).collect();
    let result = (0..annealing.draws)
        .try_for_each(|nth| draw_one(model, &mut walks, &streams, nth, annealing.temperature(nth)));
    let made: Vec<PrefixId> = walks.iter().flat_map(Walk::prefixes).collect();
    model.release(&made);
    result?;
    Ok(walks.into_iter().map(Walk::into_draws).collect())
}

/// One draw for each query that has docids left.
fn draw_one<M: DecodeModel + ?Sized>(
    model: &mut M,
    walks: &mut [Walk<'_>],
    streams: &[Stream],
    nth: usize,
    temperature: f64,
) -> Result<(), GenirError> {
    walks.iter_mut().for_each(Walk::begin);
    loop {
        let mut asking = Vec::new();
        for (at, walk) in walks.iter_mut().enumerate() {
            let stream = streams[at];
            let unit = |depth: usize| f64::from(stream.uniform((nth as u64) << 20 | depth as u64));
            if walk.advance(temperature, unit) == Step::Ask {
                asking.push(at);
            }
        }
        if asking.is_empty() {
            return Ok(());
        }
        let questions: Vec<_> = asking.iter().map(|at| walks[*at].question()).collect();
        let branches: Vec<Branch<'_>> = questions
            .iter()
            .map(|(parent, tokens, ids)| Branch {
                parent: *parent,
                tokens,
                logit_ids: LogitIds::Only(ids),
                normalizer: false,
            })
            .collect();
        let answers = model.extend(&branches, &[])?;
        let asked: Vec<usize> = questions.iter().map(|(_, _, ids)| ids.len()).collect();
        take_answers(walks, &asking, &asked, answers)?;
    }
}

/// Gives each walk its answer. All prefixes are kept by a walk before anything is refused, so that they are released.
fn take_answers(
    walks: &mut [Walk<'_>],
    asking: &[usize],
    asked: &[usize],
    answers: Vec<BranchOutput>,
) -> Result<(), GenirError> {
    let mut problem = (answers.len() != asking.len())
        .then(|| format!("the model gave {} answers to {} branches", answers.len(), asking.len()));
    for ((at, count), answer) in asking.iter().zip(asked).zip(answers) {
        if answer.logits.len() != *count || answer.logits.iter().any(|logit| !logit.is_finite()) {
            let said = format!("the model did not give {count} finite logits for query {}", at + 1);
            problem = problem.or(Some(said));
        }
        walks[*at].answered(answer);
    }
    problem.map_or(Ok(()), |problem| Err(GenirError::Setting(problem)))
}

#[cfg(test)]
mod tests;
