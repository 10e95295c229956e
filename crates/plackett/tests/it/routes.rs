//! `plackett route`.

use crate::common::plackett;
use std::fmt::Write;

#[test]
fn a_route_learns_which_arm_answers_which_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let new = [
        "route",
        "new",
        "r.route",
        "--arm",
        "cook",
        "--arm",
        "code",
        "--policy",
        "rff-ucb(eta=0.1)",
        "--offline",
    ];
    plackett(at, &new).expect(0);
    let prompts = [("a recipe for apple cake", "cook"), ("sort a list in Python", "code")];
    for round in 0..3 {
        for (prompt, best) in prompts {
            for arm in ["cook", "code"] {
                let reward = if arm == best { "1" } else { "0" };
                let line =
                    ["route", "reward", "r.route", "--arm", arm, "--reward", reward, "--offline", prompt];
                let done = plackett(at, &line).expect(0);
                assert!(done.stdout.contains("rewards"), "{round}: {}", done.stdout);
            }
        }
    }
    let choose =
        |prompt: &str| plackett(at, &["route", "choose", "r.route", "--offline", prompt]).expect(0).stdout;
    assert_eq!(choose("a recipe for plum cake"), "cook\n");
    assert_eq!(choose("reverse a list in Python"), "code\n");
    // A new arm is asked first; a torn last line is said and cut off.
    plackett(at, &["route", "add", "r.route", "large"]).expect(0);
    let text = std::fs::read_to_string(at.join("r.route")).unwrap();
    std::fs::write(at.join("r.route"), format!("{text}{{\"rew")).unwrap();
    let done = plackett(at, &["route", "choose", "r.route", "--offline", "cake"]).expect(0);
    assert_eq!(done.stdout, "large\n");
    assert!(done.stderr.contains("does not count"), "{}", done.stderr);
    plackett(at, &["route", "remove", "r.route", "large"]).expect(0);
    let status = plackett(at, &["route", "status", "r.route", "--json"]).expect(0).json();
    assert_eq!((&status["rounds"], &status["arms"][0]["rewards"]), (&12.into(), &6.into()));
    let done = plackett(at, &["route", "new", "r.route", "--arm", "a", "--dimension", "2"]).expect(2);
    assert!(done.stderr.contains("is there already"), "{}", done.stderr);
}

#[test]
fn policies_are_compared_on_known_rewards() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut text = String::new();
    for nth in 0..120 {
        let (x, y, a, b) = if nth % 2 == 0 { (1.0, 0.1, 0.8, 0.2) } else { (0.1, 1.0, 0.2, 0.8) };
        let _ = writeln!(text, "{{\"context\": [{x}, {y}], \"rewards\": {{\"a\": [{a}, {a}], \"b\": {b}}}}}");
    }
    std::fs::write(at.join("rewards.jsonl"), text).unwrap();
    let line = [
        "route",
        "replay",
        "rewards.jsonl",
        "-p",
        "rff-ucb(eta=0.5)",
        "-p",
        "greedy",
        "--seeds",
        "5",
        "--json",
    ];
    let value = plackett(at, &line).expect(0).json();
    let beyond = |nth: usize| value["policies"][nth]["outscores_best"]["mean"].as_f64().unwrap();
    assert!(beyond(0) > 0.2 && beyond(1) < 0.1, "{value}");
    assert_eq!(value["policies"][0]["policy"], "rff-ucb(eta=0.5)");
    let done = plackett(at, &["route", "replay", "rewards.jsonl", "--seeds", "2"]).expect(0);
    assert!(done.stdout.contains("120 prompts, 2 arms"), "{}", done.stdout);
    assert!(done.stdout.contains("± is half of a 95 % interval over orders"), "{}", done.stdout);
    let [low, high] = [0, 1].map(|end| value["policies"][0]["outscores_best"]["ci95"][end].as_f64().unwrap());
    assert!(low <= beyond(0) && beyond(0) <= high, "{value}");
    let log = "{\"reward\": 1, \"propensity\": 0.5, \"target\": 1}\n{\"reward\": 0, \"propensity\": 0.5, \"target\": 0}\n";
    std::fs::write(at.join("log.jsonl"), log).unwrap();
    let value = plackett(at, &["route", "estimate", "log.jsonl", "--json"]).expect(0).json();
    assert_eq!(value["estimates"]["inverse_propensity"]["value"], 1.0);
    assert!(plackett(at, &["route", "show", "pak-ucb"]).expect(0).stdout.contains("eta"));
}
