//! The driver: all requests advance together, and each step is at most one call of the model.

use super::branches::Job;
use super::constraint::Constraint;
use super::error::DecodeError;
use super::model::{Branch, DecodeModel, Extended, Handle};
use super::options::DecodeOptions;
use crate::LmError;
use rayon::prelude::*;

/// One decode of a call.
#[derive(Debug)]
pub struct DecodeRequest<'a, C> {
    /// A cached prefix, which stays the caller's: it is not dropped.
    pub prefix: Handle,
    /// Tokens after the prefix that are not computed yet, at least one: the end of the prompt.
    pub prompt: &'a [u32],
    /// What may be written.
    pub constraint: &'a C,
    /// Names the request in random draws, so that a request draws the same whatever call it is part of.
    pub index: u64,
}

// Derived, these would demand the same of the constraint.
impl<C> Clone for DecodeRequest<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for DecodeRequest<'_, C> {}

/// What a request led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<O> {
    /// Results: for searches the best first (equal scores by tokens), for sampling one for each sample, in order.
    pub hypotheses: Vec<Hypothesis<O>>,
    /// Branches that were alive when `max_tokens` was reached; none of them is among the results.
    pub unfinished: usize,
    /// Branches that the model ran for this request.
    pub branches: usize,
    /// Steps of the search; each is at most one call of the model for all requests together.
    pub steps: usize,
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis<O> {
    /// Generated tokens.
    pub tokens: Vec<u32>,
    /// Sum of log-probabilities, see [`super::Normalize`].
    pub log_prob: f64,
    /// The sum after length normalisation; the same without one.
    pub score: f64,
    /// Number of tokens that were forced and not asked of the model.
    pub forced: usize,
    /// The sample or the group of diverse beam search, from 0.
    pub group: usize,
    /// What was written.
    pub output: O,
}

/// Decodes every request under its constraint.
///
/// Requests are independent: a request's result is the same alone, in any batch, in any order and with any number of
/// threads (rayon's current pool does the work beside the model). All requests' branches go to the model in one call
/// per step. Every handle made here is dropped again, also on errors.
///
/// # Errors
/// [`LmError::Decode`] for options or requests that cannot be used; the model's error when a call of it fails. Inside,
/// per request: [`DecodeError::DeadEnd`], or [`DecodeError::Model`] for answers that break the contract.
#[allow(clippy::type_complexity)]
pub fn decode<M: DecodeModel + ?Sized, C: Constraint>(
    model: &mut M,
    requests: &[DecodeRequest<'_, C>],
    options: &DecodeOptions,
) -> Result<Vec<Result<Decoded<C::Output>, DecodeError>>, LmError> {
    options.check()?;
    if let Some(index) = requests.iter().position(|request| request.prompt.is_empty()) {
        let problem =
            format!("request {index} has no prompt tokens; leave at least one out of the cached prefix");
        return Err(DecodeError::Argument(problem).into());
    }
    let vocabulary = model.vocabulary();
    let mut jobs: Vec<Job<'_, C>> = requests.iter().map(|request| Job::new(request, options)).collect();
    loop {
        jobs.par_iter_mut().enumerate().for_each(|(index, job)| job.plan(index, vocabulary, options));
        if jobs.iter().all(Job::is_over) {
            break;
        }
        let last_use: Vec<Handle> = jobs.iter().flat_map(Job::last_use).collect();
        let answers = {
            let branches: Vec<Branch<'_>> = jobs.iter().flat_map(|job| job.branches(options)).collect();
            if branches.is_empty() { Ok(None) } else { ask(model, &branches, &last_use).map(Some) }
        };
        let (answers, asked) = match answers {
            Ok(None) => (Vec::new(), false),
            Ok(Some(answers)) => (answers, true),
            Err(error) => {
                release(model, &jobs);
                return Err(error);
            }
        };
        let mut answers = answers.into_iter();
        for job in &mut jobs {
            job.receive(&mut answers, asked);
        }
        jobs.par_iter_mut().enumerate().for_each(|(index, job)| job.select(index, vocabulary, options));
    }
    release(model, &jobs);
    Ok(jobs.into_par_iter().map(|job| job.finish(options)).collect())
}

fn ask<M: DecodeModel + ?Sized>(
    model: &mut M,
    branches: &[Branch<'_>],
    last_use: &[Handle],
) -> Result<Vec<Extended>, LmError> {
    let answers = model.extend(branches, last_use)?;
    if answers.len() != branches.len() {
        let made: Vec<Handle> = answers.iter().map(|answer| answer.handle).collect();
        model.release(&made);
        let problem = format!("{} answers for {} branches", answers.len(), branches.len());
        return Err(DecodeError::Model(problem).into());
    }
    Ok(answers)
}

fn release<M: DecodeModel + ?Sized, C: Constraint>(model: &mut M, jobs: &[Job<'_, C>]) {
    let held: Vec<Handle> = jobs.iter().flat_map(Job::held).collect();
    model.release(&held);
}
