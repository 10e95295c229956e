//! What balanced codes are compared with: those of a residual quantiser with an autoencoder (RQ-VAE), learned from the same vectors.

use super::world::{LEVELS, SessionWorld};
use crate::recipe::error::StageError;
use crate::recipe::task::Task;
use plackett_genir::AutoencoderTrainer;
use plackett_ids::{AutoencoderSettings, TrainedQuantizer};
use plackett_train::Compute;
use std::collections::BTreeMap;

/// Numbers of a code's vector.
const WIDTH: usize = 32;
/// Films in a step, at most.
const BATCH: usize = 1024;
const RATE: f32 = 1e-3;

/// The entropy in nats of the first codes that such a quantiser gives to the world's films, as many codes as theirs; the fields `vae_steps` and `seed` of
/// the stage say how long it learns, and from what it is drawn.
///
/// # Errors
/// A world without films, or a loss that is no number.
pub fn vae_entropy(task: &Task<'_>, world: &SessionWorld, width: usize) -> Result<f64, StageError> {
    // The vectors have length 1; the quantiser expects numbers of about 1.
    let root = (width as f32).sqrt();
    let vectors: Vec<f32> = world.texts.iter().map(|x| x * root).collect();
    let settings = AutoencoderSettings {
        levels: LEVELS,
        codes: world.codes,
        width: WIDTH,
        steps: task.values.count("vae_steps"),
        batch: BATCH,
        rate: RATE,
        seed: task.values.count("seed") as u64,
    };
    let name = format!("{}, RQ-VAE", task.name);
    let told = |step: usize, of: usize| (task.progress)(&name, step as u64, of as u64);
    let compute = Compute::new(rayon::current_num_threads());
    let trained = AutoencoderTrainer::new(&compute, &told).fit(&vectors, width, &settings)?;
    let (codes, _) = trained.encode(&vectors);
    Ok(entropy(codes.into_iter().step_by(LEVELS)))
}

/// The entropy of how often codes come, in nats.
fn entropy(codes: impl Iterator<Item = u32>) -> f64 {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    codes.for_each(|code| *counts.entry(code).or_default() += 1);
    let all = counts.values().sum::<usize>() as f64;
    counts.values().map(|count| *count as f64 / all).map(|share| -share * share.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropies_by_hand() {
        assert!((entropy([7, 1, 1, 7].into_iter()) - 2f64.ln()).abs() < 1e-12);
        // −¾ ln ¾ − ¼ ln ¼.
        assert!((entropy([0, 0, 2, 0].into_iter()) - 0.562_335_144_618_808_3).abs() < 1e-12);
        assert_eq!(entropy([3, 3].into_iter()), 0.0);
        assert_eq!(entropy([].into_iter()), 0.0);
    }
}
