//! `plackett synth queries`: what is written and left out, how a run goes on, and flags without effect.

use crate::common::{Done, plackett};
use crate::remote::mock::{Answer, Mock, Seen};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Documents, and what the model writes for each.
const DOCUMENTS: [(&str, &str); 7] = [
    ("green tea grows on hills", "where does green tea grow? On hills.\nExample 5:"),
    ("black tea dries longer", "Where does GREEN tea grow"),
    ("figs are sweet", "?"),
    ("dates are sweeter", "caf\u{e9} with dates"),
    ("plums ripen late", "w w w w w w w w w w w w w w w w w w w w w w w w w w w w w w w"),
    ("pears ripen early", "volcano eruptions"),
    ("apples make cider", "how cider is made"),
];

/// Kinds of queries that are of no use, of each of which there is one.
const LEFT_OUT: [&str; 5] = [
    "nothing is left of the query",
    "the query has letters that are not of ASCII",
    "the query has more than 30 words",
    "the query is written for an earlier document too",
    "a search for the query does not find its document",
];

fn prepare(folder: &Path) {
    let line = |(at, (text, _)): (usize, &(&str, &str))| {
        format!("{}\n", json!({"_id": format!("d{at}"), "text": text}))
    };
    let corpus: String = DOCUMENTS.iter().enumerate().map(line).collect();
    std::fs::write(folder.join("corpus.jsonl"), corpus).unwrap();
    plackett(folder, &["index", "corpus.jsonl", "-o", "my.index", "--no-vectors"]).expect(0);
}

/// Writes what stands in [`DOCUMENTS`]; refuses the plums while it is broken.
fn server(broken: Arc<AtomicBool>) -> Mock {
    Mock::start(move |_, seen: &Seen| {
        let asked = seen.body["messages"][0]["content"].as_str().unwrap();
        // The last document of the prompt is the one that is asked about.
        let document = asked.rsplit("Document: ").next().unwrap();
        let (text, query) = DOCUMENTS.iter().find(|(text, _)| document.starts_with(text)).unwrap();
        if text.starts_with("plums") && broken.load(Ordering::SeqCst) {
            return Answer::status(400, "no");
        }
        let message = json!({"role": "assistant", "content": query});
        let choice = json!({"message": message, "finish_reason": "stop", "index": 0});
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 2});
        Answer::ok(json!({"choices": [choice], "usage": usage}).to_string())
    })
}

fn synth(folder: &Path, mock: &Mock, flags: &str) -> Done {
    let model = format!("remote:{}/v1/chat/completions#m,in_flight=1", mock.url);
    let mut line = vec!["synth", "queries", "my.index", "--model", &model, "--sample", "uniform"];
    line.extend(["--count", "7", "--characters", "0"]);
    line.extend(flags.split_whitespace());
    plackett(folder, &line)
}

#[test]
fn queries_of_use_are_written_and_the_others_counted_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    let mock = server(Arc::default());
    let how = "--round-trip 3 --negatives 1 --ranks 1-3 --triples --json";
    let told = synth(at, &mock, &format!("-o asked {how}")).expect(0).json();
    let counts = [("documents", 7), ("written", 7), ("queries", 2), ("lists", 1), ("triples", 1)];
    for (name, count) in counts.into_iter().chain([("resumed", 0)]) {
        assert_eq!(told[name], count, "{name}: {told}");
    }
    let left_out = told["left_out"].as_object().unwrap();
    assert_eq!(left_out.len(), LEFT_OUT.len(), "{told}");
    for reason in LEFT_OUT {
        assert_eq!(told["left_out"][reason], 1, "{reason}: {told}");
    }
    // The page of JSON answers names every field.
    let page = include_str!("../../../../docs/json.md");
    let row = page.lines().find(|line| line.starts_with("| `synth queries` |")).unwrap();
    let names: Vec<&String> = told.as_object().unwrap().keys().collect();
    for name in &names[2..names.len() - 4] {
        assert!(row.contains(&format!("`{name}`")), "{name}: {row}");
    }
    let read = |name: &str| std::fs::read_to_string(at.join("asked").join(name)).unwrap();
    let queries: Vec<Value> =
        read("queries.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(queries.contains(&json!({"_id": "d6", "text": "how cider is made"})), "{queries:?}");
    assert!(read("qrels/train.tsv").contains("d6\td6\t1\n"));
    let list: Value = serde_json::from_str(&read("examples.jsonl")).unwrap();
    let candidates: Vec<(&str, f64)> = list["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| (own["docid"].as_str().unwrap(), own["label"].as_f64().unwrap()))
        .collect();
    assert!(list["qid"] == candidates[0].0 && candidates[0].1 == 1.0, "{list}");
    assert!(candidates.len() == 2 && candidates[1].0 != candidates[0].0 && candidates[1].1 == 0.0, "{list}");
    let texts = [0_usize, 1].map(|at| list["candidates"][at]["text"].as_str().unwrap());
    let triple = format!("{}\t{}\t{}\n", list["query"].as_str().unwrap(), texts[0], texts[1]);
    assert_eq!(read("triples.tsv"), triple);
    let card = read("README.md");
    for piece in ["| queries that are kept | 2 |", "- Round trip: `bm25` finds", "Relevant Query:\n"] {
        assert!(card.contains(piece), "{piece}: {card}");
    }
    assert!(!at.join("asked.unfinished").exists());
    // A search and an evaluation read the folder.
    let run = plackett(at, &["search", "my.index", "--queries", "asked", "--format", "trec"]).expect(0);
    std::fs::write(at.join("run.trec"), run.stdout).unwrap();
    plackett(at, &["eval", "asked/qrels/train.tsv", "run.trec"]).expect(0);
    // The same seed gives the same files; a folder with queries is not written over unasked.
    synth(at, &mock, &format!("-o again {how}")).expect(0);
    for name in ["queries.jsonl", "qrels/train.tsv", "examples.jsonl", "triples.tsv", "README.md"] {
        assert_eq!(read(name), read(&format!("../again/{name}")), "{name}");
    }
    let refused = synth(at, &mock, "-o asked").expect(2).stderr;
    assert!(refused.contains("has queries already") && refused.contains("--overwrite"), "{refused}");
    let told = synth(at, &mock, "-o asked --overwrite --json").expect(0).json();
    assert_eq!((&told["queries"], &told["lists"]), (&json!(3), &Value::Null));
    for name in ["asked/examples.jsonl", "asked/triples.tsv"] {
        assert!(!at.join(name).exists(), "{name} of an earlier run is gone");
    }
    let told = synth(at, &mock, "-o foreign --any-letters --json").expect(0).json();
    assert_eq!(told["queries"], 4);
    let queries = std::fs::read_to_string(at.join("foreign/queries.jsonl")).unwrap();
    assert!(queries.contains("caf\u{e9} with dates"), "{queries}");
}

#[test]
fn a_run_that_stops_asks_only_for_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    let broken = Arc::new(AtomicBool::new(true));
    let mock = server(broken.clone());
    let stopped = synth(at, &mock, "-o asked").expect(2).stderr;
    assert!(stopped.contains("asked.unfinished; the same command goes on"), "{stopped}");
    assert!(!at.join("asked").exists());
    let refused = synth(at, &mock, "-o asked --tokens 9").expect(2).stderr;
    assert!(refused.contains("--tokens was `32`, and is `9`"), "{refused}");
    broken.store(false, Ordering::SeqCst);
    let before = mock.count();
    let told = synth(at, &mock, "-o asked --json").expect(0).json();
    let resumed = told["resumed"].as_u64().unwrap();
    assert!(resumed > 0, "{told}");
    assert_eq!(resumed + (mock.count() - before) as u64, 7);
    assert!(!at.join("asked.unfinished").exists());
    synth(at, &mock, "-o whole").expect(0);
    let bytes = |name: &str| std::fs::read(at.join(name).join("queries.jsonl")).unwrap();
    assert_eq!(bytes("asked"), bytes("whole"));
}

#[test]
fn several_queries_for_a_document_and_prompts_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    let mock = server(Arc::default());
    std::fs::write(at.join("ask.txt"), "What is asked about this?\nDocument: {document}\nQuery:\n").unwrap();
    let told = synth(at, &mock, "-o asked --per-document 2 --prompt ask.txt --json").expect(0).json();
    // The server writes the same twice.
    assert_eq!((&told["written"], &told["queries"]), (&json!(14), &json!(3)));
    let queries = std::fs::read_to_string(at.join("asked/queries.jsonl")).unwrap();
    assert!(queries.contains("\"d6-1\""), "{queries}");
    let seen = mock.seen();
    let asked = seen[0].body["messages"][0]["content"].as_str().unwrap();
    assert!(asked.starts_with("What is asked about this?\nDocument: "), "{asked}");
    assert!(asked.ends_with("\nQuery:"), "{asked}");
    assert!(seen.iter().all(|seen| seen.body["temperature"].as_f64().unwrap() > 0.7));
    let card = std::fs::read_to_string(at.join("asked/README.md")).unwrap();
    assert!(card.contains("- Temperature: 0.8\n") && card.contains("    Query:\n"), "{card}");
}

#[test]
fn documents_come_from_clusters_of_their_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    plackett(at, &["index", "corpus.jsonl", "-o", "vectors.index"]).expect(0);
    let mock = server(Arc::default());
    let model = format!("remote:{}/v1/chat/completions#m", mock.url);
    let synth = |folder: &str| {
        let begin = ["synth", "queries", "vectors.index", "--model", &model, "-o", folder];
        let rest = ["--count", "5", "--clusters", "2", "--characters", "0", "--json"];
        plackett(at, &[&begin[..], &rest[..]].concat()).expect(0).json()
    };
    let told = synth("asked");
    assert_eq!((&told["documents"], &told["written"]), (&json!(5), &json!(5)));
    synth("again");
    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    assert!(read("asked/README.md").contains("- Documents: 5, from 2 clusters of their vectors"));
    assert_eq!(read("asked/queries.jsonl"), read("again/queries.jsonl"));
    for (sample, said) in [("central", "those nearest to the middle"), ("spread", "drawn uniformly in each")]
    {
        let line = ["synth", "queries", "vectors.index", "--model", &model, "-o", sample, "--sample", sample];
        let rest = ["--count", "5", "--clusters", "2", "--characters", "0"];
        plackett(at, &[&line[..], &rest[..]].concat()).expect(0);
        let card = read(&format!("{sample}/README.md"));
        assert!(card.contains(&format!("from 2 clusters of their vectors, {said}")), "{card}");
    }
}

#[test]
fn flags_without_effect_and_samples_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    let mock = server(Arc::default());
    std::fs::write(at.join("ask.txt"), "Ask.\n").unwrap();
    std::fs::create_dir(at.join("full")).unwrap();
    std::fs::write(at.join("full/queries.jsonl"), "").unwrap();
    for (flags, piece) in [
        ("-o asked --clusters 2", "--clusters: --sample uniform makes none"),
        ("-o asked --pipeline bm25", "--pipeline: nothing is searched"),
        ("-o asked --ranks 1-3", "--negatives"),
        ("-o asked --triples", "--negatives"),
        ("-o asked --negatives 1 --ranks 3-1", "--ranks 3-1"),
        ("-o asked --prompt ask.txt", "--prompt ask.txt: there is no `{document}`"),
        ("-o full", "full holds other files"),
        ("-o full --overwrite", "full holds other files"),
    ] {
        let done = synth(at, &mock, flags).expect(2);
        assert!(done.stderr.contains(piece), "{flags}: {}", done.stderr);
    }
    let model = format!("remote:{}/v1/chat/completions#m", mock.url);
    let begin = ["synth", "queries", "my.index", "--model", &model, "-o", "asked"];
    for (rest, piece) in [
        (&[][..], "no vectors of their own to be clustered by"),
        (&["--clusters", "200"][..], "--clusters 200: each gives a document"),
        (&["--sample", "uniform"][..], "100 documents are to be sampled, and 0 have text enough"),
    ] {
        let done = plackett(at, &[&begin[..], rest].concat()).expect(2);
        assert!(done.stderr.contains(piece), "{rest:?}: {}", done.stderr);
    }
    assert_eq!(mock.count(), 0);
    assert!(!at.join("asked").exists() && !at.join("asked.unfinished").exists());
}
