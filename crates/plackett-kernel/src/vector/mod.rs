//! Numbers one after the other: activations, norms, sums, rotations and rounding of rows.

pub(crate) mod activation;
pub(crate) mod backward;
pub(crate) mod math;
pub(crate) mod rotate;
#[cfg(target_arch = "x86_64")]
mod rotate_x86;
pub(crate) mod round;
pub(crate) mod rows;
