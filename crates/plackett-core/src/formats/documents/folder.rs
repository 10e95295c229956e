//! A folder of files that are one document each, of any kind that is read, plain or packed.

use super::Documents;
use super::making::Making;
use super::single::{Outcome, SingleKind, Singles, ending};
use super::tally::some;
use crate::formats::FormatError;
use crate::formats::remarks::counted;
use indexmap::IndexMap;
use std::collections::HashSet;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Documents in order of their paths; the id is the path inside the folder with `/`. Links to files and folders are
/// followed, but every folder is read once; hidden entries, files of other kinds, files that are not what their names say,
/// such as texts that are not UTF-8 or packed files that end too early, and what the user has no right to read are left out,
/// which the remarks say. A folder without any file that is read is an error.
pub(super) fn open(folder: &Path, making: Making) -> Result<Documents, FormatError> {
    let found = Found::in_folder(folder)?;
    let name = folder.display().to_string();
    if found.files.is_empty() {
        return Err(FormatError::File { file: name, problem: found.none() });
    }
    for remark in found.remarks() {
        making.options.remarks.add(format!("{name}: {remark}"));
    }
    let (root, singles, all) = (folder.to_path_buf(), Singles::of_folder(making), found.files.len());
    let (unread, locked) = (found.known_and_unread(), found.locked.clone());
    let (mut files, mut any, mut first, mut done) = (found.files.into_iter(), false, None, false);
    Ok(Box::new(std::iter::from_fn(move || {
        for (path, kind) in files.by_ref() {
            let file = path.display().to_string();
            let id = match id(&root, &path) {
                Ok(id) => id,
                Err(error) => {
                    first.get_or_insert_with(|| error.to_string());
                    if let Err(error) = singles.leave_out(error, &file) {
                        return Some(Err(error));
                    }
                    continue;
                }
            };
            match singles.read(&path, kind, id.clone()) {
                Ok(Outcome::Document(document)) => {
                    any = true;
                    return Some(Ok(document));
                }
                Ok(Outcome::Unchanged) => any = true,
                Ok(Outcome::Nothing(why)) => {
                    singles.count(why, &file);
                    singles.tell_unread(&id);
                }
                Err(error) => {
                    first.get_or_insert_with(|| error.to_string());
                    if let Err(error) = singles.leave_out(error, &file) {
                        any = true;
                        return Some(Err(error));
                    }
                    singles.tell_unread(&id);
                }
            }
        }
        if std::mem::replace(&mut done, true) {
            return None;
        }
        unread.iter().filter_map(|path| id(&root, path).ok()).for_each(|id| singles.tell_unread(&id));
        for id in locked.iter().filter_map(|path| id(&root, path).ok()) {
            singles.tell_unread(&id);
            singles.tell_unread(&format!("{id}/"));
        }
        singles.remark();
        let why = first.take().map(|first| format!(" ({first})")).unwrap_or_default();
        let files = counted(all as u64, "file");
        let problem = format!("none of its {files} could be read{why}; name another folder");
        (!any).then(|| Err(FormatError::File { file: name.clone(), problem }))
    })))
}

/// Whether the user has no right to read it.
fn is_locked(error: &FormatError) -> bool {
    matches!(error, FormatError::Open { source, .. } if source.kind() == ErrorKind::PermissionDenied)
}

/// The id of a file: its path inside the folder.
fn id(root: &Path, path: &Path) -> Result<String, FormatError> {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let names: Option<Vec<&str>> = inside.iter().map(|name| name.to_str()).collect();
    let file = || path.display().to_string();
    let problem = || "the name is not UTF-8; rename the file".to_string();
    names.map(|names| names.join("/")).ok_or_else(|| FormatError::File { file: file(), problem: problem() })
}

/// The size of all files that are documents.
pub(super) fn bytes(folder: &Path) -> Result<u64, FormatError> {
    let found = Found::in_folder(folder)?;
    Ok(found.files.iter().filter_map(|(file, _)| std::fs::metadata(file).ok()).map(|data| data.len()).sum())
}

/// Kinds of files that are counted by name.
const MOST_KINDS: usize = 10;

/// What is in a folder.
#[derive(Default)]
struct Found {
    /// Files that are documents, sorted.
    files: Vec<(PathBuf, SingleKind)>,
    /// Files of other kinds.
    others: Vec<PathBuf>,
    hidden: u64,
    /// Links to files, and to folders that were read.
    followed: u64,
    /// Links to folders that are read already, such as one around the link.
    again: Vec<PathBuf>,
    /// Links to nothing.
    broken: Vec<PathBuf>,
    /// Files and folders that the user has no right to read.
    locked: Vec<PathBuf>,
}

impl Found {
    fn in_folder(folder: &Path) -> Result<Found, FormatError> {
        let mut found = Found::default();
        let mut seen = HashSet::new();
        // Links wait until all real folders have been read, so that a folder goes by its own name where it has one here.
        let (mut waiting, mut links) = (vec![folder.to_path_buf()], Vec::new());
        loop {
            while let Some(inner) = waiting.pop() {
                match found.look_into(&inner, &mut seen, &mut waiting, &mut links) {
                    Err(error) if inner != folder && is_locked(&error) => found.locked.push(inner),
                    other => other?,
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
        found.files.sort_by(|one, other| one.0.cmp(&other.0));
        found.others.sort();
        found.locked.sort();
        Ok(found)
    }

    /// Takes what is in one folder; folders in it and links are left to wait.
    fn look_into(
        &mut self,
        folder: &Path,
        seen: &mut HashSet<PathBuf>,
        waiting: &mut Vec<PathBuf>,
        links: &mut Vec<PathBuf>,
    ) -> Result<(), FormatError> {
        let fail = |source| FormatError::Open { file: folder.display().to_string(), source };
        let real = std::fs::canonicalize(folder).map_err(fail)?;
        if !seen.insert(real) {
            self.again.push(folder.to_path_buf());
            return Ok(());
        }
        let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(fail)?.collect();
        for entry in entries.map_err(fail)? {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                self.hidden += 1;
            } else if entry.file_type().map_err(fail)?.is_symlink() {
                links.push(path);
            } else {
                match entry.metadata() {
                    Ok(data) => self.take(path, &data, waiting),
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => self.locked.push(path),
                    Err(source) => {
                        return Err(FormatError::Open { file: path.display().to_string(), source });
                    }
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, path: PathBuf, data: &Metadata, waiting: &mut Vec<PathBuf>) {
        if data.is_dir() {
            waiting.push(path);
            return;
        }
        match SingleKind::of(&path).filter(|kind| data.is_file() && kind.is_read()) {
            Some(kind) => self.files.push((path, kind)),
            None => self.others.push(path),
        }
    }

    /// Files of kinds that are documents, in a program that does not read them.
    fn known_and_unread(&self) -> Vec<PathBuf> {
        self.others.iter().filter(|path| SingleKind::of(path).is_some()).cloned().collect()
    }

    /// What is said of a folder in which there is nothing to read.
    fn none(&self) -> String {
        let there = match self.others.first() {
            Some(pdf) if SingleKind::of(pdf) == Some(SingleKind::Pdf) => {
                format!(" (there is {}: {})", pdf.display(), super::pdf::ABSENT)
            }
            Some(other) => {
                let other = other.display();
                format!(" (there is {other}: to read the documents in it, name that file)")
            }
            None => String::new(),
        };
        let hidden = if self.hidden > 0 { "; hidden ones are left out" } else { "" };
        let locked = self.locked.first().map_or_else(String::new, |path| {
            format!("; you have no right to read {}: check its permissions", path.display())
        });
        format!(
            "has no file that is read ({}){there}{hidden}{locked}; name another folder",
            SingleKind::endings()
        )
    }

    /// The files of kinds that are not read, counted by the endings of their names, most first.
    fn not_read(&self) -> Option<String> {
        let mut counts: IndexMap<String, u64> = IndexMap::new();
        for path in &self.others {
            let kind =
                ending(path).map_or_else(|| "without an ending".to_string(), |ending| format!(".{ending}"));
            *counts.entry(kind).or_default() += 1;
        }
        counts.sort_by(|one, first, other, second| second.cmp(first).then(one.cmp(other)));
        let shown: Vec<String> =
            counts.iter().take(MOST_KINDS).map(|(kind, count)| format!("{count} {kind}")).collect();
        let more = match counts.len().saturating_sub(MOST_KINDS) {
            0 => String::new(),
            more => format!(" and {more} more kinds"),
        };
        let names: Vec<String> = self.others.iter().take(3).map(|path| path.display().to_string()).collect();
        let files = counted(self.others.len() as u64, "file");
        let remedy = if counts.contains_key(".pdf") {
            format!("; a .pdf {}", super::pdf::ABSENT)
        } else {
            String::new()
        };
        (!self.others.is_empty()).then(|| {
            format!(
                "{files} of kinds that are not read left out: {}{more} ({}); read are {}{remedy}",
                shown.join(", "),
                some(&names, self.others.len()),
                SingleKind::endings()
            )
        })
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
        if !self.locked.is_empty() {
            let what = match self.locked.len() {
                1 => "1 file or folder left out, as you have no right to read it".to_string(),
                many => format!("{many} files and folders left out, as you have no right to read them"),
            };
            let names = named(&self.locked);
            remarks.push(format!("{what} ({names}); check the permissions"));
        }
        if self.hidden > 0 {
            remarks.push(match self.hidden {
                1 => "1 hidden file or folder left out".into(),
                many => format!("{many} hidden files and folders left out"),
            });
        }
        remarks.extend(self.not_read());
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read_is_named() {
        let found = Found { locked: vec!["notes/a".into()], ..Found::default() };
        assert_eq!(
            found.remarks(),
            ["1 file or folder left out, as you have no right to read it (notes/a); check the permissions"]
        );
        assert!(found.none().contains("no right to read notes/a"), "{}", found.none());
        let open = |kind: ErrorKind| FormatError::Open { file: "a".into(), source: kind.into() };
        assert!(is_locked(&open(ErrorKind::PermissionDenied)) && !is_locked(&open(ErrorKind::NotFound)));
    }
}
