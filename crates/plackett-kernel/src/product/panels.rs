//! A right-hand matrix in the order in which tiles read it.

use crate::memory::buffer::fit;
use crate::parallel::for_each;
use crate::product::area;
use crate::product::blocks::prefetch;
use crate::product::tile::Ahead;
use crate::sizes::TILE_COLUMNS;
use rayon::prelude::*;
use std::ops::Range;

/// Numbers of a cache line.
pub(crate) const LINE: usize = 16;

/// Cache lines of a row that are fetched before they are packed.
const LINES_AHEAD: usize = 4;

/// A row of a panel; whole cache lines, so that no load crosses from one to the next.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(crate) struct PanelRow(pub(crate) [f32; TILE_COLUMNS]);

/// A matrix `[depth][columns]` in panels of 32 columns, `[columns / 32][depth][32]`; columns that the last panel has too
/// many are zero. The buffer is used again by the next matrix.
#[derive(Default)]
pub struct Panels {
    rows: Vec<PanelRow>,
    depth: usize,
    columns: usize,
}

impl Panels {
    /// Packs a matrix `[k][n]`, stored row by row; or, when it is `transposed`, stored as `[n][k]`, as the weight of a
    /// linear layer is (outputs × inputs). Allocates only when the matrix does not fit what was packed before.
    ///
    /// Panics when `matrix` does not have k · n numbers.
    pub fn pack(&mut self, workers: usize, matrix: &[f32], k: usize, n: usize, transposed: bool) {
        assert_eq!(matrix.len(), area(k, n), "a matrix of {k} × {n}");
        (self.depth, self.columns) = (k, n);
        fit(&mut self.rows, k * n.div_ceil(TILE_COLUMNS));
        // A matrix without rows has panels without rows, which are no chunks.
        let panels = self.rows.par_chunks_mut(k.max(1)).enumerate();
        for_each(workers, panels, |(index, panel)| {
            let first = index * TILE_COLUMNS;
            let width = TILE_COLUMNS.min(n - first);
            if transposed {
                pack_rows(&matrix[first * k..][..width * k], panel);
            } else {
                pack_columns(matrix, (first, n), width, panel);
            }
        });
    }

    /// Rows of the packed matrix: the inner dimension of its products.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the packed matrix.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows `steps` of panel `index`.
    pub(crate) fn part(&self, index: usize, steps: Range<usize>) -> &[PanelRow] {
        &self.rows[index * self.depth..][..self.depth][steps]
    }

    /// Cache line `line` of the two that each row has, of as much of the next panel as [`Panels::part`] has of this one:
    /// its pages are no continuation of this one's for the processor's own prefetcher.
    pub(crate) fn next_part(&self, part: &[PanelRow], line: usize) -> Ahead {
        let first = self.depth * TILE_COLUMNS + line * LINE;
        part.first().map_or(Ahead::nothing(), |PanelRow(row)| Ahead::new(row, first, TILE_COLUMNS))
    }
}

/// `width` columns, from `first`, of a matrix of `n` columns.
fn pack_columns(matrix: &[f32], (first, n): (usize, usize), width: usize, panel: &mut [PanelRow]) {
    for (row, PanelRow(out)) in matrix.chunks_exact(n).zip(panel) {
        match row[first..].first_chunk() {
            Some(values) => *out = *values,
            None => {
                out[..width].copy_from_slice(&row[first..]);
                out[width..].fill(0.0);
            }
        }
    }
}

/// Up to 32 rows, one to each column of the panel. A cache line of each row at a time, so that the part of the panel that
/// is written to stays in the first-level cache; and each line is fetched before its turn, for so many rows are more than the
/// processor's own prefetcher follows: packing waited for memory three quarters of its time.
fn pack_rows(rows: &[f32], panel: &mut [PanelRow]) {
    let depth = panel.len();
    let width = rows.len() / depth;
    for (part, out) in panel.chunks_mut(LINE).enumerate() {
        for (column, row) in rows.chunks_exact(depth).enumerate() {
            prefetch(row, (part + LINES_AHEAD) * LINE, LINE);
            for (PanelRow(out), value) in out.iter_mut().zip(&row[part * LINE..]) {
                out[column] = *value;
            }
        }
        out.iter_mut().for_each(|PanelRow(out)| out[width..].fill(0.0));
    }
}
