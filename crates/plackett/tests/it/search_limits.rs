//! `plackett search` and `plackett rerank` at the edges: long answers, empty queries, letters in two forms, names that
//! would break a run, and documents that want to command the terminal.

use crate::common::{Done, plackett, plackett_with_input};
use crate::index_changes::MODEL;
use serde_json::{Value, json};
use std::path::Path;

fn warnings(done: &Done) -> Vec<String> {
    let json = done.json();
    json["warnings"].as_array().expect("warnings").iter().map(|w| w.as_str().unwrap().to_string()).collect()
}

fn index(folder: &Path, name: &str, documents: &[Value], flags: &[&str]) {
    let lines: String = documents.iter().map(|document| format!("{document}\n")).collect();
    plackett_with_input(folder, &[&["index", "-", "-o", name], flags].concat(), &lines).expect(0);
}

fn ids(found: &Value) -> Vec<String> {
    let ranking = found["results"][0]["ranking"].as_array().expect("a ranking");
    ranking.iter().map(|entry| entry["id"].as_str().expect("an id").to_string()).collect()
}

#[test]
fn answers_are_as_long_as_they_are_asked_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let documents: Vec<Value> =
        (0..1100).map(|n| json!({"_id": format!("d{n}"), "text": format!("a cat {n}")})).collect();
    index(path, "i", &documents, &["--model", MODEL]);
    for pipeline in [
        "bm25",
        "dense",
        "rrf(bm25,dense)",
        "combsum(bm25,dense)",
        "combmnz(bm25,dense,norm=z-score)",
        "borda(bm25,dense)",
        "bm25(rm3=true)",
        "rrf(bm25,dense) >> bi-encoder",
        "rrf(bm25 >> bi-encoder,dense)",
        "bm25 >> late-interaction >> bi-encoder",
    ] {
        let reranks = pipeline.contains(">>").then_some(["--model", MODEL]);
        let flags: Vec<&str> = reranks.iter().flatten().copied().collect();
        let line = [&["search", "i", "-p", pipeline, "-k", "5000"], &flags[..]].concat();
        let done = plackett(path, &[&line[..], &["--json", "cat"]].concat()).expect(0);
        assert_eq!(
            (ids(&done.json()).len(), warnings(&done).len()),
            (1100, 0),
            "{pipeline}: {}",
            done.stderr
        );
        let done = plackett(path, &[&line[..], &["--format", "trec", "cat"]].concat()).expect(0);
        assert_eq!(done.stdout.lines().count(), 1100, "{pipeline}");
    }
    // The default pipeline too, and a file of queries.
    std::fs::write(path.join("q.tsv"), "a\tcat\nb\tcat 7\n").unwrap();
    let done = plackett(path, &["search", "i", "--queries", "q.tsv", "-k", "1050"]).expect(0);
    assert_eq!(done.stdout.lines().count(), 2 * 1050);
    // A depth that is written holds, and is named when it shortens the answer.
    for (pipeline, count, stage) in [
        ("bm25:20", 20, "`bm25:20`"),
        ("rrf(bm25:30,dense):25", 25, "passes on at most 25"),
        ("bm25 >> bi-encoder:7", 7, "`bi-encoder:7`"),
    ] {
        let line = ["search", "i", "-p", pipeline, "-k", "50", "--json", "cat"];
        let line =
            if pipeline.contains(">>") { [&line[..], &["--model", MODEL]].concat() } else { line.to_vec() };
        let done = plackett(path, &line).expect(0);
        let said = warnings(&done);
        assert!(said.len() == 1 && said[0].contains(stage), "{said:?}");
        assert_eq!(ids(&done.json()).len(), count);
    }
    let done = plackett(path, &["search", "i", "-p", "bm25:5", "--json", "cat"]).expect(0);
    assert!(warnings(&done).is_empty(), "nobody asked for ten");
}

#[test]
fn a_query_without_words_finds_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let documents = [
        json!({"_id": "a", "text": "one document about the moon"}),
        json!({"_id": "b", "text": "another of the sun, and of help"}),
        json!({"_id": "c", "text": ""}),
    ];
    index(path, "i", &documents, &["--model", MODEL]);
    for query in ["", "  ", "\t", "?!", "… «»", "-- /"] {
        for pipeline in [
            "bm25",
            "bm25(rm3=true)",
            "dense",
            "rrf(bm25,dense)",
            "combsum(bm25,dense)",
            "combsum(bm25,dense,norm=z-score)",
            "rrf(bm25,dense) >> late-interaction",
        ] {
            // A text that begins with a dash stands behind two of them.
            let line = ["search", "i", "-p", pipeline, "--json", "--", query];
            let done = plackett(path, &line).expect(0);
            assert!(ids(&done.json()).is_empty(), "{pipeline} `{query}`: {}", done.stdout);
            let said = warnings(&done);
            assert!(
                said.iter().any(|w| w.contains("finds nothing: the query")),
                "{pipeline} `{query}`: {said:?}"
            );
            assert!(done.stderr.contains("finds nothing: the query"), "{}", done.stderr);
        }
    }
    let text = plackett(path, &["search", "i", ""]).expect(0);
    assert!(
        text.stdout.contains("nothing found") && text.stderr.contains("the query is empty"),
        "{}",
        text.stderr
    );
    // Words that the analyser leaves out are words to a model.
    let words = ["search", "i", "--json", "the of"];
    let done = plackett(path, &[&words[..], &["-p", "rrf(bm25,dense)"]].concat()).expect(0);
    assert_eq!(ids(&done.json()).len(), 2);
    assert!(warnings(&done).iter().any(|w| w.contains("analyser `english` leaves out")), "{}", done.stdout);
    std::fs::write(path.join("q.tsv"), "x\tmoon\ny\t?\nz\t!!\n").unwrap();
    let done = plackett(path, &["search", "i", "--queries", "q.tsv", "-p", "bm25", "--json"]).expect(0);
    assert!(warnings(&done).iter().any(|w| w.contains("2 queries (`y`, `z`)")), "{}", done.stdout);
}

#[test]
fn candidates_for_an_empty_query_are_not_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let request = |qid: &str, text: &str| {
        format!(
            "{}\n",
            json!({"query": {"qid": qid, "text": text}, "candidates": [{"docid": "a", "text": "x"}]})
        )
    };
    for method in ["bi-encoder", "late-interaction"] {
        let line = ["rerank", "--method", method, "--model", MODEL, "-"];
        for empty in ["", "  "] {
            let both = request("good", "moon") + &request("empty", empty);
            let done = plackett_with_input(folder.path(), &line, &both).expect(1);
            assert!(done.stderr.contains("line 2") && done.stderr.contains("empty"), "{}", done.stderr);
            assert_eq!(done.stdout.lines().count(), 1);
            plackett_with_input(folder.path(), &line, &request("empty", empty)).expect(2);
        }
    }
}

#[test]
fn letters_in_two_forms_are_one_word() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let documents = [
        json!({"_id": "composed", "text": "a caf\u{e9} there"}),
        json!({"_id": "decomposed", "text": "a cafe\u{301} there"}),
        json!({"_id": "other", "text": "a cafe there"}),
    ];
    index(path, "i", &documents, &["--no-vectors"]);
    let search = |query: &str| plackett(path, &["search", "i", "--json", query]).expect(0);
    for query in ["caf\u{e9}", "cafe\u{301}", "CAFE\u{301}"] {
        let done = search(query);
        assert_eq!(ids(&done.json()), ["decomposed", "composed"], "{query}");
        for (nth, word) in [(0, "cafe\u{301}"), (1, "caf\u{e9}")] {
            let snippet = &done.json()["results"][0]["ranking"][nth]["snippet"];
            let range = |i: usize| snippet["matches"][0][i].as_u64().unwrap() as usize;
            assert_eq!(&snippet["text"].as_str().unwrap()[range(0)..range(1)], word);
        }
        assert!(warnings(&done).is_empty());
    }
    // An index of an older program does not name the version of its analyser.
    let manifest = path.join("i/plackett-index.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    value["format_version"] = 1.into();
    value["settings"].as_object_mut().unwrap().remove("analyzer_version");
    std::fs::write(&manifest, value.to_string()).unwrap();
    for line in
        [&["search", "i", "--json", "there"][..], &["index", "-o", "i", "--delete", "other", "--json"]]
    {
        let said = warnings(&plackett(path, line).expect(0));
        assert!(
            said.iter().any(|w| w.contains("version 1") && w.contains("index the collection again")),
            "{said:?}"
        );
    }
}

#[test]
fn names_that_would_break_a_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    index(path, "i", &[json!({"_id": "a", "text": "moon"})], &["--no-vectors"]);
    std::fs::write(path.join("q.tsv"), "x\tmoon\ny\tsun\nx\tmoon\n").unwrap();
    let request = format!("{}\n", json!({"query": {"qid": "q", "text": "x"}, "candidates": ["moon", "sun"]}));
    let rerank = ["rerank", "--method", "bi-encoder", "--model", MODEL, "--format", "trec", "-"];
    for tag in ["my run", "", "a\tb", " x", "a\u{a0}b"] {
        for line in [
            &["search", "i", "moon", "--format", "trec", "--tag", tag][..],
            &[&rerank[..], &["--tag", tag]].concat(),
        ] {
            let done = plackett_with_input(path, line, &request).expect(2);
            assert!(done.stderr.contains("--tag") && done.stdout.is_empty(), "{}", done.stderr);
        }
    }
    let done = plackett(path, &["search", "i", "moon", "--format", "trec", "--tag", "mine"]).expect(0);
    assert!(done.stdout.ends_with(" mine\n"), "{}", done.stdout);
    for form in [&[][..], &["--json"], &["--format", "jsonl"]] {
        plackett(path, &[&["search", "i", "moon", "--tag", "mine"], form].concat()).expect(2);
    }
    let done = plackett(path, &["search", "i", "--queries", "q.tsv", "--format", "trec"]).expect(2);
    assert!(done.stderr.contains("`x`") && done.stdout.is_empty(), "{}", done.stderr);
    let done = plackett_with_input(path, &rerank, &request.repeat(2)).expect(2);
    assert!(done.stderr.contains("two queries have the id `q`"), "{}", done.stderr);
    plackett_with_input(path, &rerank, &request).expect(0);
}

#[test]
fn nothing_from_outside_commands_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let evil = "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\r\u{202e}\u{2067}";
    let document = json!({"_id": format!("id{evil}"), "title": format!("T{evil}"), "text": format!("moon {evil} light")});
    index(path, "i", std::slice::from_ref(&document), &["--model", MODEL]);
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let unsafe_in = |text: &str| text.chars().any(|c| turns(c) || c.is_control() && c != '\n' && c != '\t');
    std::fs::write(path.join("q.jsonl"), "{\"_id\": \"q\", \"text\": \"moon\"}\n").unwrap();
    for line in [
        &["search", "i", "moon", "-p", "bm25", "--explain"][..],
        &["search", "i", "moon", "-p", evil],
        &["search", "i", evil],
        &["search", "i", "--queries", "q.jsonl", "--format", "text"],
        &["search", evil, "moon"],
        &["index", "-o", "i", "--delete", evil],
        &["index", evil, "-o", "new"],
        &["embed", "--input", evil],
        &["eval", evil, evil],
        &["model", "show", evil],
        &["rerank", "--method", evil, "q.jsonl"],
    ] {
        let done = plackett(path, line);
        assert!(!unsafe_in(&done.stdout), "{line:?}: {:?}", done.stdout);
        assert!(!unsafe_in(&done.stderr), "{line:?}: {:?}", done.stderr);
    }
    let text = plackett(path, &["search", "i", "moon", "-p", "bm25"]).expect(0).stdout;
    assert!(text.contains("T␛[2J␛]0;title␇\u{fffd}31m␍") && text.contains("id␛[2J"), "{text}");
    // Runs whose names and ids have such characters, measured.
    std::fs::write(path.join("run"), format!("q{evil} Q0 d 1 1 tag\u{1b}[2J\n").replace('\r', "")).unwrap();
    std::fs::write(path.join("qrels"), format!("q{evil} 0 d 1\n").replace('\r', "")).unwrap();
    for line in [
        &["eval", "qrels", "run"][..],
        &["eval", "qrels", "run", "--per-query"],
        &["compare", "qrels", "run", "run"],
    ] {
        let done = plackett(path, line);
        assert!(!unsafe_in(&done.stdout) && !unsafe_in(&done.stderr), "{line:?}: {:?}", done.stdout);
    }
    // What a model writes.
    let decoder = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/llama");
    let line = ["generate", "a", "--model", decoder, "--choose", "yes\u{1b}[31m,no\u{1b}[2J"];
    let done = plackett(path, &line);
    assert!(!unsafe_in(&done.stdout) && !unsafe_in(&done.stderr), "{:?}", done.stdout);
    // Data are as they are.
    let found = plackett(path, &["search", "i", "moon", "-p", "bm25", "--json"]).expect(0).json();
    assert_eq!(found["results"][0]["ranking"][0]["id"], document["_id"]);
}

#[test]
fn a_model_without_a_reranker_has_no_effect_and_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    index(folder.path(), "i", &[json!({"_id": "a", "text": "moon"})], &["--no-vectors"]);
    let line = ["search", "i", "moon", "-p", "bm25", "--model", MODEL];
    let done = plackett(folder.path(), &line).expect(2);
    assert!(done.stderr.contains("--model") && done.stderr.contains("no reranker"), "{}", done.stderr);
    plackett(folder.path(), &["search", "i", "moon", "-p", "bm25 >> bi-encoder", "--model", MODEL]).expect(0);
}
