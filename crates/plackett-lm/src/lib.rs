//! The native inference engine.
