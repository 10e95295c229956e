//! Recipes over simulations that can be worked out in the head: reading, caching and every kind of claim.

use super::field::{Default as Fallback, FieldKind, FieldSpec};
use super::simulation::{Simulated, Simulation};
use super::*;
use crate::pipeline::ModelOptions;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// Values of a line: `start + step · seed`, and `wave`, which is 1 for odd seeds and 0 for even ones.
static LINE: Simulation = Simulation {
    name: "line",
    help: "a line",
    version: 1,
    fields: &[
        FieldSpec::new(
            "start",
            FieldKind::Number(f64::MIN, f64::MAX),
            Fallback::Number(0.0),
            "where it begins",
        ),
        FieldSpec::new(
            "step",
            FieldKind::Number(f64::MIN, f64::MAX),
            Fallback::Number(0.0),
            "how it goes on",
        ),
        FieldSpec::new("name", FieldKind::Text, Fallback::Text(""), "for counting runs"),
    ],
    check: |_| Ok(()),
    numbers: |_| vec!["value".into(), "wave".into()],
    run: line,
};

/// The names of lines that were run, a name for each seed.
static RUNS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn line(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    RUNS.lock().unwrap().push(given.values.word("name").to_string());
    let number = |name: &str| given.values.number(name).unwrap_or(0.0);
    if number("start") == 13.0 {
        return Err("thirteen".into());
    }
    Ok(vec![number("start") + number("step") * given.seed as f64, (given.seed % 2) as f64])
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.simulations.push(&LINE);
    registry
}

fn read(text: &str) -> Result<Recipe, RecipeError> {
    Recipe::read("test", Source::of_text("test.toml", text), &registry())
}

fn run_in(cache: &Path, text: &str) -> Result<Outcome, RecipeError> {
    let recipe = read(text)?;
    let environment = Environment::new(registry(), cache.to_path_buf(), ModelOptions::default());
    Runner { recipe: &recipe, scale: Scale::Quick, environment: &environment, progress: &|_, _, _| {} }.run()
}

fn run(text: &str) -> Result<Outcome, RecipeError> {
    run_in(tempfile::tempdir().unwrap().path(), text)
}

/// A stage of a line over five seeds.
fn stage(name: &str, fields: &str) -> String {
    format!("[stage.{name}]\nkind = \"simulate\"\nsimulation = \"line\"\nseeds = 5\n{fields}\n")
}

/// Whether a claim over some lines holds: `low` is 1 … 5, `high` is 11 … 15, `flat` is 3.
fn judged(claim: &str) -> ClaimOutcome {
    let stages =
        [stage("low", "step = 1.0"), stage("high", "start = 10\nstep = 1.0"), stage("flat", "start = 3.0")]
            .concat();
    let text = format!("title = \"t\"\n{stages}[claim.c]\ntext = \"c\"\n{claim}\n");
    run(&text).unwrap_or_else(|error| panic!("{error}")).claims.remove(0)
}

fn holds(claim: &str) -> bool {
    judged(claim).verdict.held
}

#[test]
fn an_order_is_one_of_means_with_a_test_behind_it() {
    assert!(holds("kind = \"order\"\norder = [\"high/value\", \"low/value\"]"));
    assert!(!holds("kind = \"order\"\norder = [\"low/value\", \"high/value\"]"));
    // 3 on average, as flat is: no order, whatever is tested.
    for test in ["t", "wilcoxon", "randomisation", "none"] {
        assert!(
            !holds(&format!("kind = \"order\"\norder = [\"low/value\", \"flat/value\"]\ntest = \"{test}\"")),
            "{test}"
        );
    }
    // By more than nine, but not by more than ten.
    assert!(holds("kind = \"order\"\norder = [\"high/value\", \"low/value\"]\nmargin = 9"));
    assert!(!holds("kind = \"order\"\norder = [\"high/value\", \"low/value\"]\nmargin = 10"));
    let found = judged("kind = \"order\"\norder = [\"high/value\", \"flat/value\", \"low/wave\"]");
    // 13 > 3 > 0.6.
    assert!(found.verdict.held, "{}", found.verdict.summary);
    assert_eq!(found.verdict.numbers["differences"][0]["difference"], 10.0);
    assert_eq!(found.verdict.numbers["differences"][0]["n"], 5);
    assert!((found.verdict.numbers["means"]["low/wave"].as_f64().unwrap() - 0.6).abs() < 1e-12);
}

#[test]
fn a_ratio_keeps_its_bounds_with_its_interval() {
    // 13 / 3, from five pairs (11, 1) … (15, 5): the interval is wide.
    let found = judged(
        "kind = \"ratio\"\nof = \"high/value\"\nto = \"low/value\"\nat_least = 4\nat_most = 5\ninterval = false",
    );
    assert!(found.verdict.held);
    assert!((found.verdict.numbers["ratio"].as_f64().unwrap() - 13.0 / 3.0).abs() < 1e-12);
    assert!(!holds("kind = \"ratio\"\nof = \"high/value\"\nto = \"low/value\"\nat_least = 4\nat_most = 5"));
    // Against a constant the interval is that of the mean: 1 … 5 over 3.
    assert!(holds(
        "kind = \"ratio\"\nof = \"low/value\"\nto = \"flat/value\"\nat_least = 0.5\nat_most = 1.5"
    ));
    let error = read(&format!(
        "title = \"t\"\n{}[claim.c]\ntext = \"c\"\nkind = \"ratio\"\nof = \"a/value\"\nto = \"a/wave\"\n",
        stage("a", "")
    ));
    assert!(error.unwrap_err().to_string().contains("could not fail"));
}

#[test]
fn equal_means_every_value_or_the_means() {
    assert!(holds("kind = \"equal\"\nof = \"flat/value\"\nvalue = 3"));
    assert!(!holds("kind = \"equal\"\nof = \"low/value\"\nvalue = 3"));
    assert!(holds("kind = \"equal\"\nof = \"low/value\"\nvalue = 3\neach = false"));
    assert!(holds("kind = \"equal\"\nof = \"low/value\"\nvalue = 3\ntolerance = 2"));
    assert!(!holds("kind = \"equal\"\nof = \"low/value\"\nto = \"flat/value\"\ntolerance = 1.5"));
    let found = judged("kind = \"equal\"\nof = \"low/value\"\nto = \"flat/value\"");
    assert_eq!(
        (found.verdict.numbers["apart"].as_i64(), found.verdict.numbers["farthest"].as_f64()),
        (Some(4), Some(2.0))
    );
}

#[test]
fn not_worse_is_decided_by_a_test_or_by_a_margin() {
    assert!(holds("kind = \"not-worse\"\nof = \"high/value\"\nthan = \"low/value\""));
    assert!(!holds("kind = \"not-worse\"\nof = \"low/value\"\nthan = \"high/value\""));
    assert!(holds("kind = \"not-worse\"\nof = \"low/value\"\nthan = \"high/value\"\nbetter = \"lower\""));
    // 0.6 against 3: -2.4 on average, each time by at least 2.
    assert!(!holds("kind = \"not-worse\"\nof = \"low/wave\"\nthan = \"flat/value\""));
    assert!(holds("kind = \"not-worse\"\nof = \"low/wave\"\nthan = \"flat/value\"\nmargin = 3"));
    assert!(!holds("kind = \"not-worse\"\nof = \"low/wave\"\nthan = \"flat/value\"\nmargin = 2.4"));
}

#[test]
fn a_trend_goes_one_way_and_is_tested() {
    assert!(holds("kind = \"trend\"\norder = [\"low/wave\", \"flat/value\", \"high/value\"]"));
    assert!(!holds("kind = \"trend\"\norder = [\"low/wave\", \"high/value\", \"flat/value\"]"));
    assert!(holds(
        "kind = \"trend\"\norder = [\"high/value\", \"flat/value\", \"low/wave\"]\ndirection = \"falling\""
    ));
    // Down by 10 at the end: allowed by the slack, and on the whole still upwards (the line from 0.6 to 3).
    let slack = "kind = \"trend\"\norder = [\"low/wave\", \"high/value\", \"flat/value\"]\nslack = 10.5";
    assert!(holds(slack));
    assert!(!holds(&slack.replace("10.5", "9.5")));
    let found = judged("kind = \"trend\"\norder = [\"flat/value\", \"high/value\"]");
    assert!((found.verdict.numbers["slope"].as_f64().unwrap() - 10.0).abs() < 1e-9);
}

#[test]
fn within_looks_at_the_interval_unless_told() {
    assert!(holds("kind = \"within\"\nof = \"flat/value\"\nat_least = 3\nat_most = 3"));
    assert!(holds("kind = \"within\"\nof = \"low/value\"\nat_least = 1\nat_most = 5"));
    assert!(!holds("kind = \"within\"\nof = \"low/value\"\nat_least = 2.9\nat_most = 3.1"));
    assert!(holds("kind = \"within\"\nof = \"low/value\"\nat_least = 2.9\nat_most = 3.1\ninterval = false"));
}

#[test]
fn feedback_from_scores_that_a_method_does_not_have_is_refused_when_a_recipe_is_read() {
    let error = read(
        "title = \"t\"\n[stage.papers]\nkind = \"data\"\ncollection = \"papers\"\n\
         [stage.index]\nkind = \"index\"\ndata = \"papers\"\n\
         [stage.found]\nkind = \"retrieve\"\nindex = \"index\"\npipeline = \"dense:9 >> first >> feedback(target=both)\"\n\
         [claim.c]\ntext = \"c\"\nwaiting = \"training\"\n",
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`first` before it gives an order without scores"), "{error}");
}

/// A recipe over two lines of a single seed: `one` is 3, `other` 4.
fn of_one_value(claim: &str) -> String {
    let line = |name: &str, start: u32| {
        format!("[stage.{name}]\nkind = \"simulate\"\nsimulation = \"line\"\nseeds = 1\nstart = {start}\n")
    };
    format!("title = \"t\"\n{}{}[claim.c]\ntext = \"c\"\n{claim}\n", line("one", 3), line("other", 4))
}

#[test]
fn one_value_is_judged_alone_only_where_the_claim_says_so() {
    let within = "kind = \"within\"\nof = \"one/value\"\nat_least = 3\nat_most = 3";
    let ratio = "kind = \"ratio\"\nof = \"other/value\"\nto = \"one/value\"\nat_most = 1.4";
    let not_worse = "kind = \"not-worse\"\nof = \"other/value\"\nthan = \"one/value\"";
    let margin = "kind = \"not-worse\"\nof = \"one/value\"\nthan = \"other/value\"\nmargin = 2";
    let (interval, test) = ("interval = false", "test = \"none\"");
    for (claim, key) in [(within, interval), (ratio, interval), (not_worse, test), (margin, test)] {
        let error = run(&of_one_value(claim)).unwrap_err().to_string();
        assert!(error.contains(&format!("one value has no interval; write {key}")), "{error}");
        let outcome =
            run(&of_one_value(&format!("{claim}\n{key}"))).unwrap_or_else(|error| panic!("{error}"));
        assert!(outcome.claims[0].verdict.held, "{}", outcome.claims[0].verdict.summary);
    }
}

#[test]
fn a_record_of_one_value_stays_valid_when_its_claim_says_that_there_is_no_interval() {
    let within = "kind = \"within\"\nof = \"one/value\"\nat_least = 3";
    let recipe = |claim: &str| read(&of_one_value(claim)).unwrap_or_else(|error| panic!("{error}"));
    let record = |numbers: &str| Results {
        checked: "2026-01-31".into(),
        scale: "quick".into(),
        version: "0".into(),
        recipe: recipe(within).hash(),
        seconds: 1.0,
        claims: vec![ClaimResult { id: "c".into(), state: State::Held, numbers: numbers.into() }],
    };
    let (one, several) = (record("3 (no interval; n = 1), allowed at least 3"), record("3 (3 – 3; n = 5)"));
    let told = recipe(&format!("{within}\ninterval = false"));
    assert!(one.is_of(&recipe(within)) && one.is_of(&told));
    // Over several values the key makes another claim of it, and so does another bound over one.
    assert!(several.is_of(&recipe(within)) && !several.is_of(&told));
    assert!(!one.is_of(&recipe("kind = \"within\"\nof = \"one/value\"\nat_least = 2\ninterval = false")));
}

#[test]
fn a_stage_runs_again_only_when_it_or_what_it_needs_has_changed() {
    let cache = tempfile::tempdir().unwrap();
    let runs = |text: &str| {
        RUNS.lock().unwrap().retain(|name| !name.starts_with("cached-"));
        let outcome = run_in(cache.path(), text).unwrap();
        let mut ran: Vec<String> =
            RUNS.lock().unwrap().iter().filter(|name| name.starts_with("cached-")).cloned().collect();
        ran.dedup();
        let fresh: Vec<String> =
            outcome.stages.iter().filter(|stage| !stage.cached).map(|stage| stage.name.clone()).collect();
        (ran, fresh, outcome.quantity("less/difference").unwrap().values.clone())
    };
    let text = format!(
        "title = \"t\"\n{}{}[stage.less]\nkind = \"difference\"\nof = \"a/value\"\nless = \"b/value\"\n",
        stage("a", "name = \"cached-a\"\nstart = 4"),
        stage("b", "name = \"cached-b\"\nstep = 1")
    );
    let first = runs(&text);
    assert_eq!(first.0, ["cached-a", "cached-b"]);
    assert_eq!(first.2, [3.0, 2.0, 1.0, 0.0, -1.0]);
    assert_eq!(runs(&text), (vec![], vec![], first.2.clone()), "the second time is from the cache");
    let about = text.replace("title = \"t\"", "title = \"another\"\n# a remark");
    assert_eq!(runs(&about).1, Vec::<String>::new(), "words about it change nothing");
    let changed = runs(&text.replace("start = 4", "start = 5"));
    assert_eq!(
        (changed.0, changed.1),
        (vec!["cached-a".to_string()], vec!["a".to_string(), "less".to_string()])
    );
    assert_eq!(changed.2, [4.0, 3.0, 2.0, 1.0, 0.0]);
    assert_eq!(runs(&text), (vec![], vec![], first.2), "and what was there before is still there");
}

#[test]
fn a_damaged_record_is_made_again() {
    let cache = tempfile::tempdir().unwrap();
    let text = format!("title = \"t\"\n{}", stage("a", "start = 4.5"));
    let first = run_in(cache.path(), &text).unwrap();
    std::fs::write(first.stages[0].folder.join("stage.json"), "{\"kind\":").unwrap();
    let second = run_in(cache.path(), &text).unwrap();
    assert!(!second.stages[0].cached);
    assert_eq!(second.quantity("a/value"), first.quantity("a/value"));
}

#[test]
fn a_stage_that_fails_names_itself_and_leaves_the_others() {
    let cache = tempfile::tempdir().unwrap();
    let text = format!("title = \"t\"\n{}{}", stage("good", "start = 2"), stage("bad", "start = 13"));
    let error = run_in(cache.path(), &text).unwrap_err().to_string();
    assert!(
        error.contains("test.toml, line 7") && error.contains("`bad`") && error.contains("thirteen"),
        "{error}"
    );
    let mended = run_in(cache.path(), &text.replace("13", "14")).unwrap();
    assert_eq!(mended.stages.iter().map(|stage| stage.cached).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn values_may_be_written_by_scale_and_stages_belong_to_one() {
    let text = format!(
        "title = \"t\"\n{}{}[claim.c]\nkind = \"equal\"\ntext = \"c\"\nof = \"big/value\"\nvalue = 1\nscale = \"full\"\n\
         [claim.w]\ntext = \"w\"\nwaiting = \"training\"\nmain = true\n",
        stage("a", "start = { quick = 1, full = 2 }"),
        stage("big", "scale = \"full\"\nstart = 1")
    );
    let recipe = read(&text).unwrap();
    let (quick, full) = (recipe.at(Scale::Quick), recipe.at(Scale::Full));
    assert_eq!((quick.stages.len(), quick.claims.len()), (1, 0));
    assert_eq!((full.stages.len(), full.claims.len()), (2, 1));
    let start = |scale: &AtScale| scale.stage("a").unwrap().values.number("start");
    assert_eq!((start(quick), start(full)), (Some(1.0), Some(2.0)));
    assert_eq!(quick.waiting[0].needs, "training");
    // What belongs to another scale cannot be named at this one.
    let error = read(&text.replace("scale = \"full\"\n[claim.w]", "[claim.w]")).unwrap_err().to_string();
    assert!(error.contains("no stage `big`"), "{error}");
}

#[test]
fn a_value_that_is_no_number_is_refused() {
    let text = format!("title = \"t\"\n{}", stage("a", "start = 1e308\nstep = 1e308"));
    let error = run(&text).unwrap_err().to_string();
    assert!(error.contains("`value`") && error.contains("no number"), "{error}");
}

#[test]
fn graphs_name_every_stage_and_claim() {
    let text = format!(
        "title = \"t\"\n{}[stage.less]\nkind = \"difference\"\nof = \"a/value\"\nless = \"a/wave\"\n\
         [claim.c]\ntext = \"c\"\nkind = \"equal\"\nof = \"less/difference\"\nvalue = 0\n",
        stage("a", "")
    );
    let recipe = read(&text).unwrap();
    let scale = recipe.at(Scale::Quick);
    assert_eq!(graph::levels(scale), [0, 1]);
    for drawn in [graph::text(scale), graph::dot("t", scale), graph::svg(scale)] {
        assert!(drawn.contains("less") && drawn.contains("line"), "{drawn}");
    }
    assert!(graph::dot("t", scale).contains("\"a\" -> \"less\";"));
    assert!(graph::text(scale).contains("claim c [equal]  ← less"));
}

#[test]
fn every_bundled_recipe_is_right_and_names_a_system_that_there_is() {
    let (store, registry) = (RecipeStore::default(), Registry::default());
    let known = systems().unwrap();
    for name in store.names().unwrap() {
        let recipe = store.recipe(&name, &registry).unwrap_or_else(|error| panic!("{error}"));
        if let Some(system) = &recipe.system {
            assert!(known.iter().any(|known| known.name == *system), "{name}: {system}");
            assert_eq!(*system, name, "a system's recipe has its name");
        }
        let ids: Vec<&String> = recipe.at(Scale::Quick).claims.iter().map(|claim| &claim.id).collect();
        assert!(!ids.is_empty(), "{name} claims nothing");
    }
    let mut names: Vec<&str> = known.iter().map(|system| system.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), known.len());
}

/// The collections, by name, that stand behind the stage at a place.
fn collections_behind(scale: &AtScale, place: usize) -> BTreeSet<&str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![place]);
    while let Some(place) = open.pop() {
        let stage = &scale.stages[place];
        open.extend(&stage.inputs);
        if !stage.values.has("made") {
            found.extend(stage.values.text("collection"));
        }
    }
    found
}

#[test]
fn the_default_reranker_learns_from_nothing_that_it_is_measured_on() {
    let recipe = RecipeStore::default().recipe("default-reranker", &Registry::default()).unwrap();
    for scale in Scale::ALL {
        let scale = recipe.at(scale);
        let place = |name: &str| scale.stages.iter().position(|stage| stage.name == name).unwrap();
        let learned = collections_behind(scale, place("ranker"));
        assert_eq!(learned, BTreeSet::from(["papers", "squad-pairs"]));
        assert_eq!(collections_behind(scale, place("encoder")), BTreeSet::from(["squad-pairs"]));
        // The other sets have paragraphs of XQuAD.
        assert_eq!(scale.stages[place("squad")].values.texts("sets"), ["sent-test"]);
        let measured = scale.stages.iter().filter(|stage| stage.kind.name == "evaluate");
        let measured: BTreeSet<&str> =
            measured.flat_map(|stage| collections_behind(scale, place(stage.values.word("data")))).collect();
        let development = [
            "cacm",
            "cosqa-dev",
            "cranfield",
            "nfcorpus",
            "noveleval",
            "npl-vaswani",
            "trec-dl21",
            "wikiqa",
            "xquad",
        ];
        assert_eq!(measured, BTreeSet::from(development));
        assert!(measured.is_disjoint(&learned));
    }
}

/// Two queries with three judged documents each, the best one last.
fn collection(folder: &Path) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    std::fs::create_dir_all(folder.join("qrels")).unwrap();
    let documents = (0..6).map(|n| format!("{{\"_id\": \"d{n}\", \"text\": \"word{n}\"}}\n"));
    write("corpus.jsonl", &documents.collect::<String>());
    write("queries.jsonl", "{\"_id\": \"a\", \"text\": \"one\"}\n{\"_id\": \"b\", \"text\": \"two\"}\n");
    let rows = (0..6).map(|n| format!("{}\td{n}\t{}\n", if n < 3 { "a" } else { "b" }, n % 3));
    write("qrels/test.tsv", &format!("query-id\tcorpus-id\tscore\n{}", rows.collect::<String>()));
    write("qrels/bare.tsv", "query-id\tcorpus-id\tscore\na\td0\t0\nb\td3\t1\n");
}

#[test]
fn only_queries_with_a_relevant_document_take_part_when_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    collection(folder.path());
    let at = |fields: &str| {
        let text = format!(
            "title = \"t\"\n[stage.d]\nkind = \"data\"\ncollection = \"{}\"\nsplit = \"bare\"\n{fields}\n",
            folder.path().display()
        );
        let outcome = run_in(&folder.path().join("cache"), &text).unwrap();
        (outcome.stages[0].made.facts.clone(), outcome.stages[0].made.warnings.clone())
    };
    let (facts, warnings) = at("answered = true");
    assert_eq!(facts[0], ("queries".to_string(), "1".to_string()));
    assert!(warnings[0].starts_with("1 of 2 queries have no relevant document"), "{warnings:?}");
    assert_eq!(at("").0[0].1, "2");
}

#[test]
fn an_agent_that_knows_the_judgments_reaches_the_ideal_and_copies_are_judged_like_their_originals() {
    let folder = tempfile::tempdir().unwrap();
    collection(folder.path());
    let data = |name: &str, fields: &str| {
        format!(
            "[stage.{name}]\nkind = \"data\"\ncollection = \"{}\"\nlist = \"judged\"\n{fields}\n",
            folder.path().display()
        )
    };
    let text = [
        "title = \"t\"\n".to_string(),
        data("given", ""),
        data("best", "order = \"ideal\""),
        data("many", "copies = 2\nquery = \"N/A\""),
        "[stage.oracle]\nkind = \"oracle\"\ncandidates = \"given\"\n".into(),
        "[stage.head]\nkind = \"oracle\"\ncandidates = \"many\"\ndepth = 3\n".into(),
        "[stage.same]\nkind = \"oracle\"\ncandidates = \"many\"\nagent = \"identity\"\n".into(),
        "[stage.quality]\nkind = \"evaluate\"\ndata = \"given\"\nruns = [\"oracle\", \"best\", \"given\"]\nmeasures = [\"nDCG@10\"]\n".into(),
        "[stage.whole]\nkind = \"evaluate\"\ndata = \"many\"\nruns = [\"many\"]\nmeasures = [\"NumRel\"]\n".into(),
        "[stage.likeness]\nkind = \"agreement\"\nbase = \"many\"\nruns = [\"head\", \"same\"]\ntop = 3\n".into(),
        "[stage.cost]\nkind = \"cost\"\nruns = [\"oracle\"]\n".into(),
        "[stage.scores]\nkind = \"scores\"\nruns = [\"head\"]\n".into(),
        "[stage.share]\nkind = \"quotient\"\nof = \"quality/given/nDCG@10\"\nto = \"quality/best/nDCG@10\"\n".into(),
    ]
    .concat();
    let outcome = run_in(&folder.path().join("cache"), &text).unwrap_or_else(|error| panic!("{error}"));
    let mean = |name: &str| outcome.quantity(name).unwrap_or_else(|| panic!("{name}")).mean();
    assert_eq!(mean("quality/oracle/nDCG@10"), 1.0);
    assert_eq!(mean("share/quotient"), mean("quality/given/nDCG@10"));
    assert_eq!(mean("cost/oracle/passes"), 1.0);
    // Two relevant ones, each three times.
    assert_eq!(mean("whole/many/NumRel"), 6.0);
    assert_eq!((mean("likeness/same/tau"), mean("likeness/same/tail")), (1.0, 1.0));
    // The first three are turned round, the six copies behind them stay.
    assert_eq!((mean("likeness/head/tail"), mean("likeness/head/overlap")), (1.0, 1.0));
    assert!((mean("likeness/head/tau") - (1.0 - 2.0 * 3.0 / 36.0)).abs() < 1e-12);
    assert_eq!((mean("scores/head/distinct"), mean("scores/head/spread")), (9.0, 8.0));
}

#[test]
fn what_cannot_be_timed_or_divided_is_said() {
    let folder = tempfile::tempdir().unwrap();
    collection(folder.path());
    let text = format!(
        "title = \"t\"\n[stage.given]\nkind = \"data\"\ncollection = \"{}\"\nlist = \"judged\"\n\
         [stage.oracle]\nkind = \"oracle\"\ncandidates = \"given\"\n\
         [stage.time]\nkind = \"timing\"\nruns = [\"oracle\"]\n",
        folder.path().display()
    );
    let error = run_in(&folder.path().join("cache"), &text).unwrap_err().to_string();
    assert!(error.contains("only stages of the kind `rank` are timed"), "{error}");
    let zero = format!(
        "title = \"t\"\n{}[stage.share]\nkind = \"quotient\"\nof = \"a/value\"\nto = \"a/wave\"\n",
        stage("a", "step = 1.0")
    );
    let error = run(&zero).unwrap_err().to_string();
    assert!(error.contains("it is 0 for a query or seed"), "{error}");
}

#[test]
fn words_do_not_change_what_a_result_was_recorded_for_and_bounds_do() {
    let of = |title: &str, comment: &str, words: &str, bound: &str| {
        let claim = format!(
            "[claim.c]\n{words}\nkind = \"ratio\"\nof = \"high/value\"\nto = \"low/value\"\nat_least = {bound}\n"
        );
        let text = format!(
            "title = \"{title}\"\n{comment}\n{}{}{claim}",
            stage("low", "step = 1.0"),
            stage("high", "start = 10.0")
        );
        read(&text).unwrap_or_else(|error| panic!("{error}")).hash()
    };
    let before = of("t", "", "text = \"c\"", "1");
    assert_eq!(before, of("other", "# a word", "text = \"d\"\nmain = true\nexpected = false", "1"));
    assert_ne!(before, of("t", "", "text = \"c\"", "2"));
}
