//! Which weights matter for which texts.

use super::answers::{AnswerBatch, TokenPair};
use super::task::Pairing;
use crate::TrainError;
use crate::adapter::{Importance, Site, Texts};
use crate::nn::Llama;
use crate::tape::{Compute, Gradients, ParameterId, Parameters, Tape};
use std::sync::Arc;
use std::time::Instant;

/// What a pass over all answers found, and what it cost.
#[derive(Clone, Debug)]
pub struct ImportancePass {
    /// The importance of every number of the weights.
    pub importance: Importance,
    /// Backward passes that were taken.
    pub passes: usize,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Measures the importance of weights for the answers to be forgotten and for those to be kept: one epoch over the former in
/// batches, each with as many random ones of the latter; the squares of a batch's mean gradients, times its number of tokens,
/// are added up (LoKU, Section 3.3; batches of two in the authors' code, on whose size the squares depend). No step is taken, and
/// what was trainable is so afterwards.
///
/// # Errors
/// There is nothing to forget or to keep, or a loss is no number.
pub fn measure_importance(
    llama: &Llama,
    parameters: &mut Parameters,
    weights: &[ParameterId],
    (forget, retain): (&[TokenPair], &[TokenPair]),
    (batch, seed): (usize, u64),
    compute: &Arc<Compute>,
) -> Result<ImportancePass, TrainError> {
    if forget.is_empty() || retain.is_empty() {
        let problem = "importance is measured on answers to be forgotten and answers to be kept, and one of them is missing";
        return Err(TrainError::Setting(problem.into()));
    }
    let begun = Instant::now();
    let before: Vec<bool> = parameters.iter().map(|(_, parameter)| parameter.trainable).collect();
    for (id, parameter) in parameters.iter_mut() {
        parameter.trainable = weights.contains(&id);
    }
    let mut pass = ImportancePass { importance: Importance::default(), passes: 0, seconds: 0.0 };
    let done =
        accumulate(llama, parameters, weights, (forget, retain), (batch.max(1), seed), compute, &mut pass);
    for ((_, parameter), trainable) in parameters.iter_mut().zip(before) {
        parameter.trainable = trainable;
    }
    pass.seconds = begun.elapsed().as_secs_f64();
    done.map(|()| pass)
}

fn accumulate(
    llama: &Llama,
    parameters: &Parameters,
    weights: &[ParameterId],
    (forget, retain): (&[TokenPair], &[TokenPair]),
    (batch, seed): (usize, u64),
    compute: &Arc<Compute>,
    pass: &mut ImportancePass,
) -> Result<(), TrainError> {
    let pairing = Pairing::new(seed);
    let mut gradients = Gradients::default();
    for (nth, forgotten) in forget.chunks(batch).enumerate() {
        let first = (nth * batch) as u64;
        let partner = |at: usize| &retain[pairing.partner(first + at as u64, retain.len())];
        let kept: Vec<TokenPair> = (0..forgotten.len()).map(|at| partner(at).clone()).collect();
        for (texts, pairs) in [(Texts::Forget, forgotten), (Texts::Retain, &kept[..])] {
            let batch = AnswerBatch::new(pairs);
            let tape = Tape::new(parameters, compute);
            let hidden = llama.hidden(&tape, &batch.tokens);
            let logs = llama.log_probabilities(&tape, &hidden, &batch.targets);
            let loss = tape.scale(&tape.mean(&logs), -1.0);
            if !loss.item().is_finite() {
                let problem =
                    format!("the loss of a batch is {}, so that no weight has an importance", loss.item());
                return Err(TrainError::Model(problem));
            }
            gradients.clear();
            tape.backward(&loss, &mut gradients);
            pass.importance.add(texts, &gradients, weights, batch.targets.len());
            pass.passes += 1;
        }
    }
    Ok(())
}

/// What each row of each layer counts in FILA's low-rank problem, and with the two kinds of texts in each other's place, for
/// the layers in order.
pub fn row_weights(
    importance: &Importance,
    sites: &[Site],
    epsilon: f64,
    relative: bool,
) -> Vec<[Vec<f64>; 2]> {
    let swapped = importance.swapped();
    let of = |importance: &Importance, site: &Site| {
        importance.row_weights(site.weight, site.inputs, epsilon, relative).unwrap_or_default()
    };
    sites.iter().map(|site| [of(importance, site), of(&swapped, site)]).collect()
}
