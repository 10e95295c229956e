//! Our own int8 weights in safetensors files.

use crate::error::LmError;
use crate::files::weights::WeightSet;
use plackett_kernel::quantize_weights;
use std::path::Path;

/// Header field that marks quantised weights; its value is the version of the layout. In layout 2 the rows of int8
/// matrices are rotated before they are rounded, by signed Walsh–Hadamard blocks.
pub const FORMAT_KEY: &str = "plackett_int8";
pub(crate) const FORMAT: &str = "2";

/// Refuses quantised weights of a layout that this version does not know.
pub(crate) fn check_format(weights: &WeightSet, directory: &Path) -> Result<(), LmError> {
    match weights.metadata(FORMAT_KEY) {
        None | Some(FORMAT) => Ok(()),
        Some(found) => Err(LmError::Config {
            path: directory.to_path_buf(),
            problem: format!(
                "its int8 weights have layout {found}, this version reads layout {FORMAT}; update Plackett, or quantise \
                 the original model again"
            ),
        }),
    }
}

/// Rotates and rounds a matrix for storage: int8 rows and their scales.
pub(crate) fn round_rows(values: &[f32], width: usize) -> (Vec<i8>, Vec<f32>) {
    let mut rounded = vec![0i8; values.len()];
    let scales = values
        .chunks_exact(width)
        .zip(rounded.chunks_exact_mut(width))
        .map(|(row, out)| quantize_weights(row, out))
        .collect();
    (rounded, scales)
}
