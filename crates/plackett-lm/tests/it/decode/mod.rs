//! Constrained decoding on random logits and on an engine with random weights: every output is read back by a parser of
//! its own, searches are compared with enumeration, and runs repeat bit for bit.

mod constraints;
mod engine;
mod free_text;
mod real;
mod repeat;
mod searches;
mod tables;
mod vocabulary;
