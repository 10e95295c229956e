//! `over-seeds`: the same quantity of several stages that differ in their seed alone, as one quantity with a value a seed.

use crate::recipe::error::StageError;
use crate::recipe::field::{FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::reading::file::quantity_parts;
use crate::recipe::registry::{StageKind, StageOutput, a_moment, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;

/// The declaration.
pub static OVER_SEEDS: StageKind = StageKind {
    name: "over-seeds",
    help: "quantities of stages that differ in their seed, each as its mean, so that claims can be about all of them; gives `value`, by \
           seed, numbered from 1 in the order in which they stand",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[FieldSpec::required("of", FieldKind::Quantities, "the quantity of each seed")],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| vec!["value".into()],
    outside: nothing_outside,
    estimate: a_moment,
    run: |task| {
        let written = task.values.texts("of");
        let values = written.iter().map(|written| mean_of(task, written)).collect::<Result<_, _>>()?;
        let keys = (1..=written.len()).map(|seed| seed.to_string()).collect();
        let numbers = vec![Quantity { name: "value".into(), unit: "seed".into(), keys, values }];
        Ok(StageOutput { numbers, ..StageOutput::default() })
    },
};

/// The mean of `STAGE/NUMBER`.
fn mean_of(task: &Task<'_>, written: &str) -> Result<f64, StageError> {
    let (stage, number) = quantity_parts(written).unwrap_or_default();
    let numbers = task.input(stage)?.made.iter().flat_map(|made| &made.numbers);
    let found = numbers.into_iter().find(|quantity| quantity.name == number);
    found
        .map(Quantity::mean)
        .ok_or_else(|| StageError::Field { field: "of", problem: format!("`{written}` was not measured") })
}
