//! Files that must be read at any place, for formats that keep their table of contents at the end.

use super::FormatError;
use super::input::{BytesRead, Counted, IS_FOLDER, decompress, is_packed, name_of, stopped};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, Write};
use std::path::Path;

/// The file itself; where it is packed, standard input or a pipe, an unpacked copy among the temporary files, which is
/// gone when it is closed. `count` grows with what is read here, and with nothing that is read of the file later; the
/// flag says whether that was all of it.
pub(super) fn open(path: &Path, count: Option<&BytesRead>) -> Result<(File, bool), FormatError> {
    let failed = |source| FormatError::Open { file: name_of(path), source };
    let input: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else if path.is_dir() {
        return Err(FormatError::File { file: name_of(path), problem: IS_FOLDER.into() });
    } else {
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_file() {
            let mut start = Vec::new();
            (&file).take(4).read_to_end(&mut start).map_err(failed)?;
            file.rewind().map_err(failed)?;
            if !is_packed(&start) {
                return Ok((file, false));
            }
        }
        Box::new(file)
    };
    let input = Counted { inner: input, count: count.cloned() };
    let reader = decompress(BufReader::with_capacity(1 << 16, input), path)?;
    Ok((copied(reader, &name_of(path))?, true))
}

fn copied(mut reader: impl BufRead, name: &str) -> Result<File, FormatError> {
    let failed = |source| {
        let folder = std::env::temp_dir();
        let file =
            format!("the unpacked copy of {name} in {} (TMPDIR names another folder)", folder.display());
        FormatError::Write { file, source }
    };
    let mut copy = tempfile::tempfile().map_err(failed)?;
    loop {
        let count = match reader.fill_buf() {
            Ok([]) => break,
            Ok(bytes) => {
                copy.write_all(bytes).map_err(failed)?;
                bytes.len()
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(stopped(name.into(), 0, error)),
        };
        reader.consume(count);
    }
    copy.rewind().map_err(failed)?;
    Ok(copy)
}
