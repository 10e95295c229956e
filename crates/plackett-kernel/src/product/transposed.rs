//! Products along the rows of two matrices: gradients of weights from activations and gradients of outputs.

use crate::isa::Isa;
use crate::memory::buffer::fit;
use crate::parallel::for_each;
use crate::product::blocks::{Blocks, Columns, MOST_DEPTH, STRIDE, pack_left, pack_right};
use crate::product::panels::{LINE, PanelRow};
use crate::product::shared::SharedSlice;
use crate::product::tile::{Ahead, Left, add_products};
use crate::product::{area, equal_parts};
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use crate::tile::operands::{StridedPtr, TileOutput};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Most rows and columns of the output of one task: with the packed blocks, that part of the output takes 0.7 MiB of the
/// second-level cache, and what is fetched for the next pass comes on top.
const MOST_ROWS: usize = 16 * TILE_ROWS;
const MOST_COLUMNS: usize = 12 * TILE_COLUMNS;

thread_local! {
    static BLOCKS: RefCell<Blocks> = RefCell::default();
}

/// `c[m][n] += aᵀ · b` for `a[k][m]` and `b[k][n]`, all row-major; and `column_sums[m] += ` the sums of the columns of `a`,
/// where they are wanted. With the gradients of a layer's outputs as `a` and its inputs as `b` these are the gradients of
/// its weights (outputs × inputs) and of its bias.
///
/// Each number is one chain of fused multiply-adds in the order of k, and each sum one of additions, that begins with what
/// is there: it depends on neither `isa` nor `workers`.
///
/// Panics when a slice does not have the size that `k`, `m` and `n` say.
pub fn multiply_transposed(
    isa: Isa,
    workers: usize,
    a: &[f32],
    b: &[f32],
    (k, m, n): (usize, usize, usize),
    c: &mut [f32],
    column_sums: Option<&mut [f32]>,
) {
    assert_eq!(a.len(), area(k, m), "a left-hand matrix of {k} × {m}");
    assert_eq!(b.len(), area(k, n), "a right-hand matrix of {k} × {n}");
    assert_eq!(c.len(), area(m, n), "an output of {m} × {n}");
    let sums = column_sums.map(|sums| {
        assert_eq!(sums.len(), m, "one sum for each column of the left-hand matrix");
        SharedSlice::new(sums)
    });
    if k == 0 {
        return;
    }
    let product = Product { isa, a, b, sizes: (k, m, n), c: SharedSlice::new(c), sums };
    // Without columns of the right-hand matrix there are sums all the same.
    let (rows, columns) = task_size(m, n.max(1), workers);
    let (down, across) = (m.div_ceil(rows), n.max(1).div_ceil(columns));
    for_each(workers, (0..down * across).into_par_iter(), |task| {
        let (row, column) = (task % down * rows, task / down * columns);
        let (own_rows, own_columns) = (row..m.min(row + rows), column..n.min(column + columns));
        BLOCKS.with_borrow_mut(|blocks| {
            // SAFETY: tasks are different rows or different columns of the output, and of those with the first columns, which
            // are the ones that add to the sums, each has rows of its own.
            unsafe { product.part(own_rows, own_columns, blocks) }
        });
    });
}

/// Rows and columns of a task, so small that there are tasks for all workers.
fn task_size(m: usize, n: usize, workers: usize) -> (usize, usize) {
    let mut rows = equal_parts(m, MOST_ROWS).next_multiple_of(TILE_ROWS);
    let mut columns = equal_parts(n, MOST_COLUMNS).next_multiple_of(TILE_COLUMNS);
    while m.div_ceil(rows) * n.div_ceil(columns) < workers {
        if columns >= rows && columns > TILE_COLUMNS {
            columns = (columns / 2).next_multiple_of(TILE_COLUMNS);
        } else if rows > TILE_ROWS {
            rows = (rows / 2).next_multiple_of(TILE_ROWS);
        } else {
            break;
        }
    }
    (rows, columns)
}

struct Product<'a> {
    isa: Isa,
    a: &'a [f32],
    b: &'a [f32],
    sizes: (usize, usize, usize),
    c: SharedSlice<'a>,
    sums: Option<SharedSlice<'a>>,
}

impl Product<'_> {
    /// Some rows and columns of the output, which stay in the second-level cache from pass to pass; with the first columns,
    /// the sums of these rows, too.
    ///
    /// # Safety
    /// Nobody else reads or writes this part, nor, when it has the first columns, the sums of its rows.
    unsafe fn part(&self, rows: Range<usize>, columns: Range<usize>, blocks: &mut Blocks) {
        let (k, m, n) = self.sizes;
        let (tiles, panels) = (rows.len().div_ceil(TILE_ROWS), columns.len().div_ceil(TILE_COLUMNS));
        fit(&mut blocks.left, tiles * STRIDE);
        fit(&mut blocks.right, panels * STRIDE);
        let mut nothing: [f32; 0] = [];
        let sums = match &self.sums {
            // SAFETY: the sums of these rows belong to the first columns, and those are the caller's alone.
            Some(sums) if columns.start == 0 => unsafe { sums.part(rows.clone()) },
            _ => &mut nothing[..],
        };
        let most = equal_parts(k, MOST_DEPTH);
        for k0 in (0..k).step_by(most) {
            let depth = most.min(k - k0);
            let left = Columns::new(self.a, m, k0, rows.start, rows.len());
            let right = Columns::new(self.b, n, k0, columns.start, columns.len());
            pack_left(self.isa, left, depth, &mut blocks.left, sums);
            pack_right(self.isa, right, depth, &mut blocks.right);
            let mut ahead = self.lines(k0 + depth, rows.clone(), columns.clone());
            for (index, column) in columns.clone().step_by(TILE_COLUMNS).enumerate() {
                let panel = &blocks.right[index * STRIDE..][..depth];
                let width = TILE_COLUMNS.min(columns.end - column);
                for (tile, row) in rows.clone().step_by(TILE_ROWS).enumerate() {
                    let left = Left::Packed(&blocks.left[tile * STRIDE..][..depth]);
                    let count = TILE_ROWS.min(rows.end - row);
                    let ahead = ahead.next().unwrap_or(Ahead::nothing());
                    // SAFETY: within the caller's part.
                    unsafe { self.add_tile(left, (row, count), (panel, ahead), (column, width)) }
                }
            }
        }
    }

    /// What the pass from `k0` on will pack, a cache line of each row at a time: fetched by the tiles of the pass before it,
    /// because packing would wait for memory a fifth of the time of the whole product.
    fn lines(&self, k0: usize, rows: Range<usize>, columns: Range<usize>) -> impl Iterator<Item = Ahead> {
        let (_, m, n) = self.sizes;
        let left = rows.step_by(LINE).map(move |row| Ahead::new(self.a, k0 * m + row, m));
        let right = columns.step_by(LINE).map(move |column| Ahead::new(self.b, k0 * n + column, n));
        left.chain(right)
    }

    /// Adds one pass to a tile of the output; by way of a buffer when it is narrower than a panel.
    ///
    /// # Safety
    /// Nobody else reads or writes this tile.
    unsafe fn add_tile(
        &self,
        left: Left,
        (row, count): (usize, usize),
        (panel, ahead): (&[PanelRow], Ahead),
        (column, width): (usize, usize),
    ) {
        let n = self.sizes.2;
        let first = row * n + column;
        if width == TILE_COLUMNS {
            let out = self.c.tile(first, n, count);
            let start = StridedPtr { at: out.y, stride: n };
            // SAFETY: the tile is within the output and the caller's alone; the instruction set was detected.
            return unsafe { add_products(self.isa, left, count, panel, ahead, start, out) };
        }
        let mut buffer = [[0.0; TILE_COLUMNS]; TILE_ROWS];
        // SAFETY: rows of the tile are the caller's alone.
        let own = |r: usize| unsafe { self.c.part(first + r * n..first + r * n + width) };
        for (r, values) in buffer[..count].iter_mut().enumerate() {
            values[..width].copy_from_slice(own(r));
        }
        let out = TileOutput::new(buffer.as_flattened_mut(), TILE_COLUMNS, count);
        let start = StridedPtr { at: out.y, stride: TILE_COLUMNS };
        // SAFETY: the buffer has room for the tile; the instruction set was detected.
        unsafe { add_products(self.isa, left, count, panel, ahead, start, out) };
        for (r, values) in buffer[..count].iter().enumerate() {
            own(r).copy_from_slice(&values[..width]);
        }
    }
}
