//! Collections as kinds read them: texts with queries and judgments, pairs of questions and passages, lists with grades, pictures.

pub mod dataset;
pub mod digits;
pub mod docids;
pub mod document_part;
pub mod feature_lists;
pub mod judged_lists;
pub mod parallel_texts;
pub mod question_pairs;
pub mod word_weights;
