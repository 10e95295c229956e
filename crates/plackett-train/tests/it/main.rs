//! Tests of training through its public interface. One binary: each is linked by itself, and that takes longer than most
//! tests.

mod golden;
mod parity;
mod saved;
