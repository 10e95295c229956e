//! The inner loops. Everything `unsafe` of this crate but the memory map of the weights is here: SIMD microkernels behind
//! safe functions that check every length first.
//!
//! Why not a matrix library: the kernels of `rten-gemm` pack the activations anew for every call and have no epilogue.
//! Here a tile (twelve rows by thirty-two columns, or what sixteen registers hold) stays in registers over the whole inner
//! dimension, reads the activations where they are (no packing), and hands each finished tile to its epilogue while it is
//! in the first-level cache.
//!
//! Every output element is one chain of multiply-adds in the order of the inner dimension. So a row's result does not
//! depend on which rows are computed beside it, nor on the number of threads.
#![allow(unsafe_code)]

mod activation;
mod attention;
mod blockwise;
mod buffer;
mod cached;
mod cached_f32;
mod cached_i16;
mod epilogue;
mod from_gguf;
mod layout;
mod linear;
mod one_query;
mod output;
mod packed;
#[cfg(target_arch = "x86_64")]
mod packed_avx2;
#[cfg(target_arch = "x86_64")]
mod packed_avx512;
mod pairs;
mod portable;
mod relative;
mod rotate;
mod round;
mod rows;
mod select;
#[cfg(test)]
mod speed_tests;
mod vector;
mod view;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_pairs;

pub(crate) use activation::Activation;
pub(crate) use attention::{AttentionScratch, Heads, Window, attend};
pub(crate) use buffer::fit;
pub(crate) use cached::{CachedQueries, CachedScratch, Int16, Numbers, QUERY_ROWS, Run, Segment};
pub(crate) use from_gguf::GgufRows;
pub(crate) use linear::{Linear, LinearScratch, quantize_weights};
pub(crate) use one_query::{KeyRows, QueryPlace};
pub(crate) use relative::Relative;
pub(crate) use rotate::unrotate;
pub(crate) use round::{MOST_OF_VALUE, most_of_key, round_row};
pub(crate) use rows::{add, log_sum_exp, multiply, rms_norm, rotate_halves};
pub(crate) use vector::{add_layer_norm, layer_norm, normalize};
pub(crate) use view::{as_f16, as_f32, as_i8, as_i16};

use epilogue::Columns;
use std::sync::OnceLock;

/// Rows of a register tile.
pub(crate) const TILE_ROWS: usize = 12;
/// Columns of a register tile, and of a packed panel of weights.
pub(crate) const TILE_COLUMNS: usize = 32;

/// Most rows of one pass through the dense layers: inputs, the widest outputs and a panel of weights fit a second-level
/// cache of 1 MiB together. Larger blocks were slower by up to a tenth in f32; smaller ones, too, where that cache is half
/// as large.
pub(crate) const MOST_BLOCK_ROWS: usize = 5 * TILE_ROWS;

/// Bytes that a rounded activation takes, with the widened one that some instruction sets need: a memory budget counts both
/// everywhere, so that the same model and texts fit on every machine.
pub(crate) const ROUNDED_BYTES: usize = 3;

/// Instruction sets that have kernels of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 F, BW and VNNI: 16 f32 or 64 int8 multiply-adds an instruction.
    Avx512Vnni,
    /// AVX-512 F and BW without VNNI: int8 runs on the AVX2 kernel.
    Avx512,
    /// AVX2, FMA and F16C. Int8 products are widened to 16 bits first, because `vpmaddubsw` saturates.
    Avx2,
    /// Plain Rust.
    Portable,
}

impl Isa {
    /// The best instruction set of this machine. `PLACKETT_ISA` (`avx512vnni`, `avx512`, `avx2`, `portable`) lowers it.
    pub fn detect() -> Isa {
        static ISA: OnceLock<Isa> = OnceLock::new();
        *ISA.get_or_init(|| {
            let best = Isa::best();
            match std::env::var("PLACKETT_ISA").as_deref() {
                Ok("portable") => Isa::Portable,
                Ok("avx2") if best != Isa::Portable => Isa::Avx2,
                Ok("avx512") if best == Isa::Avx512Vnni => Isa::Avx512,
                _ => best,
            }
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn best() -> Isa {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && Isa::has_avx2() {
            if is_x86_feature_detected!("avx512vnni") { Isa::Avx512Vnni } else { Isa::Avx512 }
        } else if Isa::has_avx2() {
            Isa::Avx2
        } else {
            Isa::Portable
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn best() -> Isa {
        Isa::Portable
    }

    /// Rows that go over a panel of weights together. With sixteen registers a pass of six rows takes sixteen columns of it
    /// only, which stay in the cache for as many rows as there are.
    fn panel_rows(self) -> usize {
        if self == Isa::Avx2 { MOST_BLOCK_ROWS } else { TILE_ROWS }
    }

    /// Columns of a strip of a panel of f32: what the kernel reads in one go lies in one piece.
    fn strip_f32(self) -> usize {
        if self == Isa::Avx2 { 16 } else { TILE_COLUMNS }
    }

    /// The same of int8.
    fn strip_i8(self) -> usize {
        if self.widens() { 8 } else { TILE_COLUMNS }
    }

    /// Whether int8 products are made from activations of 16 bits.
    fn widens(self) -> bool {
        matches!(self, Isa::Avx2 | Isa::Avx512)
    }

    /// A name for people.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512Vnni => "AVX-512 with VNNI",
            Isa::Avx512 => "AVX-512",
            Isa::Avx2 => "AVX2",
            Isa::Portable => "portable",
        }
    }
}

/// Rows of some matrix: `rows` rows of `depth` numbers, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    data: &'a [T],
    stride: usize,
    depth: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Panics when the data do not hold the last row; all callers size their buffers themselves.
    pub(crate) fn new(data: &'a [T], rows: usize, stride: usize, depth: usize) -> Self {
        assert!(depth <= stride && (rows == 0 || data.len() >= (rows - 1) * stride + depth));
        Rows { data, stride, depth }
    }
}

/// Weights of 32 outputs: strips of `width` of them side by side, each `[depth][width]`, or `[depth / 4][width][4]` of int8.
#[derive(Clone, Copy)]
struct Panel<'a, T> {
    weights: &'a [T],
    width: usize,
}

impl<'a, T> Panel<'a, T> {
    /// One of several panels of the same size.
    fn of(all: &'a [T], index: usize, depth: usize, width: usize) -> Self {
        Panel { weights: &all[index * depth * TILE_COLUMNS..][..depth * TILE_COLUMNS], width }
    }

    /// One strip.
    fn whole(weights: &'a [T]) -> Self {
        Panel { weights, width: TILE_COLUMNS }
    }

    fn strips(self, depth: usize) -> std::slice::ChunksExact<'a, T> {
        self.weights.chunks_exact((depth * self.width).max(1))
    }

    /// Panics when the panel is not as deep as the rows that it meets, or its strips are no part of a panel.
    fn check(self, depth: usize) {
        assert!([8, 16, TILE_COLUMNS].contains(&self.width) && self.weights.len() >= depth * TILE_COLUMNS);
    }
}

/// Where a tile is written: rows of 32 numbers, `stride` apart.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
struct Output {
    y: *mut f32,
    stride: usize,
}

impl Output {
    /// Panics when `y` does not hold `count` such rows.
    fn new(y: &mut [f32], stride: usize, count: usize) -> Output {
        assert!(count == 0 || y.len() >= (count - 1) * stride + TILE_COLUMNS);
        Output { y: y.as_mut_ptr(), stride }
    }
}

/// Rows of 32 numbers to read, `stride` apart.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
struct Far {
    at: *const f32,
    stride: usize,
}

impl Far {
    /// # Safety
    /// As of [`pointer::add`].
    #[cfg(target_arch = "x86_64")]
    unsafe fn add(self, numbers: usize) -> Far {
        Far { at: unsafe { self.at.add(numbers) }, ..self }
    }
}

/// `start` plus the products of `count` rows ([`Isa::panel_rows`] or fewer), from `first`, with one panel of f32; to rows
/// of `y`.
fn tile_f32(
    isa: Isa,
    a: Rows<f32>,
    (first, count): (usize, usize),
    panel: Panel<f32>,
    start: &[f32; TILE_COLUMNS],
    (y, y_stride): (&mut [f32], usize),
) {
    panel.check(a.depth);
    assert!(count <= isa.panel_rows() && panel.width >= 16);
    assert!(count == 0 || a.data.len() >= (first + count - 1) * a.stride + a.depth);
    let out = Output::new(y, y_stride, count);
    let rows = &a.data[first * a.stride..];
    let weights = Far { at: panel.weights.as_ptr(), stride: panel.width };
    let begin = Far { at: start.as_ptr(), stride: 0 };
    match isa {
        // SAFETY: the rows, the panel and the output were checked above; the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni | Isa::Avx512 if panel.width == TILE_COLUMNS => unsafe {
            x86::tile_f32_avx512(rows.as_ptr(), a.stride, a.depth, count, weights, begin, out)
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni | Isa::Avx512 | Isa::Avx2 => unsafe {
            let second = if panel.width == 16 { 16 * a.depth } else { 16 };
            let halves = [weights, weights.add(second)];
            x86::tile_f32_avx2(rows.as_ptr(), a.stride, a.depth, count, halves, begin, out)
        },
        _ => portable::tile_f32(rows, a.stride, a.depth, count, panel, start, y, y_stride),
    }
}

/// Adds the products of `count ≤ 12` rows with 32 columns of `values`, whose rows are `step` apart, to rows of `y`.
fn add_tile_f32(
    isa: Isa,
    a: Rows<f32>,
    count: usize,
    (values, step): (&[f32], usize),
    (y, y_stride): (&mut [f32], usize),
) {
    assert!(count <= TILE_ROWS && (a.depth == 0 || values.len() >= (a.depth - 1) * step + TILE_COLUMNS));
    assert!(count == 0 || a.data.len() >= (count - 1) * a.stride + a.depth);
    let out = Output::new(y, y_stride, count);
    let (rows, weights) = (a.data.as_ptr(), Far { at: values.as_ptr(), stride: step });
    let begin = Far { at: out.y, stride: y_stride };
    match isa {
        // SAFETY: the rows, the values and the output were checked above; the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni | Isa::Avx512 => unsafe {
            x86::tile_f32_avx512(rows, a.stride, a.depth, count, weights, begin, out)
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe {
            let halves = [weights, weights.add(16)];
            x86::tile_f32_avx2(rows, a.stride, a.depth, count, halves, begin, out)
        },
        _ => portable::add_tile_f32(a.data, a.stride, a.depth, count, (values, step), (y, y_stride)),
    }
}

/// Numbers from the products of rows of u8, from `first`, with one panel of int8; `rows` are the scales and zero points of
/// up to 12 rows. Instruction sets that widen have [`tile_i16`].
fn tile_i8(
    isa: Isa,
    a: Rows<u8>,
    first: usize,
    panel: Panel<i8>,
    rows: &[(f32, i32)],
    columns: Columns,
    (y, y_stride): (&mut [f32], usize),
) {
    let count = rows.len();
    panel.check(a.depth);
    assert!(count <= TILE_ROWS && a.depth.is_multiple_of(4));
    assert!(count == 0 || a.data.len() >= (first + count - 1) * a.stride + a.depth);
    let out = Output::new(y, y_stride, count);
    let data = &a.data[first * a.stride..];
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx512Vnni && panel.width == TILE_COLUMNS {
        // SAFETY: the rows, the panel and the output were checked above; the instruction set was detected.
        return unsafe {
            x86::tile_i8_vnni(data.as_ptr(), a.stride, a.depth, panel.weights.as_ptr(), rows, columns, out)
        };
    }
    let _ = out;
    let mut products = [[0; TILE_COLUMNS]; TILE_ROWS];
    portable::tile_i8(data, a.stride, a.depth, panel, &mut products[..count]);
    epilogue::dequantize(isa, &products, rows, columns, y, y_stride);
}

/// The same numbers from rows of u8 widened to 16 bits, for instruction sets that widen. `products` has room for the rows.
fn tile_i16(
    isa: Isa,
    a: Rows<i16>,
    first: usize,
    panel: Panel<i8>,
    rows: &[(f32, i32)],
    columns: Columns,
    products: &mut [[i32; TILE_COLUMNS]],
    (y, y_stride): (&mut [f32], usize),
) {
    let count = rows.len();
    panel.check(a.depth);
    assert!(isa.widens() && a.depth.is_multiple_of(4));
    assert!(count == 0 || a.data.len() >= (first + count - 1) * a.stride + a.depth);
    let products = &mut products[..count];
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the rows and the panel were checked above; an instruction set that widens was detected.
    unsafe {
        let data = &a.data[first * a.stride..];
        x86::tile_i8_avx2(data.as_ptr(), a.stride, a.depth, panel.weights.as_ptr(), panel.width, products);
    }
    epilogue::dequantize(isa, products, rows, columns, y, y_stride);
}
