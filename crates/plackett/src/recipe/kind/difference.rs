//! `difference`, `quotient` and `mean`: one measured quantity less another, such as what a reranker gains, or divided by it, and the mean of
//! one.

use crate::recipe::error::StageError;
use crate::recipe::field::{FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::reading::file::quantity_parts;
use crate::recipe::registry::{StageKind, StageOutput, a_moment, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;

/// The declaration.
pub static DIFFERENCE: StageKind = StageKind {
    name: "difference",
    help: "one quantity less another, query by query or seed by seed; gives `difference`",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("of", FieldKind::Quantity, "the quantity"),
        FieldSpec::required("less", FieldKind::Quantity, "what is taken from it"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| vec!["difference".into()],
    outside: nothing_outside,
    estimate: a_moment,
    run: |task| computed(task, "less", "difference", |of, less| Ok(of - less)),
};

/// The declaration.
pub static QUOTIENT: StageKind = StageKind {
    name: "quotient",
    help: "one quantity divided by another, query by query or seed by seed; gives `quotient`",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("of", FieldKind::Quantity, "the quantity"),
        FieldSpec::required("to", FieldKind::Quantity, "by what it is divided"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| vec!["quotient".into()],
    outside: nothing_outside,
    estimate: a_moment,
    run: |task| {
        computed(task, "to", "quotient", |of, to| {
            let zero = || StageError::Field { field: "to", problem: "it is 0 for a query or seed".into() };
            if to == 0.0 { Err(zero()) } else { Ok(of / to) }
        })
    },
};

/// The declaration.
pub static MEAN: StageKind = StageKind {
    name: "mean",
    help: "the mean of a quantity as one number, so that quantities of different queries can be compared; gives `mean`",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[FieldSpec::required("of", FieldKind::Quantity, "the quantity")],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| vec!["mean".into()],
    outside: nothing_outside,
    estimate: a_moment,
    run: |task| {
        let numbers = vec![Quantity::of_seed("mean", 1, quantity(task, "of")?.mean())];
        Ok(StageOutput { numbers, ..StageOutput::default() })
    },
};

/// A number made of `of` and a second quantity, pair by pair.
fn computed(
    task: &Task<'_>,
    second: &'static str,
    name: &str,
    number: impl Fn(f64, f64) -> Result<f64, StageError>,
) -> Result<StageOutput, StageError> {
    let (of, other) = (quantity(task, "of")?, quantity(task, second)?);
    let pairs =
        of.pairs(other).map_err(|error| StageError::Field { field: second, problem: error.to_string() })?;
    let values = pairs.into_iter().map(|(of, other)| number(of, other)).collect::<Result<_, _>>()?;
    let numbers = vec![Quantity { name: name.into(), unit: of.unit.clone(), keys: of.keys.clone(), values }];
    Ok(StageOutput { numbers, ..StageOutput::default() })
}

fn quantity<'a>(task: &'a Task<'_>, field: &'static str) -> Result<&'a Quantity, StageError> {
    let written = task.values.word(field);
    let (stage, number) = quantity_parts(written).unwrap_or_default();
    let numbers = task.input(stage)?.made.iter().flat_map(|made| &made.numbers);
    let mut found = numbers.filter(|quantity| quantity.name == number);
    found.next().ok_or_else(|| StageError::Field { field, problem: format!("`{written}` was not measured") })
}
