//! `plackett recommend`, and the commands of docs/recommendation.md.

use crate::common::{kill_when, plackett, plackett_with_input};
use std::fmt::Write;
use std::path::Path;

/// People buy tea, then milk, then a cup; or ink, then paper, then a pen.
fn prepare(folder: &Path) {
    let mut text = String::from("user\titem\trating\ttimestamp\n");
    for user in 0..12 {
        let items =
            if user % 2 == 0 { ["tea", "milk", "cup", "spoon"] } else { ["ink", "paper", "pen", "desk"] };
        let name = if user == 0 { "ann".to_string() } else { format!("u{user}") };
        for (at, item) in items.iter().enumerate().take(if user == 0 { 3 } else { 4 }) {
            let _ = writeln!(text, "{name}\t{item}\t5\t{at}");
        }
    }
    std::fs::write(folder.join("interactions.tsv"), text).unwrap();
    let titles =
        "{\"item\":\"spoon\",\"title\":\"A silver spoon\"}\n{\"item\":\"cup\",\"title\":\"A cup\"}\n";
    std::fs::write(folder.join("items.jsonl"), titles).unwrap();
}

#[test]
fn the_commands_of_the_page_run() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let page = include_str!("../../../../docs/recommendation.md");
    let block = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let outputs: Vec<String> = block
        .lines()
        .map(|line| {
            let words: Vec<String> =
                line.split(' ').skip(1).map(|word| word.trim_matches('\'').to_string()).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            plackett(folder.path(), &words).expect(0).stdout
        })
        .collect();
    assert_eq!(outputs.len(), 4);
    // Eleven users want the spoon or the desk, which are the last item of everybody who has one; ann wants the cup.
    assert!(outputs[0].contains("cold (11 users)") && outputs[0].contains("warm (1 user)"), "{}", outputs[0]);
    assert!(outputs[0].contains("nDCG@10") && outputs[0].contains("item-knn"), "{}", outputs[0]);
    // A recommender of this name, and the column.
    assert!(outputs[0].contains("MRR@10") && outputs[0].matches("popularity").count() == 2, "{}", outputs[0]);
    assert!(outputs[1].contains("47 events of 12 users with 8 items"), "{}", outputs[1]);
    assert!(outputs[2].contains("A silver spoon"), "{}", outputs[2]);
    assert!(outputs[3].contains("because of"), "{}", outputs[3]);
}

#[test]
fn a_trained_model_comes_back_and_seen_items_stay_out() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let recommender = "hstu(epochs=40, batch=4, width=8, max-length=6, dropout=0, rate=0.02, negatives=8)";
    let fit = [
        "recommend",
        "fit",
        "interactions.tsv",
        "-o",
        "m",
        "--recommender",
        recommender,
        "--titles",
        "items.jsonl",
    ];
    let done = plackett(folder.path(), &fit).expect(0);
    assert!(done.stderr.contains("6 of 8 items have no title"), "{}", done.stderr);
    let found = plackett(folder.path(), &["recommend", "m", "--user", "ann", "-k", "1", "--why", "--json"])
        .expect(0)
        .json();
    assert_eq!(found["items"][0]["title"], "A silver spoon");
    let seen =
        plackett(folder.path(), &["recommend", "m", "--history", "tea,milk", "-k", "8", "--json"]).expect(0);
    let items = seen.json()["items"].as_array().unwrap().len();
    assert_eq!(items, 6);
    assert!(seen.stderr.contains("only 6 items"), "{}", seen.stderr);
    // The recommender's own scores, also among candidates.
    let ask = |more: &[&str]| {
        let line = ["recommend", "m", "--history", "tea", "--include-seen", "--json"];
        plackett(folder.path(), &[&line[..], more].concat()).expect(0)
    };
    let all = ask(&["-k", "8"]).json();
    let some = ask(&["--candidates", "cup,milk,tea"]);
    let kept: Vec<&serde_json::Value> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| ["cup", "milk", "tea"].contains(&item["item"].as_str().unwrap()))
        .collect();
    let ranked = some.json();
    for (own, kept) in ranked["items"].as_array().unwrap().iter().zip(&kept) {
        assert_eq!((&own["item"], &own["score"]), (&kept["item"], &kept["score"]));
    }
    assert_eq!(kept.len(), 3);
    assert!(!some.stderr.contains("only 3 items"), "{}", some.stderr);
    // The newest event of ann has the time 2.
    for (now, is_before) in [("1", true), ("2", false)] {
        let asked = plackett(folder.path(), &["recommend", "m", "--user", "ann", "--now", now]).expect(0);
        assert_eq!(asked.stderr.contains("is before the newest event"), is_before, "{}", asked.stderr);
    }
}

#[test]
fn sessions_are_written_from_a_folder_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let recommender = "onerec(session=2, levels=1, codes=8, width=16, blocks=1, heads=2, inner=16, experts=4, steps=200, batch=8, dropout=0, rate=0.01)";
    let fit = |output: &str| {
        let fit = ["recommend", "fit", "interactions.tsv", "--titles", "items.jsonl", "--recommender"];
        plackett(folder.path(), &[&fit[..], &[recommender, "-o", output]].concat()).expect(0);
    };
    fit("m");
    fit("again");
    for name in ["model.safetensors", "recommender.json"] {
        let read = |model: &str| std::fs::read(folder.path().join(model).join(name)).unwrap();
        assert!(read("m") == read("again"), "{name}");
    }
    let ask = |more: &[&str]| plackett(folder.path(), &[&["recommend", "m", "--json"], more].concat());
    let found = ask(&["--user", "ann", "-k", "1", "--why"]).expect(0).json();
    assert_eq!(found["items"][0]["title"], "A silver spoon");
    // The first item of the session.
    assert_eq!(found["items"][0]["score"], 2.0);
    let all = ask(&["--history", "tea,milk", "-k", "8", "--include-seen"]).expect(0).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 8);
    let prices =
        "{\"item\":\"spoon\",\"price\":2}\n{\"item\":\"pen\",\"price\":4}\n{\"item\":\"cup\",\"price\":5}\n";
    std::fs::write(folder.path().join("prices.jsonl"), prices).unwrap();
    let dear = ["--user", "ann", "--filter", "price > 3", "--items", "prices.jsonl"];
    let passing = ask(&dear).expect(0).json();
    let items: Vec<&str> =
        passing["items"].as_array().unwrap().iter().map(|item| item["item"].as_str().unwrap()).collect();
    assert_eq!(items, ["pen"], "ann had the cup");
    let timed = ask(&["--user", "ann", "--now", "3"]).expect(2).stderr;
    assert!(timed.contains("--now: onerec reads no times"), "{timed}");
    let eval = ["recommend", "eval", "interactions.tsv", "--json", "-r", recommender];
    let report = ["--report", "page.html"];
    let measured = plackett(folder.path(), &[&eval[..], &report[..]].concat()).expect(0).json();
    assert_eq!(measured["tested"], 12);
    let codes = &measured["recommenders"][0]["codes"];
    let first = &codes["levels"][0];
    let (used, most) = (first["used"].as_u64().unwrap(), first["codes"].as_f64().unwrap().log2());
    assert!((2..=8).contains(&used), "eight items: {codes}");
    assert!((0.0..=most).contains(&first["entropy"].as_f64().unwrap()), "{codes}");
    assert!(codes["colliding"].as_u64().is_some_and(|items| items != 1), "nobody collides alone: {codes}");
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("Codes of the items") && page.contains("items that share all codes"), "{page}");
    let experts = measured["recommenders"][0]["experts"].as_array().unwrap();
    let loads: Vec<u64> = experts[0].as_array().unwrap().iter().map(|load| load.as_u64().unwrap()).collect();
    assert_eq!((experts.len(), loads.len()), (1, 4), "one layer of four experts: {experts:?}");
    let total: u64 = loads.iter().sum();
    assert!(total > 0 && total.is_multiple_of(2), "two experts for each token: {loads:?}");
    assert!(page.contains("<h2>Experts</h2>") && page.contains("experts in use"), "{page}");
    assert!(measured["recommenders"][0]["coverage"].as_f64().unwrap() > 0.0, "{measured}");
}

#[test]
fn identifiers_of_what_was_done_together_are_written_from_a_folder_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let small =
        "epochs=80, width=16, blocks=1, heads=2, batch=8, max-history=4, dropout=0, decay=0, rate=0.01";
    let fit = |ids: &str, output: &str| {
        let recommender = format!("p5({ids}, {small})");
        let fit = ["recommend", "fit", "interactions.tsv", "--titles", "items.jsonl", "-o", output, "-r"];
        plackett(folder.path(), &[&fit[..], &[recommender.as_str()]].concat()).expect(0);
    };
    for ids in ["ids=collaborative, clusters=2, most=4, last=item", "ids=sequential"] {
        fit(ids, "m");
        fit(ids, "again");
        for name in ["model.safetensors", "recommender.json"] {
            let read = |model: &str| std::fs::read(folder.path().join(model).join(name)).unwrap();
            assert!(read("m") == read("again"), "{name} of {ids}");
        }
        let ask = |more: &[&str]| {
            let done = plackett(folder.path(), &[&["recommend", "m", "--json"], more].concat()).expect(0);
            done.json()["items"].as_array().unwrap().clone()
        };
        let found = ask(&["--user", "ann", "-k", "1", "--why"]);
        assert_eq!(found[0]["title"], "A silver spoon", "{ids}");
        assert!(found[0]["score"].as_f64() < Some(0.0), "the logarithm of a probability: {}", found[0]);
        assert_eq!(ask(&["--history", "tea,milk", "-k", "8", "--include-seen"]).len(), 8);
        let ranked = ask(&["--user", "ann", "--candidates", "desk,spoon,pen,tea"]);
        let names: Vec<&str> = ranked.iter().map(|item| item["item"].as_str().unwrap()).collect();
        assert_eq!((names.len(), names[0]), (3, "spoon"), "ann had the tea: {names:?}");
        let scores: Vec<f64> = ranked.iter().map(|item| item["score"].as_f64().unwrap()).collect();
        assert!(scores[0] > scores[1] && scores[1] > scores[2], "no last place is shared: {scores:?}");
    }
    let eval =
        ["recommend", "eval", "interactions.tsv", "--json", "-r", "p5(ids=random, epochs=2, width=16)"];
    let measured = plackett(folder.path(), &eval).expect(0).json();
    let codes = &measured["recommenders"][0]["codes"];
    assert_eq!(codes["levels"].as_array().unwrap().len(), 4, "four digits of a number: {codes}");
    assert_eq!(codes["colliding"], 0, "{codes}");
    let wrong = ["recommend", "fit", "interactions.tsv", "-o", "new", "-r", "p5(ids=random, clusters=4)"];
    let error = plackett(folder.path(), &wrong).expect(2).stderr;
    assert!(error.contains("make no use of `clusters`") && !folder.path().join("new").exists(), "{error}");
}

#[test]
fn what_is_rewarded_among_its_own_beams_is_fitted_to_the_same_bytes_and_asked() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let fit = |output: &str, options: &str| {
        let recommender = format!("minionerec(epochs=4, width=16, blocks=1, heads=2, batch=8, {options})");
        let fit = ["recommend", "fit", "interactions.tsv", "--titles", "items.jsonl", "-o", output, "-r"];
        plackett(folder.path(), &[&fit[..], &[recommender.as_str()]].concat())
    };
    for output in ["m", "again"] {
        fit(output, "rewarded-steps=3, group=4").expect(0);
    }
    for name in ["model.safetensors", "recommender.json"] {
        let read = |model: &str| std::fs::read(folder.path().join(model).join(name)).unwrap();
        assert!(read("m") == read("again"), "{name}");
    }
    let ask = ["recommend", "m", "--json", "--history", "tea,milk", "-k", "8", "--include-seen"];
    let found = plackett(folder.path(), &ask).expect(0).json();
    let items: std::collections::HashSet<String> =
        found["items"].as_array().unwrap().iter().map(|item| item["item"].to_string()).collect();
    assert_eq!(items.len(), 8, "every item of the catalogue once: {found}");
    let error = fit("new", "rewarded-steps=0, reward=rule").expect(2).stderr;
    assert!(error.contains("makes no use of `reward`") && !folder.path().join("new").exists(), "{error}");
}

#[test]
fn models_that_read_texts_are_fitted_to_the_same_bytes_asked_and_measured() {
    for recommender in [
        "setrec(epochs=100, batch=4, width=16, blocks=1, max-history=4, sasrec-epochs=5, dropout=0, rate=0.003)",
        "synergen(epochs=100, batch=4, width=32, heads=2, blocks=1, max-history=4, ranking=0, dropout=0, rate=0.005)",
    ] {
        reads_texts(recommender);
    }
}

fn reads_texts(recommender: &str) {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let fit = |output: &str| {
        let line = ["recommend", "fit", "interactions.tsv", "-o", output];
        let texts = ["-r", recommender, "--titles", "items.jsonl"];
        plackett(folder.path(), &[&line[..], &texts[..]].concat()).expect(0)
    };
    let said = fit("m").stderr;
    assert!(said.contains("6 of 8 items have no text and are read by name"), "{said}");
    fit("again");
    // Titles and texts are one reading, so that they may come from a pipe.
    let line = ["recommend", "fit", "interactions.tsv", "-o", "piped", "-r", recommender, "--titles", "-"];
    let titles = std::fs::read_to_string(folder.path().join("items.jsonl")).unwrap();
    plackett_with_input(folder.path(), &line, &titles).expect(0);
    for name in ["model.safetensors", "recommender.json"] {
        let read = |model: &str| std::fs::read(folder.path().join(model).join(name)).unwrap();
        assert!(read("m") == read("again") && read("m") == read("piped"), "{name}");
    }
    let ask = |more: &[&str]| {
        let done = plackett(folder.path(), &[&["recommend", "m", "--json"], more].concat()).expect(0);
        let items = done.json()["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["item"].as_str().unwrap().to_string()).collect::<Vec<String>>()
    };
    assert_eq!(ask(&["--user", "ann", "-k", "1", "--why"]), ["spoon"]);
    let mut all = ask(&["--history", "tea", "-k", "8", "--include-seen"]);
    all.sort_unstable();
    assert_eq!(all, ["cup", "desk", "ink", "milk", "paper", "pen", "spoon", "tea"]);
    assert!(!ask(&["--history", "tea", "-k", "8"]).contains(&"tea".to_string()));
    let only = "{\"item\":\"desk\",\"price\":3}\n{\"item\":\"pen\",\"price\":9}\n";
    std::fs::write(folder.path().join("prices.jsonl"), only).unwrap();
    assert_eq!(ask(&["--user", "ann", "--filter", "price < 5", "--items", "prices.jsonl"]), ["desk"]);
    let eval =
        ["recommend", "eval", "interactions.tsv", "-r", recommender, "--titles", "items.jsonl", "--json"];
    let measured = plackett(folder.path(), &eval).expect(0).json();
    assert!(measured["recommenders"][0]["HR@10"]["mean"].as_f64() > Some(0.0), "{measured}");
}

#[test]
fn a_filter_keeps_items_by_what_is_said_of_them() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let prices = [("tea", 3), ("milk", 1), ("cup", 4), ("spoon", 2), ("ink", 9), ("paper", 1), ("pen", 4)];
    let line = |(item, price): (&str, i32)| format!("{{\"item\":\"{item}\",\"price\":{price}}}\n");
    std::fs::write(folder.path().join("prices.jsonl"), prices.map(line).concat()).unwrap();
    plackett(folder.path(), &["recommend", "fit", "interactions.tsv", "-o", "m"]).expect(0);
    let ask = |more: &[&str]| {
        plackett(folder.path(), &[&["recommend", "m", "--user", "ann", "--json"], more].concat())
    };
    let found = ask(&["--filter", "price < 5", "--items", "prices.jsonl", "-k", "8"]).expect(0);
    let json = found.json();
    let mut items: Vec<&str> =
        json["items"].as_array().unwrap().iter().map(|item| item["item"].as_str().unwrap()).collect();
    assert_eq!(items[0], "spoon");
    items.sort_unstable();
    assert_eq!(items, ["paper", "pen", "spoon"]);
    assert!(
        found.stderr.contains("1 of 8 items are not in prices.jsonl and do not pass"),
        "{}",
        found.stderr
    );
    let few = "only 3 items that are not in the history and pass --filter";
    assert!(found.stderr.contains(few), "{}", found.stderr);
    let unknown = ask(&["--filter", "prise < 5", "--items", "prices.jsonl"]).expect(2).stderr;
    assert!(unknown.contains("--filter") && unknown.contains("did you mean `price`"), "{unknown}");
    assert!(ask(&["--filter", "price < 5"]).expect(2).stderr.contains("--items"));
    assert!(ask(&["--filter", "price <", "--items", "prices.jsonl"]).expect(2).stderr.contains("--filter"));
    std::fs::write(folder.path().join("prices.jsonl"), "{\"price\":1}\n").unwrap();
    let nameless = ask(&["--filter", "price < 5", "--items", "prices.jsonl"]).expect(2).stderr;
    assert!(nameless.contains("line 1: there is no `item`"), "{nameless}");
    std::fs::write(folder.path().join("prices.jsonl"), "{\"item\":\"tea\"}\n{\"item\":\"\"}\n").unwrap();
    let empty = ask(&["--filter", "price < 5", "--items", "prices.jsonl"]).expect(2).stderr;
    assert!(empty.contains("--items prices.jsonl, line 2: a document has an empty id"), "{empty}");
}

#[test]
fn wrong_input_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    std::fs::write(folder.path().join("alone.tsv"), "user\titem\na\ttea\nb\tmilk\n").unwrap();
    plackett(
        folder.path(),
        &["recommend", "fit", "interactions.tsv", "-o", "m", "--recommender", "popularity"],
    )
    .expect(0);
    for (line, said) in [
        ("recommend m", "give a --user, or a --history"),
        ("recommend m --user eve", "is not in the interactions"),
        ("recommend m --history tee", "did you mean `tea`"),
        ("recommend m --history \"tea", "a double quote is not closed"),
        (
            "recommend m --user ann --candidates tee",
            "--candidates: there is no item `tee`; did you mean `tea`",
        ),
        ("recommend m --user ann --candidates ,", "--candidates: there is no item in `,`"),
        ("recommend m --user ann --candidates tea --why", "--why"),
        ("recommend no --user ann", "plackett recommend fit"),
        ("recommend fit interactions.tsv -o m --recommender hsu", "did you mean `hstu`"),
        ("recommend fit no.tsv -o m", "no.tsv"),
        ("recommend fit interactions.tsv -o -", "--output -: a recommender is a folder"),
        ("recommend fit interactions.tsv -o m --titles no.jsonl", "--titles"),
        ("recommend fit interactions.tsv -o new --recommender setrec", "give them with --titles"),
        ("recommend eval interactions.tsv --recommender setrec", "give them with --titles"),
        ("recommend eval interactions.tsv --titles items.jsonl", "--report"),
        ("recommend eval interactions.tsv --core 50", "--core 50"),
        ("recommend fit interactions.tsv -o new -r onerec(within=0)", "give a greater `within`"),
        (
            "recommend eval interactions.tsv -r sasrec(epochs=100000) -r onerec(active=9)",
            "9 active experts of 8",
        ),
        ("recommend eval alone.tsv", "alone.tsv: no user has an event to ask for"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let done = plackett(folder.path(), &words).expect(2);
        assert!(done.stderr.contains(said), "{line}: {}", done.stderr);
    }
    for name in ["new", "-"] {
        assert!(!folder.path().join(name).exists(), "a fit that is refused leaves no folder");
    }
    let listed = plackett(folder.path(), &["recommend", "list", "--json"]).expect(0).json();
    assert!(listed["recommenders"].as_array().unwrap().len() >= 6);
    assert!(plackett(folder.path(), &["recommend", "show", "hstu"]).expect(0).stdout.contains("time-bias"));
}

#[test]
fn the_page_of_a_comparison_shows_groups_curves_and_users_with_their_lists() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let trained = "sasrec(epochs=3, batch=4, width=8, max-length=6)";
    let eval = [
        "recommend",
        "eval",
        "interactions.tsv",
        "-r",
        "popularity",
        "-r",
        trained,
        "--titles",
        "items.jsonl",
        "--report",
    ];
    let run = |more: &[&str]| plackett(folder.path(), &[&eval[..], more].concat());
    let stdout = run(&["page.html", "--json"]).expect(0).stdout;
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    for part in [
        "By popularity",
        "Cold and warm",
        "Learning curves",
        "<svg",
        "A silver spoon",
        "because of",
        "SHA-256",
        "class=\"hit\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http"), "a page loads nothing");
    assert!(!page.contains("Codes of the items"), "nothing here is written by codes");
    assert!(!page.contains("<h2>Experts</h2>"), "nothing here has experts");
    let value: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(value["recommenders"][0]["codes"].is_null());
    let slices = &value["recommenders"][0]["slices"];
    for (at, (name, tested)) in [("cold", 11), ("warm", 1)].into_iter().enumerate() {
        assert_eq!(slices[at]["slice"], name);
        assert_eq!(slices[at]["tested"], tested);
        // Of eight items all are among the first ten.
        assert_eq!(slices[at]["HR@10"]["mean"], 1.0);
    }
    let groups = value["recommenders"][0]["by_popularity"].as_array().unwrap();
    let tested: u64 = groups.iter().map(|group| group["tested"].as_u64().unwrap()).sum();
    assert_eq!(tested, value["tested"].as_u64().unwrap());
    let large = groups.iter().find(|group| group["tested"].as_u64() > Some(1)).unwrap();
    assert!(large["ci95"].is_array(), "{large}");
    let error = run(&["interactions.tsv"]).expect(2).stderr;
    assert!(error.contains("--report"), "{error}");
}

#[test]
fn limits_act_or_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let said = |more: &[&str]| {
        plackett(folder.path(), &[&["recommend", "eval", "interactions.tsv"], more].concat()).expect(2).stderr
    };
    let error = said(&["--max-line-bytes", "10"]);
    assert!(error.contains("interactions.tsv") && error.contains("--max-line-bytes"), "{error}");
    // The budget bounds the interactions: 47 events, 12 users, 8 items and their names.
    let error = said(&["--memory-budget", "100"]);
    assert!(error.contains("47 events of 12 users with 8 items"), "{error}");
    assert!(error.contains("--memory-budget gives 100 bytes; give as much"), "{error}");
    let enough = ["recommend", "eval", "interactions.tsv", "--memory-budget", "1MB"];
    plackett(folder.path(), &enough).expect(0);
    let other = plackett(folder.path(), &["recommend", "list", "--memory-budget", "1MB"]).expect(2).stderr;
    assert!(other.contains("--memory-budget"), "{other}");
}

#[test]
fn a_killed_fit_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    let fit = |output: &'static str, recommender: &'static str| {
        ["recommend", "fit", "interactions.tsv", "-o", output, "--recommender", recommender]
    };
    let long = "sasrec(epochs=1500, width=16, blocks=1, max-length=4)";
    plackett(at, &fit("whole", long)).expect(0);
    kill_when(at, &fit("killed", long), || {
        at.join("killed/training.unfinished/checkpoint.safetensors").exists()
    });
    let other = plackett(at, &fit("killed", "sasrec(epochs=1400, width=16)")).expect(2).stderr;
    assert!(other.contains("the checkpoint of another training"), "{other}");
    let other = plackett(at, &fit("killed", "ease")).expect(2).stderr;
    assert!(other.contains("the checkpoint of another training"), "{other}");
    let rest = plackett(at, &fit("killed", long)).expect(0).stderr;
    assert!(rest.contains("goes on from the last checkpoint"), "{rest}");
    for name in ["model.safetensors", "recommender.json"] {
        let read = |model: &str| std::fs::read(at.join(model).join(name)).unwrap();
        assert!(read("killed") == read("whole"), "{name}");
    }
    assert!(
        !at.join("killed/training.unfinished").exists() && !at.join("whole/training.unfinished").exists()
    );
}
