//! Metadata, filters and counts from the outside. `docs/filters.md` has the collection and the filters.

use crate::common::{command, plackett};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;

const PAGE: &str = include_str!("../../../../docs/filters.md");

/// The lines of the first block of the page that is marked so.
fn block(mark: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{mark}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

fn indexed(folder: &Path) {
    std::fs::write(folder.join("corpus.jsonl"), block("jsonl")).unwrap();
    plackett(folder, &["index", "corpus.jsonl", "-o", "my.index", "--no-vectors"]).expect(0);
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

#[test]
fn the_commands_of_the_page_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("corpus.jsonl"), block("jsonl")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_plackett")).parent().unwrap().to_owned();
    let path = std::env::join_paths(
        [program].into_iter().chain(std::env::split_paths(&std::env::var("PATH").unwrap())),
    );
    for line in block("sh").lines() {
        let mut shell = std::process::Command::new("sh");
        shell
            .env_remove("PLACKETT_MODEL")
            .env_remove("PLACKETT_PIPELINE")
            .env("PATH", path.as_ref().unwrap());
        let done = shell.current_dir(folder.path()).args(["-c", line]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && !done.stdout.is_empty(), "{line}: {said}");
    }
}

#[test]
fn the_filters_of_the_page_find_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let rows = PAGE.lines().skip_while(|line| !line.starts_with("| filter |")).skip(2);
    let mut count = 0;
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let filter = cells[0].trim_start_matches("`` ").trim_end_matches(" ``");
        let filter = if filter.len() < cells[0].len() { filter } else { cells[0].trim_matches('`') };
        let expected: Vec<&str> = cells[1].split(' ').collect();
        let done =
            plackett(folder.path(), &["get", "my.index", "--filter", filter, "--json"]).expect(0).json();
        assert_eq!(ids(&done["documents"]), expected, "{filter}");
        assert_eq!(done["passed"], expected.len());
        let search = ["search", "my.index", "-p", "bm25", "--filter", filter, "--json", "containers"];
        let done = plackett(folder.path(), &search).expect(0).json();
        let mut found = ids(&done["results"][0]["ranking"]);
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
        count += 1;
    }
    assert!(count > 10);
}

#[test]
fn the_error_of_the_page_is_what_is_said() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let (_, rest) = PAGE.split_once("```text\n--filter").unwrap();
    let shown = format!("--filter{}", rest.split_once("```").unwrap().0);
    let said =
        plackett(folder.path(), &["search", "my.index", "--filter", "tags = pod", "x"]).expect(2).stderr;
    assert!(said.contains(shown.trim_end()), "{said}\n{shown}");
}

#[test]
fn results_carry_what_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let search = |more: &[&str]| {
        let arguments = ["search", "my.index", "-p", "bm25", "-k", "1", "storage volumes"];
        plackett(folder.path(), &[&arguments[..], more].concat())
    };
    let usual = search(&["--json"]).expect(0).json()["results"][0].clone();
    assert_eq!(
        (&usual["query"], &usual["ranking"][0]["title"]),
        (&json!("storage volumes"), &json!("Volumes"))
    );
    assert_eq!(usual["ranking"][0]["metadata"]["author"]["name"], "Ada");
    assert!(usual["ranking"][0]["snippet"]["text"].is_string() && usual["ranking"][0]["text"].is_null());
    let asked = search(&["--json", "--show", "text"]).expect(0).json()["results"][0]["ranking"][0].clone();
    let names: Vec<&String> = asked.as_object().unwrap().keys().collect();
    assert_eq!(names, ["id", "score", "rank", "text"]);
    assert_eq!(asked["text"], "A volume outlives the containers of a pod.");
    let text = search(&["--show", "text,metadata"]).expect(0).stdout;
    assert!(text.contains("      A volume outlives") && text.contains("      author.name: Ada"), "{text}");
    assert!(!text.contains("Volumes"), "{text}");
    assert!(search(&["--show", "text", "--format", "trec"]).expect(2).stderr.contains("--show"));
    assert!(search(&["--facets", "year", "--format", "trec"]).expect(2).stderr.contains("--facets"));
}

#[test]
fn documents_are_got_by_id_and_missing_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let done = plackett(folder.path(), &["get", "my.index", "d2", "gone", "d1", "--json"]).expect(1);
    let found = done.json();
    assert_eq!((ids(&found["documents"]), &found["missing"]), (vec!["d2", "d1"], &json!(["gone"])));
    assert_eq!(found["documents"][0]["text"], "A node runs the containers of pods.");
    assert!(done.stderr.contains("1 id (`gone`)"), "{}", done.stderr);
    let text = plackett(folder.path(), &["get", "my.index", "d4"]).expect(0).stdout;
    assert_eq!(text, "d4  Notes\n      Containers, in short.\n      Reading time: 3.5\n");
    let few = plackett(folder.path(), &["get", "my.index", "--filter", "exists(year)", "-k", "2"]).expect(0);
    assert!(
        few.stderr.contains("2 of 3 documents that pass") && !few.stdout.contains("d3"),
        "{}",
        few.stderr
    );
    assert!(
        plackett(folder.path(), &["get", "my.index", "d1", "--show", "snippet"])
            .expect(2)
            .stderr
            .contains("query")
    );
    plackett(folder.path(), &["get", "my.index"]).expect(2);
}

#[test]
fn fields_are_shown_where_an_index_is_made_and_later() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("c.csv"),
        "id,text,year,zip,day\na,words,2024,01234,2024-05-01\nb,more,,99,\n",
    )
    .unwrap();
    let index = ["index", "c.csv", "-o", "i", "--no-vectors", "--field-types", "zip=keyword,gone=date"];
    let done = plackett(folder.path(), &index).expect(0);
    assert!(done.stdout.contains("fields: day (date), year (number), zip (keyword)"), "{}", done.stdout);
    assert!(done.stderr.contains("--field-types: no document has the field `gone`"), "{}", done.stderr);
    let fields =
        plackett(folder.path(), &["get", "i", "--fields", "--json"]).expect(0).json()["fields"].clone();
    assert_eq!(fields[1], json!({"name": "year", "types": ["number"], "list": false, "documents": 1}));
    let get = |filter: &str| plackett(folder.path(), &["get", "i", "--filter", filter, "--json"]);
    for (filter, expected) in
        [("zip = '01234'", ["a"]), ("year >= 2024", ["a"]), ("not exists(day)", ["b"]), ("zip = 99", ["b"])]
    {
        assert_eq!(ids(&get(filter).expect(0).json()["documents"]), expected, "{filter}");
    }
    let other = ["index", "c.csv", "-o", "i", "--append", "--field-types", "zip=number"];
    assert!(plackett(folder.path(), &other).expect(2).stderr.contains("--field-types zip=number"));
    let wrong = ["index", "c.csv", "-o", "j", "--no-vectors", "--field-types", "zip=boolean"];
    let said = plackett(folder.path(), &wrong).expect(2).stderr;
    assert!(said.contains("document `a`") && said.contains("`zip`") && said.contains("boolean"), "{said}");
    assert!(!folder.path().join("j").exists());
}

#[test]
fn values_are_counted_in_what_is_found_and_in_all() {
    let folder = tempfile::tempdir().unwrap();
    indexed(folder.path());
    let search = ["search", "my.index", "-p", "bm25", "-k", "1", "--facets", "tags,year", "--json"];
    let done =
        plackett(folder.path(), &[&search[..], &["pod"]].concat()).expect(0).json()["results"][0].clone();
    assert_eq!(done["ranking"].as_array().unwrap().len(), 1);
    assert_eq!(done["trace"]["facts"]["depth:answer"], "1");
    let tags = &done["facets"][0];
    assert_eq!((&tags["field"], &tags["distinct"], &tags["count"]), (&json!("tags"), &json!(4), &json!(3)));
    assert_eq!(tags["values"][0], json!({"value": "pod", "found": 2, "count": 2}));
    let filtered = [&search[..], &["--filter", "draft = false", "pod"]].concat();
    let done = plackett(folder.path(), &filtered).expect(0).json()["results"][0].clone();
    // Equally frequent ones stand in the order of their texts.
    let values = done["facets"][0]["values"].as_array().unwrap();
    assert_eq!(values[0]["value"], "basics");
    assert!(values.contains(&json!({"value": "pod", "found": 1, "count": 1})), "{values:?}");
    let text = plackett(folder.path(), &["search", "my.index", "-p", "bm25", "--facets", "year", "pod"])
        .expect(0)
        .stdout;
    assert!(text.contains("year (of 3 found / of all): ") && text.contains("2024 1/1"), "{text}");
    let said = plackett(folder.path(), &["search", "my.index", "--facets", "yaer", "pod"]).expect(2).stderr;
    assert!(said.contains("--facets") && said.contains("did you mean `year`?"), "{said}");
}

/// Every first stage filters before the cut, alone and in fusions, and the trace says so.
#[test]
fn stages_of_pipelines_filter_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..60)
        .map(|n| {
            format!(
                "{{\"_id\": \"d{n:02}\", \"text\": \"apple number {n}\", \"n\": {n}, \"kind\": \"k{}\"}}\n",
                n % 3
            )
        })
        .collect();
    std::fs::write(folder.path().join("c.jsonl"), rows).unwrap();
    plackett(folder.path(), &["index", "c.jsonl", "-o", "i", "--offline"]).expect(0);
    for pipeline in [
        "bm25",
        "bm25(rm3=true, fb_docs=3)",
        "dense",
        "dense(search=exact)",
        "rrf(bm25, dense)",
        "bm25(filter=\"n < 50\"):20 >> late-interaction",
    ] {
        let search =
            ["search", "i", "-p", pipeline, "-k", "7", "--filter", "kind = 'k1' and n >= 20", "--json"];
        let done = plackett(folder.path(), &[&search[..], &["--offline", "apple"]].concat()).expect(0).json();
        let found = ids(&done["results"][0]["ranking"]);
        let passes = |id: &&str| id[1..].parse().is_ok_and(|n: u32| n % 3 == 1 && n >= 20);
        assert!(found.len() == 7 && found.iter().all(passes), "{pipeline}: {found:?}");
        let facts = &done["results"][0]["trace"]["facts"];
        let stage = if pipeline.starts_with("dense") { "dense:filter" } else { "bm25:filter" };
        let said = facts[stage].as_str().unwrap();
        let expected =
            if pipeline.contains("n < 50") { "(10 of 60 documents)" } else { "(13 of 60 documents)" };
        assert!(said.contains("kind = \"k1\" and n >= 20") && said.ends_with(expected), "{pipeline}: {said}");
    }
    let nothing = ["search", "i", "-p", "bm25", "--filter", "n > 99", "--json", "apple"];
    let done = plackett(folder.path(), &nothing).expect(0);
    assert!(
        done.json()["warnings"][0].as_str().unwrap().contains("no document passes the filter"),
        "{}",
        done.stderr
    );
    let mut shell = command(folder.path(), &["search", "i", "--offline"]);
    shell.args(["-p", "dense(filter=\"n >\")", "apple"]);
    let said = String::from_utf8(shell.output().unwrap().stderr).unwrap();
    assert!(said.contains("filter, column 4") && said.contains('^'), "{said}");
}
