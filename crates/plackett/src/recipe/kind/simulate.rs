//! `simulate`: checks of algorithms that need no model, for several seeds.

use super::dataset_of;
use crate::recipe::error::{RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput};
use crate::recipe::simulation::Simulated;
use crate::recipe::task::Task;

/// The declaration.
pub static SIMULATE: StageKind = StageKind {
    name: "simulate",
    help: "a named simulation for several seeds; gives the numbers that the simulation declares. Its own fields are written beside these",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("simulation", FieldKind::Text, "its name"),
        FieldSpec::new(
            "seeds",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(20),
            "how many; each gives one value of every number",
        ),
        FieldSpec::new("first_seed", FieldKind::Whole(0, i64::MAX), Default::Whole(1), "the first one"),
        FieldSpec::new(
            "data",
            FieldKind::Stage(&[OutputKind::Data]),
            Default::Absent,
            "graded candidates, for simulations that use some",
        ),
    ],
    chooses: Some("simulation"),
    check,
    numbers: |values, registry| {
        registry
            .simulation(values.word("simulation"))
            .map_or_else(Vec::new, |simulation| (simulation.numbers)(values))
    },
    outside: |values, environment| {
        let found = environment.registry.simulation(values.word("simulation"));
        Ok(found
            .map(|simulation| ("simulation version".to_string(), simulation.version.to_string()))
            .into_iter()
            .collect())
    },
    estimate: |task| {
        let work = format!("{} for {} seeds", task.values.word("simulation"), task.values.count("seeds"));
        Ok(Estimate { work, seconds: Some(0.05 * task.values.count("seeds") as f64), ..Estimate::default() })
    },
    run,
};

fn check(values: &Values, registry: &Registry) -> Result<(), RecipeError> {
    registry.simulation(values.word("simulation")).map_or(Ok(()), |simulation| (simulation.check)(values))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let name = values.word("simulation");
    let Some(simulation) = task.environment.registry.simulation(name) else {
        return Err(StageError::Simulation(format!("there is no simulation `{name}`")));
    };
    let data = values.text("data").map(|stage| dataset_of(task, stage)).transpose()?;
    let names = (simulation.numbers)(values);
    let first = values.count("first_seed") as u64;
    let seeds: Vec<u64> = (first..first + values.count("seeds") as u64).collect();
    let mut columns: Vec<Vec<f64>> = vec![Vec::with_capacity(seeds.len()); names.len()];
    for (nth, &seed) in seeds.iter().enumerate() {
        (task.progress)(task.name, nth as u64, seeds.len() as u64);
        let given = Simulated { values, seed, data: data.as_ref() };
        let found = (simulation.run)(&given).map_err(StageError::Simulation)?;
        if found.len() != names.len() {
            let problem = format!("{name} declares {} numbers and gave {}", names.len(), found.len());
            return Err(StageError::Simulation(problem));
        }
        columns.iter_mut().zip(found).for_each(|(column, value)| column.push(value));
    }
    let keys: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let quantity = |(name, values)| Quantity { name, unit: "seed".into(), keys: keys.clone(), values };
    Ok(StageOutput {
        numbers: names.into_iter().zip(columns).map(quantity).collect(),
        ..StageOutput::default()
    })
}
