//! Weights of a list ranker before training.

use crate::TrainError;
use crate::nn::{Initializer, WeightSource};

/// Weights of the last norm: logits over a temperature of 0.1 begin with a deviation of about 1, and not of 10.
const LAST_NORM: f32 = 0.1;

/// How much of what was chosen attention adds in each layer before training.
const CHOSEN: f32 = 0.5;

/// Draws the weights of a list ranker so that every sum has a variance of about 1. Some maps begin with what is known beforehand, as the
/// paper's begin with those of a language model: that of sides is the identity, since vectors of one encoder are comparable; a candidate
/// that was chosen goes in as its opposite and attention adds it up, so that what is like it is pointed at less.
pub struct ListRankerInitializer(pub Initializer);

impl WeightSource for ListRankerInitializer {
    fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
        let diagonal = |number: f32| -> Vec<f32> {
            (0..rows * columns).map(|at| if at / columns == at % columns { number } else { 0.0 }).collect()
        };
        Ok(match name {
            "sides.key.weight" => diagonal(1.0),
            "input.weight" => diagonal(-1.0),
            _ if name.ends_with(".own.value.weight") => diagonal(1.0),
            _ if name.ends_with(".own.output.weight") => diagonal(CHOSEN),
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
