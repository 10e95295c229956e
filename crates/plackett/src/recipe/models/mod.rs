//! What kinds that train share: small decoders, fields and settings of trainings, what is learned from, and what is told of it afterwards.

pub mod embedding_examples;
pub mod policy_summary;
pub mod repeated_measures;
pub mod small_decoder;
pub mod stage_examples;
pub mod teacher;
pub mod training;
pub mod training_fields;
