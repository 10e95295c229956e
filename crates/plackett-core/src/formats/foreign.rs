//! Files that are given by mistake: what they are, told by their first bytes, and what to do.

/// Beginnings of files that no reader of texts reads, what they are and what to do.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (b"\xfd7zXZ", "is packed with xz; unpack it with `xz -d` (.gz and .zst are read)"),
    (b"\x04\x22\x4d\x18", "is packed with lz4; unpack it with `lz4 -d` (.gz and .zst are read)"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it and name the file inside"),
    (b"Rar!\x1a\x07", "is a RAR archive; unpack it and name the file inside"),
    (
        b"PK\x03\x04",
        "is a zip archive (so are .docx, .xlsx and .epub files); unpack it, or save its text, and name the file with it",
    ),
    (
        b"PAR1",
        "is a Parquet table; documents and the interactions of `plackett recommend` are read from those, by the ending .parquet (documents also with --input-format parquet); elsewhere give lines of text",
    ),
    (b"%PDF-", "is a PDF; take its text out, for example with `pdftotext`, and name the file with the text"),
    (b"{\\rtf", "is an RTF document; save it as plain text"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Office document; save it as plain text or CSV"),
    (b"\x89PNG", "is a picture; only text is read"),
    (b"\xff\xd8\xff", "is a picture; only text is read"),
    (b"GIF8", "is a picture; only text is read"),
    (b"SQLite format 3\0", "is an SQLite database; write the table as CSV, for example with `sqlite3 -csv`"),
    (b"\x89HDF\r\n", "is an HDF5 file; write its texts as JSON lines"),
    (b"\x93NUMPY", "is a NumPy array; only text is read"),
    (b"ARROW1", "is an Arrow file; write the table as Parquet"),
    (b"GGUF", "is a GGUF model; only text is read here"),
    (b"\x7fELF", "is a program; only text is read"),
    // The longer marks of UTF-32 come before those of UTF-16, with which one of them begins.
    (b"\xff\xfe\0\0", "is UTF-32 text; convert it with `iconv -f UTF-32 -t UTF-8`"),
    (b"\0\0\xfe\xff", "is UTF-32 text; convert it with `iconv -f UTF-32 -t UTF-8`"),
    (b"\xff\xfe", "is UTF-16 text; convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "is UTF-16 text; convert it with `iconv -f UTF-16 -t UTF-8`"),
];

/// What a file with these first bytes is, when it is none that readers of texts can read.
pub(super) fn foreign(start: &[u8]) -> Option<&'static str> {
    if let Some((_, problem)) = BEGINNINGS.iter().find(|(beginning, _)| start.starts_with(beginning)) {
        return Some(problem);
    }
    if let [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..] = start {
        return Some("is packed with bzip2; unpack it with `bzip2 -d` (.gz and .zst are read)");
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some("is a tar archive; unpack it with `tar -xf` and name the file or folder inside");
    }
    let zero = memchr::memchr(0, start)?;
    let pairs = start.len().min(64) / 2;
    let zeros = |at: usize| start.iter().skip(at).step_by(2).take(pairs).filter(|byte| **byte == 0).count();
    if pairs > 1 && zero < 2 && zeros(zero) * 2 > pairs {
        return Some(if zero == 1 {
            "looks like UTF-16 text without a mark; convert it with `iconv -f UTF-16LE -t UTF-8`"
        } else {
            "looks like UTF-16 text without a mark; convert it with `iconv -f UTF-16BE -t UTF-8`"
        });
    }
    Some("is a binary file and no text: there is a zero byte in it; name a file of text")
}

#[cfg(test)]
mod tests {
    use super::foreign;

    #[test]
    fn foreign_files_are_named_for_what_they_are() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let files: [(&[u8], &str); 12] = [
            (b"\xfd7zXZ\0rest", "xz -d"),
            (b"BZh91AY&SYrest", "bzip2 -d"),
            (b"PK\x03\x04rest", "zip archive"),
            (b"%PDF-1.7\n", "pdftotext"),
            (b"{\\rtf1 words}", "RTF"),
            (&tar, "tar -xf"),
            (b"\xff\xfea\0b\0", "iconv -f UTF-16 "),
            (b"\xff\xfe\0\0a\0\0\0", "iconv -f UTF-32 "),
            (b"i\0d\0,\0t\0", "iconv -f UTF-16LE"),
            (b"\0i\0d\0,\0t", "iconv -f UTF-16BE"),
            (b"words\0 and more words", "zero byte"),
            (b"PAR1", "--input-format parquet"),
        ];
        for (bytes, remedy) in files {
            assert!(foreign(bytes).is_some_and(|problem| problem.contains(remedy)), "{remedy}");
        }
        for text in ["", "a", "{\"id\": 1}", "q Q0 d 1 1 t\n", "\u{feff}words", "über"] {
            assert_eq!(foreign(text.as_bytes()), None, "{text}");
        }
    }
}
