//! What a tile is made of: rows of activations, panels of weights, and where the tile is written.

use crate::sizes::TILE_COLUMNS;

/// Rows of some matrix: `rows` rows of `depth` numbers, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) stride: usize,
    pub(crate) depth: usize,
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
pub(crate) struct Panel<'a, T> {
    pub(crate) weights: &'a [T],
    pub(crate) width: usize,
}

impl<'a, T> Panel<'a, T> {
    /// One of several panels of the same size.
    pub(crate) fn of(all: &'a [T], index: usize, depth: usize, width: usize) -> Self {
        Panel { weights: &all[index * depth * TILE_COLUMNS..][..depth * TILE_COLUMNS], width }
    }

    /// One strip.
    pub(crate) fn whole(weights: &'a [T]) -> Self {
        Panel { weights, width: TILE_COLUMNS }
    }

    pub(crate) fn strips(self, depth: usize) -> std::slice::ChunksExact<'a, T> {
        self.weights.chunks_exact((depth * self.width).max(1))
    }

    /// Panics when the panel is not as deep as the rows that it meets, or its strips are no part of a panel.
    pub(crate) fn check(self, depth: usize) {
        assert!([8, 16, TILE_COLUMNS].contains(&self.width) && self.weights.len() >= depth * TILE_COLUMNS);
    }
}

/// Where a tile is written: rows of 32 numbers, `stride` apart.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(crate) struct TileOutput {
    pub(crate) y: *mut f32,
    pub(crate) stride: usize,
}

impl TileOutput {
    /// Panics when `y` does not hold `count` such rows.
    pub(crate) fn new(y: &mut [f32], stride: usize, count: usize) -> TileOutput {
        assert!(count == 0 || y.len() >= (count - 1) * stride + TILE_COLUMNS);
        TileOutput { y: y.as_mut_ptr(), stride }
    }
}

/// Rows of 32 numbers to read, `stride` apart.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(crate) struct StridedPtr {
    pub(crate) at: *const f32,
    pub(crate) stride: usize,
}

impl StridedPtr {
    /// # Safety
    /// As of [`pointer::add`].
    #[cfg(target_arch = "x86_64")]
    pub(crate) unsafe fn add(self, numbers: usize) -> StridedPtr {
        StridedPtr { at: unsafe { self.at.add(numbers) }, ..self }
    }
}
