use super::*;
use crate::formats::FormatError;
use proptest::prelude::*;
use std::io::Write;

fn run(text: &str) -> Result<crate::Run, FormatError> {
    parse_run(text.as_bytes(), "r", &ReadOptions::default())
}

#[test]
fn crlf_mark_comments_tabs_and_split_queries_are_read() {
    let run = run("\u{feff}2 Q0 a 1 1.5 t\r\n# note\r\n\n1\tQ0\tb\t1\t-inf\tt\n2 Q0 c 2 1e-3 last").unwrap();
    let ids: Vec<_> = run.queries().iter().map(|q| (q.id(), q.iter().collect::<Vec<_>>())).collect();
    assert_eq!(ids[0], ("2", vec![("a", 1.5), ("c", 0.001)]));
    assert_eq!(ids[1], ("1", vec![("b", f64::NEG_INFINITY)]));
    assert_eq!(run.tag, "last");
}

#[test]
fn bad_lines_are_named() {
    assert!(matches!(run("1 Q0 a 1 1 t\n1 Q0 b 2 1"), Err(FormatError::Fields { line: 2, found: 5, .. })));
    assert!(matches!(run("1 Q0 a 1 x t"), Err(FormatError::Value { line: 1, .. })));
    assert!(matches!(run("\n1 Q0 a 1 NaN t"), Err(FormatError::NotANumber { line: 2, .. })));
    let twice = run("1 Q0 a 1 1 t\n2 Q0 a 1 1 t\n1 Q0 a 1 2 t");
    assert!(matches!(twice, Err(FormatError::Duplicate { first: 1, line: 3, .. })));
    let bytes = parse_run(b"1 Q0 a 1 1 t\n1 Q0 \xff 1 1 t\n", "r", &ReadOptions::default());
    assert!(matches!(bytes, Err(FormatError::Utf8 { line: 2, byte: 6, .. })));
}

#[test]
fn files_without_entries_are_refused() {
    for text in ["", "\n \r\n", "\u{feff}"] {
        assert!(matches!(run(text), Err(FormatError::Empty { .. })), "{text:?}");
        let qrels = parse_qrels(text.as_bytes(), "q", &ReadOptions::default());
        assert!(matches!(qrels, Err(FormatError::Empty { .. })), "{text:?}");
    }
    let message = run("").unwrap_err().to_string();
    assert!(message.starts_with("r: expected a run") && message.contains("the file is empty"), "{message}");
}

/// What the parallel reader must agree with: line by line, one at a time.
#[test]
fn pieces_read_on_all_cores_agree_with_lines_read_in_turn() {
    let line = |i: usize| format!("q{} Q0 d{i} {} {} t\n", (i * i) % 13, i + 1, (i as f64).sqrt());
    let text: String = (0..120_000).map(line).collect();
    assert!(text.len() > 2 << 20, "more than two pieces");
    let mut expected = crate::Run::new("t");
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        expected.query_mut(fields[0]).push(fields[2], fields[4].parse().unwrap()).unwrap();
    }
    assert_eq!(run(&text).unwrap(), expected);
}

#[test]
fn duplicates_are_kept_as_asked() {
    let kept = |duplicates| {
        let options = ReadOptions { duplicates, ..ReadOptions::default() };
        let run =
            parse_run(b"1 Q0 a 1 2 t\n1 Q0 b 1 9 t\n1 Q0 a 1 3 t\n1 Q0 a 1 1 t\n", "r", &options).unwrap();
        run.query("1").unwrap().scores().to_vec()
    };
    assert_eq!(kept(Duplicates::KeepFirst), [2.0, 9.0]);
    assert_eq!(kept(Duplicates::KeepLast), [1.0, 9.0]);
    assert_eq!(kept(Duplicates::KeepMax), [3.0, 9.0]);
    assert_eq!(kept(Duplicates::KeepAll), [2.0, 9.0, 3.0, 1.0]);
}

#[test]
fn error_lines_are_right_behind_many_chunks() {
    let mut text: String = (0..200_000).map(|i| format!("{} Q0 d{i} 1 0.5 t\n", i % 7)).collect();
    assert_eq!(run(&text).unwrap().query("3").unwrap().len(), 28_571);
    text.push_str("short line\n");
    assert!(matches!(run(&text), Err(FormatError::Fields { line: 200_001, found: 2, .. })));
}

#[test]
fn qrels_in_all_their_shapes_agree() {
    let parse = |text: &str| parse_qrels(text.as_bytes(), "q", &ReadOptions::default());
    let trec = parse("1 0 a 2\n1 0 b 0\n").unwrap();
    assert_eq!(trec, parse("query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n").unwrap());
    assert_eq!(trec, parse("1\ta\t2.0\n1\tb\t0\n").unwrap());
    assert_eq!(trec, parse(r#"{"1": {"a": 2, "b": 0}}"#).unwrap());
    assert!(matches!(parse("1 0 a 1.7"), Err(FormatError::Value { .. })));
    assert!(matches!(parse("1 0 a 1\n1 0 a 2"), Err(FormatError::Duplicate { first: 1, line: 2, .. })));
    assert_eq!(parse("1 1 a 1\n1 2 a 1").unwrap().query("1").unwrap().len(), 2);
}

#[test]
fn truncated_gzip_is_named_and_members_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let pack = |text: &str| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap()
    };
    let path = folder.path().join("r.gz");
    let whole = [pack("1 Q0 a 1 1 t\n"), pack("1 Q0 b 1 0.5 t\n")].concat();
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(read_run(&path, &ReadOptions::default()).unwrap().query("1").unwrap().len(), 2);
    std::fs::write(&path, &whole[..whole.len() - 6]).unwrap();
    let error = read_run(&path, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, FormatError::Truncated { .. }), "{error}");
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(read_run(&path, &ReadOptions::default()), Err(FormatError::Truncated { .. })));
}

#[test]
fn written_runs_come_back_in_every_compression() {
    let folder = tempfile::tempdir().unwrap();
    let run = run("2 Q0 a 1 0.1 t\n2 Q0 b 2 -1e-300 t\n1 Q0 c 1 inf t\n").unwrap();
    for name in ["r", "r.gz", "r.zst"] {
        let path = folder.path().join(name);
        write_run(&path, &run).unwrap();
        assert_eq!(read_run(&path, &ReadOptions::default()).unwrap(), run);
    }
    let mut blank = crate::Run::new("t");
    blank.query_mut("q").push("two words", 1.0).unwrap();
    assert!(matches!(write_run(&folder.path().join("r"), &blank), Err(FormatError::Write { .. })));
    assert_eq!(read_run(&folder.path().join("r"), &ReadOptions::default()).unwrap(), run);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "no temporary file is left");
}

#[test]
fn ids_that_readers_take_for_something_else_are_not_written() {
    let taken = |id: &str| {
        let (mut run, mut qrels) = (crate::Run::new("t"), crate::Qrels::new());
        run.query_mut(id).push("d", 1.0).unwrap();
        qrels.query_mut(id).push("0", "d", 1).unwrap();
        let refused = |result: std::io::Result<()>| result.err().map(|e| e.to_string()).unwrap_or_default();
        (refused(write_run_to(&run, &mut Vec::new())), refused(write_qrels_to(&qrels, &mut Vec::new())))
    };
    for (id, other) in [("#1", "a comment"), ("{1", "JSON"), ("\u{feff}1", "a byte order mark")] {
        let (run, qrels) = taken(id);
        assert!(run.contains(other) && qrels.contains(other), "{run}\n{qrels}");
    }
    let (run, qrels) = taken("QID");
    assert!(run.is_empty() && qrels.contains("a header"), "{run}\n{qrels}");
    // Only a file's beginning tells JSON, a mark or a header.
    let mut run = crate::Run::new("t");
    for id in ["1", "{1", "\u{feff}1"] {
        run.query_mut(id).push("d", 1.0).unwrap();
    }
    let mut bytes = Vec::new();
    write_run_to(&run, &mut bytes).unwrap();
    assert_eq!(parse_run(&bytes, "r", &ReadOptions::default()).unwrap(), run);
}

#[test]
fn json_without_any_entry_is_refused() {
    for text in ["{}", r#"{"q": {}}"#] {
        assert!(matches!(run(text), Err(FormatError::Empty { .. })));
        let qrels = parse_qrels(text.as_bytes(), "q", &ReadOptions::default());
        assert!(matches!(qrels, Err(FormatError::Empty { .. })));
    }
    assert_eq!(run(r#"{"p": {}, "q": {"d": 1}}"#).unwrap().queries().len(), 2);
}

proptest! {
    #[test]
    fn numbers_of_json_are_read_to_the_last_bit(score in -1e3f64..1e3, wide in any::<f64>()) {
        for score in [score, wide].into_iter().filter(|score| score.is_finite()) {
            let read = run(&format!(r#"{{"q": {{"d": {score:e}}}}}"#)).unwrap();
            prop_assert_eq!(read.query("q").unwrap().scores(), [score]);
        }
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_run(&bytes, "r", &ReadOptions::default());
        let _ = parse_qrels(&bytes, "q", &ReadOptions::default());
    }
}

#[test]
fn a_query_that_stands_twice_in_json_follows_the_rule_for_duplicates() {
    let text = br#"{"1": {"a": 1}, "2": {"a": 3}, "1": {"b": 0, "a": 2}}"#;
    let read = |duplicates| parse_qrels(text, "q", &ReadOptions { duplicates, ..ReadOptions::default() });
    let message = read(Duplicates::Error).unwrap_err().to_string();
    assert!(message.contains("`a`") && message.contains("query `1`"), "{message}");
    for (rule, expected) in [
        (Duplicates::KeepFirst, vec![("a", 1), ("b", 0)]),
        (Duplicates::KeepLast, vec![("a", 2), ("b", 0)]),
        (Duplicates::KeepMax, vec![("a", 2), ("b", 0)]),
        (Duplicates::KeepAll, vec![("a", 1), ("b", 0), ("a", 2)]),
    ] {
        let qrels = read(rule).unwrap();
        let found: Vec<_> = qrels.query("1").unwrap().iter().map(|j| (j.document, j.grade)).collect();
        assert_eq!(found, expected, "{rule:?}");
    }
}

fn remarks_of(read: impl FnOnce(&ReadOptions), options: ReadOptions) -> Vec<String> {
    read(&options);
    options.remarks.take()
}

#[test]
fn a_comment_is_a_hash_and_a_blank_and_is_counted() {
    let text = b"# made by hand\n#\n#\twith a tab\n#1 Q0 a 1 1 t\n";
    let read = |options: &ReadOptions| {
        let run = parse_run(text, "r", options).unwrap();
        assert_eq!(run.queries()[0].id(), "#1");
    };
    let remarks = remarks_of(read, ReadOptions::default());
    assert_eq!(remarks, ["r: 3 lines that begin with `#` and a blank passed over as comments"]);
    let qrels = |options: &ReadOptions| {
        let qrels = parse_qrels(b"# x\n#1 0 a 1\n", "q", options).unwrap();
        assert_eq!(qrels.queries()[0].id(), "#1");
    };
    let remarks = remarks_of(qrels, ReadOptions::default());
    assert_eq!(remarks, ["q: 1 line that begins with `#` and a blank passed over as comments"]);
    let none = ReadOptions { comments: Comments::None, ..ReadOptions::default() };
    assert!(matches!(parse_run(text, "r", &none), Err(FormatError::Fields { line: 1, .. })));
    assert!(matches!(parse_qrels(b"# x\n", "q", &none), Err(FormatError::Fields { line: 1, .. })));
    let six = parse_run(b"# Q0 a 1 1 t\n", "r", &none).unwrap();
    assert_eq!(six.queries()[0].id(), "#");
    let all = ReadOptions { comments: Comments::Hash, ..ReadOptions::default() };
    let run = parse_run(b"#1 Q0 a 1 1 t\n2 Q0 a 1 1 t\n", "r", &all).unwrap();
    assert_eq!(run.queries().len(), 1);
    assert!(all.remarks.take()[0].contains("1 line that begins with `#` passed over"));
}

#[test]
fn lines_with_more_fields_than_the_format_has_are_refused() {
    let options = ReadOptions::default();
    for text in ["q1 0 chapter 2 1\n", "q1 0 a 1\nq1 0 chapter 2 1\n", "q1 a 1\nq1 a b 1\n", "q1 0 a 1 x y\n"]
    {
        let found = parse_qrels(text.as_bytes(), "q", &options);
        assert!(matches!(found, Err(FormatError::Fields { .. })), "{text}: {found:?}");
    }
    let message = parse_qrels(b"q1 0 chapter 2 1\n", "q", &options).unwrap_err().to_string();
    assert!(message.contains("q, line 1") && message.contains("found 5 fields"), "{message}");
    for text in ["1 Q0 a b 1 1 t\n", "1 Q0 a 1 1 my tag\n", "1 a 1\n1 b 2 more\n"] {
        assert!(matches!(run(text), Err(FormatError::Fields { .. })), "{text}");
    }
    let lenient = ReadOptions { extra_fields: true, ..ReadOptions::default() };
    let read = parse_run(b"1 Q0 a 1 2 t\n1 Q0 b 2 1 t and more\n", "r", &lenient).unwrap();
    assert_eq!((read.tag.as_str(), read.query("1").unwrap().len()), ("t", 2));
    assert_eq!(
        lenient.remarks.take(),
        ["r: fields behind the sixth are ignored on 1 line, as trec_eval does"]
    );
}

#[test]
fn three_fields_are_an_ms_marco_run() {
    let read = run("# made by hand\n1\ta\t1\n1\tb\t2\n").unwrap();
    assert_eq!(read.query("1").unwrap().scores(), [-1.0, -2.0]);
    assert!(matches!(run("1 a first\n"), Err(FormatError::Value { line: 1, .. })));
}

#[test]
fn lines_of_a_run_are_checked_before_they_are_written() {
    let line =
        |query, document, tag| check_run_line(query, [document], tag, true).err().map(|e| e.to_string());
    assert_eq!(line("1", "d", "t"), None);
    for (query, document, tag, piece) in [
        ("# 1", "d", "t", "comment"),
        ("#1", "d", "t", "comment"),
        ("q 1", "d", "t", "blank"),
        ("q", "d 1", "t", "blank"),
        ("q", "d\u{a0}1", "t", "blank"),
        ("q", "", "t", "empty"),
        ("q", "d", "my run", "blank"),
        ("q", "d", "", "empty"),
        ("{q", "d", "t", "JSON"),
    ] {
        let found = line(query, document, tag).unwrap_or_default();
        assert!(found.contains(piece), "{query} {document} {tag}: {found}");
    }
}

#[test]
fn other_files_are_no_runs_and_no_judgments() {
    for bytes in [&b"%PDF-1.4 words"[..], b"q\0 0\0", b"PAR1....", b"\xff\xfeq\0"] {
        let run = parse_run(bytes, "f", &ReadOptions::default());
        assert!(matches!(run, Err(FormatError::File { .. })), "{run:?}");
        let qrels = parse_qrels(bytes, "f", &ReadOptions::default());
        assert!(matches!(qrels, Err(FormatError::File { .. })), "{qrels:?}");
    }
}

#[test]
fn headers_of_judgments_say_which_columns_there_are() {
    let parse = |text: &str| parse_qrels(text.as_bytes(), "q", &ReadOptions::default());
    let known = parse("qid iter docno rel\n1 0 a 2\n").unwrap();
    assert_eq!(known, parse("1 0 a 2\n").unwrap());
    assert_eq!(known, parse("query-id corpus-id score\n1 a 2\n").unwrap());
    assert_eq!(known, parse("1\ta\t2\n").unwrap());
    for (text, pieces) in [
        ("query-id\tcorpus-id\tscore\tweight\nq1\ta\t1\t5\n", ["line 1", "found 4 fields"]),
        ("query-id\tcorpus-id\nq1\ta\n", ["line 1", "found 2 fields"]),
        ("q1 0 12\nq1 0 13\n", ["line 1", "the four fields `qid iter docno rel`, found 3 fields"]),
        ("corpus-id\tquery-id\tscore\na\tq1\t1\n", ["line 1", "another order"]),
        ("query-id\tscore\tcorpus-id\nq1\t1\ta\n", ["line 1", "another order"]),
        ("query-id,corpus-id,score\nq1,a,1\n", ["line 1", "a table with commas"]),
        ("q1,a,1\n", ["line 1", "in the place of commas"]),
        ("q1 0 a 99999999999\n", ["`99999999999`", "lie between -2147483647 and 2147483647"]),
        ("q1 0 a -1e300\n", ["the grade", "lie between"]),
        ("q1 0 a 1.5\n", ["the grade", "whole number"]),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(pieces.iter().all(|piece| error.contains(piece)), "{text:?}: {error}");
    }
}

#[test]
fn a_file_of_comments_alone_is_said_to_be_one() {
    let options = ReadOptions::default();
    let lists = PreferenceFormat::Lists;
    for error in [
        parse_run(b"# one\n\n# two\n", "f", &options).unwrap_err(),
        parse_qrels(b"# one\n\n# two\n", "f", &options).unwrap_err(),
        parse_preferences(b"# one\n\n# two\n", "f", lists, &options).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("its 2 lines are comments") && !text.contains("empty"), "{text}");
    }
}

#[test]
fn faults_of_nested_objects_are_told_in_the_words_of_json() {
    let options = ReadOptions::default();
    let qrels = |text: &str| parse_qrels(text.as_bytes(), "q", &options);
    assert_eq!(qrels(r#"{"q": {"a": 2.0}}"#).unwrap(), qrels(r#"{"q": {"a": 2}}"#).unwrap());
    let cut = ReadOptions { truncate_grades: true, ..ReadOptions::default() };
    let found = parse_qrels(br#"{"q": {"a": 1.7}}"#, "q", &cut).unwrap();
    assert_eq!(found.query("q").unwrap().iter().next().unwrap().grade, 1);
    for (text, piece) in [
        (r#"{"q": {"a": 1.7}}"#, "query `q`, document `a`: the grade is `1.7`; it must be a whole number"),
        (r#"{"q": {"a": "x"}}"#, "found the text \"x\" where there must be a number"),
        (r#"{"q": {"a": [1]}}"#, "found a list where there must be a number"),
        (r#"{"q": [1]}"#, "found a list where there must be an object"),
        (r#"{"q": {"a": true}}"#, "found `true` where there must be a number"),
    ] {
        let error = qrels(text).unwrap_err().to_string();
        assert!(error.contains(piece), "{error}");
    }
    let error = parse_run(br#"{"q": {"a": "x"}}"#, "r", &options).unwrap_err().to_string();
    assert!(error.contains("found the text \"x\" where there must be a number"), "{error}");
}
