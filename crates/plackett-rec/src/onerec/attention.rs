//! Attention with a norm before it, as in T5, but with scores scaled.

use plackett_train::engine::{Attention, DistanceBuckets};
use plackett_train::nn::init;
use plackett_train::random::Stream;
use plackett_train::{Engine, ParameterId, Parameters, Tape, Var};
use std::ops::Range;
use std::sync::Arc;

pub(super) const EPSILON: f32 = 1e-6;
/// Buckets of distances, and from which on all are in one.
const BUCKETS: usize = 32;
const REACH: usize = 128;

/// The distances of one stack: on both sides of a query in the encoder, before it in the decoder.
pub(super) fn buckets(both: bool) -> DistanceBuckets {
    DistanceBuckets { count: BUCKETS, reach: REACH, both }
}

/// A norm, and queries, keys, values and output.
#[derive(Clone, Debug)]
pub(super) struct AttentionLayer {
    norm: ParameterId,
    projections: [ParameterId; 4],
}

impl AttentionLayer {
    pub(super) fn new(parameters: &mut Parameters, name: &str, width: usize, seed: u64) -> AttentionLayer {
        let norm = parameters.add(format!("{name}.norm.weight"), (1, width), vec![1.0; width]);
        let matrix = |(at, part): (u64, &str)| {
            let values = init::xavier_uniform(Stream::new(seed, at), (width, width));
            parameters.add(format!("{name}.{part}.weight"), (width, width), values)
        };
        let projections = [(0, "query"), (1, "key"), (2, "value"), (3, "output")].map(matrix);
        AttentionLayer { norm, projections }
    }

    pub(super) fn normal(&self, tape: &Tape, x: &Var) -> Var {
        Engine::rms_norm(tape, x, &tape.parameter(self.norm), EPSILON)
    }

    /// Queries of `x`, which is normalised, and keys and values of `of`.
    pub(super) fn sides(&self, tape: &Tape, x: &Var, of: &Var) -> [Var; 3] {
        [(x, 0), (of, 1), (of, 2)].map(|(rows, at)| self.project(tape, rows, at))
    }

    /// One projection: 0 for queries, 1 for keys, 2 for values, 3 for the output.
    pub(super) fn project(&self, tape: &Tape, x: &Var, at: usize) -> Var {
        Engine::linear(tape, x, &tape.parameter(self.projections[at]), None, None)
    }
}

/// Attention of `heads` within sequences, or from sequences to the rows of others.
pub(super) fn within(
    sequences: &Arc<[Range<usize>]>,
    keys: Option<&Arc<[Range<usize>]>>,
    (width, heads): (usize, usize),
    causal: bool,
) -> Attention {
    Attention {
        sequences: sequences.clone(),
        key_sequences: keys.cloned(),
        heads,
        key_heads: heads,
        causal,
        hidden: None,
        scale: 1.0 / ((width / heads.max(1)) as f32).sqrt(),
    }
}
