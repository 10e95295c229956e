//! Where finished tiles go, from one thread or from several that share the columns.

use crate::isa::Isa;
use crate::sizes::{MOST_BLOCK_ROWS, TILE_COLUMNS};
use crate::tile::epilogue::store;
use crate::vector::activation::Activation;
use std::marker::PhantomData;

/// Rows of an output matrix, `stride` apart. Several threads may fill one when no two of them write the same column.
pub(crate) struct OutputMatrix<'a> {
    y: *mut f32,
    len: usize,
    stride: usize,
    /// Whether one thread writes everything.
    alone: bool,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer stands for a slice that is borrowed as long as the target lives; `OutputMatrix::store_tile` writes to nothing
// but the columns it is given, and its callers give each column to one thread.
unsafe impl Sync for OutputMatrix<'_> {}

/// Columns of an output matrix that belong to one panel.
#[derive(Clone, Copy)]
pub(crate) struct OutputTile {
    pub first_row: usize,
    pub rows: usize,
    pub column: usize,
    pub width: usize,
}

impl<'a> OutputMatrix<'a> {
    /// Panics when `y` does not hold `rows` rows of `width` numbers.
    pub(crate) fn new(
        (y, stride): (&'a mut [f32], usize),
        rows: usize,
        width: usize,
        alone: bool,
    ) -> OutputMatrix<'a> {
        assert!(stride >= width && (rows == 0 || y.len() >= (rows - 1) * stride + width));
        OutputMatrix { y: y.as_mut_ptr(), len: y.len(), stride, alone, owner: PhantomData }
    }

    /// Lets `make` write a tile where it belongs; by way of `tile`, in the first-level cache, when it is narrower than a
    /// panel, when an activation follows or when other threads write to the same rows.
    ///
    /// # Safety
    /// No other thread writes to these columns.
    #[inline(always)]
    pub(crate) unsafe fn store_tile(
        &self,
        isa: Isa,
        place: OutputTile,
        activation: Activation,
        tile: &mut [[f32; TILE_COLUMNS]; MOST_BLOCK_ROWS],
        make: impl FnOnce((&mut [f32], usize)),
    ) {
        let OutputTile { first_row, rows, column, width } = place;
        let start = first_row * self.stride + column;
        assert!(rows <= MOST_BLOCK_ROWS && width <= TILE_COLUMNS && column + width <= self.stride);
        assert!(rows > 0 && start + (rows - 1) * self.stride + width <= self.len);
        if self.alone {
            // SAFETY: within the slice, which nobody else writes to.
            let y = unsafe { std::slice::from_raw_parts_mut(self.y.add(start), self.len - start) };
            if activation == Activation::None && width == TILE_COLUMNS {
                return make((y, self.stride));
            }
            make((tile.as_flattened_mut(), TILE_COLUMNS));
            activation.apply(isa, tile[..rows].as_flattened_mut());
            return store(isa, &tile[..rows], y, self.stride, width);
        }
        make((tile.as_flattened_mut(), TILE_COLUMNS));
        activation.apply(isa, tile[..rows].as_flattened_mut());
        for (row, values) in tile[..rows].iter().enumerate() {
            // SAFETY: within the slice; these columns are this thread's alone.
            let y = unsafe { std::slice::from_raw_parts_mut(self.y.add(start + row * self.stride), width) };
            y.copy_from_slice(&values[..width]);
        }
    }
}
