//! The operations of the engine on the kernels of this machine.

pub mod activation;
pub mod attention;
mod columns;
mod distance;
pub mod linear;
pub mod log_probabilities;
pub mod norm;
pub mod rotary;
pub mod rows;
#[cfg(test)]
mod tests;
