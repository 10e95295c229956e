//! One tile of a product, by instruction set: up to twelve rows with a panel of 32 columns.

use crate::isa::Isa;
use crate::product::panels::PanelRow;
#[cfg(target_arch = "x86_64")]
use crate::product::x86;
use crate::sizes::{TILE_COLUMNS, TILE_ROWS};
use crate::tile::operands::{StridedPtr, TileOutput};

/// Rows of a left-hand matrix.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a> {
    /// Rows where they lie, `stride` apart.
    Rows { values: &'a [f32], stride: usize },
    /// Packed columns of twelve rows.
    Packed(&'a [[f32; TILE_ROWS]]),
}

/// Where the numbers of a left-hand matrix are. How far apart they lie is a constant of a packed one; the tiles are compiled
/// for either.
pub(crate) trait LeftPtr: Copy {
    /// The number of a row at a step of the inner dimension.
    ///
    /// # Safety
    /// There are so many rows and steps.
    unsafe fn number(self, row: usize, step: usize) -> f32;

    /// The rows from `first` on.
    fn after(self, first: usize) -> Self;
}

/// [`Left::Rows`] without their length.
#[derive(Clone, Copy)]
struct RowsPtr {
    at: *const f32,
    stride: usize,
}

/// [`Left::Packed`] without its length.
#[derive(Clone, Copy)]
struct PackedPtr(*const f32);

impl LeftPtr for RowsPtr {
    #[inline(always)]
    unsafe fn number(self, row: usize, step: usize) -> f32 {
        unsafe { *self.at.add(row * self.stride + step) }
    }

    #[inline(always)]
    fn after(self, first: usize) -> Self {
        RowsPtr { at: self.at.wrapping_add(first * self.stride), ..self }
    }
}

impl LeftPtr for PackedPtr {
    #[inline(always)]
    unsafe fn number(self, row: usize, step: usize) -> f32 {
        unsafe { *self.0.add(step * TILE_ROWS + row) }
    }

    #[inline(always)]
    fn after(self, first: usize) -> Self {
        PackedPtr(self.0.wrapping_add(first))
    }
}

/// What will be read soon: at each step of the inner dimension a tile fetches a cache line to the second-level cache, `step`
/// numbers behind the last one. A hint, which need not be within any slice.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub(crate) at: *const f32,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub(crate) step: usize,
}

impl Ahead {
    /// Lines of the numbers at `first` of `values` and every `step` numbers behind it.
    pub(crate) fn new(values: &[f32], first: usize, step: usize) -> Ahead {
        Ahead { at: values.as_ptr().wrapping_add(first), step }
    }

    /// Nothing that is not in the cache anyway.
    pub(crate) fn nothing() -> Ahead {
        static LINE: f32 = 0.0;
        Ahead { at: &raw const LINE, step: 0 }
    }
}

/// `out ← start + left · panel` for `count` rows.
///
/// # Safety
/// `start` points to 32 readable numbers for each row, `out` to 32 numbers for each row that nobody else reads or writes;
/// they may be the same. `isa` was detected.
pub(crate) unsafe fn add_products(
    isa: Isa,
    left: Left,
    count: usize,
    panel: &[PanelRow],
    ahead: Ahead,
    start: StridedPtr,
    out: TileOutput,
) {
    assert!(count <= TILE_ROWS);
    let depth = panel.len();
    // SAFETY: the left-hand rows are checked, the others are the caller's promise.
    match left {
        Left::Rows { values, stride } => unsafe {
            assert!(count * depth == 0 || values.len() >= (count - 1) * stride + depth);
            add_products_of(isa, RowsPtr { at: values.as_ptr(), stride }, count, panel, ahead, start, out);
        },
        Left::Packed(columns) => unsafe {
            assert!(columns.len() >= depth);
            add_products_of(isa, PackedPtr(columns.as_ptr().cast()), count, panel, ahead, start, out);
        },
    }
}

/// # Safety
/// As of [`add_products`], and `left` has `count` rows as long as the panel.
unsafe fn add_products_of(
    isa: Isa,
    left: impl LeftPtr,
    count: usize,
    panel: &[PanelRow],
    ahead: Ahead,
    start: StridedPtr,
    out: TileOutput,
) {
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni | Isa::Avx512 => x86::tile_avx512(left, count, panel, ahead, start, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::tile_avx2(left, count, panel, ahead, start, out),
            _ => tile_portable(left, count, panel, start, out),
        }
    }
}

/// The tile in plain Rust: the definition of what the others compute.
///
/// # Safety
/// As of [`add_products_of`].
unsafe fn tile_portable(
    left: impl LeftPtr,
    count: usize,
    panel: &[PanelRow],
    start: StridedPtr,
    out: TileOutput,
) {
    for row in 0..count {
        // SAFETY: as above; a row of `start` is read before the same row of `out` is written.
        unsafe {
            let mut sums: [f32; TILE_COLUMNS] = start.at.add(row * start.stride).cast::<[f32; _]>().read();
            for (step, PanelRow(weights)) in panel.iter().enumerate() {
                let value = left.number(row, step);
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = value.mul_add(*weight, *sum);
                }
            }
            out.y.add(row * out.stride).cast::<[f32; _]>().write(sums);
        }
    }
}
