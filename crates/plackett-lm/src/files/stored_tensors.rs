//! Writes a file of weights: the one way in which copies of models (merged, quantised, factorised) store their tensors.

use crate::error::LmError;
use safetensors::tensor::{Dtype, TensorView};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// A tensor as it is stored: little-endian numbers, row-major.
pub(crate) struct StoredTensor<'t> {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Cow<'t, [u8]>,
}

impl StoredTensor<'static> {
    /// Numbers as f32.
    pub fn of_f32(name: String, shape: Vec<usize>, values: &[f32]) -> StoredTensor<'static> {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        StoredTensor { name, dtype: Dtype::F32, shape, bytes: Cow::Owned(bytes) }
    }
}

/// Writes tensors as safetensors of the form `pt`, which other programs look for, with more fields of metadata where there are some.
///
/// # Errors
/// Bytes that are not of a tensor's shape; the disk.
pub(crate) fn write_tensors(
    tensors: &[StoredTensor<'_>],
    more: &[(&str, &str)],
    path: &Path,
) -> Result<(), LmError> {
    let failed =
        |e: safetensors::SafeTensorError| LmError::Io { path: path.into(), source: std::io::Error::other(e) };
    let views = tensors
        .iter()
        .map(|tensor| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)?;
            Ok((tensor.name.as_str(), view))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(failed)?;
    let fields = more.iter().chain(&[("format", "pt")]);
    let fields: HashMap<String, String> =
        fields.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    safetensors::serialize_to_file(views, Some(fields), path).map_err(failed)
}
