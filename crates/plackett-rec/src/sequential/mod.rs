//! Models on the trainer's tape that read a history in its order: batches, loss and training are the same for all, so that
//! they differ in the model alone.

mod batch;
mod fitted;
pub mod gru4rec;
mod normalize;
mod sampled_softmax;
pub mod sas_rec;
mod settings;
mod stochastic_length;
mod task;

pub use batch::SequenceBatch;
pub(crate) use fitted::MOST_SCORES;
pub use fitted::SequenceRecommender;
pub use normalize::normalize_rows;
pub use sampled_softmax::{NegativeSamples, sampled_softmax};
pub(crate) use settings::option as settings_option;
pub(crate) use settings::{HEADS, check_heads, check_next_items, check_size, joined};
pub use settings::{LEARNING_OPTIONS, LearningSettings};
pub use stochastic_length::StochasticLength;
pub use task::NextItemTask;

use plackett_train::nn::Mode;
use plackett_train::{ParameterId, Tape, Var};

/// A model that reads sequences of items.
pub trait SequenceModel: Send + Sync {
    /// The parameter with the vectors of the items: catalogue × width. Scores are cosines with them.
    fn items(&self) -> ParameterId;

    /// The most events that are read.
    fn max_length(&self) -> usize;

    /// What the model knows after each event of each sequence: events × width.
    fn forward(&self, tape: &Tape, batch: &SequenceBatch, mode: Mode) -> Var;
}

/// The key of what is drawn at one place of a model.
pub(crate) fn place_key(mode: Mode, place: u64) -> u64 {
    mode.key.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(place)
}
