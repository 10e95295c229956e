//! `ratio`: one quantity as a multiple of another.

use super::statistics::{AT_LEAST, AT_MOST, INTERVAL, bounds, keeps_bounds, needs_bound};
use super::{ClaimKind, JudgeError, Quantities, Verdict, shown, shown_interval};
use crate::recipe::field::{FieldKind, FieldSpec, Values};
use crate::recipe::quantity::{interval, mean};
use serde_json::{Map, json};

/// The declaration.
pub static RATIO: ClaimKind = ClaimKind {
    name: "ratio",
    version: 1,
    help: "the mean of `of` divided by that of `to` keeps the bounds, with its 95 % interval (bootstrap over pairs)",
    fields: &[
        FieldSpec::required("of", FieldKind::Quantity, "what is divided"),
        FieldSpec::required("to", FieldKind::Quantity, "by what"),
        AT_LEAST,
        AT_MOST,
        INTERVAL,
    ],
    check: needs_bound,
    judge,
};

fn judge(values: &Values, quantities: &Quantities<'_>) -> Result<Verdict, JudgeError> {
    let (of, to) = (quantities.get(values.word("of"))?, quantities.get(values.word("to"))?);
    let pairs = of.pairs(to)?;
    let below = to.mean();
    if below == 0.0 {
        return Err(JudgeError::Values(format!(
            "the mean of `{}` is 0, nothing can be divided by it",
            values.word("to")
        )));
    }
    let ratio = of.mean() / below;
    // The ratio estimator's first-order expansion (Cochran, Sampling Techniques, 1977, ch. 6): its values have the ratio as
    // their mean, and their spread is the ratio's.
    let expanded: Vec<f64> = pairs.iter().map(|(a, b)| ratio + (a - ratio * b) / below).collect();
    debug_assert!((mean(&expanded) - ratio).abs() <= 1e-6 * ratio.abs().max(1.0));
    let interval = interval(&expanded);
    let mut numbers = Map::new();
    numbers.insert("ratio".into(), json!(ratio));
    numbers.insert("ci95".into(), json!(interval));
    numbers.insert("of".into(), json!(of.mean()));
    numbers.insert("to".into(), json!(below));
    numbers.insert("n".into(), json!(pairs.len()));
    let summary = format!(
        "{} / {} = {} ({}; n = {}), allowed {}",
        shown(of.mean()),
        shown(below),
        shown(ratio),
        shown_interval(interval),
        pairs.len(),
        bounds(values)
    );
    Ok(Verdict { held: keeps_bounds(values, ratio, interval)?, numbers, summary })
}
