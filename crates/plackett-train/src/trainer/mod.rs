//! The trainer: examples in an order that follows from the seed, steps, checkpoints from which a killed run goes on bit by
//! bit, a log of every step.

mod accumulation;
mod adapted_ranker;
mod bert_files;
mod bytes;
mod chat_files;
mod checkpoint;
mod checkpointing;
mod cross_encoder;
mod depth_measure;
mod dual_projection;
mod encoder_decoder;
mod evaluation;
mod examples;
mod feedback_task;
mod first_token_job;
mod first_token_task;
mod group_encoder;
mod group_file;
mod group_job;
mod guided_text;
mod job;
mod joined_hooks;
mod labelled_lists;
mod language_job;
mod language_model;
mod language_task;
mod list_ndcg;
mod listwise_job;
mod listwise_task;
mod log;
mod masked_language;
mod order;
mod pair_model;
mod phases;
mod read_outs;
mod run;
mod saved_adapter;
mod scored_decoder;
mod settings;
mod successor_scorer;
mod task;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_depths;
#[cfg(test)]
mod tests_of_evaluations;
#[cfg(test)]
mod tests_of_first_tokens;
#[cfg(test)]
mod tests_of_lists;
#[cfg(test)]
mod tests_of_saved_adapters;
#[cfg(test)]
mod tests_of_score_heads;
mod text_encoder;
mod trained;
mod vector_scorer;
mod view_ranker;
mod view_task;
mod word_tokenizer;
mod word_vocabulary;

pub use adapted_ranker::{AdaptedRanker, TrainedNumbers};
pub use bytes::{BYTE_VOCABULARY, END_OF_TEXT, decode_bytes, encode_bytes, held_out, windows_of_bytes};
pub use checkpoint::CHECKPOINT;
pub use checkpointing::Checkpointing;
pub use cross_encoder::{CrossEncoder, RankingTask};
pub use depth_measure::{DepthMeasure, TextMeasure, measure_depths};
pub use dual_projection::{Against, DualProjection, DualTask, Pairing, Side};
pub use encoder_decoder::{EncoderDecoderModel, FirstToken};
pub use evaluation::{Evaluated, Evaluation};
pub use examples::{
    Candidate, GivenReasoning, OrderedExample, RankingExample, TextExample, keep_negatives,
    read_ordered_examples, read_ranking_examples, read_text_examples, worths,
};
pub(crate) use examples::{foreign_label, taught_order, unshowable};
pub use feedback_task::{FeedbackExample, FeedbackLengths, FeedbackTask};
pub use first_token_job::FirstTokenJob;
pub use first_token_task::{FirstTokenTask, PromptedList};
pub use group_encoder::GroupEncoderShape;
pub use group_file::VectorOrigin;
pub use group_job::{GroupJob, GroupMeasure, TURNS};
pub use guided_text::{GuidedTask, GuidedText, PlanCondition};
pub use job::{CutTexts, Outcome, RankingJob};
pub(crate) use joined_hooks::Joined;
pub use language_job::{EXIT_HEADS, LanguageJob, OWN_HEADS};
pub use language_model::LanguageModel;
pub use language_task::LanguageTask;
pub use listwise_job::{ListwiseJob, ListwiseStart, SavedMeasure};
pub use listwise_task::{ListExample, ListMeasure, ListwiseTask, measure_lists};
pub use log::StepRecord;
pub use masked_language::{MaskedHead, MaskedLanguageTask};
pub use pair_model::{EncodedPair, PairModel};
pub use phases::{PHASE_ADAPTER, PhaseMember, PhaseRecord, phase_folder};
pub use read_outs::{ReadOuts, check_depths};
pub use run::{Hooks, Report, mean_loss, train, train_evaluated};
pub use saved_adapter::{MergedAdapters, MergedDifference, merge_saved_adapters, saved_adapter_file};
pub use scored_decoder::ScoredDecoder;
pub use settings::Settings;
pub use successor_scorer::{Embedding, GroupHead, GroupScorer, GroupShape, GroupTask, ItemGroup, RoundRobin};
pub use task::{StepLoss, Task, weighted_sum};
pub use text_encoder::TextEncoder;
pub use trained::{ADAPTER, Trained};
pub(crate) use trained::{check_mergeable, left_out, ranks_of};
pub use vector_scorer::{VectorList, VectorScorer, VectorTask, score_lists};
pub use view_ranker::{ViewRanker, ViewScores};
pub use view_task::{ViewExample, ViewTask};
pub use word_vocabulary::{EncodedWords, UNKNOWN_TOKEN, VOCABULARY_FILE, WordVocabulary, words_of};

/// The token before the first one that is written, which also pads.
pub const START_TOKEN: u32 = 0;

/// The token that ends what is written.
pub const END_TOKEN: u32 = 1;
