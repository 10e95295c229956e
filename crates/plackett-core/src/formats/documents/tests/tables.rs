//! Tables with separators as documents.

use super::*;

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
fn columns_of_the_object_metadata_have_their_names_inside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let head = "docid,text,year,metadata.lang,metadata.author.name,metadata.year,metadata.";
    std::fs::write(&path, format!("{head}\nd1,a,2020,en,Ada,1999,x\n")).unwrap();
    let options = DocumentOptions::default();
    let found: Vec<_> = open_documents(&path, &options).unwrap().collect();
    let metadata = serde_json::Value::Object(found[0].as_ref().unwrap().metadata.clone());
    assert_eq!(
        metadata,
        serde_json::json!({"lang": "en", "author.name": "Ada", "year": "2020", "metadata.": "x"})
    );
    let remarks = options.remarks.take();
    assert!(matches!(&remarks[..], [one] if one.contains("`year` (1 document)")), "{remarks:?}");
}

#[test]
fn an_open_quotation_mark_does_not_swallow_a_file() {
    let options = DocumentOptions { line_limit: 100_000, ..DocumentOptions::default() };
    let mut text = String::from("id,text\n1,fine\n2,\"never closed\n");
    text.push_str(&"x,y\n".repeat(100_000));
    let found: Vec<_> = parse_table(text.as_bytes(), "t", b',', &options).collect();
    assert!(found[0].is_ok());
    assert!(matches!(found[1], Err(FormatError::Quote { line: 3, .. })), "{:?}", found[1]);
    assert!(found[1].as_ref().unwrap_err().to_string().contains("--max-line-bytes"), "{:?}", found[1]);
    assert_eq!(found.len(), 2);
    let many: String = (0..50_000).map(|i| format!("{i},text\n")).collect();
    let many = format!("id,text\n{many}");
    assert_eq!(parse_table(many.as_bytes(), "t", b',', &options).filter(Result::is_ok).count(), 50_000);
}

#[test]
fn broken_quoting_is_refused_where_the_mark_opens() {
    let refused = |text: &str| {
        let found = table(text, b',');
        let (last, before) = found.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok), "{text}: {found:?}");
        match last {
            Err(FormatError::Quote { line, problem, .. }) => (*line, before.len(), problem.clone()),
            other => panic!("{text}: {other:?}"),
        }
    };
    let (line, before, problem) = refused("id,text\n1,\"never closed\n2,two\n");
    assert!(line == 2 && before == 0 && problem.contains("never closed"), "{problem}");
    assert_eq!(refused("id,text\n1,one\n2,\"open").0, 3);
    let (line, before, problem) = refused("id,text\n1,one\n2,\"open\n3,\"three\"\n");
    assert!((line, before) == (3, 1) && problem.contains("line 4"), "{problem}");
    assert_eq!(refused("id,text\n1,\"he said \"so\" to me\"\n").0, 2);
    assert_eq!(refused("id,\"text\n1,one\n").0, 1);
    let fine = table("id,text\n1,\"a \"\"b\"\" c\"\n2,5\" wide\n", b',');
    let texts: Vec<&str> = fine.iter().map(|d| d.as_ref().unwrap().text.as_str()).collect();
    assert_eq!(texts, ["a \"b\" c", "5\" wide"]);
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let found = table("id,text,text\n1,a,b\n", b',');
    assert!(
        matches!(&found[..], [Err(FormatError::File { problem, .. })] if problem.contains("`text`")),
        "{found:?}"
    );
    let twice =
        parse_json_lines(br#"{"_id": "1", "text": "a", "text": "b"}"#, "j", &DocumentOptions::default());
    let twice: Vec<_> = twice.collect();
    assert!(
        matches!(&twice[..], [Err(FormatError::Json { problem, .. })] if problem.contains("`text` is there twice"))
    );
}

#[test]
fn a_first_line_of_words_in_a_table_without_known_names_is_told_of() {
    let read = |text: &str| {
        let options = DocumentOptions::default();
        let count = parse_table(text.as_bytes(), "t", b'\t', &options).filter(|found| found.is_ok()).count();
        (count, options.remarks.take())
    };
    let (count, remarks) = read("nummer\tinhalt\n1\tone word\n");
    assert_eq!(count, 2);
    assert!(
        matches!(&remarks[..], [one] if one.contains("t: the first line (`nummer`, `inhalt`)")),
        "{remarks:?}"
    );
    assert_eq!(read("1\tword\n2\ttwo\n"), (2, Vec::new()));
    assert_eq!(read("abc\tsome words\n"), (1, Vec::new()));
    assert_eq!(read("id\ttext\n1\tone\n"), (1, Vec::new()));
}

#[test]
fn the_four_columns_of_ms_marco_documents_are_known() {
    let text = "D1\thttps://x.example/a\tA title\tThe \"body\".\nD2\t\t\tOnly a body.\n";
    let found: Vec<Document> = table(text, b'\t').into_iter().map(|d| d.unwrap()).collect();
    let parts: Vec<_> = found.iter().map(|d| (d.id.as_str(), d.title.as_str(), d.text.as_str())).collect();
    assert_eq!(parts, [("D1", "A title", "The \"body\"."), ("D2", "", "Only a body.")]);
    assert_eq!(found[0].metadata["url"], "https://x.example/a");
    let other = table("1\ta\tb\tc\n", b'\t').pop().unwrap().unwrap_err().to_string();
    assert!(other.contains("found 4 fields"), "{other}");
}
