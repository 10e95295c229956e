//! HSTU (Zhai et al., Actions Speak Louder than Words, ICML 2024): layers of pointwise attention over the events of a user.
//!
//! [`Hstu`] is the model on the trainer's tape. [`HstuInference`] is its inference path, plain calls of kernels without a tape:
//! keys and values of a history are kept in an [`HstuCache`], one new event costs a pass over them, and a
//! [`CandidateScorer`] scores many candidates in micro-batches (M-FALCON).

mod attention;
mod cache;
mod candidates;
mod config;
mod inference;
mod model;
mod ranking;
mod recommender;
mod speed;
#[cfg(test)]
mod tests;
mod time_bucket;

pub use attention::{PointwiseAttention, RelativeBias, pointwise_attention};
pub use cache::HstuCache;
pub use candidates::CandidateScorer;
pub use config::{HstuConfig, Variant, Weighting};
pub use inference::{HstuHistory, HstuInference};
pub use model::Hstu;
pub use ranking::{ActionRanker, Liked};
pub use recommender::HstuRecommender;
pub use speed::{CacheShape, CacheSpeed, measure_cache_speed};
pub use time_bucket::{ELAPSED_BUCKETS, TIME_BUCKETS, TimeBuckets, elapsed_bucket, time_bucket};

use crate::RecommenderSpec;
use crate::sequential::sas_rec::{check_saved, take_over};
use crate::sequential::{HEADS, LEARNING_OPTIONS, LearningSettings, SequenceRecommender, joined};
use config::OPTIONS;
use plackett_core::declaration::OptionSpec;
use plackett_train::Parameters;

/// Options of all models of sequences with attention, and then those of this one.
const ALL_OPTIONS: [OptionSpec; LEARNING_OPTIONS.len() + HEADS.len() + OPTIONS.len()] = joined(
    LEARNING_OPTIONS,
    joined::<{ HEADS.len() }, { OPTIONS.len() }, { HEADS.len() + OPTIONS.len() }>(HEADS, OPTIONS),
);

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "hstu",
    aliases: &["generative-recommender"],
    summary: "Layers of pointwise SiLU attention with biases for place and time and a gate, without a feed-forward; cosines with items under a sampled softmax.",
    paper: "Zhai et al., Actions speak louder than words, ICML 2024 (arXiv 2402.17152)",
    options: &ALL_OPTIONS,
    draws: true,
    reads_time: |options| options.choice("variant") == "production" || options.switch("time-bias"),
    check: |options, catalogue| {
        HstuConfig::check_unused(options)?;
        HstuConfig::of(options, catalogue).map(drop)
    },
    fit: |options, data, fitting| {
        let learning = LearningSettings::of(options, fitting.seed);
        let config = HstuConfig::of(options, data.catalogue)?;
        let mut parameters = Parameters::default();
        let model = Hstu::new(config, &mut parameters, fitting.seed)?;
        let (model, parameters) =
            SequenceRecommender::fit(model, parameters, &learning, data, fitting)?.into_parts();
        Ok(Box::new(HstuRecommender::new(&model, parameters)))
    },
    restore: |options, catalogue, saved| {
        check_saved(saved, catalogue, options.count("width"))?;
        let mut parameters = Parameters::default();
        let model = Hstu::new(HstuConfig::of(options, catalogue)?, &mut parameters, 0)?;
        take_over(&mut parameters, saved)?;
        Ok(Box::new(HstuRecommender::new(&model, parameters)))
    },
};
