//! What readers leave out, pass over or take as it stands: said in `warnings`, never in silence.

use crate::common::{Done, plackett, plackett_with_input};
use serde_json::Value;
use std::fs;
use std::path::Path;

const MARK: &str = "\u{feff}";

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn run(folder: &Path, line: &str) -> Done {
    plackett(folder, &line.split(' ').collect::<Vec<_>>())
}

fn warnings(document: &Value) -> String {
    let texts: Vec<&str> =
        document["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    texts.join("\n")
}

/// Every warning of the document is on standard error too.
fn warned(done: &Done) -> String {
    let found = warnings(&done.json());
    for line in found.lines() {
        assert!(done.stderr.contains(line), "{line} is not in\n{}", done.stderr);
    }
    found
}

fn ids(folder: &Path, index: &str, word: &str) -> Vec<String> {
    let found = run(folder, &format!("search {index} -p bm25 --json {word}")).expect(0).json();
    let ranking = found["results"][0]["ranking"].as_array().unwrap();
    ranking.iter().map(|hit| hit["id"].as_str().unwrap().to_string()).collect()
}

#[test]
fn front_matter_that_does_not_parse_stops_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let broken = "---\ntitle: a\ntitle: b\n---\nPlums and cherries.\n";
    write(path, &[("notes/a.md", "---\nyear: 2020\n---\nApples.\n"), ("notes/b.md", broken)]);
    let done = run(path, "index notes -o n --no-vectors --json").expect(0);
    let found = warned(&done);
    assert!(found.contains("front matter does not parse") && found.contains("b.md, line 3"), "{found}");
    assert_eq!(ids(path, "n", "cherries"), ["b.md"]);
    let alone = run(path, "index notes/b.md -o alone --no-vectors").expect(2).stderr;
    assert!(alone.contains("b.md, line 3") && !path.join("alone").exists(), "{alone}");
}

#[test]
fn columns_that_are_called_as_in_the_object_metadata_are_its_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(
        path,
        &[("c.csv", "docid,text,metadata.year,metadata.note\na,apples,2020,plums\nb,pears,2021,none\n")],
    );
    run(path, "index c.csv -o i --no-vectors --fields text,metadata.note").expect(0);
    assert_eq!(ids(path, "i", "plums"), ["a"]);
    let fields = run(path, "get i --fields --json").expect(0).json();
    let names: Vec<&str> =
        fields["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["note", "year"]);
    for filter in ["year=2021", "metadata.year=2021"] {
        let found = run(path, &format!("get i --filter {filter} --json")).expect(0).json();
        assert_eq!(found["documents"][0]["id"], "b", "{filter}: {found}");
    }
}

#[test]
fn comments_are_counted_and_ids_may_begin_with_their_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(
        path,
        &[("q", "# by hand\n#1 0 a 1\n"), ("r", "# one\n# two\n#1 Q0 a 1 1 t\n"), ("q.tsv", "#1\tapples\n")],
    );
    for command in ["eval q r", "compare q r r"] {
        let done = run(path, &format!("{command} --json")).expect(0);
        let found = warned(&done);
        assert!(found.contains("q: 1 line that begins with `#` and a blank"), "{found}");
        assert!(found.contains("r: 2 lines that begin with `#` and a blank"), "{found}");
    }
    let mean = |line: &str| run(path, line).expect(0).json()["runs"][0]["measures"]["RR"]["mean"].as_f64();
    assert_eq!(mean("eval q r -m RR --json"), Some(1.0));
    // trec_eval 10 takes every such line for a comment, trec_eval 9 none.
    run(path, "eval q r --compat trec_eval-9").expect(2);
    run(path, "eval q r --compat trec_eval-10").expect(2);
    write(path, &[("plain.q", "#1 0 a 1\n"), ("plain.r", "#1 Q0 a 1 1 t\n")]);
    assert_eq!(mean("eval plain.q plain.r -m RR --compat trec_eval-9 --json"), Some(1.0));
    write(path, &[("d.jsonl", "{\"_id\": \"a\", \"text\": \"apples\"}\n")]);
    let rerank = "rerank --method bi-encoder --offline --queries q.tsv --documents d.jsonl --run r --json";
    let done = run(path, rerank).expect(0);
    assert!(warned(&done).contains("r: 2 lines"), "{}", done.stderr);
    assert_eq!(done.json()["results"][0]["query_id"], "#1");
}

#[test]
fn what_cannot_be_read_again_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(
        path,
        &[
            ("d.jsonl", "{\"_id\": \"a b\", \"text\": \"apples\"}\n{\"_id\": \"c\", \"text\": \"pears\"}\n"),
            ("hash.tsv", "# 1\tpears\n"),
            ("mark.tsv", "#1\tpears\n"),
            ("blank.tsv", "q 1\tpears\n"),
            ("document.tsv", "1\tapples\n"),
            ("good.tsv", "1\tpears\n"),
        ],
    );
    run(path, "index d.jsonl -o i --no-vectors").expect(0);
    for (queries, piece) in
        [("hash", "comment"), ("mark", "comment"), ("blank", "has a blank"), ("document", "`a b`")]
    {
        let line = format!("search i -p bm25 --queries {queries}.tsv");
        let done = run(path, &format!("{line} --format trec")).expect(2);
        assert!(done.stderr.contains(piece) && done.stderr.contains("--format jsonl"), "{}", done.stderr);
        run(path, &format!("{line} --format jsonl")).expect(0);
    }
    for tag in ["my run", ""] {
        let line = ["search", "i", "-p", "bm25", "--queries", "good.tsv", "--tag", tag];
        let done = plackett(path, &line).expect(2);
        assert!(done.stdout.is_empty(), "{}", done.stdout);
    }
    let requests = "{\"query\": {\"qid\": \"# 1\", \"text\": \"a\"}, \"texts\": [\"b\"]}\n";
    let line = ["rerank", "--method", "bi-encoder", "--offline", "--format", "trec", "--strict", "-"];
    let done = plackett_with_input(path, &line, requests).expect(2);
    assert!(done.stderr.contains("comment"), "{}", done.stderr);
}

#[test]
fn further_fields_of_a_run_are_ignored_under_the_rules_of_trec_eval_alone_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, &[("q", "1 0 a 1\n"), ("r", "1 Q0 a 1 1 t more\n")]);
    run(path, "eval q r").expect(2);
    run(path, "eval q r --compat beir").expect(2);
    for compat in ["trec_eval-9", "trec_eval-10"] {
        let done = run(path, &format!("eval q r --compat {compat} --json")).expect(0);
        assert!(warned(&done).contains("ignored on 1 line"), "{}", done.stderr);
    }
}

#[test]
fn a_byte_order_mark_is_dropped_by_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let json = "{\"_id\": \"a\", \"text\": \"apples\"}\n";
    for (nth, (name, text, flags, id)) in [
        ("d.jsonl", json, "", "a"),
        ("d.json", "[{\"_id\": \"a\", \"text\": \"apples\"}]", "", "a"),
        ("d.csv", "\"id\",\"text\"\n\"a\",\"apples\"\n", "", "a"),
        ("d.tsv", "a\tapples\n", "", "a"),
        ("d.text", "apples\n", " --input-format text", "1"),
        ("texts/a.txt", "apples", "", "a.txt"),
        ("beir/corpus.jsonl", json, "", "a"),
    ]
    .into_iter()
    .enumerate()
    {
        write(path, &[(name, &format!("{MARK}{text}"))]);
        let collection = name.split('/').next().unwrap();
        run(path, &format!("index {collection} -o i{nth} --no-vectors{flags}")).expect(0);
        assert_eq!(ids(path, &format!("i{nth}"), "apples"), [id], "{name}");
        if collection == name {
            let line = format!("index - -o s{nth} --no-vectors{flags}");
            let format = match name {
                "d.csv" => " --input-format csv",
                "d.tsv" => " --input-format tsv",
                _ => "",
            };
            let line = format!("{line}{format}");
            let arguments: Vec<&str> = line.split(' ').collect();
            plackett_with_input(path, &arguments, &format!("{MARK}{text}")).expect(0);
            assert_eq!(ids(path, &format!("s{nth}"), "apples"), [id], "{name} on standard input");
        }
    }
    let marked: Vec<(&str, String)> = [
        ("q.tsv", "1\tapples\n"),
        ("q.jsonl", "{\"_id\": 1, \"text\": \"apples\"}\n"),
        ("q.top", "<top>\n<num> 1\n<title> apples\n</top>\n"),
        ("qrels", "1 0 a 1\n"),
        ("qrels.json", "{\"1\": {\"a\": 1}}"),
        ("run", "1 Q0 a 1 1 t\n"),
        ("run.json", "{\"1\": {\"a\": 1.0}}"),
        ("run.marco", "1\ta\t1\n"),
        ("requests", "{\"query\": {\"qid\": 1, \"text\": \"x\"}, \"texts\": [\"y\"]}\n"),
        ("ids", "a\n"),
        ("answers", "Paris\nRome\n"),
        ("prompts", "The capital is\n"),
    ]
    .map(|(name, text)| (name, format!("{MARK}{text}")))
    .to_vec();
    let marked: Vec<(&str, &str)> = marked.iter().map(|(name, text)| (*name, text.as_str())).collect();
    write(path, &marked);
    for queries in ["q.tsv", "q.jsonl", "q.top"] {
        let found = run(path, &format!("search i0 -p bm25 --queries {queries}")).expect(0).stdout;
        assert!(found.starts_with("1 Q0 a 1 "), "{queries}: {found}");
    }
    let line = ["search", "i0", "-p", "bm25", "-"];
    let found = plackett_with_input(path, &line, &format!("{MARK}apples\n")).expect(0).stdout;
    assert!(found.starts_with("1 Q0 a 1 "), "{found}");
    for files in ["qrels run", "qrels.json run.json", "qrels run.marco"] {
        let found = run(path, &format!("eval {files} -m RR --json")).expect(0).json();
        assert_eq!(found["runs"][0]["measures"]["RR"]["mean"], 1.0, "{files}");
    }
    let found = run(path, "rerank --method bi-encoder --offline --json requests").expect(0).json();
    assert_eq!(found["results"][0]["query_id"], "1");
    run(path, "index -o i0 --delete @ids").expect(0);
    assert_eq!(ids(path, "i0", "apples"), Vec::<String>::new());
    let decoder = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/llama");
    for inputs in ["--trie answers a", "--trie answers --file prompts"] {
        let found = run(path, &format!("generate --model {decoder} --json {inputs}")).expect(0);
        assert!(!found.stdout.contains(MARK) && !found.stdout.contains("\\ufeff"), "{}", found.stdout);
    }
    let plain = run(path, "embed --offline Paris Rome").expect(0).stdout;
    assert_eq!(run(path, "embed --offline --input answers").expect(0).stdout, plain);
}

#[test]
fn numbers_of_appended_documents_go_on_behind_those_of_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(
        path,
        &[
            ("a.txt", "apples one\napples two\n"),
            ("b.txt", "apples three\n"),
            ("c.jsonl", "{\"text\": \"apples four\"}\n"),
            ("d.csv", "text\napples five\n"),
            ("e.jsonl", "[{\"text\": \"apples six\"}]"),
        ],
    );
    run(path, "index a.txt -o i --no-vectors --input-format text").expect(0);
    let mut expected = vec!["1".to_string(), "2".into()];
    for (flags, id) in [
        ("b.txt --input-format text", "3"),
        ("c.jsonl --number-missing-ids", "4"),
        // The first row of a table stands on its second line.
        ("d.csv --number-missing-ids", "6"),
        ("e.jsonl --number-missing-ids", "7"),
    ] {
        let done = run(path, &format!("index {flags} -o i --append --json")).expect(0);
        assert!(warned(&done).contains("behind those of the index"), "{flags}: {}", done.stderr);
        expected.push(id.into());
        let mut found = ids(path, "i", "apples");
        found.sort();
        assert_eq!(found, expected, "{flags}");
    }
}

#[test]
fn ids_are_the_digits_that_stand_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let big = "18446744073709551616";
    for (nth, digits) in [big, "1.0", "1e3", "-0", "12345678901234567890123"].into_iter().enumerate() {
        write(
            path,
            &[
                ("d.jsonl", &format!("{{\"_id\": {digits}, \"text\": \"apples\"}}\n")),
                ("q.jsonl", &format!("{{\"_id\": {digits}, \"text\": \"apples\"}}\n")),
                ("qrels", &format!("{digits} 0 {digits} 1\n")),
                (
                    "requests",
                    &format!(
                        "{{\"query\": {{\"qid\": {digits}, \"text\": \"a\"}}, \"candidates\": [{{\"docid\": {digits}, \"text\": \"b\"}}]}}\n"
                    ),
                ),
            ],
        );
        run(path, &format!("index d.jsonl -o i{nth} --no-vectors")).expect(0);
        let found = run(path, &format!("search i{nth} -p bm25 --queries q.jsonl")).expect(0).stdout;
        assert!(found.starts_with(&format!("{digits} Q0 {digits} 1 ")), "{found}");
        let line = ["eval", "qrels", "-", "-m", "RR", "--json"];
        let measured = plackett_with_input(path, &line, &found).expect(0).json();
        assert_eq!(measured["runs"][0]["measures"]["RR"]["mean"], 1.0, "{digits}");
        let reranked =
            run(path, "rerank --method bi-encoder --offline --format trec requests").expect(0).stdout;
        assert!(reranked.starts_with(&format!("{digits} Q0 {digits} 1 ")), "{reranked}");
    }
}

#[test]
fn texts_that_are_not_searched_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(
        path,
        &[
            ("d.csv", "id,title,abstract\na,one,magma rises\n"),
            ("d.jsonl", "{\"_id\": \"a\", \"text\": \"one\", \"abstract\": \"magma rises\"}\n"),
            ("q.tsv", "1\tmagma\n"),
            ("r", "1 Q0 a 1 1 t\n"),
        ],
    );
    for (nth, name) in ["d.csv", "d.jsonl"].into_iter().enumerate() {
        let done = run(path, &format!("index {name} -o i{nth} --no-vectors --json")).expect(0);
        let found = warned(&done);
        assert!(found.contains("`abstract` are not searched") && found.contains("--fields"), "{found}");
        let done =
            run(path, &format!("index {name} -o f{nth} --no-vectors --fields title,text,abstract --json"))
                .expect(0);
        assert_eq!(warned(&done), "", "{name}");
        assert_eq!(ids(path, &format!("f{nth}"), "magma"), ["a"]);
        let line =
            format!("rerank --method bi-encoder --offline --queries q.tsv --run r --documents {name} --json");
        let done = run(path, &line).expect(0);
        assert!(warned(&done).contains("`abstract` are not read"), "{}", done.stderr);
    }
}

#[cfg(unix)]
#[test]
fn folders_say_what_they_left_out_and_what_they_followed() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(
        path,
        &[
            ("far/b.txt", "apples"),
            ("kb/a.txt", "apples"),
            ("kb/.git/x.txt", "apples"),
            ("kb/p.png", "apples"),
        ],
    );
    symlink(path.join("far"), path.join("kb/linked")).unwrap();
    symlink(path.join("kb"), path.join("kb/linked/loop")).unwrap();
    let done = run(path, "index kb -o i --no-vectors --json").expect(0);
    let found = warned(&done);
    for piece in [
        "1 link followed",
        "1 hidden file or folder left out",
        "1 file of kinds that are not read",
        "read already",
    ] {
        assert!(found.contains(piece), "{piece}:\n{found}");
    }
    let mut there = ids(path, "i", "apples");
    there.sort();
    assert_eq!(there, ["a.txt", "linked/b.txt"]);
}
