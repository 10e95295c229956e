//! Quantisers that are trained. The crates that train stand above this one, so that a [`Source`](crate::scheme::Source) brings along who does it.

use crate::IdsError;
use std::fmt;

/// How a residual quantiser with an autoencoder (RQ-VAE) is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AutoencoderSettings {
    /// Codebooks, one after the other.
    pub levels: usize,
    /// Codes of each.
    pub codes: usize,
    /// Numbers of a code's vector.
    pub width: usize,
    /// Steps of the training.
    pub steps: usize,
    /// Vectors of a step; all of them where there are fewer.
    pub batch: usize,
    /// The learning rate.
    pub rate: f32,
    /// From which weights, the beginning of codebooks and the order of vectors follow.
    pub seed: u64,
}

impl AutoencoderSettings {
    /// Widths of the encoder's layers between a vector and that of a code; the decoder has them the other way round.
    pub const HIDDEN: [usize; 3] = [256, 128, 64];
}

/// Who trains quantisers.
pub trait QuantizerTrainer: fmt::Debug {
    /// A quantiser that was learned from vectors (rows × dimension), one at least, whose numbers have a mean square of about 1.
    ///
    /// # Errors
    /// Settings that cannot be, or a loss that is no number.
    fn train(
        &self,
        rows: &[f32],
        dimension: usize,
        settings: &AutoencoderSettings,
    ) -> Result<Box<dyn TrainedQuantizer>, IdsError>;
}

/// A quantiser that was trained.
pub trait TrainedQuantizer {
    /// The codes of vectors (rows × levels), and what is left of each before the last level (rows × width).
    fn encode(&self, rows: &[f32]) -> (Vec<u32>, Vec<f32>);

    /// The vectors of the last codebook: codes × width.
    fn last_book(&self) -> &[f32];

    /// What comes back of vectors: as many numbers as they have.
    fn reconstruct(&self, rows: &[f32]) -> Vec<f32>;
}
