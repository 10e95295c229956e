//! Dense layers: weights packed in the order in which a tile reads them, in f32, in int8, or in the blocks of a GGUF file.

pub(crate) mod blockwise;
pub(crate) mod from_blocks;
pub(crate) mod layout;
pub(crate) mod linear;
mod output;
pub(crate) mod packed;
#[cfg(target_arch = "x86_64")]
mod packed_avx2;
#[cfg(target_arch = "x86_64")]
mod packed_avx512;
mod select;
#[cfg(test)]
mod speed_tests;
