//! `plackett index` and `plackett search` from the outside.

use crate::common::{Done, plackett, plackett_with_input};
use std::path::Path;

const CORPUS: &str = r#"{"_id": "lava", "title": "Volcano", "text": "Magma rises through the crust until it erupts."}
{"_id": "cake", "title": "Cake", "text": "A recipe for apple cake with cinnamon and sugar."}
{"_id": "moon", "title": "Moon", "text": "The moon moves around the earth and makes the tides."}
"#;

fn indexed(folder: &Path) {
    std::fs::write(folder.join("corpus.jsonl"), CORPUS).unwrap();
    let done = plackett(folder, &["index", "corpus.jsonl", "-o", "my.index", "--json"]).expect(0);
    assert_eq!(done.json()["documents"], 3);
}

fn first_id(done: &Done) -> String {
    done.json()["results"][0]["ranking"][0]["id"].as_str().unwrap_or_default().to_string()
}

#[test]
fn an_index_answers_by_words_by_meaning_and_by_both() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    for (pipeline, query, wanted) in [
        ("bm25", "apple cinnamon", "cake"),
        ("dense", "baking a dessert", "cake"),
        ("rrf(bm25,dense)", "volcano eruption", "lava"),
        ("bm25:3 >> late-interaction:2", "tides of the moon", "moon"),
        ("rrf(bm25,dense):3 >> bi-encoder:2 >> late-interaction:1", "tides of the moon", "moon"),
    ] {
        let done = plackett(folder.path(), &["search", "my.index", "--pipeline", pipeline, "--json", query])
            .expect(0);
        assert_eq!(first_id(&done), wanted, "{pipeline}");
    }
}

#[test]
fn json_answers_show_the_passage_and_its_matches() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let query =
        ["search", "my.index", "--pipeline", "bm25(rm3=true, fb_docs=2)", "--json", "recipes of apples"];
    let done = plackett(folder.path(), &query).expect(0).json();
    let snippet = &done["results"][0]["ranking"][0]["snippet"];
    let text = snippet["text"].as_str().unwrap();
    let at = |i: usize, j: usize| snippet["matches"][i][j].as_u64().unwrap() as usize;
    assert_eq!((&text[at(0, 0)..at(0, 1)], &text[at(1, 0)..at(1, 1)]), ("recipe", "apple"), "{snippet}");
    let expanded = done["results"][0]["trace"]["facts"]["rm3:query"].as_str().unwrap();
    assert!(expanded.contains("recip^"), "{expanded}");
    plackett(folder.path(), &["search", "my.index", "--pipeline", "bm25(fb_docs=2)", "x"]).expect(2);
    plackett(folder.path(), &["search", "my.index", "--pipeline", "bm25(lengths=lucene)", "apple"]).expect(0);
}

/// Two documents of the same length. With equal weights `text` has the word twice and leads with 2 / (2 + 0.9); with 3
/// and 0.5 `title` has it three times, `text` once, and both are four words long: 3 / 3.9 and 1 / 1.9, times ln 1.2.
#[test]
fn weights_of_fields_change_the_order_as_computed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = r#"{"_id": "title", "title": "Apple", "text": "pear plum"}
{"_id": "text", "title": "Pear", "text": "apple apple"}
"#;
    std::fs::write(folder.path().join("corpus.jsonl"), corpus).unwrap();
    plackett(folder.path(), &["index", "corpus.jsonl", "-o", "my.index", "--no-vectors"]).expect(0);
    let search = |pipeline: &str| {
        plackett(folder.path(), &["search", "my.index", "-p", pipeline, "--json", "apple"]).expect(0).json()
    };
    let scores = |found: &serde_json::Value| -> Vec<(String, f64)> {
        let ranking = found["results"][0]["ranking"].as_array().unwrap().iter();
        ranking.map(|e| (e["id"].as_str().unwrap().into(), e["score"].as_f64().unwrap())).collect()
    };
    let idf = 1.2f64.ln();
    let near = |found: Vec<(String, f64)>, expected: [(&str, f64); 2]| {
        for ((id, score), (name, value)) in found.iter().zip(expected) {
            assert!(id == name && (score - value).abs() < 1e-6, "{found:?} {expected:?}");
        }
    };
    near(scores(&search("bm25")), [("text", idf * 2.0 / 2.9), ("title", idf / 1.9)]);
    let weighted = search("bm25(weights=title:3/text:0.5)");
    near(scores(&weighted), [("title", idf * 3.0 / 3.9), ("text", idf / 1.9)]);
    assert_eq!(weighted["results"][0]["trace"]["facts"]["bm25:weights"], "title:3/text:0.5");
    assert_eq!(scores(&search("bm25(weights=\"title:3, text:0.5\")")), scores(&weighted));
    // A field that is not named weighs 1: 3 / (3 + 0.9 · (0.6 + 0.4 · 5 / 5)) for both lengths of five.
    near(scores(&search("bm25(weights=title:3)")), [("title", idf * 3.0 / 3.9), ("text", idf * 2.0 / 2.9)]);
    for wrong in ["title", "title:-1", "title:2/title:1", "author:1", "title:0/text:0"] {
        let pipeline = format!("bm25(weights={wrong})");
        plackett(folder.path(), &["search", "my.index", "-p", &pipeline, "apple"]).expect(2);
    }
}

#[test]
fn text_shows_titles_and_explains_on_request() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let done = plackett(folder.path(), &["search", "my.index", "apple cake", "--explain"]).expect(0);
    assert!(done.stdout.contains("Cake") && done.stdout.contains("cinnamon"), "{}", done.stdout);
    assert!(done.stdout.contains("depth:bm25 = 1000"), "{}", done.stdout);
    assert!(!done.stdout.contains('\u{1b}'), "no colours where there is no terminal");
}

#[test]
fn help_names_every_option_of_first_stages_and_fusions() {
    let folder = tempfile::tempdir().unwrap();
    let help = plackett(folder.path(), &["search", "--help"]).expect(0).stdout;
    for line in [
        "bm25 takes k1, b, weights, lengths, rm3, fb_docs, fb_terms, fb_weight, filter",
        "rrf takes k, weights",
    ] {
        assert!(help.contains(line), "{line}: {help}");
    }
}

/// Nothing behind it chooses among what it finds, so that it finds as much as is asked for.
#[test]
fn a_first_stage_alone_goes_as_deep_as_the_answer_is_long() {
    let folder = tempfile::tempdir().unwrap();
    let document = |n: usize| format!("{{\"_id\": \"d{n}\", \"text\": \"apple {n}\"}}\n");
    std::fs::write(folder.path().join("corpus.jsonl"), (0..12).map(document).collect::<String>()).unwrap();
    plackett(folder.path(), &["index", "corpus.jsonl", "-o", "my.index", "--no-vectors"]).expect(0);
    // The index has twelve documents.
    for (pipeline, k, depth) in [
        ("bm25", "10", "10"),
        ("bm25", "1000", "12"),
        ("bm25:7", "3", "7"),
        ("rrf(bm25, bm25)", "10", "1000"),
    ] {
        let search = ["search", "my.index", "apple", "--explain", "-p", pipeline, "-k", k];
        let done = plackett(folder.path(), &search).expect(0);
        assert!(done.stdout.contains(&format!("depth:bm25 = {depth}\n")), "{pipeline} {k}: {}", done.stdout);
    }
}

#[test]
fn a_file_of_queries_makes_a_run_and_standard_input_too() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    std::fs::write(folder.path().join("q.tsv"), "a\tapple cake\nb\tmoon\n").unwrap();
    let done = plackett(folder.path(), &["search", "my.index", "--queries", "q.tsv", "-k", "2"]).expect(0);
    let fields: Vec<&str> = done.stdout.lines().next().unwrap().split(' ').collect();
    assert_eq!((fields[0], fields[1], fields[2], fields[3], fields.len()), ("a", "Q0", "cake", "1", 6));
    let done = plackett_with_input(
        folder.path(),
        &["search", "my.index", "--format", "jsonl", "-"],
        "moon\n\ncake\n",
    )
    .expect(0);
    let ids: Vec<String> = done
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["query_id"].as_str().unwrap().to_string()
        })
        .collect();
    assert_eq!(ids, ["1", "3"]);
}

#[test]
fn every_json_answer_has_the_same_snippets() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let one =
        plackett(folder.path(), &["search", "my.index", "-p", "bm25", "--json", "apple cake"]).expect(0);
    let one = one.json()["results"][0]["ranking"].clone();
    let text = one[0]["snippet"]["text"].as_str().expect("a passage");
    assert!(text.contains("apple cake"), "{one}");
    std::fs::write(folder.path().join("q.tsv"), "a\tapple cake\nb\tmoon\n").unwrap();
    let search = ["search", "my.index", "-p", "bm25"];
    let many = |flags: &[&str], input: &str| {
        let done = plackett_with_input(folder.path(), &[&search, flags].concat(), input).expect(0);
        match serde_json::from_str::<serde_json::Value>(&done.stdout) {
            Ok(document) if document["results"].is_array() => document["results"].as_array().unwrap().clone(),
            _ => done.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect(),
        }
    };
    for answers in [
        many(&["--queries", "q.tsv", "--json"], ""),
        many(&["--queries", "q.tsv", "--format", "jsonl"], ""),
        many(&["--format", "jsonl", "-"], "apple cake\nmoon\n"),
        many(&["--json", "-"], "apple cake\nmoon\n"),
    ] {
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0]["ranking"], one);
        assert!(answers[1]["ranking"][0]["snippet"]["matches"][0].is_array(), "{}", answers[1]);
    }
}

#[test]
fn documents_are_added_replaced_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let more = r#"{"_id": "cake", "title": "Bread", "text": "Sourdough needs flour, water and time."}
{"_id": "rain", "text": "Clouds and rain over the sea."}
"#;
    let done =
        plackett_with_input(folder.path(), &["index", "-", "-o", "my.index", "--append", "--json"], more)
            .expect(0);
    assert_eq!(done.json()["documents"], 4);
    let done =
        plackett(folder.path(), &["search", "my.index", "-p", "bm25", "--json", "sourdough"]).expect(0);
    assert_eq!(first_id(&done), "cake");
    let done = plackett(folder.path(), &["search", "my.index", "-p", "bm25", "--json", "cinnamon"]).expect(0);
    assert!(done.json()["results"][0]["ranking"].as_array().unwrap().is_empty(), "the old text is gone");
    let done =
        plackett(folder.path(), &["index", "-o", "my.index", "--delete", "rain,moon", "--json"]).expect(0);
    assert_eq!(done.json()["documents"], 2);
}

#[test]
fn wrong_input_is_named_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    for (arguments, wanted) in [
        (&["search", "absent", "x"][..], "absent"),
        (&["search", "my.index", "-p", "bm52", "x"], "bm25"),
        (&["search", "my.index", "-p", "bm25 >> ", "x"], "bm25 >> "),
        (&["search", "my.index", "-p", "late-interaction", "x"], "first stage"),
        (&["search", "my.index", "-p", "bm25 >> cross-encoder", "x"], "--model"),
        (&["search", "my.index", "-k", "0", "x"], "--top-k 0: a whole number from 1"),
        (&["index", "absent.jsonl", "-o", "new.index"], "absent.jsonl"),
        (&["index", "corpus.jsonl", "-o", "my.index"], "--append"),
    ] {
        let done = plackett(folder.path(), arguments).expect(2);
        assert!(done.stderr.contains(wanted), "{arguments:?}: {}", done.stderr);
    }
    assert!(!folder.path().join("new.index").exists());
    std::fs::write(folder.path().join("bad.jsonl"), "{\"_id\": \"a\", \"text\": \"x\"}\n{\"_id\": 3\n")
        .unwrap();
    let done = plackett(folder.path(), &["index", "bad.jsonl", "-o", "bad.index"]).expect(2);
    assert!(done.stderr.contains("bad.jsonl") && done.stderr.contains('2'), "{}", done.stderr);
}

#[test]
fn an_index_without_vectors_says_so_when_asked_for_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("corpus.jsonl"), CORPUS).unwrap();
    plackett(folder.path(), &["index", "corpus.jsonl", "-o", "words.index", "--no-vectors"]).expect(0);
    let done = plackett(folder.path(), &["search", "words.index", "--json", "apple"]).expect(0);
    assert_eq!(first_id(&done), "cake");
    let done = plackett(folder.path(), &["search", "words.index", "-p", "dense", "apple"]).expect(2);
    assert!(done.stderr.contains("vectors"), "{}", done.stderr);
}

#[test]
fn dense_search_is_exact_or_approximate_and_says_which() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let search = |pipeline: &str| {
        plackett(folder.path(), &["search", "my.index", "-p", pipeline, "--json", "baking a dessert"])
    };
    let fact = |done: &Done| done.json()["results"][0]["trace"]["facts"]["dense:search"].clone();
    assert_eq!(fact(&search("dense").expect(0)), "exact (3 vectors, hnsw from 20000)");
    assert_eq!(fact(&search("dense(search=exact):2").expect(0)), "exact (as asked)");
    for (wrong, why) in [
        ("dense(search=fast)", "dense expects one of auto, exact, hnsw"),
        ("dense(search=exact, ef=9)", "`ef` is a setting of hnsw"),
        ("dense(search=hnsw, from=9)", "`from` says when"),
        ("dense(ef=0)", "a whole number from 1"),
        ("dense(form=9)", "did you mean `from`?"),
    ] {
        let done = search(wrong).expect(2);
        assert!(done.stderr.contains(why), "{wrong}: {}", done.stderr);
    }
    let refused = search("dense(search=hnsw)").expect(2);
    let made = plackett(folder.path(), &["index", "-o", "my.index", "--graph", "always", "--json"]);
    if !plackett_search::HAS_HNSW {
        let made = made.expect(2);
        assert!(refused.stderr.contains("--features usearch"), "{}", refused.stderr);
        assert!(made.stderr.contains("--features usearch"), "{}", made.stderr);
        assert_eq!(fact(&search("dense(from=1)").expect(0)), "exact (built without usearch)");
        return;
    }
    assert!(refused.stderr.contains("--graph always"), "{}", refused.stderr);
    assert_eq!(made.expect(0).json()["graph_vectors"], 3);
    let done = search("dense(search=hnsw, ef=5):2").expect(0);
    assert_eq!((first_id(&done).as_str(), fact(&done)), ("cake", "hnsw (ef=5)".into()));
}

/// With the model of the index, documents are not read again: one pass, over the prompt. With a copy of its files under
/// another name they are, and the order is the same.
#[test]
fn a_reranker_by_vectors_takes_those_of_the_index() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let query = "apple or moon or magma";
    let search = |pipeline: &str| {
        let done = plackett(folder.path(), &["search", "my.index", "--pipeline", pipeline, "--json", query]);
        let result = done.expect(0).json()["results"][0].clone();
        let entries = result["ranking"].as_array().unwrap().iter();
        let entries = entries
            .map(|entry| (entry["id"].as_str().unwrap().to_string(), entry["score"].as_f64().unwrap()));
        (entries.collect::<Vec<_>>(), result["trace"]["passes"].as_u64().unwrap())
    };
    let (stored, passes) = search("bm25:3 >> e2rank(documents=2)");
    assert_eq!((stored.len(), passes), (3, 1));
    let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/all-MiniLM-L6-v2-int8");
    let (read, passes) = search(&format!("bm25:3 >> e2rank(documents=2, model=\"{}\")", copy.display()));
    assert_eq!(passes, 4);
    for (stored, read) in stored.iter().zip(&read) {
        // Vectors in the index are rounded to int8.
        assert!(stored.0 == read.0 && (stored.1 - read.1).abs() < 0.01, "{stored:?} {read:?}");
    }
    // Cut documents have other vectors.
    assert_eq!(search("bm25:3 >> e2rank(documents=2, words=3)").1, 4);
}
