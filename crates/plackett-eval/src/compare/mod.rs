//! Runs against a baseline on the same queries: paired tests, corrections for many comparisons, effect sizes, power.

mod correction;
mod effect;
mod kolmogorov;
mod power;
mod randomisation;
mod student;
mod wilcoxon;

pub use correction::Correction;
pub use effect::{Effect, cliffs_delta};
pub use kolmogorov::{KolmogorovSmirnov, kolmogorov_smirnov};
pub use power::{Power, minimal_effect, paired_t_power};
pub use randomisation::{RandomisationOptions, randomisation_test};
pub use student::paired_t_test;
pub use wilcoxon::{wilcoxon_signed_rank, wilcoxon_signed_rank_normal};

use crate::evaluate::{Evaluation, from_mean_scale, on_mean_scale};
use crate::interval::{IntervalOptions, Intervals};
use crate::measure::{Aggregate, Measure};
use crate::numbers::mean;
use crate::policy::Policy;
use serde::Serialize;
use std::collections::HashMap;

/// Why runs could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// There is nothing beside the baseline.
    #[error("a comparison needs at least one run beside the baseline")]
    NoRuns,
    /// The numbers were made by different rules.
    #[error(
        "`{run}` was evaluated by other rules ({found}) than the baseline ({expected}); evaluate both alike"
    )]
    Policies {
        /// The run's name.
        run: String,
        /// Its rules.
        found: String,
        /// The baseline's rules.
        expected: String,
    },
    /// No query counts in both.
    #[error("`{0}` and the baseline have no query in common")]
    NoCommonQuery(String),
    /// The run was not measured by something the baseline was.
    #[error("`{run}` has no values of {measure}, which the baseline has; evaluate both by the same measures")]
    Measures {
        /// The run's name.
        run: String,
        /// The measure.
        measure: String,
    },
    /// All measures are sums.
    #[error("none of the measures has a mean that could be compared")]
    NoMeans,
}

/// How runs are compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CompareOptions {
    /// Chance of a false alarm that is accepted.
    pub alpha: f64,
    /// Correction over all runs and measures of the comparison.
    pub correction: Correction,
    /// The randomisation test.
    pub randomisation: RandomisationOptions,
    /// Intervals of the mean difference.
    pub intervals: IntervalOptions,
    /// Chance of seeing an effect for which the minimal detectable one is given.
    pub power: f64,
}

impl Default for CompareOptions {
    fn default() -> Self {
        CompareOptions {
            alpha: 0.05,
            correction: Correction::Holm,
            randomisation: RandomisationOptions::default(),
            intervals: IntervalOptions::default(),
            power: 0.8,
        }
    }
}

/// The result of one test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Test {
    /// The test's statistic (t, the smaller rank sum, or the mean difference). Infinite (null in JSON) when all differences
    /// are the same.
    pub statistic: f64,
    /// Two-sided p-value.
    pub p: f64,
    /// The p-value after the correction; equal to `p` before it was made.
    pub corrected_p: f64,
    /// Whether `p` comes from the exact distribution rather than an approximation or a sample of it.
    pub exact: bool,
}

impl Test {
    pub(crate) fn new(statistic: f64, p: f64, exact: bool) -> Test {
        let p = p.clamp(0.0, 1.0);
        Test { statistic, p, corrected_p: p, exact }
    }
}

/// One run and one measure against the baseline.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The run's name.
    pub run: String,
    /// The measure.
    pub measure: Measure,
    /// Queries that count in both.
    pub n: usize,
    /// The baseline's mean over those queries.
    pub baseline: f64,
    /// The run's mean over those queries.
    pub mean: f64,
    /// Mean difference, run minus baseline (for GMAP: of logarithms).
    pub difference: f64,
    /// Intervals of the mean difference.
    pub intervals: Intervals,
    /// Queries on which the run is better.
    pub wins: usize,
    /// Queries on which it is as good.
    pub ties: usize,
    /// Queries on which it is worse.
    pub losses: usize,
    /// Paired t-test; `None` with one query.
    pub t: Option<Test>,
    /// Wilcoxon's signed-rank test.
    pub wilcoxon: Test,
    /// Randomisation (sign-flip) test.
    pub randomisation: Test,
    /// Sizes of the effect.
    pub effect: Effect,
    /// What these queries could show; `None` with one query.
    pub power: Option<Power>,
    /// Differences by query, in the order of [`Compared::queries`].
    #[serde(skip)]
    pub differences: Vec<f64>,
    /// The queries of the differences.
    #[serde(skip)]
    pub queries: Vec<String>,
}

/// All comparisons with one baseline.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The baseline's name.
    pub baseline: String,
    /// The rules of all evaluations.
    pub policy: Policy,
    /// How it was compared.
    pub options: CompareOptions,
    /// Runs in the order given, measures within runs. The corrections are over all of them.
    pub compared: Vec<Compared>,
}

/// Compares runs with a baseline.
pub fn compare(
    baseline: &Evaluation,
    runs: &[Evaluation],
    options: &CompareOptions,
) -> Result<Comparison, CompareError> {
    if runs.is_empty() {
        return Err(CompareError::NoRuns);
    }
    let mut compared = Vec::new();
    for run in runs {
        if run.policy != baseline.policy {
            return Err(CompareError::Policies {
                run: run.name.clone(),
                found: run.policy.to_string(),
                expected: baseline.policy.to_string(),
            });
        }
        compared.extend(against(baseline, run, options)?);
    }
    if compared.is_empty() {
        return Err(CompareError::NoMeans);
    }
    correct(&mut compared, options.correction);
    Ok(Comparison {
        baseline: baseline.name.clone(),
        policy: baseline.policy,
        options: options.clone(),
        compared,
    })
}

/// Replaces the corrected p-values, each kind of test being a family of its own.
fn correct(compared: &mut [Compared], correction: Correction) {
    let kinds: [fn(&mut Compared) -> Option<&mut Test>; 3] =
        [|c| c.t.as_mut(), |c| Some(&mut c.wilcoxon), |c| Some(&mut c.randomisation)];
    for kind in kinds {
        let mut tests: Vec<&mut Test> = compared.iter_mut().filter_map(kind).collect();
        let p: Vec<f64> = tests.iter().map(|test| test.p).collect();
        for (test, corrected) in tests.iter_mut().zip(correction.apply(&p)) {
            test.corrected_p = corrected;
        }
    }
}

fn against(
    baseline: &Evaluation,
    run: &Evaluation,
    options: &CompareOptions,
) -> Result<Vec<Compared>, CompareError> {
    let place_in_run: HashMap<&str, usize> =
        run.queries.iter().enumerate().map(|(place, query)| (query.as_str(), place)).collect();
    let pairs: Vec<(usize, usize)> = baseline
        .queries
        .iter()
        .enumerate()
        .filter_map(|(place, query)| Some((place, *place_in_run.get(query.as_str())?)))
        .collect();
    if pairs.is_empty() {
        return Err(CompareError::NoCommonQuery(run.name.clone()));
    }
    let queries: Vec<String> = pairs.iter().map(|&(place, _)| baseline.queries[place].clone()).collect();
    let mut compared = Vec::new();
    for measured in &baseline.measures {
        let aggregate = measured.measure.declaration().aggregate;
        if aggregate == Aggregate::Sum {
            continue;
        }
        let other = run.measured(&measured.measure).ok_or_else(|| CompareError::Measures {
            run: run.name.clone(),
            measure: measured.measure.to_string(),
        })?;
        let scale = |value: f64| on_mean_scale(aggregate, value);
        let before: Vec<f64> = pairs.iter().map(|&(place, _)| scale(measured.values[place])).collect();
        let after: Vec<f64> = pairs.iter().map(|&(_, place)| scale(other.values[place])).collect();
        compared.push(one(&run.name, &measured.measure, &queries, &before, &after, options));
    }
    Ok(compared)
}

/// Differences are rounded to this many parts of one, so that equal differences tie although they were computed from
/// different sums.
const GRID: f64 = 1e12;

fn one(
    run: &str,
    measure: &Measure,
    queries: &[String],
    before: &[f64],
    after: &[f64],
    options: &CompareOptions,
) -> Compared {
    let aggregate = measure.declaration().aggregate;
    let differences: Vec<f64> =
        after.iter().zip(before).map(|(a, b)| ((a - b) * GRID).round() / GRID).collect();
    let count = |holds: fn(f64) -> bool| differences.iter().filter(|&&d| holds(d)).count();
    let intervals = options.intervals.of_columns(std::slice::from_ref(&differences));
    Compared {
        run: run.to_string(),
        measure: measure.clone(),
        n: differences.len(),
        baseline: from_mean_scale(aggregate, mean(before)),
        mean: from_mean_scale(aggregate, mean(after)),
        difference: mean(&differences),
        intervals: intervals.first().copied().unwrap_or_default(),
        wins: count(|d| d > 0.0),
        ties: count(|d| d == 0.0),
        losses: count(|d| d < 0.0),
        t: paired_t_test(&differences),
        wilcoxon: wilcoxon_signed_rank(&differences),
        randomisation: randomisation_test(&differences, &options.randomisation),
        effect: Effect::of(before, after, &differences),
        power: Power::of(&differences, options.alpha, options.power),
        differences,
        queries: queries.to_vec(),
    }
}
