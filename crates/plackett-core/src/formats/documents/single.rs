//! Files that are one document each: their kinds, and how one is read.
//!
//! A kind is a declaration in [`SINGLE_KINDS`]; everything else asks there: what a folder reads, what a name's ending means,
//! which kinds help and messages name.

use super::DocumentOptions;
use super::making::Making;
use super::tally::Tally;
use super::{html, markdown, pdf};
use crate::formats::FormatError;
use crate::formats::input::{Input, name_of, open_counted, open_foreign, stopped, unmarked};
use crate::{Document, Metadata};
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

/// The largest file that is one document, in bytes, unpacked: more is a collection under a wrong name, or a packed file that
/// would fill the memory.
pub const LARGEST_SINGLE: u64 = 256 << 20;

/// Said of files of a folder that are no text.
const NOT_UTF8: &str = "left out, as not all of it is UTF-8; convert it, for example with iconv";

/// Said of files of a folder that the user may not read.
const LOCKED: &str = "left out, as you have no right to read it; check its permissions";
/// Said of packed files of a folder of which the end is missing.
const CUT_OFF: &str = "left out, as the compressed file ends too early; fetch it again";
/// Said of packed files of a folder that cannot be unpacked.
const DAMAGED: &str = "left out, as the compressed file is damaged; fetch it again";

/// A kind of file that is one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SingleKind {
    /// Words as they stand.
    Text,
    /// Markdown, with or without front matter.
    Markdown,
    /// A page.
    Html,
    /// The text of a PDF. A program without the feature `pdf` knows the kind and does not read it.
    Pdf,
}

/// The parts of a document that a file of some kind gives.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parts {
    pub title: String,
    pub text: String,
    pub metadata: Metadata,
    /// Where headings stand in the text, in bytes.
    pub headings: Option<Vec<Range<usize>>>,
}

/// What a reader of one kind is given.
pub(super) struct Source<'a> {
    /// The file's name in messages.
    pub file: &'a str,
    /// What is in it, unpacked, without a byte order mark.
    pub bytes: &'a [u8],
    /// Takes what must be said of many files.
    pub tally: &'a Tally,
}

impl Source<'_> {
    /// The bytes as text.
    pub(super) fn text(&self) -> Result<&str, FormatError> {
        std::str::from_utf8(self.bytes).map_err(|error| {
            let before = self.bytes.get(..error.valid_up_to()).unwrap_or_default();
            let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
            let line = self.line_of(before.len());
            FormatError::Utf8 { file: self.file.into(), line, byte: before.len() - start + 1 }
        })
    }

    /// The line of a byte, from 1.
    pub(super) fn line_of(&self, byte: usize) -> u64 {
        let before = self.bytes.get(..byte).unwrap_or(self.bytes);
        memchr::memchr_iter(b'\n', before).count() as u64 + 1
    }
}

/// Reads one file.
pub(super) type Reader = fn(&Source<'_>) -> Result<Parts, Unread>;

/// Why a file gives no document.
pub(super) enum Unread {
    /// It is wrong, and whoever keeps it can mend it.
    Wrong(FormatError),
    /// There is nothing to read in it, such as a scanned page: an error where the file was named, and no reason to leave the
    /// rest of a folder unread.
    #[cfg_attr(not(feature = "pdf"), allow(dead_code, reason = "only PDF files can be like that"))]
    Nothing(&'static str),
    /// A part of it is wrong, without which it is a document: an error where the file was named, and in a folder what `said`
    /// says of it.
    Partly { parts: Box<Parts>, error: FormatError, said: &'static str },
}

impl From<FormatError> for Unread {
    fn from(error: FormatError) -> Unread {
        Unread::Wrong(error)
    }
}

/// A kind of file that is one document.
struct Declaration {
    kind: SingleKind,
    /// Endings of names, in small letters.
    endings: &'static [&'static str],
    /// `None` where this program was built without it.
    read: Option<Reader>,
    /// Raised when the reader makes another document of the same bytes, so that a sync reads files again.
    version: u32,
    /// Whether the bytes are no text, so that the guards against foreign files do not apply.
    binary: bool,
}

const SINGLE_KINDS: &[Declaration] = &[
    Declaration {
        kind: SingleKind::Text,
        endings: &["txt", "text"],
        read: Some(plain),
        version: 1,
        binary: false,
    },
    Declaration {
        kind: SingleKind::Markdown,
        endings: &["md", "markdown"],
        read: Some(markdown::read),
        version: 3,
        binary: false,
    },
    Declaration {
        kind: SingleKind::Html,
        endings: &["html", "htm", "xhtml"],
        read: Some(html::read),
        version: 1,
        binary: false,
    },
    Declaration { kind: SingleKind::Pdf, endings: &["pdf"], read: pdf::READER, version: 1, binary: true },
];

fn plain(source: &Source<'_>) -> Result<Parts, Unread> {
    Ok(Parts { text: source.text()?.to_string(), ..Parts::default() })
}

impl SingleKind {
    fn declaration(self) -> &'static Declaration {
        // Every kind has a line; the first one stands in for one that would not.
        SINGLE_KINDS.iter().find(|known| known.kind == self).unwrap_or(&SINGLE_KINDS[0])
    }

    /// The kind of a file by the ending of its name, also before `.gz` and `.zst`.
    pub fn of(path: &Path) -> Option<SingleKind> {
        let ending = ending(path)?;
        SINGLE_KINDS.iter().find(|known| known.endings.contains(&ending.as_str())).map(|known| known.kind)
    }

    /// Whether this program reads it: PDF needs the feature `pdf`.
    pub fn is_read(self) -> bool {
        self.declaration().read.is_some()
    }

    /// Which reader makes documents of this kind: another name means that another document may come of the same bytes.
    pub fn reader(self) -> String {
        let declaration = self.declaration();
        format!("{}-{}", declaration.endings[0], declaration.version)
    }

    /// The endings of all kinds that are read: `.txt, .text, .md …`.
    pub(super) fn endings() -> String {
        let read = SINGLE_KINDS.iter().filter(|known| known.read.is_some());
        let endings: Vec<String> =
            read.flat_map(|known| known.endings).map(|ending| format!(".{ending}")).collect();
        endings.join(", ")
    }
}

/// The ending of a name in small letters, without that of a packer.
pub(super) fn ending(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    bare.rsplit_once('.').map(|(_, ending)| ending.to_string())
}

/// What is done for every file: one reader for a folder's files and for a file that is named.
pub(super) struct Singles {
    making: Making,
    tally: Tally,
    of_folder: bool,
}

/// What became of a file.
pub(super) enum Outcome {
    Document(Document),
    /// The check of [`super::FileCheck`] said that it is known.
    Unchanged,
    /// There is nothing to read in it, and why.
    Nothing(&'static str),
}

impl Singles {
    /// Reads files that were named: what is wrong with one is an error.
    pub(super) fn new(making: Making) -> Singles {
        Singles { making, tally: Tally::default(), of_folder: false }
    }

    /// Reads the files of a folder: a part of one that is wrong is left out.
    pub(super) fn of_folder(making: Making) -> Singles {
        Singles { of_folder: true, ..Singles::new(making) }
    }

    /// Reads the file of an id.
    pub(super) fn read(&self, path: &Path, kind: SingleKind, id: String) -> Result<Outcome, FormatError> {
        let file = name_of(path);
        let count = self.making.options.bytes_read.as_ref();
        let open = if kind.declaration().binary { open_foreign } else { open_counted };
        let bytes = whole(open(path, count)?, &file)?;
        if self.making.options.unchanged.as_ref().is_some_and(|check| check.is_known(&id, kind, &bytes)) {
            return Ok(Outcome::Unchanged);
        }
        self.parse(&bytes, &file, kind, id)
    }

    /// The document of the bytes of a file.
    fn parse(&self, bytes: &[u8], file: &str, kind: SingleKind, id: String) -> Result<Outcome, FormatError> {
        let Some(reader) = kind.declaration().read else {
            return Err(FormatError::File { file: file.into(), problem: pdf::ABSENT.into() });
        };
        let document = |Parts { title, text, metadata, headings }: Parts| {
            Outcome::Document(self.making.whole(Document { id, title, text, metadata, headings }))
        };
        match reader(&Source { file, bytes, tally: &self.tally }) {
            Ok(parts) => Ok(document(parts)),
            Err(Unread::Partly { parts, error, said }) if self.of_folder => {
                match error.line() {
                    Some(line) => self.tally.add(said, &format!("{file}, line {line}")),
                    None => self.tally.add(said, file),
                }
                Ok(document(*parts))
            }
            Err(Unread::Wrong(error) | Unread::Partly { error, .. }) => Err(error),
            Err(Unread::Nothing(why)) => Ok(Outcome::Nothing(why)),
        }
    }

    /// Says what was counted.
    pub(super) fn remark(&self) {
        self.tally.remarks().into_iter().for_each(|remark| self.making.options.remarks.add(remark));
    }

    /// Leaves a file of a folder out for what is wrong with it, where that is the file's own fault: what it is told by is
    /// counted, with its name. Other failures, such as a disk that cannot be read, are given back.
    pub(super) fn leave_out(&self, error: FormatError, file: &str) -> Result<(), FormatError> {
        match error {
            FormatError::Utf8 { .. } => self.tally.add(NOT_UTF8, file),
            FormatError::File { problem, .. } => self.tally.add(format!("left out: {problem}"), file),
            FormatError::Truncated { .. } => self.tally.add(CUT_OFF, file),
            FormatError::Open { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                self.tally.add(LOCKED, file)
            }
            // What unpacks has errors of its own; those of the system have a number.
            FormatError::Read { source, .. } if source.raw_os_error().is_none() => {
                self.tally.add(DAMAGED, file)
            }
            other => return Err(other),
        }
        Ok(())
    }

    /// Counts a file of which something must be said.
    pub(super) fn count(&self, what: &'static str, file: &str) {
        self.tally.add(what, file);
    }

    /// Tells whoever checks files that one is there and cannot be read.
    pub(super) fn tell_unread(&self, id: &str) {
        self.making.options.unchanged.iter().for_each(|check| check.is_unread(id));
    }
}

/// All bytes of a file, up to the limit.
fn whole(input: Input<'_>, file: &str) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    let read = input.take(LARGEST_SINGLE + 1).read_to_end(&mut bytes);
    read.map_err(|error| {
        stopped(file.to_string(), memchr::memchr_iter(b'\n', &bytes).count() as u64, error)
    })?;
    if bytes.len() as u64 > LARGEST_SINGLE {
        let problem = format!(
            "has more than {} MiB and would be one document; split it, or say how it is kept with --input-format",
            LARGEST_SINGLE >> 20
        );
        return Err(FormatError::File { file: file.into(), problem });
    }
    Ok(bytes)
}

/// The document of a file of some kind that is in memory, unpacked; `file` is its name in messages and its id.
///
/// # Errors
/// The file is wrong, or there is nothing to read in it; this program does not read the kind.
pub fn parse_single(
    bytes: &[u8],
    file: &str,
    kind: SingleKind,
    options: &DocumentOptions,
) -> Result<Document, FormatError> {
    let singles = Singles::new(Making::new(options.clone()));
    let outcome = singles.parse(unmarked(bytes), file, kind, file.into())?;
    singles.remark();
    match outcome {
        Outcome::Document(document) => Ok(document),
        // Only files are asked whether they are known.
        Outcome::Unchanged => Ok(Document::new(file, "")),
        Outcome::Nothing(why) => Err(FormatError::File { file: file.into(), problem: why.into() }),
    }
}

/// The one document of a file that was named.
pub(super) fn open(path: &Path, kind: SingleKind, making: Making) -> Result<super::Documents, FormatError> {
    let file = name_of(path);
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|_| path != Path::new("-")).map(str::to_string) else {
        let problem = "has no name that the document could have for its id; put the text into a file with a name in UTF-8";
        return Err(FormatError::File { file, problem: problem.into() });
    };
    let (path, mut next) = (path.to_path_buf(), Some(name));
    let singles = Singles::new(making);
    Ok(Box::new(std::iter::from_fn(move || {
        let read = singles.read(&path, kind, next.take()?);
        singles.remark();
        match read {
            Ok(Outcome::Document(document)) => {
                singles.say_one_document(kind, &file, &document.text);
                Some(Ok(document))
            }
            Ok(Outcome::Unchanged) => None,
            Ok(Outcome::Nothing(why)) => {
                Some(Err(FormatError::File { file: file.clone(), problem: why.into() }))
            }
            Err(error) => Some(Err(error)),
        }
    })))
}

impl Singles {
    /// A file of texts may have been meant as a collection with one a line.
    fn say_one_document(&self, kind: SingleKind, file: &str, text: &str) {
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        if kind == SingleKind::Text && lines > 1 {
            self.making.options.remarks.add(format!(
                "{file}: is one document of {lines} lines; --input-format text makes one of each line"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_left_out_for_what_is_wrong_with_them_alone() {
        let singles = Singles::new(Making::new(DocumentOptions::default()));
        let (file, line) = (|| "a.txt.gz".to_string(), 0);
        let open = |kind: ErrorKind| FormatError::Open { file: file(), source: kind.into() };
        let read = |source| FormatError::Read { file: file(), line, source };
        let damaged = std::io::Error::new(ErrorKind::InvalidInput, "corrupt deflate stream");
        for error in
            [open(ErrorKind::PermissionDenied), FormatError::Truncated { file: file(), line }, read(damaged)]
        {
            assert!(singles.leave_out(error, "a").is_ok());
        }
        assert_eq!(singles.tally.remarks().len(), 3, "{:?}", singles.tally);
        assert!(singles.leave_out(open(ErrorKind::NotFound), "a").is_err());
        // A disk that cannot be read on.
        assert!(singles.leave_out(read(std::io::Error::from_raw_os_error(5)), "a").is_err());
    }

    #[test]
    fn kinds_are_told_by_the_endings_of_names() {
        for (name, kind) in [
            ("a.MD", Some(SingleKind::Markdown)),
            ("a.txt.gz", Some(SingleKind::Text)),
            ("a.b.htm.zst", Some(SingleKind::Html)),
            ("a.pdf", Some(SingleKind::Pdf)),
            ("a.docx", None),
            ("txt", None),
        ] {
            assert_eq!(SingleKind::of(Path::new(name)), kind, "{name}");
        }
        for kind in [SingleKind::Text, SingleKind::Markdown, SingleKind::Html, SingleKind::Pdf] {
            assert_eq!(kind.declaration().kind, kind, "each kind has a line of its own");
        }
    }
}
