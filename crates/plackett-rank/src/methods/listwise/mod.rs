//! Listwise methods: several passages in one prompt, which the model puts in order, window by window.

mod answers;
pub(crate) mod dear;
pub(crate) mod first;
pub(crate) mod full_rank;
pub(crate) mod generation;
mod plan;
#[cfg(test)]
mod real;
pub(crate) mod reason_rank;
mod reasoned;
#[cfg(test)]
mod tests;
