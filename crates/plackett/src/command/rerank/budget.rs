//! `--budget` and `--budget-tokens`: a depth, and windows, that each request can afford.

use super::TOGETHER;
use super::arguments::{Arguments, Chosen, Format};
use super::requests::{self, Incoming, Requests};
use crate::command::{Global, Output};
use anyhow::Context;
use plackett::pipeline::{Fitted, Models, fit};
use plackett_core::{RankRequest, Trace};
use plackett_rank::Settings;
use plackett_rank::budget::{Budget, Estimate};

/// Measures the method on the first requests and writes the choice into the arguments, unless there is one. The requests are
/// given back.
pub(super) fn choose(
    arguments: &mut Arguments,
    format: Format,
    models: &Models,
    settings: &Settings,
    global: &Global,
    output: &Output,
) -> anyhow::Result<Option<Requests>> {
    let Some(budget) = arguments.budget() else { return Ok(None) };
    if let Some(chosen) = &arguments.chosen {
        output.warn(&format!(
            "{}: as before, `{}` gets the first {} candidates of each request; the others follow in the order in which they came",
            said(&budget),
            chosen.method,
            chosen.depth
        ));
        return Ok(None);
    }
    let method = arguments.method.clone();
    let method = method
        .context("--budget and --budget-tokens fit one method; name it with --method, not --pipeline")?;
    let mut rest = requests::open(arguments, format, global, output)?;
    let first: Vec<anyhow::Result<Incoming>> = rest.by_ref().take(TOGETHER).collect();
    let read: Vec<&RankRequest> =
        first.iter().filter_map(|request| request.as_ref().ok()).map(|incoming| &incoming.request).collect();
    let most = read.iter().map(|request| request.candidates.len()).max().unwrap_or(0);
    let fitted = fit(&method, models, settings, &read, &budget).with_context(|| said(&budget))?;
    tell(&fitted, most, &budget, output);
    arguments.chosen = Some(Chosen { method: fitted.expression, depth: fitted.choice.depth });
    Ok(Some(Box::new(first.into_iter().chain(rest))))
}

/// The flags.
fn said(budget: &Budget) -> String {
    let seconds = budget.seconds.map(|seconds| format!("--budget {seconds}s"));
    let tokens = budget.tokens.map(|tokens| format!("--budget-tokens {tokens}"));
    seconds.into_iter().chain(tokens).collect::<Vec<_>>().join(" ")
}

fn tell(fitted: &Fitted, most: usize, budget: &Budget, output: &Output) {
    let Fitted { expression, choice } = fitted;
    let which = match choice.depth < most {
        true => format!(
            "the first {} of up to {most} candidates; the others follow in the order in which they came",
            choice.depth
        ),
        false => format!("all of up to {most} candidates"),
    };
    output.warn(&format!(
        "{}: `{expression}` gets {which} ({} calls, about {:.0} tokens and {:.3} s for a request; measuring took {:.0} tokens and \
         {:.3} s)",
        said(budget),
        choice.calls,
        choice.expected.tokens,
        choice.expected.seconds,
        choice.probe.tokens,
        choice.probe.seconds
    ));
}

/// Requests that cost more than was expected.
#[derive(Default)]
pub(super) struct Overruns {
    requests: usize,
    most: Estimate,
}

impl Overruns {
    /// Takes the cost of a request.
    pub fn take(&mut self, budget: Option<Budget>, trace: &Trace) {
        let cost = Estimate::of(trace);
        if budget.is_some_and(|budget| !budget.holds(cost)) {
            self.requests += 1;
            self.most.seconds = self.most.seconds.max(cost.seconds);
            self.most.tokens = self.most.tokens.max(cost.tokens);
        }
    }

    /// Says how many there were.
    pub fn tell(&self, budget: Option<Budget>, output: &Output) {
        if let (Some(budget), 1..) = (budget, self.requests) {
            output.warn(&format!(
                "{}: {} requests took more, at most {:.0} tokens and {:.3} s; the first requests, which were measured, are cheaper",
                said(&budget),
                self.requests,
                self.most.tokens,
                self.most.seconds
            ));
        }
    }
}
