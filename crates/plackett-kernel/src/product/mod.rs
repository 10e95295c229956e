//! Products of f32 matrices for training: a right-hand matrix is packed anew for each step, the left-hand one is read where
//! it lies, and gradients of weights are added to what is there.
//!
//! Every output element is one chain of fused multiply-adds in the order of the inner dimension, whatever the blocks, the
//! instruction set and the number of workers. So results are the same to the last bit on any machine that has the threads or
//! the registers of another one.

mod blocks;
pub(crate) mod multiply;
pub(crate) mod panels;
mod shared;
#[cfg(test)]
mod tests;
mod tile;
pub(crate) mod transposed;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Numbers of a matrix. Lengths of slices are checked against it, so it must not wrap around.
fn area(rows: usize, columns: usize) -> usize {
    rows.checked_mul(columns).expect("no slice holds a matrix of so many numbers")
}

/// The length of equal parts of `total`, none longer than `most`.
fn equal_parts(total: usize, most: usize) -> usize {
    total.div_ceil(total.div_ceil(most).max(1)).max(1)
}
