//! How many candidates a method can rerank, and with which windows, within a budget for each request.
//!
//! A method declares how many calls it makes ([`Calls::count`](crate::method::Calls)); what a call costs is measured on
//! some requests. A model that scores whole lists gives the number itself, whatever the method asks of others. The cost of a call is taken to be a line in the number of passages that it reads, through the costs at two
//! depths.

use crate::Settings;
use crate::method::{Family, MethodError, MethodSpec, OptionError, OptionValues};
use crate::model::Abilities;
use crate::ranker::{RankError, Ranker};
use plackett_core::{RankRequest, Trace};
use std::sync::Arc;

/// What the ranking of one request may cost; at least one of them is given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Seconds of model passes. Requests that are read together share them by their tokens.
    pub seconds: Option<f64>,
    /// Tokens that are read and written.
    pub tokens: Option<u64>,
}

impl Budget {
    /// Whether a cost is within it.
    pub fn holds(&self, cost: Estimate) -> bool {
        // Expected costs are quotients and sums: what is as much as the budget is not to be a little more.
        self.seconds.is_none_or(|most| cost.seconds <= most)
            && self.tokens.is_none_or(|most| cost.tokens <= most as f64 + 1e-6)
    }
}

/// A measured or expected cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Seconds of model passes.
    pub seconds: f64,
    /// Tokens read and written.
    pub tokens: f64,
}

impl Estimate {
    /// The cost of a ranking.
    pub fn of(trace: &Trace) -> Estimate {
        Estimate { seconds: trace.seconds, tokens: (trace.prompt_tokens + trace.generated_tokens) as f64 }
    }

    fn with(self, other: Estimate, join: impl Fn(f64, f64) -> f64) -> Estimate {
        Estimate { seconds: join(self.seconds, other.seconds), tokens: join(self.tokens, other.tokens) }
    }

    fn scaled(self, factor: f64) -> Estimate {
        Estimate { seconds: self.seconds * factor, tokens: self.tokens * factor }
    }
}

/// What fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// How many candidates are reranked.
    pub depth: usize,
    /// Options that are to be added to those that were written.
    pub options: Vec<(String, String)>,
    /// Calls for so many candidates.
    pub calls: u64,
    /// What a request will cost, about.
    pub expected: Estimate,
    /// What it cost to find out.
    pub probe: Estimate,
}

/// Why nothing was chosen.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// The number of calls depends on the answers.
    #[error(
        "the number of calls of {method} ({formula}) depends on what the model answers, so that no depth can be chosen \
         beforehand; take a method with a fixed number, or choose a depth yourself"
    )]
    NoFormula {
        /// The method.
        method: &'static str,
        /// Its formula.
        formula: &'static str,
    },
    /// There is nothing to measure on.
    #[error("none of the first requests has two candidates, so that there is nothing to measure on")]
    NoRequest,
    /// The server does not say how many tokens it reads.
    #[error(
        "{method}: the server does not tell how many tokens it reads, so that no depth fits a number of them; give seconds"
    )]
    Uncounted {
        /// The method.
        method: &'static str,
    },
    /// Even the least is too much.
    #[error(
        "{method}: reranking {depth} candidates takes about {:.0} tokens and {:.3} s for each request; give a budget of at \
         least that", expected.tokens, expected.seconds
    )]
    NothingFits {
        /// The method.
        method: &'static str,
        /// The least depth.
        depth: usize,
        /// What it costs.
        expected: Estimate,
    },
    /// The measurement failed.
    #[error(transparent)]
    Rank(#[from] RankError),
    /// The method cannot be made.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// Options that cannot be used.
    #[error(transparent)]
    Option(#[from] OptionError),
}

/// Requests on which costs are measured, at most.
const PROBED: usize = 2;
/// The least depth at which there is anything to rank.
const LEAST: usize = 2;

/// Calls for so many candidates.
type Count = fn(usize, &OptionValues) -> u64;

/// A method with the options that were written.
pub struct Probe<'a> {
    /// The method.
    pub method: &'static MethodSpec,
    /// Its model.
    pub model: Arc<dyn Abilities>,
    /// Its options as they were written.
    pub written: &'a [(String, String)],
    /// What all methods can be told. Probes are not audited.
    pub settings: Settings,
}

impl Probe<'_> {
    /// The greatest depth, and windows, with which a request of `requests` is expected to stay within the budget. Written
    /// options stay as they are. Among windows that allow the same depth, those of the method's defaults are preferred.
    ///
    /// # Errors
    /// [`BudgetError`].
    pub fn choose(&self, requests: &[&RankRequest], budget: &Budget) -> Result<Choice, BudgetError> {
        let (method, formula) = (self.method.name, self.method.calls.formula);
        let count = self.count().ok_or(BudgetError::NoFormula { method, formula })?;
        let most = requests.iter().map(|request| request.candidates.len()).max().unwrap_or(0);
        let defaults = self.values(&[])?;
        let (line, probe) = self.measure(requests, &defaults, count)?;
        if budget.tokens.is_some() && probe.tokens == 0.0 {
            return Err(BudgetError::Uncounted { method: self.method.name });
        }
        let expected = |depth: usize, options: &OptionValues| {
            line.at(self.passages(depth, options)).scaled(count(depth, options) as f64)
        };
        let mut best: Option<Choice> = None;
        for added in self.variants(&defaults) {
            let Ok(options) = self.values(&added) else { continue };
            // Options that do not go together with those that were written make no calls.
            let fits =
                |depth: &usize| count(*depth, &options) > 0 && budget.holds(expected(*depth, &options));
            let found = (LEAST..=most).rev().find(fits);
            if let Some(depth) = found.filter(|&depth| best.as_ref().is_none_or(|best| depth > best.depth)) {
                let (calls, expected) = (count(depth, &options), expected(depth, &options));
                best = Some(Choice { depth, options: added, calls, expected, probe });
            }
        }
        best.ok_or_else(|| BudgetError::NothingFits {
            method: self.method.name,
            depth: LEAST,
            expected: expected(LEAST, &defaults),
        })
    }

    /// The number of calls, where it is exact. A model of successions reads the query and each document once, where others are asked about
    /// each pair.
    fn count(&self) -> Option<Count> {
        if self.model.clone().successor_scorer().is_some() {
            return Some(|candidates, _| candidates as u64 + 1);
        }
        self.method.calls.count
    }

    fn values(&self, added: &[(String, String)]) -> Result<OptionValues, OptionError> {
        let all = self.written.iter().chain(added);
        self.method.values(all.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    fn has(&self, option: &str) -> bool {
        self.method.options.iter().any(|spec| spec.name == option)
    }

    /// Passages in one prompt at most.
    fn passages(&self, depth: usize, options: &OptionValues) -> usize {
        let window = ["window", "group"]
            .into_iter()
            .filter(|name| self.has(name))
            .find_map(|name| options.get_count(name));
        match self.method.family {
            Family::Embedding | Family::Pointwise => 1,
            Family::Pairwise => 2,
            _ => window.map_or(depth, |window| window.min(depth)),
        }
    }

    /// Options that make a method ask less, beside the defaults, which are first: windows that overlap by a quarter and not by
    /// half, and groups that are asked once. Without any overlap no candidate of the tail could reach the head, so that more
    /// depth would be worth nothing.
    fn variants(&self, defaults: &OptionValues) -> Vec<Vec<(String, String)>> {
        let mut variants = vec![Vec::new()];
        let free = |option: &str| self.has(option) && !defaults.is_given(option);
        let one = |name: &str, value: usize| vec![(name.to_string(), value.to_string())];
        if let Some(window) = defaults.get_count("window").filter(|_| self.has("window") && free("stride")) {
            variants.push(one("stride", (window * 3 / 4).max(1)));
        }
        if free("repeats") {
            variants.push(one("repeats", 1));
        }
        variants
    }

    /// The cost of a call by the number of its passages, and what it cost to measure it.
    fn measure(
        &self,
        requests: &[&RankRequest],
        options: &OptionValues,
        count: Count,
    ) -> Result<(Line, Estimate), BudgetError> {
        let settings = Settings { audit: None, progress: None, ..self.settings.clone() };
        let ranker = self.method.ranker(self.model.clone(), options.clone(), settings)?;
        let probed: Vec<&RankRequest> = requests
            .iter()
            .copied()
            .filter(|request| request.candidates.len() >= LEAST)
            .take(PROBED)
            .collect();
        let widest =
            probed.iter().map(|request| request.candidates.len()).max().ok_or(BudgetError::NoRequest)?;
        let deep = match self.method.family {
            // A call reads the same whatever the depth; more calls make a better mean.
            Family::Embedding | Family::Pointwise | Family::Pairwise => widest.min(8),
            _ => self.passages(widest, options),
        };
        let shallow = (deep / 2).max(LEAST);
        // The first pass through a model reads it from the disk.
        let mut spent = cost(ranker.as_ref(), probed[0], LEAST)?;
        let mut points = Vec::new();
        for depth in [shallow, deep] {
            let mut call = Estimate::default();
            for request in &probed {
                let depth = depth.min(request.candidates.len());
                let whole = cost(ranker.as_ref(), request, depth)?;
                spent = spent.with(whole, |a, b| a + b);
                call = call.with(whole.scaled(1.0 / count(depth, options).max(1) as f64), f64::max);
            }
            points.push((self.passages(depth, options) as f64, call));
        }
        Ok((Line::through(points[0], points[1]), spent))
    }
}

fn cost(ranker: &dyn Ranker, request: &RankRequest, depth: usize) -> Result<Estimate, RankError> {
    let candidates = request.candidates.iter().take(depth).cloned().collect();
    let cut = RankRequest { query: request.query.clone(), candidates };
    let mut results = ranker.rank(std::slice::from_ref(&cut));
    match results.pop() {
        Some(result) => Ok(Estimate::of(&result?.trace)),
        None => Ok(Estimate::default()),
    }
}

/// The cost of a call as a line in its passages.
struct Line {
    fixed: Estimate,
    each: Estimate,
}

impl Line {
    fn through((few, low): (f64, Estimate), (many, high): (f64, Estimate)) -> Line {
        if many <= few {
            let fixed = low.with(high, f64::max);
            return Line { fixed, each: Estimate::default() };
        }
        // Costs do not fall with passages, and a prompt without any is not free of charge.
        let each = high.with(low, |high, low| ((high - low) / (many - few)).clamp(0.0, high / many));
        let fixed = high.with(each, |high, each| high - each * many);
        Line { fixed, each }
    }

    fn at(&self, passages: usize) -> Estimate {
        self.fixed.with(self.each, |fixed, each| fixed + each * passages as f64)
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
