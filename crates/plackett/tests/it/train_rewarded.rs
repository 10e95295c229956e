//! `plackett train` with a table `[rewarded]`: a tiny decoder that is rewarded for the titles that it writes, and what is refused.

use crate::common::plackett;
use crate::train::{assert_documented, refused, save_decoder, train, weights, write};
use serde_json::json;
use std::path::Path;

/// A decoder of bytes, three items, two prompts with what came before, and what three people did.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    save_decoder(folder.path(), 64);
    let item = |item: &str, title: &str| format!("{}\n", json!({"item": item, "title": title, "year": 1999}));
    let items = [item("a", "Up"), item("b", "It"), item("c", "Heat")];
    write(folder.path(), "items.jsonl", &items.concat());
    let example = |prompt: &str, target: &str, history: &[&str]| {
        format!("{}\n", json!({"prompt": prompt, "target": target, "history": history}))
    };
    let [first, second] =
        [example("balloons\n", "Up (1999)\n", &["b"]), example("clown\n", "it (1999)", &["c", "a"])];
    write(folder.path(), "train.jsonl", &(first + &second));
    let events = ["u\ta\t1\t1", "u\tb\t1\t2", "v\tb\t1\t1", "v\tc\t1\t2", "w\tc\t1\t1", "w\ta\t1\t2\n"];
    write(folder.path(), "events.tsv", &events.join("\n"));
    folder
}

fn reward(folder: &Path, rewarded: &str) {
    let text = format!(
        "base = \"./base\"\nexamples = \"train.jsonl\"\nvalidation = \"train.jsonl\"\n[rewarded]\nitems = \"items.jsonl\"\n{rewarded}\n\
         [settings]\nsteps = 6\nbatch = 2\nrate = 5e-3\ncheckpoint = 2\n"
    );
    write(folder, "t.toml", &text);
}

#[test]
fn a_decoder_is_rewarded_for_titles_of_a_catalogue() {
    let folder = prepared();
    let folder = folder.path();
    reward(folder, "beams = 3");
    let done = train(folder, "out").expect(0).json();
    for (name, count) in [("steps", 6), ("prompts", 2), ("items", 3), ("resumed", 0)] {
        assert_eq!(done[name], count, "{name}: {done}");
    }
    // Three beams have all three titles.
    assert_eq!(done["misses"], 0.0);
    let ndcg = [0, 1].map(|at| done["ndcg"][at].as_f64().unwrap());
    assert!(ndcg.iter().all(|ndcg| (0.5 - 1e-9..=1.0).contains(ndcg)), "{done}");
    let rollouts = std::fs::read_to_string(folder.join("out/training/rollouts.jsonl")).unwrap();
    assert_eq!(rollouts.lines().count(), 6);
    let card = std::fs::read_to_string(folder.join("out/README.md")).unwrap();
    for piece in ["in 6 steps", "items.jsonl", "beams = 3"] {
        assert!(card.contains(piece), "{piece}: {card}");
    }
    let bytes = weights(folder, "out");
    let again = train(folder, "out").expect(0).json();
    // What has only gone on to its end tells what was missed before.
    assert_eq!((&again["resumed"], &again["misses"]), (&json!(6), &json!(0.0)));
    assert_eq!(weights(folder, "out"), bytes);
}

#[test]
fn evaluations_adapters_and_curves_of_a_rewarded_decoder_are_told() {
    let folder = prepared();
    let folder = folder.path();
    reward(folder, "beams = 2");
    let file = std::fs::read_to_string(folder.join("t.toml")).unwrap();
    let more = "evaluate = 2\n[trained]\nadapter = \"lora(rank=2)\"\nsave_adapter = true\n";
    write(folder, "t.toml", &format!("tokens = 1000\n{file}{more}"));
    let done = train(folder, "out").expect(0).json();
    assert_documented(&done);
    assert_eq!(done["evaluated"]["measure"], "validation nDCG@10");
    let [best, after] = [&done["evaluated"]["value"], &done["ndcg"][1]].map(|value| value.as_f64().unwrap());
    assert!((best - after).abs() < 1e-9, "{done}");
    assert!(done["adapter"].is_string() && done["warnings"].to_string().contains("tokens = 1000"), "{done}");
    let page = std::fs::read_to_string(folder.join("out/training.html")).unwrap();
    assert!(page.contains("Evaluations") && page.contains("prompts"), "{page}");
    let card = std::fs::read_to_string(folder.join("out/README.md")).unwrap();
    assert!(card.contains("The validation nDCG@10 was best after step"), "{card}");
    let said = plackett(folder, &["train", "t.toml", "-o", "out"]).expect(0).stdout;
    assert!(said.contains("was best after step") && said.contains("the adapter alone"), "{said}");
    let bounded = ["train", "t.toml", "-o", "out", "--memory-budget", "1kB"];
    assert!(plackett(folder, &bounded).expect(2).stderr.contains("--memory-budget: a training does not"));
}

#[test]
fn texts_and_a_recommender_reward_too() {
    let folder = prepared();
    let folder = folder.path();
    plackett(folder, &["recommend", "fit", "events.tsv", "-o", "scorer", "--recommender", "ease"]).expect(0);
    for (name, rewarded) in [
        ("semantic", "beams = 2\nreward = \"semantic\""),
        ("collaborative", "beams = 2\nreward = \"collaborative\"\nscorer = \"scorer\"\nkl = 0"),
    ] {
        reward(folder, rewarded);
        let done = train(folder, name).expect(0).json();
        assert!(done["reward"][0].is_number() && done["without_advantage"].is_number(), "{name}: {done}");
    }
}

#[cfg(unix)]
#[test]
fn a_training_file_may_come_from_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    for (text, piece) in [
        ("base = \"b\"\nexamples = \"\"\n", "line 2: examples: nothing is written"),
        ("base = \"b\"\nexamples = \"e\"\n[rewarded]\nitems = \"i\"\nreward = \"best\"\n", "`best` is none"),
    ] {
        let line = ["train", "/dev/stdin", "-o", "out"];
        let said = crate::common::plackett_with_input(folder.path(), &line, text).expect(2);
        assert!(said.stderr.contains(piece), "{}", said.stderr);
    }
}

#[test]
fn titles_and_items_that_are_not_there_are_refused() {
    let folder = prepared();
    let folder = folder.path();
    reward(folder, "beams = 9");
    let said = refused(folder, "out");
    assert!(said.contains("beams = 9: the items have 3 different titles"), "{said}");
    plackett(folder, &["recommend", "fit", "events.tsv", "-o", "scorer", "--recommender", "ease"]).expect(0);
    reward(folder, "beams = 2\nreward = \"collaborative\"\nscorer = \"scorer\"");
    let line = |target: &str, history: &[&str]| json!({"prompt": "x", "target": target, "history": history});
    write(folder, "train.jsonl", &format!("{}\n", line("Up (1999)", &["z"])));
    assert!(refused(folder, "other").contains("its catalogue lacks the item `z`"));
    write(folder, "train.jsonl", &format!("{}\n", line("Up (1999)", &[])));
    assert!(refused(folder, "other").contains("no example has a `history`"));
    // A history has an order, and no times.
    let timed = "hstu(epochs=1, batch=2, width=8, max-length=6, negatives=2)";
    plackett(folder, &["recommend", "fit", "events.tsv", "-o", "timed", "--recommender", timed]).expect(0);
    reward(folder, "beams = 2\nreward = \"collaborative\"\nscorer = \"timed\"");
    assert!(refused(folder, "other").contains("scorer timed: hstu reads times"));
    write(folder, "train.jsonl", &format!("{}\n", line("Dune (2021)", &["a"])));
    let said = refused(folder, "other");
    assert!(said.contains("line 1: `target`: \"Dune (2021)\" is the title of no item"), "{said}");
}
