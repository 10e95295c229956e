//! The linear layers of encoders and decoders, each with a whole weight or with two factors in its place.

use crate::error::LmError;
use crate::files::factors::LED_UNIT;
use crate::files::weights::WeightSet;
use plackett_kernel::{Activation, Isa, Linear, LinearScratch, Precision};

/// One linear layer, or several of the same inputs with their outputs side by side: `y = activation(W x + b)` for rows x.
pub(crate) struct Projection {
    parts: Vec<Part>,
}

/// One of the layers that lie side by side.
pub(crate) struct Part {
    /// The first factor, rank × inputs, without a bias; `None` where the weight is whole.
    pub down: Option<Linear>,
    /// The second factor, outputs × rank, or whole weights: outputs × inputs.
    pub up: Linear,
}

impl Projection {
    /// Layers that were read elsewhere.
    pub(crate) fn of(parts: Vec<Part>) -> Projection {
        Projection { parts }
    }

    /// The layers of some names, each of outputs × inputs. Where all have whole weights, they are one matrix.
    ///
    /// # Errors
    /// A tensor is missing, or of another shape or number format.
    pub(crate) fn open(
        weights: &WeightSet,
        names: &[String],
        (outputs, inputs): (usize, usize),
        precision: Precision,
    ) -> Result<Projection, LmError> {
        let factors = |name: &String, rank: usize| {
            let [down, up] = [0, 1].map(|at| format!("{name}.{LED_UNIT}.{at}"));
            let down = weights.matrix(&[down], (rank, inputs), &[], precision)?;
            Ok(Part { down: Some(down), up: weights.linear(&[up], outputs, rank, precision)? })
        };
        let whole = |names: &[String]| weights.linear(names, outputs, inputs, precision);
        Projection::of_layers(names, |name| weights.rank(name), whole, factors)
    }

    /// Layers of which `rank` says which have two factors; `whole` reads some that have none as one matrix, and `factors` one that has them. Where none
    /// has, all are one matrix.
    ///
    /// # Errors
    /// What the readers say.
    pub(crate) fn of_layers<N>(
        layers: &[N],
        rank: impl Fn(&N) -> Option<usize>,
        whole: impl Fn(&[N]) -> Result<Linear, LmError>,
        factors: impl Fn(&N, usize) -> Result<Part, LmError>,
    ) -> Result<Projection, LmError> {
        if layers.iter().all(|layer| rank(layer).is_none()) {
            return Ok(Projection::of(vec![Part { down: None, up: whole(layers)? }]));
        }
        let one = |layer: &N| match rank(layer) {
            None => Ok(Part { down: None, up: whole(std::slice::from_ref(layer))? }),
            Some(rank) => factors(layer, rank),
        };
        Ok(Projection::of(layers.iter().map(one).collect::<Result<_, LmError>>()?))
    }

    /// Numbers out, of all layers.
    pub(crate) fn outputs(&self) -> usize {
        self.parts.iter().map(|part| part.up.outputs()).sum()
    }

    /// The matrices that a row goes through, in order.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &Linear> {
        self.parts.iter().flat_map(|part| part.down.iter().chain([&part.up]))
    }

    /// Most numbers of a row between two factors; 0 without such.
    pub(crate) fn widest_middle(&self) -> usize {
        let ranks = self.parts.iter().filter_map(|part| part.down.as_ref()).map(Linear::outputs);
        ranks.max().unwrap_or(0)
    }

    /// `rows` rows of `x`, `x_stride` apart, to rows of `y`, `y_stride` apart; `middle` is room for what is between two factors.
    /// The columns of a product are split over `workers`, which changes no number.
    pub(crate) fn apply(
        &self,
        (isa, workers): (Isa, usize),
        (x, x_stride): (&[f32], usize),
        rows: usize,
        (y, y_stride): (&mut [f32], usize),
        activation: Activation,
        (scratch, middle): (&mut LinearScratch, &mut Vec<f32>),
    ) {
        let mut column = 0;
        for Part { down, up } in &self.parts {
            let own = (&mut y[column..], y_stride);
            match down {
                None => up.apply_wide(isa, (x, x_stride), rows, own, activation, workers, scratch),
                Some(down) => {
                    let rank = down.outputs();
                    middle.resize(rows * rank, 0.0);
                    let between = (middle.as_mut_slice(), rank);
                    let none = Activation::None;
                    down.apply_wide(isa, (x, x_stride), rows, between, none, workers, scratch);
                    let between = (middle.as_slice(), rank);
                    up.apply_wide(isa, between, rows, own, activation, workers, scratch);
                }
            }
            column += up.outputs();
        }
    }
}
