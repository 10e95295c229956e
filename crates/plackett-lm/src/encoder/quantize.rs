//! Writes an int8 copy of a model directory.

use crate::encoder::model::{EncoderModel, EncoderOptions};
use crate::error::LmError;
use crate::files::int8_format::{FORMAT, FORMAT_KEY, round_rows};
use crate::files::model_copy::{check_target, copy_model};
use crate::files::weights::{SCALE_SUFFIX, WeightSet};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// Numbers of a row that is worth a scale of its own.
const SHORTEST: usize = 32;

/// What was written.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// Matrices that became int8.
    pub matrices: usize,
    /// Bytes of weights before.
    pub bytes_before: usize,
    /// Bytes of weights after.
    pub bytes_after: usize,
}

/// Rounds every matrix of `source` (two dimensions, 32 numbers a row or more) to int8 with one scale per row, keeps the
/// rest as f32, and writes a directory that opens like any other. Classification heads stay as they are.
///
/// The target is made beside its place and renamed, so that a directory of this name is always whole.
///
/// # Errors
/// The source does not open or has no such matrix; the target exists; the disk.
pub fn quantize(source: &Path, target: &Path) -> Result<Quantized, LmError> {
    quantize_with(source, target, &|_, _| {})
}

/// The same; `progress` is told how many tensors of how many have been rounded or copied.
///
/// # Errors
/// As [`quantize`].
pub fn quantize_with(
    source: &Path,
    target: &Path,
    progress: &dyn Fn(usize, usize),
) -> Result<Quantized, LmError> {
    check_target(target)?;
    EncoderModel::open(source, &EncoderOptions { threads: Some(1), ..EncoderOptions::default() })?;
    let weights = WeightSet::open(source)?;
    if weights.metadata(FORMAT_KEY).is_some() {
        return Err(LmError::Argument(format!("{}: is quantised already", source.display())));
    }
    copy_model(source, target, |file| write_weights(&weights, file, progress))
}

struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn write_weights(
    weights: &WeightSet,
    path: &Path,
    progress: &dyn Fn(usize, usize),
) -> Result<Quantized, LmError> {
    let mut stored: Vec<(String, Stored)> = Vec::new();
    let mut matrices = 0;
    let names = weights.names();
    for (done, name) in names.iter().copied().enumerate() {
        progress(done, names.len());
        let tensor = weights.tensor(name)?;
        if !tensor.is_float() {
            // Position ids that some files carry: a count, not a weight.
            continue;
        }
        let (values, shape) = (tensor.to_f32()?, tensor.shape().to_vec());
        let head = name.contains("classifier") || name.contains("pooler") || name.starts_with("head.");
        if shape.len() == 2 && shape[1] >= SHORTEST && !head {
            let (rounded, scales) = round_rows(&values, shape[1]);
            let bytes = rounded.iter().map(|q| *q as u8).collect();
            stored.push((name.to_string(), Stored { dtype: Dtype::I8, shape: shape.clone(), bytes }));
            stored.push((format!("{name}{SCALE_SUFFIX}"), as_f32(&scales, vec![shape[0]])));
            matrices += 1;
        } else {
            stored.push((name.to_string(), as_f32(&values, shape)));
        }
    }
    progress(names.len(), names.len());
    if matrices == 0 {
        let problem = format!("no matrix has rows of {SHORTEST} numbers; the copy would be the same model");
        return Err(LmError::Argument(problem));
    }
    let views = stored
        .iter()
        .map(|(name, s)| Ok((name.as_str(), TensorView::new(s.dtype, s.shape.clone(), &s.bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let fields =
        HashMap::from([(FORMAT_KEY.to_string(), FORMAT.to_string()), ("format".into(), "pt".into())]);
    let failed =
        |e: safetensors::SafeTensorError| LmError::Io { path: path.into(), source: std::io::Error::other(e) };
    safetensors::serialize_to_file(views.map_err(failed)?, Some(fields), path).map_err(failed)?;
    let bytes_after = std::fs::metadata(path).map_err(LmError::io(path))?.len() as usize;
    Ok(Quantized { matrices, bytes_before: weights.bytes(), bytes_after })
}

fn as_f32(values: &[f32], shape: Vec<usize>) -> Stored {
    Stored { dtype: Dtype::F32, shape, bytes: values.iter().flat_map(|x| x.to_le_bytes()).collect() }
}
