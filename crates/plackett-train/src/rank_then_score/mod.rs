//! Rank2Score: a scorer of items that come in groups (answers to one prompt, summaries of one article), with graded labels of several
//! dimensions of which some may be missing. It learns first their order, from easy pairs to hard ones, then their scale.

mod curriculum;
mod job;
mod losses;
mod model;
#[cfg(test)]
mod tests;

pub use curriculum::{Curriculum, CurriculumState, Knobs};
pub use job::{EpochRecord, RankThenScore, Stages, Trained};
pub use losses::{consistency, contrastive_regression, margin_rank};
pub use model::{Head, LevelScorer};

/// An item with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledItem {
    /// Which group it belongs to.
    pub group: usize,
    /// Its features, as many as those of every other item.
    pub features: Vec<f32>,
    /// A label for each dimension; `None` where the dimension does not apply.
    pub labels: Vec<Option<f32>>,
}
