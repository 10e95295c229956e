//! Rows of activations times a packed matrix, with an epilogue on each finished tile.

use crate::isa::Isa;
use crate::parallel::for_each;
use crate::product::panels::{PanelRow, Panels};
use crate::product::tile::{Ahead, Left, add_products};
use crate::product::{area, equal_parts};
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use crate::tile::operands::{StridedPtr, TileOutput};
use rayon::prelude::*;

/// Most rows of a task. They go over a part of a panel while it is in the first-level cache; more of them read the panels
/// less often, and their outputs have to stay in the second-level cache from pass to pass.
const MOST_ROWS: usize = 8 * TILE_ROWS;

/// Most steps of a pass along the inner dimension: that much of a panel, with the rows of a tile, fits the first-level
/// cache of 48 KiB, or of 32 KiB where the registers are narrower.
fn most_depth(isa: Isa) -> usize {
    if matches!(isa, Isa::Avx512 | Isa::Avx512Vnni) { 256 } else { 192 }
}

/// What the products are added to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Nothing.
    Zero,
    /// One number for each column: \[n\].
    Bias(&'a [f32]),
    /// What is in the output.
    Output,
}

/// A piece of the output that has its final values, while it is in the first-level cache.
pub struct FinishedTile<'a> {
    first_row: usize,
    first_column: usize,
    columns: usize,
    /// From the first number of the tile to the end of the last row that is in it.
    values: &'a mut [f32],
    stride: usize,
}

impl FinishedTile<'_> {
    /// The first row of the output that is in this tile.
    pub fn first_row(&self) -> usize {
        self.first_row
    }

    /// The first column of the output that is in this tile.
    pub fn first_column(&self) -> usize {
        self.first_column
    }

    /// Columns of the tile, 32 or fewer.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The rows of the tile, twelve or fewer: each with its index in the output.
    pub fn rows(&mut self) -> impl Iterator<Item = (usize, &mut [f32])> {
        let columns = self.columns;
        let rows = self.values.chunks_mut(self.stride).map(move |row| &mut row[..columns]);
        (self.first_row..).zip(rows)
    }
}

/// What is done to finished tiles: each element of the output is in one of them.
pub type Epilogue<'a> = &'a (dyn Fn(FinishedTile) + Sync);

/// `c[m][n] = start + a[m][k] · panels[k][n]`, then the epilogue. Each number is one chain of fused multiply-adds in the
/// order of k that begins with `start`: it depends on neither `isa` nor `workers`.
///
/// Panics when a slice does not have the size that `m`, `k` and the panels say.
pub fn multiply_panels(
    isa: Isa,
    workers: usize,
    a: &[f32],
    (m, k): (usize, usize),
    panels: &Panels,
    c: &mut [f32],
    start: Start,
    epilogue: Option<Epilogue>,
) {
    let n = panels.columns();
    assert_eq!(panels.depth(), k, "rows of the packed matrix");
    assert_eq!(a.len(), area(m, k), "a matrix of {m} × {k}");
    assert_eq!(c.len(), area(m, n), "an output of {m} × {n}");
    if let Start::Bias(bias) = start {
        assert_eq!(bias.len(), n, "one bias for each column");
    }
    if n == 0 {
        return;
    }
    let rows = task_rows(m, workers);
    for_each(workers, c.par_chunks_mut(rows * n).enumerate(), |(task, c)| {
        let first_row = task * rows;
        let a = &a[first_row * k..][..c.len() / n * k];
        Task { isa, a, panels, first_row, start, epilogue }.run(c);
    });
}

/// Rows of a task, such that all workers get about the same.
fn task_rows(m: usize, workers: usize) -> usize {
    let tasks = m.div_ceil(MOST_ROWS).next_multiple_of(workers.max(1)).max(1);
    let rows = m.div_ceil(tasks).max(1);
    if workers > 1 { rows } else { rows.next_multiple_of(TILE_ROWS) }
}

/// Some rows of a product.
struct Task<'a> {
    isa: Isa,
    /// The rows that are multiplied.
    a: &'a [f32],
    panels: &'a Panels,
    first_row: usize,
    start: Start<'a>,
    epilogue: Option<Epilogue<'a>>,
}

/// Where a tile is: its rows among those of the task, and its columns.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    rows: usize,
    column: usize,
    width: usize,
}

impl Task<'_> {
    /// All tiles, to the rows of the output that are this task's.
    fn run(&self, c: &mut [f32]) {
        let (k, n) = (self.panels.depth(), self.panels.columns());
        let (rows, depth) = (c.len() / n, equal_parts(k, most_depth(self.isa)));
        // Without any step there is a pass all the same: it writes the start.
        for k0 in (0..k.max(1)).step_by(depth) {
            let steps = k0..k.min(k0 + depth);
            let start = if k0 == 0 { self.start } else { Start::Output };
            for column in (0..n).step_by(TILE_COLUMNS) {
                let panel = self.panels.part(column / TILE_COLUMNS, steps.clone());
                let width = TILE_COLUMNS.min(n - column);
                for row in (0..rows).step_by(TILE_ROWS) {
                    let place = Place { row, rows: TILE_ROWS.min(rows - row), column, width };
                    self.tile(place, k0, panel, start, c);
                    if steps.end == k {
                        self.finish(place, c);
                    }
                }
            }
        }
    }

    /// Adds the products of one pass to a tile; by way of a buffer when it is narrower than a panel.
    fn tile(&self, place: Place, k0: usize, panel: &[PanelRow], start: Start, c: &mut [f32]) {
        static ZERO: [f32; TILE_COLUMNS] = [0.0; TILE_COLUMNS];
        let Place { row, rows, column, width } = place;
        let (k, n) = (self.panels.depth(), self.panels.columns());
        let left = Left::Rows { values: &self.a[row * k + k0..], stride: k };
        // The first two tiles fetch the next panel.
        let tile = row / TILE_ROWS;
        let ahead = if tile < 2 { self.panels.next_part(panel, tile) } else { Ahead::nothing() };
        let own = &mut c[row * n + column..];
        if width < TILE_COLUMNS {
            return self.narrow_tile(left, place, panel, start, own);
        }
        let out = TileOutput::new(own, n, rows);
        let start = match start {
            Start::Zero => StridedPtr { at: ZERO.as_ptr(), stride: 0 },
            Start::Bias(bias) => StridedPtr { at: bias[column..][..TILE_COLUMNS].as_ptr(), stride: 0 },
            Start::Output => StridedPtr { at: out.y, stride: n },
        };
        // SAFETY: what is read and written was checked and is borrowed; the instruction set was detected.
        unsafe { add_products(self.isa, left, rows, panel, ahead, start, out) }
    }

    fn narrow_tile(&self, left: Left, place: Place, panel: &[PanelRow], start: Start, own: &mut [f32]) {
        let Place { rows, column, width, .. } = place;
        let n = self.panels.columns();
        let mut buffer = [[0.0; TILE_COLUMNS]; TILE_ROWS];
        for (tile, row) in buffer[..rows].iter_mut().zip(own.chunks(n)) {
            match start {
                Start::Zero => {}
                Start::Bias(bias) => tile[..width].copy_from_slice(&bias[column..]),
                Start::Output => tile[..width].copy_from_slice(&row[..width]),
            }
        }
        let out = TileOutput::new(buffer.as_flattened_mut(), TILE_COLUMNS, rows);
        let start = StridedPtr { at: out.y, stride: TILE_COLUMNS };
        // SAFETY: the buffer has room for the tile; the instruction set was detected.
        unsafe { add_products(self.isa, left, rows, panel, Ahead::nothing(), start, out) }
        for (tile, row) in buffer[..rows].iter().zip(own.chunks_mut(n)) {
            row[..width].copy_from_slice(&tile[..width]);
        }
    }

    fn finish(&self, place: Place, c: &mut [f32]) {
        let Some(epilogue) = self.epilogue else { return };
        let n = self.panels.columns();
        epilogue(FinishedTile {
            first_row: self.first_row + place.row,
            first_column: place.column,
            columns: place.width,
            values: &mut c[place.row * n + place.column..(place.row + place.rows) * n],
            stride: n,
        });
    }
}
