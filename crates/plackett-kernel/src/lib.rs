//! The inner loops of the engines: matrix, attention and vector kernels for every instruction set, and the packed formats
//! of weights. This crate knows no model and no file; everything `unsafe` of the engines but the memory maps of weights is
//! here: SIMD microkernels behind safe functions that check every length first.
//!
//! Why not a matrix library: the kernels of `rten-gemm` pack the activations anew for every call and have no epilogue.
//! Here a tile (twelve rows by thirty-two columns, or what sixteen registers hold) stays in registers over the whole inner
//! dimension, reads the activations where they are (no packing), and hands each finished tile to its epilogue while it is
//! in the first-level cache.
//!
//! Every output element is one chain of multiply-adds in the order of the inner dimension. So a row's result does not
//! depend on which rows are computed beside it, nor on the number of threads.

mod attention;
mod blocks;
mod dense;
mod isa;
mod memory;
mod parallel;
mod precision;
mod product;
mod sizes;
mod tile;
mod vector;

pub use attention::cached::{CachedQueries, Int16, Numbers, Run, Segment};
pub use attention::one_query::{KeyRows, QueryPosition};
pub use attention::relative::{Relative, distance_bucket};
pub use attention::scratch::{CachedScratch, QUERY_ROWS};
pub use attention::whole::{AttentionScratch, Heads, Window, attend};
pub use blocks::formats::{BlockFormat, dequantize, type_name};
pub use dense::from_blocks::{BlockMatrix, MatrixError};
pub use dense::linear::{Linear, LinearScratch, quantize_weights};
pub use isa::Isa;
pub use memory::buffer::fit;
pub use memory::view::{as_f16, as_f32, as_i8, as_i16};
pub use parallel::{BufferPool, block_rows, for_each};
pub use precision::Precision;
pub use product::multiply::{Epilogue, FinishedTile, Start, multiply_panels};
pub use product::panels::Panels;
pub use product::transposed::multiply_transposed;
pub use sizes::{MOST_BLOCK_ROWS, ROUNDED_BYTES, TILE_COLUMNS, TILE_ROWS};
pub use vector::activation::Activation;
pub use vector::backward::{gelu_backward, silu_backward};
pub use vector::math::{add_layer_norm, dot, gelu_rows, layer_norm, normalize};
pub use vector::rotate::unrotate;
pub use vector::round::{MOST_OF_VALUE, most_of_key, round_row};
pub use vector::rows::{add, axpy, log_sum_exp, multiply, rms_norm, rotate_halves, softmax_row};
