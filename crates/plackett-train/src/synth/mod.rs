//! Training data that is made: click logs and grades from them, samples of documents and queries that are written for them,
//! answers of a model beside those of people, reasonings before the orders of lists.

pub mod answers;
mod click_log;
mod clicks;
mod diverse_sample;
mod grade_tree;
mod query_cleaning;
pub mod reasoning;

pub use click_log::{BadLine, ClickLog, LoggedQuery};
pub use clicks::{ClickFeatures, ClickModel, Impression, Session, aggregate, simulate};
pub use diverse_sample::{DiverseSample, WithinCluster, allocation, marginal_relevance, softmax_draw};
pub use grade_tree::{GradeTree, TreeOptions};
pub use query_cleaning::{MOST_QUERY_WORDS, QueryLetters, UselessQuery, clean_queries, clean_query};
