//! Training data that is made: click logs and grades from them, samples of documents to make queries for.

mod calibration_tree;
mod clicks;
mod diverse_sample;

pub use calibration_tree::{CalibrationTree, TreeOptions};
pub use clicks::{ClickFeatures, ClickModel, Impression, Session, aggregate, simulate};
pub use diverse_sample::{DiverseSample, allocation, marginal_relevance, softmax_draw};
