//! What a branch wanted of the logits of the whole vocabulary, and the most probable token.

use crate::decode::model::{Branch, LogitIds};
use crate::error::LmError;
use plackett_kernel::{Isa, log_sum_exp};

/// The logits that a branch wanted, and their normaliser where it wanted that; nothing of a branch that wanted none.
pub(super) fn wanted(isa: Isa, branch: &Branch, logits: &[f32]) -> (Vec<f32>, Option<f64>) {
    if logits.is_empty() {
        return (Vec::new(), None);
    }
    let picked = match branch.logit_ids {
        LogitIds::All => logits.to_vec(),
        LogitIds::Only(ids) => ids.iter().map(|id| logits[*id as usize]).collect(),
        LogitIds::None => Vec::new(),
    };
    (picked, branch.normalizer.then(|| log_sum_exp(isa, logits)))
}

/// Whether a branch wants anything after its last token.
pub(super) fn wants_logits(branch: &Branch) -> bool {
    branch.normalizer || branch.logit_ids != LogitIds::None
}

/// Refuses ids that the vocabulary does not have: they would be read from a row of it.
pub(super) fn check_ids(branches: &[Branch], vocabulary: usize) -> Result<(), LmError> {
    for (index, branch) in branches.iter().enumerate() {
        if let LogitIds::Only(ids) = branch.logit_ids
            && let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary)
        {
            return Err(LmError::Argument(format!(
                "branch {index}: token {id} is beyond the vocabulary of {vocabulary}"
            )));
        }
    }
    Ok(())
}

/// The most probable token, of equal ones that of the lowest id, and its probability.
pub(super) fn best(isa: Isa, logits: &[f32]) -> (u32, f64) {
    let mut best = 0;
    for (at, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = at;
        }
    }
    let logit = logits.get(best).copied().map_or(f64::NEG_INFINITY, f64::from);
    (best as u32, (logit - log_sum_exp(isa, logits)).exp())
}
