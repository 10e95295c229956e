//! Writes an int8 copy of a model directory.

use crate::encoder::model::{EncoderModel, EncoderOptions};
use crate::error::LmError;
use crate::files::int8_format::{FORMAT, FORMAT_KEY, round_rows};
use crate::files::model_copy::{check_target, copy_model};
use crate::files::stored_tensors::{StoredTensor, write_tensors};
use crate::files::weights::{SCALE_SUFFIX, WeightSet};
use safetensors::tensor::Dtype;
use std::borrow::Cow;
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

fn write_weights(
    weights: &WeightSet,
    path: &Path,
    progress: &dyn Fn(usize, usize),
) -> Result<Quantized, LmError> {
    let mut stored: Vec<StoredTensor<'_>> = Vec::new();
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
            let (rows, bytes) = (shape[0], rounded.iter().map(|q| *q as u8).collect());
            let dtype = Dtype::I8;
            stored.push(StoredTensor { name: name.to_string(), dtype, shape, bytes: Cow::Owned(bytes) });
            stored.push(StoredTensor::of_f32(format!("{name}{SCALE_SUFFIX}"), vec![rows], &scales));
            matrices += 1;
        } else {
            stored.push(StoredTensor::of_f32(name.to_string(), shape, &values));
        }
    }
    progress(names.len(), names.len());
    if matrices == 0 {
        let problem = format!("no matrix has rows of {SHORTEST} numbers; the copy would be the same model");
        return Err(LmError::Argument(problem));
    }
    write_tensors(&stored, &[(FORMAT_KEY, FORMAT)], path)?;
    let bytes_after = std::fs::metadata(path).map_err(LmError::io(path))?.len() as usize;
    Ok(Quantized { matrices, bytes_before: weights.bytes(), bytes_after })
}
