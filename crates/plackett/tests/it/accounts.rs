//! What `eval` and `compare` say beside the numbers, in every form of the result.

use crate::common::{Done, plackett};
use std::path::Path;

/// 44 judged queries with two documents each; a baseline that answers all, a run that answers ten.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lines = |of: &dyn Fn(usize) -> String| (0..44).map(of).collect::<String>();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("qrels", lines(&|q| format!("q{q} 0 a{q} {}\nq{q} 0 b{q} 0\n", u8::from(q != 7))));
    write("all.run", lines(&|q| format!("q{q} Q0 a{q} 1 2 all\nq{q} Q0 b{q} 2 1 all\n")));
    write(
        "ten.run",
        (0..10).map(|q| format!("q{q} Q0 a{q} 1 2 ten\nq{q} Q0 x{q} 2 1 ten\n")).collect::<String>()
            + "q99 Q0 a 1 1 ten\n",
    );
    folder
}

const LOUD: &str = "10 of 44 judged queries answered, the other 34 count 0";
const OTHERS: [&str; 4] = [
    "1 query of the run has no judgments and is ignored",
    "1 query has no relevant document and counts 0",
    "10 of 20 documents have no judgment (10 of 20 among the first ten)",
    "lists end before a cut-off: 10 of 10 at 100 (the shortest has 2, the longest 2)",
];

fn run(folder: &Path, arguments: &str) -> Done {
    plackett(folder, &arguments.split(' ').collect::<Vec<_>>())
}

fn said(folder: &Path, arguments: &str) -> Done {
    run(folder, arguments).expect(0)
}

const EVAL: &str = "eval --ci none -m nDCG@100 -m AP qrels ten.run";
const COMPARE: &str = "compare --ci none -m nDCG@100 -m AP qrels all.run ten.run";

fn has_all(text: &str, what: &str) {
    for words in std::iter::once(LOUD).chain(OTHERS) {
        assert!(text.contains(words), "{what}: `{words}` is missing in:\n{text}");
    }
}

#[test]
fn text_says_everything() {
    let folder = folder();
    has_all(&said(folder.path(), EVAL).stdout, "eval");
    let compared = said(folder.path(), COMPARE).stdout;
    has_all(&compared, "compare");
    assert!(compared.contains(&format!("ten: WARNING: {LOUD}")), "{compared}");
    assert!(compared.contains("all: 44 of 44 judged queries answered"), "{compared}");
}

#[test]
fn json_has_every_remark_in_warnings() {
    let folder = folder();
    for command in [EVAL, COMPARE] {
        let text = said(folder.path(), &format!("{command} --json")).stdout;
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let warnings: Vec<&str> =
            document["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
        for words in std::iter::once(LOUD).chain(OTHERS) {
            assert!(warnings.contains(&format!("ten: {words}").as_str()), "{command}: {words}: {warnings:?}");
        }
        let runs = document["runs"].as_array().unwrap();
        assert_eq!(runs.last().unwrap()["account"]["answered_queries"], 10);
    }
}

#[test]
fn markup_says_everything() {
    let folder = folder();
    for command in [EVAL, COMPARE] {
        for form in ["--markdown", "--latex"] {
            let found = said(folder.path(), &format!("{command} {form}"));
            has_all(&found.stdout, form);
            has_all(&found.stderr, form);
        }
        // Not only in a comment that LaTeX drops.
        let latex = said(folder.path(), &format!("{command} --latex")).stdout;
        let caption = latex.lines().find(|line| line.starts_with("\\caption")).unwrap();
        assert!(caption.contains(LOUD), "{caption}");
    }
}

#[test]
fn the_lines_of_trec_eval_leave_it_to_standard_error() {
    let folder = folder();
    let found = said(folder.path(), &format!("{EVAL} --trec"));
    has_all(&found.stderr, "--trec");
    assert!(!found.stdout.contains("answered"), "{}", found.stdout);
}

#[test]
fn the_report_says_everything() {
    let folder = folder();
    for command in [EVAL, COMPARE] {
        said(folder.path(), &format!("{command} --report out.html"));
        has_all(&std::fs::read_to_string(folder.path().join("out.html")).unwrap(), command);
    }
}

#[test]
fn what_is_left_out_of_the_means_is_said() {
    let folder = folder();
    let text = said(folder.path(), &format!("{COMPARE} --missing skip")).stdout;
    assert!(
        text.contains("10 of 44 judged queries answered, the other 34 are left out of the means"),
        "{text}"
    );
    let text = said(folder.path(), "compare --ci none -m AP -m NumRet qrels all.run ten.run --json").stdout;
    assert!(text.contains("not compared, because they have no mean: NumRet"), "{text}");
}

#[test]
fn flags_without_effect_are_errors() {
    let folder = folder();
    for (arguments, words) in [
        ("eval qrels all.run --ci none --resamples 5", "--resamples 5"),
        ("eval qrels all.run --ci analytic --seed 5", "--seed 5"),
        ("compare qrels all.run ten.run --ci none --resamples 5", "--resamples 5"),
        ("eval qrels all.run --split dev", "--split dev"),
        ("eval qrels all.run -m nDCG@10 --level 2", "--level 2"),
        ("eval qrels all.run -q --markdown", "--per-query"),
        ("eval qrels all.run -p 2 --json", "--digits 2"),
        ("eval qrels all.run -n", "--trec"),
        ("eval qrels all.run -M 0", "a whole number from 1"),
        ("eval qrels all.run -m relstring", "a text for each query"),
        ("eval --list-measures qrels all.run", "--list-measures"),
        ("compare qrels all.run ten.run --samples 0", "a whole number from 1"),
    ] {
        let done = run(folder.path(), arguments);
        assert_eq!(done.code, 2, "{arguments}: {}", done.stderr);
        assert!(done.stderr.contains(words), "{arguments}: {}", done.stderr);
    }
    // The randomisation test draws, whatever the intervals do.
    said(folder.path(), "compare qrels all.run ten.run --ci none --seed 5");
}

#[test]
fn a_run_given_twice_has_two_names() {
    let folder = folder();
    let text = said(folder.path(), "compare --ci none -m AP qrels all.run all.run --json").stdout;
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> =
        document["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["all.run", "all.run (2)"]);
    assert_eq!(document["comparison"]["compared"][0]["run"], "all.run (2)");
}
