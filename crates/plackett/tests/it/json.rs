//! `--json` prints one object with the same frame for every command, however the command ends.

use crate::common::{plackett, plackett_with_input};
use serde_json::{Value, json};
use std::path::Path;

fn prepared(folder: &Path) {
    let written = "{\"question\": \"why?\", \"human_answers\": [\"so\"], \"model_answers\": [\"because\"]}\n";
    std::fs::write(folder.join("written.jsonl"), written.repeat(4)).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write(
        "corpus.jsonl",
        "{\"_id\": \"a\", \"text\": \"apple cake\", \"year\": 2024}\n{\"_id\": \"b\", \"text\": \"volcano\"}\n",
    );
    write("q.tsv", "1\tapple\n2\tvolcano\n");
    write("both.tsv", "1\tapple volcano\n");
    write("qrels", "1 0 a 1\n2 0 b 1\n");
    write("one.run", "1 Q0 a 1 2 t\n1 Q0 b 2 1 t\n2 Q0 b 1 1 t\n");
    write("two.run", "1 Q0 b 1 2 t\n1 Q0 a 2 1 t\n2 Q0 b 1 1 t\n");
    write(
        "requests.jsonl",
        "{\"query\": \"x\", \"candidates\": [{\"docid\": \"d\", \"text\": \"y\"}]}\n{\"query\": 3}\n",
    );
    write(
        "lists.jsonl",
        "{\"query\": \"x\", \"candidates\": [{\"text\": \"y\", \"label\": 0}, {\"text\": \"x\", \"label\": 1}]}\n",
    );
    write("votes.jsonl", "{\"model_a\": \"x\", \"model_b\": \"y\", \"winner\": \"model_a\"}\n");
    write("answers.jsonl", "{\"answer\": \"[[A>B]]\", \"label\": \"leftvote\"}\n");
    write("models.jsonl", "{\"model\": \"x\"}\n{\"model\": \"y\"}\n");
    write("log.jsonl", "{\"reward\": 1, \"propensity\": 0.5, \"target\": 1}\n");
    write("rewards.jsonl", "{\"context\": [1, 0], \"rewards\": {\"a\": 1, \"b\": [0, 0.5]}}\n");
    write(
        "talks.jsonl",
        "{\"conversation\": \"a film in space\", \"teacher\": [\"Moon (2009)\"], \"wanted\": [\"Alien (1979)\"]}\n",
    );
    write(
        "films.jsonl",
        "{\"item\": \"1\", \"title\": \"Alien\", \"year\": 1979}\n{\"item\": \"2\", \"title\": \"Heat\", \"year\": 1995}\n",
    );
    write("events.tsv", "u\ta\t1\t1\nu\tb\t1\t2\nv\tb\t1\t1\nv\tc\t1\t2\n");
    write("told.txt", "u a b a b\n");
    write("clicks.tsv", "query\tdocid\trank\tclicked\n1\ta\t1\t1\n1\tb\t2\t0\n");
    write("graded", "1 0 a 1\n1 0 b 0\n");
    plackett(folder, &["index", "corpus.jsonl", "-o", "my.index", "--no-vectors"]).expect(0);
}

/// Each line, the exit code, and the fields between the frame's.
const LINES: &[(&str, i32, &[&str])] = &[
    ("index corpus.jsonl -o other.index --no-vectors", 0, &["documents"]),
    ("search my.index apple", 0, &["results"]),
    ("search my.index --queries q.tsv", 0, &["results"]),
    ("search no.index apple", 2, &[]),
    ("get my.index a", 0, &["documents", "missing"]),
    ("get my.index a z", 1, &["documents", "missing"]),
    ("get my.index --filter exists(year)", 0, &["documents", "missing", "passed"]),
    ("get my.index --fields", 0, &["fields"]),
    ("get no.index a", 2, &[]),
    (
        "ask my.index apple --aspect cake --ranker silver --no-answer",
        0,
        &["answer", "aspects", "candidates", "coverage", "question", "ranker", "ranking", "trace"],
    ),
    ("ask my.index apple --ranker gold", 2, &[]),
    ("rerank --method bi-encoder --offline requests.jsonl", 1, &["results"]),
    ("rerank --method bi-encoder --offline --strict requests.jsonl", 2, &["results"]),
    ("embed --offline some words", 0, &["dim", "embeddings", "model", "truncated"]),
    ("eval qrels one.run", 0, &["policy", "runs"]),
    ("eval --list-measures", 0, &["measures"]),
    ("eval qrels no.run", 2, &[]),
    ("eval qrels one.run --markdown", 2, &[]),
    ("eval qrels one.run --no-such-flag", 2, &[]),
    ("compare qrels one.run two.run", 0, &["comparison", "policy", "runs"]),
    ("model list", 0, &["cache", "models"]),
    ("model show all-MiniLM-L6-v2-int8 --offline", 0, &["name", "kind"]),
    ("model path all-MiniLM-L6-v2-int8 --offline", 0, &["name", "path"]),
    ("model show no-such-model --offline", 2, &[]),
    ("arena fit votes.jsonl", 0, &["account", "board", "categories", "csv", "page", "votes"]),
    ("arena fit no.votes", 2, &[]),
    ("arena judge answers.jsonl", 0, &["agreement"]),
    ("arena pairs models.jsonl", 0, &["pairs"]),
    ("route list", 0, &["policies"]),
    ("route show pak-ucb", 0, &["policy"]),
    ("route new r.route --arm a --dimension 2", 0, &["arms", "dimension", "model", "policy", "route"]),
    ("route choose r.route --context 1,0", 0, &["arm", "arms", "first_time"]),
    ("route reward r.route --arm a --reward 1 --context 1,0", 0, &["arms", "policy", "rounds", "route"]),
    ("route status r.route", 0, &["arms", "policy", "rounds", "route"]),
    ("route estimate log.jsonl", 0, &["choices", "estimates"]),
    ("route replay rewards.jsonl --seeds 2", 0, &["arms", "best_arm", "policies", "prompts", "seeds"]),
    (
        "ids build corpus.jsonl --scheme keywords -o my.ids",
        0,
        &["catalogue", "made_with", "memory", "resumed", "scheme", "sha256", "statistics"],
    ),
    ("ids show my.ids", 0, &["made_with", "scheme", "sha256", "statistics"]),
    ("ids show my.ids --item a", 0, &["items"]),
    ("ids check my.ids", 0, &["checks", "scheme", "sha256"]),
    ("ids check corpus.jsonl", 2, &[]),
    (
        "ids prompts my.ids --histories told.txt -o learn.jsonl --test test.jsonl",
        0,
        &["examples", "prompts", "templates", "test", "tested"],
    ),
    ("ids schemes", 0, &["schemes"]),
    (
        "ids learn my.index -o my.docids --steps 2 --width 8 --layers 1",
        0,
        &[
            "documents",
            "known_by_heart",
            "loss",
            "output",
            "parameters",
            "paths",
            "resumed",
            "scheme",
            "seconds",
            "texts",
        ],
    ),
    (
        "ids update my.index --model my.docids -o newer.docids",
        0,
        &[
            "added",
            "documents",
            "known_added",
            "known_after",
            "known_before",
            "output",
            "removed",
            "seconds",
            "texts",
        ],
    ),
    ("ids update my.index --model no.docids -o newer.docids", 2, &[]),
    (
        "ids tune my.index --model my.docids -o t --queries both.tsv --qrels qrels --negatives random",
        0,
        &[
            "accuracy",
            "first_loss",
            "hits",
            "loss",
            "margin",
            "measured_on",
            "missing",
            "output",
            "queries",
            "resumed",
            "seconds",
            "steps",
            "triples",
        ],
    ),
    ("choose flow --candidates answers.jsonl --by overlap", 0, &["by", "chosen", "drawn", "rounds"]),
    ("synth answers written.jsonl -o made", 0, &["collections", "output", "parts", "questions"]),
    ("synth queries no.index -o asked", 2, &[]),
    ("synth reasoning lists.jsonl -o r.jsonl", 0, &["by", "left_out", "lists", "output", "written"]),
    (
        "synth lists talks.jsonl --items films.jsonl --count 2 -o lists.jsonl",
        0,
        &[
            "exact", "fitted", "graded", "grades", "items", "kept", "listed", "lists", "output", "titles",
            "unread",
        ],
    ),
    (
        "synth negatives my.index --queries both.tsv --qrels qrels --ranks 1-2 -o negatives.jsonl",
        0,
        &[
            "absent",
            "left_out",
            "negatives",
            "output",
            "positives",
            "queries",
            "short",
            "suspected",
            "written",
        ],
    ),
    (
        "synth labels requests.jsonl --method bi-encoder --offline -o labels.jsonl",
        1,
        &[
            "agreement",
            "cost",
            "disagreed",
            "equal",
            "failed",
            "lists",
            "lost",
            "output",
            "repaired",
            "resumed",
            "unlabelled",
            "written",
        ],
    ),
    (
        "synth clicks clicks.tsv --qrels graded -o clicked.jsonl",
        0,
        &[
            "clicks",
            "documents",
            "graded",
            "grades",
            "held_out",
            "impressions",
            "left_out",
            "output",
            "parted",
            "queries",
            "rules",
            "sessions",
            "timed",
        ],
    ),
    ("recommend list", 0, &["recommenders"]),
    ("recommend show ease", 0, &["recommender"]),
    ("recommend fit events.tsv -o m", 0, &["events", "items", "output", "recommender", "seconds", "users"]),
    ("recommend m --user u", 0, &["items", "recommender"]),
    ("recommend eval events.tsv", 0, &["recommenders", "tested"]),
    ("doctor --offline", 0, &["bad", "findings"]),
    ("completions fish", 0, &["script", "shell"]),
    ("man -o pages", 0, &["output", "pages"]),
];

#[test]
fn every_command_has_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    prepared(folder.path());
    for (line, code, fields) in LINES {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.push("--json");
        let done = plackett(folder.path(), &arguments).expect(*code);
        let document = done.json();
        let names: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names[..2], ["schema_version", "command"], "{line}");
        assert_eq!(names[names.len() - 4..], ["status", "exit_code", "warnings", "errors"], "{line}");
        for field in *fields {
            assert!(names.contains(field), "{line} lacks {field}: {names:?}");
        }
        assert!(!fields.is_empty() || names.len() == 6, "{line}: {names:?}");
        assert_eq!(document["schema_version"], 1);
        let usage_error = line.contains("--no-such-flag");
        let command = document["command"].as_str().unwrap();
        assert!(line.starts_with(command) && command.is_empty() == usage_error, "{line}: {command}");
        assert_eq!(document["exit_code"], *code, "{line}");
        assert_eq!(document["status"], ["ok", "check failed", "error"][usize::try_from(*code).unwrap()]);
        let errors = document["errors"].as_array().unwrap();
        assert_eq!(errors.is_empty(), *code == 0, "{line}: {errors:?}");
        for error in errors {
            assert!(
                done.stderr.contains(error.as_str().unwrap()),
                "{line}: {error} is not on standard error"
            );
        }
    }
}

/// The fields that docs/json.md names for a command; those of the commands it refers to as well.
fn documented(page: &str, command: &str) -> String {
    let marked = format!("`{command}`");
    let row = page.lines().find(|line| line.split('|').nth(1).is_some_and(|cell| cell.contains(&marked)));
    let row = row.unwrap_or_else(|| panic!("docs/json.md has no row of {command}"));
    if row.contains("as `eval`") { format!("{row}{}", documented(page, "eval")) } else { row.to_string() }
}

#[test]
fn the_page_names_every_field() {
    let folder = tempfile::tempdir().unwrap();
    prepared(folder.path());
    let page = include_str!("../../../../docs/json.md");
    for (line, code, _) in LINES.iter().filter(|(_, code, _)| *code < 2) {
        let arguments: Vec<&str> = line.split(' ').chain(["--json"]).collect();
        let document = plackett(folder.path(), &arguments).expect(*code).json();
        let row = documented(page, document["command"].as_str().unwrap());
        let names: Vec<&String> = document.as_object().unwrap().keys().collect();
        for name in &names[2..names.len() - 4] {
            assert!(
                row.contains(&format!("`{name}`")),
                "docs/json.md does not say what {name} of `{line}` is"
            );
        }
    }
}

#[test]
fn failed_parts_and_warnings_are_in_the_document() {
    let folder = tempfile::tempdir().unwrap();
    prepared(folder.path());
    let rerank = ["--json", "rerank", "--method", "bi-encoder", "--offline", "requests.jsonl"];
    let document = plackett(folder.path(), &rerank).expect(1).json();
    assert_eq!(document["results"].as_array().unwrap().len(), 1);
    let errors = document["errors"].as_array().unwrap();
    assert!(errors[0].as_str().unwrap().contains("line 2"), "{errors:?}");
    assert!(errors[1].as_str().unwrap().contains("1 of 2 requests"), "{errors:?}");
    let embed = ["embed", "--offline", "--json", "some words", " "];
    let document = plackett(folder.path(), &embed).expect(0).json();
    let warnings = document["warnings"].as_array().unwrap();
    assert!(warnings.len() == 1 && warnings[0].as_str().unwrap().contains("text 2"), "{warnings:?}");
}

#[test]
fn a_bare_list_is_had_without_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    prepared(folder.path());
    let search = ["search", "my.index", "--format", "json", "-"];
    let found = plackett_with_input(folder.path(), &search, "apple\nvolcano\n").expect(0).json();
    let ids: Vec<&Value> = found.as_array().unwrap().iter().map(|r| &r["ranking"][0]["id"]).collect();
    assert_eq!(ids, [&json!("a"), &json!("b")]);
    let both =
        plackett(folder.path(), &["--json", "search", "my.index", "--format", "trec", "apple"]).expect(2);
    assert!(both.stderr.contains("--json and --format"), "{}", both.stderr);
}
