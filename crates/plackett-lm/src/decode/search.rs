//! The driver: all requests advance together, and each step is at most one call of the model.

use crate::decode::constraint::Constraint;
use crate::decode::job::Job;
use crate::decode::model::{Branch, BranchOutput, DecodeModel, PrefixId};
use crate::decode::options::DecodeOptions;
use crate::decode::request::{DecodeRequest, Decoded};
use crate::error::LmError;
use crate::error::decode::DecodeError;
use rayon::prelude::*;

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
        let last_use: Vec<PrefixId> = jobs.iter().flat_map(Job::last_use).collect();
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
    last_use: &[PrefixId],
) -> Result<Vec<BranchOutput>, LmError> {
    let answers = model.extend(branches, last_use)?;
    if answers.len() != branches.len() {
        let made: Vec<PrefixId> = answers.iter().map(|answer| answer.prefix).collect();
        model.release(&made);
        let problem = format!("{} answers for {} branches", answers.len(), branches.len());
        return Err(DecodeError::Model(problem).into());
    }
    Ok(answers)
}

fn release<M: DecodeModel + ?Sized, C: Constraint>(model: &mut M, jobs: &[Job<'_, C>]) {
    let held: Vec<PrefixId> = jobs.iter().flat_map(Job::held).collect();
    model.release(&held);
}
