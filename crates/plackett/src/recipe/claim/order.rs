//! `order`: quantities from the greatest to the least.

use super::statistics::{ALPHA, TEST, corrected, differences, p_value};
use super::{ClaimKind, JudgeError, Quantities, Verdict, shown, shown_interval, shown_p};
use crate::recipe::error::{Problem, RecipeError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use crate::recipe::quantity::{interval, mean};
use serde_json::{Map, json};

/// The declaration.
pub static ORDER: ClaimKind = ClaimKind {
    name: "order",
    version: 1,
    help: "each quantity is greater than the next: its mean is greater by more than `margin`, and the paired test says so \
           (p-values corrected for the number of neighbours, Holm)",
    fields: &[
        FieldSpec::required("order", FieldKind::Quantities, "from the greatest to the least"),
        FieldSpec::new(
            "margin",
            FieldKind::Number(0.0, f64::MAX),
            Default::Number(0.0),
            "by how much each must be greater",
        ),
        TEST,
        ALPHA,
    ],
    check: at_least_two,
    judge,
};

/// Refuses a list of one.
pub fn at_least_two(values: &Values) -> Result<(), RecipeError> {
    match values.texts("order").len() {
        0 | 1 => Err(values.wrong("order", 0, Problem::Said("an order has at least two quantities".into()))),
        _ => Ok(()),
    }
}

fn judge(values: &Values, quantities: &Quantities<'_>) -> Result<Verdict, JudgeError> {
    let names = values.texts("order");
    let measured = names.iter().map(|name| quantities.get(name)).collect::<Result<Vec<_>, _>>()?;
    let (margin, alpha) = (values.number("margin").unwrap_or(0.0), values.number("alpha").unwrap_or(0.05));
    let mut steps = Vec::new();
    for pair in measured.windows(2) {
        let pairs = pair[0].pairs(pair[1])?;
        let differences = differences(&pairs);
        let beyond: Vec<f64> = differences.iter().map(|difference| difference - margin).collect();
        steps.push((mean(&differences), interval(&differences), p_value(values, &beyond), differences.len()));
    }
    let p = corrected(&steps.iter().map(|step| step.2).collect::<Vec<_>>());
    let untested = values.word("test") == "none";
    let holds = |(step, p): (&(f64, _, Option<f64>, usize), &Option<f64>)| {
        step.0 > margin && (untested || p.is_some_and(|p| p < alpha))
    };
    let held = steps.iter().zip(&p).all(holds);
    let mut numbers = Map::new();
    let means =
        names.iter().zip(&measured).map(|(name, quantity)| (name.to_string(), json!(quantity.mean())));
    numbers.insert("means".into(), means.collect::<Map<_, _>>().into());
    let listed = names.windows(2).zip(&steps).zip(&p).map(|((names, step), p)| {
        json!({"of": names[0], "over": names[1], "difference": step.0, "ci95": step.1, "p": p, "n": step.3})
    });
    numbers.insert("differences".into(), listed.collect());
    numbers.insert("test".into(), json!(values.word("test")));
    let means: Vec<String> = measured.iter().map(|quantity| shown(quantity.mean())).collect();
    let steps = steps.iter().zip(&p).map(|((difference, interval, _, n), p)| {
        let p = shown_p(*p);
        format!("{difference:+.4} ({}; {p}; n = {n})", shown_interval(*interval))
    });
    let summary = format!("{}: {}", means.join(" > "), steps.collect::<Vec<_>>().join(", "));
    Ok(Verdict { held, numbers, summary })
}
