//! Early stopping (Prechelt, Early Stopping, But When?, 1998): a model is evaluated from time to time while it is trained, the best
//! weights are kept, and without gain the training stops.

use super::list_ndcg::{MEASURE, ScoredLists, has_ndcg, mean_ndcg};
use super::{Task, mean_loss};
use crate::TrainError;
use crate::tape::{Compute, ParameterId, Parameters};
use std::sync::Arc;

/// What measures weights.
type Measuring<'e> = Box<dyn FnMut(&Parameters) -> Result<f64, TrainError> + 'e>;

/// How a model is evaluated while it is trained.
pub struct Evaluation<'e> {
    /// What is measured, in a user's words.
    pub measure: &'static str,
    /// Whether a greater value is better.
    pub greater_is_better: bool,
    /// Measures the weights.
    pub value: Measuring<'e>,
}

impl<'e> Evaluation<'e> {
    /// The mean loss of examples that are not learned from, so many of them in a pass.
    pub fn of_loss(task: &'e dyn Task, compute: &'e Arc<Compute>, batch: usize) -> Evaluation<'e> {
        Evaluation {
            measure: "validation loss",
            greater_is_better: false,
            value: Box::new(move |parameters| mean_loss(task, compute, parameters, batch)),
        }
    }

    /// The mean nDCG@10 of lists that are not learned from, so many of them in a pass; their loss where no list has a label above 0.
    pub(super) fn of_lists<T: ScoredLists>(
        task: &'e T,
        compute: &'e Arc<Compute>,
        batch: usize,
    ) -> Evaluation<'e> {
        if !has_ndcg(task) {
            return Evaluation::of_loss(task, compute, batch);
        }
        Evaluation {
            measure: MEASURE,
            greater_is_better: true,
            value: Box::new(move |parameters| Ok(mean_ndcg(task, compute, parameters, batch))),
        }
    }
}

/// What came of the evaluations of the last phase of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluated {
    /// What was measured.
    pub measure: &'static str,
    /// The phase, from 1.
    pub phase: usize,
    /// The step of the phase after which the model was best; its weights are those that are left.
    pub best: usize,
    /// The measure after that step.
    pub value: f64,
    /// The step after which the phase was stopped; `None` where it went to its end.
    pub stopped: Option<usize>,
}

/// The best weights of a phase so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The step of the phase, from 1.
    pub step: usize,
    /// The measure.
    pub value: f64,
    /// Evaluations since then.
    pub since: usize,
    /// What is trainable.
    pub weights: Arc<Vec<(ParameterId, Vec<f32>)>>,
}

impl Best {
    /// What is known after another evaluation: the old one without gain, or the weights of now.
    pub fn after(
        best: Option<Best>,
        (step, value): (usize, f64),
        greater_is_better: bool,
        parameters: &Parameters,
    ) -> Best {
        let is_gain = |best: &Best| if greater_is_better { value > best.value } else { value < best.value };
        match best {
            Some(best) if !is_gain(&best) => Best { since: best.since + 1, ..best },
            _ => {
                let trainable = parameters.iter().filter(|(_, parameter)| parameter.trainable);
                let weights = trainable.map(|(id, parameter)| (id, parameter.value.to_vec())).collect();
                Best { step, value, since: 0, weights: Arc::new(weights) }
            }
        }
    }

    /// Puts its weights in place of those of now.
    pub fn put_into(&self, parameters: &mut Parameters) {
        for (id, values) in self.weights.iter() {
            parameters[*id].values_mut().copy_from_slice(values);
        }
    }
}
