//! Tests of the evaluator. One binary: each is linked by itself, and that takes longer than most tests.

mod by_hand;
mod degenerate_cases;
mod golden_measures;
mod golden_statistics;
mod golden_trec_eval_10;
mod properties;
mod report;
