//! `equal`: a quantity that is another one, or a number.

use super::statistics::differences;
use super::{ClaimKind, JudgeError, Quantities, Verdict, shown};
use crate::recipe::error::{Problem, RecipeError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use serde_json::{Map, json};

/// The declaration.
pub static EQUAL: ClaimKind = ClaimKind {
    name: "equal",
    version: 1,
    help: "a quantity is the same as another one, or as a number: for every query or seed, or (`each = false`) on average",
    fields: &[
        FieldSpec::required("of", FieldKind::Quantity, "which quantity"),
        FieldSpec::new("to", FieldKind::Quantity, Default::Absent, "another one"),
        FieldSpec::new("value", FieldKind::Number(f64::MIN, f64::MAX), Default::Absent, "a number"),
        FieldSpec::new(
            "tolerance",
            FieldKind::Number(0.0, f64::MAX),
            Default::Number(0.0),
            "how far they may be apart",
        ),
        FieldSpec::new(
            "each",
            FieldKind::Switch,
            Default::Switch(true),
            "whether every value counts, or the means",
        ),
    ],
    check,
    judge,
};

fn check(values: &Values) -> Result<(), RecipeError> {
    match (values.has("to"), values.has("value")) {
        (true, true) => Err(values.wrong(
            "value",
            0,
            Problem::Said("`to` and `value` both say what it equals; leave one out".into()),
        )),
        (false, false) => Err(values.wrong(
            "of",
            0,
            Problem::Said("what it equals is missing: write `to` or `value`".into()),
        )),
        _ => Ok(()),
    }
}

fn judge(values: &Values, quantities: &Quantities<'_>) -> Result<Verdict, JudgeError> {
    let of = quantities.get(values.word("of"))?;
    let pairs = match values.text("to") {
        Some(to) => of.pairs(quantities.get(to)?)?,
        None => {
            let value = values.number("value").unwrap_or(0.0);
            of.values.iter().map(|&own| (own, value)).collect()
        }
    };
    let tolerance = values.number("tolerance").unwrap_or(0.0);
    let differences = differences(&pairs);
    let average =
        |side: fn(&(f64, f64)) -> f64| pairs.iter().map(side).sum::<f64>() / pairs.len().max(1) as f64;
    let (mean, other) = (average(|pair| pair.0), average(|pair| pair.1));
    let apart = differences.iter().filter(|difference| difference.abs() > tolerance).count();
    let farthest = differences.iter().map(|difference| difference.abs()).fold(0.0, f64::max);
    let held = if values.on("each") { apart == 0 } else { (mean - other).abs() <= tolerance + 1e-12 };
    let mut numbers = Map::new();
    numbers.insert("mean".into(), json!(mean));
    numbers.insert("expected".into(), json!(other));
    numbers.insert("farthest".into(), json!(farthest));
    numbers.insert("apart".into(), json!(apart));
    numbers.insert("n".into(), json!(pairs.len()));
    let count = pairs.len();
    let summary = match (values.on("each"), apart) {
        (true, 0) if farthest == 0.0 => format!("{} for all of {count}", shown(other)),
        (true, 0) => {
            format!("{} and {}, all of {count} within {}", shown(mean), shown(other), shown(tolerance))
        }
        (true, _) => format!(
            "{} and {}; {apart} of {count} differ, by up to {}",
            shown(mean),
            shown(other),
            shown(farthest)
        ),
        (false, _) => format!(
            "{} and {} on average of {count}, allowed {} apart",
            shown(mean),
            shown(other),
            shown(tolerance)
        ),
    };
    Ok(Verdict { held, numbers, summary })
}
