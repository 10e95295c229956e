use super::*;

fn table(text: &str, separator: u8) -> Vec<Result<Document, FormatError>> {
    parse_table(text.as_bytes(), "t", separator, &DocumentOptions::default()).collect()
}

#[test]
fn json_lines_keep_ids_as_strings_and_other_fields_as_metadata() {
    let text = b"{\"_id\": 12, \"title\": \"T\", \"contents\": \"x\", \"year\": 1970, \"metadata\": {\"a\": 1}}\n\nnot json\n{\"id\": \"e\", \"text\": \"y\"}";
    let found: Vec<_> = parse_json_lines(text, "j", &DocumentOptions::default()).collect();
    let first = found[0].as_ref().unwrap();
    assert_eq!((first.id.as_str(), first.title.as_str(), first.text.as_str()), ("12", "T", "x"));
    assert_eq!(serde_json::to_string(&first.metadata).unwrap(), r#"{"a":1,"year":1970}"#);
    assert!(matches!(found[1], Err(FormatError::Json { line: 3, .. })));
    assert_eq!(found[2].as_ref().unwrap().id, "e");
}

#[test]
fn files_without_documents_are_refused_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a.jsonl", ""), ("b.jsonl", "\n\n"), ("c.csv", "id,text\n"), ("d.tsv", "")] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let found: Vec<_> = open_documents(&path, &DocumentOptions::default()).unwrap().collect();
        assert!(matches!(found[..], [Err(FormatError::Empty { .. })]), "{name}: {found:?}");
    }
}

#[test]
fn missing_ids_are_errors_or_numbers() {
    let options = DocumentOptions { number_missing_ids: true, ..DocumentOptions::default() };
    let text = b"{\"text\": \"y\"}";
    assert_eq!(parse_json_lines(text, "j", &options).next().unwrap().unwrap().id, "1");
    let strict = parse_json_lines(text, "j", &DocumentOptions::default()).next().unwrap();
    assert!(matches!(strict, Err(FormatError::Missing { line: 1, .. })));
}

#[test]
fn ids_and_titles_that_are_no_text_are_errors_and_not_left_out() {
    let options = DocumentOptions { number_missing_ids: true, ..DocumentOptions::default() };
    let one = |text: &str, options: &DocumentOptions| {
        parse_json_lines(text.as_bytes(), "j", options).next().unwrap().map_err(|error| error.to_string())
    };
    for options in [&options, &DocumentOptions::default()] {
        let title = one(r#"{"_id": "1", "title": ["A", "B"], "text": "x"}"#, options).unwrap_err();
        assert!(title.contains("line 1") && title.contains("title that is a string"), "{title}");
        let id = one(r#"{"_id": {"n": 1}, "text": "x"}"#, options).unwrap_err();
        assert!(id.contains("id that is a string or a number"), "{id}");
    }
    let document = one(r#"{"_id": null, "title": null, "text": "x"}"#, &options).unwrap();
    assert_eq!((document.id.as_str(), document.title.as_str()), ("1", ""));
}

#[test]
fn tables_with_and_without_header() {
    let csv = table("\u{feff}docid,text,lang\r\nd1,\"a, b\nc\",en\r\n", b',');
    let one = csv[0].as_ref().unwrap();
    assert_eq!(
        (one.id.as_str(), one.text.as_str(), one.metadata["lang"].as_str()),
        ("d1", "a, b\nc", Some("en"))
    );
    let tsv = table("7\tsays \"hi\n8\tx\ty\n", b'\t');
    assert_eq!(*tsv[0].as_ref().unwrap(), Document::new("7", "says \"hi"));
    assert!(matches!(tsv[1], Err(FormatError::Fields { line: 2, found: 3, .. })));
}

#[test]
fn folders_are_sorted_and_bad_bytes_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("b.txt"), "bee").unwrap();
    std::fs::write(folder.path().join("sub/a.md"), b"x\nyz\xff").unwrap();
    std::fs::write(folder.path().join("image.png"), b"").unwrap();
    let found: Vec<_> = open_documents(folder.path(), &DocumentOptions::default()).unwrap().collect();
    assert_eq!(found.len(), 2);
    assert_eq!(*found[0].as_ref().unwrap(), Document::new("b.txt", "bee"));
    assert!(matches!(found[1], Err(FormatError::Utf8 { line: 2, byte: 2, .. })));
}

/// A table of two documents.
fn write_parquet(path: &Path) {
    use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use ::parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;
    let schema = "message d { required int64 id; required binary contents (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let out = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[7, 8], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let texts = [ByteArray::from("one"), ByteArray::from("two")];
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 0).unwrap()
}

#[test]
fn packed_tables_and_folders_read_like_plain_ones() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("d.parquet");
    write_parquet(&plain);
    let whole = std::fs::read(&plain).unwrap();
    // The ending says what is inside, the first bytes how it is packed.
    for (name, bytes) in [("d.parquet.gz", gzip(&whole)), ("d.parquet.zst", zstd(&whole))] {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let found: Vec<_> = open_documents(&path, &DocumentOptions::default()).unwrap().collect();
        assert_eq!(found.into_iter().map(Result::unwrap).map(|d| d.text).collect::<Vec<_>>(), ["one", "two"]);
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let cut = open_documents(&path, &DocumentOptions::default()).err().expect("refused");
        assert!(matches!(cut, FormatError::Truncated { .. }), "{name}: {cut}");
    }
    let texts = tempfile::tempdir().unwrap();
    std::fs::write(texts.path().join("a.txt.gz"), gzip(b"packed")).unwrap();
    std::fs::write(texts.path().join("b.MD.zst"), zstd(b"too")).unwrap();
    std::fs::write(texts.path().join("c.txt"), b"plain").unwrap();
    std::fs::write(texts.path().join("d.csv.gz"), gzip(b"no text")).unwrap();
    let cut = gzip(b"cut");
    std::fs::write(texts.path().join("e.txt.gz"), &cut[..cut.len() - 3]).unwrap();
    let mut found: Vec<_> = open_documents(texts.path(), &DocumentOptions::default()).unwrap().collect();
    assert!(matches!(found.pop(), Some(Err(FormatError::Truncated { .. }))));
    let expected = [("a.txt.gz", "packed"), ("b.MD.zst", "too"), ("c.txt", "plain")];
    let expected = expected.map(|(id, text)| Document::new(id, text));
    assert_eq!(found.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected);
}

#[test]
fn lines_are_numbered_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("texts");
    std::fs::write(&path, "\u{feff}one text\r\n\n  another \n").unwrap();
    let options = DocumentOptions { format: DocumentFormat::Lines, ..DocumentOptions::default() };
    let found: Vec<_> = open_documents(&path, &options).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, [Document::new("1", "one text"), Document::new("3", "another")]);
    std::fs::write(folder.path().join("x.txt"), "in a folder").unwrap();
    let found: Vec<_> = open_documents(folder.path(), &options).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, [Document::new("x.txt", "in a folder")]);
}

#[test]
fn what_is_read_is_counted_as_it_lies_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..5000).map(|n| format!("{{\"id\": {n}, \"text\": \"t{n}\"}}\n")).collect();
    write_parquet(&folder.path().join("d.parquet"));
    let packed = gzip(&std::fs::read(folder.path().join("d.parquet")).unwrap());
    for (name, bytes) in [
        ("a.jsonl", lines.clone().into_bytes()),
        ("a.jsonl.gz", gzip(lines.as_bytes())),
        ("d.parquet.gz", packed),
        ("texts/a.txt", b"one".to_vec()),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let path = if name.starts_with("texts") { folder.path().join("texts") } else { path };
        let read = BytesRead::default();
        let options = DocumentOptions { bytes_read: Some(read.clone()), ..DocumentOptions::default() };
        assert!(open_documents(&path, &options).unwrap().all(|document| document.is_ok()), "{name}");
        let read = read.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!((read, document_bytes(&path)), (bytes.len() as u64, Some(bytes.len() as u64)), "{name}");
    }
    assert_eq!(document_bytes(Path::new("-")), None);
}

#[test]
fn parquet_rows_become_documents_and_garbage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.parquet");
    write_parquet(&path);
    let read = || open_documents(&path, &DocumentOptions::default());
    let found: Vec<_> = read().unwrap().map(Result::unwrap).collect();
    assert_eq!(found, [Document::new("7", "one"), Document::new("8", "two")]);
    let whole = std::fs::read(&path).unwrap();
    for (at, change) in (0..whole.len()).flat_map(|at| [(at, 0x01), (at, 0x80), (at, 0xff)]) {
        let mut bytes = whole.clone();
        bytes[at] ^= change;
        std::fs::write(&path, &bytes).unwrap();
        // Whatever a flipped bit makes of the table: it ends, and nothing panics.
        if let Ok(documents) = read() {
            assert!(documents.take(100).count() < 100);
        }
    }
    // In the place of the first page's header, a field that nobody knows: a list of 2^31 − 1 doubles. Skipping them
    // is refused at the end of the file, not gone through.
    let mut endless = whole.clone();
    endless[4..11].copy_from_slice(&[0xf9, 0xf7, 0xff, 0xff, 0xff, 0xff, 0x07]);
    std::fs::write(&path, &endless).unwrap();
    let started = std::time::Instant::now();
    assert!(read().unwrap().next().unwrap().is_err());
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    std::fs::write(&path, b"PAR1 nothing").unwrap();
    assert!(matches!(read().err(), Some(FormatError::File { .. })));
}

#[test]
fn a_line_beyond_the_limit_is_refused_once() {
    let options = DocumentOptions { line_limit: 16, ..DocumentOptions::default() };
    let found: Vec<_> = parse_json_lines(&[b'x'; 1000], "j", &options).collect();
    assert_eq!(found.len(), 1);
    assert!(matches!(found[0], Err(FormatError::LineTooLong { line: 1, limit: 16, .. })));
}

#[test]
fn an_open_quotation_mark_does_not_swallow_a_file() {
    let options = DocumentOptions { line_limit: 100_000, ..DocumentOptions::default() };
    let mut text = String::from("id,text\n1,fine\n2,\"never closed\n");
    text.push_str(&"x,y\n".repeat(100_000));
    let found: Vec<_> = parse_table(text.as_bytes(), "t", b',', &options).collect();
    assert!(found[0].is_ok());
    assert!(matches!(found[1], Err(FormatError::LineTooLong { line: 3, .. })), "{:?}", found[1]);
    assert_eq!(found.len(), 2);
    let many: String = (0..50_000).map(|i| format!("{i},text\n")).collect();
    let many = format!("id,text\n{many}");
    assert_eq!(parse_table(many.as_bytes(), "t", b',', &options).filter(Result::is_ok).count(), 50_000);
}
