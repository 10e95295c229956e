//! Writes an int8 copy of a model directory.

use crate::encoder::model::{EncoderModel, EncoderOptions};
use crate::error::LmError;
use crate::files::int8_format::{FORMAT, FORMAT_KEY, round_rows};
use crate::files::weights::{SCALE_SUFFIX, WeightSet};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Numbers of a row that is worth a scale of its own.
const SHORTEST: usize = 32;

/// Files that a model needs besides its weights.
const COMPANIONS: &[&str] = &[
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

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
    if target.exists() {
        return Err(LmError::Argument(format!(
            "{}: exists; choose another name or remove it",
            target.display()
        )));
    }
    EncoderModel::open(source, &EncoderOptions { threads: Some(1), ..EncoderOptions::default() })?;
    let weights = WeightSet::open(source)?;
    if weights.metadata(FORMAT_KEY).is_some() {
        return Err(LmError::Argument(format!("{}: is quantised already", source.display())));
    }
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(LmError::io(parent))?;
    let staging =
        tempfile::Builder::new().prefix(".quantize-").tempdir_in(parent).map_err(LmError::io(parent))?;
    let result = write_weights(&weights, &staging.path().join("model.safetensors"), progress)?;
    copy_companions(source, staging.path())?;
    sync(staging.path())?;
    let staged = staging.keep();
    set_readable(&staged);
    std::fs::rename(&staged, target).map_err(LmError::io(target))?;
    sync(parent)?;
    Ok(result)
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

fn copy_companions(source: &Path, target: &Path) -> Result<(), LmError> {
    let mut names: Vec<PathBuf> = COMPANIONS.iter().map(PathBuf::from).collect();
    for entry in std::fs::read_dir(source).map_err(LmError::io(source))? {
        let entry = entry.map_err(LmError::io(source))?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let numbered = text.as_bytes().first().is_some_and(u8::is_ascii_digit) && text.contains('_');
        if entry.path().is_dir() && numbered {
            for file in ["config.json", "model.safetensors"] {
                names.push(PathBuf::from(&name).join(file));
            }
        } else if text.starts_with("LICENSE") || text.starts_with("NOTICE") {
            names.push(name.into());
        }
    }
    for name in names {
        let (from, to) = (source.join(&name), target.join(&name));
        if !from.exists() {
            continue;
        }
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(LmError::io(folder))?;
        }
        std::fs::copy(&from, &to).map_err(LmError::io(&from))?;
        sync(&to)?;
    }
    Ok(())
}

/// Temporary folders are private; a model directory is readable like any other.
fn set_readable(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Only a convenience for other users of the machine: the model is whole without it.
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
    }
}

fn sync(path: &Path) -> Result<(), LmError> {
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(LmError::io(path))
}
