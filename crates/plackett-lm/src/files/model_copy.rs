//! Copies of model directories with other weights: made beside their place and renamed, so that a directory of this name is always whole.

use crate::error::LmError;
use std::path::{Path, PathBuf};

/// Files that a model needs besides its weights.
const COMPANIONS: &[&str] = &[
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

/// Refuses a target that exists.
pub(crate) fn check_target(target: &Path) -> Result<(), LmError> {
    match target.symlink_metadata().is_ok() {
        true => {
            Err(LmError::Argument(format!("{}: exists; choose another name or remove it", target.display())))
        }
        false => Ok(()),
    }
}

/// Makes `target` of `source`: `write` writes the weights into the file that it is given; configuration, tokenizer, modules and licences are
/// copied, and nothing else.
///
/// # Errors
/// The target exists; what `write` says; the disk.
pub(crate) fn copy_model<T>(
    source: &Path,
    target: &Path,
    write: impl FnOnce(&Path) -> Result<T, LmError>,
) -> Result<T, LmError> {
    check_target(target)?;
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(LmError::io(parent))?;
    let staging =
        tempfile::Builder::new().prefix(".copy-").tempdir_in(parent).map_err(LmError::io(parent))?;
    let result = write(&staging.path().join("model.safetensors"))?;
    copy_companions(source, staging.path())?;
    sync(staging.path())?;
    let staged = staging.keep();
    set_readable(&staged);
    std::fs::rename(&staged, target).map_err(LmError::io(target))?;
    sync(parent)?;
    Ok(result)
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
