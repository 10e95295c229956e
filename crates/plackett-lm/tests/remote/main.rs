//! Remote models against a server in this process: what is sent, what comes back, and everything that can go wrong
//! between.

mod behaviour;
mod damage;
mod interfaces;
mod mock;
