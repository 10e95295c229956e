//! `plackett arena`.

use crate::common::{plackett, plackett_with_input};
use std::fmt::Write;

/// Three models; `best` wins most, each voter votes ten times.
fn votes() -> String {
    let mut text = String::new();
    for voter in 0..12 {
        for (a, b, winner) in [
            ("best", "good", "model_a"),
            ("good", "best", "model_b"),
            ("best", "good", if voter % 3 == 0 { "model_b" } else { "tie" }),
            ("good", "bad", "model_a"),
            ("bad", "good", if voter % 2 == 0 { "model_a" } else { "tie (bothbad)" }),
            ("best", "bad", "model_a"),
        ] {
            let task = if voter < 6 { "code" } else { "prose" };
            let _ = writeln!(
                text,
                "{{\"model_a\": \"{a}\", \"model_b\": \"{b}\", \"winner\": \"{winner}\", \"judge\": {voter}, \"task\": \"{task}\"}}"
            );
        }
    }
    text
}

#[test]
fn votes_become_a_board_a_table_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("votes.jsonl"), votes()).unwrap();
    let line = ["arena", "fit", "votes.jsonl", "--by-category", "--page", "board.html", "--csv", "board.csv"];
    let done = plackett(at, &line).expect(0);
    assert!(done.stdout.contains("72 votes on 3 models") && done.stdout.contains("prose"), "{}", done.stdout);
    let page = std::fs::read_to_string(at.join("board.html")).unwrap();
    assert!(page.contains("<details><summary>code (3 models)"));
    assert!(!page.contains("http"), "the page loads nothing");
    let csv = std::fs::read_to_string(at.join("board.csv")).unwrap();
    assert!(csv.lines().nth(1).unwrap().starts_with("1,best,"), "{csv}");
    let value = plackett(at, &["arena", "fit", "votes.jsonl", "--json"]).expect(0).json();
    let rows = value["board"]["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["model"].as_str().unwrap()).collect();
    assert_eq!(names, ["best", "good", "bad"]);
    let mean = rows.iter().map(|row| row["rating"].as_f64().unwrap()).sum::<f64>() / 3.0;
    assert!((mean - 1000.0).abs() < 1e-6);
    assert_eq!(value["account"]["both_bad"], 6);
    // The same numbers from drawing again with the same seed, and a wider interval by voter.
    let width = |flags: &[&str]| {
        let line = [&["arena", "fit", "votes.jsonl", "--json"], flags].concat();
        let row = plackett(at, &line).expect(0).json()["board"]["rows"][0].clone();
        row["upper"].as_f64().unwrap() - row["lower"].as_f64().unwrap()
    };
    assert_eq!(width(&["--bootstrap", "50"]), width(&["--bootstrap", "50", "--threads", "1"]));
    assert_ne!(width(&["--by-voter"]), width(&[]));
    let few = plackett(at, &["arena", "fit", "votes.jsonl", "--repeats", "1", "--ban", "0", "--json"])
        .expect(0)
        .json();
    assert_eq!(few["votes"], 33);
    assert!(few["warnings"].to_string().contains("left out: 6 votes of banned voters"), "{few}");
    for unknown in [["--ban", "nobody"], ["--exclude", "nothing"]] {
        let line = [&["arena", "fit", "votes.jsonl", "--ban", "1"][..], &unknown].concat();
        assert!(plackett(at, &line).expect(2).stderr.contains("no vote has this name"));
    }
    // Files are put in the order of time together; one vote tells nobody apart.
    let vote = |a: &str, time: u32| {
        format!("{{\"a\": \"{a}\", \"b\": \"y\", \"winner\": \"a\", \"tstamp\": {time}}}\n")
    };
    std::fs::write(at.join("late.jsonl"), vote("x", 2)).unwrap();
    std::fs::write(at.join("early.jsonl"), vote("z", 1)).unwrap();
    let elo = |files: [&str; 2]| {
        let line = [&["arena", "fit", "--elo-k", "100", "--json"][..], &files].concat();
        let value = plackett(at, &line).expect(0).json();
        assert!(
            value["warnings"].to_string().contains("3 of the models have fewer than 10 votes"),
            "{value}"
        );
        let rows = value["board"]["rows"].as_array().unwrap();
        assert!(rows.iter().all(|row| row["votes_to_next"].is_null()));
        rows.iter()
            .map(|row| (row["model"].to_string(), row["elo"].to_string()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(elo(["late.jsonl", "early.jsonl"]), elo(["early.jsonl", "late.jsonl"]));
    let anchored =
        plackett(at, &["arena", "fit", "votes.jsonl", "--anchor", "bad=800", "--json"]).expect(0).json();
    assert_eq!(anchored["board"]["rows"][2]["rating"], 800.0);
}

#[test]
fn judges_and_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let answers =
        "{\"answer\": \"[[A>B]]\", \"label\": \"leftvote\"}\n{\"answer\": \"?\", \"label\": \"tievote\"}\n";
    let done =
        plackett_with_input(folder.path(), &["arena", "judge", "-", "--json"], answers).expect(0).json();
    assert_eq!(done["agreement"]["accuracy"], 0.5);
    assert!(done["agreement"]["accuracy_ci95"][1].as_f64() > Some(0.5), "{done}");
    assert!(done["warnings"].to_string().contains("1 answers have no label"));
    let models =
        "{\"model\": \"x\", \"weight\": 5}\n{\"model\": \"y\"}\n{\"model\": \"out\", \"weight\": 0}\n";
    let draw = |seed: &str| {
        plackett_with_input(folder.path(), &["arena", "pairs", "-", "-n", "20", "--seed", seed], models)
            .expect(0)
            .stdout
    };
    assert_eq!(draw("1"), draw("1"));
    assert_ne!(draw("1"), draw("2"));
    assert!(draw("1").lines().all(|line| ["x\ty", "y\tx"].contains(&line)));
}
