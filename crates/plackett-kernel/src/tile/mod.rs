//! Products of a few rows with a panel of 32 outputs, one tile that stays in registers; by instruction set.

pub(crate) mod epilogue;
pub(crate) mod operands;
mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use crate::isa::Isa;
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use epilogue::Columns;
use operands::{Panel, Rows, StridedPtr, TileOutput};

/// `start` plus the products of `count` rows ([`Isa::panel_rows`] or fewer), from `first`, with one panel of f32; to rows
/// of `y`.
pub(crate) fn tile_f32(
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
    let out = TileOutput::new(y, y_stride, count);
    let rows = &a.data[first * a.stride..];
    let weights = StridedPtr { at: panel.weights.as_ptr(), stride: panel.width };
    let begin = StridedPtr { at: start.as_ptr(), stride: 0 };
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
pub(crate) fn add_tile_f32(
    isa: Isa,
    a: Rows<f32>,
    count: usize,
    (values, step): (&[f32], usize),
    (y, y_stride): (&mut [f32], usize),
) {
    assert!(count <= TILE_ROWS && (a.depth == 0 || values.len() >= (a.depth - 1) * step + TILE_COLUMNS));
    assert!(count == 0 || a.data.len() >= (count - 1) * a.stride + a.depth);
    let out = TileOutput::new(y, y_stride, count);
    let (rows, weights) = (a.data.as_ptr(), StridedPtr { at: values.as_ptr(), stride: step });
    let begin = StridedPtr { at: out.y, stride: y_stride };
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
pub(crate) fn tile_i8(
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
    let out = TileOutput::new(y, y_stride, count);
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
pub(crate) fn tile_i16(
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
