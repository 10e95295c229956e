//! A folder of `.txt` and `.md` files, plain or packed.

use super::{DocumentOptions, Documents};
use crate::Document;
use crate::formats::input::{open_counted, stopped};
use crate::formats::remarks::counted;
use crate::formats::{BytesRead, FormatError};
use std::collections::HashSet;
use std::fs::Metadata;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Documents in order of their paths; the id is the path inside the folder with `/`. Links to files and folders are
/// followed, but every folder is read once; hidden entries and files of other kinds are left out, which the remarks say.
/// A folder without any such file is an error.
pub(super) fn open(folder: &Path, options: &DocumentOptions) -> Result<Documents, FormatError> {
    let found = Found::in_folder(folder)?;
    if found.files.is_empty() {
        let there = found.others.first().map_or_else(String::new, |other| {
            let other = other.display();
            format!(" (there is {other}: to read the documents in it, name that file)")
        });
        let hidden = if found.hidden > 0 { "; hidden ones are left out" } else { "" };
        let problem = format!("has no .txt or .md file{there}{hidden}; name another folder");
        return Err(FormatError::File { file: folder.display().to_string(), problem });
    }
    for remark in found.remarks() {
        options.remarks.add(format!("{}: {remark}", folder.display()));
    }
    let (root, count) = (folder.to_path_buf(), options.bytes_read.clone());
    Ok(Box::new(found.files.into_iter().map(move |path| one(&root, &path, count.as_ref()))))
}

/// The size of all files that are documents.
pub(super) fn bytes(folder: &Path) -> Result<u64, FormatError> {
    let found = Found::in_folder(folder)?;
    Ok(found.files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.len()).sum())
}

/// Whether a name ends in `.txt` or `.md`, also before `.gz` or `.zst`.
fn is_text(path: &Path) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()) else {
        return false;
    };
    let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    bare.ends_with(".txt") || bare.ends_with(".md")
}

/// What is in a folder.
#[derive(Default)]
struct Found {
    /// Files that are documents, sorted.
    files: Vec<PathBuf>,
    /// Files of other kinds.
    others: Vec<PathBuf>,
    hidden: u64,
    /// Links to files, and to folders that were read.
    followed: u64,
    /// Links to folders that are read already, such as one around the link.
    again: Vec<PathBuf>,
    /// Links to nothing.
    broken: Vec<PathBuf>,
}

impl Found {
    fn in_folder(folder: &Path) -> Result<Found, FormatError> {
        let mut found = Found::default();
        let mut seen = HashSet::new();
        // Links wait until all real folders have been read, so that a folder goes by its own name where it has one here.
        let (mut waiting, mut links) = (vec![folder.to_path_buf()], Vec::new());
        loop {
            while let Some(folder) = waiting.pop() {
                let fail = |source| FormatError::Open { file: folder.display().to_string(), source };
                let real = std::fs::canonicalize(&folder).map_err(fail)?;
                if !seen.insert(real) {
                    found.again.push(folder);
                    continue;
                }
                let entries: Result<Vec<_>, _> = std::fs::read_dir(&folder).map_err(fail)?.collect();
                for entry in entries.map_err(fail)? {
                    let path = entry.path();
                    if entry.file_name().to_string_lossy().starts_with('.') {
                        found.hidden += 1;
                    } else if entry.file_type().map_err(fail)?.is_symlink() {
                        links.push(path);
                    } else {
                        let fail = |source| FormatError::Open { file: path.display().to_string(), source };
                        let data = entry.metadata().map_err(fail)?;
                        found.take(path, &data, &mut waiting);
                    }
                }
            }
            // Of the links that wait, the first by name is followed; what is behind it may have more.
            links.sort_by(|a, b| b.cmp(a));
            let Some(link) = links.pop() else { break };
            match std::fs::metadata(&link) {
                Ok(data) => {
                    found.followed += 1;
                    found.take(link, &data, &mut waiting);
                }
                Err(_) => found.broken.push(link),
            }
        }
        found.files.sort();
        found.others.sort();
        Ok(found)
    }

    fn take(&mut self, path: PathBuf, data: &Metadata, waiting: &mut Vec<PathBuf>) {
        if data.is_dir() {
            waiting.push(path);
        } else if data.is_file() && is_text(&path) {
            self.files.push(path);
        } else {
            self.others.push(path);
        }
    }

    /// What a user would otherwise not know.
    fn remarks(&self) -> Vec<String> {
        let named = |paths: &[PathBuf]| {
            let shown: Vec<String> = paths.iter().take(3).map(|path| path.display().to_string()).collect();
            let more = if paths.len() > 3 { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        };
        let count = |paths: &[PathBuf], what: &str| counted(paths.len() as u64, what);
        let mut remarks = Vec::new();
        let followed = self.followed - (self.again.len() as u64).min(self.followed);
        if followed > 0 {
            remarks.push(format!("{} followed", counted(followed, "link")));
        }
        if !self.again.is_empty() {
            let links = count(&self.again, "link");
            remarks
                .push(format!("{links} to folders that are read already left out ({})", named(&self.again)));
        }
        if !self.broken.is_empty() {
            remarks.push(format!(
                "{} to nothing left out ({})",
                count(&self.broken, "link"),
                named(&self.broken)
            ));
        }
        if self.hidden > 0 {
            remarks.push(match self.hidden {
                1 => "1 hidden file or folder left out".into(),
                many => format!("{many} hidden files and folders left out"),
            });
        }
        if !self.others.is_empty() {
            let files = count(&self.others, "file");
            remarks
                .push(format!("{files} of other kinds than .txt and .md left out ({})", named(&self.others)));
        }
        remarks
    }
}

fn one(root: &Path, path: &Path, count: Option<&BytesRead>) -> Result<Document, FormatError> {
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    let read = open_counted(path, count)?.read_to_end(&mut bytes);
    read.map_err(|error| stopped(file.clone(), memchr::memchr_iter(b'\n', &bytes).count() as u64, error))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = memchr::memchr_iter(b'\n', before).count() as u64 + 1;
        FormatError::Utf8 { file: file.clone(), line, byte: before.len() - start + 1 }
    })?;
    let inside = path.strip_prefix(root).unwrap_or(path);
    let names: Option<Vec<&str>> = inside.iter().map(|name| name.to_str()).collect();
    let Some(names) = names else {
        return Err(FormatError::File { file, problem: "the name is not UTF-8; rename the file".into() });
    };
    Ok(Document::new(names.join("/"), text))
}
