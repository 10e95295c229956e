//! `trend`: quantities that rise or fall from one to the next.

use super::statistics::{ALPHA, TEST, p_value};
use super::{ClaimKind, JudgeError, Quantities, Verdict, order, shown, shown_interval, shown_p};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use crate::recipe::quantity::{interval, mean};
use serde_json::{Map, json};

/// The declaration.
pub static TREND: ClaimKind = ClaimKind {
    name: "trend",
    version: 1,
    help: "means rise (or fall) from one quantity to the next, save for `slack`, and the linear contrast over all of them, \
           taken query by query, is tested",
    fields: &[
        FieldSpec::required("order", FieldKind::Quantities, "from the first to the last"),
        FieldSpec::new(
            "direction",
            FieldKind::Choice(&["rising", "falling"]),
            Default::Text("rising"),
            "where it goes",
        ),
        FieldSpec::new(
            "slack",
            FieldKind::Number(0.0, f64::MAX),
            Default::Number(0.0),
            "a step against the trend that is allowed",
        ),
        TEST,
        ALPHA,
    ],
    check: order::at_least_two,
    judge,
};

fn judge(values: &Values, quantities: &Quantities<'_>) -> Result<Verdict, JudgeError> {
    let names = values.texts("order");
    let measured = names.iter().map(|name| quantities.get(name)).collect::<Result<Vec<_>, _>>()?;
    let sign = if values.word("direction") == "falling" { -1.0 } else { 1.0 };
    let (slack, alpha) = (values.number("slack").unwrap_or(0.0), values.number("alpha").unwrap_or(0.05));
    let means: Vec<f64> = measured.iter().map(|quantity| quantity.mean()).collect();
    // Weights …, -1, 0, 1, … over their squares: the contrast is the slope of a line through a query's values.
    let middle = (measured.len() - 1) as f64 / 2.0;
    let weights: Vec<f64> = (0..measured.len()).map(|place| place as f64 - middle).collect();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let mut slopes = vec![0.0; measured[0].values.len()];
    for (quantity, weight) in measured.iter().zip(&weights) {
        for (slope, (_, value)) in slopes.iter_mut().zip(measured[0].pairs(quantity)?) {
            *slope += sign * weight * value / squares;
        }
    }
    let (slope, interval, p) = (mean(&slopes), interval(&slopes), p_value(values, &slopes));
    let against = means.windows(2).filter(|pair| sign * (pair[1] - pair[0]) < -slack).count();
    let tested = values.word("test") == "none" || p.is_some_and(|p| p < alpha);
    let held = against == 0 && slope > 0.0 && tested;
    let mut numbers = Map::new();
    let listed = names.iter().zip(&means).map(|(name, mean)| (name.to_string(), json!(mean)));
    numbers.insert("means".into(), listed.collect::<Map<_, _>>().into());
    numbers.insert("slope".into(), json!(sign * slope));
    numbers.insert(
        "ci95".into(),
        json!(interval.map(|[low, high]| if sign < 0.0 { [-high, -low] } else { [low, high] })),
    );
    numbers.insert("p".into(), json!(p));
    numbers.insert("steps_against".into(), json!(against));
    numbers.insert("n".into(), json!(slopes.len()));
    let p = shown_p(p);
    let shown_means: Vec<String> = means.iter().map(|&mean| shown(mean)).collect();
    let summary = format!(
        "{}: {:+.4} a step, {} against it (to the claimed side {}; {p}; n = {})",
        shown_means.join(", "),
        sign * slope,
        against,
        shown_interval(interval),
        slopes.len()
    );
    Ok(Verdict { held, numbers, summary })
}
