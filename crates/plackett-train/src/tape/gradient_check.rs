//! Gradients against differences, for any operation or objective.

use super::{Compute, Gradients, ParameterId, Parameters, Tape, Var};

/// Half the distance of the inner points of a difference.
const STEP: f32 = 0.02;

/// Checks the gradients of a function of some matrices, each given by its shape and numbers, against differences of the
/// fourth order, to 1e-3 of the greater of the number and 1.
///
/// # Panics
/// A gradient is another one; the message has the matrix and the place.
pub fn assert_gradients(inputs: &[((usize, usize), Vec<f32>)], function: impl Fn(&Tape, &[Var]) -> Var) {
    let mut parameters = Parameters::default();
    let ids: Vec<ParameterId> = inputs
        .iter()
        .enumerate()
        .map(|(at, (shape, values))| parameters.add(format!("input {at}"), *shape, values.clone()))
        .collect();
    assert_parameter_gradients(&mut parameters, &ids, usize::MAX, |tape| {
        let vars: Vec<Var> = ids.iter().map(|id| tape.parameter(*id)).collect();
        function(tape, &vars)
    });
}

/// As [`assert_gradients`], for parameters of a model; `most` numbers of each, evenly spaced.
///
/// # Panics
/// A gradient is another one; the message has the parameter and the place.
pub fn assert_parameter_gradients(
    parameters: &mut Parameters,
    checked: &[ParameterId],
    most: usize,
    function: impl Fn(&Tape) -> Var,
) {
    let compute = Compute::new(1);
    let mut gradients = Gradients::default();
    let tape = Tape::new(parameters, &compute);
    let loss = function(&tape);
    tape.backward(&loss, &mut gradients);
    for id in checked {
        let length = parameters[*id].value.len();
        for place in (0..length).step_by(length.div_ceil(most.max(1)).max(1)) {
            let mut at = |by: f32| {
                let before = parameters[*id].value[place];
                parameters[*id].values_mut()[place] = before + by;
                let value = f64::from(function(&Tape::inference(parameters, &compute)).item());
                parameters[*id].values_mut()[place] = before;
                value
            };
            let inner = at(STEP) - at(-STEP);
            let outer = at(2.0 * STEP) - at(-2.0 * STEP);
            let difference = (8.0 * inner - outer) / (12.0 * f64::from(STEP));
            let gradient = f64::from(gradients.get(*id).map_or(0.0, |gradient| gradient[place]));
            assert!(
                (gradient - difference).abs() <= 1e-3 * difference.abs().max(1.0),
                "`{}` at {place}: the gradient is {gradient}, the difference {difference}",
                parameters[*id].name
            );
        }
    }
}
