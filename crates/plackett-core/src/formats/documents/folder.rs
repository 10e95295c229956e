//! A folder of `.txt` and `.md` files, plain or packed.

use super::Documents;
use crate::Document;
use crate::formats::input::{open_counted, stopped, unmarked};
use crate::formats::{BytesRead, FormatError};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Documents in order of their paths; the id is the path inside the folder with `/`. Other files are left out, and a
/// folder without any such file is an error. Links are not followed.
pub(super) fn open(folder: &Path, count: Option<BytesRead>) -> Result<Documents, FormatError> {
    let mut files = Vec::new();
    gather(folder, &mut files)?;
    if files.is_empty() {
        let problem = "has no .txt or .md file; name another folder".into();
        return Err(FormatError::File { file: folder.display().to_string(), problem });
    }
    files.sort();
    let root = folder.to_path_buf();
    Ok(Box::new(files.into_iter().map(move |path| one(&root, &path, count.as_ref()))))
}

/// The size of all files that are documents.
pub(super) fn bytes(folder: &Path) -> Result<u64, FormatError> {
    let mut files = Vec::new();
    gather(folder, &mut files)?;
    Ok(files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.len()).sum())
}

/// Whether a name ends in `.txt` or `.md`, also before `.gz` or `.zst`.
fn is_text(path: &Path) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()) else {
        return false;
    };
    let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    bare.ends_with(".txt") || bare.ends_with(".md")
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), FormatError> {
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let fail = |source| FormatError::Open { file: folder.display().to_string(), source };
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(fail)?);
            if kind.is_dir() {
                waiting.push(path);
            } else if kind.is_file() && is_text(&path) {
                files.push(path);
            }
        }
    }
    Ok(())
}

fn one(root: &Path, path: &Path, count: Option<&BytesRead>) -> Result<Document, FormatError> {
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    let read = open_counted(path, count)?.read_to_end(&mut bytes);
    read.map_err(|error| stopped(file.clone(), memchr::memchr_iter(b'\n', &bytes).count() as u64, error))?;
    let text = std::str::from_utf8(unmarked(&bytes)).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = memchr::memchr_iter(b'\n', before).count() as u64 + 1;
        FormatError::Utf8 { file: file.clone(), line, byte: before.len() - start }
    })?;
    let inside = path.strip_prefix(root).unwrap_or(path);
    let names: Option<Vec<&str>> = inside.iter().map(|name| name.to_str()).collect();
    let Some(names) = names else {
        return Err(FormatError::File { file, problem: "the name is not UTF-8; rename the file".into() });
    };
    Ok(Document::new(names.join("/"), text))
}
