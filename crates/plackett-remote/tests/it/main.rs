//! Servers as models: against a scripted server, and against a real one where its package can be installed.

mod behaviour;
mod damage;
mod interfaces;
mod mock;
mod real;
#[path = "../../../plackett-lm/tests/it/support/smollm2.rs"]
mod smollm2;
