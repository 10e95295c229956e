//! `not-worse`: a quantity that is not significantly below another one.

use super::statistics::{ALPHA, TEST, differences, p_value};
use super::{ClaimKind, JudgeError, Quantities, Verdict, shown, shown_interval, shown_p};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use crate::recipe::quantity::{interval, mean};
use plackett_eval::compare::Power;
use serde_json::{Map, json};

/// The declaration.
pub static NOT_WORSE: ClaimKind = ClaimKind {
    name: "not-worse",
    version: 1,
    help: "the paired test does not find `of` worse than `than`. With `margin` it is stricter: the 95 % interval of the \
           difference must not reach further than the margin to the worse side. One value has neither: with `test = \"none\"` the \
           difference itself is judged",
    fields: &[
        FieldSpec::required("of", FieldKind::Quantity, "what is not worse"),
        FieldSpec::required("than", FieldKind::Quantity, "than what"),
        FieldSpec::new(
            "margin",
            FieldKind::Number(0.0, f64::MAX),
            Default::Absent,
            "a difference that would not matter",
        ),
        FieldSpec::new(
            "better",
            FieldKind::Choice(&["higher", "lower"]),
            Default::Text("higher"),
            "which values are better",
        ),
        TEST,
        ALPHA,
    ],
    check: |_| Ok(()),
    judge,
};

fn judge(values: &Values, quantities: &Quantities<'_>) -> Result<Verdict, JudgeError> {
    let (of, than) = (quantities.get(values.word("of"))?, quantities.get(values.word("than"))?);
    let sign = if values.word("better") == "lower" { -1.0 } else { 1.0 };
    let differences: Vec<f64> =
        differences(&of.pairs(than)?).iter().map(|difference| sign * difference).collect();
    if differences.len() < 2 && values.word("test") != "none" {
        let of = values.word("of");
        return Err(JudgeError::Values(format!("`{of}`: one value has no interval; write test = \"none\"")));
    }
    let alpha = values.number("alpha").unwrap_or(0.05);
    let (difference, interval, p) =
        (mean(&differences), interval(&differences), p_value(values, &differences));
    let held = match values.number("margin") {
        Some(margin) => interval.map_or(difference, |[low, _]| low) >= -margin,
        None => difference >= 0.0 || p.is_some_and(|p| p >= alpha),
    };
    // What the pairs could have shown: without it, "not significant" may only say that there were few of them.
    let detectable = Power::of(&differences, alpha, 0.8).map(|power| power.minimal_difference);
    let mut numbers = Map::new();
    numbers.insert("of".into(), json!(of.mean()));
    numbers.insert("than".into(), json!(than.mean()));
    numbers.insert("difference".into(), json!(difference));
    numbers.insert("ci95".into(), json!(interval));
    numbers.insert("p".into(), json!(p));
    numbers.insert("detectable".into(), json!(detectable));
    numbers.insert("n".into(), json!(differences.len()));
    let p = shown_p(p);
    let summary = format!(
        "{} and {}: {difference:+.4} to the better ({}; {p}; n = {}; {} would be found)",
        shown(of.mean()),
        shown(than.mean()),
        shown_interval(interval),
        differences.len(),
        detectable.map_or_else(|| "nothing".into(), shown)
    );
    Ok(Verdict { held, numbers, summary })
}
