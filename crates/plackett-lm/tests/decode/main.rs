//! Constrained decoding on a model of random logits: every output is read back by a parser of its own, searches are
//! compared with enumeration, and runs repeat bit for bit.

mod constraints;
mod free_text;
mod real;
mod searches;
mod tables;
mod vocabulary;
