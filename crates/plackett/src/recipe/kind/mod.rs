//! Kinds of stages, one file each; this is the one list of them.

mod adapter_quality;
mod agreement;
mod align_pointer_ranker;
mod align_sessions;
mod answers;
mod attention;
mod byte_decoder;
mod category_paths;
mod clicks;
mod content_planner;
mod content_plans;
mod continue_pages;
mod corpus_pretraining;
mod cost;
mod data;
mod decoder_depths;
mod difference;
mod digit_encoder;
mod diverse_sample;
mod evaluate;
mod event_cache;
mod facets;
mod factorize;
mod film_lists;
mod film_policy;
mod fix_retriever;
mod floor;
mod generate;
mod generate_with_paths;
mod generated_queries;
mod generative_retriever;
mod graded_lists;
mod heads;
mod identifiers;
mod imitate_reasoning;
mod incremental_docids;
mod index;
mod judge_auc;
mod judged_negatives;
mod language_continuations;
mod language_module;
mod learn_features;
mod linformer_speed;
mod linked_pages;
mod list_reranker;
mod marked_abstractor;
mod memorize;
mod mental_retrieval;
mod mined_negatives;
mod modular_rank;
mod next_code;
mod next_item;
mod next_policy;
mod next_reward;
mod next_title;
mod optimize_relevance;
mod oracle;
mod order_groups;
mod over_seeds;
mod page_retrieval;
mod parallel_collection;
mod patch_reranker;
mod pointer_checks;
mod pointer_rank;
mod pointer_ranker;
mod prefix_ranker;
mod projection;
mod question_passages;
mod rank;
mod rank_actions;
mod rank_then_score;
mod ranking_module;
mod rate_votes;
mod recommend;
mod repeat_stream;
mod rescored_decoding;
mod residual_codes;
mod retrieve;
mod reward_reasoning;
mod route;
mod scores;
mod search_recommend;
mod session_rewards;
mod set_identifiers;
mod simulate;
mod slot_speed;
mod stability;
mod strange_feedback;
mod summaries;
mod summary_reranker;
mod text_vectors;
mod timing;
mod train;
mod train_decoder;
mod train_embedder;
mod train_in_context;
mod train_listwise;
mod train_views;
mod trained_rank;
mod unlearn;
mod vectors;
mod write_sessions;
mod written_answers;

use super::error::StageError;
use super::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use super::models::training_fields::seed;
use super::registry::{Hashes, StageKind};
use super::running::inputs::{dataset_of, rankings_of};
use super::task::Environment;

/// Every kind of stage, in the order in which recipes use them.
pub static STAGE_KINDS: &[&StageKind] = &[
    &data::DATA,
    &question_passages::QUESTION_PASSAGES,
    &graded_lists::GRADED_LISTS,
    &index::INDEX,
    &train::TRAIN,
    &train_embedder::TRAIN_EMBEDDER,
    &train_views::TRAIN_VIEWS,
    &factorize::FACTORIZE,
    &adapter_quality::ADAPTER_QUALITY,
    &digit_encoder::DIGIT_ENCODER,
    &linformer_speed::LINFORMER_SPEED,
    &learn_features::LEARN_FEATURES,
    &order_groups::ORDER_GROUPS,
    &projection::TRAIN_PROJECTION,
    &projection::PROJECT,
    &train_decoder::TRAIN_DECODER,
    &train_in_context::TRAIN_IN_CONTEXT,
    &train_listwise::TRAIN_LISTWISE,
    &decoder_depths::DECODER_DEPTHS,
    &memorize::MEMORIZE,
    &unlearn::UNLEARN,
    &retrieve::RETRIEVE,
    &rank::RANK,
    &strange_feedback::STRANGE_FEEDBACK,
    &trained_rank::TRAINED_RANK,
    &oracle::ORACLE,
    &evaluate::EVALUATE,
    &cost::COST,
    &timing::TIMING,
    &scores::SCORES,
    &agreement::AGREEMENT,
    &difference::DIFFERENCE,
    &difference::QUOTIENT,
    &difference::MEAN,
    &over_seeds::OVER_SEEDS,
    &attention::ATTENTION,
    &heads::HEADS,
    &answers::ANSWERS,
    &facets::FACETS,
    &pointer_ranker::POINTER_RANKER,
    &align_pointer_ranker::ALIGN_POINTER_RANKER,
    &pointer_rank::POINTER_RANK,
    &rate_votes::RATE_VOTES,
    &route::ROUTE,
    &mental_retrieval::MENTAL_RETRIEVAL,
    &written_answers::WRITTEN_ANSWERS,
    &parallel_collection::PARALLEL_COLLECTION,
    &language_module::LANGUAGE_MODULE,
    &ranking_module::RANKING_MODULE,
    &modular_rank::MODULAR_RANK,
    &rank_then_score::RANK_THEN_SCORE,
    &text_vectors::TEXT_VECTORS,
    &judge_auc::JUDGE_AUC,
    &judged_negatives::JUDGED_NEGATIVES,
    &list_reranker::LIST_RERANKER,
    &language_continuations::LANGUAGE_CONTINUATIONS,
    &prefix_ranker::PREFIX_RANKER,
    &rescored_decoding::RESCORED_DECODING,
    &content_plans::CONTENT_PLANS,
    &summary_reranker::SUMMARY_RERANKER,
    &content_planner::CONTENT_PLANNER,
    &marked_abstractor::MARKED_ABSTRACTOR,
    &fix_retriever::FIX_RETRIEVER,
    &patch_reranker::PATCH_RERANKER,
    &diverse_sample::DIVERSE_SAMPLE,
    &generated_queries::GENERATED_QUERIES,
    &mined_negatives::MINED_NEGATIVES,
    &summaries::SUMMARIES,
    &clicks::CLICKS,
    &film_lists::FILM_LISTS,
    &film_policy::FILM_POLICY,
    &next_title::NEXT_TITLE,
    &residual_codes::RESIDUAL_CODES,
    &next_code::NEXT_CODE,
    &next_policy::NEXT_POLICY,
    &imitate_reasoning::IMITATE_REASONING,
    &reward_reasoning::REWARD_REASONING,
    &category_paths::CATEGORY_PATHS,
    &generative_retriever::GENERATIVE_RETRIEVER,
    &optimize_relevance::OPTIMIZE_RELEVANCE,
    &generate::GENERATE,
    &generate_with_paths::GENERATE_WITH_PATHS,
    &incremental_docids::INCREMENTAL_DOCIDS,
    &linked_pages::LINKED_PAGES,
    &corpus_pretraining::CORPUS_PRETRAINING,
    &continue_pages::CONTINUE_PAGES,
    &page_retrieval::PAGE_RETRIEVAL,
    &identifiers::IDENTIFIERS,
    &next_item::NEXT_ITEM,
    &recommend::RECOMMEND,
    &floor::FLOOR,
    &repeat_stream::REPEAT_STREAM,
    &rank_actions::RANK_ACTIONS,
    &set_identifiers::SET_IDENTIFIERS,
    &slot_speed::SLOT_SPEED,
    &search_recommend::SEARCH_RECOMMEND,
    &session_rewards::SESSION_REWARDS,
    &write_sessions::WRITE_SESSIONS,
    &align_sessions::ALIGN_SESSIONS,
    &event_cache::EVENT_CACHE,
    &stability::STABILITY,
    &simulate::SIMULATE,
];

/// The field of kinds that read candidates.
const CANDIDATES: FieldSpec = FieldSpec::required(
    "candidates",
    FieldKind::Stage(&[OutputKind::Data, OutputKind::Rankings]),
    "where they come from",
);
/// How many of them.
const DEPTH: FieldSpec = FieldSpec::new(
    "depth",
    FieldKind::Whole(0, i64::MAX),
    Default::Whole(0),
    "candidates a query, from the best; 0 for all",
);
/// How much of each.
const WORDS: FieldSpec = FieldSpec::new(
    "words",
    FieldKind::Whole(0, i64::MAX),
    Default::Whole(0),
    "words of a document that are read; 0 for all",
);

/// The encoder that a kind makes another one of.
const ENCODER: FieldSpec =
    FieldSpec::new("model", FieldKind::Text, Default::Text("all-MiniLM-L6-v2"), "the encoder to begin with");
/// What is drawn.
const SEED: FieldSpec = seed("from which what is drawn follows");

/// The weights of the field [`ENCODER`].
fn encoder_fingerprint(values: &Values, environment: &Environment) -> Result<Hashes, StageError> {
    Ok(vec![("model".into(), environment.fingerprint(values.word("model"))?)])
}

/// The names of numbers that a kind gives of each of its `runs`.
fn each_run(values: &Values, numbers: &[&str]) -> Vec<String> {
    let of_run = |run: &&str| numbers.iter().map(|number| format!("{run}/{number}")).collect::<Vec<_>>();
    values.texts("runs").iter().flat_map(of_run).collect()
}

/// Rough time of a model over texts, in seconds: two operations for each weight and token, at a rate that two cores reach.
/// Encoders of some megabytes and decoders of some hundred are off by less than a factor of three.
pub fn model_seconds(bytes: u64, texts: usize, words: usize) -> f64 {
    const OPERATIONS_A_SECOND: f64 = 6e10;
    const TOKENS_A_WORD: f64 = 1.4;
    // Most weights that are run on this engine have about one byte.
    let tokens = texts as f64 * words as f64 * TOKENS_A_WORD;
    2.0 * bytes as f64 * tokens / OPERATIONS_A_SECOND
}

/// Words of a passage where nothing says how many.
pub const USUAL_WORDS: usize = 120;
