//! `within`: a quantity between bounds.

use super::statistics::{AT_LEAST, AT_MOST, INTERVAL, bounds, keeps_bounds, needs_bound};
use super::{ClaimKind, JudgeError, Quantities, Verdict, shown, shown_interval};
use crate::recipe::field::{FieldKind, FieldSpec, Values};
use serde_json::{Map, json};

/// The declaration.
pub static WITHIN: ClaimKind = ClaimKind {
    name: "within",
    version: 1,
    help: "the mean of a quantity keeps the bounds, with its 95 % interval",
    fields: &[FieldSpec::required("of", FieldKind::Quantity, "which quantity"), AT_LEAST, AT_MOST, INTERVAL],
    check: needs_bound,
    judge,
};

fn judge(values: &Values, quantities: &Quantities<'_>) -> Result<Verdict, JudgeError> {
    let of = quantities.get(values.word("of"))?;
    let (mean, interval) = (of.mean(), of.interval());
    let mut numbers = Map::new();
    numbers.insert("mean".into(), json!(mean));
    numbers.insert("ci95".into(), json!(interval));
    numbers.insert("n".into(), json!(of.values.len()));
    let summary = format!(
        "{} ({}; n = {}), allowed {}",
        shown(mean),
        shown_interval(interval),
        of.values.len(),
        bounds(values)
    );
    Ok(Verdict { held: keeps_bounds(values, mean, interval)?, numbers, summary })
}
