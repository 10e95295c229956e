//! Sizes of register tiles and of blocks of rows.

/// Rows of a register tile.
pub const TILE_ROWS: usize = 12;
/// Columns of a register tile, and of a packed panel of weights.
pub const TILE_COLUMNS: usize = 32;

/// Most rows of one pass through the dense layers: inputs, the widest outputs and a panel of weights fit a second-level
/// cache of 1 MiB together. Larger blocks were slower by up to a tenth in f32; smaller ones, too, where that cache is half
/// as large.
pub const MOST_BLOCK_ROWS: usize = 5 * TILE_ROWS;

/// Bytes that a rounded activation takes, with the widened one that some instruction sets need: a memory budget counts both
/// everywhere, so that the same model and texts fit on every machine.
pub const ROUNDED_BYTES: usize = 3;
