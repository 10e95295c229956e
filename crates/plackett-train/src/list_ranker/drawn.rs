//! Weights before training.

use crate::TrainError;
use crate::nn::{Initializer, WeightSource};

/// Weights of the last norm: logits over a temperature of 0.1 begin with a deviation of about 1, and not of 10.
const LAST_NORM: f32 = 0.1;

/// Draws the weights of a list ranker so that every sum has a variance of about 1. The map of sides begins as the identity: vectors of one
/// encoder are comparable before anything is learned.
pub struct Drawn(pub Initializer);

impl WeightSource for Drawn {
    fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
        Ok(match name {
            "sides.key.weight" => {
                (0..rows * columns).map(|at| if at / columns == at % columns { 1.0 } else { 0.0 }).collect()
            }
            "last_norm.weight" => vec![LAST_NORM; columns],
            _ if name.ends_with("norm.weight") => vec![1.0; columns],
            _ if name.ends_with(".bias") => vec![0.0; rows * columns],
            // Their inputs have the length 1, or are a few numbers near 1.
            "own.weight" | "sides.value.weight" | "signals.weight" | "start.weight" => {
                self.0.normal(rows * columns, 1.0)
            }
            _ => self.0.normal(rows * columns, (1.0 / columns.max(1) as f32).sqrt()),
        })
    }
}
