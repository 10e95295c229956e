//! An output that several threads write to, each to its own part.

use crate::sizes::TILE_COLUMNS;
use crate::tile::operands::TileOutput;
use std::marker::PhantomData;
use std::ops::Range;

/// A slice whose parts belong to different threads.
pub(crate) struct SharedSlice<'a> {
    at: *mut f32,
    len: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer stands for a slice that is borrowed as long as this lives; who takes a part promises that nobody else
// has it.
unsafe impl Sync for SharedSlice<'_> {}

impl<'a> SharedSlice<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> SharedSlice<'a> {
        SharedSlice { at: slice.as_mut_ptr(), len: slice.len(), owner: PhantomData }
    }

    /// Some of the numbers. Panics when they are not within the slice.
    ///
    /// # Safety
    /// Nobody else reads or writes these numbers as long as the part is in use.
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: within the slice, and nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.at.add(range.start), range.len()) }
    }

    /// `count` rows of 32 numbers, the first of them at `first`. Panics when they are not within the slice.
    pub(crate) fn tile(&self, first: usize, stride: usize, count: usize) -> TileOutput {
        assert!(count > 0 && first + (count - 1) * stride + TILE_COLUMNS <= self.len);
        // Within the slice; to write to it is not safe, and the business of those who do.
        TileOutput { y: self.at.wrapping_add(first), stride }
    }
}
