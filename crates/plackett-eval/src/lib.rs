//! Ranking measures with stated policies, confidence intervals, paired tests and the offline report.
//!
//! Data flows one way: a [`plackett_core::Run`] and [`plackett_core::Qrels`] go through [`evaluate`], which gives one
//! [`Evaluation`] (values per query, means, intervals, and an account of everything that was missing, tied or left out);
//! [`compare()`] takes several of those; [`report`] prints them.
//!
//! ```
//! use plackett_eval::{Policy, evaluate, measure::parse_list};
//! use plackett_core::{Qrels, Run};
//!
//! let mut qrels = Qrels::new();
//! qrels.query_mut("q1").push("0", "d1", 1)?;
//! let mut run = Run::new("mine");
//! run.query_mut("q1").push("d2", 2.0)?;
//! run.query_mut("q1").push("d1", 1.0)?;
//! let evaluation = evaluate(&qrels, &run, &parse_list("RR nDCG@10")?, &Policy::default())?;
//! assert_eq!(evaluation.measures[0].mean, 0.5);
//! println!("{}", evaluation.policy); // ties=docno-desc missing=zero scores=f64 …
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod account;
mod agreement;
mod auc;
mod bleu;
mod both_orders;
pub mod calibration;
pub mod citation;
pub mod compare;
pub mod concordance;
pub mod correlation;
mod evaluate;
pub mod evidence;
mod interval;
mod judged;
mod judging;
mod list;
pub mod measure;
mod numbers;
mod policy;
mod preferred;
pub mod report;
mod results;
pub mod reward;
mod standard;
mod table;

pub use account::{Account, Depth};
pub use agreement::Agreement;
pub use auc::roc_auc;
pub use bleu::smoothed_bleu;
pub use both_orders::{BothOrders, Preferred};
pub use compare::{CompareOptions, Comparison, Correction, compare};
pub use evaluate::{EvalError, Evaluation, Evaluator, Measured, Texts, evaluate};
pub use interval::{Interval, IntervalOptions, Intervals};
pub use judged::JudgedRanking;
pub use list::list_ndcg;
pub use measure::Measure;
pub use numbers::mean;
pub use policy::{
    Compat, Duplicates, Missing, Policy, Precision, RecallCut, SelfMatch, TieRule, Unjudged, UnknownPolicy,
};
pub use preferred::{GroupCounts, PairSum, PreferenceCounts, Tally};
pub use results::{comparison_json, results_json};
pub use standard::standardise;
pub use table::{MeansTable, comparison_text, comparison_text_within};
