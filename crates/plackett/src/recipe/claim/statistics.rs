//! Tests and bounds that several kinds of claims share.

use super::JudgeError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use plackett_eval::Correction;
use plackett_eval::compare::{RandomisationOptions, paired_t_test, randomisation_test, wilcoxon_signed_rank};

/// Fields of claims that are tested.
pub const TEST: FieldSpec = FieldSpec::new(
    "test",
    FieldKind::Choice(&["t", "wilcoxon", "randomisation", "none"]),
    Default::Text("t"),
    "the paired test; `none` compares means only",
);
/// The level of the test.
pub const ALPHA: FieldSpec = FieldSpec::new(
    "alpha",
    FieldKind::Number(0.0, 1.0),
    Default::Number(0.05),
    "chance of a false alarm that is accepted",
);
/// A bound from below.
pub const AT_LEAST: FieldSpec = FieldSpec::new(
    "at_least",
    FieldKind::Number(f64::MIN, f64::MAX),
    Default::Absent,
    "the lowest value that is allowed",
);
/// A bound from above.
pub const AT_MOST: FieldSpec = FieldSpec::new(
    "at_most",
    FieldKind::Number(f64::MIN, f64::MAX),
    Default::Absent,
    "the highest value that is allowed",
);
/// Whether an interval counts or the estimate alone.
pub const INTERVAL: FieldSpec = FieldSpec::new(
    "interval",
    FieldKind::Switch,
    Default::Switch(true),
    "whether the whole 95 % interval must be within the bounds; false: the mean alone, as one value needs",
);

/// The two-sided p-value of paired differences by the test that a claim names; `None` for no test.
///
/// Where all differences are the same and not 0, a test over one value or without spread has nothing to doubt: the t-test
/// gives p = 0, and of a single pair there is no test.
pub fn p_value(values: &Values, differences: &[f64]) -> Option<f64> {
    match values.word("test") {
        "t" => paired_t_test(differences).map(|test| test.p),
        "wilcoxon" => Some(wilcoxon_signed_rank(differences).p),
        "randomisation" => Some(randomisation_test(differences, &RandomisationOptions::default()).p),
        _ => None,
    }
}

/// p-values of one claim's tests, corrected for their number (Holm).
pub fn corrected(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let known: Vec<f64> = p.iter().flatten().copied().collect();
    let mut corrected = Correction::Holm.apply(&known).into_iter();
    p.iter().map(|p| p.and_then(|_| corrected.next())).collect()
}

/// Differences of pairs, the first minus the second, rounded so that equal ones tie whatever sums they come from.
pub fn differences(pairs: &[(f64, f64)]) -> Vec<f64> {
    const GRID: f64 = 1e12;
    pairs.iter().map(|(a, b)| ((a - b) * GRID).round() / GRID).collect()
}

/// Whether an estimate and its interval keep the bounds that a claim names.
///
/// # Errors
/// The interval is to count and there is none: a claim that says nothing of it would be judged by less than it asks for.
pub fn keeps_bounds(values: &Values, estimate: f64, interval: Option<[f64; 2]>) -> Result<bool, JudgeError> {
    let [low, high] = match (values.on("interval"), interval) {
        (false, _) => [estimate; 2],
        (true, Some(interval)) => interval,
        (true, None) => {
            let of = values.word("of");
            return Err(JudgeError::Values(format!(
                "`{of}`: one value has no interval; write interval = false"
            )));
        }
    };
    Ok(values.number("at_least").is_none_or(|bound| low >= bound)
        && values.number("at_most").is_none_or(|bound| high <= bound))
}

/// The bounds in words.
pub fn bounds(values: &Values) -> String {
    match (values.number("at_least"), values.number("at_most")) {
        (Some(low), Some(high)) => format!("{low} to {high}"),
        (Some(low), None) => format!("at least {low}"),
        (None, Some(high)) => format!("at most {high}"),
        (None, None) => String::new(),
    }
}

/// Refuses a claim without any bound: it could not fail.
pub fn needs_bound(values: &Values) -> Result<(), crate::recipe::error::RecipeError> {
    use crate::recipe::error::Problem;
    if values.has("at_least") || values.has("at_most") {
        return Ok(());
    }
    let problem = "without `at_least` or `at_most` the claim could not fail; write a bound";
    Err(values.wrong("of", 0, Problem::Said(problem.into())))
}
