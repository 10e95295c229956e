//! `plackett recipe`, from the outside.

use crate::common::{Done, command, plackett};
use ::plackett::recipe::{RecipeStore, Results, State};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A recipe over the bundled collection: BM25, and late interaction over the first five candidates of twelve queries.
const SMALL: &str = r#"
title = "A small one"

[stage.papers]
kind = "data"
collection = "papers"
queries = 12

[stage.index]
kind = "index"
data = "papers"
vectors = false

[stage.bm25]
kind = "retrieve"
index = "index"
pipeline = "bm25:20"

[stage.reranked]
kind = "rank"
candidates = "bm25"
pipeline = "late-interaction"
depth = 5
words = 40

[stage.quality]
kind = "evaluate"
data = "papers"
runs = ["bm25", "reranked"]
measures = ["nDCG@10", "RR@10"]

[stage.cost]
kind = "cost"
runs = ["reranked"]

[stage.likeness]
kind = "agreement"
base = "bm25"
runs = ["reranked"]
top = 5

[claim.reads]
text = "Five candidates and the query are read once each."
kind = "within"
of = "cost/reranked/passes"
at_most = 6
main = true

[claim.later]
text = "A trained one is better."
waiting = "training"
"#;

fn check(folder: &Path, more: &[&str]) -> Done {
    plackett(folder, &[&["recipe", "check", "./small.toml", "--cache", "cache", "--json"], more].concat())
}

/// What a run measured, without the seconds, which no two runs have in common.
fn numbers(document: &Value) -> Value {
    let stages = document["stages"].as_array().unwrap().iter().map(|stage| {
        let mut numbers = stage["numbers"].clone();
        numbers.as_object_mut().unwrap().retain(|name, _| !name.ends_with("seconds"));
        (stage["name"].as_str().unwrap().to_string(), numbers)
    });
    stages.collect::<serde_json::Map<_, _>>().into()
}

fn fresh(document: &Value) -> Vec<&str> {
    let stages = document["stages"].as_array().unwrap().iter();
    stages.filter(|stage| stage["cached"] == false).map(|stage| stage["name"].as_str().unwrap()).collect()
}

#[test]
fn a_second_run_is_from_the_cache_and_a_changed_line_runs_what_depends_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(folder.path().join("small.toml"), text).unwrap();
    write(SMALL);
    let begun = Instant::now();
    let first = check(folder.path(), &[]).expect(0).json();
    let first_time = begun.elapsed();
    assert_eq!(first["recipe"], "small");
    assert_eq!(first["scale"], "quick");
    let claims = first["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(
        (&claims[0]["id"], &claims[0]["main"], &claims[0]["held"]),
        (&"reads".into(), &true.into(), &true.into())
    );
    assert_eq!(claims[0]["numbers"]["n"], 12);
    assert_eq!(first["waiting"][0]["waiting"], "training");
    assert_eq!(fresh(&first).len(), 7);
    let begun = Instant::now();
    let second = check(folder.path(), &[]).expect(0).json();
    assert!(
        begun.elapsed() < first_time / 2 + Duration::from_secs(1),
        "{:?} after {first_time:?}",
        begun.elapsed()
    );
    assert_eq!(fresh(&second), Vec::<&str>::new());
    assert_eq!(numbers(&first), numbers(&second));
    write(&SMALL.replace("\"RR@10\"", "\"R@5\""));
    assert_eq!(fresh(&check(folder.path(), &[]).expect(0).json()), ["quality"]);
    write(&SMALL.replace("words = 40", "words = 30"));
    assert_eq!(
        fresh(&check(folder.path(), &[]).expect(0).json()),
        ["reranked", "quality", "cost", "likeness"]
    );
}

#[test]
fn killed_at_ten_moments_and_gone_on_with_it_gives_the_same_numbers() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&whole, &cut] {
        std::fs::write(folder.path().join("small.toml"), SMALL).unwrap();
    }
    let begun = Instant::now();
    let expected = numbers(&check(whole.path(), &[]).expect(0).json());
    let time = begun.elapsed();
    let mut killed = 0;
    for moment in 1..=10 {
        let arguments = ["recipe", "check", "./small.toml", "--cache", "cache", "--json"];
        let mut child = command(cut.path(), &arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the time of a whole run in an order that is not that of the clock.
        std::thread::sleep(time.mul_f64(f64::from(moment * 7 % 10 + 1) / 14.0));
        killed += i32::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(killed > 0, "no run was killed");
    let done = check(cut.path(), &[]).expect(0).json();
    // What queries share is read once a run: costs depend on where it was interrupted, results do not.
    let results = |numbers: &Value| {
        let mut numbers = numbers.clone();
        numbers.as_object_mut().unwrap().remove("cost");
        numbers
    };
    assert_eq!(results(&numbers(&done)), results(&expected));
}

#[test]
fn a_claim_that_is_expected_and_fails_ends_with_1_and_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let text = "title = \"t\"\n[stage.s]\nkind = \"simulate\"\nsimulation = \"windows\"\nschedule = \"full\"\nseeds = 3\n\
                [claim.no]\ntext = \"two calls\"\nkind = \"equal\"\nof = \"s/windows\"\nvalue = 2\n";
    std::fs::write(folder.path().join("small.toml"), text).unwrap();
    let done = check(folder.path(), &[]).expect(1);
    let document = done.json();
    assert_eq!(
        (&document["claims"][0]["held"], &document["status"]),
        (&false.into(), &"check failed".into())
    );
    assert_eq!(document["claims"][0]["numbers"]["mean"], 1.0);
    assert!(done.stderr.contains("small: no"), "{}", done.stderr);
    // Running is no check: it shows the claim as failed and has done what it was asked.
    let run =
        plackett(folder.path(), &["recipe", "run", "./small.toml", "--cache", "cache", "--report", "r.html"])
            .expect(0);
    assert!(run.stdout.contains("FAILED"), "{}", run.stdout);
    let page = std::fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert!(
        page.contains("two calls") && page.contains("<svg") && !page.contains("http://")
            || page.contains("www.w3.org"),
        "{page}"
    );
    std::fs::write(folder.path().join("small.toml"), format!("{text}expected = false\n")).unwrap();
    assert_eq!(check(folder.path(), &[]).expect(0).json()["claims"][0]["held"], false);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = SMALL.replace(
        "pipeline = \"late-interaction\"",
        "pipeline = \"cross-encoder\"\nmodel = \"no/such-model\"",
    );
    std::fs::write(folder.path().join("small.toml"), text).unwrap();
    let arguments = ["recipe", "run", "./small.toml", "--dry-run", "--cache", "cache", "--json"];
    let plan = plackett(folder.path(), &arguments).expect(0).json();
    let stages = plan["plan"].as_array().unwrap();
    assert_eq!(stages.len(), 7);
    let stage = |name: &str| stages.iter().find(|stage| stage["stage"] == name).unwrap();
    assert_eq!(stage("bm25")["cached"], false);
    assert_eq!(stage("reranked")["cached"], Value::Null);
    assert!(plan["missing"][0].as_str().unwrap().contains("no/such-model"), "{plan}");
    assert!(!folder.path().join("cache/retrieve").exists());
}

#[test]
fn the_list_names_every_system_and_says_which_have_no_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let list = plackett(folder.path(), &["recipe", "list", "--json"]).expect(0).json();
    let recipes = list["recipes"].as_array().unwrap();
    let entry = |name: &str| {
        recipes.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    };
    assert!(recipes.iter().filter(|entry| !entry["paper"].is_null()).count() >= 48);
    assert!(!entry("prp")["claims"].as_array().unwrap().is_empty());
    assert!(entry("prp")["paper"].as_str().unwrap().contains("Pairwise Ranking Prompting"));
    let without: Vec<&str> = recipes
        .iter()
        .filter(|entry| entry["claims"].as_array().is_some_and(Vec::is_empty))
        .filter_map(|entry| entry["name"].as_str())
        .collect();
    let text = plackett(folder.path(), &["recipe", "list"]).expect(0).stdout;
    assert_eq!(text.contains("no recipe yet"), !without.is_empty(), "{text}");
    assert!(without.iter().all(|name| text.contains(name)), "{without:?}: {text}");
}

#[test]
fn a_new_recipe_runs_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let made = plackett(folder.path(), &["recipe", "new", "mine"]).expect(0);
    assert_eq!(made.stdout.trim(), "mine.toml");
    assert!(made.stderr.contains("`plackett recipe check ./mine.toml`"), "{}", made.stderr);
    let done =
        plackett(folder.path(), &["recipe", "check", "mine.toml", "--cache", "cache", "--record", "--json"])
            .expect(0)
            .json();
    assert_eq!(done["claims"].as_array().unwrap().len(), 2);
    let results = std::fs::read_to_string(folder.path().join("results/mine.toml")).unwrap();
    assert!(results.contains("state = \"held\""), "{results}");
    let again = plackett(folder.path(), &["recipe", "new", "mine"]).expect(2);
    assert!(again.stderr.contains("exists"), "{}", again.stderr);
    let system = plackett(folder.path(), &["recipe", "new", "hstu", "-o", "h.toml"]).expect(0);
    assert_eq!(system.code, 0);
    assert!(std::fs::read_to_string(folder.path().join("h.toml")).unwrap().contains("system = \"hstu\""));
}

#[test]
fn pages_that_are_made_are_those_in_docs() {
    let pages = [
        ("docs/papers.md", ["recipe", "list", "--markdown"]),
        ("docs/recipe-kinds.md", ["recipe", "kinds", "--markdown"]),
    ];
    for (file, arguments) in pages {
        let page = plackett(&root(), &arguments).expect(0).stdout;
        let path = root().join(file);
        if std::env::var_os("PLACKETT_BLESS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == page,
            "{file} is not what `plackett {}` prints; run this test with PLACKETT_BLESS=1",
            arguments.join(" ")
        );
    }
}

#[test]
fn the_worked_example_of_the_documentation_does_what_it_says() {
    let page = std::fs::read_to_string(root().join("docs/add-a-recipe.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 2, "the page shows a recipe and an addition to it");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("two-stages.toml"), blocks[0]).unwrap();
    let run = |more: &[&str]| {
        plackett(
            folder.path(),
            &[&["recipe", "check", "./two-stages.toml", "--cache", "cache"], more].concat(),
        )
    };
    let first = run(&["--json"]).expect(0).json();
    let states: Vec<String> = first["claims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| format!("{}: {}", claim["id"], claim["held"]))
        .collect();
    assert!(states.iter().all(|state| state.ends_with("true")), "{states:?}");
    std::fs::write(folder.path().join("two-stages.toml"), blocks.concat()).unwrap();
    let second = run(&["--json"]).expect(0).json();
    assert!(second["claims"].as_array().unwrap().len() > states.len());
    // The page says which stages the addition runs.
    let said = page.split("runs only ").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
    for name in fresh(&second) {
        assert!(said.contains(&format!("`{name}`")), "{name} ran again; the page says {said}");
    }
}

/// The folder of collections that tests may read, where it holds this one.
fn collections_with(name: &str) -> Option<PathBuf> {
    let beside = || root().join("../shared/data");
    let folder = std::env::var_os("PLACKETT_DATA").map_or_else(beside, PathBuf::from);
    if folder.join(name).exists() {
        return Some(folder);
    }
    println!("skipped: {name} is not there (set PLACKETT_DATA)");
    None
}

/// Checks a recipe of the repository anew and holds it to its record.
fn what_was_held_is_held(recipe: &str, collection: &str) {
    let Some(data) = collections_with(collection) else { return };
    let store = RecipeStore { folder: Some(root().join("recipes")) };
    let recorded = Results::read(&store, recipe).unwrap().expect("the recipe has a record");
    let cache = tempfile::tempdir().unwrap();
    let output = command(&root(), &["recipe", "check", recipe, "--dir", "recipes", "--json", "--cache"])
        .arg(cache.path())
        .env("PLACKETT_DATA", data.canonicalize().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let document = Done::from(output).expect(0).json();
    let claims = document["claims"].as_array().unwrap();
    let held: Vec<_> = recorded.claims.iter().filter(|claim| claim.state == State::Held).collect();
    assert!(!held.is_empty(), "the record of {recipe} has no claim that held");
    for claim in held {
        let now = claims.iter().find(|now| now["id"] == claim.id.as_str());
        let now = now.unwrap_or_else(|| panic!("{recipe} no longer has the claim {}", claim.id));
        assert_eq!(now["held"], true, "{recipe}: {}: {now}, recorded: {}", claim.id, claim.numbers);
    }
}

// Recipes that take seconds and no model: that the others still hold is seen when they are recorded.

#[test]
fn claims_of_prp_that_were_held_are_held() {
    what_was_held_is_held("prp", "noveleval");
}

#[test]
fn claims_of_genai_arena_that_were_held_are_held() {
    what_was_held_is_held("genai-arena", "votes-llmfao");
}

#[test]
fn claims_of_mental_retrieval_that_were_held_are_held() {
    what_was_held_is_held("genir-mental", "digits");
}
