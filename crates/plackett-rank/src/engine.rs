//! The engine's encoders as models of this crate.
