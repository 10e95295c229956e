mod files;
mod parquet_files;
mod tables;

use super::*;
use crate::formats::BytesRead;
use parquet_files::write_parquet;

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
fn folders_are_sorted_and_bad_bytes_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("b.txt"), "bee").unwrap();
    std::fs::write(folder.path().join("sub/a.md"), b"x\nyz\xff").unwrap();
    std::fs::write(folder.path().join("sub/z.txt"), b"\xff\xfez\0").unwrap();
    std::fs::write(folder.path().join("image.png"), b"").unwrap();
    let unread = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = unread.clone();
    let check =
        FileCheck::new(|_, _, _| false).on_unread(move |id| told.lock().unwrap().push(id.to_string()));
    let options = DocumentOptions { unchanged: Some(check), ..DocumentOptions::default() };
    let found: Vec<_> = open_documents(folder.path(), &options).unwrap().collect();
    assert_eq!(found.len(), 1);
    assert_eq!(*found[0].as_ref().unwrap(), Document::new("b.txt", "bee"));
    assert_eq!(*unread.lock().unwrap(), ["sub/a.md", "sub/z.txt"]);
    let remarks = options.remarks.take().join("\n");
    assert!(remarks.contains("not all of it is UTF-8") && remarks.contains("1 file ("), "{remarks}");
    assert!(
        remarks.contains("a.md)") && remarks.contains("UTF-16") && remarks.contains("z.txt)"),
        "{remarks}"
    );
    // Named itself, it is an error; where nothing else is left, so is the folder.
    let alone = open_documents(&folder.path().join("sub/a.md"), &options).unwrap().next().unwrap();
    assert!(matches!(alone, Err(FormatError::Utf8 { line: 2, byte: 3, .. })));
    let none = open_documents(&folder.path().join("sub"), &options).unwrap().last().unwrap();
    let none = none.unwrap_err().to_string();
    assert!(none.contains("none of its 2 files") && none.contains("a.md, line 2"), "{none}");
}

/// A table of two documents.
#[test]
fn a_field_that_stands_twice_is_kept_by_itself_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let lines = [
        r#"{"id": 1, "text": "x", "year": 2020, "lang": "en", "metadata": {"year": 2021, "lang": "en", "by": "A"}}"#,
        r#"{"id": 2, "text": "x", "metadata": {"year": 2022}}"#,
        r#"{"id": 3, "text": "x", "metadata": {"year": 1}, "year": 2}"#,
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let options = DocumentOptions::default();
    let found: Vec<_> = open_documents(&path, &options).unwrap().map(Result::unwrap).collect();
    let years: Vec<_> = found.iter().map(|document| document.metadata["year"].as_u64().unwrap()).collect();
    assert_eq!((years, found[0].metadata["by"].as_str()), (vec![2020, 2022, 2], Some("A")));
    let remarks = options.remarks.take().join("\n");
    assert!(remarks.contains("`year` (2 documents)") && !remarks.contains("lang"), "{remarks}");
    // The fields of `metadata` may be named with and without it.
    let searched = |fields: &[&str]| DocumentOptions {
        field_use: FieldUse::SearchedAsAsked,
        fields: fields.iter().map(|field| field.to_string()).collect(),
        ..DocumentOptions::default()
    };
    let read =
        |fields: &[&str]| open_documents(&path, &searched(fields)).unwrap().all(|document| document.is_ok());
    assert!(read(&["text", "metadata.by"]) && read(&["text", "by"]) && !read(&["text", "metadata.who"]));
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
    // What is cut off is left out of a folder, and an error alone.
    assert!(matches!(
        open_documents(&texts.path().join("e.txt.gz"), &DocumentOptions::default())
            .and_then(|documents| documents.collect::<Result<Vec<_>, _>>()),
        Err(FormatError::Truncated { .. })
    ));
    let found: Vec<_> = open_documents(texts.path(), &DocumentOptions::default()).unwrap().collect();
    let expected = [("a.txt.gz", "packed"), ("b.MD.zst", "too"), ("c.txt", "plain")];
    let found: Vec<Document> = found.into_iter().map(Result::unwrap).collect();
    let parts: Vec<(&str, &str)> = found.iter().map(|d| (d.id.as_str(), d.text.as_str())).collect();
    assert_eq!(parts, expected);
}

#[test]
fn lines_are_numbered_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("texts");
    std::fs::write(&path, "\u{feff}one text\r\n\n  another \n").unwrap();
    let options = DocumentOptions { format: DocumentFormat::Lines, ..DocumentOptions::default() };
    let found: Vec<_> = open_documents(&path, &options).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, [Document::new("1", "one text"), Document::new("3", "another")]);
    let refused = open_documents(folder.path(), &options).err().expect("refused").to_string();
    assert!(refused.contains("--input-format text") && refused.contains("leave the flag out"), "{refused}");
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
fn a_line_beyond_the_limit_is_refused_once() {
    let options = DocumentOptions { line_limit: 16, ..DocumentOptions::default() };
    let found: Vec<_> = parse_json_lines(&[b'x'; 1000], "j", &options).collect();
    assert_eq!(found.len(), 1);
    assert!(matches!(found[0], Err(FormatError::LineTooLong { line: 1, limit: 16, .. })));
}

#[test]
fn ids_are_the_digits_of_the_file() {
    let big = "18446744073709551616";
    for digits in [big, "1.0", "1e3", "-0", "007"] {
        let quoted = digits == "007";
        let id = if quoted { format!("\"{digits}\"") } else { digits.to_string() };
        let line = format!("{{\"_id\": {id}, \"text\": 1.10}}\n");
        let array = format!("[\n{line}]");
        for text in [line, array] {
            let one =
                parse_json_lines(text.as_bytes(), "j", &DocumentOptions::default()).next().unwrap().unwrap();
            assert_eq!((one.id.as_str(), one.text.as_str()), (digits, "1.10"));
        }
        let row = table(&format!("id,text\n{digits},a\n"), b',');
        assert_eq!(row[0].as_ref().unwrap().id, digits);
    }
    let named = DocumentOptions { id_field: Some("key".into()), ..DocumentOptions::default() };
    let text = format!("{{\"key\": {big}, \"text\": \"x\", \"n\": 1.5}}");
    let one = parse_json_lines(text.as_bytes(), "j", &named).next().unwrap().unwrap();
    assert_eq!((one.id.as_str(), one.metadata["n"].as_f64()), (big, Some(1.5)));
}

#[test]
fn arrays_of_objects_are_read_with_their_lines() {
    let text = b"[\n {\"id\": 1, \"text\": \"a\"},\n\n {\"id\": 2}]";
    let found: Vec<_> = parse_json_lines(text, "j", &DocumentOptions::default()).collect();
    assert_eq!(*found[0].as_ref().unwrap(), Document::new("1", "a"));
    assert!(matches!(found[1], Err(FormatError::Missing { line: 4, .. })), "{:?}", found[1]);
    let numbered =
        DocumentOptions { number_missing_ids: true, first_number: 8, ..DocumentOptions::default() };
    let found: Vec<_> =
        parse_json_lines(b"[{\"text\": \"a\"},\n{\"text\": \"b\"}]", "j", &numbered).collect();
    let ids: Vec<&str> = found.iter().map(|d| d.as_ref().unwrap().id.as_str()).collect();
    assert_eq!(ids, ["8", "9"]);
    let broken: Vec<_> = parse_json_lines(b"[{\"id\": 1,\n}]", "j", &numbered).collect();
    assert!(matches!(broken[..], [Err(FormatError::Json { line: 2, .. })]), "{broken:?}");
}

#[test]
fn numbers_go_on_where_others_ended() {
    let folder = tempfile::tempdir().unwrap();
    let ids = |name: &str, text: &str, format| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let options = DocumentOptions {
            format,
            first_number: 4,
            number_missing_ids: format != DocumentFormat::Lines,
            ..DocumentOptions::default()
        };
        open_documents(&path, &options).unwrap().map(|d| d.unwrap().id).collect::<Vec<_>>()
    };
    assert_eq!(ids("a", "one\n\nthree\n", DocumentFormat::Lines), ["4", "6"]);
    assert_eq!(
        ids("a.jsonl", "{\"text\": \"a\"}\n{\"id\": \"x\", \"text\": \"b\"}\n", DocumentFormat::Auto),
        ["4", "x"]
    );
    assert_eq!(ids("a.csv", "text\na\n", DocumentFormat::Auto), ["5"]);
}

/// What a collection of one file gives, and the remarks on it.
fn read_with(
    name: &str,
    text: &str,
    options: DocumentOptions,
) -> (Vec<Result<Document, FormatError>>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let found = open_documents(&path, &options).unwrap().collect();
    (found, options.remarks.take())
}

#[test]
fn fields_that_no_document_has_are_refused_with_those_that_are_there() {
    let asked = |fields: &[&str]| DocumentOptions {
        field_use: FieldUse::SearchedAsAsked,
        fields: fields.iter().map(|field| field.to_string()).collect(),
        ..DocumentOptions::default()
    };
    let json = "{\"_id\": \"1\", \"title\": \"a\", \"body\": \"b\"}\n{\"_id\": \"2\", \"body\": \"b\", \"lang\": \"en\"}\n";
    let csv = "_id,title,body,lang\n1,a,b,en\n2,c,d,en\n";
    for (name, text, documents) in [("d.jsonl", json, 2), ("d.csv", csv, 0)] {
        let last = |options| {
            let (mut found, _) = read_with(name, text, options);
            let last = found.pop().unwrap();
            (found.len(), last.map_err(|error| error.to_string()))
        };
        let (before, error) = last(asked(&["titel", "text"]));
        let error = error.unwrap_err();
        assert_eq!(before, documents, "{name}");
        for piece in ["`titel`", "--fields", "`_id`, `title`, `body`, `lang`"] {
            assert!(error.contains(piece), "{name}: {error}");
        }
        let (_, error) = last(asked(&["title", "body"]));
        assert!(error.unwrap_err().contains("write `text` for it"), "{name}");
        assert!(last(asked(&["title", "text", "lang"])).1.is_ok(), "{name}");
        let none = DocumentOptions { title_field: Some("titel".into()), ..DocumentOptions::default() };
        let error = last(none).1.unwrap_err();
        assert!(error.contains("`titel` of --title-field") && error.contains("`body`"), "{name}: {error}");
        let none = DocumentOptions {
            id_field: Some("key".into()),
            number_missing_ids: true,
            ..DocumentOptions::default()
        };
        assert!(last(none).1.unwrap_err().contains("`key` of --id-field"), "{name}");
    }
    let untitled = read_with("d.jsonl", "{\"_id\": \"1\", \"text\": \"b\"}\n", asked(&["title"])).0;
    assert!(untitled[1].as_ref().unwrap_err().to_string().contains("--fields title"));
    let searched = DocumentOptions { field_use: FieldUse::Searched, ..asked(&["venue"]) };
    assert!(read_with("d.jsonl", json, searched).0.iter().all(Result::is_ok), "an index has its own fields");
}

#[test]
fn texts_that_nobody_uses_are_said() {
    let default = |field_use| DocumentOptions {
        field_use,
        fields: vec!["title".into(), "text".into()],
        ..DocumentOptions::default()
    };
    let csv = "id,title,abstract,lang,year\n1,a,magma rises,en,2020-01-02 10:00\n";
    let (found, remarks) = read_with("d.csv", csv, default(FieldUse::SearchedAsAsked));
    assert!(found.iter().all(Result::is_ok));
    // Without a text every field with words may be meant.
    assert!(remarks.len() == 1 && remarks[0].contains("`abstract`, `lang` are not searched"), "{remarks:?}");
    let csv = "id,text,abstract,lang\n1,a,magma rises,en\n";
    let (_, remarks) = read_with("d.csv", csv, default(FieldUse::SearchedAsAsked));
    assert!(remarks[0].contains("`abstract` are not searched"), "{remarks:?}");
    assert!(remarks[0].contains("`--fields title,text,abstract`"), "{remarks:?}");
    let (_, remarks) = read_with("d.csv", csv, default(FieldUse::Read));
    assert!(remarks[0].contains("`abstract` are not read"), "{remarks:?}");
    let all = DocumentOptions {
        fields: vec!["text".into(), "abstract".into()],
        ..default(FieldUse::SearchedAsAsked)
    };
    assert_eq!(read_with("d.csv", csv, all).1, Vec::<String>::new());
    assert_eq!(read_with("d.csv", csv, DocumentOptions::default()).1, Vec::<String>::new());
}

#[test]
fn a_file_of_another_format_is_named_for_what_it_is() {
    for (name, text, pieces) in [
        (
            "notes",
            "# Title\n\nwords",
            &["notes, line 1", "no JSON", "JSON object", "--input-format text"][..],
        ),
        ("page", "<html>", &["HTML", "--input-format html"]),
        ("t.dat", "id,text\n1,a\n", &["--input-format csv"]),
        ("t.dat", "\n1\ta\n", &["line 2", "--input-format tsv"]),
        ("t.json", "{\n \"id\": 1\n}\n", &["line 1", "ends too early", "jq -c ."]),
        ("t.jsonl", "{\"id\": 1, \"text\": \"a\"}\n7\n", &["line 2", "found a number"]),
    ] {
        let (found, _) = read_with(name, text, DocumentOptions::default());
        let error = found.iter().find_map(|one| one.as_ref().err()).expect("an error").to_string();
        for piece in pieces {
            assert!(error.contains(piece), "{name}: {error}");
        }
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_once_and_hidden_entries_left_out_and_both_said() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("far.txt"), "far").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("sub/.git")).unwrap();
    for name in ["a.txt", ".hidden.txt", "sub/.git/x.txt", "sub/b.md", "picture.png"] {
        std::fs::write(at(name), name).unwrap();
    }
    symlink(outside.path(), at("linked")).unwrap();
    symlink(at("a.txt"), at("sub/c.txt")).unwrap();
    symlink(folder.path(), at("sub/loop")).unwrap();
    symlink(at("nothing"), at("broken.txt")).unwrap();
    let options = DocumentOptions::default();
    let found = open_documents(folder.path(), &options).unwrap().map(|d| d.unwrap().id);
    assert_eq!(found.collect::<Vec<_>>(), ["a.txt", "linked/far.txt", "sub/b.md", "sub/c.txt"]);
    let remarks = options.remarks.take().join("\n");
    for piece in [
        "2 links followed",
        "1 link to folders that are read already left out",
        "sub/loop",
        "1 link to nothing left out",
        "broken.txt",
        "2 hidden files and folders left out",
        "1 file of kinds that are not read left out: 1 .png",
    ] {
        assert!(remarks.contains(piece), "{piece}:\n{remarks}");
    }
    let tables = tempfile::tempdir().unwrap();
    std::fs::write(tables.path().join("d.jsonl"), "{}").unwrap();
    let none = open_documents(tables.path(), &DocumentOptions::default()).err().unwrap().to_string();
    assert!(none.contains("no file that is read (.txt, ") && none.contains("d.jsonl"), "{none}");
}

#[test]
fn texts_without_fields_take_no_names_of_fields() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "one\ntwo\n").unwrap();
    let name = |name: &str| Some(name.to_string());
    let searched = |fields: &[&str]| DocumentOptions {
        field_use: FieldUse::SearchedAsAsked,
        fields: fields.iter().map(|field| field.to_string()).collect(),
        ..DocumentOptions::default()
    };
    let none = DocumentOptions::default;
    let wrong = [
        (DocumentOptions { id_field: name("foo"), ..none() }, "--id-field foo"),
        (DocumentOptions { title_field: name("foo"), ..none() }, "--title-field foo"),
        (DocumentOptions { text_field: name("text"), ..none() }, "--text-field text"),
        (DocumentOptions { number_missing_ids: true, ..none() }, "--number-missing-ids"),
        (searched(&["text", "foo"]), "`foo` of --fields; the fields are `text`"),
        (searched(&["title"]), "--fields title"),
    ];
    let file = folder.path().join("a.txt");
    for (path, format) in [
        (file.clone(), DocumentFormat::Lines),
        (file, DocumentFormat::Auto),
        (folder.path().into(), DocumentFormat::Auto),
    ] {
        for (options, piece) in &wrong {
            // What the files of a folder have is known when they are read.
            let error = match open_documents(&path, &DocumentOptions { format, ..options.clone() }) {
                Ok(documents) => documents.filter_map(Result::err).next().expect("an error"),
                Err(error) => error,
            };
            assert!(error.to_string().contains(piece), "{piece}: {error}");
        }
        let usual = DocumentOptions { format, ..searched(&["title", "text"]) };
        assert!(open_documents(&path, &usual).unwrap().all(|document| document.is_ok()));
    }
}

#[test]
fn an_empty_id_is_said_to_be_empty_and_not_to_be_looked_for() {
    let json = [r#"{"id": "", "text": "x"}"#, r#"{"id": null, "text": "x"}"#].map(|text| {
        parse_json_lines(text.as_bytes(), "j", &DocumentOptions::default()).next().unwrap().unwrap_err()
    });
    let cell = table("id,text\n,words\n", b',').pop().unwrap().unwrap_err();
    for error in json.iter().chain([&cell]) {
        let text = error.to_string();
        assert!(text.contains("no id in `id`, which is empty; give") && !text.contains("looked"), "{text}");
    }
}

#[test]
fn names_that_look_the_same_are_the_same() {
    let (one, two) = ("stra\u{df}e-\u{e9}", "stra\u{df}e-e\u{301}");
    let text = format!("{{\"{two}\": \"a\", \"text\": \"x\"}}");
    let options = DocumentOptions { id_field: Some(one.into()), ..DocumentOptions::default() };
    assert_eq!(parse_json_lines(text.as_bytes(), "j", &options).next().unwrap().unwrap().id, "a");
    let csv = format!("{two},text\na,x\n");
    assert_eq!(parse_table(csv.as_bytes(), "t", b',', &options).next().unwrap().unwrap().id, "a");
    let searched = DocumentOptions { fields: vec![one.into()], ..DocumentOptions::default() };
    let text = format!("{{\"id\": \"a\", \"{two}\": \"words\", \"text\": \"x\"}}");
    let document = parse_json_lines(text.as_bytes(), "j", &searched).next().unwrap().unwrap();
    assert_eq!(document.metadata.get(one).and_then(|value| value.as_str()), Some("words"));
    let twice = table(&format!("id,{one},{two}\n1,a,b\n"), b',').pop().unwrap().unwrap_err();
    assert!(twice.to_string().contains("two columns"), "{twice}");
}

#[test]
fn numbers_of_which_digits_are_lost_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let line = |id: u32, n: &str| format!("{{\"id\": {id}, \"text\": \"x\", \"n\": {n}}}\n");
    std::fs::write(
        &path,
        line(1, "1e5") + &line(2, "18446744073709551617") + &line(3, "0.12345678901234567890"),
    )
    .unwrap();
    let options = DocumentOptions::default();
    assert_eq!(open_documents(&path, &options).unwrap().count(), 3);
    let remarks = options.remarks.take();
    let expected =
        "numbers of 2 documents have more digits than are kept, such as `18446744073709551617` in `n`";
    assert!(matches!(&remarks[..], [one] if one.contains(expected)), "{remarks:?}");
}

#[test]
fn a_path_with_dots_names_a_field_of_an_object() {
    let options = DocumentOptions {
        id_field: Some("meta.key".into()),
        text_field: Some("body.text".into()),
        ..DocumentOptions::default()
    };
    let text = br#"{"meta": {"key": "a"}, "body": {"text": "words", "page": 3}, "year": 1}
{"meta": {"key": "b", "by": "me"}, "body.text": "flat"}
{"meta": {"key": "c"}, "body": "no object"}"#;
    let found: Vec<_> = parse_json_lines(text, "j", &options).collect();
    let first = found[0].as_ref().unwrap();
    assert_eq!((first.id.as_str(), first.text.as_str()), ("a", "words"));
    assert_eq!(serde_json::to_string(&first.metadata).unwrap(), r#"{"body":{"page":3},"year":1}"#);
    let second = found[1].as_ref().unwrap();
    assert_eq!((second.id.as_str(), second.text.as_str()), ("b", "flat"));
    assert_eq!(second.metadata["meta"]["by"], "me");
    let error = found[2].as_ref().unwrap_err().to_string();
    assert!(error.contains("looked for body.text") && error.contains("`body`"), "{error}");
}

#[test]
fn an_array_with_a_wrong_record_names_its_line() {
    let text = b"[\n{\"id\": \"a\", \"text\": \"x\"},\n{\"id\": \"b\", \"text\": [1]},\n7\n]";
    let found: Vec<_> = parse_json_lines(text, "j", &DocumentOptions::default()).collect();
    assert!(found[0].is_ok() && found.len() == 3, "{found:?}");
    assert!(
        found[1]
            .as_ref()
            .is_err_and(|e| e.to_string().contains("line 3") && e.to_string().contains("`text`"))
    );
    assert!(found[2].as_ref().is_err_and(|e| e.to_string().contains("line 4")), "{found:?}");
}
