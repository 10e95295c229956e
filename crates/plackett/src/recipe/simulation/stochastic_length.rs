//! `stochastic-length`: how much of long histories is learned from.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_rec::sequential::StochasticLength;
use plackett_train::random::Stream;

/// The declaration.
pub static STOCHASTIC_LENGTH: Simulation = Simulation {
    name: "stochastic-length",
    help: "draws parts of histories whose lengths go evenly up to the longest. `kept` is the share of events that is learned from, `expected` \
           what the formula says, `part` the share of the longest length that a part has",
    version: 1,
    fields: &[
        FieldSpec::new("alpha", FieldKind::Number(1.0, 2.0), Default::Number(1.6), "the exponent"),
        FieldSpec::new(
            "max_length",
            FieldKind::Whole(2, 1 << 20),
            Default::Whole(4096),
            "the longest history",
        ),
        FieldSpec::new("draws", FieldKind::Whole(1, 1_000_000), Default::Whole(400), "histories"),
    ],
    check: |_| Ok(()),
    numbers: |_| ["kept", "expected", "part"].map(str::to_string).to_vec(),
    run: |given| Ok(run(given)),
};

fn run(given: &Simulated<'_>) -> Vec<f64> {
    let values = given.values;
    let max_length = values.count("max_length");
    let sampler = StochasticLength { alpha: values.real("alpha"), max_length };
    let draws = values.count("draws");
    let (mut kept, mut expected, mut events) = (0.0, 0.0, 0.0);
    for draw in 0..draws {
        let length = (max_length * (draw + 1)).div_ceil(draws);
        let times: Vec<i64> = (0..length as i64).collect();
        kept += sampler.choose(&times, Stream::new(given.seed, draw as u64)).len() as f64;
        expected += sampler.expected(length);
        events += length as f64;
    }
    vec![kept / events, expected / events, sampler.part() as f64 / max_length as f64]
}
