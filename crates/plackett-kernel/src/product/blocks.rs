//! Blocks of two matrices that are multiplied along their rows, in the order in which tiles read them.

use crate::isa::Isa;
use crate::product::panels::PanelRow;
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use crate::vector::math::for_each_isa;

/// Most steps of a pass along the inner dimension.
pub(crate) const MOST_DEPTH: usize = 192;
/// Steps from one tile or panel to the next: one more than are used, because what lies a power of two apart shares the same
/// few sets of the cache.
pub(crate) const STRIDE: usize = MOST_DEPTH + 1;

/// Packed blocks of one worker; what is in them is left over from the last one.
#[derive(Default)]
pub(crate) struct Blocks {
    /// Tiles of twelve columns of the left-hand matrix: `[tiles][STRIDE][12]`.
    pub(crate) left: Vec<[f32; TILE_ROWS]>,
    /// Panels of the right-hand one: `[panels][STRIDE][32]`.
    pub(crate) right: Vec<PanelRow>,
}

/// Some columns of a row-major matrix that has `stride` of them, from the first number on.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    values: &'a [f32],
    stride: usize,
    width: usize,
}

impl<'a> Columns<'a> {
    /// Columns `first..first + width` of the rows from `row` on.
    pub(crate) fn new(
        matrix: &'a [f32],
        stride: usize,
        row: usize,
        first: usize,
        width: usize,
    ) -> Columns<'a> {
        Columns { values: &matrix[row * stride + first..], stride, width }
    }

    /// Row `row` of these columns.
    #[inline(always)]
    fn row(self, row: usize) -> &'a [f32] {
        // Pieces of rows are too short for the processor's own prefetcher.
        prefetch(self.values, (row + AHEAD) * self.stride, self.width);
        &self.values[row * self.stride..][..self.width]
    }
}

/// Rows that are fetched before they are needed.
const AHEAD: usize = 8;

/// Fetches numbers, as far as there are so many.
#[inline(always)]
pub(crate) fn prefetch(values: &[f32], first: usize, width: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in values.get(first..first + width).unwrap_or_default().chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every processor of this kind has the instruction, and it accesses nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, first, width);
}

#[inline(always)]
fn pack_left_body<const FMA: bool>(
    columns: Columns,
    depth: usize,
    out: &mut [[f32; TILE_ROWS]],
    sums: &mut [f32],
) {
    for step in 0..depth {
        let row = columns.row(step);
        let (tiles, rest) = row.as_chunks();
        for (tile, values) in tiles.iter().enumerate() {
            out[tile * STRIDE + step] = *values;
        }
        if !rest.is_empty() {
            out[tiles.len() * STRIDE + step][..rest.len()].copy_from_slice(rest);
        }
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}
for_each_isa!(
    /// Packs `depth` rows of some columns of the left-hand matrix, and adds them to `sums`, where there are any.
    pub(crate) fn pack_left = pack_left_body(
        columns: Columns, depth: usize, out: &mut [[f32; TILE_ROWS]], sums: &mut [f32]
    )
);

#[inline(always)]
fn pack_right_body<const FMA: bool>(columns: Columns, depth: usize, out: &mut [PanelRow]) {
    for step in 0..depth {
        let (panels, rest) = columns.row(step).as_chunks();
        for (panel, values) in panels.iter().enumerate() {
            out[panel * STRIDE + step] = PanelRow(*values);
        }
        if !rest.is_empty() {
            let mut last = [0.0; TILE_COLUMNS];
            last[..rest.len()].copy_from_slice(rest);
            out[panels.len() * STRIDE + step] = PanelRow(last);
        }
    }
}
for_each_isa!(
    /// Packs `depth` rows of some columns of the right-hand matrix.
    pub(crate) fn pack_right = pack_right_body(columns: Columns, depth: usize, out: &mut [PanelRow])
);
