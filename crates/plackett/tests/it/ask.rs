//! `plackett ask` from the outside: with aspects that are given, with a server that answers from a script, and with the real
//! SmolLM2 where it can be had.

use crate::common::{Done, plackett, plackett_with_input};
use crate::remote::mock::{Answer, Mock, Seen};
use serde_json::{Value, json};
use std::path::Path;

/// Two passages about origins, one about styles, one about sales, one about something else, and one without a word.
const DOCUMENTS: [(&str, &str, &str); 6] = [
    ("bronx", "Origins", "Rap began in the Bronx in 1973, at parties of DJ Kool Herc."),
    ("party", "", "The first rap parties in the Bronx had a DJ who played breaks of the drums."),
    ("trap", "Styles", "Trap and drill are two styles of rap music; trap has slow drums."),
    ("sales", "Sales", "Sales of rap music grew until it was the most sold kind of music in 2017."),
    ("cake", "Baking", "Apple cake with cinnamon."),
    ("empty", "", "…"),
];

fn indexed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = DOCUMENTS
        .iter()
        .map(|(id, title, text)| format!("{}\n", json!({"_id": id, "title": title, "text": text})))
        .collect();
    std::fs::write(folder.path().join("corpus.jsonl"), lines).unwrap();
    plackett(folder.path(), &["index", "corpus.jsonl", "-o", "rap.index", "--no-vectors"]).expect(0);
    folder
}

fn ask(folder: &Path, arguments: &[&str]) -> Done {
    plackett(folder, &[&["ask", "rap.index"], arguments].concat())
}

fn ids(document: &Value) -> Vec<&str> {
    document["ranking"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

fn warnings(document: &Value) -> String {
    document["warnings"].to_string()
}

#[test]
fn passages_alone_need_no_model() {
    let folder = indexed();
    let given =
        ["Tell me about rap", "--aspect", "styles trap drill", "--aspect", "sales", "--no-answer", "--json"];
    let with = |more: &[&str]| ask(folder.path(), &[&given[..], more].concat()).expect(0).json();
    let document = with(&["--ranker", "round-robin", "-k", "2"]);
    // The best of each side in turn.
    assert_eq!(ids(&document), ["trap", "sales"]);
    assert_eq!((&document["command"], &document["ranker"]), (&json!("ask"), &json!("round-robin")));
    assert_eq!((&document["answer"], &document["model"]), (&Value::Null, &Value::Null));
    assert_eq!(document["aspects"][0]["text"], "styles trap drill");
    assert_eq!(document["candidates"], 4);
    let found_by = document["ranking"][0]["found_by"].as_array().unwrap();
    assert!(found_by.contains(&json!({"search": 1, "rank": 1})), "{found_by:?}");
    assert_eq!(document["trace"]["search"]["facts"]["searches"], "3");
    // Each ranker gives a list of different passages, in text for people too.
    for ranker in ["retriever", "round-robin", "mmr", "silver"] {
        let document = with(&["--ranker", ranker]);
        let mut listed = ids(&document);
        listed.sort_unstable();
        assert_eq!(listed, ["bronx", "party", "sales", "trap"], "{ranker}");
        assert!(warnings(&document).contains("10 passages are asked for, and 4 were found"), "{ranker}");
        assert_eq!(warnings(&document).contains("no upper bound"), ranker == "silver");
        let text = ask(folder.path(), &["rap", "--aspect", "sales", "--no-answer", "--ranker", ranker])
            .expect(0)
            .stdout;
        assert!(text.contains("Aspects") && text.contains("aspect 1") && !text.contains("Answer"), "{text}");
    }
}

#[test]
fn known_answers_make_the_upper_bound() {
    let folder = indexed();
    let aspects = "{\"aspect\": \"How does it sell?\", \"answer\": \"the most sold kind of music in 2017\"}\n\
                   {\"aspect\": \"Where did it begin?\", \"answer\": \"in the Bronx in 1973\"}\n";
    let arguments = [
        "ask",
        "rap.index",
        "rap",
        "--aspects",
        "-",
        "--ranker",
        "silver",
        "-k",
        "2",
        "--no-answer",
        "--json",
    ];
    let document = plackett_with_input(folder.path(), &arguments, aspects).expect(0).json();
    // Each answer is whole in one passage; the first covers all of its aspect, the second what is left.
    let mut listed = ids(&document);
    listed.sort_unstable();
    assert_eq!(listed, ["bronx", "sales"]);
    assert!(!warnings(&document).contains("upper bound"), "{}", warnings(&document));
    assert_eq!(document["trace"]["ranking"]["facts"]["aspects with a known answer"], "2 of 2");
}

#[test]
fn a_list_is_measured_by_the_passages_that_are_known_to_answer() {
    let folder = indexed();
    let aspects = "{\"aspect\": \"origins Bronx parties\", \"answered_by\": [\"bronx\", \"party\"]}\n\
                   {\"aspect\": \"sales\", \"answered_by\": [\"sales\"]}\nstyles trap drill\n";
    std::fs::write(folder.path().join("sides.jsonl"), aspects).unwrap();
    let given = ["rap", "--aspects", "sides.jsonl", "--no-answer", "--ranker", "round-robin", "-k", "2"];
    let document = ask(folder.path(), &[&given[..], &["--json"]].concat()).expect(0).json();
    // The best of the first two sides: one of the Bronx, then that of sales, which no list of two can beat.
    assert_eq!(ids(&document)[1], "sales");
    assert_eq!(document["coverage"], json!({"k": 2, "aspects": 2, "alpha_nDCG": 1.0, "StRecall": 1.0}));
    let text = ask(folder.path(), &given).expect(0).stdout;
    assert!(text.contains("Coverage of 2 of 3 aspects") && text.contains("alpha-nDCG@2 1.000"), "{text}");
    // Half of the sides in a list of one, of which none is better.
    let first = ask(folder.path(), &[&given[..6], &["-k", "1", "--json"]].concat()).expect(0).json();
    assert_eq!(first["coverage"], json!({"k": 1, "aspects": 2, "alpha_nDCG": 1.0, "StRecall": 0.5}));
    let unknown = ask(folder.path(), &["rap", "--aspect", "sales", "--no-answer", "--ranker", "retriever"]);
    assert!(!unknown.expect(0).stdout.contains("Coverage"));
    std::fs::write(folder.path().join("sides.jsonl"), aspects.replace("\"party\"", "\"gone\"")).unwrap();
    let refused = ask(folder.path(), &given).expect(2).stderr;
    assert!(refused.contains("`origins Bronx parties` is answered_by `gone`, which the index"), "{refused}");
}

#[test]
fn passages_of_documents_are_named_by_their_own_ids() {
    let folder = tempfile::tempdir().unwrap();
    let (id, title, text) = DOCUMENTS[3];
    let line = json!({"_id": id, "title": title, "text": text}).to_string();
    std::fs::write(folder.path().join("corpus.jsonl"), line).unwrap();
    let chunked = ["index", "corpus.jsonl", "-o", "cut.index", "--no-vectors", "--chunk", "8/0"];
    plackett(folder.path(), &chunked).expect(0);
    let of = |id: &str| {
        let aspect = json!({"aspect": "sales", "answered_by": [id]}).to_string();
        let tail = ["--aspect", &aspect, "--no-answer", "--ranker", "retriever", "--json"];
        plackett(folder.path(), &[&["ask", "cut.index", "rap music"], &tail[..]].concat())
    };
    assert_eq!(of("sales#1").expect(0).json()["coverage"]["StRecall"], 1.0);
    let refused = of("sales").expect(2).json()["errors"].to_string();
    assert!(refused.contains("cut into passages") && refused.contains("`sales#1`"), "{refused}");
}

/// Aspects, then a list, then an answer with a citation of nothing.
fn scripted(_: usize, seen: &Seen) -> Answer {
    let prompt = seen.body["messages"].to_string();
    let content = match () {
        () if prompt.contains("Put the") => "[2] > [1] > [2]",
        () if prompt.contains("Given Information") => "It began in the Bronx [1]. It sells well [9].",
        () => "Sides:\n1. Where did rap begin?\n2. How does rap sell?\n",
    };
    let choice = json!({"message": {"role": "assistant", "content": content}, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3});
    Answer::ok(json!({"choices": [choice], "usage": usage}).to_string())
}

#[test]
fn a_server_finds_aspects_lists_passages_and_answers() {
    let folder = indexed();
    let server = Mock::start(scripted);
    let model = format!("remote:{}/v1/chat/completions#m", server.url);
    let arguments = ["Tell me about rap", "--model", &model, "-k", "2", "--trace", "calls.jsonl", "--json"];
    let document = ask(folder.path(), &arguments).expect(0).json();
    let aspects: Vec<&str> = document["aspects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|aspect| aspect["text"].as_str().unwrap())
        .collect();
    assert_eq!(aspects, ["Where did rap begin?", "How does rap sell?"]);
    assert_eq!(ids(&document).len(), 2);
    assert_eq!(document["answer"]["text"], "It began in the Bronx [1]. It sells well.");
    assert_eq!(document["answer"]["citations"], json!([{"source": 1, "id": ids(&document)[0]}]));
    assert_eq!(document["answer"]["dropped"], json!(["[9]"]));
    for said in [
        "aspects: 1 line was dropped",
        "cannot be held to a list of passages",
        "the model's list was repaired",
        "passages that are not there were taken out of the answer: [9]",
    ] {
        assert!(warnings(&document).contains(said), "{said}: {}", warnings(&document));
    }
    assert_eq!(server.count(), 3);
    let calls = std::fs::read_to_string(folder.path().join("calls.jsonl")).unwrap();
    let methods: Vec<Value> =
        calls.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["method"].clone()).collect();
    assert_eq!(methods, ["ask-aspects", "listwise", "ask-answer"]);
    let text = ask(folder.path(), &["Tell me about rap", "--model", &model, "-k", "2"]).expect(0);
    assert!(text.stdout.contains("Answer\nIt began in the Bronx [1]."), "{}", text.stdout);
    assert!(text.stderr.contains("note: "), "{}", text.stderr);
}

#[test]
fn a_server_that_fails_is_exit_code_3() {
    let folder = indexed();
    let server = Mock::start(|_, _| Answer::status(400, "{\"error\": {\"message\": \"no such model\"}}"));
    let model = format!("remote:{}/v1/chat/completions#m", server.url);
    let failed = ask(folder.path(), &["Tell me about rap", "--model", &model, "--json"]).expect(3).json();
    assert_eq!((&failed["status"], &failed["exit_code"]), (&json!("error"), &json!(3)));
    assert!(failed["errors"].to_string().contains("no such model"), "{failed}");
}

#[test]
fn a_dead_server_of_a_reranker_is_exit_code_3() {
    let folder = indexed();
    let at = folder.path();
    let request = json!({"query": "rap", "candidates": ["rap music", "cake"]});
    std::fs::write(at.join("r.jsonl"), format!("{request}\n{request}\n")).unwrap();
    std::fs::write(at.join("q.tsv"), "q1\trap\nq2\tcake\n").unwrap();
    // Nobody listens there.
    let dead = "cross-encoder(model=\"remote:http://127.0.0.1:9/rerank#attempts=1\")";
    let pipeline = format!("bm25:3 >> {dead}");
    let search = ["search", "rap.index", "--pipeline", &pipeline, "--json"];
    let given = ["--no-aspects", "--no-answer", "--ranker", "retriever", "--pipeline", &pipeline];
    for line in [
        [&search[..], &["rap"]].concat(),
        [&search[..], &["--queries", "q.tsv"]].concat(),
        [&["ask", "rap.index", "rap"], &given[..], &["--json"]].concat(),
        vec!["rerank", "--method", dead, "r.jsonl", "--json"],
        vec!["rerank", "--method", dead, "r.jsonl", "--json", "--strict"],
    ] {
        let failed = plackett(at, &line).expect(3).json();
        assert_eq!(failed["exit_code"], 3, "{line:?}");
        assert!(failed["errors"].to_string().contains("127.0.0.1:9"), "{line:?}: {failed}");
    }
    let qrels = "q1 0 a 1\n";
    std::fs::write(at.join("qrels"), qrels).unwrap();
    let methods = format!("input-order,{dead}");
    let compare = ["rerank", "--compare", "--qrels", "qrels", "--methods", &methods, "--strict", "one.jsonl"];
    let one = json!({"query": {"qid": "q1", "text": "rap"}, "candidates": [{"docid": "a", "text": "rap"}]});
    std::fs::write(at.join("one.jsonl"), one.to_string()).unwrap();
    let failed = plackett(at, &compare).expect(3);
    assert!(failed.stderr.contains("127.0.0.1:9"), "{}", failed.stderr);
}

#[test]
fn more_passages_than_there_are_cost_no_memory() {
    let folder = indexed();
    let server = Mock::start(scripted);
    let model = format!("remote:{}/v1/chat/completions#m", server.url);
    let arguments = ["Tell me about rap", "--model", &model, "-k", "4000000000", "--no-answer", "--json"];
    let document = ask(folder.path(), &arguments).expect(0).json();
    assert_eq!(ids(&document).len(), 4, "{document}");
    assert!(warnings(&document).contains("4000000000 passages are asked for, and 4 were found"));
}

#[test]
fn nothing_found_is_no_answer_and_said() {
    let folder = indexed();
    let server = Mock::start(scripted);
    let model = format!("remote:{}/v1/chat/completions#m", server.url);
    let arguments = ["zebras", "--no-aspects", "--model", &model, "--json"];
    let document = ask(folder.path(), &arguments).expect(0).json();
    assert_eq!((&document["answer"], &document["ranking"]), (&Value::Null, &json!([])));
    assert!(warnings(&document).contains("no passage was found"), "{}", warnings(&document));
    assert_eq!(server.count(), 0, "there is nothing to list or to answer from");
    let text = ask(folder.path(), &["zebras", "--no-aspects", "--no-answer", "--ranker", "mmr"]).expect(0);
    assert!(text.stdout.contains("nothing found"), "{}", text.stdout);
}

#[test]
fn what_cannot_be_asked_is_refused_before_any_work() {
    let folder = indexed();
    std::fs::write(folder.path().join("none.txt"), "\n \n").unwrap();
    std::fs::write(folder.path().join("bad.txt"), "one\n{\"aspekt\": 1}\n").unwrap();
    std::fs::write(folder.path().join("bad.toml"), "suffix = \"{quary}\"\n").unwrap();
    let tests = |path: &str| format!("{}/../plackett-lm/tests/{path}", env!("CARGO_MANIFEST_DIR"));
    let encoder = tests("parity/bert");
    let cases: &[(&[&str], &[&str])] = &[
        (&[" "], &["the question is empty"]),
        (&["q", "--aspects", "none.txt"], &["--aspects none.txt", "there is no aspect"]),
        (&["q", "--aspects", "bad.txt"], &["bad.txt", "line 2", "aspekt"]),
        (&["q", "--aspects", "gone.txt"], &["gone.txt", "there is no such file"]),
        (&["q", "--aspect", "a", "--aspect", ""], &["--aspect", "empty"]),
        (&["q", "--aspect", "a", "--aspect", "A"], &["stands twice"]),
        (&["q", "--aspect", "a", "--max-aspects", "3"], &["--max-aspects", "--aspect"]),
        (&["q", "--ranker", "mrm"], &["--ranker mrm", "did you mean `mmr`?", "round-robin"]),
        (&["q", "--lambda", "0.3"], &["--lambda has no effect", "--ranker list"]),
        (&["q", "--ranker", "mmr", "--lambda", "2"], &["--lambda 2", "from 0"]),
        (&["q", "-k", "0"], &["-k", "0"]),
        (&["q", "--no-answer", "--max-tokens", "3"], &["--max-tokens", "--no-answer"]),
        (&["q", "--model", &encoder], &["reads no prompts"]),
        (&["q", "--model", "smolm2"], &["did you mean `SmolLM2-135M-Instruct`?"]),
        (
            &["q", "--no-aspects", "--no-answer", "--ranker", "mmr", "--model", &encoder],
            &["--model", "leave it out"],
        ),
        (
            &["q", "--no-aspects", "--no-answer", "--ranker", "mmr", "--trace", "t"],
            &["--trace", "leave it out"],
        ),
        (
            &["q", "--no-aspects", "--no-answer", "--ranker", "mmr", "--long-text", "truncate"],
            &["--long-text", "`bm25` has no reranker", "leave the flag out"],
        ),
        (
            &["q", "--no-aspects", "--no-answer", "--ranker", "mmr", "--trace", "no/such/t"],
            &["--trace", "no/such/t"],
        ),
        (&["q", "--max-line-bytes", "1MiB"], &["--max-line-bytes", "this command reads no documents"]),
        (
            &["q", "--long-text", "chunk-max", "--model", "remote:http://127.0.0.1:1/v1/chat/completions"],
            &["truncate or refuse"],
        ),
        (
            &["q", "--aspect-prompt", "bad.toml", "--model", "remote:http://127.0.0.1:1/v1/chat/completions"],
            &["bad.toml, line 1", "{quary}", "did you mean {query}?"],
        ),
    ];
    for (arguments, parts) in cases {
        let failed = ask(folder.path(), arguments).expect(2);
        for part in *parts {
            assert!(failed.stderr.contains(part), "{arguments:?}: {part} is not in {}", failed.stderr);
        }
    }
    // A file that is read is not written over, and none is emptied by a command that is refused.
    let aspects = std::fs::read_to_string(folder.path().join("bad.txt")).unwrap();
    std::fs::write(folder.path().join("good.txt"), "one\n").unwrap();
    let server = "remote:http://127.0.0.1:1/v1/chat/completions";
    let failed =
        ask(folder.path(), &["q", "--aspects", "good.txt", "--trace", "good.txt", "--model", server])
            .expect(2);
    let said = "--trace good.txt: is read by this command (--aspects good.txt)";
    assert!(failed.stderr.contains(said), "{}", failed.stderr);
    std::fs::copy(folder.path().join("bad.toml"), folder.path().join("prompt.toml")).unwrap();
    let index = std::fs::read(folder.path().join("rap.index/plackett-index.json")).unwrap();
    for (trace, more) in [
        ("rap.index/plackett-index.json", &[][..]),
        ("rap.index/../rap.index/plackett-index.json", &[]),
        ("prompt.toml", &["--aspect-prompt", "prompt.toml"]),
        ("prompt.toml", &["--answer-prompt", "prompt.toml"]),
        ("prompt.toml", &["--aspects", "prompt.toml"]),
        ("prompt.toml", &["--pipeline", "bm25:3 >> yes-no(prompt=prompt.toml)"]),
    ] {
        let line = [&["q", "--trace", trace, "--model", server], more].concat();
        let failed = ask(folder.path(), &line).expect(2);
        let refused = failed.stderr.contains("would be overwritten") || more.first() == Some(&"--pipeline");
        assert!(refused, "{trace} {more:?}: {}", failed.stderr);
    }
    assert_eq!(std::fs::read(folder.path().join("rap.index/plackett-index.json")).unwrap(), index);
    assert_eq!(
        std::fs::read(folder.path().join("prompt.toml")).unwrap(),
        std::fs::read(folder.path().join("bad.toml")).unwrap()
    );
    ask(folder.path(), &["q", "--pipeline", "bm52", "--trace", "bad.txt", "--model", server]).expect(2);
    assert_eq!(std::fs::read_to_string(folder.path().join("bad.txt")).unwrap(), aspects);
    let failed = plackett(folder.path(), &["ask", "no.index", "q"]).expect(2);
    assert!(failed.stderr.contains("there is no index"), "{}", failed.stderr);
}

#[test]
fn the_real_smollm2_answers_with_citations_that_point_at_passages() {
    let folder = indexed();
    let pulled = plackett(folder.path(), &["model", "pull", "SmolLM2-135M-Instruct"]);
    if pulled.code != 0 {
        println!("skipped: {}", pulled.stderr);
        return;
    }
    let arguments = ["Tell me about rap", "--max-aspects", "3", "-k", "3", "--max-tokens", "40", "--json"];
    let document = ask(folder.path(), &arguments).expect(0).json();
    assert!(document["model"].as_str().unwrap().starts_with("SmolLM2-135M-Instruct"), "{document}");
    let (listed, answer) = (ids(&document), &document["answer"]);
    assert_eq!(listed.len(), 3, "{document}");
    assert!(!answer["text"].as_str().unwrap().is_empty(), "{document}");
    assert_eq!(answer["sources"], json!(listed));
    for citation in answer["citations"].as_array().unwrap() {
        let source = citation["source"].as_u64().unwrap() as usize;
        assert_eq!(citation["id"], listed[source - 1]);
    }
    // The model can be held to a list, so that nothing of it was repaired.
    assert_eq!(document["trace"]["ranking"]["status"], "ranked");
    let again = ask(folder.path(), &arguments).expect(0).json();
    assert_eq!(again["answer"], document["answer"], "the same question, the same answer");
}
