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
    let fill = |folder: &Path| {
        let weights = folder.join("model.safetensors");
        let result = write(&weights)?;
        set_readable(&weights, 0o644);
        copy_companions(source, folder)?;
        Ok::<T, LmError>(result)
    };
    write_folder(target, fill, |path, source| LmError::io(path)(source))
}

/// Makes the folder `target`: `fill` fills one beside it, which is removed if that fails, and which gets the name of the target once all is in it.
///
/// # Errors
/// What `fill` says; for the disk what `failed` makes of a path and the system's error.
pub fn write_folder<T, E>(
    target: &Path,
    fill: impl FnOnce(&Path) -> Result<T, E>,
    failed: impl Fn(&Path, std::io::Error) -> E,
) -> Result<T, E> {
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let at_parent = |source: std::io::Error| failed(parent, source);
    std::fs::create_dir_all(parent).map_err(at_parent)?;
    let staging = tempfile::Builder::new().prefix(".copy-").tempdir_in(parent).map_err(at_parent)?;
    let result = fill(staging.path())?;
    synced(staging.path()).map_err(|source| failed(staging.path(), source))?;
    let staged = staging.keep();
    set_readable(&staged, 0o755);
    std::fs::rename(&staged, target).map_err(|source| failed(target, source))?;
    synced(parent).map_err(at_parent)?;
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

/// What is written as temporary is private; a model directory is readable like any other.
fn set_readable(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Only a convenience for other users of the machine: the model is whole without it.
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = (path, mode);
}

fn sync(path: &Path) -> Result<(), LmError> {
    synced(path).map_err(LmError::io(path))
}

fn synced(path: &Path) -> std::io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}
