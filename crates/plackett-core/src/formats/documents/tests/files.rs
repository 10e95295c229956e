//! Files that are one document each, alone and in folders.

use super::*;

#[test]
fn a_folder_has_files_of_many_kinds_and_says_what_it_does_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("a.md", b"---\nauthor: Somebody Else\n---\n# Own *title*\n\nWords.\n");
    write("sub/b.HTM", b"<title>Page</title><p>Seen</p><script>unseen()</script>");
    write("c.txt", b"Plain.\n");
    for name in ["1.png", "2.png", "3.png", "d.docx", "Makefile"] {
        write(name, b"\0");
    }
    let options = DocumentOptions {
        field_use: FieldUse::SearchedAsAsked,
        fields: vec!["title".into(), "text".into(), "author".into()],
        ..DocumentOptions::default()
    };
    let found: Vec<Document> = open_documents(folder.path(), &options).unwrap().map(|d| d.unwrap()).collect();
    let parts: Vec<_> = found.iter().map(|d| (d.id.as_str(), d.title.as_str(), d.text.as_str())).collect();
    assert_eq!(
        parts,
        [
            ("a.md", "Own title", "Own title\n\nWords."),
            ("c.txt", "", "Plain.\n"),
            ("sub/b.HTM", "Page", "Seen")
        ]
    );
    assert_eq!(found[0].metadata["author"], "Somebody Else");
    let remarks = options.remarks.take().join("\n");
    let expected = "5 files of kinds that are not read left out: 3 .png, 1 .docx, 1 without an ending (";
    assert!(remarks.contains(expected) && remarks.contains(".html"), "{remarks}");
    let asked = DocumentOptions { fields: vec!["text".into(), "autor".into()], ..options };
    let last = open_documents(folder.path(), &asked).unwrap().last().unwrap().unwrap_err().to_string();
    assert!(last.contains("`autor` of --fields; did you mean `author`?"), "{last}");
}

#[test]
fn a_packed_file_that_ends_too_early_stops_no_folder() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(&b"Words that go on and on, and never the same ones.\n".repeat(50)).unwrap();
    let packed = packer.finish().unwrap();
    std::fs::write(folder.path().join("a.txt"), "Words.").unwrap();
    std::fs::write(folder.path().join("b.txt.gz"), &packed[..packed.len() / 2]).unwrap();
    let options = DocumentOptions::default();
    let found: Vec<Document> = open_documents(folder.path(), &options).unwrap().map(|d| d.unwrap()).collect();
    assert_eq!(found.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["a.txt"]);
    let remarks = options.remarks.take().join("\n");
    assert!(
        remarks.contains("ends too early; fetch it again: 1 file (") && remarks.contains("b.txt.gz"),
        "{remarks}"
    );
    let alone = open_documents(&folder.path().join("b.txt.gz"), &options).map(|mut all| all.next());
    assert!(alone.is_err() || alone.is_ok_and(|first| first.is_some_and(|first| first.is_err())));
}

#[test]
fn a_file_of_a_known_kind_is_one_document_under_its_name() {
    let one = |name: &str, text: &str, format| {
        let options = DocumentOptions { format, ..DocumentOptions::default() };
        let (found, remarks) = read_with(name, text, options);
        assert_eq!(found.len(), 1, "{found:?}");
        (found.into_iter().next().unwrap(), remarks)
    };
    let (document, remarks) = one("notes.md", "# A title\n\nWords.\n", DocumentFormat::Auto);
    let document = document.unwrap();
    assert_eq!((document.id.as_str(), document.title.as_str()), ("notes.md", "A title"));
    assert!(remarks.is_empty(), "{remarks:?}");
    let (document, _) = one("page", "<title>A</title>b", DocumentFormat::Single(SingleKind::Html));
    assert_eq!(
        document.unwrap(),
        Document { title: "A".into(), headings: Some(Vec::new()), ..Document::new("page", "b") }
    );
    let (document, remarks) = one("words.txt", "One.\nTwo.\n", DocumentFormat::Auto);
    assert_eq!(document.unwrap(), Document::new("words.txt", "One.\nTwo.\n"));
    assert!(remarks.len() == 1 && remarks[0].contains("--input-format text"), "{remarks:?}");
    let parsed =
        parse_single(b"\xef\xbb\xbf# A\n", "m", SingleKind::Markdown, &DocumentOptions::default()).unwrap();
    assert_eq!(
        parsed,
        Document {
            title: "A".into(),
            headings: Some(std::iter::once(0..1).collect()),
            ..Document::new("m", "A")
        }
    );
    let (broken, _) = one("notes.md", "---\na: [\n---\nWords.\n", DocumentFormat::Auto);
    let broken = broken.unwrap_err().to_string();
    assert!(broken.contains("notes.md, line") && broken.contains("front matter"), "{broken}");
    let stdin =
        DocumentOptions { format: DocumentFormat::Single(SingleKind::Html), ..DocumentOptions::default() };
    let nameless = open_documents(std::path::Path::new("-"), &stdin).err().unwrap().to_string();
    assert!(nameless.contains("standard input") && nameless.contains("no name"), "{nameless}");
}

#[test]
fn front_matter_of_a_folder_that_does_not_parse_is_left_out_and_said() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.md", "---\ntitle: a\ntitle: b\n---\n# Heading\n\nWords.\n"),
        ("b.md", "+++\ntitle = \n+++\nOther words.\n"),
        ("c.md", "---\ntitle: C\nyear: 2020\n---\nMore.\n"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let options = DocumentOptions::default();
    let found: Vec<Document> = open_documents(folder.path(), &options).unwrap().map(Result::unwrap).collect();
    let parts: Vec<_> = found.iter().map(|d| (d.title.as_str(), d.text.as_str(), d.metadata.len())).collect();
    assert_eq!(parts, [("Heading", "Heading\n\nWords.", 0), ("", "Other words.", 0), ("C", "More.", 1)]);
    let remarks = options.remarks.take();
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    for piece in ["front matter does not parse", "mend it: 2 files", "a.md, line 3", "b.md, line 2"] {
        assert!(remarks[0].contains(piece), "{piece}: {remarks:?}");
    }
}

#[test]
fn pdf_files_are_read_or_said_not_to_be() {
    let (found, _) = read_with("paper.pdf", "%PDF-1.7\n%words", DocumentOptions::default());
    let error = found[0].as_ref().unwrap_err().to_string();
    let piece = if SingleKind::Pdf.is_read() { "not a readable PDF" } else { "the feature `pdf`" };
    assert!(found.len() == 1 && error.contains("paper.pdf") && error.contains(piece), "{error}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.pdf"), "%PDF-1.7").unwrap();
    let none = open_documents(folder.path(), &DocumentOptions::default())
        .and_then(|documents| documents.last().unwrap_or_else(|| Ok(Document::default())).map(|_| ()));
    let none = none.unwrap_err().to_string();
    assert!(none.contains("a.pdf") && none.contains(piece), "{none}");
    // Beside a file that is read, whoever checks files is told that it is there, in programs with the feature and without.
    std::fs::write(folder.path().join("b.txt"), "words").unwrap();
    let unread = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = unread.clone();
    let check =
        FileCheck::new(|_, _, _| false).on_unread(move |id| told.lock().unwrap().push(id.to_string()));
    let options = DocumentOptions { unchanged: Some(check), ..DocumentOptions::default() };
    let found: Vec<Document> = open_documents(folder.path(), &options).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, [Document::new("b.txt", "words")]);
    assert_eq!(*unread.lock().unwrap(), ["a.pdf"]);
    assert!(options.remarks.take().join("\n").contains("a.pdf"));
}

#[test]
fn files_that_are_known_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "old").unwrap();
    std::fs::write(folder.path().join("b.md"), "new").unwrap();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = asked.clone();
    let check = FileCheck::new(move |id, kind, bytes| {
        seen.lock().unwrap().push((id.to_string(), kind, bytes.to_vec()));
        bytes == b"old"
    });
    let options = DocumentOptions { unchanged: Some(check), ..DocumentOptions::default() };
    let ids = |path: &std::path::Path| {
        open_documents(path, &options).unwrap().map(|d| d.unwrap().id).collect::<Vec<_>>()
    };
    assert_eq!(ids(folder.path()), ["b.md"]);
    assert_eq!(
        *asked.lock().unwrap(),
        [
            ("a.txt".to_string(), SingleKind::Text, b"old".to_vec()),
            ("b.md".to_string(), SingleKind::Markdown, b"new".to_vec())
        ]
    );
    assert!(ids(&folder.path().join("a.txt")).is_empty(), "a file that is known is no empty file");
}
