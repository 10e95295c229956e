//! Measurements that are repeated from the weights and data of several seeds: their fields, and their numbers by seed.

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use crate::recipe::quantity::Quantity;
use crate::recipe::task::Task;

/// How often each seed is measured.
pub const ROUNDS: FieldSpec =
    FieldSpec::new("rounds", FieldKind::Whole(1, 1000), Default::Whole(5), "of which the least time counts");
/// From how many seeds.
pub const SEEDS: FieldSpec =
    FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(3), "how many");

/// Measures once for each of the seeds from 1 that the field [`SEEDS`] asks for.
///
/// # Errors
/// What a measurement says.
pub fn of_each_seed<const N: usize>(
    task: &Task<'_>,
    names: [&str; N],
    mut measure: impl FnMut(u64) -> Result<[f64; N], StageError>,
) -> Result<Vec<Quantity>, StageError> {
    let seeds = task.values.count("seeds") as u64;
    let mut columns = names.map(|_| Vec::new());
    for seed in 1..=seeds {
        (task.progress)(task.name, seed, seeds);
        let measured = measure(seed)?;
        columns.iter_mut().zip(measured).for_each(|(column, value)| column.push(value));
    }
    Ok(names.into_iter().zip(columns).map(|(name, values)| Quantity::of_seeds(name, values)).collect())
}
