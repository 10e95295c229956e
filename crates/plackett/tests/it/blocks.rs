//! The block index on the command line: what is stored ranks as what is computed, follows the index, and never stands for
//! something else.

use crate::common::{Done, command, plackett};
use plackett_rank::MethodSpec;
use plackett_train::in_context::InContextSettings;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const PROMPT: &str =
    "prefix = \"Read:\"\nbody = \"\\n{label}: {doc}\"\nsuffix = \"\\nFor: {query}\"\nanswer = \" [\"\n";
const METHOD: &str = "block-rank(prompt=mine.toml, layer=1)";
const TEXTS: [(&str, &str); 5] = [
    ("d1", "good apple pie"),
    ("d2", "a good pear"),
    ("d3", "good figs from far away"),
    ("d4", "good plums"),
    ("d5", "good bread"),
];

/// A tiny model of the engine's own tests.
fn model(name: &str) -> String {
    format!("{}/../plackett-lm/tests/golden/decoder/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn lines(texts: &[(&str, &str)]) -> String {
    texts.iter().fold(String::new(), |mut lines, (id, text)| {
        let _ = writeln!(lines, "{{\"_id\": \"{id}\", \"text\": \"{text}\"}}");
        lines
    })
}

/// A folder with documents, a prompt and an index that has blocks.
fn indexed() -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("mine.toml"), PROMPT).unwrap();
    std::fs::write(path.join("texts.jsonl"), lines(&TEXTS)).unwrap();
    let llama = model("llama");
    let index = ["index", "texts.jsonl", "-o", "my.index", "--no-vectors", "--json"];
    let blocks = ["--blocks", &llama, "--blocks-method", METHOD];
    let done = plackett(path, &[&index[..], &blocks].concat()).expect(0).json();
    (folder, done)
}

fn search(folder: &Path, method: &str, more: &[&str]) -> Done {
    let (llama, pipeline) = (model("llama"), format!("bm25:10 >> {method}"));
    let arguments = ["search", "my.index", "-p", &pipeline, "--model", &llama, "--json", "good"];
    plackett(folder, &[&arguments[..], more].concat())
}

fn ranked(found: &Value) -> Vec<(String, f64)> {
    let ranking = found["results"][0]["ranking"].as_array().unwrap().iter();
    ranking.map(|e| (e["id"].as_str().unwrap().to_string(), e["score"].as_f64().unwrap())).collect()
}

fn fact<'v>(found: &'v Value, name: &str) -> Option<&'v str> {
    found["results"][0]["trace"]["facts"][name].as_str()
}

/// The stored ranking, which must be the computed one; how many documents were read from the store.
fn checked(folder: &Path) -> String {
    let stored = search(folder, "block-rank", &[]).expect(0).json();
    let computed = search(folder, "block-rank(prompt=mine.toml, layer=1, tokens=128, blocks=never)", &[])
        .expect(0)
        .json();
    assert_eq!(ranked(&stored), ranked(&computed));
    assert_eq!(fact(&computed, "blocks"), None);
    fact(&stored, "blocks").unwrap().to_string()
}

#[test]
fn blocks_rank_as_computed_ones_and_follow_the_index() {
    let (folder, made) = indexed();
    let path = folder.path();
    let blocks = &made["blocks"];
    assert_eq!(
        (&blocks["documents"], &blocks["computed"], &blocks["layers"]),
        (&5.into(), &5.into(), &2.into())
    );
    assert!(
        blocks["bytes"].as_u64().unwrap() > 1000 && blocks["seconds"].as_f64().unwrap() > 0.0,
        "{blocks}"
    );
    let agreement = &blocks["agreement"];
    assert_eq!((&agreement["computed"], &agreement["difference"]), (&1.0.into(), &0.0.into()), "{agreement}");
    assert_eq!((&agreement["documents"], &agreement["queries"]), (&5.into(), &3.into()), "{agreement}");
    assert_eq!(checked(path), "5 of 5 documents from the block index");
    // Added, replaced and deleted.
    let more = [("d2", "a good pear and a good apple"), ("d6", "good goose")];
    std::fs::write(path.join("more.jsonl"), lines(&more)).unwrap();
    let append = ["index", "more.jsonl", "-o", "my.index", "--append", "--delete", "d4", "--json"];
    let done = plackett(path, &append).expect(0).json();
    let blocks = &done["blocks"];
    assert_eq!((&blocks["documents"], &blocks["computed"]), (&5.into(), &2.into()), "{done}");
    assert_eq!(checked(path), "5 of 5 documents from the block index");
    let done =
        plackett(path, &["index", "-o", "my.index", "--delete", "d1,d2,d3", "--json"]).expect(0).json();
    assert_eq!((&done["blocks"]["documents"], &done["blocks"]["computed"]), (&2.into(), &0.into()), "{done}");
    assert_eq!(checked(path), "2 of 2 documents from the block index");
    let text = plackett(path, &["index", "-o", "my.index", "--blocks", &model("llama")]).expect(0).stdout;
    for part in ["2 of 2 documents (0 computed)", "2 of 3 layers", "Kendall's τ 1.000"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn agreement_is_that_of_the_blocks_own_prompt_and_layer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("mine.toml"), PROMPT).unwrap();
    std::fs::write(path.join("one.jsonl"), lines(&TEXTS[..1])).unwrap();
    std::fs::write(path.join("more.jsonl"), lines(&TEXTS[1..])).unwrap();
    let llama = model("llama");
    let index = ["index", "one.jsonl", "-o", "my.index", "--no-vectors", "--json"];
    let blocks = ["--blocks", &llama, "--blocks-method", METHOD];
    let made = plackett(path, &[&index[..], &blocks].concat()).expect(0).json();
    // One document has no order with which another could agree.
    assert!(made["blocks"]["agreement"].is_null(), "{made}");
    // What the file says now is no matter to blocks that were made before.
    std::fs::write(path.join("mine.toml"), PROMPT.replace("Read:", "Other words:")).unwrap();
    let append = ["index", "more.jsonl", "-o", "my.index", "--append", "--json"];
    let made = plackett(path, &append).expect(0).json();
    let agreement = &made["blocks"]["agreement"];
    assert_eq!((&agreement["computed"], &agreement["difference"]), (&1.0.into(), &0.0.into()), "{agreement}");
    assert_eq!(agreement["documents"], 5);
}

#[test]
fn documents_without_blocks_are_computed_and_said() {
    let (folder, _) = indexed();
    let path = folder.path();
    // An index that changes without its blocks, as when a command is interrupted between the two.
    std::fs::rename(path.join("my.index/blocks"), path.join("aside")).unwrap();
    std::fs::write(path.join("more.jsonl"), lines(&[("d6", "good goose")])).unwrap();
    plackett(path, &["index", "more.jsonl", "-o", "my.index", "--append"]).expect(0);
    std::fs::rename(path.join("aside"), path.join("my.index/blocks")).unwrap();
    let found = search(path, "block-rank", &[]).expect(0).json();
    assert_eq!(fact(&found, "blocks"), Some("5 of 6 documents from the block index"));
    assert!(found["warnings"].to_string().contains("1 of 6 documents are not in the block index"), "{found}");
    assert_eq!(checked(path), "5 of 6 documents from the block index");
    let made = plackett(path, &["index", "-o", "my.index", "--blocks", &model("llama"), "--json"]).expect(0);
    assert_eq!(made.json()["blocks"]["computed"], 1);
    assert_eq!(checked(path), "6 of 6 documents from the block index");
}

#[test]
fn another_model_other_options_and_damaged_files_are_refused() {
    let (folder, _) = indexed();
    let path = folder.path();
    let other = model("qwen3");
    let wrong = ["search", "my.index", "-p", "bm25:10 >> block-rank", "--model", &other, "good"];
    let stderr = plackett(path, &wrong).expect(2).stderr;
    for part in ["is another one", "blocks=never", "--drop-blocks", "llama", "qwen3"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    let refuse = |arguments: &[&str], part: &str| {
        let stderr = plackett(path, &[&["index", "-o", "my.index"], arguments].concat()).expect(2).stderr;
        assert!(stderr.contains(part), "{stderr}");
    };
    refuse(&["--blocks", &other], "is another one");
    let llama = model("llama");
    refuse(&["--blocks", &llama, "--blocks-method", "block-rank(prompt=mine.toml)"], "other options");
    refuse(&["--blocks", &llama, "--blocks-method", "icr"], "blocks are those of block-rank");
    refuse(&["--blocks", &llama, "--blocks-method", "block-rank(query-position=9)"], "no effect");
    refuse(&["--blocks", &llama, "--blocks-method", "block-rank(prompt=block-rank)"], "block-rank-stored");
    refuse(
        &["--blocks", concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert")],
        "not a decoder",
    );
    let stderr = search(path, "block-rank(tokens=9)", &[]).expect(2).stderr;
    assert!(stderr.contains("tokens is that of the block index"), "{stderr}");
    let file = path.join("my.index/blocks/00000001.blocks");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
    let stderr = search(path, "block-rank", &[]).expect(2).stderr;
    assert!(stderr.contains("00000001.blocks") && stderr.contains("--drop-blocks"), "{stderr}");
    refuse(&["--delete", "d1"], "--drop-blocks");
    // An index that is made anew has no blocks to remove.
    refuse(&["texts.jsonl", "--overwrite", "--drop-blocks"], "cannot be used with");
    // What is refused can be removed, and documents are computed again.
    let dropped = plackett(path, &["index", "-o", "my.index", "--drop-blocks", "--json"]).expect(0).json();
    assert!(dropped["warnings"].to_string().contains("was removed"), "{dropped}");
    refuse(&["--drop-blocks"], "has no block index");
    let found = search(path, "block-rank(prompt=mine.toml)", &[]).expect(0).json();
    assert_eq!((fact(&found, "blocks"), ranked(&found).len()), (None, 5));
    let stderr = search(path, "block-rank(prompt=mine.toml, blocks=always)", &[]).expect(2).stderr;
    assert!(stderr.contains("--blocks"), "{stderr}");
}

#[test]
fn a_killed_command_leaves_no_half_block_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("mine.toml"), PROMPT).unwrap();
    let mut texts = String::new();
    for number in 0..3000 {
        let _ =
            writeln!(texts, "{{\"_id\": \"d{number}\", \"text\": \"good words {}\"}}", "again ".repeat(8));
    }
    std::fs::write(path.join("texts.jsonl"), texts).unwrap();
    plackett(path, &["index", "texts.jsonl", "-o", "my.index", "--no-vectors"]).expect(0);
    let llama = model("llama");
    let build = ["index", "-o", "my.index", "--blocks", &llama, "--blocks-method", METHOD];
    let mut child = command(path, &build).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let blocks = path.join("my.index/blocks");
    let begun = || {
        let entries = std::fs::read_dir(&blocks).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .any(|name| name.starts_with(".tmp"))
    };
    let start = Instant::now();
    while !begun() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "blocks are never begun");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!blocks.join("blocks.json").exists(), "it was killed while it wrote");
    // There is no block index yet, and nothing of it is read.
    let found = search(path, "block-rank(prompt=mine.toml)", &[]).expect(0).json();
    assert_eq!(fact(&found, "blocks"), None);
    let ids = format!("@{}", path.join("ids.txt").display());
    let all: String = (0..2990).map(|number| format!("d{number}\n")).collect();
    std::fs::write(path.join("ids.txt"), all).unwrap();
    let done = plackett(path, &[&build[..], &["--delete", &ids, "--json"]].concat()).expect(0).json();
    assert_eq!((&done["documents"], &done["blocks"]["documents"]), (&10.into(), &10.into()));
    assert_eq!(checked(path), "10 of 10 documents from the block index");
    let names = std::fs::read_dir(&blocks).unwrap().count();
    assert_eq!(names, 3, "one file, its record and the lock: what was left is gone");
}

#[test]
fn questions_stand_where_block_rank_learns_that_they_do() {
    let asked = MethodSpec::find("block-rank").unwrap().defaults().count("query-position");
    assert_eq!(asked, InContextSettings::at(1).query_position as usize);
}
