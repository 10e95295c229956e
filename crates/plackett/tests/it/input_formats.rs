//! Documents in every format, from files and from standard input, with names of fields, in each command that takes them.

use crate::common::{Done, plackett, plackett_with_input};
use std::path::Path;

/// Ids of what a word finds.
fn found(folder: &Path, index: &str, word: &str) -> Vec<String> {
    let done = plackett(folder, &["search", index, "-p", "bm25", "--json", word]).expect(0).json();
    let ranking = done["results"][0]["ranking"].as_array().expect("a ranking").clone();
    ranking.iter().map(|hit| hit["id"].as_str().expect("an id").to_string()).collect()
}

#[test]
fn standard_input_is_read_in_the_format_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (nth, (flags, input, id)) in [
        (&[][..], "{\"_id\": \"a\", \"text\": \"apples\"}\n", "a"),
        (&["--input-format", "jsonl", "--id-field", "k"], "{\"k\": 7, \"text\": \"apples\"}\n", "7"),
        (&["--input-format", "csv", "--text-field", "t"], "id,t\nb,\"pears, apples\"\n", "b"),
        (&["--input-format", "tsv"], "c\tapples\nd\tplums\n", "c"),
        (&["--input-format", "text"], "plums\n\nred apples\n", "3"),
    ]
    .into_iter()
    .enumerate()
    {
        let index = format!("{nth}.index");
        let arguments = [&["index", "-", "-o", &index, "--no-vectors"], flags].concat();
        plackett_with_input(path, &arguments, input).expect(0);
        assert_eq!(found(path, &index, "apples"), [id], "{flags:?}");
    }
    // Without a name CSV is taken for JSON lines, and nothing is left behind.
    let done = plackett_with_input(path, &["index", "-", "-o", "x", "--no-vectors"], "id,text\n").expect(2);
    assert!(done.stderr.contains("standard input") && !path.join("x").exists(), "{}", done.stderr);
}

#[test]
fn packed_folders_of_texts_and_files_of_other_names_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("notes")).unwrap();
    let packed = path.join("notes/a.txt.gz");
    plackett_core::formats::atomic::write(&packed, |out| out.write_all(b"apples")).unwrap();
    std::fs::write(path.join("table.dat"), "id,text\nq,apples\n").unwrap();
    plackett(path, &["index", "notes", "-o", "n.index", "--no-vectors"]).expect(0);
    assert_eq!(found(path, "n.index", "apples"), ["a.txt.gz"]);
    plackett(path, &["index", "table.dat", "-o", "t.index", "--no-vectors", "--input-format", "csv"])
        .expect(0);
    assert_eq!(found(path, "t.index", "apples"), ["q"]);
}

fn reranked(folder: &Path, flags: &[&str], input: &str) -> Done {
    let arguments = ["rerank", "--method", "bi-encoder", "--queries", "q.tsv", "--run", "run.trec"];
    plackett_with_input(folder, &[&arguments, flags].concat(), input)
}

#[test]
fn rerank_takes_the_documents_of_a_run_like_index() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("q.tsv", "q1\thow do volcanoes erupt\n");
    write("run.trec", "q1 Q0 cake 1 2.0 x\nq1 Q0 lava 2 1.0 x\n");
    let csv = "key,words\ncake,A recipe for apple cake.\nlava,A volcano erupts when magma rises.\n";
    write("c.csv", csv);
    let fields = ["--id-field", "key", "--text-field", "words"];
    let file = reranked(folder.path(), &[&["--documents", "c.csv"], &fields[..]].concat(), "").expect(0);
    assert!(file.stdout.starts_with("q1 Q0 lava 1 "), "{}", file.stdout);
    let stdin = [&["--documents", "-", "--input-format", "csv"], &fields[..]].concat();
    assert_eq!(reranked(folder.path(), &stdin, csv).expect(0).stdout, file.stdout);
    let wrong = reranked(folder.path(), &["--documents", "c.csv"], "").expect(2);
    assert!(wrong.stderr.contains("c.csv, line 2: no id"), "{}", wrong.stderr);
}

#[test]
fn the_texts_of_a_report_may_have_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("qrels", "1 0 a 1\n1 0 b 0\n");
    write("one.run", "1 Q0 b 1 2 one\n1 Q0 a 2 1 one\n");
    write("two.run", "1 Q0 a 1 2 two\n1 Q0 b 2 1 two\n");
    write("c.tsv", "key\twords\na\twhat stands in a\nb\twhat stands in b\n");
    let command = ["compare", "qrels", "one.run", "two.run", "--report", "r.html", "--documents", "c.tsv"];
    let fields = ["--id-field", "key", "--text-field", "words"];
    plackett(folder.path(), &[&command[..], &fields].concat()).expect(0);
    let page = std::fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert!(page.contains("what stands in b"));
    let none = plackett(folder.path(), &[&["eval", "qrels", "one.run"], &fields[..2]].concat()).expect(2);
    assert!(none.stderr.contains("--report"), "{}", none.stderr);
}
