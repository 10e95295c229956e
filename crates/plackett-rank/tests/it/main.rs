//! Tests of the rerankers. One binary: each is linked by itself, and that takes longer than most tests.

mod add_a_method;
mod engine;
mod language;
mod mvp;
mod noveleval;
mod rankers;
