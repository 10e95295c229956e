//! `plackett index --chunk` and what is searched then: passages of long texts, grouped to documents.

use crate::common::{Done, plackett};
use crate::docids::words_of;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Sentences that have nothing to do with each other, and the questions that they answer.
const NEEDLES: [(&str, &str); 6] = [
    (
        "Who keeps nine parrots in the lighthouse?",
        "The old lighthouse keeper has nine parrots that speak Greek.",
    ),
    ("At what temperature does tungsten melt?", "Tungsten melts at a temperature of 3422 degrees Celsius."),
    (
        "When was the first marathon for dogs?",
        "The first marathon for dogs took place in the spring of 1931.",
    ),
    (
        "How is rye bread baked in Iceland?",
        "In Iceland, rye bread is baked in the ground beside a hot spring.",
    ),
    (
        "What do violin makers do with spruce?",
        "Makers of violins let spruce dry for ten years before they cut it.",
    ),
    (
        "Why do submarines carry candles?",
        "Submarines carry candles of chlorate, which give oxygen when they burn.",
    ),
];

/// Matters of the long texts around them.
const FILLER: [&str; 6] = [
    "The parish council discussed the new road, its cost, and the trees that would have to go. Nobody agreed.",
    "Wool was sold by weight at the autumn fair, and prices rose for the third year in a row.",
    "The committee read the minutes of the last meeting aloud and corrected two spellings.",
    "A letter about drainage arrived in March and was answered in June, after the flood had gone down.",
    "The railway timetable changed again, so that the early train now waits for the ferry.",
    "Members paid their fees in coins, which the treasurer counted twice and put into a tin.",
];

/// A text of some hundred sentences with one needle, `place` sixths into it.
fn long_text(number: usize, needle: &str, place: usize) -> String {
    let mut text = String::new();
    for turn in 0..36 {
        if turn == place * 36 / 6 {
            let _ = write!(text, "{needle} ");
        }
        let _ = write!(text, "{} ", FILLER[(turn * (number + 1) + number) % FILLER.len()]);
    }
    text
}

fn collection(folder: &Path) {
    let line = |number: usize| {
        let text = long_text(number, NEEDLES[number].1, number);
        format!(
            "{}\n",
            json!({"_id": format!("d{number}"), "title": "Minutes", "text": text, "year": 1900 + number})
        )
    };
    std::fs::write(folder.join("minutes.jsonl"), (0..6).map(line).collect::<String>()).unwrap();
    let queries: String = NEEDLES.iter().zip(0..).map(|((query, _), n)| format!("d{n}\t{query}\n")).collect();
    std::fs::write(folder.join("questions.tsv"), queries).unwrap();
    std::fs::create_dir(folder.join("guides")).unwrap();
    let guide = "# Pumps\n\nA pump moves water.\n\n## Repair\n\nReplace the valve when the pump leaks.\n";
    std::fs::write(folder.join("guides/pumps.md"), guide).unwrap();
}

fn indexed(chunk: &[&str]) -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    collection(folder.path());
    let arguments = [&["index", "minutes.jsonl", "-o", "my.index", "--json"][..], chunk].concat();
    let made = plackett(folder.path(), &arguments).expect(0).json();
    (folder, made)
}

fn search(folder: &Path, flags: &[&str]) -> Done {
    plackett(folder, &[&["search", "my.index"][..], flags].concat())
}

fn ranking(done: &Done) -> Vec<Value> {
    done.json()["results"][0]["ranking"].as_array().unwrap().clone()
}

/// The share of queries, named after their documents, whose document is among the first so many of a run.
fn found(run: &str, first: usize, queries: usize) -> f64 {
    let mut ranks: HashMap<&str, usize> = HashMap::new();
    for line in run.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if fields[0] == fields[2] {
            ranks.insert(fields[0], fields[3].parse().unwrap());
        }
    }
    ranks.values().filter(|rank| **rank <= first).count() as f64 / queries as f64
}

#[test]
fn the_commands_of_the_page_run() {
    let folder = tempfile::tempdir().unwrap();
    collection(folder.path());
    let page = include_str!("../../../../docs/chunks.md");
    let block = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut outputs = Vec::new();
    for line in block.lines() {
        let (words, to) = words_of(line);
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        let done = plackett(folder.path(), &words).expect(0);
        if let Some(to) = to {
            std::fs::write(folder.path().join(to), &done.stdout).unwrap();
        }
        outputs.push(done.stdout + &done.stderr);
    }
    assert_eq!(outputs.len(), 6);
    assert!(outputs[0].contains("6 documents in"), "{}", outputs[0]);
    assert!(outputs[1].contains("3422") && outputs[1].contains("d1#"), "{}", outputs[1]);
    assert!(outputs[2].contains("d1#"), "{}", outputs[2]);
    assert!(outputs[5].contains("pumps.md#2") && outputs[5].contains("valve"), "{}", outputs[5]);
}

#[test]
fn a_needle_is_found_wherever_it_stands_in_a_long_text() {
    let run = |folder: &Path| {
        search(folder, &["--queries", "questions.tsv", "-p", "dense", "-k", "6"]).expect(0).stdout
    };
    let (folder, made) = indexed(&["--chunk", "sentences:3/1"]);
    assert_eq!(
        (made["documents"].as_u64(), &made["chunk"]),
        (Some(6), &json!("sentences(count=3, overlap=1)"))
    );
    assert!(made["passages"].as_u64().unwrap() > 100 && made["truncated"] == json!([]), "{made}");
    assert_eq!(found(&run(folder.path()), 1, 6), 1.0);
    // Of whole documents the vectors see the beginnings.
    let (whole, made) = indexed(&[]);
    assert_eq!((made["truncated"].as_array().unwrap().len(), &made["passages"]), (6, &Value::Null));
    assert!(found(&run(whole.path()), 1, 6) < 1.0);
}

#[test]
fn results_are_documents_with_their_best_passages() {
    let (folder, made) = indexed(&["--chunk", "80/20", "--no-vectors"]);
    let at = folder.path();
    let done = search(at, &["--json", "-k", "3", "tungsten minutes"]).expect(0);
    let results = ranking(&done);
    assert_eq!(results.len(), 3, "all have the title");
    assert_eq!(results[0]["id"], "d1");
    let line = std::fs::read_to_string(at.join("minutes.jsonl")).unwrap();
    let text = serde_json::from_str::<Value>(line.lines().nth(1).unwrap()).unwrap()["text"].clone();
    let source = |value: &Value| value[0].as_u64().unwrap() as usize..value[1].as_u64().unwrap() as usize;
    let passage = &text.as_str().unwrap()[source(&results[0]["passage"]["source"])];
    assert!(passage.contains("Tungsten melts"), "{passage}");
    let snippet = &text.as_str().unwrap()[source(&results[0]["snippet"]["source"])];
    assert!(snippet.contains("Tungsten"), "{snippet}");
    let facts = &done.json()["results"][0]["trace"]["facts"];
    assert_eq!(facts["group"], "document(score=max)");
    // The same passages, by themselves.
    let passages =
        ranking(&search(at, &["--json", "--group", "passage", "-k", "1000", "tungsten minutes"]).expect(0));
    assert_eq!(passages.len() as u64, made["passages"].as_u64().unwrap());
    assert_eq!((&passages[0]["id"], &passages[0]["document"]), (&results[0]["passage"]["id"], &json!("d1")));
    assert_eq!(passages[0]["score"], results[0]["score"]);
    let mean: f64 = {
        let own = passages.iter().filter(|passage| passage["document"] == "d1");
        let scores: Vec<f64> = own.map(|passage| passage["score"].as_f64().unwrap()).collect();
        scores.iter().sum::<f64>() / scores.len() as f64
    };
    let both = ranking(
        &search(at, &["--json", "--group", "document(score=max+mean)", "tungsten minutes"]).expect(0),
    );
    let expected = results[0]["score"].as_f64().unwrap() + mean;
    assert!((both[0]["score"].as_f64().unwrap() - expected).abs() < 1e-9, "{expected} {both:?}");
    // A run has documents, each once.
    let run = search(at, &["--queries", "questions.tsv", "-k", "6"]).expect(0).stdout;
    assert!(!run.contains('#'), "{run}");
    let text = search(at, &["tungsten"]).expect(0).stdout;
    assert!(
        text.contains("d1  Minutes") && text.contains(results[0]["passage"]["id"].as_str().unwrap()),
        "{text}"
    );
}

#[test]
fn rerankers_read_passages_and_an_index_stays_cut_as_it_is() {
    let (folder, _) = indexed(&["--chunk", "60/15"]);
    let at = folder.path();
    let reranked = [
        "--json",
        "-p",
        "bm25 >> bi-encoder",
        "-k",
        "2",
        "At what temperature does tungsten melt, by the minutes?",
    ];
    let done = search(at, &reranked).expect(0);
    let found = ranking(&done);
    assert_eq!((found.len(), &found[0]["id"]), (2, &json!("d1")));
    assert_eq!(done.json()["results"][0]["trace"]["truncated"], json!([]), "passages fit the model");
    // The same passages may be asked for again; documents go with all of theirs.
    std::fs::write(at.join("more.jsonl"), "{\"_id\": \"d1\", \"text\": \"short now\"}\n").unwrap();
    let more =
        ["index", "more.jsonl", "-o", "my.index", "--append", "--chunk", "60/15", "--delete", "d2", "--json"];
    let made = plackett(at, &more).expect(0).json();
    assert_eq!((&made["replaced"], &made["deleted"], &made["documents"]), (&json!(1), &json!(1), &json!(5)));
    let left = ranking(
        &search(at, &["--json", "-p", "bm25", "--group", "passage", "tungsten dogs short"]).expect(0),
    );
    assert_eq!((left.len(), &left[0]["id"]), (1, &json!("d1#1")), "{left:?}");
    let gone = ["index", "-o", "my.index", "--delete", "d0#1"];
    assert!(plackett(at, &gone).expect(0).stderr.contains("not in the index"), "a passage is no document");
    // Questions with sides are answered from passages.
    let ask = [
        "ask",
        "my.index",
        "submarines",
        "--aspect",
        "candles",
        "--ranker",
        "round-robin",
        "--no-answer",
        "--json",
    ];
    let asked = plackett(at, &ask).expect(0).json();
    assert!(asked["ranking"][0]["id"].as_str().unwrap().starts_with("d5#"), "{asked}");
}

/// The texts of a collection by their ids.
fn texts(file: &Path) -> HashMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap();
    let pair = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["_id"].as_str().unwrap().into(), record["text"].as_str().unwrap().into())
    };
    text.lines().map(pair).collect()
}

fn data(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let folder = std::env::var_os("PLACKETT_DATA").map_or_else(beside, PathBuf::from).join(name);
    if folder.exists() {
        return Some(folder);
    }
    println!("skipped: {name} is not there (set PLACKETT_DATA)");
    None
}

/// 200 texts of the beginnings of encyclopedia articles; in each, at another place, a sentence of an article about
/// something else.
#[test]
fn needles_in_two_hundred_real_texts_are_found() {
    let Some(wikiqa) = data("wikiqa") else { return };
    let folder = tempfile::tempdir().unwrap();
    let leads = candidates(&wikiqa, "train");
    let answers =
        candidates(&wikiqa, "test").into_iter().filter_map(|lead| lead.into_iter().find(|own| own.1));
    let (mut corpus, mut queries) = (String::new(), String::new());
    for (number, (needle, _)) in answers.take(200).enumerate() {
        let about = leads[number * 5..number * 5 + 5].iter().flatten();
        let mut sentences: Vec<&str> = about.map(|(text, _)| text.as_str()).collect();
        sentences.insert(sentences.len() * (number % 20) / 19, &needle);
        let _ = writeln!(corpus, "{}", json!({"_id": number.to_string(), "text": sentences.join(" ")}));
        let _ = writeln!(queries, "{number}\t{needle}");
    }
    std::fs::write(folder.path().join("texts.jsonl"), corpus).unwrap();
    std::fs::write(folder.path().join("q.tsv"), queries).unwrap();
    let share = |index: &str, chunk: &[&str]| {
        plackett(folder.path(), &[&["index", "texts.jsonl", "-o", index][..], chunk].concat()).expect(0);
        let search = ["search", index, "--queries", "q.tsv", "-p", "dense", "-k", "3"];
        found(&plackett(folder.path(), &search).expect(0).stdout, 3, 200)
    };
    let (chunked, whole) = (share("chunked", &["--chunk", "sentences:2/1"]), share("whole", &[]));
    println!("found among the first three: {chunked} of passages, {whole} of whole texts");
    assert!(chunked >= 0.95 && whole < 0.5, "{chunked} {whole}");
}

/// For each question of a split the sentences of one article's beginning, and whether each is an answer.
fn candidates(folder: &Path, split: &str) -> Vec<Vec<(String, bool)>> {
    let texts = texts(&folder.join("corpus.jsonl"));
    let qrels = std::fs::read_to_string(folder.join(format!("qrels/{split}.tsv"))).unwrap();
    let (mut last, mut of_queries) = ("", Vec::<Vec<(String, bool)>>::new());
    for line in qrels.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[0] != last {
            last = fields[0];
            of_queries.push(Vec::new());
        }
        of_queries.last_mut().unwrap().push((texts[fields[1]].clone(), fields[2] == "1"));
    }
    of_queries
}
