//! `plackett ids build` on more items than fit a budget, and builds that are killed.

use crate::common::{kill_when, plackett};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Items with vectors of so many numbers.
fn prepare(folder: &Path, items: usize, dimension: usize) {
    let (mut lines, mut vectors) = (String::new(), String::new());
    for at in 0..items {
        let _ = writeln!(lines, "{{\"id\": \"i{at}\", \"title\": \"thing {at} of kind {}\"}}", at % 13);
        let numbers: Vec<String> =
            (0..dimension).map(|x| format!("{}", (at * 31 + x * 17) % 101 + (at % 13) * (x % 7))).collect();
        let _ = writeln!(vectors, "{{\"id\": \"i{at}\", \"vector\": [{}]}}", numbers.join(","));
    }
    std::fs::write(folder.join("items.jsonl"), lines).unwrap();
    std::fs::write(folder.join("vectors.jsonl"), vectors).unwrap();
}

fn build(folder: &Path, scheme: &str, output: &str, more: &[&str]) -> Value {
    let arguments = ["ids", "build", "items.jsonl", "--scheme", scheme, "-o", output, "--json"];
    plackett(folder, &[&arguments, more].concat()).expect(0).json()
}

#[test]
fn a_memory_budget_puts_vectors_into_a_file_and_changes_no_identifier() {
    const VECTORS: u64 = 30_000 * 192 * 4;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at, 30_000, 192);
    let scheme = "rq(levels=3, codes=8)";
    let file = ["--vectors", "vectors.jsonl"];
    let memory = build(at, scheme, "memory.jsonl", &file);
    assert_eq!(memory["memory"]["vectors_in_file"], false);
    let estimate = memory["memory"]["estimate"].as_u64().unwrap();
    let budget = (estimate - 1).to_string();
    let streamed = build(at, scheme, "file.jsonl", &[&file[..], &["--memory-budget", &budget]].concat());
    assert_eq!(streamed["memory"]["vectors_in_file"], true);
    assert_eq!(streamed["memory"]["estimate"], estimate - VECTORS);
    assert_eq!(streamed["sha256"], memory["sha256"]);
    let read = |name: &str| std::fs::read(at.join(name)).unwrap();
    assert!(read("file.jsonl") == read("memory.jsonl"));
    // On Linux the peaks are known too: the estimates hold, and the file does take vectors out of memory.
    if let [Some(most), Some(least)] = [&memory, &streamed].map(|made| made["memory"]["peak"].as_u64()) {
        assert!(most <= estimate && least <= estimate - VECTORS, "{memory}\n{streamed}");
        assert!(least + VECTORS / 2 < most, "{least} {most}");
    }
    let mut refused =
        vec!["ids", "build", "items.jsonl", "--scheme", scheme, "-o", "no.jsonl", "--memory-budget", "9MB"];
    refused.extend(file);
    let refused = plackett(at, &refused).expect(2).stderr;
    assert!(refused.contains("--memory-budget: the scheme `rq` takes up to"), "{refused}");
    assert!(refused.contains("for 30000 items, with its vectors in a file, and 9MB are given"), "{refused}");
    let names: Vec<_> = std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "nothing is left behind: {names:?}");
}

#[test]
fn histories_become_prompts_to_learn_from_and_some_of_an_unseen_template() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at, 12, 4);
    std::fs::write(at.join("histories"), "u i1 i2 i3 i4\nv i2 i3 i5 i6\n").unwrap();
    std::fs::write(
        at.join("mine.toml"),
        "[seen]\na = \"{user}: {history} then\"\n[unseen]\nb = \"After {history} of {user}:\\n\"\n",
    )
    .unwrap();
    build(at, "atomic", "c.jsonl", &[]);
    let code = |item: &str| {
        let shown = plackett(at, &["ids", "show", "c.jsonl", "--item", item, "--json"]).expect(0).json();
        shown["items"][0]["codes"][0].as_str().unwrap().to_string()
    };
    let prompts = |more: &[&str]| {
        let all = ["ids", "prompts", "c.jsonl", "--histories", "histories", "--templates", "mine.toml"];
        plackett(at, &[&all[..], &["-o", "learn.jsonl", "--test", "test.jsonl", "--json"], more].concat())
    };
    let lines = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(at.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let made = prompts(&[]).expect(0).json();
    assert_eq!((&made["prompts"], &made["tested"]), (&json!(2), &json!(2)));
    assert_eq!((&made["templates"]["seen"], &made["templates"]["unseen"]), (&json!(1), &json!(1)));
    // The last two positions are held out, so that each history has one position with an item before it.
    let [i1, i2, i3, i4] = ["i1", "i2", "i3", "i4"].map(code);
    let expected = json!({"prompt": format!("u: {i1} then"), "target": format!(" {i2}")});
    assert_eq!(lines("learn.jsonl")[0], expected);
    let told = format!("{i1}, {i2}, {i3}");
    let seen = json!({"user": "u", "item": "i4", "template": "a", "seen": true, "prompt": format!("u: {told} then"), "target": format!(" {i4}")});
    let unseen = json!({"user": "u", "item": "i4", "template": "b", "seen": false, "prompt": format!("After {told} of u:\n"), "target": i4});
    assert_eq!(lines("test.jsonl")[..2], [seen, unseen]);
    assert_eq!(lines("test.jsonl").len(), 4);
    // One item is told, the newest.
    prompts(&["--told", "1", "--held-out", "1"]).expect(0);
    assert_eq!(lines("learn.jsonl")[1]["prompt"], format!("u: {i2} then"));
    let refused = prompts(&["--passes", "2"]).expect(2).stderr;
    assert!(
        refused.contains("--passes 2: there are not so many seen templates in mine.toml, but 1"),
        "{refused}"
    );
    assert!(prompts(&["--held-out", "0"]).expect(2).stderr.contains("--test: with --held-out 0"));
    let short = prompts(&["--held-out", "3"]).expect(2).stderr;
    assert!(short.contains("no history has two items before the 3 that are held out"), "{short}");
    build(at, "sequential", "c.jsonl", &["--histories", "histories", "--held-out", "1"]);
    let leak = prompts(&[]).expect(0).json()["warnings"].to_string();
    assert!(leak.contains("know positions that are held out here"), "{leak}");
    // Where one of the two files cannot be written, neither is.
    let line = ["ids", "prompts", "c.jsonl", "--histories", "histories", "-o", "other.jsonl", "--test"];
    for (test, said) in [("no/such", "no/such: cannot write"), ("-", "--test -: what was made")] {
        let refused = plackett(at, &[&line[..], &[test]].concat()).expect(2).stderr;
        assert!(refused.contains(said) && !at.join("other.jsonl").exists(), "{refused}");
    }
}

#[test]
fn a_catalogue_says_what_it_was_made_with_and_leaks_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at, 12, 4);
    std::fs::write(at.join("histories"), "u i1 i2 i3 i4\nv i2 i3 i5 i6\n").unwrap();
    let histories = ["--histories", "histories", "--seed", "3"];
    let made = build(at, "sequential", "two.jsonl", &histories);
    assert_eq!(made["made_with"], json!({"seed": 3, "held_out": 2}));
    build(at, "sequential", "none.jsonl", &[&histories[..], &["--held-out", "0"]].concat());
    let vectors = build(at, "rq(levels=2, codes=4)", "rq.jsonl", &["--vectors", "vectors.jsonl"]);
    assert_eq!(vectors["made_with"], json!({"seed": 1, "vectors": "vectors.jsonl"}));
    let check = |file: &str, code: i32| plackett(at, &["ids", "check", file]).expect(code).stdout;
    assert!(check("two.jsonl", 0).contains("held    no held-out position of a history is known"));
    assert!(check("rq.jsonl", 0).contains("held    no held-out position"));
    assert!(check("none.jsonl", 1).contains("none was held out; build it with --held-out 2"));
    let text = std::fs::read_to_string(at.join("two.jsonl")).unwrap();
    std::fs::write(at.join("two.jsonl"), text.replacen("\"made_with\":{\"seed\":3,\"held_out\":2},", "", 1))
        .unwrap();
    assert!(check("two.jsonl", 1).contains("does not say how many were held out"));
    let shown = plackett(at, &["ids", "show", "rq.jsonl"]).expect(0).stdout;
    assert!(shown.contains("made with seed 1, vectors of vectors.jsonl\n"), "{shown}");
}

#[test]
fn a_table_goes_out_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at, 12, 4);
    build(at, "title", "titles.jsonl", &["--write-table", "titles.tsv"]);
    let table = ["ids", "build", "items.jsonl", "--table", "titles.tsv", "-o", "read.jsonl"];
    plackett(at, &[&table[..], &["--write-table", "again.tsv"]].concat()).expect(0);
    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    assert_eq!(read("again.tsv"), read("titles.tsv"));
    assert!(read("read.jsonl").contains("\"scheme\":\"table\""));
    std::fs::write(at.join("titles.tsv"), read("titles.tsv").replace("i3\t", "z3\t")).unwrap();
    let error = plackett(at, &table).expect(2).stderr;
    assert!(error.contains("titles.tsv") && error.contains("`z3` is not among the items"), "{error}");
    let budget = plackett(at, &[&table[..], &["--memory-budget", "1GB"]].concat()).expect(2).stderr;
    assert!(budget.contains("made elsewhere are read whole"), "{budget}");
}

/// Identifiers by schemes of all kinds without vectors.
#[test]
fn a_million_identifiers_fit_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (items, budget) = (1_000_000, 1500);
    prepare(at, items, 0);
    let given = format!("{budget}MB");
    for scheme in ["atomic", "naive-string", "title"] {
        let made = build(at, scheme, "many.jsonl", &["--memory-budget", &given]);
        assert_eq!(made["statistics"]["items"], items, "{scheme}");
        let estimate = made["memory"]["estimate"].as_u64().unwrap();
        assert!(estimate <= budget * 1_000_000, "{scheme}: {estimate}");
        if let Some(peak) = made["memory"]["peak"].as_u64() {
            assert!(peak <= estimate, "{scheme}: {peak} of {estimate}");
        }
    }
    plackett(at, &["ids", "check", "many.jsonl", "--items", "items.jsonl"]).expect(0);
}

#[test]
fn a_budget_that_is_too_small_is_refused_for_every_kind_of_scheme() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path(), 20, 24);
    std::fs::write(folder.path().join("histories"), "u i1 i2 i3 i4\nv i2 i3 i5 i6\n").unwrap();
    std::fs::write(folder.path().join("index.json"), r#"{"i1": ["a"]}"#).unwrap();
    for (more, part) in [
        (&["--scheme", "title"][..], "the scheme `title` takes up to"),
        (&["--scheme", "cid", "--histories", "histories"], "the scheme `collaborative` takes up to"),
        (&["--scheme", "balanced-rq", "--vectors", "vectors.jsonl"], "the scheme `balanced-rq` takes up to"),
        (&["--scheme", "rq-vae", "--vectors", "vectors.jsonl"], "the scheme `rq-vae` takes up to"),
        (&["--index", "index.json"], "made elsewhere are read whole"),
    ] {
        let all = [&["ids", "build", "items.jsonl", "-o", "c", "--memory-budget", "1MB"], more].concat();
        let refused = plackett(folder.path(), &all).expect(2).stderr;
        assert!(refused.contains("--memory-budget") && refused.contains(part), "{refused}");
    }
}

#[test]
fn trained_codes_are_the_same_again_and_shared_ones_are_dealt_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at, 60, 8);
    let scheme = |more: &str| format!("rq-vae(levels=3, codes=8, width=4, epochs=200{more})");
    let vectors = ["--vectors", "vectors.jsonl"];
    let made = build(at, &scheme(""), "a.jsonl", &vectors);
    assert_eq!(made["scheme"], scheme(""));
    assert_eq!(made["made_with"], json!({"seed": 1, "vectors": "vectors.jsonl"}));
    assert_eq!(
        (&made["statistics"]["items"], &made["statistics"]["colliding_items"]),
        (&json!(60), &json!(0))
    );
    assert!(made["warnings"].to_string().contains("do not come back from their codes"), "{made}");
    assert_eq!(build(at, &scheme(""), "b.jsonl", &vectors)["sha256"], made["sha256"]);
    let other = build(at, &scheme(""), "c.jsonl", &[&vectors[..], &["--seed", "2"]].concat());
    assert_ne!(other["sha256"], made["sha256"]);
    let colliding = |more: &str| {
        let made = build(at, &scheme(more), "d.jsonl", &vectors);
        let colliding = made["statistics"]["colliding_items"].as_u64().unwrap();
        let said = made["warnings"].to_string().contains(&format!("and {colliding} do after it"));
        assert_eq!(said, !more.contains("sinkhorn=0"), "{made}");
        colliding
    };
    let (shared, apart) = (colliding(", duplicates=keep, sinkhorn=0"), colliding(", duplicates=keep"));
    assert!(apart < shared, "{apart} {shared}");
    plackett(at, &["ids", "check", "a.jsonl", "--items", "items.jsonl"]).expect(0);
    let wrong = ["ids", "build", "items.jsonl", "--scheme", "rq-vae(epochs=0)", "-o", "e.jsonl"];
    let refused = plackett(at, &[&wrong[..], &vectors].concat()).expect(2).stderr;
    assert!(refused.contains("epochs is `0`"), "{refused}");
}

#[test]
fn vectors_that_are_missing_twice_there_or_of_nobody_are_said() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path(), 3, 4);
    let vector = |id: &str, numbers: &str| format!("{{\"id\": \"{id}\", \"vector\": [{numbers}]}}\n");
    let all = ["i0", "i1", "i2"].map(|id| vector(id, "1, 2, 3, 4")).concat();
    let said = |text: &str, code: i32| {
        std::fs::write(folder.path().join("vectors.jsonl"), text).unwrap();
        let arguments =
            ["ids", "build", "items.jsonl", "--scheme", "rq", "--vectors", "vectors.jsonl", "-o", "c.jsonl"];
        plackett(folder.path(), &arguments).expect(code).stderr
    };
    let others = said(&(all.clone() + &vector("x", "1, 2, 3, 4")), 0);
    assert!(others.contains("--vectors: 1 vectors are of no item; they were left out"), "{others}");
    for (text, parts) in [
        (all.clone() + &vector("i1", "1, 2, 3, 4"), ["line 4", "a second vector of the item `i1`"]),
        (vector("i0", "1, 2, 3, 4"), ["vectors.jsonl", "no vector of the item `i1`"]),
        (vector("i1", "1, 2") + &all, ["line 2", "the vector of `i0` has 4 numbers, the first one 2"]),
        (vector("i0", "1e99, 2, 3, 4"), ["line 1", "beyond 1e15"]),
        (String::new(), ["vectors.jsonl", "no vector of the item `i0`"]),
    ] {
        let error = said(&text, 2);
        assert!(parts.iter().all(|part| error.contains(part)), "{parts:?}: {error}");
    }
}

#[test]
fn a_killed_build_goes_on_with_the_vectors_that_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at, 1600, 1);
    let scheme = "rq(levels=2, codes=16)";
    let whole = build(at, scheme, "whole.jsonl", &[]);
    assert_eq!((&whole["resumed"], &whole["memory"]["vectors_in_file"]), (&json!(0), &json!(false)));
    let progress = at.join("killed.jsonl.unfinished/progress.jsonl");
    let arguments = ["ids", "build", "items.jsonl", "--scheme", scheme, "-o", "killed.jsonl"];
    // What the vectors are of, and a block.
    let has_block = || std::fs::read_to_string(&progress).is_ok_and(|text| text.lines().count() > 1);
    kill_when(at, &arguments, has_block);
    assert!(!at.join("killed.jsonl").exists());
    let rest = build(at, scheme, "killed.jsonl", &[]);
    assert!(rest["resumed"].as_u64().unwrap() >= 512, "{rest}");
    let read = |name: &str| std::fs::read(at.join(name)).unwrap();
    assert!(read("killed.jsonl") == read("whole.jsonl"));
    assert!(!at.join("killed.jsonl.unfinished").exists() && !at.join("whole.jsonl.unfinished").exists());
}
